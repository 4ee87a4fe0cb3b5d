"""What a transform comes to for one original: which part of it is shown, and how large.

Everything here is a function of integers, and exact: no float decides about a pixel, so that each process and each
machine makes the same URL.  A side that is not whole is rounded to the nearest pixel, halves up, as thumbnails are.  It
must always be true that

- a window lies within the original, and is at least 1 pixel wide and high;
- without ``upscale`` nothing is enlarged;
- a window and the size that it is shown at have the same shape, to the pixel, but where it is stretched on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from .transform import COMPASS, Transform, has_own_shape

__all__ = ("LADDER", "Fitted", "Window", "fitted", "inside", "ladder")

#: Widths in pixels that suit every original: each about a third more than the one before.
LADDER = (32, 48, 64, 96, 128, 192, 256, 384, 512, 640, 768, 960, 1280, 1600, 1920, 2560)

#: Left, top, width and height, in pixels.
Window = tuple[int, int, int, int]
_Size = tuple[int, int]


class Fitted(NamedTuple):
    """What to show of an original, and how large."""

    width: int
    height: int
    #: The part of the original that is shown; ``None`` for all of it.
    window: Window | None
    #: Whether the window keeps its shape, and what is left of the size is padded.
    padded: bool
    #: Whether the part to show is yet to be chosen within the window, by what catches the eye.
    attention: bool


@lru_cache(maxsize=1024)
def fitted(transform: Transform, original: _Size, focal: tuple[float, float] | None, enlarge: bool) -> Fitted:
    """Find out what a transform comes to.

    :param transform: the transform
    :param original: width and height of the original, in pixels
    :param focal: the point that crops keep by default, each coordinate from 0 to 1
    :param enlarge: whether sizes above the original's are made, whatever the transform says
    :returns: the part and the size
    :raises ValueError: when ``crop`` is not within the original

    >>> fitted(Transform(width=200, height=200, fit="cover"), (640, 480), None, False)
    Fitted(width=200, height=200, window=(80, 0, 480, 480), padded=False, attention=False)
    """
    frame = _framed(transform, original, focal)
    width, height = _size(transform, frame, transform.upscale or enlarge)
    return _finished(transform, frame, original, width, height)


@lru_cache(maxsize=1024)
def ladder(
    transform: Transform, original: _Size, focal: tuple[float, float] | None, widths: tuple[int, ...]
) -> tuple[Fitted, ...]:
    """Find out what a transform comes to at several widths, for a browser to choose from.

    :param transform: the transform; of its width and height only their shape counts
    :param original: width and height of the original, in pixels
    :param focal: the point that crops keep by default
    :param widths: pixels, in any order
    :returns: the same part at each width, ascending; in the place of those that are too wide the widest that the
        original has
    :raises ValueError: when ``crop`` is not within the original

    >>> [each.width for each in ladder(Transform(format="webp"), (640, 480), None, (320, 200, 1000, 2000))]
    [200, 320, 640]
    """
    frame = _framed(transform, original, focal)
    most, height_of_most = frame.most
    made = []
    for width in sorted(_within(widths, most)):
        height = height_of_most if width == most else _scaled(width, frame.shape[1], frame.shape[0])
        made.append(_finished(transform, frame, original, width, height))
    return tuple(made)


def inside(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Find the largest of a shape within a size.

    :param shape: two numbers
    :param size: width and height, in pixels
    :returns: width and height, in pixels

    >>> inside((16, 9), (640, 480))
    (640, 360)
    """
    if shape[0] * size[1] >= shape[1] * size[0]:
        return size[0], min(size[1], _scaled(size[0], shape[1], shape[0]))
    return min(size[0], _scaled(size[1], shape[0], shape[1])), size[1]


class _Frame(NamedTuple):
    """A transform for an original, whatever its size."""

    #: The part of the original that is looked at, and the part of that which is shown.
    region: Window
    window: Window
    #: The shape of the result, as two numbers.
    shape: _Size
    #: The largest result in which nothing is enlarged.
    most: _Size


def _framed(transform: Transform, original: _Size, focal: tuple[float, float] | None) -> _Frame:
    region = (0, 0, *original) if transform.crop is None else transform.crop
    left, top, width, height = region
    if left + width > original[0] or top + height > original[1]:
        raise ValueError(
            f"expected crop to be within the original, of {original[0]}x{original[1]} pixels, got {transform.crop!r}"
        )
    if not has_own_shape(transform):
        return _Frame(region, region, (width, height), (width, height))
    if transform.ratio is None:
        assert transform.width is not None
        assert transform.height is not None
        shape = transform.width, transform.height
    else:
        numerator, _, denominator = transform.ratio.partition("/")
        shape = int(numerator), int(denominator)
    if transform.fit == "contain":
        return _Frame(region, region, shape, _around(shape, (width, height)))
    most = inside(shape, (width, height))
    if transform.fit == "fill" or transform.gravity == "attention":
        return _Frame(region, region, shape, most)
    x, y = _corner(transform.gravity if transform.gravity is not None else focal, original, region, most)
    return _Frame(region, (x, y, *most), shape, most)


def _size(transform: Transform, frame: _Frame, enlarge: bool) -> _Size:
    width, height = transform.width, transform.height
    if width is None and height is None:
        return frame.most
    if width is not None and height is not None:
        if transform.fit == "inside":
            width, height = inside(frame.shape, (width, height))
        elif transform.fit == "fill" and not enlarge:
            return min(width, frame.region[2]), min(height, frame.region[3])
    elif width is not None:
        height = _scaled(width, frame.shape[1], frame.shape[0])
    else:
        assert height is not None
        width = _scaled(height, frame.shape[0], frame.shape[1])
    if not enlarge and (width > frame.most[0] or height > frame.most[1]):
        return frame.most
    return width, height


def _finished(transform: Transform, frame: _Frame, original: _Size, width: int, height: int) -> Fitted:
    is_attention = transform.gravity == "attention" and transform.fit == "cover" and has_own_shape(transform)
    # Where nothing can be cut off, there is nothing to choose.
    is_attention = is_attention and inside((width, height), frame.region[2:]) != frame.region[2:]
    is_padded = transform.fit == "contain" and inside(frame.window[2:], (width, height)) != (width, height)
    window = None if frame.window == (0, 0, *original) else frame.window
    return Fitted(width, height, window, is_padded, is_attention)


def _within(widths: Iterable[int], most: int) -> set[int]:
    return {min(width, most) for width in widths}


def _around(shape: _Size, size: _Size) -> _Size:
    """The smallest of a shape around a size."""
    if shape[0] * size[1] >= shape[1] * size[0]:
        return max(size[0], _scaled(size[1], shape[0], shape[1])), size[1]
    return size[0], max(size[1], _scaled(size[0], shape[1], shape[0]))


def _scaled(length: int, numerator: int, denominator: int) -> int:
    return max(1, (2 * length * numerator + denominator) // (2 * denominator))


def _corner(gravity: str | tuple[float, float] | None, original: _Size, region: Window, size: _Size) -> _Size:
    """Where a window begins within a region, so that it keeps what it is to keep."""
    if gravity is None or isinstance(gravity, str):
        halves = COMPASS[gravity or "center"]
        return (
            region[0] + (region[2] - size[0]) * halves[0] // 2,
            region[1] + (region[3] - size[1]) * halves[1] // 2,
        )
    corner = []
    for axis in (0, 1):
        # The point in the middle, as far as the region goes.
        numerator, denominator = gravity[axis].as_integer_ratio()
        begin = (2 * numerator * original[axis] - size[axis] * denominator + denominator) // (2 * denominator)
        corner.append(min(max(begin, region[axis]), region[axis] + region[2 + axis] - size[axis]))
    return corner[0], corner[1]
