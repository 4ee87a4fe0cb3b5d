"""Makes small files that would cost much: each of less than a megabyte, of every type that is read.

``python bombs.py FOLDER`` writes them there.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import boxed_bombs
import coded_bombs
import drawn_bombs
import pictures
from packed import zeros
from PIL import Image

Corpus = Iterator[tuple[str, bytes]]

#: Bytes; larger files may cost more.
SMALL = 1_000_000


def _png(
    width: int,
    height: int,
    depth: int = 8,
    color: int = 6,
    interlaced: int = 0,
    before: bytes = b"",
    pixels: bytes | None = None,
    after: bytes = b"",
) -> bytes:
    """A PNG with all of its pixels, which are zeros."""
    chunk = pictures.png_chunk
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = 1 + (width * channels * depth + 7) // 8
    # The seven passes of an interlaced picture have a few bytes more.
    size = row * height + (2 * height + 8 * row if interlaced else 0)
    palette = chunk(b"PLTE", bytes(3 << min(depth, 8))) if color == 3 else b""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    body = chunk(b"IDAT", zeros(size)) if pixels is None else pixels
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), before, palette, body, after, chunk(b"IEND", b"")))


def _moving_png(width: int, height: int, frames: list[tuple[int, int, int]], color: int = 6) -> bytes:
    """An animated PNG, of whole frames of zeros; each is given as its width, height and disposal."""
    chunk = pictures.png_chunk
    channels = {0: 1, 3: 1, 6: 4}[color]
    parts = [chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    for number, (frame_width, frame_height, disposal) in enumerate(frames):
        numbers = (max(0, 2 * number - 1), frame_width, frame_height, 0, 0, 1, 10, disposal, 1)
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", *numbers)))
        pixels = zeros((1 + channels * frame_width) * frame_height)
        parts.append(chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels) if number else chunk(b"IDAT", pixels))
    return _png(width, height, color=color, pixels=b"".join(parts))


def pngs() -> Corpus:
    chunk = pictures.png_chunk
    yield "wide-1000000x99.png", _png(1_000_000, 99)
    yield "wide-49000000x1.png", _png(49_000_000, 1, 16)
    yield "wide-6000000x16-interlaced.png", _png(6_000_000, 16, 8, 0, 1)
    yield "high-1x6000000.png", _png(1, 6_000_000)
    yield "interlaced-5500x5500-deep.png", _png(5_500, 5_500, 16, 6, 1)
    yield "interlaced-9900x9900-gray.png", _png(9_900, 9_900, 8, 0, 1)
    yield "interlaced-9900x9900-bits.png", _png(9_900, 9_900, 1, 0, 1)
    yield "interlaced-9900x9900-palette.png", _png(9_900, 9_900, 8, 3, 1)
    yield "deep-9900x9900.png", _png(9_900, 9_900, 16, 6)
    yield "bits-9900x9900.png", _png(9_900, 9_900, 1, 0)
    yield "palette-9900x9900.png", _png(9_900, 9_900, 8, 3)
    yield "alpha-9900x9900.png", _png(9_900, 9_900, 8, 6)
    yield "deep-gray-9900x9900.png", _png(9_900, 9_900, 16, 4)
    key = chunk(b"tRNS", bytes(2))
    yield "gray-with-key-9900x9900.png", _png(9_900, 9_900, 8, 0, before=key)
    linear = chunk(b"gAMA", struct.pack(">I", 100_000))
    yield "linear-9900x9900.png", _png(9_900, 9_900, 8, 2, before=linear)
    text = chunk(b"zTXt", b"c\0\0" + zeros(38_000_000))
    yield "24-texts.png", _png(40, 40, before=text * 24)
    small_text = chunk(b"zTXt", b"c\0\0" + zeros(9_000_000))
    yield "100-texts.png", _png(40, 40, before=small_text * 100)
    international = chunk(b"iTXt", b"c\0\1\0\0\0" + zeros(38_000_000))
    yield "24-international-texts.png", _png(40, 40, before=international * 24)
    yield "24-texts-after-the-pixels.png", _png(40, 40, after=text * 24)
    yield "profile-of-900MB.png", _png(40, 40, before=chunk(b"iCCP", b"p\0\0" + zeros(900_000_000)))
    yield "24-profiles.png", _png(40, 40, before=chunk(b"iCCP", b"p\0\0" + zeros(38_000_000)) * 24)
    yield "900MB-too-many-pixels.png", _png(40, 40, pixels=chunk(b"IDAT", zeros(900_000_000)))
    yield "75000-parts.png", _png(40, 40, pixels=chunk(b"IDAT", zeros(6_440)) + chunk(b"IDAT", b"") * 75_000)
    yield "70000-unknown-chunks.png", _png(40, 40, before=chunk(b"prVt", b"") * 70_000)
    yield "900-frames-of-10x10.png", _moving_png(10, 10, [(10, 10, 0)] * 900)
    yield "8-frames-of-4900x4900.png", _moving_png(4_900, 4_900, [(4_900, 4_900, 0)] * 8)
    yield "4-frames-of-7000x7000.png", _moving_png(7_000, 7_000, [(7_000, 7_000, 2)] * 4, 0)
    yield "2-frames-of-7000x7000.png", _moving_png(7_000, 7_000, [(7_000, 7_000, 2), (1, 1, 0)])
    yield "frames-of-1x1-on-2000x2000.png", _moving_png(2_000, 2_000, [(2_000, 2_000, 0), *[(1, 1, 2)] * 48])
    yield "4000-frames-of-200x200.png", _moving_png(200, 200, [(200, 200, 0), *[(1, 1, 1)] * 4_000])


def _progressive(width: int, height: int, scans: int, frame: int = 0xC2) -> bytes:
    """A progressive JPEG of which each scan says of 32,767 blocks at once that there is nothing in them."""
    codes = b"\1" + bytes(15) + b"\0"
    runs = b"\1" + bytes(15) + b"\xe0"
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    first = b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\0\0" + bytes(3 * blocks // 8 + 1)
    # A run is a code of one bit and fourteen bits of its length: all ones, stuffed.
    run, bits = (1 << 14) - 1, 15
    count = blocks // 32_767 + 1
    stream = int("".join(f"0{run:014b}" for _ in range(count)).ljust(-(-bits * count // 8) * 8, "1"), 2)
    packed = stream.to_bytes(-(-bits * count // 8)).replace(b"\xff", b"\xff\0")
    more = b"".join(
        b"\xff\xda\0\x08\1" + bytes((color, 0x01, 1, 63, 0)) + packed for color in (1, 2, 3) for _ in range(scans)
    )
    return b"".join(
        (
            b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64,
            bytes((0xFF, frame)) + struct.pack(">HBHHB", 17, 8, height, width, 3),
            b"".join(bytes((color, 0x11, 0)) for color in (1, 2, 3)),
            b"\xff\xc4" + struct.pack(">H", 20) + b"\0" + codes,
            b"\xff\xc4" + struct.pack(">H", 20) + b"\x11" + runs,
            first,
            more,
            b"\xff\xd9",
        )
    )


def _flat_jpeg(width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    return pictures.saved(Image.new(mode, (width, height)), "image/jpeg", **options).getvalue()


def jpegs() -> Corpus:
    plain = pictures.picture("image/jpeg", 400, 300).getvalue()
    yield "progressive-4500x4500.jpg", _progressive(4_500, 4_500, 1)
    yield "progressive-9900x9900.jpg", _progressive(9_900, 9_900, 0)
    yield "300-scans-of-1500x1500.jpg", _progressive(1_500, 1_500, 100)
    yield "60-scans-of-4000x4000.jpg", _progressive(4_000, 4_000, 20)
    yield "10000-scans-of-400x300.jpg", _progressive(400, 300, 3_333)
    yield "arithmetic-4500x4500.jpg", _progressive(4_500, 4_500, 1, 0xCA)
    yield "wide-65500x1200.jpg", _flat_jpeg(65_500, 1_200, "L", quality=10)
    yield "high-1200x65500.jpg", _flat_jpeg(1_200, 65_500, "L", quality=10)
    yield "gray-8000x8000.jpg", _flat_jpeg(8_000, 8_000, "L", quality=10)
    yield "cmyk-6000x6000.jpg", _flat_jpeg(6_000, 6_000, "CMYK", quality=10, subsampling=2)
    restarts = plain[: plain.index(b"\xff\xda")] + b"\xff\xdd\0\4\0\1" + plain[plain.index(b"\xff\xda") :]
    yield "restarts.jpg", restarts[:-2] + b"\xff\xd0" * 400_000 + b"\xff\xd9"
    table = plain[plain.index(b"\xff\xdb") :][:69]
    yield "13000-tables.jpg", plain[:2] + table * 13_000 + plain[2:]
    yield "codes-9000-times.jpg", plain[:2] + (b"\xff\xc4\0\x14\0\0\1" + bytes(14) + b"\0") * 9_000 + plain[2:]
    yield "200000-comments.jpg", plain[:2] + b"\xff\xfe\0\2" * 200_000 + plain[2:]
    yield "profile-in-255-parts.jpg", _with_profile(plain, coded_bombs.profile(700_000))
    yield (
        "profile-of-many-points.jpg",
        _with_profile(_flat_jpeg(3_000, 3_000, quality=10), coded_bombs.profile(400_000)),
    )


def _with_profile(plain: bytes, profile: bytes) -> bytes:
    pieces = [profile[at : at + 65_000] for at in range(0, len(profile), 65_000)]
    segments = (
        b"\xff\xe2" + struct.pack(">H", len(piece) + 16) + b"ICC_PROFILE\0" + bytes((number, len(pieces))) + piece
        for number, piece in enumerate(pieces, 1)
    )
    return plain[:2] + b"".join(segments) + plain[2:]


def _gif(width: int, height: int, *frames: tuple[int, int, int, int, int]) -> bytes:
    """A GIF of frames of zeros; each is given as its left, top, width, height and disposal."""
    parts = [b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)]
    for left, top, frame_width, frame_height, disposal in frames:
        parts.append(b"\x21\xf9\4" + bytes((disposal << 2 | 1, 1, 0, 1, 0)))
        box = struct.pack("<HHHHB", left, top, frame_width, frame_height, 0)
        parts.append(b"\x2c" + box + coded_bombs.lzw(frame_width * frame_height))
    return b"".join((*parts, b";"))


def gifs() -> Corpus:
    yield "4-frames-of-1x1-on-6700x6700.gif", _gif(6_700, 6_700, *[(0, 0, 1, 1, 0)] * 4)
    yield "still-6700x6700.gif", _gif(6_700, 6_700, (0, 0, 6_700, 6_700, 0))
    yield "still-9900x9900.gif", _gif(9_900, 9_900, (0, 0, 9_900, 9_900, 0))
    yield "40-frames-of-2200x2200.gif", _gif(2_200, 2_200, *[(0, 0, 2_200, 2_200, 3)] * 40)
    yield "4-frames-of-6700x6700.gif", _gif(6_700, 6_700, *[(0, 0, 6_700, 6_700, 3)] * 4)
    yield "20000-frames-of-99x99.gif", _gif(99, 99, *[(0, 0, 1, 1, 2)] * 20_000)
    yield "800-frames-of-1x1-on-500x500.gif", _gif(500, 500, *[(499, 499, 1, 1, 3)] * 800)
    yield "frames-beyond-the-edge.gif", _gif(9, 9, (0, 0, 9, 9, 0), *[(0, 0, 5_000, 5_000, 0)] * 40)
    yield "400-frames-of-10x10.gif", _gif(10, 10, *[(0, 0, 10, 10, 0)] * 400)
    yield "one-huge-frame-later.gif", _gif(9, 9, (0, 0, 9, 9, 0), (0, 0, 20_000, 20_000, 0))
    yield "frames-far-outside.gif", _gif(9, 9, (0, 0, 9, 9, 0), *[(60_000, 60_000, 5_000, 5_000, 3)] * 40)
    yield (
        "too-many-pixels.gif",
        _gif(40, 40, (0, 0, 40, 40, 0)).replace(coded_bombs.lzw(1_600), coded_bombs.lzw(600_000_000)),
    )
    yield "wide-65535x1500.gif", _gif(65_535, 1_500, (0, 0, 65_535, 1_500, 0))


def bmps() -> Corpus:
    def bmp(width: int, height: int, compression: int, pixels: bytes, bits: int = 8) -> bytes:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
        palette = bytes(4 << bits)
        return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54 + len(palette)) + header + palette + pixels

    yield "runs-6000x6000.bmp", bmp(6_000, 6_000, 1, (b"\xff\1" * 23 + b"\x87\1\0\0") * 6_000 + b"\0\1")
    yield "runs-of-nothing-6000x6000.bmp", bmp(6_000, 6_000, 1, b"\0\1")
    yield "runs-of-nothing-9900x9900.bmp", bmp(9_900, 9_900, 1, b"\0\1")
    yield "runs-of-1.bmp", bmp(1_000, 1_000, 1, b"\1\1" * 490_000 + b"\0\1")
    yield "jumps.bmp", bmp(6_000, 6_000, 1, b"\0\2\1\0" * 245_000 + b"\0\1")
    yield "runs-of-4-bits.bmp", bmp(6_000, 6_000, 2, (b"\xff\1" * 23 + b"\x87\1\0\0") * 6_000 + b"\0\1", 4)
    yield "wide-2000000x16.bmp", bmp(2_000_000, 16, 1, b"\0\1")
    yield "bits-2800x2800.bmp", bmp(2_800, 2_800, 0, bytes(352 * 2_800), 1)


def corpus() -> dict[str, bytes]:
    """All of them, by their names."""
    made: dict[str, bytes] = {}
    groups = [pngs, jpegs, gifs, bmps, coded_bombs.webps, coded_bombs.tiffs, boxed_bombs.avifs, drawn_bombs.svgs]
    groups += [drawn_bombs.pdfs] if find_spec("pypdfium2") else []
    groups += [boxed_bombs.heics] if find_spec("pillow_heif") else []
    for group in groups:
        for name, data in group():
            assert name not in made
            assert len(data) < SMALL, f"{name} has {len(data)} bytes"
            made[name] = data
    return made


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, data in corpus().items():
        (folder / name).write_bytes(data)
