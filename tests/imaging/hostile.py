"""Makes files that are meant to do harm, and finds out what they do.

``python hostile.py FOLDER`` writes them there.  ``python hostile.py FOLDER run`` has each probed and resized, in a
process of its own, and prints what became of it: a line of JSON with the name, the outcome, seconds of processor time,
and megabytes at the most.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import harm
import pictures
from PIL import Image

Corpus = Iterator[tuple[str, bytes]]

_BOMB = zlib.compress(bytes(200_000_000), 6)
# Of AVIF and HEIC.
_BOXES = (b"meta", b"iloc", b"ipco", b"ispe", b"mdat")


def _u16(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


def _flat(mimetype: str, side: int, mode: str = "RGB", **options: object) -> bytes:
    return pictures.saved(Image.new(mode, (side, side)), mimetype, **options).getvalue()


def _replaced(data: bytes, *pairs: tuple[bytes, bytes]) -> bytes:
    for old, new in pairs:
        assert old in data
        data = data.replace(old, new)
    return data


def pngs() -> Corpus:
    yield "30000x30000.png", pictures.png(30_000, 30_000)
    yield "10x2000000.png", pictures.png(10, 2_000_000)
    yield "2000000000x1.png", pictures.png(2_000_000_000, 1)
    yield "0x0.png", pictures.png(0, 0)
    yield "interlaced-16bit.png", pictures.png(10_000, 10_000, depth=16, color=6, interlace=1)
    yield "lies-about-rows.png", pictures.png(5_000, 5_000)
    yield "profile-bomb.png", pictures.png(40, 40, [pictures.png_chunk(b"iCCP", b"p\0\0" + _BOMB)])
    yield "text-bomb.png", pictures.png(40, 40, [pictures.png_chunk(b"zTXt", b"c\0\0" + _BOMB)] * 20)
    yield "xmp-bomb.png", pictures.png(40, 40, [pictures.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + _BOMB)])
    yield (
        "profile-junk.png",
        pictures.png(40, 40, [pictures.png_chunk(b"iCCP", b"p\0\0" + zlib.compress(os.urandom(9999)))]),
    )
    frame = pictures.png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 3000, 3000, 0, 0, 1, 10, 0, 0))
    for announced in (1000, 1, 2**31):
        head = [pictures.png_chunk(b"acTL", struct.pack(">II", announced, 0)), *[frame] * 1000]
        yield f"{announced}-frames-announced.png", pictures.png(3000, 3000, head)
    yield "million-chunks.png", pictures.png(40, 40, [pictures.png_chunk(b"prVt", b"")] * 200_000)
    yield "no-pixels.png", pictures.png(40, 40).replace(b"IDAT", b"IDOT")
    yield "length-of-2GB.png", _replaced(pictures.png(40, 40), (b"\0\0\0\rIHDR", b"\x7f\xff\xff\xffIHDR"))


def jpegs() -> Corpus:
    plain = pictures.picture("image/jpeg", 400, 300).getvalue()
    size = struct.pack(">HH", 300, 400)
    yield "65500x65500.jpg", _replaced(plain, (size, struct.pack(">HH", 65_500, 65_500)))
    yield "no-height.jpg", _replaced(plain, (size, struct.pack(">HH", 0, 400)))
    yield "lies-about-size.jpg", _replaced(plain, (size, struct.pack(">HH", 9_000, 9_000)))
    large = _flat("image/jpeg", 9_900, progressive=True, subsampling=0)
    yield "progressive.jpg", large
    small = _flat("image/jpeg", 5_000, mode="L", progressive=True)
    last = small.rindex(b"\xff\xda")
    yield "5000-scans.jpg", small[:-2] + small[last:-2] * 5_000 + b"\xff\xd9"
    yield "segment-of-0.jpg", plain[:2] + b"\xff\xe1\0\0" + plain[2:]
    yield "million-segments.jpg", plain[:2] + b"\xff\xe1\0\2" * 1_000_000 + plain[2:]
    yield "fill-bytes.jpg", plain[:2] + b"\xff" * 60_000_000 + plain[2:]
    profile = b"ICC_PROFILE\0"
    for name, junk in (
        ("junk", os.urandom(5000)),
        ("huge-tags", pictures.profile()[:128] + struct.pack(">I", 2**31) + b"\xff" * 999),
    ):
        segment = profile + b"\1\1" + junk
        yield f"profile-{name}.jpg", plain[:2] + b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    missing = profile + b"\2\xff" + b"x" * 100
    yield "profile-in-parts.jpg", plain[:2] + b"\xff\xe2" + struct.pack(">H", len(missing) + 2) + missing + plain[2:]
    xmp = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", 2**32 - 1, 0) + b"<x>" * 20_000
    yield "xmp-bomb.jpg", plain[:2] + (b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp) * 300 + plain[2:]
    loop = (
        b"II*\0\x08\0\0\0\x02\0"
        + struct.pack("<HHII", 0x8769, 4, 1, 8)
        + struct.pack("<HHII", 0x0112, 3, 2**31, 8)
        + b"\x08\0\0\0"
    )
    yield "exif-loop.jpg", pictures.picture("image/jpeg", exif=b"Exif\0\0" + loop).getvalue()
    yield (
        "exif-of-65535.jpg",
        pictures.picture("image/jpeg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\1" * 9999).getvalue(),
    )
    directory = _u16(5_400) + struct.pack("<HHII", 273, 4, 1, 1) * 5_400
    exif = b"Exif\0\0II*\0\x08\0\0\0" + directory
    yield "400-times-exif.jpg", plain[:2] + (b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif) * 400 + plain[2:]
    yield "metadata-of-64MB.jpg", plain[:2] + (b"\xff\xed\xff\xff" + bytes(65_533)) * 1_000 + plain[2:]
    yield "scan-for-each-colour.jpg", _scan_for_each_color(9_900)
    yield "random-scan.jpg", plain[: plain.index(b"\xff\xda") + 14] + random.Random(1).randbytes(50_000) + b"\xff\xd9"


def _scan_for_each_color(side: int) -> bytes:
    """A JPEG that is not progressive, and yet has to be held whole until its end."""
    codes = b"\0\1" + bytes(14) + b"\0"
    colors = (b"\1", b"\2", b"\3")
    scan = bytes(((side + 7) // 8) ** 2 // 2 + 1)
    return b"".join(
        (
            b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64,
            b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, side, side, 3) + b"".join(color + b"\x11\0" for color in colors),
            *(b"\xff\xc4" + struct.pack(">H", 20) + kind + codes for kind in (b"\0", b"\x10")),
            *(b"\xff\xda\0\x08\1" + color + b"\0\0\x3f\0" + scan for color in colors),
            b"\xff\xd9",
        )
    )


def gifs() -> Corpus:
    def gif(width: int, height: int, frames: int, frame: bytes | None = None) -> bytes:
        frame = frame or b"\x2c" + _u16(0, 0, width, height) + b"\0\x02\x02\x4c\x01\0"
        return b"GIF89a" + _u16(width, height) + b"\x80\0\0" + bytes(6) + frame * frames + b";"

    yield "1001-frames-of-3000x3000.gif", gif(3000, 3000, 1001)
    yield "65535x65535.gif", gif(65_535, 65_535, 1)
    yield "9900x9900.gif", gif(9_900, 9_900, 1)
    yield "22-frames-of-3000x3000.gif", gif(3000, 3000, 22)
    yield "million-frames-of-1x1.gif", gif(1, 1, 1_000_000)
    yield "frames-of-65535-on-1x1.gif", gif(1, 1, 900, b"\x2c" + _u16(0, 0, 65_535, 65_535) + b"\0\x02\x02\x4c\x01\0")
    yield "large-second-frame.gif", gif(9, 9, 1)[:-1] + b"\x2c" + _u16(0, 0, 65_535, 65_535) + b"\0\x02\x02\x4c\x01\0;"
    yield "tiny-blocks.gif", gif(40, 40, 1, b"\x2c" + _u16(0, 0, 40, 40) + b"\0\x02" + b"\x01\x4c" * 3_000_000 + b"\0")
    yield "endless-comment.gif", gif(40, 40, 1)[:-1] + b"\x21\xfe" + b"\xff" * 3_000_000


def webps() -> Corpus:
    def riff(*chunks: tuple[bytes, bytes]) -> bytes:
        body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for name, data in chunks)
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body

    inner = pictures.picture("image/webp", 40, 40).getvalue()[12:]
    still = (inner[:4], inner[8:])
    side = lambda number: struct.pack("<I", number - 1)[:3]  # noqa: E731
    yield "16384x16384.webp", riff((b"VP8X", b"\0\0\0\0" + side(16_384) * 2), still)
    yield "lies-about-size.webp", riff((b"VP8X", b"\0\0\0\0" + side(9_000) * 2), still)
    yield "lossless-16383.webp", riff((b"VP8L", b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(20)))
    yield "flat-9900.webp", _flat("image/webp", 9_900, lossless=True, method=0)
    frame = (b"ANMF", side(1) * 2 + side(2_000) * 2 + b"\x0a\0\0\0" + inner)
    yield (
        "frames-of-wrong-size.webp",
        riff((b"VP8X", b"\2\0\0\0" + side(2_000) * 2), (b"ANIM", bytes(6)), *[frame] * 40),
    )
    yield "20000-frames.webp", riff((b"VP8X", b"\2\0\0\0" + side(2_000) * 2), (b"ANIM", bytes(6)), *[frame] * 20_000)
    yield "no-frames.webp", riff((b"VP8X", b"\2\0\0\0" + side(2_000) * 2), (b"ANIM", bytes(6)))
    yield "xmp-bomb.webp", riff((b"VP8X", b"\4\0\0\0" + side(40) * 2), still, (b"XMP ", b"<x>" * 1_000_000))
    yield "size-of-4GB.webp", b"RIFF\xff\xff\xff\xffWEBP" + inner
    yield "chunk-of-4GB.webp", riff(still).replace(still[0], still[0] + b"\xff\xff\xff\xff", 1)


def isobmffs() -> Corpus:
    plain = pictures.picture("image/avif", 80, 60).getvalue()
    size = struct.pack(">II", 80, 60)
    yield "65535x65535.avif", _replaced(plain, (size, struct.pack(">II", 65_535, 65_535)))
    yield "4-billion.avif", _replaced(plain, (size, b"\xff" * 8))
    yield "other-size.avif", _replaced(plain, (size, struct.pack(">II", 800, 600)))
    large = _flat("image/avif", 5_000, speed=10)
    yield "larger-than-it-says.avif", _replaced(large, (struct.pack(">II", 5000, 5000), size))
    yield "flat-5000.avif", large
    moving = pictures.animation("image/avif", 3).getvalue()
    at = moving.index(b"stsz") + 12
    yield "4-billion-frames.avif", moving[:at] + b"\xff\xff\xff\xff" + moving[at + 4 :]
    at = plain.index(b"iloc") + 8
    yield "items-without-offsets.avif", plain[:at] + b"\0\0\xff\xff" + plain[at + 4 :]
    yield "box-of-0.avif", _replaced(plain, (plain[plain.index(b"meta") - 4 :][:8], b"\0\0\0\0meta"))
    yield "box-of-7.avif", _replaced(plain, (plain[plain.index(b"meta") - 4 :][:8], b"\0\0\0\7meta"))
    yield "million-boxes.avif", plain[:32] + b"\0\0\0\x08free" * 1_000_000 + plain[32:]
    units = b"\x12\0" * 10_000
    # Where the second box of pixels has its first byte.
    place = len(plain) - 30 + 8 + 14 + 9_000 * 8 + 8
    extents = struct.pack(">II", place, len(units)) * 9_000
    items = box(b"iloc", b"\0\0\0\0\x44\0\0\1\0\1\0\0\x23\x28" + extents)
    yield "units-named-9000-times.avif", _with_box(plain, b"meta iloc", items) + box(b"mdat", units)
    table = b"moov trak mdia minf stbl "
    frames = _with_box(moving, table + b"stsz", box(b"stsz", struct.pack(">III", 0, len(units), 9_000)))
    place = struct.pack(">I", len(frames) + 9_000 * 4 - 4 + 8)
    chunks = box(b"stco", struct.pack(">II", 0, 9_000) + place * 9_000)
    yield "units-in-9000-frames.avif", _with_box(frames, table + b"stco", chunks) + box(b"mdat", units * 3)
    yield "only-brands.heic", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"
    yield "brands-of-avif-around-nothing.heic", _replaced(plain, (b"avif", b"heic"))


def heics() -> Corpus:
    if find_spec("pillow_heif") is None:
        return
    plain, size = heic(pictures.noise(64, 64)), struct.pack(">II", 64, 64)
    yield "65535x65535.heic", _replaced(plain, (size, struct.pack(">II", 65_535, 65_535)))
    yield "4-billion.heic", _replaced(plain, (size, b"\xff" * 8))
    yield "other-size.heic", _replaced(plain, (size, struct.pack(">II", 800, 600)))
    large = heic(Image.new("RGB", (5_000, 5_000)))
    yield "larger-than-it-says.heic", _replaced(large, (struct.pack(">II", 5_000, 5_000), size))
    yield "flat-5000.heic", large
    pixels = plain[plain.index(b"mdat") + 4 :]
    place = len(plain) - 34 + 8 + 14 + 9_000 * 8 - len(pixels)
    extents = struct.pack(">II", place, len(pixels)) * 9_000
    items = box(b"iloc", b"\0\0\0\0\x44\0\0\1\0\1\0\0\x23\x28" + extents)
    yield "pixels-named-9000-times.heic", _with_box(plain, b"meta iloc", items)
    # A grid of 255 x 255 tiles, each the same; or itself.
    grid = b"\0\1\xfe\xfe" + struct.pack(">II", 255 * 64, 255 * 64)
    yield "grid-of-65025-tiles.heic", derived(plain, b"grid", grid, 255 * 64, [1] * 65_025)
    yield "grid-that-is-64-wide.heic", derived(plain, b"grid", grid, 64, [1] * 65_025)
    yield "grid-of-itself.heic", derived(plain, b"grid", b"\0\0\0\0" + struct.pack(">HH", 64, 64), 64, [2])
    yield "identity-of-itself.heic", derived(plain, b"iden", b"", 64, [2])
    overlay = b"\0\1" + b"\xff" * 8 + struct.pack(">II", 4_000, 4_000) + bytes(8) * 65_000
    yield "overlay-of-65000.heic", derived(plain, b"iovl", overlay, 4_000, [1] * 65_000)
    yield from _cut_off("heic", plain, _BOXES)


def heic(image: Image.Image) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file)
    return file.getvalue()


def derived(plain: bytes, kind: bytes, payload: bytes, side: int, sources: list[int], tile: int = 64) -> bytes:
    """Adds an item, of a kind that is made of other items, to an HEIC of one item, and shows that instead."""
    at = plain.index(b"hvcC") - 4
    configuration = plain[at : at + int.from_bytes(plain[at : at + 4])]
    pixels = plain[plain.index(b"mdat") + 4 :]
    sides = (struct.pack(">4xII", each, each) for each in (tile, side))
    properties = box(b"ipco", configuration + b"".join(box(b"ispe", each) for each in sides))
    owners = box(b"ipma", struct.pack(">4xIHBBBHBB", 2, 1, 2, 0x81, 2, 2, 1, 3))
    entries = b"".join(box(b"infe", struct.pack(">BxxxHH4sx", 2, *each)) for each in ((1, 0, b"hvc1"), (2, 0, kind)))

    def meta(place: int) -> bytes:
        locations = struct.pack(">HHHHII", 1, 0, 0, 1, place, len(pixels))
        locations += struct.pack(">HHHHII", 2, 1, 0, 1, 0, len(payload))
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">4xH", 2))
            + box(b"iloc", b"\1\0\0\0\x44\0\0\2" + locations)
            + box(b"iinf", struct.pack(">4xH", 2) + entries)
            + box(b"iref", bytes(4) + box(b"dimg", struct.pack(f">HH{len(sources)}H", 2, len(sources), *sources)))
            + box(b"iprp", properties + owners)
            + box(b"idat", payload),
        )

    brands = plain[: int.from_bytes(plain[:4])]
    return brands + meta(len(brands) + len(meta(0)) + 8) + box(b"mdat", pixels)


def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def _with_box(data: bytes, path: bytes, content: bytes) -> bytes:
    """Puts a box into the place of another; offsets stay as they are."""
    name, _, inner = path.partition(b" ")
    at = data.index(name) - 4
    (size,) = struct.unpack_from(">I", data, at)
    if inner:
        old = data[at + 8 : at + size]
        content = box(name, _with_box(old, inner, content))
    return data[:at] + content + data[at + size :]


def tiffs() -> Corpus:
    def tiff(*fields: tuple[int, int, int, int], following: int = 0, more: bytes = b"") -> bytes:
        body = b"".join(struct.pack("<HHII", *field) for field in fields)
        return b"II*\0\x08\0\0\0" + _u16(len(fields)) + body + struct.pack("<I", following) + more

    def gray(width: int, height: int, *more: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
        usual = [
            (256, 4, 1, width),
            (257, 4, 1, height),
            (258, 3, 1, 8),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, 1, 8),
        ]
        return sorted(
            {
                field[0]: field for field in [*usual, (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 100), *more]
            }.values()
        )

    yield "directory-loop.tif", tiff(*gray(10, 10), following=8, more=bytes(200))
    yield "subdirectory-loop.tif", tiff(*gray(10, 10, (330, 4, 1, 8)), more=bytes(200))
    yield "2-billion-rows.tif", tiff(*gray(1, 2_000_000_000))
    yield "60000-samples.tif", tiff(*gray(5_000, 5_000, (277, 3, 1, 60_000)))
    yield "strips-at-4GB.tif", tiff(*gray(10, 10, (273, 4, 1, 2**32 - 50)))
    yield "strips-too-short.tif", tiff(*gray(5_000, 5_000), more=bytes(200))
    yield (
        "million-strips.tif",
        tiff(*gray(10, 10, (273, 4, 1_000_000, 8), (279, 4, 1_000_000, 8)), more=bytes(8_000_000)),
    )
    yield "values-at-4GB.tif", tiff(*gray(10, 10, (700, 1, 2**31, 2**31)))
    yield "65535-fields.tif", b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 256, 4, 1, 10) * 65_535
    yield "directory-at-4GB.tif", b"II*\0\xff\xff\xff\xff"
    yield "big-with-2-to-60-fields.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60) + bytes(100)
    yield (
        "one-strip-of-10000x10000.tif",
        _flat("image/tiff", 10_000, compression="tiff_adobe_deflate", strip_size=10**9),
    )
    page = _u16(9) + b"".join(struct.pack("<HHII", *field) for field in gray(10, 10))
    pages = (page + struct.pack("<I", 108 + (len(page) + 4) * number) for number in range(1, 200_000))
    yield "200000-pages.tif", b"II*\0" + struct.pack("<I", 108) + bytes(100) + b"".join(pages) + page + bytes(4)
    plane = zlib.compress(bytes(10_000 * 10_000), 9)
    ends = struct.pack("<6I", *([2_000] * 3 + [len(plane)] * 3))
    colors = ((258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3), (284, 3, 1, 2), (278, 4, 1, 10_000))
    apart = tiff(*gray(10_000, 10_000, *colors, (273, 4, 3, 1_000), (279, 4, 3, 1_012)))
    yield "strip-for-each-colour.tif", apart.ljust(1_000, b"\0") + ends.ljust(1_000, b"\0") + plane
    yield (
        "tile-of-65520.tif",
        tiff(
            *gray(10, 10, (322, 4, 1, 65_520), (323, 4, 1, 65_520), (324, 4, 1, 8), (325, 4, 1, 100)), more=bytes(200)
        ),
    )


def bmps() -> Corpus:
    def bmp(width: int, height: int, bits: int, compression: int, pixels: bytes) -> bytes:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels

    yield "rle-30000x30000.bmp", bmp(30_000, 30_000, 8, 1, b"\xff\x01" * 1000 + b"\0\1")
    yield (
        "rle-7000x7000.bmp",
        bmp(7_000, 7_000, 8, 1, bytes(1024) + (b"\xff\x01" * 27 + b"\x73\x01\0\0") * 7_000 + b"\0\1"),
    )
    yield "runs-of-1.bmp", bmp(6_000, 6_000, 8, 1, bytes(1024) + b"\1\1" * 10_000_000 + b"\0\1")
    yield "2-billion-wide.bmp", bmp(2**31 - 1, 1, 24, 0, b"")
    yield "negative.bmp", bmp(-40, -40, 24, 0, bytes(4800))
    yield "no-bits.bmp", bmp(40, 40, 0, 0, bytes(4800))
    yield "masks.bmp", bmp(40, 40, 32, 3, b"\xff" * 6400)


def svgs() -> Corpus:
    def svg(content: str, attributes: str = 'width="400" height="300"', before: str = "") -> bytes:
        namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f"{before}<svg {namespaces} {attributes}>{content}</svg>".encode()

    def nested(element: str, inside: Callable[[int], str], depth: int) -> str:
        parts = (f'<{element} id="n{level}">{inside(level - 1)}</{element}>' for level in range(1, depth))
        return "<defs>" + "".join(parts) + "</defs>"

    rect = '<rect width="400" height="300"/>'
    yield "viewBox-of-1e9.svg", svg(rect, 'viewBox="0 0 1e9 1e9"')
    yield "viewBox-of-1e300.svg", svg(rect, 'viewBox="0 0 1e300 1e300"')
    yield "1000000-wide.svg", svg(rect, 'width="1000000" height="1000000"')
    yield "width-of-nines.svg", svg(rect, f'width="{"9" * 100_000}" height="1"')
    yield "ratio.svg", svg(rect, 'viewBox="0 0 1e-30 1e30"')
    yield (
        "nested-use.svg",
        svg(
            nested("g", lambda n: f'<use xlink:href="#n{n}"/>' * 10, 30)
            + '<g id="n0"><rect/></g><use xlink:href="#n29"/>'
        ),
    )
    yield (
        "use-of-itself.svg",
        svg('<g id="a"><use xlink:href="#a"/><use xlink:href="#b"/></g><g id="b"><use xlink:href="#a"/></g>'),
    )
    full = '<rect width="400" height="300" fill="#fff" mask="url(#n{})"/>'
    yield (
        "nested-masks.svg",
        svg(nested("mask", lambda n: full.format(n) * 3, 20) + f'<mask id="n0">{rect}</mask>' + full.format(19)),
    )
    tile = '<rect width="9" height="9" fill="url(#n{})"/>'
    patterns = nested("pattern", lambda n: tile.format(n) * 9, 20).replace(
        "<pattern", '<pattern width="9" height="9" patternUnits="userSpaceOnUse"'
    )
    yield "nested-patterns.svg", svg(patterns + '<rect width="400" height="300" fill="url(#n19)"/>')
    yield "dashes.svg", svg(f'<path stroke="red" stroke-dasharray=".001" d="M0 0 {"L400 300L0 0" * 5000}"/>')
    blurs = '<feGaussianBlur stdDeviation="500"/><feMorphology radius="500"/>'
    blurs += '<feTurbulence baseFrequency=".1" numOctaves="99"/>'
    yield (
        "filters.svg",
        svg(
            f'<filter id="f">{blurs * 20}</filter><rect width="100%" height="100%" filter="url(#f)"/>',
            'width="7000" height="7000"',
        ),
    )
    yield "300000-elements.svg", svg('<rect width="1" height="1"/>' * 250_000)
    yield "deep.svg", svg("<g>" * 100_000 + "</g>" * 100_000)
    yield "many-attributes.svg", svg("<rect " + " ".join(f'a{n}="1"' for n in range(200_000)) + "/>")
    bomb = base64.b64encode(pictures.png(30_000, 30_000)).decode()
    yield "png-bomb-inside.svg", svg(f'<image width="9" height="9" xlink:href="data:image/png;base64,{bomb}"/>' * 20)
    for name, reference in (
        ("local", "/etc/passwd"),
        ("file", "file:///etc/passwd"),
        ("http", "http://127.0.0.1:9/x.png"),
    ):
        yield f"image-{name}.svg", svg(f'<image xlink:href="{reference}" width="9" height="9"/>')
        yield f"entity-{name}.svg", svg("<text>&e;</text>", before=f'<!DOCTYPE svg [<!ENTITY e SYSTEM "{reference}">]>')
        yield f"style-{name}.svg", svg(f"<style>@import url({reference});</style>")
    yield (
        "xinclude.svg",
        svg('<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="/etc/passwd"/>'),
    )
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    yield "billion-laughs.svg", svg("<text>&l11;</text>", before=f'<!DOCTYPE svg [<!ENTITY l0 "lol">{laughs}]>')
    yield (
        "quadratic.svg",
        svg("<text>" + "&a;" * 50_000 + "</text>", before=f'<!DOCTYPE svg [<!ENTITY a "{"x" * 50_000}">]>'),
    )
    # Parsers allow a large file to grow by more.
    large = f"<!--{'x' * 7_000_000}-->"
    entity = f'<!DOCTYPE svg [<!ENTITY a "{"x" * 70_000}">]>'
    for name, content in (
        ("attribute", f'<rect id="{"&a;" * 9_000}"/>'),
        ("style", f"<style>{'&a;' * 9_000}</style>"),
        ("text", f"<text>{'&a;' * 9_000}</text>"),
    ):
        yield f"entities-in-{name}.svg", svg(large + content, before=entity)
    yield "entities-in-root.svg", svg("", f'id="{"&a;" * 9_000}"', before=large + entity)
    names = " ".join(f'a{number} CDATA "1"' for number in range(40_000))
    yield "default-attributes.svg", svg("<rect/>" * 900_000, before=f"<!DOCTYPE svg [<!ATTLIST rect {names}>]>")
    declared = f'<!DOCTYPE svg [<!ATTLIST rect a CDATA "{"x" * 4_000_000}">]>'
    yield "long-default-attribute.svg", svg("<rect/>" * 490_000, before=declared)
    yield "long-namespace.svg", svg("<a:b/>" * 490_000, f'xmlns:a="http://{"x" * 4_000_000}"')
    entities = "".join(f'<!ENTITY e{number} "">' for number in range(350_000))
    yield "350000-entities.svg", svg("", before=f"<!DOCTYPE svg [{entities}]>")
    yield "parameter-entities.svg", svg("", before='<!DOCTYPE svg [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>')
    yield "compressed.svgz", gzip.compress(svg(rect))
    yield "bomb.svgz", gzip.compress(bytes(100_000_000))
    yield "script.svg", svg('<script>while(true);</script><rect onload="alert(1)"/>')


def pdfs() -> Corpus:
    plain = pictures.pdf(200, 100).getvalue()
    box = b"[0 0 200 100]"
    yield "huge-page.pdf", _replaced(plain, (box, b"[0 0 9e9 9e9]"))
    yield "no-page-size.pdf", _replaced(plain, (box, b"[0 0 0 0]    "))
    yield "pages-in-a-loop.pdf", _replaced(plain, (b"/Kids [3 0 R]", b"/Kids [2 0 R]"))
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(_BOMB), _BOMB)
    start, end = plain.index(b"<< /Length"), plain.index(b"endstream") + 9
    yield "content-bomb.pdf", plain[:start] + stream + plain[end:]
    image = (
        b"<< /Type /XObject /Subtype /Image /Width 30000 /Height 30000 /ColorSpace /DeviceRGB /BitsPerComponent 8 "
        + stream[2:]
    )
    uses = b"<< /Length 30 >>\nstream\nq 200 0 0 100 0 0 cm /I Do Q  \nendstream"
    with_image = plain[:start] + uses + plain[end:].replace(b"endobj", b"endobj\n5 0 obj\n" + image + b"\nendobj", 1)
    yield (
        "image-bomb.pdf",
        _replaced(with_image, (b"/Contents 4", b"/Resources << /XObject << /I 5 0 R >> >> /Contents 4")),
    )
    yield "much-to-draw.pdf", plain[:start] + _drawing(b"0 0 200 100 re f " * 2_000_000) + plain[end:]
    yield "only-the-ends.pdf", b"%PDF-1.7\n%%EOF"


def _drawing(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)


def others() -> Corpus:
    """What is not, or not only, what it seems to be."""
    jpeg, png = pictures.picture("image/jpeg").getvalue(), pictures.picture("image/png").getvalue()
    gif, pdf = pictures.picture("image/gif").getvalue(), pictures.pdf().getvalue()
    yield "script-in-gif.gif", b"GIF89a/*" + gif[8:] + b"*/=1;alert(1)"
    yield "archive-after-jpeg.jpg", jpeg + b"PK\3\4" + b"x" * 1000 + b"PK\5\6" + bytes(18)
    yield "html-after-png.png", png + b"<html><script>alert(1)</script></html>"
    yield "pdf-in-jpeg.jpg", jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(pdf) + 2) + pdf + jpeg[2:]
    yield "jpeg-before-pdf.pdf", jpeg + pdf
    yield "html.png", b"<!DOCTYPE html><html><body><svg xmlns='http://www.w3.org/2000/svg'/></body></html>"
    yield "matrix.png", b"2 2\n1 2\n3 4\n"
    yield "table.csv", b"1,2,3\n" * 1000
    yield "vips.v", b"\x08\xf2\xa6\xb6" + bytes(100)
    yield (
        "script.mvg",
        b"push graphic-context\nviewbox 0 0 640 480\nimage over 0,0 0,0 'https://example.com'\npop graphic-context",
    )
    yield "script.msl", b'<?xml version="1.0"?><image><read filename="/etc/passwd"/></image>'
    yield "page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file"
    yield "text.ppm", b"P3 30000 30000 255\n"
    yield "text.bmp", b"BM is how this text begins, which is no picture"
    yield "zeros.jpg", bytes(1_000_000)
    yield "noise.jpg", b"\xff\xd8\xff" + random.Random(2).randbytes(100_000)
    yield "empty.png", b""


def cut_off() -> Corpus:
    """Every type, cut off where one of its parts ends."""
    for name, data, points in (
        (
            "jpg",
            pictures.picture("image/jpeg").getvalue(),
            (b"\xff\xdb", b"\xff\xc0", b"\xff\xc4", b"\xff\xda", b"\xff\xd9"),
        ),
        ("png", pictures.picture("image/png").getvalue(), (b"IHDR", b"IDAT", b"IEND")),
        ("gif", pictures.animation("image/gif").getvalue(), (b"\x21\xff", b"\x21\xf9", b"\x2c\0\0")),
        ("webp", pictures.animation("image/webp").getvalue(), (b"VP8X", b"ANIM", b"ANMF")),
        ("avif", pictures.picture("image/avif").getvalue(), _BOXES),
        ("tif", pictures.picture("image/tiff").getvalue(), (b"II*\0", b"\0\1", b"\x11\1")),
        ("bmp", pictures.picture("image/bmp").getvalue(), (b"BM",)),
        ("svg", pictures.svg("").getvalue(), (b"<svg", b"<rect", b"</svg")),
        ("pdf", pictures.pdf().getvalue(), (b"obj", b"stream", b"xref", b"trailer", b"%%EOF")),
    ):
        yield from _cut_off(name, data, points)


def _cut_off(name: str, data: bytes, points: tuple[bytes, ...]) -> Corpus:
    for number, point in enumerate(points):
        yield f"cut-off-{number}.{name}", data[: data.index(point) + len(point)]


def corpus() -> dict[str, bytes]:
    random.seed(0)
    made: dict[str, bytes] = {}
    for group in (pngs, jpegs, gifs, webps, isobmffs, heics, tiffs, bmps, svgs, pdfs, others, cut_off):
        for name, data in group():
            assert name not in made
            made[name] = data
    return made


def main(folder: Path, *, run: bool) -> None:
    if not run:
        folder.mkdir(exist_ok=True)
        for name, data in corpus().items():
            (folder / name).write_bytes(data)
        return
    # Engines are loaded before a child is forked, and nothing is done with them.
    import sqlalchemy_imageattach.imaging.engines.pillow
    import sqlalchemy_imageattach.imaging.engines.vips  # noqa: F401

    for path in sorted(folder.iterdir()):
        print(json.dumps(harm.measured(path)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), run="run" in sys.argv[2:])
