"""What axe, the engine of many checkers, finds in the gallery's pages: nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from outside import Gallery, jpeg

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def broken_rules(page: Page) -> list[tuple[str, str]]:
    """Each rule that a page breaks, with an element that does."""
    answer = Axe().run(page).response
    assert len(answer["passes"]) > 10
    return [(each["id"], each["nodes"][0]["html"]) for each in answer["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_breaks_a_rule_of_accessibility(gallery: Gallery, chromium: Browser, scheme: str) -> None:
    person, nobody = gallery.add_person("Ann", jpeg()), gallery.add_person("Bob")
    album = gallery.add_album("Holiday", jpeg(1), jpeg(2))
    photo = re.search(rf"/albums/{album}/[0-9a-f-]+", gallery.ask(f"/albums/{album}").text)
    assert photo
    paths = ["/", f"/people/{person}", f"/people/{nobody}", "/albums", f"/albums/{album}", photo[0], "/nowhere"]
    found: dict[str, list[tuple[str, str]]] = {}
    with chromium.new_context(color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        for path in paths:
            page.goto(gallery.url + path)
            found[path] = broken_rules(page)
        page.goto(f"{gallery.url}/people/{person}")
        page.get_by_role("button", name="Replace it, then roll back").click()
        found["undo"] = broken_rules(page)
    assert {path: broken for path, broken in found.items() if broken} == {}
