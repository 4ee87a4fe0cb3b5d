"""A file that was cut off is refused, or shown as far as it goes, as Chromium shows it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import parts
from pixels import chromium
from pixels.comparing import difference, frames_of
from pixels.making import sample, saved
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import ImagePolicy, probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard

if TYPE_CHECKING:
    from playwright.sync_api import Page

ACCEPTING = ImagePolicy(truncated="accept")
SIZE = 384, 256
PICTURE = sample("RGB", *SIZE)
WHOLE = {
    "jpeg": ("image/jpeg", saved(PICTURE, "JPEG", quality=90)),
    "progressive jpeg": ("image/jpeg", saved(PICTURE, "JPEG", quality=90, progressive=True)),
    "gray jpeg": ("image/jpeg", saved(PICTURE.convert("L"), "JPEG", quality=90)),
    "png": ("image/png", saved(PICTURE, "PNG")),
    "png with alpha": ("image/png", saved(sample("RGBA", *SIZE), "PNG")),
    "png of a palette": ("image/png", saved(PICTURE.quantize(64), "PNG")),
    "gif": ("image/gif", saved(PICTURE.quantize(64), "GIF", interlace=0)),
    "interlaced gif": ("image/gif", saved(PICTURE.quantize(64), "GIF", interlace=1)),
}
#: By how many bytes a file is too short, or which part of it is there.
CUTS = [1, 12, 0.9, 0.6, 0.3]
CASES = [(name, cut) for name in WHOLE for cut in CUTS]
#: Of a scan that is the first of several, a decoder fills in what is missing, and Chromium does not.
EXCEPTIONS = {("progressive jpeg", 0.3)}


def _cut(name: str, cut: float) -> bytes:
    data = WHOLE[name][1]
    return data[:-cut] if isinstance(cut, int) else data[: int(len(data) * cut)]


@pytest.fixture(scope="module")
def page(have: Callable[..., str]) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(have(parts.chromium))
        with browser.new_context() as context:
            page = context.new_page()
            chromium.prepare(page)
            yield page
        browser.close()


def _on_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return page


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_a_file_that_was_cut_off_is_refused_by_default(name: str, cut: float) -> None:
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO(_cut(name, cut)))
    assert error.value.reason == "truncated"


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_where_it_is_accepted_a_thumbnail_shows_as_much_as_chromium(
    name: str, cut: float, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _cut(name, cut)
    info = probe(io.BytesIO(data), ACCEPTING)
    size = SIZE[0] // 2, SIZE[1] // 2
    (made,) = frames_of(resize(io.BytesIO(data), info, *size, policy=ACCEPTING).file)
    monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
    (by_pillow,) = frames_of(resize(io.BytesIO(data), info, *size, policy=ACCEPTING).file)
    assert difference(made, by_pillow) < 2
    if (name, cut) in EXCEPTIONS:
        return
    shown = chromium.show(page, data, WHOLE[name][0])
    assert shown is not None
    assert (info.width, info.height) == SIZE
    assert difference(_on_white(made), _on_white(shown.frames[0])) < 3


@pytest.mark.parametrize("name", WHOLE)
def test_what_has_no_picture_yet_is_refused_all_the_same(name: str) -> None:
    for length in (20, 33):
        with pytest.raises(InvalidImageError) as error:
            probe(io.BytesIO(WHOLE[name][1][:length]), ACCEPTING)
        assert error.value.reason in ("truncated", "unknown_type", "damaged")


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_the_same_to_both_policies(name: str) -> None:
    data = WHOLE[name][1]
    info = probe(io.BytesIO(data))
    assert probe(io.BytesIO(data), ACCEPTING) == info
    made = [resize(io.BytesIO(data), info, 96, 64, policy=each).file.read() for each in (ImagePolicy(), ACCEPTING)]
    assert made[0] == made[1]


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="'refuse' or 'accept'"):
        ImagePolicy(truncated="maybe")  # type: ignore[arg-type]
