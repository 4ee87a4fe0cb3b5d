"""One image set as a flush knows it: an owner, its attribute, and the values that tell the set from others.

Its criteria say in SQL which rows it has.  They may stand in one statement with those of other image sets.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    Column,
    ColumnElement,
    and_,
    bindparam,
    inspect,
    or_,
)
from sqlalchemy.orm import InstanceState, Mapper, RelationshipDirection, RelationshipProperty, Session, with_parent
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.sql.operators import and_ as and_operator
from sqlalchemy.sql.visitors import replacement_traverse

__all__ = (
    "ATTACHMENT_KEY",
    "ImageSetRef",
    "any_of",
    "are_of",
    "attachments_of",
    "attachments_to",
    "committed_value",
    "known_keys",
    "order_of",
    "place_names",
    "register_attachments",
    "stand_in",
)

#: The key in the ``info`` of a relationship that says that images are attached by it; true for one of many image sets.
ATTACHMENT_KEY = "image_attachment"

# The keys in the ``info`` that SQLAlchemy keeps for each class: its attachments; of images, those that lead to them,
# the attributes that say where they are.
_OF_KEY, _TO_KEY, _NAMES_KEY = "image_attachments_of", "image_attachments_to", "image_place_names"

# The key in the ``info`` of a relationship under which its join is remembered.
_JOIN_KEY = "image_attachment_join"

_Attachment = RelationshipProperty[Any]


class ImageSetRef(NamedTuple):
    """One image set: the images of an owner that have these values."""

    owner: Any
    relationship: RelationshipProperty[Any]
    values: tuple[tuple[str, Any], ...]

    def criteria(self) -> list[ColumnElement[bool]]:
        """Say in SQL which images these are.

        :returns: criteria
        """
        columns = self.relationship.mapper.columns
        criteria: list[Any] = [are_of(self.owner, self.relationship)]
        return criteria + [columns[name] == value for name, value in self.values]

    def known_values(self) -> dict[str, Any]:
        """Say which values these images have in common.

        :returns: values of attributes, as far as they are known without SQL
        """
        return known_keys(self.owner, self.relationship) | dict(sorted(self.values))

    def order(self) -> tuple[Any, ...]:
        """Say in which order image sets are locked.

        :returns: a key to sort by
        """
        return str(self.relationship), order_of(tuple(self.known_values().values()))

    @classmethod
    def of_image(cls, session: Session, image: Any, relationship: _Attachment) -> Self:
        """Find the image set that the row of an image is in, whatever was changed since.

        :param session: its session
        :param image: a persistent image
        :param relationship: an attribute that images of its class are attached to
        :returns: its image set; the owner is a stand-in, where the session does not have it
        """
        state, owner_mapper = inspect(image), relationship.parent
        remote = {}
        for local, column in relationship.local_remote_pairs or ():
            name = relationship.mapper.get_property_by_column(column).key
            remote[owner_mapper.get_property_by_column(local).key] = name, committed_value(state, name)
        values = {name: value for name, (_, value) in remote.items()}
        keys = [owner_mapper.get_property_by_column(column).key for column in owner_mapper.primary_key]
        owner = None
        if values.keys() >= set(keys):
            identity = tuple(values[name] for name in keys)
            key = owner_mapper.identity_key_from_primary_key(identity, identity_token=state.identity_token)
            owner = session.identity_map.get(key)
        if owner is None:
            owner = stand_in(owner_mapper, values)
        known = {name for name, _ in remote.values()}
        names = state.mapper.class_.identity_attributes() if relationship.info[ATTACHMENT_KEY] else ()
        return cls(
            owner, relationship, tuple((name, committed_value(state, name)) for name in names if name not in known)
        )


def any_of(places: Sequence[ImageSetRef]) -> ColumnElement[bool]:
    """Say in SQL which images are in any of some image sets.

    :param places: image sets of one relationship
    :returns: a criterion, so spelled that every database uses an index of the key
    """
    if len(places) > 1 and not any(place.values for place in places):
        keys = [_owner_key(place.owner, place.relationship) for place in places]
        if all(len(key) == 1 for key in keys):
            # One statement for any number, of which the text is made once.
            column: ColumnElement[Any] = keys[0][0][0]
            return column.in_([value for ((_, value),) in keys])
    return or_(*(and_(*place.criteria()) for place in places))


def are_of(owner: Any, relationship: RelationshipProperty[Any]) -> ColumnElement[bool]:
    """Say in SQL which images are of an owner.

    :param owner: an entity that images are attached to
    :param relationship: the attribute
    :returns: a criterion, which may stand in one statement with those of other owners
    """
    key = _owner_key(owner, relationship)
    if key:
        return and_(*(column == value for column, value in key))

    def rename(element: Any, **_: Any) -> Any:
        # Once a relationship was loaded lazily, SQLAlchemy gives the parameters of all its criteria the same name, and
        # of several in one statement, the last one's value would hold for all.
        if not isinstance(element, BindParameter) or element.callable is None:
            return None
        return bindparam(None, type_=element.type, unique=True, callable_=element.callable)

    return replacement_traverse(with_parent(owner, relationship.class_attribute), {}, rename)


def _owner_key(owner: Any, relationship: RelationshipProperty[Any]) -> Sequence[tuple[Any, Any]]:
    """What the rows of an owner's images have in which columns; nothing where the join says more than that."""
    pairs = relationship.info.get(_JOIN_KEY)
    if pairs is None:
        pairs = relationship.info[_JOIN_KEY] = _plain_join(relationship)
    state = inspect(owner)
    if not state.persistent:
        return ()
    return [(column, state.identity[index]) for index, column in pairs]


def _plain_join(relationship: RelationshipProperty[Any]) -> Sequence[tuple[int, Any]]:
    """The columns of images that refer to the owner's primary key, each with the index of what it refers to; nothing if
    the relationship joins by anything else.
    """
    join, key = relationship.primaryjoin, relationship.parent.primary_key
    parts = list(join.clauses) if isinstance(join, BooleanClauseList) and join.operator is and_operator else [join]
    found = []
    for local, remote in relationship.local_remote_pairs or ():
        sides = {frozenset((local, remote))}
        if local not in key or not any(_columns_of(part) in sides for part in parts):
            return ()
        found.append(
            (key.index(local), relationship.mapper.columns[relationship.mapper.get_property_by_column(remote).key])
        )
    return found if len(found) == len(parts) else ()


def _columns_of(part: Any) -> frozenset[Any]:
    if not isinstance(part, BinaryExpression) or part.operator is not operator.eq:
        return frozenset()
    return frozenset(side.table.c.get(side.key) for side in (part.left, part.right) if isinstance(side, Column))


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


def register_attachments(mapper: Mapper[Any]) -> None:
    """Note which attachments a class has, for :func:`attachments_of` and :func:`attachments_to`.

    :param mapper: the mapper of the class, when it is configured
    """
    found = tuple(relationship for relationship in mapper.relationships if ATTACHMENT_KEY in relationship.info)
    if found:
        mapper.class_manager.info[_OF_KEY] = found
    for relationship in found:
        if relationship.parent is mapper:
            known = relationship.mapper.base_mapper.class_manager.info.setdefault(_TO_KEY, [])
            if relationship not in known:
                known.append(relationship)
                for image_mapper in relationship.mapper.base_mapper.self_and_descendants:
                    image_mapper.class_manager.info.pop(_NAMES_KEY, None)


def attachments_of(mapper: Mapper[Any]) -> Sequence[_Attachment]:
    """Find the attributes of a class that images are attached to.

    :param mapper: the mapper of the class
    :returns: the relationships
    """
    found: Sequence[_Attachment] = mapper.class_manager.info.get(_OF_KEY, ())
    return found


def attachments_to(mapper: Mapper[Any]) -> list[_Attachment]:
    """Find the attributes that images of a class may be attached to.

    :param mapper: the mapper of the class
    :returns: the relationships
    """
    found: Sequence[_Attachment] = mapper.base_mapper.class_manager.info.get(_TO_KEY, ())
    return [each for each in found if mapper.isa(each.mapper) or each.mapper.isa(mapper)]


def place_names(mapper: Mapper[Any]) -> frozenset[str]:
    """Find the attributes of an image that say which image set it is in: of columns, and of relationships to owners.

    :param mapper: the mapper of its class
    :returns: the names; none for what is no image
    """
    names: frozenset[str] | None = mapper.class_manager.info.get(_NAMES_KEY)
    if names is None:
        remote = {column for relationship in attachments_to(mapper) for column in relationship.remote_side}
        columns = {mapper.get_property_by_column(column).key for column in remote}
        ways_back = {
            each.key
            for each in mapper.relationships
            if each.direction is RelationshipDirection.MANYTOONE and not each.local_columns.isdisjoint(remote)
        }
        identity = mapper.class_.identity_attributes() if remote else ()
        names = mapper.class_manager.info[_NAMES_KEY] = frozenset(columns | ways_back | set(identity))
    return names


def committed_value(state: InstanceState[Any], name: str) -> Any:
    """Tell what the row of an image says, as it was loaded.

    :param state: the state of the image
    :param name: an attribute of a column
    :returns: the value before it was changed
    """
    value = state.committed_state.get(name, NO_VALUE)
    if value is not NO_VALUE:
        return value
    if name not in state.dict and state.identity is not None:
        column = state.mapper.columns[name]
        if column in state.mapper.primary_key:
            return state.identity[state.mapper.primary_key.index(column)]
    return getattr(state.obj(), name)


def stand_in(mapper: Mapper[Any], values: Mapping[str, Any]) -> Any:
    """Make an object that has some attributes of an entity, and belongs to no session.

    :param mapper: the mapper of its class
    :param values: the attributes
    :returns: the object
    """
    entity = mapper.class_manager.new_instance()
    for name, value in values.items():
        set_committed_value(entity, name, value)
    return entity


def order_of(identity: Sequence[Any]) -> list[tuple[bool, Any]]:
    """A key to sort identities by, whatever types they are of."""
    return [(True, value) if isinstance(value, int) else (False, str(value)) for value in identity]
