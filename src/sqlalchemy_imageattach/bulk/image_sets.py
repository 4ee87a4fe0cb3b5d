"""The image sets of some originals, loaded with their owners, whatever an application hides from its sessions.

It must always be true that a few queries load the sets of many originals, and that of an album of a million photographs
only those are loaded that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, RelationshipProperty, Session
from sqlalchemy.orm.attributes import set_committed_value

from ..entity import Image
from ..entity.image_subsets import MultipleImageSet
from ..entity.query import BaseImageQuery, keys_of
from ..transactions.rows.instances import writing
from ..transactions.rows.place import ImageSetRef
from ..transactions.rows.tables import TableRows, any_of
from .batches import in_session

__all__ = ("WholeSet", "whole_sets")


class WholeSet(NamedTuple):
    """An original with all images of its image set, in a session."""

    original: Image
    images: Sequence[Image]
    home: BaseImageQuery[Any]
    place: ImageSetRef


def whole_sets(session: Session, mapper: Mapper[Any], originals: Sequence[Image]) -> dict[tuple[Any, ...], WholeSet]:
    """Load the image sets of some originals: two queries for each attribute that has such images.

    :param session: a session in a transaction
    :param mapper: the mapper of the originals' class
    :param originals: images, of any session or none
    :returns: image sets, by the primary key of the original; those that are gone are missing
    """
    found: dict[tuple[Any, ...], WholeSet] = {}
    for relationship in _relationships(mapper):
        cls = relationship.mapper.class_
        left = [image for image in originals if isinstance(image, cls) and inspect(image).identity not in found]
        if left:
            found |= _sets_of(session, relationship, left)
    return found


def _sets_of(
    session: Session, relationship: RelationshipProperty[Any], originals: Sequence[Image]
) -> dict[tuple[Any, ...], WholeSet]:
    mapper = relationship.mapper
    connection = session.connection(bind_arguments=writing(mapper))
    rows, owner_rows = TableRows(mapper), TableRows(relationship.parent)
    is_asked_for = any_of(rows.key, [inspect(image).identity for image in originals])
    # Which owner each of them has, by the columns that the attribute joins by.
    statement = owner_rows.select(*owner_rows.key, *rows.key).join(rows.tables, relationship.primaryjoin)
    length = len(owner_rows.key)
    owner_keys = {
        tuple(pair[length:]): tuple(pair[:length]) for pair in connection.execute(statement.where(is_asked_for))
    }
    if not owner_keys:
        return {}
    owners = {
        tuple(inspect(row.image).identity): in_session(session, row.image)
        for row in owner_rows.read(connection, any_of(owner_rows.key, list(set(owner_keys.values()))))
    }
    names = mapper.class_.identity_attributes()
    own_key = {
        tuple(getattr(image, name) for name in names): owners[owner_keys[identity]]
        for image in originals
        if (identity := tuple(inspect(image).identity)) in owner_keys
    }
    # Just the image sets that are asked about: an album may have a million others.
    members: dict[tuple[Any, ...], list[Any]] = {key: [] for key in own_key}
    columns = [mapper.columns[name] for name in names]
    for row in rows.read(connection, any_of(columns, list(own_key))):
        image = in_session(session, row.image)
        members.setdefault(tuple(getattr(image, name) for name in names), []).append(image)
    if relationship.lazy != "dynamic":
        collections: dict[Any, list[Any]] = {owner: [] for owner in own_key.values()}
        for key, owner in own_key.items():
            collections[owner] += members[key]
        for owner, images in collections.items():
            set_committed_value(owner, relationship.key, images)
    return {
        tuple(inspect(image).identity): _set_of(image, members[key], owner, relationship)
        for key, owner in own_key.items()
        for image in members[key]
        if tuple(inspect(image).identity) in owner_keys
    }


def _set_of(original: Any, images: Sequence[Any], owner: Any, relationship: RelationshipProperty[Any]) -> WholeSet:
    home: Any = getattr(owner, relationship.key)
    values = {}
    if isinstance(home, MultipleImageSet):
        names, known = keys_of(home)
        values = {name: getattr(original, name) for name in names if name not in known}
    return WholeSet(original, images, home, ImageSetRef(owner, relationship, tuple(values.items())))


def _relationships(mapper: Mapper[Any]) -> Iterator[RelationshipProperty[Any]]:
    """The attributes that images of a class, or of one that inherits it, are attached to."""
    for other in mapper.registry.mappers:
        for relationship in other.relationships:
            kind = relationship.query_class if relationship.lazy == "dynamic" else relationship.collection_class
            is_image_set = isinstance(kind, type) and issubclass(kind, BaseImageQuery)
            # What is inherited is a relationship of its own.
            if is_image_set and relationship.parent is other and relationship.mapper.base_mapper is mapper.base_mapper:
                yield relationship
