"""Which size a caller wants, and what an original becomes by that.

A thumbnail is wanted by one of a ratio, a width and a height; the rest follows from the original's shape.  It must
always be true that

- a size is at least 1 pixel wide and high;
- it is reckoned in integers: in floats, a very flat or very large picture would be a pixel off.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ("Wanted", "pixels")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The size that a caller wants: one of these.

    :param ratio: how many times the original's width and height
    :param width: pixels
    :param height: pixels
    :raises TypeError: for none, for two, and for what is no number
    :raises ValueError: for what is not positive and finite
    """

    ratio: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("ratio", "width", "height") if getattr(self, name) is not None]
        if len(given) != 1:
            raise TypeError(f"expected one of ratio, width and height, not {' and '.join(given) or 'none of them'}")
        (name,) = given
        check = _factor if name == "ratio" else pixels
        object.__setattr__(self, name, check(name, getattr(self, name)))

    def of(self, original: tuple[int, int]) -> tuple[int, int]:
        """The size of a thumbnail, each side rounded to the nearest pixel, halves up.

        :param original: width and height of the original, in pixels
        :returns: width and height, in pixels

        >>> Wanted(width=150).of((640, 480))
        (150, 113)
        """
        return self._of(original, lambda numerator, denominator: (2 * numerator + denominator) // (2 * denominator))

    def formerly_of(self, original: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """The other sizes that a thumbnail may have that was made of an original of the original library.

        That library rounded down.  It also took an original as it lies in the file, not as a camera held it, so that
        what is made of it here may be turned by a right angle.

        :param original: width and height of the original, in pixels
        :returns: widths and heights, in pixels

        >>> list(Wanted(width=150).formerly_of((640, 480)))
        [(150, 112), (150, 112), (150, 113), (150, 200)]
        """
        width, height = self.of(original)
        # It reckoned in floats, where a whole number may come out smaller, and lose a pixel.
        less_wide, less_high = self._of(original, lambda numerator, denominator: (numerator - 1) // denominator)
        yield less_wide, less_high
        yield width, less_high
        yield less_wide, height
        yield self.of((original[1], original[0]))

    def _of(self, original: tuple[int, int], rounded: Callable[[int, int], int]) -> tuple[int, int]:
        width, height = original
        if self.width is not None:
            return self.width, max(1, rounded(height * self.width, width))
        if self.height is not None:
            return max(1, rounded(width * self.height, height)), self.height
        assert self.ratio is not None
        numerator, denominator = self.ratio.as_integer_ratio()
        return max(1, rounded(width * numerator, denominator)), max(1, rounded(height * numerator, denominator))


def pixels(name: str, value: Any) -> int:
    """Check a number of pixels.

    :param name: what the caller calls it
    :param value: what the caller gave
    :returns: the same, as a plain ``int``
    :raises TypeError: when it is no integer
    :raises ValueError: when it is not positive

    >>> pixels("width", 150)
    150
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"expected an integer as {name}, not {value!r}")
    if value < 1:
        raise ValueError(f"expected a {name} of at least 1 pixel, not {value!r}")
    return int(value)


def _factor(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"expected a real number as {name}, not {value!r}")
    try:
        factor = float(value)
    except OverflowError:
        factor = math.inf
    if not 0 < factor < math.inf:
        raise ValueError(f"expected a positive, finite {name}, not {value!r}")
    return factor
