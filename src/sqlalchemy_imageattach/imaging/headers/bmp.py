"""Headers of BMP.

`Bitmap storage <https://learn.microsoft.com/windows/win32/gdi/bitmap-storage>`_
"""

from __future__ import annotations

from ...exc import InvalidImageError
from . import colors
from .header import HELD_BYTES, Header, damaged, truncated, unpack

__all__ = ("read",)

# Bytes a pixel: the decoded picture, and another form of it.
_WHOLE_CANVAS = 5.5 / HELD_BYTES

# Runs are decoded in Python, three megabytes in a second.
_MAX_RUNS_BYTES = 4 * 1024 * 1024

_EMBEDDED_PROFILE = b"DEBM"


def read(data: memoryview) -> Header:
    offset, header_size = unpack("<II", data, 10)
    size = 0
    if header_size == 12:
        width, height, bits = unpack("<HHxxH", data, 18)
        compression = 0
    else:
        width, height, bits, compression, size = unpack("<iixxHII", data, 18)
    height = abs(height)
    if compression in (0, 3, 6):
        # The declared length is zero or wrong in many files; that of the rows is known.
        size = (width * bits + 31) // 32 * 4 * height
    elif compression not in (1, 2):
        raise damaged(f"the BMP is compressed in a way that browsers don't read, number {compression}")
    if offset + size > len(data):
        raise truncated(f"the BMP needs {offset + size} bytes, and has {len(data)}")
    if compression in (1, 2) and len(data) - offset > _MAX_RUNS_BYTES:
        raise InvalidImageError(
            f"expected at most {_MAX_RUNS_BYTES} bytes in a compressed BMP, got {len(data) - offset}; "
            "save it without compression, or as PNG",
            reason="too_many_bytes",
        )
    profile = None
    if header_size >= 124 and bytes(data[14 + 56 : 14 + 60]) == _EMBEDDED_PROFILE:
        at, length = unpack("<II", data, 14 + 112)
        profile = colors.of_profile(bytes(data[14 + at : 14 + at + length]), 3)
    # The file, which is as large as the picture, is in memory while it is read.
    weight = _WHOLE_CANVAS + bits / 8 / HELD_BYTES
    return Header("image/bmp", width, height, weight=weight, profile=profile)
