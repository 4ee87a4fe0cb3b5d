"""What Chromium shows of a picture is what its thumbnail shows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import parts
from pixels import avifs, chromium, gifs, jpegs, pngs, svgs, webps
from pixels.comparing import difference, frames_of
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard

if TYPE_CHECKING:
    from playwright.sync_api import Page

COLLECTIONS = {
    "jpeg": jpegs.PICTURES,
    "png": pngs.PICTURES,
    "gif": gifs.PICTURES,
    "webp": webps.PICTURES,
    "bmp": webps.BITMAPS,
    "avif": avifs.PICTURES,
    "svg": svgs.PICTURES,
}
PICTURES = [(kind, name) for kind, collection in COLLECTIONS.items() for name in collection]

_NO_TURN = "Chromium does not turn a WebP; Safari, Pillow and libvips do"
_AFTER = "Chromium does not look behind the pixels; the specification and all others do"
_FONT = "its size depends on the fonts of the machine"
_MEDIA = "the renderer has no media queries and no variables"
_RANGE = "Chromium takes the alpha of this encoder for one of a limited range"
_ACTS = "it would run when it is opened by itself"
_EMBEDDED = "the renderer has neither GIF nor WebP"
_BOX = "the renderer has no boxes of CSS"
#: Where Chromium is not followed, and why.
EXCEPTIONS = {
    ("webp", "orientation 3"): _NO_TURN,
    ("webp", "orientation 6"): _NO_TURN,
    ("webp", "orientation as JPEG has it"): _NO_TURN,
    ("webp", "every flag but of animation"): _NO_TURN,
    ("webp", "frames with an orientation"): _NO_TURN,
    ("png", "eXIf of 5 after the pixels"): _AFTER,
    ("png", "eXIf of 6 after the pixels"): _AFTER,
    ("svg", "sides in ex"): _FONT,
    ("svg", "sides in ex with a viewBox"): _FONT,
    ("svg", "a drawing in ex"): _FONT,
    ("svg", "sides in ch"): _FONT,
    ("svg", "sides in ch with a viewBox"): _FONT,
    ("svg", "a drawing in ch"): _FONT,
    ("svg", "a border on the root"): _BOX,
    ("svg", "padding on the root"): _BOX,
    ("svg", "style @media"): _MEDIA,
    ("svg", "style a variable"): _MEDIA,
    ("avif", "alpha"): _RANGE,
    ("avif", "10 bits with alpha"): _RANGE,
    ("avif", "frames"): _RANGE,
}

#: What is refused, and why.
REFUSED = {
    ("png", "of an iPhone application"): "no browser shows it",
    ("svg", "a script"): _ACTS,
    ("svg", "a GIF within"): _EMBEDDED,
    ("svg", "a WebP within"): _EMBEDDED,
}


@pytest.fixture(scope="module")
def page(have: Callable[..., str]) -> Iterator[Page]:
    """One page for all, as to open one takes longer than to show a picture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(have(parts.chromium))
        with browser.new_context() as context:
            page = context.new_page()
            chromium.prepare(page)
            yield page
        browser.close()


@pytest.mark.parametrize(("kind", "name"), PICTURES)
def test_a_thumbnail_shows_what_chromium_shows(
    kind: str, name: str, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, mimetype = COLLECTIONS[kind][name](), COLLECTIONS[kind].mimetype
    if (kind, name) in REFUSED:
        with pytest.raises(InvalidImageError):
            probe(io.BytesIO(data))
        return
    info = probe(io.BytesIO(data))
    # A drawing has no pixels of its own that could be halved.
    scale = 1 if kind == "svg" else 2
    size = max(1, info.width // scale), max(1, info.height // scale)
    by_libvips = frames_of(resize(io.BytesIO(data), info, *size).file)
    made = [by_libvips]
    if kind not in ("svg", "bmp", "avif"):
        monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
        made.append(frames_of(resize(io.BytesIO(data), info, *size).file))
        assert difference(made[0][0], made[1][0]) < 2, "the engines differ"
    if (kind, name) in EXCEPTIONS:
        return
    shown = chromium.show(page, data, mimetype, size if kind == "svg" else None)
    assert shown is not None
    assert (info.width, info.height, info.frames) == (shown.width, shown.height, len(shown.frames))
    for frames in made:
        assert len(frames) == len(shown.frames)
        for frame, expected in zip(frames, shown.frames, strict=True):
            assert frame.size == size
            assert difference(frame, expected) < 3


def test_no_exception_is_out_of_date() -> None:
    assert EXCEPTIONS.keys() | REFUSED.keys() <= set(PICTURES)


def test_the_comparison_sees_what_is_wrong() -> None:
    image = Image.new("RGBA", (8, 8), (200, 100, 50, 255))
    assert difference(image, image) == 0
    assert difference(image, Image.new("RGBA", (8, 8), (200, 100, 50, 200))) > 3
