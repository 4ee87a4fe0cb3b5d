"""Many image sets in one attribute, told apart by a key column of their images.

::

    album.photos                                    MultipleImageSet: all of them
    album.photos.get_image_set(position=3)          ImageSubset: one of those
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..transactions.place import known_keys
from .image import Image
from .image_set import BaseImageSet
from .key_index import KeyIndex, key_names
from .query import BaseImageQuery

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
        names, known = self._keys()
        for image in self._matching(original=True):
            yield ImageSubset(self, **{name: getattr(image, name) for name in names if name not in known})

    def _among(self, values: Mapping[str, Any]) -> Sequence[I]:
        home: Any = self._current()
        if home._members is None:
            return self._images()
        index: KeyIndex[I] | None = home._index
        if index is None or not index.is_current:
            _, known = home._keys()
            names = key_names(home._place()[1].mapper) - set(known)
            index = home._index = KeyIndex(sorted(names), home._members)
        return index.find(values)

    def _keys(self) -> tuple[list[str], dict[str, Any]]:
        """The key attributes of the images, and those of them that the owner says."""
        try:
            owner, relationship = self._place()
        except TypeError:
            cls: Any = self.column_descriptions[0]["type"]
            return cls.identity_attributes(), {}
        return relationship.mapper.class_.identity_attributes(), known_keys(owner, relationship)


class ImageSubset(BaseImageSet[I]):
    """One image set of a :class:`MultipleImageSet`.

    :param _query: the image sets that it is one of
    :param identity_map: the values of the key attributes that tell it from the others
    :raises TypeError: when a key is missing, or is none
    :raises ValueError: when a key is that of another owner
    """

    def __init__(self, _query: MultipleImageSet[I], **identity_map: Any) -> None:
        names, known = _query._keys()
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
        return len(self._candidates())

    def __iter__(self) -> Iterator[I]:
        return iter(self._candidates())

    def __bool__(self) -> bool:
        return bool(self._candidates())
