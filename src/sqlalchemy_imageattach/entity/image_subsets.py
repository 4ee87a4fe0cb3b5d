"""Many image sets in one attribute, told apart by a key column of their images.

::

    album.photos                                    MultipleImageSet: all of them
    album.photos.get_image_set(position=3)          ImageSubset: one of those
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from .image import Image
from .image_set import BaseImageSet
from .query import BaseImageQuery, keys_of, matching

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
        for image in matching(self, original=True):
            yield ImageSubset(self, **{name: getattr(image, name) for name in names if name not in known})


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
        for name, value in known.items():
            if value is not None and identity_map.get(name, value) != value:
                raise ValueError(f"expected {value!r} as {name}, which the owner says, not {identity_map[name]!r}")
        self._query = _query
        self.identity_map = identity_map

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
        return bool(matching(self._query, **self.identity_map))
