"""Qualities: how many bytes each type takes to look as good as a JPEG of quality 75, and what the defaults come to.

    qualities.py FOLDER

Each photograph of the folder is made as wide as 640 and as 1280 pixels, where it has as many, and encoded as variants
are.  How alike two pictures are is their SSIM: that of brightness, over windows of a Gauss curve of 1.5 pixels.  For
each type, the quality is looked for whose SSIM is that of the JPEG.
"""

from __future__ import annotations

import argparse
import io
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import pyvips

from sqlalchemy_imageattach.imaging import ImagePolicy, probe, resize
from sqlalchemy_imageattach.variants.transform import QUALITIES

WIDTHS = (640, 1280)
KINDS = (("image/jpeg", False), ("image/webp", False), ("image/avif", False), ("image/avif", True))
# Of SSIM, for brightness from 0 to 255.
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Encoded(NamedTuple):
    quality: int
    bytes: int
    ssim: float


def brightness(blob: bytes) -> Any:
    return pyvips.Image.new_from_buffer(blob, "").colourspace("b-w").cast("float")


def ssim(one: Any, other: Any) -> float:
    blurred = [each.gaussblur(1.5) for each in (one, other, one * one, other * other, one * other)]
    mean, other_mean, square, other_square, product = blurred
    variance, other_variance = square - mean * mean, other_square - other_mean * other_mean
    covariance = product - mean * other_mean
    above = (2 * mean * other_mean + C1) * (2 * covariance + C2)
    below = (mean * mean + other_mean * other_mean + C1) * (variance + other_variance + C2)
    return float((above / below).avg())


def readable(blob: bytes) -> bytes:
    """What libvips reads, of an AVIF too."""
    file = io.BytesIO(blob)
    info = probe(file)
    return resize(file, info, info.width, info.height, mimetype="image/png").file.read()


def encoded(reference: bytes, mimetype: str, quality: int, thorough: bool) -> Encoded:
    file = io.BytesIO(reference)
    info = probe(file)
    with resize(
        file, info, info.width, info.height, mimetype=mimetype, quality=quality, thorough=thorough
    ).file as made:
        blob = made.read()
    return Encoded(quality, len(blob), ssim(brightness(reference), brightness(readable(blob))))


def as_good_as(target: float, reference: bytes, mimetype: str, thorough: bool) -> tuple[float, float]:
    """The quality that looks as good, and its bytes; between two qualities, in proportion."""
    low, high = encoded(reference, mimetype, 20, thorough), encoded(reference, mimetype, 95, thorough)
    while high.quality - low.quality > 1:
        middle = encoded(reference, mimetype, (low.quality + high.quality) // 2, thorough)
        low, high = (low, middle) if middle.ssim >= target else (middle, high)
    share = min(1.0, max(0.0, (target - low.ssim) / (high.ssim - low.ssim or 1.0)))
    return low.quality + share * (high.quality - low.quality), low.bytes + share * (high.bytes - low.bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    folder = parser.parse_args().folder
    if folder is None:
        print("give a folder of photographs, and it tells what each type takes")
        return
    for width in WIDTHS:
        references = []
        for path in sorted(folder.iterdir()):
            file = io.BytesIO(path.read_bytes())
            info = probe(file, policy := ImagePolicy(max_pixels=10**8))
            if info.width >= width or width == WIDTHS[0]:
                wide = min(width, info.width)
                size = wide, max(1, round(info.height * wide / info.width))
                references.append(resize(file, info, *size, mimetype="image/png", policy=policy).file.read())
        jpegs = [encoded(each, "image/jpeg", 75, False) for each in references]
        print(
            f"{len(references)} photographs at up to {width} pixels; a JPEG of quality 75 has an SSIM of "
            f"{statistics.mean(each.ssim for each in jpegs):.4f}",
            flush=True,
        )
        for mimetype, thorough in KINDS:
            found = [
                as_good_as(jpeg.ssim, each, mimetype, thorough) for each, jpeg in zip(references, jpegs, strict=True)
            ]
            shares = [count / jpeg.bytes for (_, count), jpeg in zip(found, jpegs, strict=True)]
            default = [encoded(each, mimetype, QUALITIES[mimetype]["medium"], thorough) for each in references]
            own = [each.bytes / jpeg.bytes for each, jpeg in zip(default, jpegs, strict=True)]
            print(
                f"  {mimetype}{' by workers' if thorough else ''}: {statistics.median(shares):.0%} of the bytes "
                f"({min(shares):.0%} to {max(shares):.0%}), by quality {statistics.median(q for q, _ in found):.0f}; "
                f"the default {QUALITIES[mimetype]['medium']}: {statistics.median(own):.0%}, "
                f"SSIM {statistics.mean(each.ssim for each in default):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
