"""Headers of AVIF and HEIC, which are the same boxes around different codecs.

`ISO/IEC 14496-12 <https://www.iso.org/standard/83102.html>`_ (boxes), ISO/IEC 23008-12 (images),
`AVIF <https://aomediacodec.github.io/av1-avif/>`_
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator

from ..exc import MissingDependencyError
from .header import Header, budget, damaged, truncated, unpack

__all__ = ("read_avif", "read_heic", "sniff")

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
}


def sniff(data: memoryview) -> str | None:
    """Tells the type by the brands; the major brand of some files only says that images are inside."""
    (length,) = unpack(">I", data)
    brands = [bytes(data[8:12]), *(bytes(data[at : at + 4]) for at in range(16, min(length, 256, len(data)), 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


def read_avif(data: memoryview) -> Header:
    return _read(data, "image/avif")


@functools.cache
def _has_pillow_heif() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


def read_heic(data: memoryview) -> Header:
    if not _has_pillow_heif():
        raise MissingDependencyError("HEIC needs an extra: pip install 'SQLAlchemy-ImageAttach[heif]'")
    return _read(data, "image/heic")


def _boxes(data: memoryview, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields the boxes in a range, as (type, start of the payload, end)."""
    for _ in budget(data):
        if at >= end:
            return
        size, kind = unpack(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = unpack(">Q", data, start)
            start += 8
        box_end = at + size if size else end
        if box_end > end:
            raise truncated(f"a box is declared up to byte {box_end}, and there are {end}")
        if box_end < start:
            raise damaged(f"the box at byte {at} has a length of {size}")
        yield kind, start, box_end
        at = box_end
    raise damaged("there are too many boxes")


def _child(data: memoryview, inside: tuple[int, int], *path: bytes) -> tuple[int, int]:
    for name in path:
        for kind, start, end in _boxes(data, *inside):
            if kind == name:
                # A meta box, unlike other boxes of boxes, begins with a version and flags.
                inside = (start + 4, end) if name == b"meta" else (start, end)
                break
        else:
            raise damaged(f"there is no box {name.decode()!r}")
    return inside


def _read(data: memoryview, mimetype: str) -> Header:
    # Going through all of them finds out whether the file is whole.
    top = {kind: (start, end) for kind, start, end in _boxes(data, 0, len(data))}
    if b"meta" not in top:
        raise damaged("there is no box 'meta'")
    if b"mdat" not in top:
        raise truncated("there is no box with the pixels")
    meta = top[b"meta"][0] + 4, top[b"meta"][1]
    item = _primary_item(data, meta)
    width = height = 0
    orientation = 1
    for kind, start in _properties(data, meta, item):
        if kind == b"ispe":
            width, height = unpack(">II", data, start + 4)
        elif kind == b"clap":
            # The width and the height that remain, as fractions.  Decoders of AVIF do not cut.
            width_of, width_by, height_of, height_by = unpack(">4i", data, start)
            if mimetype == "image/heic" and width_by > 0 and height_by > 0:
                width, height = width_of // width_by, height_of // height_by
        elif kind == b"irot":
            orientation = _turned(orientation, data[start] & 3)
        elif kind == b"imir":
            orientation = _mirrored(orientation, data[start] & 1)
    frames = _frames(data, *top[b"moov"]) if b"moov" in top and mimetype == "image/avif" else 1
    return Header(mimetype, width, height, frames, orientation)


def _primary_item(data: memoryview, meta: tuple[int, int]) -> int:
    start, _ = _child(data, meta, b"pitm")
    (item,) = unpack(">H" if data[start] == 0 else ">I", data, start + 4)
    return int(item)


def _properties(data: memoryview, meta: tuple[int, int], item: int) -> Iterator[tuple[bytes, int]]:
    """Yields the properties of an item in the order in which they apply, as (type, start of the payload)."""
    known = [(kind, start) for kind, start, _ in _boxes(data, *_child(data, meta, b"iprp", b"ipco"))]
    start, end = _child(data, meta, b"iprp", b"ipma")
    version, flags = data[start], data[start + 3]
    (entries,) = unpack(">I", data, start + 4)
    at = start + 8
    for _ in budget(data):
        if entries == 0 or at >= end:
            return
        entries -= 1
        (owner,) = unpack(">H" if version == 0 else ">I", data, at)
        at += 2 if version == 0 else 4
        count = data[at]
        at += 1
        for _ in range(count):
            if flags & 1:
                index = unpack(">H", data, at)[0] & 0x7FFF
                at += 2
            else:
                index = data[at] & 0x7F
                at += 1
            if owner == item and 1 <= index <= len(known):
                yield known[index - 1]


# What an orientation becomes by a further quarter turn counter-clockwise, and by exchanging left and right.
_TURN = {1: 8, 8: 3, 3: 6, 6: 1, 2: 5, 5: 4, 4: 7, 7: 2}
_MIRROR = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 8, 8: 7}


def _turned(orientation: int, quarters: int) -> int:
    for _ in range(quarters):
        orientation = _TURN[orientation]
    return orientation


def _mirrored(orientation: int, axis: int) -> int:
    # Axis 1 exchanges left and right; axis 0 exchanges top and bottom, which is that and half a turn.
    return _MIRROR[orientation] if axis else _turned(_MIRROR[orientation], 2)


def _frames(data: memoryview, start: int, end: int) -> int:
    """Counts the samples of the first track, which are the frames of an animation."""
    table, _ = _child(data, (start, end), b"trak", b"mdia", b"minf", b"stbl", b"stsz")
    (count,) = unpack(">I", data, table + 8)
    return max(1, int(count))
