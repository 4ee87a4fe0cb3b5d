"""Headers of AVIF and HEIC, which are the same boxes around different codecs.

`ISO/IEC 14496-12 <https://www.iso.org/standard/83102.html>`_ (boxes), ISO/IEC 23008-12 (images),
`AVIF <https://aomediacodec.github.io/av1-avif/>`_
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from . import av1, colors
from .header import HELD_BYTES, MORE, Budget, Header, budget, damaged, truncated, unpack

__all__ = ("metadata_extents", "read_avif", "read_heic", "sniff")

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
}


# Bytes that decoders hold for each pixel; the last for AVIF of more than eight bits, or with colours not subsampled.
_HELD, _HELD_AVIF, _HELD_AVIF_DEEP = 9, 13, 18


# Frames that a bitstream may have beyond two for each that is shown.
_HIDDEN = 8

# Bytes that a picture may hold in the process itself; and those of a file that is no trifle: cameras write ten times as
# many for each of their pixels as would make so large a picture of it.
_LARGE, _LARGE_FILE = 250_000_000, 1_000_000


def sniff(data: memoryview) -> str | None:
    """Tell the type by the brands; the major brand of some files only says that images are inside."""
    (length,) = unpack(">I", data)
    brands = [bytes(data[8:12]), *(bytes(data[at : at + 4]) for at in range(16, min(length, 256, len(data)), 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


def read_avif(data: memoryview) -> Header:
    return _read(data, "image/avif")


def read_heic(data: memoryview) -> Header:
    return _read(data, "image/heic")


def _boxes(data: memoryview, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes in a range, as (type, start of the payload, end)."""
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
    orientation, profiles = 1, dict[bytes, bytes | None]()
    for kind, start, end in _properties(data, meta, item):
        if kind == b"ispe":
            width, height = unpack(">II", data, start + 4)
        elif kind == b"clap":
            # The width and the height that remain, as fractions.  Decoders of AVIF do not cut.
            width_of, width_by, height_of, height_by = unpack(">4i", data, start)
            if mimetype == "image/heic" and width_by > 0 and height_by > 0:
                width, height = width_of // width_by, height_of // height_by
        elif kind == b"colr":
            profiles.setdefault(bytes(data[start : start + 4]), _profile(data[start:end]))
        elif kind == b"irot":
            orientation = _turned(orientation, data[start] & 3)
        elif kind == b"imir":
            orientation = _mirrored(orientation, data[start] & 1)
    frames, held = 1, _HELD
    if mimetype == "image/avif":
        held = _HELD_AVIF_DEEP if _is_deep(data, meta) else _HELD_AVIF
        # Parts of a file may be named many times, so there is one budget for all of them.
        units = Budget(len(budget(data, 64)), "its bitstream")
        _check_frame_sizes(data, _item_extents(data, meta, b"av01"), width, height, units)
        if b"moov" in top:
            # Which track is shown is up to the decoder.
            for table in _tracks(data, *top[b"moov"]):
                frames = max(frames, unpack(">I", data, _child(data, table, b"stsz")[0] + 8)[0])
                _check_frame_sizes(data, _samples(data, *table), width, height, units)
    # An embedded profile says more than numbers.
    profile = next((profiles[kind] for kind in (b"prof", b"rICC", b"nclx") if kind in profiles), None)
    weight = held / HELD_BYTES
    isolated = frames == 1 and width * height * held > _LARGE and len(data) >= _LARGE_FILE
    return Header(
        mimetype, width, height, frames, orientation, weight / MORE if isolated else weight, isolated, profile
    )


# What cameras for films write of their curve, and browsers show as sRGB: H.273, table 3.
_OF_FILMS = frozenset((1, 6, 14, 15))


def _profile(color: memoryview) -> bytes | None:
    """Read a description of colours: ISO/IEC 14496-12, 12.1.5."""
    if bytes(color[:4]) != b"nclx":
        return colors.of_profile(bytes(color[4:]), 3) or colors.of_profile(bytes(color[4:]), 1)
    primaries, transfer = unpack(">HH", color, 4)
    return colors.of_cicp(primaries, 13 if transfer in _OF_FILMS else transfer)


def _tracks(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the tables of samples are, one for each track of AV1."""
    for kind, track, track_end in _boxes(data, start, end):
        if kind == b"trak":
            table = _child(data, (track, track_end), b"mdia", b"minf", b"stbl")
            codecs, codecs_end = _child(data, table, b"stsd")
            if b"av01" in bytes(data[codecs:codecs_end]):
                yield table


def _check_frame_sizes(
    data: memoryview, samples: Iterator[tuple[int, int]], width: int, height: int, units: Budget
) -> None:
    """Refuse an AVIF whose bitstreams are larger than it says: they would be decoded before anybody notices.

    So would be frames that are not shown.  Encoders hide some between those of an animation.
    """
    listed = list(samples)
    frames = Budget(2 * len(listed) + _HIDDEN, "the bitstream, of frames that are not shown,")
    for start, end in listed:
        for frame_width, frame_height in av1.frame_sizes(data[start:end], units, frames):
            # Frames are padded to whole blocks, and tiles of a grid may overlap its edge.
            if frame_width * frame_height > 2 * (width + 64) * (height + 64):
                raise damaged(f"it says {width}x{height} pixels, and has a bitstream of {frame_width}x{frame_height}")


def _is_deep(data: memoryview, meta: tuple[int, int]) -> bool:
    """Tell whether any part has more than eight bits, or colours at full resolution: AV1 in ISOBMFF, 2.3.3."""
    for kind, start, _ in _boxes(data, *_child(data, meta, b"iprp", b"ipco")):
        # The bits for high depth and for twelve; for monochrome and for colours at half the height.
        if kind == b"av1C" and (data[start + 2] & 0x60 or not data[start + 2] & 0x14):
            return True
    return False


def _primary_item(data: memoryview, meta: tuple[int, int]) -> int:
    start, _ = _child(data, meta, b"pitm")
    (item,) = unpack(">H" if data[start] == 0 else ">I", data, start + 4)
    return int(item)


def _properties(data: memoryview, meta: tuple[int, int], item: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the properties of an item in the order in which they apply, as (type, start of the payload, end)."""
    known = [(kind, start, end) for kind, start, end in _boxes(data, *_child(data, meta, b"iprp", b"ipco"))]
    start, end = _child(data, meta, b"iprp", b"ipma")
    version, flags = data[start], data[start + 3]
    (entries,) = unpack(">I", data, start + 4)
    at = start + 8
    parts = Budget(len(budget(data)), "its table of properties")
    while entries and at < end:
        entries -= 1
        (owner,) = unpack(">H" if version == 0 else ">I", data, at)
        at += 2 if version == 0 else 4
        count = data[at]
        at += 1
        parts.spend(count + 1)
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


def metadata_extents(data: memoryview) -> Iterator[tuple[int, int]]:
    """Yield where there is what is not needed to show a picture: EXIF, XMP, and boxes of applications' own."""
    top = {}
    for kind, start, end in _boxes(data, 0, len(data)):
        top[kind] = (start, end)
        if kind not in (b"ftyp", b"meta", b"mdat", b"moov"):
            yield start, end
    if b"moov" in top:
        raise damaged("an animation has metadata in other places, which are not known here")
    yield from _item_extents(data, (top[b"meta"][0] + 4, top[b"meta"][1]), b"Exif", b"mime")


def _item_extents(data: memoryview, meta: tuple[int, int], *kinds: bytes) -> Iterator[tuple[int, int]]:
    """Yield where in the file items of some kinds are: ISO/IEC 14496-12, 8.11.3."""
    wanted = set(_items(data, meta, kinds))
    start, end = _child(data, meta, b"iloc")
    version = data[start]
    sizes, more_sizes = data[start + 4], data[start + 5]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more_sizes >> 4
    index_size = more_sizes & 15 if version else 0
    id_size = 4 if version == 2 else 2
    at = start + 6
    if not offset_size + length_size:
        raise damaged("the table of its items has no offsets")

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise truncated("the table of its items ends too soon")
        return int.from_bytes(data[at - size : at])

    parts = Budget(len(budget(data)), "the table of its items")
    for _ in range(number(id_size)):
        parts.spend()
        item = number(id_size)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        for _ in range(number(2)):
            parts.spend()
            number(index_size)
            offset, length = base + number(offset_size), number(length_size)
            if item in wanted and method == 0:
                if offset + length > len(data):
                    raise truncated(f"it declares pixels up to byte {offset + length}, and has {len(data)}")
                yield offset, offset + (length or len(data))


def _items(data: memoryview, meta: tuple[int, int], kinds: tuple[bytes, ...]) -> Iterator[int]:
    start, end = _child(data, meta, b"iinf")
    for kind, entry, _ in _boxes(data, start + (6 if data[start] == 0 else 8), end):
        if kind == b"infe" and data[entry] >= 2:
            item, name = unpack(">H2x4s" if data[entry] == 2 else ">I2x4s", data, entry + 4)
            if name in kinds:
                yield item


def _samples(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the samples of a track are, which are frames: ISO/IEC 14496-12, 8.7."""
    boxes = {kind: at + 4 for kind, at, _ in _boxes(data, start, end)}
    if not {b"stsz", b"stsc"} <= boxes.keys() or not {b"stco", b"co64"} & boxes.keys():
        raise damaged("its track does not tell where its frames are")
    same_size, count = unpack(">II", data, boxes[b"stsz"])
    chunks_at, code = (boxes[b"stco"], "I") if b"stco" in boxes else (boxes[b"co64"], "Q")
    (chunk_count,), (run_count,) = unpack(">I", data, chunks_at), unpack(">I", data, boxes[b"stsc"])
    if max(count, chunk_count, run_count) > len(budget(data, 64)):
        raise damaged(f"its track has {count} frames in {chunk_count} chunks, and {len(data)} bytes")
    sizes = itertools.repeat(same_size, count) if same_size else iter(unpack(f">{count}I", data, boxes[b"stsz"] + 8))
    chunks = unpack(f">{chunk_count}{code}", data, chunks_at + 4)
    runs = [unpack(">III", data, boxes[b"stsc"] + 4 + 12 * index) for index in range(run_count)]
    per_chunk = 0
    for number, at in enumerate(chunks, 1):
        if runs and runs[0][0] == number:
            per_chunk = runs.pop(0)[1]
        for size in itertools.islice(sizes, per_chunk):
            if at + size > len(data):
                raise truncated(f"it declares a frame up to byte {at + size}, and has {len(data)}")
            yield at, at + size
            at += size
