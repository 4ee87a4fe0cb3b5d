"""WebP and BMP: all flags of the one, and all heads of the other."""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from .making import HEIGHT, WIDTH, Collection, exif, matrix_profile, sample, saved, turned

PICTURES = Collection("image/webp")


def _webp(image: Image.Image | None = None, **options: Any) -> bytes:
    return saved(image or sample(), "WEBP", **{"quality": 95, "method": 0, **options})


PICTURES.add("lossy", _webp)
PICTURES.add("lossless", _webp, lossless=True)
PICTURES.add("lossy with alpha", lambda: _webp(sample("RGBA")))
PICTURES.add("lossless with alpha", lambda: _webp(sample("RGBA"), lossless=True))
PICTURES.add("alpha that is opaque", lambda: _webp(sample().convert("RGBA"), lossless=True))
PICTURES.add("a profile of P3", _webp, icc_profile=matrix_profile("p3"), lossless=True)
PICTURES.add(
    "a linear profile that says sRGB", _webp, icc_profile=matrix_profile(gamma=1.0, name="sRGB"), lossless=True
)
PICTURES.add("a profile that is junk", _webp, icc_profile=b"junk" * 40)
for _orientation in (3, 6):
    PICTURES.add(f"orientation {_orientation}", lambda turn: _webp(turned(turn), exif=exif(turn)), _orientation)
PICTURES.add("orientation as JPEG has it", lambda: _webp(exif=b"Exif\0\0" + exif(6)))


def _with_flags(data: bytes, flags: int) -> bytes:
    at = data.index(b"VP8X") + 8
    return data[:at] + bytes([flags]) + data[at + 1 :]


def _with_chunk(data: bytes, name: bytes, payload: bytes, first: bool = False) -> bytes:
    piece = name + struct.pack("<I", len(payload)) + payload + bytes(len(payload) & 1)
    body = data[12:] + piece
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


PICTURES.add("EXIF without its flag", lambda: _with_flags(_webp(exif=exif(6)), 0))
PICTURES.add(
    "a profile without its flag", lambda: _with_flags(_webp(icc_profile=matrix_profile(gamma=1.0), lossless=True), 0)
)
PICTURES.add("alpha without its flag", lambda: _with_flags(_webp(sample("RGBA")), 0))
PICTURES.add("an EXIF flag without EXIF", lambda: _with_flags(_webp(exif=exif(1)), 0x08).replace(b"EXIF", b"abcd"))
PICTURES.add("every flag but of animation", lambda: _with_flags(_webp(exif=exif(6)), 0x3C))
PICTURES.add("EXIF after a simple picture", lambda: _with_chunk(_webp(), b"EXIF", exif(6)))
PICTURES.add("an unknown chunk", lambda: _with_chunk(_webp(), b"abcd", b"x" * 9))
PICTURES.add("rubbish after the end", lambda: _webp() + b"rubbish")


def _animation(**options: Any) -> bytes:
    frames = [sample("RGBA"), sample("RGBA").rotate(180), Image.new("RGBA", (WIDTH, HEIGHT), (255, 0, 0, 100))]
    return saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100, method=0, **options)


PICTURES.add("frames", _animation, quality=95)
PICTURES.add("lossless frames", _animation, lossless=True)
PICTURES.add("frames with a background", _animation, background=(0, 255, 0, 255), lossless=True)
PICTURES.add("frames with a profile", _animation, icc_profile=matrix_profile(gamma=1.0), lossless=True)
PICTURES.add("frames with an orientation", _animation, exif=exif(6), lossless=True)


def _parts(disposal: int, blending: int) -> bytes:
    """Frames that fill a part of the canvas each."""
    body = (
        b"VP8X"
        + struct.pack("<I", 10)
        + bytes([0x12, 0, 0, 0])
        + (WIDTH - 1).to_bytes(3, "little")
        + (HEIGHT - 1).to_bytes(3, "little")
    )
    body += b"ANIM" + struct.pack("<IIH", 6, 0xFF00FF00, 0)
    for left, top, image in (
        (0, 0, sample("RGBA")),
        (8, 8, Image.new("RGBA", (40, 30), (255, 0, 0, 128))),
        (40, 20, Image.new("RGBA", (40, 30), (0, 0, 255, 255))),
        (20, 10, Image.new("RGBA", (40, 30), (0, 255, 255, 60))),
    ):
        inner = saved(image, "WEBP", lossless=True, exact=True)
        inner = inner[inner.index(b"VP8L") :]
        payload = b"".join(
            value.to_bytes(3, "little") for value in (left // 2, top // 2, image.width - 1, image.height - 1, 100)
        )
        payload += bytes([disposal | (0 if blending else 2)]) + inner
        body += b"ANMF" + struct.pack("<I", len(payload)) + payload + bytes(len(payload) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


for _disposal in (0, 1):
    for _blending in (0, 1):
        PICTURES.add(f"parts of disposal {_disposal} and blending {_blending}", _parts, _disposal, _blending)

BITMAPS = Collection("image/bmp")


def _bmp(
    bits: int,
    rows: bytes,
    head: int = 40,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    width: int = WIDTH,
    height: int = HEIGHT,
    more: bytes = b"",
    after: bytes = b"",
) -> bytes:
    info = struct.pack(
        "<IiiHHIIiiII", head, width, height, 1, bits, compression, len(rows), 2835, 2835, len(palette) // 4, 0
    )
    info += b"".join(struct.pack("<I", mask) for mask in masks) + more
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows + after


def _upwards(image: Image.Image, mode: str) -> bytes:
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", mode)


def _of_16_bits(green_bits: int) -> bytes:
    rows = _upwards(sample(), "RGB")
    packed = []
    for red, green, blue in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        packed.append(red >> 3 << 5 + green_bits | green >> 8 - green_bits << 5 | blue >> 3)
    return struct.pack(f"<{len(packed)}H", *packed)


_V4_SRGB = b"BGRs" + bytes(48)
_V5_END = struct.pack("<IIII", 4, 0, 0, 0)
_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
BITMAPS.add("by Pillow", lambda: saved(sample(), "BMP"))
BITMAPS.add("gray by Pillow", lambda: saved(sample("L"), "BMP"))
BITMAPS.add("1 bit by Pillow", lambda: saved(sample("1"), "BMP"))
BITMAPS.add("a palette by Pillow", lambda: saved(sample().quantize(50), "BMP"))
BITMAPS.add("32 bits", lambda: _bmp(32, _upwards(sample("RGBA"), "BGRA")))
BITMAPS.add("32 bits, all transparent", lambda: _bmp(32, _upwards(sample(), "BGRX")))
BITMAPS.add("32 bits by masks", lambda: _bmp(32, _upwards(sample("RGBA"), "BGRA"), compression=3, masks=_MASKS[:3]))
BITMAPS.add("alpha under a V3 header", lambda: _bmp(32, _upwards(sample("RGBA"), "BGRA"), 56, 3, _MASKS))
BITMAPS.add(
    "alpha under a V4 header", lambda: _bmp(32, _upwards(sample("RGBA"), "BGRA"), 108, 3, _MASKS, more=_V4_SRGB)
)
BITMAPS.add(
    "alpha under a V5 header",
    lambda: _bmp(32, _upwards(sample("RGBA"), "BGRA"), 124, 3, _MASKS, more=_V4_SRGB + _V5_END),
)
BITMAPS.add("V4 without compression", lambda: _bmp(32, _upwards(sample("RGBA"), "BGRA"), 108, 0, _MASKS, more=_V4_SRGB))
BITMAPS.add("top-down", lambda: _bmp(24, sample().tobytes("raw", "BGR"), height=-HEIGHT))
BITMAPS.add("top-down, 32 bits", lambda: _bmp(32, sample("RGBA").tobytes("raw", "BGRA"), height=-HEIGHT))
BITMAPS.add("16 bits", lambda: _bmp(16, _of_16_bits(5)))
BITMAPS.add("16 bits by masks 565", lambda: _bmp(16, _of_16_bits(6), 40, 3, (0xF800, 0x7E0, 0x1F)))


def _linear_v5(profile: bytes) -> bytes:
    more = b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 124 + WIDTH * HEIGHT * 3, len(profile), 0)
    return _bmp(24, _upwards(sample(), "BGR"), 124, 0, (0, 0, 0, 0), more=more, after=profile)


BITMAPS.add("a linear profile under a V5 header", lambda: _linear_v5(matrix_profile(gamma=1.0)))
BITMAPS.add("a profile of P3 under a V5 header", lambda: _linear_v5(matrix_profile("p3")))


def _calibrated(gamma: float) -> bytes:
    ends = (0.64, 0.33, 0.03, 0.30, 0.60, 0.10, 0.15, 0.06, 0.79)
    more = (
        bytes(4)
        + struct.pack("<9I", *(round(end * 2**30) for end in ends))
        + struct.pack("<3I", *[round(gamma * 65536)] * 3)
    )
    return _bmp(24, _upwards(sample(), "BGR"), 108, 0, (0, 0, 0, 0), more=more)


BITMAPS.add("calibrated, linear, under a V4 header", lambda: _calibrated(1.0))


def _runs(bits: int) -> bytes:
    """RLE8 or RLE4 with a skip, absolute runs and the end of the picture before its last row."""
    palette = b"".join(
        bytes((color[2], color[1], color[0], 0))
        for color in ((255, 255, 255), (230, 40, 30), (20, 200, 90), (40, 60, 220))
    )
    rows = b""
    for row in range(HEIGHT - 4):
        if bits == 8:
            rows += bytes((48, 1 + row // 64, 0, 2, 8, 0, 0, 5)) + bytes((3, 2, 1, 3, 2, 0)) + bytes((20, 3))
        else:
            rows += bytes((48, 0x11 * (1 + row // 64), 0, 2, 8, 0, 0, 4)) + bytes((0x32, 0x13)) + bytes((20, 0x33))
        rows += b"\0\0"
    rows += b"\0\1"
    return _bmp(bits, rows, 40, 1 if bits == 8 else 2, palette=palette)


BITMAPS.add("runs of 8 bits", _runs, 8)
BITMAPS.add("runs of 4 bits", _runs, 4)


@BITMAPS
def of_OS2() -> bytes:
    rows = _upwards(sample(), "BGR")
    return (
        b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24) + rows
    )
