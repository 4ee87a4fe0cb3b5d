"""What the rows say now, and keeping it so until the transaction ends.

What a session has loaded may be out of date: another process may have replaced the picture since.  So before a row is
deleted, replaced or relied on, it is locked, and what it names is read anew.  It must always be true that

- the file that is deleted after a commit is the one that the deleted row named, whatever the session had loaded;
- a thumbnail is inserted only while its original is locked, so two transactions never make the same one, and none
  is made of an original that is being replaced;
- an original replaces all rows of its image set, those that the session never loaded too.

SQLite has no ``FOR UPDATE``.  There an update that changes nothing takes the database's write lock.  MySQL and MariaDB
lock the gap where a row might be, too, so that two who look for a row that is not there and then insert it block each
other.  There rows are locked by their whole primary key only, and whether one has come meanwhile shows when it is
inserted.  In ``REPEATABLE READ``, their default, a transaction does not see what came after its first query: an
original then does not replace thumbnails that another transaction has just made.  In ``READ COMMITTED`` it does.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, inspect, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty, Session, UOWTransaction, lazyload, with_parent

from .attachment import remember_store
from .store import Store

__all__ = (
    "CurrentFile",
    "find_current",
    "has_gap_locks",
    "insert_or_find",
    "lock_deleted",
    "lock_original",
    "members",
    "replace_all",
)

_BATCH = 100


class CurrentFile(NamedTuple):
    """What of a file's name a row says, apart from its key."""

    mimetype: str
    revision: str | None = None


def lock_deleted(
    connection: Connection, mapper: Mapper[Any], flush_context: UOWTransaction
) -> dict[tuple[Any, ...], CurrentFile]:
    """Lock the rows of one mapped hierarchy that a flush is about to delete or replace.

    :param connection: the connection of the flush
    :param mapper: the mapper of any class of the hierarchy
    :param flush_context: the flush
    :returns: what the rows name, by identity; a row that is gone already is missing
    """
    table, columns = _table(mapper), mapper.columns
    key = tuple(table.primary_key.columns)
    wanted = [*key, columns["mimetype"]] + ([columns["revision"]] if "revision" in columns else [])
    identities = [
        state.key[1]
        for state, (is_deleted, _) in flush_context.states.items()
        if is_deleted and state.key is not None and state.mapper.base_mapper is mapper.base_mapper
    ]
    found = {}
    for start in range(0, len(identities), _BATCH):
        criterion = _have(table, identities[start : start + _BATCH])
        if connection.dialect.name == "sqlite":
            connection.execute(_touch(table, criterion))
        for row in connection.execute(select(*wanted).where(criterion).order_by(*key).with_for_update()):
            found[tuple(row[: len(key)])] = CurrentFile(*row[len(key) :])
    return found


def lock_original(session: Session, image: Any) -> bool:
    """Lock the row of an original, if it still is the one that was loaded.

    :param session: its session
    :param image: a persistent original
    :returns: false when the row was replaced or deleted by another transaction
    """
    state = inspect(image)
    table = _table(state.mapper)
    criterion = _have(table, [state.identity])
    if "revision" in state.mapper.columns:
        revision = state.mapper.columns["revision"]
        criterion = and_(criterion, revision.is_(None) if image.revision is None else revision == image.revision)
    # An update, also where SELECT ... FOR UPDATE exists: where transactions see snapshots, the second one then gets the
    # database's own serialization error, instead of a duplicate of a row that it cannot see.
    with session.no_autoflush:
        result = session.execute(_touch(table, criterion), bind_arguments={"mapper": state.mapper})
    return bool(result.rowcount)  # type: ignore[attr-defined]


def find_current(session: Session, criteria: Sequence[ColumnElement[bool]], mapper: Mapper[Any]) -> list[Any]:
    """Load images as their rows are now, without regard to what the session has loaded, and lock them.

    :param session: the session
    :param criteria: which images
    :param mapper: their mapper
    :returns: the images
    """
    statement = select(mapper).where(*criteria).options(lazyload("*")).execution_options(populate_existing=True)
    if not has_gap_locks(session, mapper):
        statement = statement.with_for_update(of=_table(mapper))
    with session.no_autoflush:
        return list(session.scalars(statement))


def has_gap_locks(session: Session, mapper: Mapper[Any]) -> bool:
    """Whether the database locks rows that are not there.

    :param session: the session
    :param mapper: whose rows
    :returns: true for MySQL and MariaDB
    """
    return session.get_bind(mapper).dialect.name in {"mysql", "mariadb"}


def insert_or_find(session: Session, image: Any) -> Any:
    """Insert the row of an image at once, where another transaction may have inserted it unseen.

    :param session: its session
    :param image: the pending image, complete with its key
    :returns: the image; or the one of the other transaction, and then the given one is not in the session any more
    """
    mapper = inspect(image).mapper
    identity = mapper.primary_key_from_instance(image)
    savepoint = session.begin_nested()
    try:
        session.add(image)
        session.flush()
    except IntegrityError:
        savepoint.rollback()
        # It is there, so this locks no gap; and a locking read sees the present.
        statement = select(mapper).where(_have(_table(mapper), [identity])).options(lazyload("*"))
        found = session.scalars(statement.with_for_update().execution_options(populate_existing=True)).one_or_none()
        if found is None:
            raise
        return found
    savepoint.commit()
    return image


def members(owner: Any, relationship: RelationshipProperty[Any], identity_map: Mapping[str, Any]) -> list[Any]:
    """The criteria of one image set.

    :param owner: the entity that it belongs to
    :param relationship: the attribute
    :param identity_map: what tells it from other image sets of the attribute
    :returns: SQL criteria
    """
    cls = relationship.mapper.class_
    criteria: list[Any] = [with_parent(owner, relationship.class_attribute)]
    return criteria + [getattr(cls, name) == value for name, value in identity_map.items()]


def replace_all(
    session: Session,
    owner: Any,
    relationship: RelationshipProperty[Any],
    identity_map: Mapping[str, Any],
    store: Store,
) -> None:
    """Delete every row of an image set that the database has, for a new original is about to be inserted.

    :param session: the session, before it flushes
    :param owner: the entity that the image set belongs to
    :param relationship: the attribute
    :param identity_map: what tells it from other image sets of the attribute
    :param store: where the files are, unless it is known better
    """
    state = inspect(owner)
    if state.detached:
        # The image came into this session without the object that it was attached to.
        owner = session.get(state.mapper, state.identity)
        state = inspect(owner)
    if state is None or not state.persistent:
        return
    mapper = relationship.mapper
    criteria = members(owner, relationship, identity_map)
    with session.no_autoflush:
        connection = session.connection(bind_arguments={"mapper": mapper})
        if not _lock_set(connection, session, mapper, and_(*criteria, mapper.columns["original"].is_(True))):
            # Nobody can lock rows that are not there yet: two who attach a first picture meet at the owner.
            _lock_owner(connection, state)
        # The second query sees what was committed while the first one waited.
        for image in find_current(session, criteria, mapper):
            remember_store(image, store)
            session.delete(image)


def _table(mapper: Mapper[Any]) -> Table:
    table = mapper.columns["original"].table
    assert isinstance(table, Table)
    return table


def _lock_set(connection: Connection, session: Session, mapper: Mapper[Any], criterion: ColumnElement[bool]) -> bool:
    table = _table(mapper)
    if connection.dialect.name == "sqlite":
        return bool(connection.execute(_touch(table, criterion)).rowcount)
    if has_gap_locks(session, mapper):
        return False
    key = table.primary_key.columns
    statement = select(*key).where(criterion).order_by(*key).with_for_update()
    return bool(connection.execute(statement).all())


def _lock_owner(connection: Connection, owner: InstanceState[Any]) -> None:
    table = owner.mapper.local_table
    if connection.dialect.name != "sqlite" and isinstance(table, Table):
        statement = select(*table.primary_key.columns).where(_have(table, [owner.identity]))
        connection.execute(statement.with_for_update(key_share=True)).all()


def _have(table: Table, identities: Sequence[Any]) -> ColumnElement[bool]:
    """The rows of these primary keys, so spelled that every database uses the key's index."""
    key = table.primary_key.columns
    return or_(*(and_(*map(operator.eq, key, identity)) for identity in identities))


def _touch(table: Table, criterion: ColumnElement[bool]) -> Any:
    # Columns with an onupdate are named, so that they keep their value.
    unchanged = {column.name: column for column in _touched(table)}
    return update(table).where(criterion).values(unchanged)


def _touched(table: Table) -> Iterator[Any]:
    for column in table.columns:
        if column.name == "original" or column.onupdate is not None:
            yield column
