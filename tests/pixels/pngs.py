"""PNG: every depth and colour, transparency by colour, all that tells its colours, and frames of APNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from PIL import Image

from .making import (
    HEIGHT,
    WIDTH,
    Collection,
    chunk,
    curves_profile,
    exif,
    matrix_profile,
    png_of,
    sample,
    saved,
    turned,
)

PICTURES = Collection("image/png")

_CHANNELS = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}


def _rows(image: Image.Image, depth: int) -> Iterator[bytes]:
    """Packs samples, of any number of bits."""
    samples = image.tobytes()
    step = image.width * len(image.getbands())
    for at in range(0, len(samples), step):
        row = samples[at : at + step]
        if depth == 8:
            yield row
        elif depth == 16:
            yield b"".join(bytes([value, 255 - value // 3]) for value in row)
        else:
            bits = "".join(f"{value >> (8 - depth):0{depth}b}" for value in row)
            bits += "0" * (-len(bits) % 8)
            yield int(bits, 2).to_bytes(len(bits) // 8)


def _png(
    color: int = 2, depth: int = 8, *before: bytes, after: Iterable[bytes] = (), image: Image.Image | None = None
) -> bytes:
    image = image or sample(_CHANNELS[color])
    return png_of(_rows(image, depth), image.width, image.height, depth, color, before, after)


for _color, _depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}.items():
    for _depth in _depths:
        PICTURES.add(f"colour {_color} of {_depth} bits", _png, _color, _depth)
        if _color in (0, 2):
            _key = struct.pack(">H", 1) if _color == 0 else struct.pack(">3H", 200, 60, 50)
            if _depth == 16:
                _key = struct.pack(">H", 0x80D5) if _color == 0 else struct.pack(">3H", 0xC8BD, 0x3CEB, 0x32EF)
            PICTURES.add(
                f"colour {_color} of {_depth} bits with a transparent one", _png, _color, _depth, chunk(b"tRNS", _key)
            )


def _palette(depth: int, transparency: bytes | None = None, colors: int | None = None, **options: Any) -> bytes:
    colors = colors or 2**depth
    image = sample().quantize(min(colors, 2**depth), dither=Image.Dither.NONE)
    palette = bytes(image.getpalette() or b"")[: 3 * colors].ljust(3 * min(colors, 2**depth), b"\0")
    indices = Image.frombytes(
        "L",
        image.size,
        bytes(value << (8 - depth) & 255 for value in image.tobytes()) if depth < 8 else image.tobytes(),
    )
    before = [chunk(b"PLTE", palette)] + ([chunk(b"tRNS", transparency)] if transparency is not None else [])
    return png_of(_rows(indices, depth), WIDTH, HEIGHT, depth, 3, before)


for _depth in (1, 2, 4, 8):
    PICTURES.add(f"a palette of {_depth} bits", _palette, _depth)
    PICTURES.add(f"a palette of {_depth} bits with partial alpha", _palette, _depth, bytes([128, 0]))
PICTURES.add("a palette of 64 colours", _palette, 8, None, 64)
PICTURES.add("a palette with more alpha than colours", _palette, 2, bytes([0, 64, 128, 255, 9, 9]))


def _adam7(image: Image.Image) -> bytes:
    pixels = image.load()
    rows = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for row in range(y, image.height if x < image.width else 0, dy):
            rows += b"\0" + b"".join(bytes(pixels[column, row]) for column in range(x, image.width, dx))  # type: ignore[index,arg-type]
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, (len(image.getbands()) == 4 and 6) or 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURES.add("interlaced", lambda: _adam7(sample()))
PICTURES.add("interlaced with alpha", lambda: _adam7(sample("RGBA")))
PICTURES.add("interlaced, 3 pixels", lambda: _adam7(sample().resize((3, 1))))

# What tells the colours
_XY = {
    "srgb": (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    "p3": (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
    "bt2020": (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600),
}


def _gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100000 / gamma)))


def _chrm(name: str) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *_XY[name]))


def _iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"made\0\0" + zlib.compress(profile))


def _cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


_SRGB = chunk(b"sRGB", b"\0")
for _name, _before in {
    "gAMA of 1.0": [_gama(1.0)],
    "gAMA of 1.8": [_gama(1.8)],
    "gAMA of 2.2": [_gama(2.2)],
    "gAMA of 0": [chunk(b"gAMA", bytes(4))],
    "cHRM of P3 alone": [_chrm("p3")],
    "gAMA and cHRM of P3": [_gama(2.2), _chrm("p3")],
    "gAMA and cHRM of sRGB": [_gama(2.2), _chrm("srgb")],
    "gAMA of 1.0 and cHRM of BT.2020": [_gama(1.0), _chrm("bt2020")],
    "sRGB": [_SRGB],
    "sRGB over gAMA of 1.0": [_SRGB, _gama(1.0)],
    "sRGB after gAMA of 1.0": [_gama(1.0), _SRGB],
    "iCCP of P3": [_iccp(matrix_profile("p3", name="Display P3"))],
    "iCCP, linear, that says sRGB": [_iccp(matrix_profile(gamma=1.0, name="sRGB"))],
    "iCCP over gAMA of 1.0": [_gama(1.0), _iccp(matrix_profile())],
    "iCCP that is junk": [chunk(b"iCCP", b"made\0\0" + zlib.compress(b"junk" * 50))],
    "iCCP that is not compressed": [chunk(b"iCCP", b"made\0\0" + b"junk" * 50)],
    "iCCP compressed by number 5": [chunk(b"iCCP", b"made\0\5" + zlib.compress(matrix_profile("p3")))],
    "iCCP of gray on colours": [_iccp(curves_profile(1.0))],
    "cICP of sRGB": [_cicp(1, 13)],
    "cICP of P3": [_cicp(12, 13)],
    "cICP of BT.2020": [_cicp(9, 14)],
    "cICP linear": [_cicp(1, 8)],
    "cICP of BT.709": [_cicp(1, 1)],
    "cICP of P3 over iCCP": [_cicp(12, 13), _iccp(matrix_profile(gamma=1.0))],
    "cICP over sRGB": [_cicp(12, 13), _SRGB],
    "cICP PQ": [_cicp(9, 16)],
    "cICP HLG": [_cicp(9, 18)],
    "cICP unspecified": [_cicp(2, 2)],
    "cICP of a narrow range": [_cicp(1, 13, 0, 0)],
    "sBIT": [chunk(b"sBIT", bytes([5, 6, 5]))],
    "bKGD": [chunk(b"bKGD", struct.pack(">3H", 0, 255, 0))],
    "pHYs that is not square": [chunk(b"pHYs", struct.pack(">IIB", 2000, 1000, 1))],
}.items():
    PICTURES.add(_name, _png, 2, 8, *_before)
PICTURES.add("gAMA of 1.0 of 16 bits", _png, 2, 16, _gama(1.0))
PICTURES.add("gAMA of 1.0 with alpha", _png, 6, 8, _gama(1.0))
PICTURES.add("gAMA of 1.0 on gray", _png, 0, 8, _gama(1.0))
PICTURES.add("iCCP of gray", _png, 0, 8, _iccp(curves_profile(1.0)))
PICTURES.add("iCCP of RGB on gray", _png, 0, 8, _iccp(matrix_profile(gamma=1.0)))
PICTURES.add("iCCP of P3 of 16 bits with alpha", _png, 6, 16, _iccp(matrix_profile("p3")))


@PICTURES
def gAMA_on_a_palette() -> bytes:
    data = _palette(8)
    at = data.index(b"PLTE") - 4
    return data[:at] + _gama(1.0) + data[at:]


@PICTURES
def cICP_after_the_palette() -> bytes:
    data = _palette(8)
    at = data.index(b"IDAT") - 4
    return data[:at] + _cicp(1, 8) + data[at:]


PICTURES.add("gAMA after the pixels", _png, 2, 8, after=[_gama(1.0)])
PICTURES.add("iCCP after the pixels", _png, 2, 8, after=[_iccp(matrix_profile(gamma=1.0))])


@PICTURES
def gAMA_after_the_palette() -> bytes:
    data = _palette(8)
    at = data.index(b"IDAT") - 4
    return data[:at] + _gama(1.0) + data[at:]


# Orientation
for _orientation in (2, 3, 6, 8):
    PICTURES.add(
        f"eXIf of {_orientation} before the pixels",
        lambda turn: _png(2, 8, chunk(b"eXIf", exif(turn)), image=turned(turn)),
        _orientation,
    )
for _orientation in (5, 6):
    PICTURES.add(
        f"eXIf of {_orientation} after the pixels",
        lambda turn: _png(2, 8, after=[chunk(b"eXIf", exif(turn))], image=turned(turn)),
        _orientation,
    )
PICTURES.add("eXIf as JPEG has it", _png, 2, 8, chunk(b"eXIf", b"Exif\0\0" + exif(6)))
PICTURES.add(
    "EXIF as ImageMagick's text",
    _png,
    2,
    8,
    chunk(
        b"zTXt",
        b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      38\n" + (b"Exif\0\0" + exif(6)).hex().encode()),
    ),
)
PICTURES.add("eXIf twice", _png, 2, 8, chunk(b"eXIf", exif(6)), chunk(b"eXIf", exif(3)))

# Chunks
PICTURES.add("an unknown chunk", _png, 2, 8, chunk(b"abCd", b"x" * 100))
PICTURES.add("text after the pixels", _png, 2, 8, after=[chunk(b"tEXt", b"a\0b")])
PICTURES.add("a bad sum of an ancillary chunk", _png, 2, 8, chunk(b"tEXt", b"a\0b")[:-1] + b"!")
PICTURES.add("a bad sum of a gAMA", _png, 2, 8, _gama(1.0)[:-1] + b"!")
PICTURES.add("rubbish after the end", lambda: _png() + b"rubbish" * 9)
PICTURES.add("a tRNS beside an alpha channel", _png, 6, 8, chunk(b"tRNS", bytes(6)))


@PICTURES
def pixels_in_many_chunks() -> bytes:
    image = sample()
    pixels = zlib.compress(b"".join(b"\0" + row for row in _rows(image, 8)))
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IDAT", pixels[at : at + 7]) for at in range(0, len(pixels), 7)] + [chunk(b"IDAT", b"")]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(parts) + chunk(b"IEND", b"")


@PICTURES
def of_an_iPhone_application() -> bytes:
    """CgBI: blue, green and red, and deflated without a header."""
    image = sample("RGBA")
    red, green, blue, alpha = image.split()
    rows = b"".join(b"\0" + row for row in _rows(Image.merge("RGBA", (blue, green, red, alpha)), 8))
    deflate = zlib.compressobj(wbits=-15)
    header = chunk(b"CgBI", b"\x50\0\x20\2") + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 6, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", deflate.compress(rows) + deflate.flush()) + chunk(b"IEND", b"")
    )


# Frames


def _apng(
    frames: Iterable[tuple[Image.Image, int, int, int, int]],
    default: bool = True,
    announced: int | None = None,
    color: int = 6,
    plays: int = 0,
) -> bytes:
    """An animation of (picture, left, top, disposal, blending); the first fills the canvas."""
    frames = list(frames)
    first = frames[0][0]
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", first.width, first.height, 8, color, 0, 0, 0))]
    parts.append(chunk(b"acTL", struct.pack(">II", announced or len(frames), plays)))
    number = 0
    if not default:
        hidden = Image.new(first.mode, first.size, "yellow")
        parts.append(chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in _rows(hidden, 8)))))
    for index, (image, left, top, disposal, blending) in enumerate(frames):
        control = struct.pack(">IIIIIHHBB", number, image.width, image.height, left, top, 1, 10, disposal, blending)
        parts.append(chunk(b"fcTL", control))
        number += 1
        pixels = zlib.compress(b"".join(b"\0" + row for row in _rows(image, 8)))
        if index == 0 and default:
            parts.append(chunk(b"IDAT", pixels))
        else:
            parts.append(chunk(b"fdAT", struct.pack(">I", number) + pixels))
            number += 1
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def _with_profile(data: bytes) -> bytes:
    at = data.index(b"acTL") - 4
    return data[:at] + _iccp(matrix_profile(gamma=1.0)) + data[at:]


def _dot(color: str | tuple[int, ...], width: int = 32, height: int = 24) -> Image.Image:
    return Image.new("RGBA", (width, height), color)  # type: ignore[arg-type]


_CLEAR_RED = (255, 0, 0, 128)
for _disposal in (0, 1, 2):
    for _blending in (0, 1):
        PICTURES.add(
            f"frames of disposal {_disposal} and blending {_blending}",
            lambda disposal, blending: _apng(
                [
                    (sample("RGBA"), 0, 0, 0, 0),
                    (_dot(_CLEAR_RED), 8, 8, disposal, blending),
                    (_dot("blue"), 32, 24, disposal, blending),
                    (_dot(_CLEAR_RED), 16, 16, disposal, blending),
                ]
            ),
            _disposal,
            _blending,
        )
PICTURES.add(
    "frames, the first disposed to what was before",
    lambda: _apng([(sample("RGBA"), 0, 0, 2, 0), (_dot("blue"), 8, 8, 0, 1)]),
)
PICTURES.add(
    "frames with a profile",
    lambda: _with_profile(_apng([(sample("RGBA"), 0, 0, 0, 0), (_dot("blue"), 8, 8, 0, 1)])),
)
PICTURES.add(
    "frames beside the default picture",
    lambda: _apng([(sample("RGBA"), 0, 0, 0, 0), (_dot("blue"), 8, 8, 0, 1)], default=False),
)
PICTURES.add("one frame", lambda: _apng([(sample("RGBA"), 0, 0, 0, 0)]))
PICTURES.add("one frame beside the default picture", lambda: _apng([(sample("RGBA"), 0, 0, 0, 0)], default=False))
PICTURES.add(
    "frames, more announced than there are",
    lambda: _apng([(sample("RGBA"), 0, 0, 0, 0), (_dot("blue"), 8, 8, 0, 1)], announced=3),
)
PICTURES.add(
    "frames, fewer announced than there are",
    lambda: _apng([(sample("RGBA"), 0, 0, 0, 0), (_dot("blue"), 8, 8, 0, 1), (_dot("red"), 40, 30, 0, 1)], announced=2),
)
PICTURES.add(
    "frames without alpha",
    lambda: _apng(
        [
            (sample(), 0, 0, 0, 0),
            (Image.new("RGB", (32, 24), "blue"), 8, 8, 1, 0),
            (Image.new("RGB", (20, 20), "red"), 30, 30, 0, 0),
        ],
        color=2,
    ),
)
PICTURES.add(
    "frames of mixed disposals",
    lambda: _apng(
        [
            (sample("RGBA"), 0, 0, 0, 0),
            (_dot("blue"), 0, 0, 2, 1),
            (_dot("red"), 20, 20, 1, 1),
            (_dot("lime"), 40, 30, 2, 0),
            (_dot(_CLEAR_RED), 10, 10, 0, 1),
        ]
    ),
)
PICTURES.add(
    "by Pillow",
    lambda: saved(
        sample("RGBA"),
        "PNG",
        save_all=True,
        append_images=[
            sample("RGBA").rotate(180),
            sample("RGBA").rotate(180).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        ],
        duration=100,
    ),
)
PICTURES.add("one pixel", lambda: _png(image=Image.new("RGB", (1, 1), (200, 120, 60))))
