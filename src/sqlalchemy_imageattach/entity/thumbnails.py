"""Making another size of an original, once.

What was made before is found by :func:`find_made`, in memory, or by :func:`lock_and_find`, in the database as it is.
Between the two, :func:`make` decodes, with nothing locked.  It must always be true that

- the size that a thumbnail's row says is that of its file;
- the header of the original is read once, however many sizes are made of it;
- what is asked of uploads is not asked again of an original that is stored: only the limits of decoding hold;
- no database lock is held while an image is decoded.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar, Unpack

from sqlalchemy import Column, inspect
from sqlalchemy.orm import object_session

from ..exc import ImageNotFoundError
from ..transactions.rows.locking import find_current, lock_original
from ..transactions.rows.place import ImageSetRef
from .image import Image

if TYPE_CHECKING:
    from ..imaging import ImagePolicy, Resized
    from ..imaging.picture import Picture, ResizeOptions

__all__ = (
    "WantedSize",
    "find_made",
    "inherited_values",
    "lock_and_find",
    "make",
    "make_from",
    "open_original",
    "pixels",
    "wanted_size",
)

I = TypeVar("I", bound="Image")  # noqa: E741


@dataclass(frozen=True, slots=True)
class WantedSize:
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

        >>> WantedSize(width=150).of((640, 480))
        (150, 113)
        """
        return self._of(original, lambda numerator, denominator: (2 * numerator + denominator) // (2 * denominator))

    def is_nearly(self, size: tuple[int, int], exact: tuple[int, int]) -> bool:
        """Whether an image has the side that is asked for, and its other side is a pixel off at most.

        The other side may have been the one that somebody asked for, and this one the result.

        :param size: width and height of the image, in pixels
        :param exact: what :meth:`of` gives, in pixels
        :returns: whether it serves as well

        >>> WantedSize(width=203).is_nearly((203, 320), (203, 321))
        True
        """
        across = 0 if self.width is not None else 1
        is_given = self.ratio is None and size[across] == exact[across]
        return is_given and abs(size[1 - across] - exact[1 - across]) <= 1

    def formerly_of(self, original: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """The other sizes that a thumbnail may have that was made of an original of the original library.

        That library rounded down.  It also took an original as it lies in the file, not as a camera held it, so that
        what is made of it here may be turned by a right angle.

        :param original: width and height of the original, in pixels
        :returns: widths and heights, in pixels

        >>> list(WantedSize(width=150).formerly_of((640, 480)))
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


def find_made(original: I, images: Iterable[I], wanted: WantedSize) -> I | None:
    """Find the image of a size that was made before.

    :param original: the original
    :param images: the images of its image set
    :param wanted: the size
    :returns: the image, or ``None``
    """
    sizes = [wanted.of(original.size)]
    if getattr(original, "revision", None) is None:
        sizes += wanted.formerly_of(original.size)
    made = {image.size: image for image in images}
    found = next((made[size] for size in sizes if size in made), None)
    return found or next((image for size, image in made.items() if wanted.is_nearly(size, sizes[0])), None)


@contextlib.contextmanager
def open_original(open_source: Callable[[], IO[bytes]], policy: ImagePolicy) -> Iterator[Picture]:
    """Open an original, from which :func:`make_from` makes one size after another.

    :param open_source: opens the original
    :param policy: the limits
    :raises InvalidImageError: when the original is damaged
    """
    # Loaded by what makes sizes: most processes of an application only show them.
    from ..imaging import open_picture
    from ..imaging.policy import limits_of

    # What is wished of uploads was asked when this one came.
    with open_source() as source, open_picture(source, limits_of(policy)) as picture:
        yield picture


def make(
    open_source: Callable[[], IO[bytes]],
    sizes: Iterable[WantedSize],
    policy: ImagePolicy,
    **options: Unpack[ResizeOptions],
) -> list[Resized]:
    """Open an original once, and make sizes of it: all, or none.

    :param open_source: opens the original
    :param sizes: the sizes
    :param policy: the limits
    :param options: for :func:`~.imaging.resize`
    :returns: the files, which the caller closes, and their sizes
    :raises InvalidImageError: when a size is too large, or the original damaged
    """
    with open_original(open_source, policy) as picture, contextlib.ExitStack() as unfinished:
        made = []
        for wanted in sizes:
            made.append(make_from(picture, wanted, **options))
            unfinished.callback(made[-1].file.close)
        unfinished.pop_all()
        return made


def wanted_size(size: Mapping[str, Any]) -> WantedSize:
    """Read a size that a caller gives as a mapping.

    :param size: one of ratio, width and height
    :returns: the same
    :raises TypeError: when it is no such mapping
    :raises ValueError: for what is not positive and finite

    >>> wanted_size({"width": 150}).width
    150
    """
    if not isinstance(size, Mapping) or not size.keys() <= {"ratio", "width", "height"}:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"expected a mapping with one of ratio, width and height, got {size!r}")
    return WantedSize(**size)


def make_from(picture: Picture, wanted: WantedSize, **options: Unpack[ResizeOptions]) -> Resized:
    """Decode an open original, and make another size of it.

    :param picture: the original; it knows best: the original library did not turn what a camera held upright
    :param wanted: the size
    :param options: for :func:`~.imaging.resize`
    :returns: the file, which the caller closes, and its size
    :raises InvalidImageError: when the size is too large, or the original damaged
    """
    return picture.resize(*wanted.of((picture.info.width, picture.info.height)), **options)


def lock_and_find(original: I, place: ImageSetRef, size: tuple[int, int]) -> I | None:
    """Make sure that no other transaction makes the same size until this one ends, or get what one has made.

    :param original: the original, which gets locked
    :param place: its image set
    :param size: width and height in pixels
    :returns: the image that another transaction has made, or ``None``
    :raises ImageNotFoundError: when another transaction has replaced or deleted the original
    """
    session = object_session(original)
    if session is None or not inspect(original).persistent:
        return None
    if not lock_original(session, place.owner, original):
        session.expire(place.owner, [place.relationship.key])
        raise ImageNotFoundError("the original was replaced or deleted by another transaction; try again")
    return next(iter(find_current(session, place, original, width=size[0], height=size[1])), None)


# What is said of each image when it is attached, whatever the model says of these columns.
_OF_EACH_IMAGE = frozenset({"width", "height", "mimetype", "original", "created_at", "revision"})


def inherited_values(original: Any) -> dict[str, Any]:
    """What a row cannot do without, and only the application knows: a thumbnail has it from its original.

    :param original: the original
    :returns: values, by attribute names
    """
    needed = {}
    for attribute in inspect(original).mapper.column_attrs:
        column = attribute.columns[0]
        if not isinstance(column, Column):
            continue  # the database computes it of others
        is_made = column.default is not None or column.server_default is not None or column.autoincrement is True
        if not (column.nullable or is_made or attribute.key in _OF_EACH_IMAGE):
            needed[attribute.key] = getattr(original, attribute.key)
    return needed


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
    if type(value) is int and value > 0:
        return value
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
