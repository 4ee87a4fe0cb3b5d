"""Many image sets in one attribute, told apart by a key column of their images.

::

    album.photos                                    MultipleImageSet: all of them
    album.photos.get_image_set(position=3)          ImageSubset: one of those
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from sqlalchemy import Enum, Integer, String, inspect
from sqlalchemy.orm import object_session

from ..concurrency import run
from .image import Image
from .image_set import BaseImageSet, mark_altering
from .query import BaseImageQuery, as_stored, keys_of, matching, place_of
from .removing import delete_at_once

__all__ = ("ImageSubset", "MultipleImageSet")

I = TypeVar("I", bound="Image")  # noqa: E741


class MultipleImageSet(BaseImageQuery[I]):
    """The image sets of an attribute that has many originals, by ``image_attachment(uselist=True)``: ``album.photos``.

    It is a :class:`~sqlalchemy.orm.Query` of all their images as well.
    """

    def get_image_set(self, **pk: Any) -> ImageSubset[I]:
        """Choose one image set, which need not have any image yet.

        :param pk: the values of the key attributes that tell image sets apart
        :returns: the image set
        :raises TypeError: when a key is missing, or is none
        """
        return ImageSubset(self, **pk)

    @property
    def image_sets(self) -> Iterator[ImageSubset[I]]:
        """All image sets that have an original."""
        names, known = keys_of(self)
        names = [name for name in names if name not in known]
        for image in matching(self, original=True):
            # What its image says needs no check, and an album has thousands.
            subset: ImageSubset[I] = ImageSubset.__new__(ImageSubset)
            subset._query, subset.identity_map = self, {name: getattr(image, name) for name in names}
            yield subset


class ImageSubset(BaseImageSet[I]):
    """One image set of a :class:`MultipleImageSet`.

    :param _query: the image sets that it is one of
    :param identity_map: the values of the key attributes that tell it from the others
    :raises TypeError: when a key is missing, or is none
    :raises ValueError: when a key is that of another owner
    """

    def __init__(self, _query: MultipleImageSet[I], **identity_map: Any) -> None:
        names, known = keys_of(_query)
        required = {name for name in names if name not in known}
        unknown, missing = set(identity_map) - set(names), required - set(identity_map)
        if unknown or missing:
            raise TypeError(
                f"expected values of {', '.join(sorted(required))}"
                + (f"; missing {', '.join(sorted(missing))}" if missing else "")
                + (f"; there is no {', '.join(sorted(unknown))}" if unknown else "")
            )
        for name, value in identity_map.items():
            _check_type(_query, name, value)
        for name, value in known.items():
            if value is not None and identity_map.get(name, value) != value:
                raise ValueError(f"expected {value!r} as {name}, which the owner says, not {identity_map[name]!r}")
        self._query = _query
        self.identity_map = as_stored(_query, identity_map)

    @property
    def query(self) -> MultipleImageSet[I]:
        """The image sets that this is one of."""
        return self._query

    def count(self) -> int:
        """Count the images of this set.

        :returns: how many there are, the original included
        """
        return len(matching(self._query, **self.identity_map))

    def __iter__(self) -> Iterator[I]:
        return iter(matching(self._query, **self.identity_map))

    def __bool__(self) -> bool:
        return self.original is not None

    def __repr__(self) -> str:
        return f"<{self._query!r} where {', '.join(f'{name}={value!r}' for name, value in self.identity_map.items())}>"

    def delete(self) -> int:
        """Delete the images of this set at once, in the session's transaction: rows now, files after the commit.

        :returns: how many there were
        """
        images = matching(self._query, **self.identity_map)
        try:
            session = object_session(place_of(self._query)[0])
        except TypeError:
            session = self._query.session
        if session is None or any(image not in session for image in images):
            for image in images:
                self._query.remove(image)
            return len(images)
        return delete_at_once(session, images)

    async def adelete(self) -> int:
        """Await :meth:`delete`."""
        return await run(self.delete)


def _check_type(query: MultipleImageSet[Any], name: str, value: Any) -> None:
    """Refuse what is not of a column's type before a driver does, or nothing is found."""
    try:
        mapper = place_of(query)[1].mapper
    except TypeError:
        mapper = inspect(query.column_descriptions[0]["entity"])
    kind: Any = mapper.columns[name].type
    if isinstance(kind, Integer) and not isinstance(value, int):
        raise TypeError(f"expected an integer as {name}, got {value!r}")
    if isinstance(kind, String) and not isinstance(kind, Enum) and not isinstance(value, str):
        raise TypeError(f"expected a text as {name}, got {value!r}")


mark_altering(MultipleImageSet)
mark_altering(ImageSubset)
