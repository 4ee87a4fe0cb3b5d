"""Headers of TIFF, and the orientation that EXIF, which is a TIFF without pixels, keeps in other formats.

`TIFF 6.0 <https://www.adobe.io/content/dam/udp/en/open/standards/tiff/TIFF6.pdf>`_,
`BigTIFF <https://www.awaresystems.be/imaging/tiff/bigtiff.html>`_
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...exc import InvalidImageError
from .header import HELD_BYTES, PAST_THE_END, Budget, Header, check_metadata, damaged, truncated, unpack

__all__ = ("read", "read_orientation")

_WIDTH, _HEIGHT, _BITS, _STRIP_OFFSETS, _ORIENTATION, _SAMPLES = 256, 257, 258, 273, 274, 277
_STRIP_ROWS, _STRIP_COUNTS, _PLANES, _TILE_OFFSETS, _TILE_COUNTS = 278, 279, 284, 324, 325

# The struct codes of the integer types (BYTE, SHORT, LONG, IFD, LONG8, IFD8), and the sizes of all.
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

# CMYK, and alpha; measuring instruments make more, which is no picture.
_MAX_SAMPLES = 8

# Even a picture 100,000 pixels high has fewer rows.
_MAX_STRIPS = 200_000

# Pages after the first are not shown, but decoders go through all of them, several times.
_MAX_PAGES = 1_000
_MAX_FIELDS = 50_000

# 16 bits of red, green, blue and alpha; more of them take longer by as much.
_BYTES_OF_A_PIXEL = 8
# What is held of a picture whose colours are apart, for each of its bytes.
_HELD_OF_PLANES = 1.5


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


class _Layout(NamedTuple):
    """How directories are written: as codes of struct, with longer numbers in a BigTIFF."""

    order: str
    number: str
    #: Tag, type and count; the values follow where they fit, else their offset.
    field: str
    offset: str

    @property
    def offset_size(self) -> int:
        return struct.calcsize(self.offset)

    @property
    def field_size(self) -> int:
        return struct.calcsize(self.field) + self.offset_size


def _layout(data: memoryview) -> tuple[_Layout, int]:
    """Tells the layout, and where the first directory is."""
    order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
    (version,) = unpack(order + "H", data, 2)
    if version == 43:
        layout, at = _Layout(order, order + "Q", order + "HHQ", order + "Q"), 8
    else:
        layout, at = _Layout(order, order + "H", order + "HHI", order + "I"), 4
    return layout, unpack(layout.offset, data, at)[0]


def _start(data: memoryview, layout: _Layout, at: int) -> tuple[int, int]:
    """Tells how many fields a directory has, and where the first is."""
    (count,) = unpack(layout.number, data, at)
    at += struct.calcsize(layout.number)
    if count > 65535 or at + count * layout.field_size > len(data):
        raise truncated(f"the TIFF declares a directory of {count} fields at byte {at}, and has {len(data)} bytes")
    return count, at


def _fields(data: memoryview) -> dict[int, _Field]:
    """Reads the first directory."""
    layout, at = _layout(data)
    count, at = _start(data, layout, at)
    fields: dict[int, _Field] = {}
    for _ in range(count):
        tag, kind, number = unpack(layout.field, data, at)
        where = at + layout.field_size - layout.offset_size
        if _SIZES.get(kind, 0) * number > layout.offset_size:
            (where,) = unpack(layout.offset, data, where)
        fields.setdefault(tag, _Field(data, layout.order, kind, number, where))
        at += layout.field_size
    return fields


def _check_pages(data: memoryview) -> None:
    """Refuses many pages, and those that form a loop."""
    layout, at = _layout(data)
    fields = Budget(_MAX_FIELDS, "the TIFF")
    for _ in range(_MAX_PAGES):
        try:
            count, at = _start(data, layout, at)
            (at,) = unpack(layout.offset, data, at + count * layout.field_size)
        except (InvalidImageError, *PAST_THE_END):
            # Decoders stop there too; the first was read before.
            return
        fields.spend(count)
        if at == 0:
            return
    raise damaged(f"the TIFF has more than {_MAX_PAGES} pages, or they form a loop")


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
    _check_pages(data)
    end = max((field.end for field in fields.values()), default=0)
    if end > len(data):
        raise truncated(f"the TIFF declares values up to byte {end}, and has {len(data)}")
    check_metadata(sum(field.end - field.at for field in fields.values()))
    sizes: list[int] = []
    for tag in (_WIDTH, _HEIGHT):
        if tag not in fields or fields[tag].count != 1:
            raise damaged("the TIFF does not tell its size")
        sizes += fields[tag].values()
    samples = _first(fields, _SAMPLES, 1)
    if samples > _MAX_SAMPLES:
        raise damaged(f"the TIFF has {samples} samples for each pixel, more than {_MAX_SAMPLES}")
    for offsets, counts in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS)):
        if offsets in fields:
            if counts in fields:
                _check_extents(fields[offsets], fields[counts], len(data))
            break
    else:
        raise damaged("the TIFF does not tell where its pixels are")
    pixel = samples * _first(fields, _BITS, 1) / 8
    weight = max(1.0, pixel / _BYTES_OF_A_PIXEL)
    if _first(fields, _PLANES, 1) != 1:
        # The strips of all colours are held, each whole.
        rows = min(1.0, _first(fields, _STRIP_ROWS, sizes[1]) / max(1, sizes[1]))
        weight = max(weight, _HELD_OF_PLANES * pixel * rows / HELD_BYTES)
    return Header("image/tiff", sizes[0], sizes[1], orientation=_orientation(fields.get(_ORIENTATION)), weight=weight)


def _first(fields: dict[int, _Field], tag: int, default: int) -> int:
    """The first value of a field, which has several where each sample has its own."""
    field = fields.get(tag)
    return default if field is None or field.count == 0 else replace(field, count=1).values()[0]


def _check_extents(offsets: _Field, counts: _Field, size: int) -> None:
    if max(offsets.count, counts.count) > _MAX_STRIPS:
        raise damaged(f"the TIFF is in {offsets.count} parts")
    end = max(map(sum, zip(offsets.values(), counts.values(), strict=False)), default=0)
    if end > size:
        raise truncated(f"the TIFF declares pixels up to byte {end}, and has {size}")
