"""What a phone loads of the gallery as it starts, with its photographs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from test_demo_start import started

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

SHIFTS = (
    "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((each) => (shift += each.value)))"
    ".observe({type: 'layout-shift', buffered: true})"
)
# The shape of each picture as it is laid out, to that of its file.
SHAPES = """Array.from(document.querySelectorAll("main img"), (image) => {
    const box = image.getBoundingClientRect();
    return (box.width / box.height) / (image.naturalWidth / image.naturalHeight);
})"""


def pictures_of(page: Page, url: str) -> list[bytes]:
    """What a page loads of its pictures, when somebody has scrolled through it."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.add_init_script(SHIFTS)
    page.goto(url)
    page.evaluate("document.querySelectorAll('img').forEach((image) => (image.loading = 'eager'))")
    page.wait_for_function("Array.from(document.images).every((image) => image.complete && image.naturalWidth)")
    return [answer.body() for answer in answers if "/__images__/" in answer.url]


def test_a_phone_loads_a_tenth_of_the_originals_and_nothing_jumps(tmp_path: Path, chromium: Browser) -> None:
    with (
        started(tmp_path / "demo") as url,
        chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True) as phone,
    ):
        weights = Counter[str]()
        for file in (tmp_path / "demo/images").glob("*/*/*/*.*"):
            weights[file.parents[2].name] += file.stat().st_size
        for path, object_type in (("/", "portrait"), ("/albums", "photo")):
            page = phone.new_page()
            pictures = pictures_of(page, url + path)
            assert len(pictures) == 12
            assert sum(map(len, pictures)) * 10 < weights[object_type]
            assert page.evaluate("shift") == 0
            assert all(abs(shape - 1) < 0.02 for shape in page.evaluate(SHAPES))
            assert page.locator("img:not([width][height])").count() == 0
