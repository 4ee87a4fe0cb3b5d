"""An SVG that would act if it were opened by itself is refused, and one that would not is kept."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import parts
from pixels.acting_svgs import ACTING, ACTING_LATER, FONTS, KEPT
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe, resize
from sqlalchemy_imageattach.serving import Request, Stored, respond
from sqlalchemy_imageattach.stores.memory import MemoryStore

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

_URL = "http://localhost/user/1/0/1.96x64.svg"

#: Opens an SVG by itself, with headers, and tells what it does.
Open = Callable[..., list[str]]


@pytest.fixture(scope="module")
def open_alone(have: Callable[..., str]) -> Iterator[Open]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(have(parts.chromium))
        with browser.new_context() as context:
            yield lambda data, headers, acts=False: _opened(context.new_page(), data, headers, acts)
        browser.close()


def _opened(page: Page, data: bytes, headers: dict[str, str], acts: bool) -> list[str]:
    done: list[str] = []

    def answer(route: Route) -> None:
        if route.request.url == _URL:
            route.fulfill(body=data, headers={"Content-Type": "image/svg+xml", **headers})
        else:
            done.append(route.request.url)
            route.abort()

    page.on("console", lambda message: done.append(message.text) if message.text == "ran" else None)
    page.route("**/*", answer)
    page.goto(_URL)
    # Two frames later whatever is to be drawn has been asked for; a busy machine draws later.
    for _ in range(200 if acts else 1):
        page.wait_for_timeout(50)
        if done:
            break
    page.close()
    return done


def _served(data: bytes) -> dict[str, str]:
    """The headers that this library serves an SVG with."""
    store = MemoryStore()
    store.put_file(io.BytesIO(data), "user", 1, 96, 64, "image/svg+xml", False)
    return dict(respond(Request("GET", "user/1/0/1.96x64.svg", {}), Stored(store)).headers)


@pytest.mark.parametrize("name", [*ACTING, *ACTING_LATER])
def test_an_svg_that_would_act_if_it_were_opened_by_itself_is_refused(name: str) -> None:
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO({**ACTING, **ACTING_LATER}[name]))
    assert error.value.reason == ("damaged" if "parameter" in name else "unsafe")


@pytest.mark.parametrize("name", [*KEPT, *FONTS])
def test_an_svg_that_does_nothing_is_kept_and_drawn(name: str) -> None:
    file = io.BytesIO({**KEPT, **FONTS}[name])
    info = probe(file)
    with resize(file, info, 96, 64).file as made, Image.open(made) as image:
        assert image.getpixel((4, 4))[3] == 255


@pytest.mark.long
@pytest.mark.parametrize("name", ACTING)
def test_what_is_refused_acts_in_chromium_and_not_as_it_is_served(name: str, open_alone: Open) -> None:
    assert open_alone(ACTING[name], {}, acts=True)
    assert not open_alone(ACTING[name], _served(ACTING[name]))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_does_nothing_in_chromium(name: str, open_alone: Open) -> None:
    assert not open_alone(KEPT[name], {})


@pytest.mark.parametrize("name", FONTS)
def test_no_font_is_loaded_by_what_is_served(name: str, open_alone: Open) -> None:
    assert not open_alone(FONTS[name], _served(FONTS[name]))
