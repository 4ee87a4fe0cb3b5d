"""GIF: frames that fill a part of the canvas, every disposal, and what writers leave out."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from PIL import Image

from .making import Collection, sample, saved

PICTURES = Collection("image/gif")

_PALETTE = bytes(
    (230, 40, 30, 20, 200, 90, 40, 60, 220, 250, 240, 60, 255, 255, 255, 0, 0, 0, 128, 128, 128, 200, 0, 200)
)
Frame = tuple[int, int, int, int, int, int, int | None]


def _bits(codes: Iterable[int], size: int) -> bytes:
    value = length = 0
    for code in codes:
        value |= code << length
        length += size
    return value.to_bytes((length + 7) // 8, "little")


def _pixels(indices: bytes) -> bytes:
    """Codes of eight colours without compression: the table is emptied before codes grow."""
    codes = []
    for at in range(0, len(indices), 6):
        codes += [8, *indices[at : at + 6]]
    data = _bits([*codes, 9], 4)
    return (
        b"\3"
        + b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
        + b"\0"
    )


def _gif(
    width: int,
    height: int,
    frames: Iterable[Frame],
    background: int = 0,
    global_palette: bool = True,
    loop: bool = True,
    interlaced: bool = False,
    version: bytes = b"89a",
) -> bytes:
    """Frames as (left, top, width, height, colour, disposal, transparent colour); each has a stripe of the next colour."""
    data = b"GIF" + version + struct.pack("<HHBBB", width, height, 0x82 if global_palette else 0, background, 0)
    data += _PALETTE if global_palette else b""
    if loop:
        data += b"\x21\xff\x0bNETSCAPE2.0\3\1\0\0\0"
    for left, top, frame_width, frame_height, color, disposal, clear in frames:
        if version == b"89a":
            flags = disposal << 2 | (clear is not None)
            data += b"\x21\xf9\4" + struct.pack("<BHB", flags, 10, clear or 0) + b"\0"
        flags = 0 if global_palette else 0x82
        data += b"\x2c" + struct.pack(
            "<HHHHB", left, top, frame_width, frame_height, flags | (0x40 if interlaced else 0)
        )
        data += b"" if global_palette else _PALETTE
        rows = []
        for row in range(frame_height):
            third = frame_height // 3
            rows.append(bytes([(color + (third <= row < 2 * third)) % 8]) * frame_width)
        if interlaced:
            order = [
                *range(0, frame_height, 8),
                *range(4, frame_height, 8),
                *range(2, frame_height, 4),
                *range(1, frame_height, 2),
            ]
            rows = [rows[index] for index in order]
        data += _pixels(b"".join(rows))
    return data + b";"


_WHOLE: Frame = (0, 0, 96, 64, 0, 1, None)
PICTURES.add("plain", lambda: _gif(96, 64, [_WHOLE], loop=False))
PICTURES.add("version 87a", lambda: _gif(96, 64, [_WHOLE], loop=False, version=b"87a"))
PICTURES.add("by Pillow", lambda: saved(sample(), "GIF"))
PICTURES.add("interlaced", lambda: _gif(96, 64, [_WHOLE], loop=False, interlaced=True))
PICTURES.add("without a global palette", lambda: _gif(96, 64, [_WHOLE], global_palette=False))
PICTURES.add("one frame that fills a part", lambda: _gif(96, 64, [(24, 16, 48, 32, 0, 1, None)], loop=False))
PICTURES.add(
    "one frame that fills a part, another background",
    lambda: _gif(96, 64, [(24, 16, 48, 32, 0, 1, None)], background=3),
)
PICTURES.add("one frame larger than the canvas", lambda: _gif(40, 30, [_WHOLE]))
PICTURES.add("one frame beyond the edge", lambda: _gif(96, 64, [(48, 32, 96, 64, 0, 1, None)]))
PICTURES.add("one frame with a transparent colour", lambda: _gif(96, 64, [(0, 0, 96, 64, 0, 1, 1)]))
PICTURES.add("a canvas of nothing", lambda: _gif(0, 0, [_WHOLE]))
PICTURES.add("one pixel", lambda: _gif(1, 1, [(0, 0, 1, 1, 2, 0, None)]))
PICTURES.add("one pixel that is transparent", lambda: _gif(1, 1, [(0, 0, 1, 1, 2, 0, 2)]))
PICTURES.add("one loop", lambda: _gif(96, 64, [_WHOLE, (0, 0, 96, 64, 2, 1, None)], loop=False))
PICTURES.add(
    "the first frame fills a part", lambda: _gif(96, 64, [(24, 16, 48, 32, 0, 1, None), (0, 0, 30, 30, 2, 1, None)])
)
PICTURES.add("a later frame beyond the edge", lambda: _gif(96, 64, [_WHOLE, (80, 50, 60, 60, 2, 1, None)]))
PICTURES.add(
    "frames without a global palette", lambda: _gif(96, 64, [_WHOLE, (8, 8, 30, 30, 2, 1, None)], global_palette=False)
)
PICTURES.add("interlaced frames", lambda: _gif(96, 64, [_WHOLE, (8, 8, 30, 30, 2, 1, None)], interlaced=True))
PICTURES.add("black and white in turn", lambda: _gif(96, 64, [(0, 0, 96, 64, color, 1, None) for color in (4, 5, 4)]))
for _disposal in range(5):
    for _clear in (None, 1):
        PICTURES.add(
            f"frames of disposal {_disposal}" + (" with a transparent colour" if _clear else ""),
            lambda disposal, clear: _gif(
                96,
                64,
                [
                    (0, 0, 96, 64, 4, 1, None),
                    (8, 8, 48, 36, 0, disposal, clear),
                    (32, 24, 48, 36, 2, disposal, clear),
                    (0, 40, 30, 24, 0, disposal, clear),
                ],
            ),
            _disposal,
            _clear,
        )
PICTURES.add(
    "the first frame is disposed",
    lambda: _gif(96, 64, [(0, 0, 96, 64, 4, 2, None), (8, 8, 30, 30, 0, 2, None), (40, 8, 30, 30, 2, 0, None)]),
)
PICTURES.add(
    "the first frame is put back",
    lambda: _gif(96, 64, [(0, 0, 96, 64, 4, 3, None), (8, 8, 30, 30, 0, 3, None), (40, 8, 30, 30, 2, 0, None)]),
)


@PICTURES
def no_palette_at_all() -> bytes:
    data = _gif(96, 64, [_WHOLE], loop=False)
    return data[:10] + b"\0" + data[11:13] + data[13 + 24 :]


@PICTURES
def a_comment_and_plain_text() -> bytes:
    data = _gif(96, 64, [_WHOLE], loop=False)
    at = data.index(b"\x21\xf9")
    text = b"\x21\x01\x0c" + struct.pack("<4H4B", 0, 0, 10, 10, 5, 5, 1, 2) + b"\3abc\0"
    return data[:at] + b"\x21\xfe\3abc\0" + text + data[at:]


@PICTURES
def rubbish_after_the_trailer() -> bytes:
    return _gif(96, 64, [_WHOLE], loop=False) + b"rubbish"


@PICTURES
def a_photograph_in_three_frames() -> bytes:
    frames = [sample().rotate(angle) for angle in (0, 180, 0)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)


@PICTURES
def a_photograph_with_transparency() -> bytes:
    image = sample("RGBA")
    image.putalpha(image.getchannel("A").point(lambda value: 255 if value > 127 else 0))
    return saved(
        image,
        "GIF",
        save_all=True,
        append_images=[image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)],
        duration=100,
        loop=0,
        disposal=2,
    )
