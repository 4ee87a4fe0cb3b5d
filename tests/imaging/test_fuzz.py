"""Whatever is wrong with bytes, it is an :exc:`InvalidImageError`."""

from __future__ import annotations

import contextlib
import io

import hypothesis.strategies as st
import pictures
import pytest
from hypothesis import given

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe, resize
from sqlalchemy_imageattach.imaging.privacy import strip_metadata

_EXIF = b"Exif\0\0" + pictures.exif(6)
ORIGINALS = [
    *(pictures.saved(pictures.noise(32, 24), mimetype).getvalue() for mimetype in pictures.FORMATS),
    *(
        pictures.animation(mimetype, 3).getvalue()
        for mimetype in ("image/gif", "image/webp", "image/png", "image/avif")
    ),
    *(pictures.picture(mimetype, exif=_EXIF).getvalue() for mimetype in ("image/jpeg", "image/webp", "image/avif")),
    pictures.saved(pictures.noise(32, 24), "image/jpeg", progressive=True).getvalue(),
    pictures.saved(pictures.noise(32, 24), "image/tiff", big_tiff=True).getvalue(),
    pictures.svg('width="9" viewBox="0 0 1 2"', '<a href="x"><image href="data:,"/></a>').getvalue(),
]
_NASTY = st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0", b"\xff"]) | st.binary(
    max_size=8
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(ORIGINALS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(data), draw(st.sampled_from([40, 400, 10**6])))))
        data[at : at + draw(st.integers(0, 8))] = draw(_NASTY)
    return bytes(data)


@given(damaged() | st.binary())
@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(0)
def test_damaged_bytes_are_an_image_or_an_invalid_image(data: bytes) -> None:
    file = io.BytesIO(data)
    with contextlib.suppress(InvalidImageError):
        info = probe(file)
        with contextlib.suppress(InvalidImageError):
            strip_metadata(file, info).close()
        if info.mimetype not in ("image/svg+xml", "application/pdf", "image/heic"):
            resize(file, info, 16, 12).file.close()
