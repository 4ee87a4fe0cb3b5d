"""Making another size of an original, once.

What was made before is found by :func:`find_made`, in memory, or by :func:`claim`, in the database as it is now.
Between the two, :func:`make` decodes, with nothing locked.  It must always be true that

- the size that a thumbnail's row says is that of its file;
- what is asked of uploads is not asked again of an original that is stored: only the limits of decoding hold;
- no database lock is held while an image is decoded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import IO, Any, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm import object_session

from ..exc import ImageNotFoundError
from ..imaging import ImagePolicy, Resized, probe, resize
from ..transactions.rows.locking import find_current, lock_original
from ..transactions.rows.place import Place
from .image import Image
from .sizes import Wanted

__all__ = ("claim", "find_made", "inherited", "make")

I = TypeVar("I", bound="Image")  # noqa: E741


def find_made(original: I, images: Iterable[I], wanted: Wanted) -> I | None:
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
    return next((made[size] for size in sizes if size in made), None)


def make(open_source: Callable[[], IO[bytes]], wanted: Wanted, policy: ImagePolicy, **options: Any) -> Resized:
    """Decode an original, and make another size of it.

    :param open_source: opens the original
    :param wanted: the size
    :param policy: the limits
    :param options: for :func:`~.imaging.resize`
    :returns: the file, which the caller closes, and its size
    :raises InvalidImageError: when the size is too large, or the original damaged
    """
    # What is wished of uploads was asked when this one came.
    policy = dataclasses.replace(
        policy, types=None, min_side=None, max_side=None, min_aspect_ratio=None, max_aspect_ratio=None
    )
    with open_source() as source:
        # The file knows best: the original library did not turn what a camera held upright.
        info = probe(source, policy)
        size = wanted.of((info.width, info.height))
        return resize(source, info, *size, policy=policy, **options)


def claim(original: I, place: Place, size: tuple[int, int]) -> I | None:
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


def inherited(original: Any) -> dict[str, Any]:
    """What a row cannot do without, and only the application knows: a thumbnail has it from its original.

    :param original: the original
    :returns: values, by attribute names
    """
    needed = {}
    for attribute in inspect(original).mapper.column_attrs:
        column: Any = attribute.columns[0]
        is_made = column.default is not None or column.server_default is not None or column.autoincrement is True
        if not (column.nullable or is_made or attribute.key in _OF_EACH_IMAGE):
            needed[attribute.key] = getattr(original, attribute.key)
    return needed
