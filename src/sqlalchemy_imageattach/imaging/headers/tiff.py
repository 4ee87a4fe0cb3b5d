"""Headers of TIFF, and the orientation that EXIF, which is a TIFF without pixels, keeps in other formats.

`TIFF 6.0 <https://www.adobe.io/content/dam/udp/en/open/standards/tiff/TIFF6.pdf>`_,
`BigTIFF <https://www.awaresystems.be/imaging/tiff/bigtiff.html>`_
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from . import colors
from .header import HELD_BYTES, PAST_THE_END, Budget, Header, check_metadata, damaged, truncated, unpack

__all__ = ("read", "read_orientation")

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _STRIP_COUNTS, _PLANES = 273, 274, 277, 278, 279, 284
_TILE_OFFSETS, _TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE = 324, 325, 338, 339, 34675

# How samples are meant: photometric interpretation.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _INDEXED, _SEPARATED, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _INDEXED: 3, _SEPARATED: 4, _YCBCR: 3, _LAB: 3}
# What decoders on this side read, by the number of the compression.
_COMPRESSIONS = {
    1: "none",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    6: "JPEG of the old style",
    7: "JPEG",
    8: "deflate",
    32771: "none",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    50000: "Zstandard",
}
# libvips takes any damage within for black where the compression is another one.
_CHECKED = frozenset((1, 5, 8, 32773, 32946))

# The struct codes of the integer types (BYTE, SHORT, LONG, IFD, LONG8, IFD8), and the sizes of all.
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

# CMYK, and alpha; measuring instruments make more, which is no picture.
_MAX_SAMPLES = 8

# Even a picture 100,000 pixels high has fewer rows; and in all pages.
_MAX_STRIPS, _MAX_PARTS = 200_000, 1_000_000

# Pages after the first are not shown, but decoders go through all of them, several times.
_MAX_PAGES = 1_000
_MAX_FIELDS = 50_000

# 16 bits of red, green, blue and alpha; more of them take longer by as much.
_BYTES_OF_A_PIXEL = 8
# What is held of a picture whose colours are apart, for each of its bytes.
_HELD_OF_PLANES = 1.5
# Bytes a pixel: red, green and blue.
_HELD_OF_OTHER_FORM = 3


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

    def content(self) -> bytes:
        return bytes(self.data[self.at : self.end])


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
    """Tell the layout, and where the first directory is."""
    order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
    (version,) = unpack(order + "H", data, 2)
    if version == 43:
        layout, at = _Layout(order, order + "Q", order + "HHQ", order + "Q"), 8
    else:
        layout, at = _Layout(order, order + "H", order + "HHI", order + "I"), 4
    return layout, unpack(layout.offset, data, at)[0]


def _start(data: memoryview, layout: _Layout, at: int) -> tuple[int, int]:
    """Tell how many fields a directory has, and where the first is."""
    (count,) = unpack(layout.number, data, at)
    at += struct.calcsize(layout.number)
    if count > 65535 or at + count * layout.field_size > len(data):
        raise truncated(f"the TIFF declares a directory of {count} fields at byte {at}, and has {len(data)} bytes")
    return count, at


def _pages(data: memoryview) -> Iterator[dict[int, _Field]]:
    """Yield the fields of each directory; refuse many pages, and those that form a loop."""
    layout, at = _layout(data)
    budget = Budget(_MAX_FIELDS, "the TIFF")
    for _ in range(_MAX_PAGES):
        count, at = _start(data, layout, at)
        budget.spend(count)
        fields: dict[int, _Field] = {}
        for _ in range(count):
            tag, kind, number = unpack(layout.field, data, at)
            where = at + layout.field_size - layout.offset_size
            if _SIZES.get(kind, 0) * number > layout.offset_size:
                (where,) = unpack(layout.offset, data, where)
            fields.setdefault(tag, _Field(data, layout.order, kind, number, where))
            at += layout.field_size
        yield fields
        # Some writers leave the end of the last directory out.
        at = unpack(layout.offset, data, at)[0] if at + layout.offset_size <= len(data) else 0
        if at == 0:
            return
    raise damaged(f"the TIFF has more than {_MAX_PAGES} pages, or they form a loop")


def read_orientation(exif: memoryview) -> int:
    """Find the orientation in an EXIF block as browsers do: in its first directory, as one short number.

    `CIPA DC-008, 4.6.5 <https://www.cipa.jp/std/documents/download_e.html?DC-008-Translation-2023-E>`_

    :param exif: the block, from its byte order mark on, which may be damaged
    :returns: 1 to 8
    """
    try:
        layout, at = _layout(exif)
        (count,) = unpack(layout.number, exif, at)
        at += struct.calcsize(layout.number)
        for _ in range(min(count, _MAX_FIELDS)):
            tag, kind, number = unpack(layout.field, exif, at)
            if tag == _ORIENTATION and at + layout.field_size <= len(exif):
                (value,) = unpack(layout.order + "H", exif, at + struct.calcsize(layout.field))
                return value if (kind, number) == (3, 1) and 1 <= value <= 8 else 1
            at += layout.field_size
    except (KeyError, *PAST_THE_END):
        pass
    return 1


def read(data: memoryview) -> Header:
    fields: dict[int, _Field] = {}
    parts = Budget(_MAX_PARTS, "the TIFF")
    for page in _pages(data):
        # Only the first is shown; of the others it is looked at whether they are there.
        fields = fields or page
        _check_pixels(data, page, parts)
    end = max((field.end for field in fields.values()), default=0)
    if end > len(data):
        raise truncated(f"the TIFF declares values up to byte {end}, and has {len(data)}")
    check_metadata(sum(field.end - field.at for field in fields.values()))
    sizes: list[int] = []
    for tag in (_WIDTH, _HEIGHT):
        if tag not in fields or fields[tag].count != 1:
            raise damaged("the TIFF does not tell its size")
        sizes += fields[tag].values()
    samples, bits = _first(fields, _SAMPLES, 1), _first(fields, _BITS, 1)
    if samples > _MAX_SAMPLES:
        raise damaged(f"the TIFF has {samples} samples for each pixel, more than {_MAX_SAMPLES}")
    if not {_STRIP_OFFSETS, _TILE_OFFSETS} & fields.keys():
        raise damaged("the TIFF does not tell where its pixels are")
    weight = max(1.0, samples * bits / 8 / _BYTES_OF_A_PIXEL)
    if _first(fields, _PLANES, 1) != 1:
        # The strips of all colours are held, each whole.
        rows = min(1.0, _first(fields, _STRIP_ROWS, sizes[1]) / max(1, sizes[1]))
        weight = max(weight, _HELD_OF_PLANES * samples * bits / 8 * rows / HELD_BYTES)
    channels = _CHANNELS.get(_first(fields, _PHOTOMETRIC, _BLACK_IS_ZERO), 0)
    profile = colors.of_profile(fields[_PROFILE].content(), channels) if _PROFILE in fields else None
    unusual = _is_unusual(fields) or not colors.is_simple(profile)
    if unusual:
        # All of it is held, and another form of it.
        weight = max(weight, (samples * bits / 8 + _HELD_OF_OTHER_FORM) / HELD_BYTES)
    orientation = _first(fields, _ORIENTATION, 1)
    return Header(
        "image/tiff",
        sizes[0],
        sizes[1],
        orientation=orientation if 1 <= orientation <= 8 else 1,
        weight=weight,
        profile=profile,
        unusual=unusual,
    )


def _is_unusual(fields: dict[int, _Field]) -> bool:
    """Say whether it is of a kind that libvips reads otherwise than it is meant.

    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if it is of a kind that nothing reads as it is meant
    """
    photometric, bits = _first(fields, _PHOTOMETRIC, _BLACK_IS_ZERO), _first(fields, _BITS, 1)
    compression, samples = _first(fields, _COMPRESSION, 1), _first(fields, _SAMPLES, 1)
    if compression not in _COMPRESSIONS:
        raise damaged(f"the TIFF is compressed in a way that is not read here, number {compression}")
    if photometric not in _CHANNELS:
        raise damaged(f"the TIFF has colours of a kind that is not read here, number {photometric}")
    if _first(fields, _SAMPLE_FORMAT, 1) not in (1, 4) or bits > 16:
        raise damaged("the TIFF has numbers that were measured, and no colours: floating point, or more than 16 bits")
    if photometric == _LAB and (bits != 8 or samples != 3):
        raise damaged(f"the TIFF has L*a*b* colours of {bits} bits and {samples} samples; save it as RGB")
    is_planar = samples > 1 and _first(fields, _PLANES, 1) != 1
    if is_planar and photometric == _YCBCR:
        raise damaged("the TIFF has luminance and chroma apart, which is not read here; save it as RGB")
    # What more there is may be no alpha, or one that the colours are multiplied by.
    is_plain = samples == (1 if photometric == _BLACK_IS_ZERO else 3) or _first(fields, _EXTRA_SAMPLES, 0) == 2
    is_read = photometric in (_BLACK_IS_ZERO, _RGB) and bits in (8, 16) and compression in _CHECKED
    return is_planar or not is_plain or not is_read


def _check_pixels(data: memoryview, fields: dict[int, _Field], parts: Budget) -> None:
    """Refuse a page whose pixels are not all there."""
    for offsets, counts in ((_STRIP_OFFSETS, _STRIP_COUNTS), (_TILE_OFFSETS, _TILE_COUNTS)):
        if offsets in fields and counts in fields:
            if max(fields[offsets].count, fields[counts].count) > _MAX_STRIPS:
                raise damaged(f"the TIFF is in {fields[offsets].count} parts")
            parts.spend(fields[offsets].count)
            at, sizes = fields[offsets].values(), fields[counts].values()
            if (end := max(map(sum, zip(at, sizes, strict=False)), default=0)) > len(data):
                raise truncated(f"the TIFF declares pixels up to byte {end}, and has {len(data)}")
            if _first(fields, _COMPRESSION, 1) == 1 and _first(fields, _PHOTOMETRIC, 1) != _YCBCR:
                samples, bits = _first(fields, _SAMPLES, 1), _first(fields, _BITS, 1)
                row = (_first(fields, _WIDTH, 0) * samples * bits + 7) // 8
                if sum(sizes) < row * _first(fields, _HEIGHT, 0):
                    raise truncated(f"the TIFF has {sum(sizes)} bytes of pixels, fewer than its size takes")
            return


def _first(fields: dict[int, _Field], tag: int, default: int) -> int:
    """The first value of a field, which has several where each sample has its own."""
    field = fields.get(tag)
    return default if field is None or field.count == 0 else replace(field, count=1).values()[0]
