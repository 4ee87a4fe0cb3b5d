"""Headers of PNG, and the frames of an animated one.

`PNG <https://www.w3.org/TR/png-3/>`_
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from . import colors
from .header import HELD_BYTES, Frame, Header, budget, check_metadata, damaged, truncated, unpack
from .tiff import read_orientation

__all__ = ("chunk", "chunks", "essential", "frames", "read")

Chunk = tuple[bytes, int, int]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 3, _GRAY_ALPHA: 2, _RGBA: 4}
_DEPTHS = {_GRAY: (1, 2, 4, 8, 16), _RGB: (8, 16), _PALETTE: (1, 2, 4, 8), _GRAY_ALPHA: (8, 16), _RGBA: (8, 16)}

# What decoders are given; of the rest, some take parts for more than they are, and some refuse all for a bad checksum.
_ESSENTIAL = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
# A profile is compressed, so that its length is known only when it is not any more.
_MAX_PROFILE = 4 * 1024 * 1024


def chunks(data: memoryview) -> list[Chunk]:
    """List the chunks, as (type, start, end); the payload is 8 after the start and 4 before the end."""
    listed: list[Chunk] = []
    at = 8
    for _ in budget(data):
        if at + 12 > len(data):
            raise truncated("the PNG ends before its IEND chunk")
        length, name = unpack(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise truncated(f"the PNG declares a chunk up to byte {end}, and has {len(data)}")
        listed.append((name, at, end))
        if name == b"IEND":
            return listed
        at = end
    raise damaged("the PNG has too many chunks")


def read(data: memoryview) -> Header:
    listed = chunks(data)
    if listed[0][0] == b"CgBI":
        raise damaged("the PNG is of Apple's own kind, made for an iPhone's applications; no browser shows it")
    if listed[0][0] != b"IHDR" or listed[0][2] != 33:
        raise damaged("the PNG does not begin with an IHDR chunk of 13 bytes")
    width, height, depth, color, interlaced = unpack(">IIBBxxB", data, 16)
    if depth not in _DEPTHS.get(color, ()):
        raise damaged(f"the PNG has {depth} bits for each sample of colour type {color}")
    names = [name for name, _, _ in listed]
    if b"IDAT" not in names:
        raise damaged("the PNG has no IDAT chunk")
    frames = len(_animation(data, listed))
    exif = next((data[start + 8 : end - 4] for name, start, end in listed if name == b"eXIf"), None)
    orientation = read_orientation(exif) if exif is not None else 1
    check_metadata(sum(end - start for name, start, end in listed if name not in (b"IDAT", b"fdAT")))
    # The rows of an interlaced picture are complete only at its end.
    held = _CHANNELS[color] * (2 if depth == 16 else 1) + 1 if interlaced or frames else 0
    channels = 1 if color in (_GRAY, _GRAY_ALPHA) else 3
    profile = _profile(data, listed, channels)
    return Header(
        "image/png",
        width,
        height,
        max(1, frames),
        orientation,
        max(1.0, held / HELD_BYTES),
        profile=profile,
        unusual=(channels == 1 and profile is not None) or not colors.is_simple(profile),
        composed=frames > 0,
        plays=_plays(data, listed) if frames else 0,
        palette=_color_count(listed, color, depth),
    )


_COLORS = frozenset((b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"))


def _is_whole(data: memoryview, listed: Chunk) -> bool:
    """Say whether a chunk tells the colours, which it does not when it is damaged."""
    name, start, end = listed
    return name in _COLORS and unpack(">I", data, end - 4)[0] == zlib.crc32(data[start + 4 : end - 4])


def _plays(data: memoryview, listed: list[Chunk]) -> int:
    """Tell how often an animation is played, or 0 for without end."""
    return int(next(unpack(">4xI", data, start + 8)[0] for name, start, _ in listed if name == b"acTL"))


def _color_count(listed: list[Chunk], color: int, depth: int) -> int:
    if color == _PALETTE:
        return next(((end - start - 12) // 3 for name, start, end in listed if name == b"PLTE"), 0)
    return 1 << depth if color == _GRAY and depth < 8 else 0


def _animation(data: memoryview, listed: list[Chunk]) -> list[tuple[memoryview, list[memoryview]]]:
    """Find the frames of an animation, as the control and the pixels of each: what comes before anything irregular.

    Where there is none, the picture is a still one.
    """
    names = [name for name, _, _ in listed]
    if b"acTL" not in names or names.index(b"acTL") > names.index(b"IDAT"):
        return []
    (announced,) = unpack(">I", data, listed[names.index(b"acTL")][1] + 8)
    if announced >= 2**31:
        return []
    found: list[tuple[memoryview, list[memoryview]]] = []
    number = 0
    for name, start, end in listed:
        if name in (b"fcTL", b"fdAT"):
            if unpack(">I", data, start + 8)[0] != number:
                break
            number += 1
        if name == b"fcTL":
            if len(found) == announced or (found and not found[-1][1]):
                break
            found.append((data[start + 8 : end - 4], []))
        elif name == b"IDAT" and found:
            found[-1][1].append(data[start + 8 : end - 4])
        elif name == b"fdAT":
            if not found:
                break
            found[-1][1].append(data[start + 12 : end - 4])
    return [frame for frame in found if frame[1]]


def _profile(data: memoryview, listed: list[Chunk], channels: int) -> bytes | None:
    """Find what tells the colours: what comes first of several ways, see section 4.3, and before the pixels."""
    names = [name for name, _, _ in listed]
    before = [chunk for chunk in listed[: names.index(b"IDAT")] if _is_whole(data, chunk)]
    first = {name: data[start + 8 : end - 4] for name, start, end in reversed(before)}
    if b"PLTE" in names and b"cICP" in names and names.index(b"cICP") > names.index(b"PLTE"):
        first.pop(b"cICP", None)
    if len(first.get(b"cICP", b"")) == 4:
        primaries, transfer, matrix, _ = unpack(">4B", first[b"cICP"])
        if matrix == 0 and colors.is_known(primaries, transfer):
            return colors.of_cicp(primaries, transfer)
    if b"iCCP" in first:
        _, _, packed = bytes(first[b"iCCP"]).partition(b"\0")
        try:
            # There is one way to compress it, which is number 0.
            profile = zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE) if packed[:1] == b"\0" else b""
        except zlib.error:
            profile = b""
        if colors.is_profile(profile, channels):
            return colors.of_profile(profile, channels)
    if b"sRGB" in first or len(first.get(b"gAMA", b"")) != 4:
        return None
    (gamma,) = unpack(">I", first[b"gAMA"])
    ends = unpack(">8I", first[b"cHRM"]) if b"cHRM" in first and len(first[b"cHRM"]) >= 32 else None
    if not gamma:
        return None
    return colors.of_gamma(100_000 / gamma, tuple(end / 100_000 for end in ends) if ends else None)  # pyright: ignore[reportArgumentType]


def essential(data: memoryview, header: Header) -> memoryview:
    """Give what decoders need: the picture, and the profile to convert from.

    :param data: the whole file
    :param header: what :func:`read` says
    :returns: the file itself where it has nothing else
    """
    listed = chunks(data)
    if header.profile is None and all(name in _ESSENTIAL - {b"tRNS"} for name, _, _ in listed):
        return data
    head = data[listed[0][1] + 8 : listed[0][2] - 4]
    pixels = [data[start:end] for name, start, end in listed if name == b"IDAT"]
    return memoryview(b"".join((*_beginning(data, listed, bytes(head), header.profile), *pixels, chunk(b"IEND"))))


def frames(data: memoryview) -> Iterator[Frame]:
    """Yield the frames of an animated PNG."""
    listed = chunks(data)
    head = bytes(data[listed[0][1] + 8 : listed[0][2] - 4])
    for control, pixels in _animation(data, listed):
        yield _frame(data, listed, head, control, pixels)


def _frame(data: memoryview, listed: list[Chunk], head: bytes, control: memoryview, pixels: list[memoryview]) -> Frame:
    width, height, left, top, delay, by, disposal, blending = unpack(">4xIIIIHHBB", control)
    whole_width, whole_height = unpack(">II", head)
    if not width or not height or left + width > whole_width or top + height > whole_height:
        raise damaged("the PNG has a frame outside of its canvas")
    own = struct.pack(">II", width, height) + head[8:]
    file = b"".join((*_beginning(data, listed, own, None), chunk(b"IDAT", b"".join(pixels)), chunk(b"IEND")))
    return Frame(left, top, width, height, round(1000 * delay / (by or 100)), disposal, blending == 0, file)


def chunk(name: bytes, payload: bytes = b"") -> bytes:
    """Write a chunk."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(name)))


def _beginning(data: memoryview, listed: list[Chunk], head: bytes, profile: bytes | None) -> Iterator[bytes]:
    """Yield all that comes before the pixels."""
    depth, color = head[8], head[9]
    first = {name: bytes(data[start + 8 : end - 4]) for name, start, end in reversed(listed) if name in _ESSENTIAL}
    palette, clear = first.get(b"PLTE", b""), first.get(b"tRNS", b"")
    names = [name for name, _, _ in listed]
    if clear and palette and names.index(b"tRNS") < names.index(b"PLTE"):
        # It has no colours yet to make transparent.
        clear = b""
    if clear and color == _GRAY and depth <= 8:
        # Gray with a transparent one is a palette, of which decoders make no mistakes.
        (key,) = unpack(">H", clear.ljust(2, b"\0"))
        steps = 1 << depth
        palette = b"".join(bytes((round(255 * step / (steps - 1)),)) * 3 for step in range(steps))
        clear = b"\xff" * key + b"\0" if key < steps else b""
        head = head[:9] + bytes((_PALETTE,)) + head[10:]
        color = _PALETTE
    yield _SIGNATURE
    yield chunk(b"IHDR", head)
    if profile is not None:
        yield chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile, 1))
    if color == _PALETTE:
        yield chunk(b"PLTE", palette[: len(palette) // 3 * 3][: 3 << depth])
        clear = clear[: len(palette) // 3]
    # What is too long is cut, as browsers do, and what is too short means nothing.
    length = {_GRAY: 2, _RGB: 6, _PALETTE: len(clear)}.get(color, 0)
    if clear and length and len(clear) >= length:
        yield chunk(b"tRNS", clear[:length])
