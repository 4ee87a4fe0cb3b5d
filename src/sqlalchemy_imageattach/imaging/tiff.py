"""Headers of TIFF, and the orientation that EXIF, which is a TIFF without pixels, keeps in other formats.

`TIFF 6.0 <https://www.adobe.io/content/dam/udp/en/open/standards/tiff/TIFF6.pdf>`_,
`BigTIFF <https://www.awaresystems.be/imaging/tiff/bigtiff.html>`_
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .header import PAST_THE_END, Header, damaged, truncated, unpack

__all__ = ("read", "read_orientation")

_WIDTH, _HEIGHT, _STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS = (
    256,
    257,
    273,
    274,
    277,
    279,
    324,
    325,
)

# The struct codes of the integer types (BYTE, SHORT, LONG, IFD, LONG8, IFD8), and the sizes of all.
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

# CMYK, and alpha; measuring instruments make more, which is no picture.
_MAX_SAMPLES = 8

# Even a picture 100,000 pixels high has fewer rows.
_MAX_STRIPS = 200_000


@dataclass(frozen=True, slots=True)
class _Field:
    data: memoryview
    order: str
    type: int
    count: int
    #: Where the values are.
    at: int

    @property
    def end(self) -> int:
        return self.at + _SIZES.get(self.type, 0) * self.count

    def values(self) -> tuple[int, ...]:
        if self.type not in _CODES:
            raise damaged(f"a TIFF field has the type {self.type} where an integer is expected")
        return unpack(f"{self.order}{self.count}{_CODES[self.type]}", self.data, self.at)


def _fields(data: memoryview) -> dict[int, _Field]:
    """Reads the first directory; the others, which may form a loop, are never followed."""
    order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
    (version,) = unpack(order + "H", data, 2)
    big = version == 43
    (at,) = unpack(order + "Q", data, 8) if big else unpack(order + "I", data, 4)
    # A field is tag, type, count, and the values where they fit, else their offset.
    entry, inline, offset_code = (order + "HHQ", 8, "Q") if big else (order + "HHI", 4, "I")
    (count,) = unpack(order + ("Q" if big else "H"), data, at)
    at += 8 if big else 2
    if count > 65535 or at + count * (struct.calcsize(entry) + inline) > len(data):
        raise truncated(f"the TIFF declares a directory of {count} fields at byte {at}, and has {len(data)} bytes")
    fields: dict[int, _Field] = {}
    for _ in range(count):
        tag, kind, number = unpack(entry, data, at)
        at += struct.calcsize(entry)
        fits = _SIZES.get(kind, 0) * number <= inline
        (where,) = (at,) if fits else unpack(order + offset_code, data, at)
        fields.setdefault(tag, _Field(data, order, kind, number, where))
        at += inline
    return fields


def read_orientation(exif: memoryview) -> int:
    """Finds the orientation in an EXIF block; a damaged block says nothing, as in browsers.

    `CIPA DC-008, 4.6.5 <https://www.cipa.jp/std/documents/download_e.html?DC-008-Translation-2023-E>`_

    :param exif: the block, from its byte order mark on
    :returns: 1 to 8
    """
    try:
        field = _fields(exif).get(_ORIENTATION)
        return _orientation(field)
    except (ValueError, KeyError, *PAST_THE_END):
        return 1


def _orientation(field: _Field | None) -> int:
    if field is None or field.type != 3 or field.count != 1:
        return 1
    (value,) = field.values()
    return value if 1 <= value <= 8 else 1


def read(data: memoryview) -> Header:
    fields = _fields(data)
    end = max((field.end for field in fields.values()), default=0)
    if end > len(data):
        raise truncated(f"the TIFF declares values up to byte {end}, and has {len(data)}")
    sizes: list[int] = []
    for tag in (_WIDTH, _HEIGHT):
        if tag not in fields or fields[tag].count != 1:
            raise damaged("the TIFF does not tell its size")
        sizes += fields[tag].values()
    if _SAMPLES in fields and fields[_SAMPLES].count == 1 and fields[_SAMPLES].values()[0] > _MAX_SAMPLES:
        raise damaged(f"the TIFF has {fields[_SAMPLES].values()[0]} samples for each pixel, more than {_MAX_SAMPLES}")
    for offsets, counts in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS)):
        if offsets in fields:
            if counts in fields:
                _check_extents(fields[offsets], fields[counts], len(data))
            break
    else:
        raise damaged("the TIFF does not tell where its pixels are")
    return Header("image/tiff", sizes[0], sizes[1], orientation=_orientation(fields.get(_ORIENTATION)))


def _check_extents(offsets: _Field, counts: _Field, size: int) -> None:
    if max(offsets.count, counts.count) > _MAX_STRIPS:
        raise damaged(f"the TIFF is in {offsets.count} parts")
    end = max(map(sum, zip(offsets.values(), counts.values(), strict=False)), default=0)
    if end > size:
        raise truncated(f"the TIFF declares pixels up to byte {end}, and has {size}")
