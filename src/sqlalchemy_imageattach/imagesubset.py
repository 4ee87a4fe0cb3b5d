"""Many image sets in one attribute, told apart by a key column of their images.

::

    album.photos                                    MultipleImageSet: all of them
    album.photos.get_image_set(position=3)          ImageSubset: one of those

An album may hold thousands of photos, so that its images are looked up in an index by key, and not one by one.  It must
always be true that what the index says is what a look at every image would have said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.base import NO_VALUE

from .imagequery import BaseImageQuery
from .imageset import BaseImageSet
from .rows import known_keys

if TYPE_CHECKING:
    from .entity import Image

__all__ = ("ImageSubset", "MultipleImageSet", "watch_keys")

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
        index: _Index[I] | None = home._index
        if index is None or not index.is_current:
            _, known = home._keys()
            names = _key_names(home._place()[1].mapper) - set(known)
            index = home._index = _Index(sorted(names), home._members)
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


def watch_keys(mapper: Mapper[Any]) -> None:
    """Have indexes notice when the key of an image of a class changes.

    :param mapper: the mapper of the class
    """
    names = _key_names(mapper)

    def when_set(image: Any, value: Any, former: Any, initiator: Any) -> None:
        # An image without a key is in no place of an index that it could leave.
        if former is not None and former is not NO_VALUE:
            _forget_indexes()

    def when_deleted(image: Any, former: Any, initiator: Any) -> None:
        _forget_indexes()

    def when_expired(image: Any, attributes: Iterable[str] | None) -> None:
        if attributes is None or not names.isdisjoint(attributes):
            _forget_indexes()

    def when_loaded(image: Any, context: Any, attributes: Iterable[str] | None) -> None:
        when_expired(image, attributes)

    for name in names:
        attribute = mapper.attrs[name].class_attribute
        event.listen(attribute, "set", when_set)
        event.listen(attribute, "remove", when_deleted)
    event.listen(mapper.class_, "expire", when_expired)
    event.listen(mapper.class_, "refresh", when_loaded)


def _key_names(mapper: Mapper[Any]) -> set[str]:
    """The attributes that may tell image sets apart."""
    return {mapper.get_property_by_column(column).key for column in mapper.primary_key} - {"width", "height"}


class _Index(Generic[I]):
    """The images of a collection by the values of some attributes, until one is removed or a key changes.

    :param names: the attributes
    :param members: the list that the collection appends to
    """

    def __init__(self, names: Sequence[str], members: Sequence[I]) -> None:
        self._names = names
        self._members = members
        self._seen = 0
        self._groups: defaultdict[tuple[Any, ...] | None, list[I]] = defaultdict(list)
        # From before any key is read, since reading may load.
        self._last_change = _last_change

    @property
    def is_current(self) -> bool:
        return self._last_change is _last_change

    def find(self, values: Mapping[str, Any]) -> Sequence[I]:
        """Images, all those with these values among them."""
        try:
            key = tuple(values[name] for name in self._names)
            hash(key)
        except (KeyError, TypeError):  # not all attributes are given; or it is a value that no key can have
            return self._members
        while self._seen < len(self._members):
            image = self._members[self._seen]
            group = tuple(getattr(image, name) for name in self._names)
            # A key that the database will make is noticed by nobody.
            self._groups[None if None in group else group].append(image)
            self._seen += 1
        return [*self._groups.get(key, ()), *self._groups.get(None, ())]


# Of any image in any thread. A new object is unlike all former ones, whoever makes another at the same time.
_last_change = object()


def _forget_indexes() -> None:
    global _last_change
    _last_change = object()
