"""Headers of GIF, and its frames.

`GIF89a <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>`_
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .header import CLEARED, HELD_BYTES, KEPT, PUT_BACK, Frame, Header, budget, damaged, truncated, unpack

__all__ = (
    "CLEARS",
    "EXTENSION",
    "HAS_CLEAR",
    "IMAGE",
    "TRAILER",
    "blocks",
    "frames",
    "pixels_start",
    "read",
    "screen_end",
)

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9
# The extensions that say how often an animation is played again: an application's, whose name is 11 bytes long.
_LOOPS = frozenset((b"\xff\x0bNETSCAPE2.0", b"\xff\x0bANIMEXTS1.0"))
#: Flags of a control: one colour is transparent, and the area of the frame becomes so afterwards.
HAS_CLEAR, CLEARS = 0x01, 0x08
_DISPOSALS = {0: KEPT, 1: KEPT, 2: CLEARED, 3: PUT_BACK, 4: PUT_BACK}

# Pixels that a frame may have beyond twice the canvas.
_FRAME_BEYOND = 10_000

# Bytes a pixel: the canvas, and what it was before.
_WHOLE_CANVAS = 5.5 / HELD_BYTES


def blocks(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield the blocks after the global colour table, as (kind, start, end), the trailer last."""
    at, seen = screen_end(data), False
    # Blocks consist of blocks of 256 bytes at most, so there are many of them.
    parts = iter(budget(data, 64))
    for _ in parts:
        if at >= len(data):
            raise truncated("the GIF has no trailer")
        start, kind = at, data[at]
        if kind == TRAILER:
            yield kind, start, start + 1
            return
        if kind == IMAGE:
            seen = True
            at = pixels_start(data, at)
        elif kind == EXTENSION:
            at += 2
        elif kind == 0:
            # Some writers put one block terminator too many.
            at += 1
            continue
        else:
            if not seen:
                raise damaged(f"the GIF has an unknown block at byte {at}")
            # Browsers show what came before.
            yield TRAILER, start, start + 1
            return
        for _ in parts:
            if at >= len(data):
                raise truncated("the GIF ends within a block")
            length = data[at]
            at += length + 1
            if length == 0:
                break
        yield kind, start, at
    raise damaged("the GIF has too many blocks")


def screen_end(data: memoryview) -> int:
    """Find where the first block is."""
    return 13 + _table_size(data[10])


def pixels_start(data: memoryview, at: int) -> int:
    """Find where the pixels of a picture are, in blocks, of which the last is empty."""
    return at + 11 + _table_size(data[at + 9])


def read(data: memoryview) -> Header:
    width, height = unpack("<HH", data, 6)
    frames, plays, is_plain = 0, 1, True
    for kind, start, end in blocks(data):
        if kind == IMAGE:
            frames += 1
            left, top, frame_width, frame_height = unpack("<HHHH", data, start + 1)
            # Browsers grow the canvas for the first frame, and cut the others.
            if frames == 1:
                # It covers the canvas, with colours that it has.
                is_plain &= (left, top, frame_width, frame_height) == (0, 0, width, height)
                is_plain &= (data[10] | data[start + 9]) & 0x80 != 0
                width, height = max(width, left + frame_width), max(height, top + frame_height)
            elif frame_width * frame_height > 2 * width * height + _FRAME_BEYOND:
                # It would be decoded whole before it is cut.
                raise damaged(f"the GIF has a frame of {frame_width}x{frame_height} pixels on {width}x{height}")
        elif kind == EXTENSION and bytes(data[start + 1 : start + 14]) in _LOOPS and end - start >= 19:
            (again,) = unpack("<H", data, start + 16)
            plays = again + 1 if again else 0
        elif kind == EXTENSION and data[start + 1] == _CONTROL:
            is_plain &= not data[start + 3] & HAS_CLEAR
    if frames == 0:
        raise damaged("the GIF has no picture")
    return Header(
        "image/gif", width, height, frames, weight=_WHOLE_CANVAS, composed=frames > 1 or not is_plain, plays=plays
    )


def frames(data: memoryview) -> Iterator[Frame]:
    """Yield the frames."""
    palette = bytes(data[13 : screen_end(data)])
    # What the last control says: how long, what becomes of the area, and which colour is transparent.
    duration, disposal, clear = 0, KEPT, b""
    for kind, start, end in blocks(data):
        if kind == EXTENSION and data[start + 1] == _CONTROL and end - start >= 8:
            flags, delay, key = unpack("<BHB", data, start + 3)
            duration, disposal = 10 * delay, _DISPOSALS.get(flags >> 2 & 7, KEPT)
            clear = b"\x21\xf9\x04\x01\0\0" + bytes((key, 0)) if flags & HAS_CLEAR else b""
        elif kind == IMAGE:
            left, top, width, height, flags = unpack("<HHHHB", data, start + 1)
            own = bytes(data[start + 10 : start + 10 + _table_size(flags)]) or palette
            # The size of a table is written as an exponent.
            table = 0x80 | (len(own) // 3).bit_length() - 2 if own else 0
            screen = b"GIF89a" + struct.pack("<HHBBB", width, height, table, 0, 0) + own
            picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, flags & 0x40)
            pixels = data[start + 10 + _table_size(flags) : end]
            yield Frame(
                left, top, width, height, duration, disposal, False, b"".join((screen, clear, picture, pixels, b";"))
            )
            duration, disposal, clear = 0, KEPT, b""


def _table_size(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
