"""One image set as a flush knows it: an owner, its attribute, and the values that tell the set from others.

Its criteria say in SQL which rows it has.  They may stand in one statement with those of other image sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, bindparam, inspect
from sqlalchemy.orm import RelationshipProperty, with_parent
from sqlalchemy.sql.visitors import replacement_traverse

__all__ = ("Place", "are_of", "known_keys", "order_of")


class Place(NamedTuple):
    """One image set: the images of an owner that have these values."""

    owner: Any
    relationship: RelationshipProperty[Any]
    values: tuple[tuple[str, Any], ...]

    def criteria(self) -> list[ColumnElement[bool]]:
        """Say in SQL which images these are.

        :returns: criteria
        """
        cls = self.relationship.mapper.class_
        criteria: list[Any] = [are_of(self.owner, self.relationship)]
        return criteria + [getattr(cls, name) == value for name, value in self.values]

    def known_values(self) -> dict[str, Any]:
        """Say which values these images have in common.

        :returns: values of attributes, as far as they are known without SQL
        """
        return known_keys(self.owner, self.relationship) | dict(sorted(self.values))

    def order(self) -> tuple[Any, ...]:
        """Say in which order image sets are locked.

        :returns: a key to sort by
        """
        identity = inspect(self.owner).identity or ()
        return str(self.relationship), order_of(identity), order_of([value for _, value in self.values])


def are_of(owner: Any, relationship: RelationshipProperty[Any]) -> ColumnElement[bool]:
    """Say in SQL which images are of an owner.

    :param owner: an entity that images are attached to
    :param relationship: the attribute
    :returns: a criterion, which may stand in one statement with those of other owners
    """

    def rename(element: Any, **_: Any) -> Any:
        # Once a relationship was loaded lazily, SQLAlchemy gives the parameters of all its criteria the same name, and
        # of several in one statement, the last one's value would hold for all.
        if not isinstance(element, BindParameter) or element.callable is None:
            return None
        return bindparam(None, type_=element.type, unique=True, callable_=element.callable)

    return replacement_traverse(with_parent(owner, relationship.class_attribute), {}, rename)


def known_keys(owner: Any, relationship: Any) -> dict[str, Any]:
    """The attributes of an image that its owner says.

    :param owner: an entity that images are attached to
    :param relationship: the attribute
    :returns: their values by name, as far as they are known without SQL
    """
    state = inspect(owner)
    name_of = state.mapper.get_property_by_column
    identity = dict(zip(map(name_of, state.mapper.primary_key), state.identity or (), strict=False))
    known = {}
    for local, remote in relationship.local_remote_pairs:
        attribute = name_of(local)
        value = identity.get(attribute, state.dict.get(attribute.key))
        known[relationship.mapper.get_property_by_column(remote).key] = value
    return known


def order_of(identity: Sequence[Any]) -> list[tuple[bool, Any]]:
    """A key to sort identities by, whatever types they are of."""
    return [(True, value) if isinstance(value, int) else (False, str(value)) for value in identity]
