"""What becomes of files when the key of their owner changes.

Files are named by the keys of their rows, and those are mostly the keys of owners.  Where SQLAlchemy itself updates the
rows of images (``passive_updates=False``), the ledger hears of it.  Where the database does so, by ``ON UPDATE
CASCADE``, no event comes: so after the row of an owner was updated, the rows that have followed it are looked for.  It
must always be true that

- a file follows its row: it is put under its new name, and the old one is deleted after the commit;
- only an owner whose key has changed costs a query.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstanceState, Mapper, RelationshipDirection, RelationshipProperty, Session

from ..context import current_store
from ..naming import FileKey
from .ledger import ledger_of
from .rows.instances import connection_for, images_of, select_images
from .rows.place import stand_in
from .which_store import find_store, remember_store_of_file

__all__ = ("follow_owner",)

_Relationships = tuple[RelationshipProperty[Any], ...]


_known: weakref.WeakKeyDictionary[Mapper[Any], _Relationships] = weakref.WeakKeyDictionary()


def follow_owner(
    image_class: type[Any], mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]
) -> None:
    """Have files follow their rows when the database has changed the rows' keys along with that of their owner.

    :param image_class: the mixin of all images
    :param mapper: the mapper of an entity that was updated
    :param connection: the connection of the flush
    :param state: the state of the entity
    """
    relationships = _known.get(mapper)
    if relationships is None:
        relationships = _known[mapper] = tuple(
            relationship
            for relationship in mapper.relationships
            if issubclass(relationship.mapper.class_, image_class)
            and relationship.direction is RelationshipDirection.ONETOMANY
            and relationship.passive_updates
            and not relationship.viewonly
        )
    for relationship in relationships:
        _follow(state, relationship)


def _follow(owner: InstanceState[Any], relationship: RelationshipProperty[Any]) -> None:
    mapper = relationship.mapper
    before, now = {}, {}
    for local, remote in relationship.local_remote_pairs or ():
        history = owner.attrs[owner.mapper.get_property_by_column(local).key].history
        if history.deleted and history.added:
            name = mapper.get_property_by_column(remote).key
            before[name], now[name] = history.deleted[0], history.added[0]
    if not before:
        return
    session = owner.session
    assert session is not None
    statement = select_images(mapper).where(*(mapper.columns[name] == value for name, value in now.items()))
    for image in images_of(mapper, connection_for(session, mapper, owner.obj()).execute(statement)):
        _move(session, owner, image, before)


def _move(session: Session, owner: InstanceState[Any], new: Any, before: dict[str, Any]) -> None:
    mapper = inspect(new).mapper
    # A model may compute its object_id and object_type from any of its attributes.
    old = stand_in(mapper, {attribute.key: getattr(new, attribute.key) for attribute in mapper.column_attrs} | before)
    old_key, new_key = FileKey.of(old), FileKey.of(new)
    if old_key == new_key:
        return
    loaded = session.identity_map.get(mapper.identity_key_from_instance(old))
    store = find_store(current_store, loaded, owner=owner.obj(), mapper=mapper, key=old_key, prefer_known=True)
    remember_store_of_file(session, new_key, store)
    connection, ledger = connection_for(session, mapper, owner.obj()), ledger_of(session)
    ledger.put(session, connection, store, new_key, not new.original, partial(store.get_key, old_key))
    ledger.delete(session, connection, store, old_key)
