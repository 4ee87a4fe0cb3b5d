"""What a real browser makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from serving import application
from serving.application import SMALL_NAME, SVG_NAME
from serving.servers import COMMANDS, Server, running

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served") / "images"
    application.fill(folder)
    with running(COMMANDS["threads"], folder) as server:
        yield server


def test_script_in_an_uploaded_image_does_not_run(server: Server, page: Page) -> None:
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(f"http://127.0.0.1:{server.port}/images/{SVG_NAME}")
    assert page.evaluate("document.documentElement.tagName") == "svg"
    assert page.title() != "run"
    assert any("script" in text for text in blocked)


def test_uploaded_page_has_an_origin_of_its_own(server: Server, page: Page) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.goto(f"http://127.0.0.1:{server.port}/images/page.html")
    assert page.evaluate("self.origin") == "null"


def test_images_are_shown(server: Server, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/")
    page.set_content(f'<img src="/images/{SVG_NAME}">')
    page.wait_for_function("document.images[0].complete")
    assert page.evaluate("document.images[0].naturalWidth") == 10


def test_other_origins_read_images_only_when_told(server: Server, page: Page) -> None:
    page.goto(f"http://localhost:{server.port}/")
    read = "url => fetch(url, {headers: {Range: 'bytes=0-9', 'If-None-Match': '\"x\"'}}).then(r => r.status, () => 0)"
    assert page.evaluate(read, f"http://127.0.0.1:{server.port}/cors/{SMALL_NAME}") == 206
    assert page.evaluate(read, f"http://127.0.0.1:{server.port}/images/{SMALL_NAME}") == 0
