"""Comparing a picture with another one, alpha included."""

from __future__ import annotations

from typing import IO

from PIL import Image, ImageChops, ImageStat

__all__ = ("difference", "frames_of")


def difference(made: Image.Image, expected: Image.Image) -> float:
    """Tell the mean difference of two pictures, 0 to 255; what is transparent has no colour.

    :param expected: of any size: it is brought to that of the other
    """
    one, other = made.convert("RGBa"), expected.convert("RGBa")
    if other.size != one.size:
        other = other.resize(one.size, Image.Resampling.LANCZOS)
    # Of this mode, there are no differences.
    pair = [Image.frombytes("RGBA", one.size, image.tobytes()) for image in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*pair)).mean) / 4


def frames_of(file: IO[bytes]) -> list[Image.Image]:
    """Decode all frames of a result, and close it."""
    file.seek(0)
    with file, Image.open(file) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            frames.append(image.convert("RGBA"))
    return frames
