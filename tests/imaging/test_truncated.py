"""A file that ends too soon is told by its end markers and declared lengths, without decoding it."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable

import pictures
import pytest

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe


def _heic() -> io.BytesIO:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(pictures.noise(64, 64)).save(file)
    return file


WHOLE: dict[str, Callable[[], io.BytesIO]] = {
    **{
        mimetype: lambda mimetype=mimetype: pictures.saved(pictures.noise(64, 48), mimetype)
        for mimetype in pictures.FORMATS
    },  # type: ignore[misc]
    "progressive JPEG": lambda: pictures.saved(pictures.noise(64, 48), "image/jpeg", progressive=True),
    "lossless WebP": lambda: pictures.saved(pictures.noise(64, 48), "image/webp", lossless=True),
    "deflated TIFF": lambda: pictures.saved(pictures.noise(64, 48), "image/tiff", compression="tiff_adobe_deflate"),
    "big TIFF": lambda: pictures.saved(pictures.noise(64, 48), "image/tiff", big_tiff=True),
    "animated GIF": lambda: pictures.animation("image/gif"),
    "animated WebP": lambda: pictures.animation("image/webp"),
    "animated PNG": lambda: pictures.animation("image/png"),
    "animated AVIF": lambda: pictures.animation("image/avif"),
    "SVG": lambda: pictures.svg('width="9" height="9"'),
    "HEIC": _heic,
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_beginning_of_a_file_is_refused(name: str) -> None:
    data = WHOLE[name]().getvalue()
    probe(io.BytesIO(data))
    random.seed(1)
    some = random.sample(range(1, len(data)), 200) if len(data) > 400 else []
    for length in {*range(1, min(len(data), 200)), *some, len(data) - 1}:
        assert _reason(data[:length]) in ("truncated", "unknown_type", "damaged"), f"{length} of {len(data)} bytes"


def _reason(data: bytes) -> str | None:
    try:
        probe(io.BytesIO(data))
    except InvalidImageError as error:
        return error.reason
    return None


@pytest.mark.parametrize("name", WHOLE)
def test_the_second_half_missing_is_called_truncated(name: str) -> None:
    data = WHOLE[name]().getvalue()
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO(data[: len(data) // 2 + 40]))
    assert error.value.reason == "truncated"


def test_a_pdf_without_its_end_is_truncated() -> None:
    data = pictures.pdf().getvalue()
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO(data[:-8]))
    assert error.value.reason == "truncated"


@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/png", "image/gif", "image/webp", "image/tiff", "image/bmp"])
@pytest.mark.parametrize("more", [b"\0" * 100, b"\n", b"\xff\xd8\xff\xe0 another picture", b"MotionPhoto" * 10_000])
def test_what_follows_a_whole_image_does_not_matter(mimetype: str, more: bytes) -> None:
    data = pictures.picture(mimetype).getvalue()
    assert probe(io.BytesIO(data + more)).width == 80


def test_the_end_of_a_preview_inside_is_not_the_end_of_the_image() -> None:
    preview = pictures.picture("image/jpeg", 16, 12).getvalue()
    data = pictures.picture("image/jpeg", exif=b"Exif\0\0" + pictures.exif(1) + preview).getvalue()
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO(data[:-2]))
    assert error.value.reason == "truncated"


def test_wrong_lengths_are_found_though_the_end_marker_is_there() -> None:
    png = bytearray(pictures.picture("image/png").getvalue())
    png[33:37] = (2**31 - 1).to_bytes(4, "big")
    webp = bytearray(pictures.picture("image/webp").getvalue())
    webp[4:8] = (10**6).to_bytes(4, "little")
    jpeg = bytearray(pictures.picture("image/jpeg").getvalue())
    jpeg[4:6] = b"\xff\xff"
    for data in (png, webp, jpeg):
        with pytest.raises(InvalidImageError):
            probe(io.BytesIO(data))


def test_a_tiff_without_its_last_page_is_not_whole() -> None:
    pages = [pictures.corners(), pictures.corners(40, 30), pictures.corners(20, 10)]
    whole = pictures.saved(pages[0], "image/tiff", save_all=True, append_images=pages[1:]).getvalue()
    assert probe(io.BytesIO(whole)).width == 80
    for length in (len(whole) - 100, len(whole) // 2 + 8000, 15_000):
        with pytest.raises(InvalidImageError) as error:
            probe(io.BytesIO(whole[:length]))
        assert error.value.reason == "truncated"


def test_a_tiff_whose_strips_are_too_short_is_not_whole() -> None:
    data = bytearray(pictures.saved(pictures.corners(), "image/tiff", compression=None).getvalue())
    # The number of bytes of its only strip.
    at = data.index(struct.pack("<HHII", 279, 4, 1, 80 * 60 * 3))
    data[at + 8 : at + 12] = struct.pack("<I", 80 * 60 * 3 - 100)
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO(data))
    assert error.value.reason == "truncated"
