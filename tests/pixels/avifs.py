"""AVIF: colours by number, more than eight bits, alpha, turns, frames."""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from .making import HEIGHT, WIDTH, Collection, exif, matrix_profile, sample, saved, turned

PICTURES = Collection("image/avif")


def _avif(image: Image.Image | None = None, **options: Any) -> bytes:
    return saved(image or sample(), "AVIF", **{"quality": 95, "speed": 10, "subsampling": "4:4:4", **options})


def _vips(bits: int = 8, mode: str = "RGB", **options: Any) -> bytes:
    import pyvips

    image = sample(mode)
    made = pyvips.Image.new_from_memory(image.tobytes(), image.width, image.height, len(mode), "uchar").copy(
        interpretation="srgb"
    )
    if bits > 8:
        made = made.colourspace("rgb16")
    return bytes(
        made.heifsave_buffer(compression="av1", Q=95, effort=0, bitdepth=bits, subsample_mode="off", **options)
    )


def _as_colors(data: bytes, primaries: int, transfer: int, matrix: int = 6, full: int = 1) -> bytes:
    """Says other colours in every place: in the box, and in the bitstream nothing is said where a box is."""
    at = 0
    while (at := data.find(b"colrnclx", at)) >= 0:
        data = data[: at + 8] + struct.pack(">HHHB", primaries, transfer, matrix, full << 7) + data[at + 15 :]
        at += 8
    return data


PICTURES.add("plain", _avif)
PICTURES.add("subsampled", _avif, subsampling="4:2:0")
PICTURES.add("gray", lambda: _avif(sample("L"), subsampling="4:0:0"))
PICTURES.add("alpha", lambda: _avif(sample("RGBA")))
PICTURES.add("a narrow range", _avif, range="limited")
PICTURES.add("a profile of P3", _avif, icc_profile=matrix_profile("p3"))
PICTURES.add("a linear profile", _avif, icc_profile=matrix_profile(gamma=1.0))
PICTURES.add("10 bits", _vips, 10)
PICTURES.add("12 bits", _vips, 12)
PICTURES.add("10 bits with alpha", _vips, 10, "RGBA")
PICTURES.add("lossless", lambda: _vips(8, lossless=True))
for _name, _colors in {
    "P3": (12, 13),
    "BT.2020": (9, 14),
    "linear": (1, 8),
    "BT.709": (1, 1),
    "gamma 2.2": (1, 4),
    "gamma 2.8": (1, 5),
    "unspecified": (2, 2),
    "PQ": (9, 16),
    "HLG": (9, 18),
}.items():
    PICTURES.add(f"colours by number, {_name}", lambda colors: _as_colors(_avif(), *colors), _colors)
PICTURES.add("10 bits, PQ", lambda: _as_colors(_vips(10), 9, 16, 1))
for _orientation in range(2, 9):
    PICTURES.add(f"turned by {_orientation}", lambda turn: _avif(turned(turn), exif=exif(turn)), _orientation)


def _animation(**options: Any) -> bytes:
    frames = [sample("RGBA"), sample("RGBA").rotate(180), Image.new("RGBA", (WIDTH, HEIGHT), (255, 0, 0, 100))]
    return saved(
        frames[0], "AVIF", save_all=True, append_images=frames[1:], duration=100, speed=10, quality=90, **options
    )


PICTURES.add("frames", _animation)
PICTURES.add("one pixel", lambda: _avif(Image.new("RGB", (1, 1), (200, 120, 60))))
