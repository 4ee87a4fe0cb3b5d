"""The images of a collection by the values of their keys.

An album may hold thousands of photos, so that its images are looked up by key, and not one by one.  It must always be
true that what the index says is what a look at every image would have said.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.base import NO_VALUE

from .image import Image

__all__ = ("KeyIndex", "folded", "key_names", "watch_keys")

I = TypeVar("I", bound=Image)  # noqa: E741


def watch_keys(mapper: Mapper[Any]) -> None:
    """Have indexes notice when the key of an image of a class changes.

    :param mapper: the mapper of the class
    """
    names = key_names(mapper)

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


def key_names(mapper: Mapper[Any]) -> set[str]:
    """The attributes that may tell image sets apart."""
    return {mapper.get_property_by_column(column).key for column in mapper.primary_key} - {"width", "height"}


def folded(value: Any) -> Any:
    """Make texts equal that a database may take for equal.

    :param value: the value of a key
    :returns: a text without its case, its accents and the spaces at its end; what is no text, as it is

    >>> folded("Ève ")
    'eve'
    """
    if not isinstance(value, str):
        return value
    if not value.isascii():
        value = "".join(letter for letter in unicodedata.normalize("NFKD", value) if not unicodedata.combining(letter))
    return value.casefold().rstrip()


class KeyIndex(Generic[I]):
    """The images of a collection by the values of some attributes, until one is removed or a key changes.

    :param names: the attributes
    :param members: the list that the collection appends to
    """

    def __init__(self, names: Sequence[str], members: Sequence[I]) -> None:
        self._names = names
        self._key_of: Callable[[I], Any] = attrgetter(*names) if names else id
        self._members = members
        self._seen = 0
        # By a tuple of values, or of one attribute by its value.
        self._groups: defaultdict[Any, list[I]] = defaultdict(list)
        # From before any key is read, since reading may load.
        self._last_change = _last_change

    @property
    def is_current(self) -> bool:
        return self._last_change is _last_change

    def find(self, values: Mapping[str, Any]) -> Sequence[I]:
        """Images, all those with these values among them."""
        names, groups = self._names, self._groups
        if not names:
            return self._members
        try:
            key = values[names[0]] if len(names) == 1 else tuple([values[name] for name in names])
            if type(key) is not int:
                key = _group_of(key)
                hash(key)
        except (KeyError, TypeError):  # not all attributes are given; or it is a value that no key can have
            return self._members
        members, key_of = self._members, self._key_of
        while self._seen < len(members):
            image = members[self._seen]
            group = key_of(image)
            groups[group if type(group) is int else _group_of(group)].append(image)
            self._seen += 1
        found, unknown = () if key is None else groups.get(key, ()), groups.get(None)
        return [*found, *unknown] if unknown else found


def _group_of(key: Any) -> Any:
    """The group of a key, of one attribute or of several; those that the database has yet to make are in one, since no
    event says when it has."""
    if not isinstance(key, tuple):
        return folded(key)
    group = tuple(map(folded, key))
    return None if None in group else group


# Of any image in any thread. A new object is unlike all former ones, even when two threads make one at the same time.
_last_change = object()


def _forget_indexes() -> None:
    global _last_change
    _last_change = object()
