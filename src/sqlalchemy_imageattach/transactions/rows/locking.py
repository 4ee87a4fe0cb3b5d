"""What the rows say now, and keeping it so until the transaction ends.

What a session has loaded may be out of date: another process may have replaced the picture since.  So before a row is
deleted, replaced or relied on, it is locked, and what it names is read anew.  It must always be true that

- the file that is deleted after a commit is the one that the deleted row named, whatever the session had loaded;
- a thumbnail is inserted only while its original is locked, so two transactions never make the same one, and none
  is made of an original that is being replaced;
- an original replaces all rows of its image set, those that the session never loaded too;
- the owner is locked before an original is attached, since rows that are not there yet cannot be locked; and a row
  that was not locked is not deleted;
- two transactions lock the same rows in the same order: owners, then images, both in that of their keys.  Else each
  could wait for the other;
- a flush asks for many rows at once, and not one by one (but where gaps are locked).

SQLite has no ``FOR UPDATE``.  There an update that changes nothing takes the database's write lock.  MySQL and MariaDB
lock the gap where a row might be, too, so that two who look for a row that is not there and then insert it block each
other, and their neighbours.  There rows are locked by their whole primary keys, if those are still there, and whether
one has come meanwhile shows when it is inserted.  In ``REPEATABLE READ``, their default, a transaction does not see
what came after its first query: an original then does not replace thumbnails that another transaction has just made,
nor the very first picture when two are attached at once.  In ``READ COMMITTED`` it does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Table, and_, inspect, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstanceState, Mapper, Session, UOWTransaction

from .instances import connection_for, image_table, images_of, select_images
from .place import ImageSetRef, any_of, order_of

__all__ = (
    "CurrentFile",
    "Identity",
    "chunks",
    "find_current",
    "has_gap_locks",
    "insert_or_find",
    "lock_deleted",
    "lock_original",
    "lock_owners",
    "lock_rows",
    "lock_sets",
)

#: How many rows are asked for by one statement.
_BATCH = 100

T = TypeVar("T")

#: The values of a primary key, in the order of its columns.
Identity = tuple[Any, ...]


class CurrentFile(NamedTuple):
    """What of a file's name a row says, apart from its key."""

    mimetype: str
    revision: str | None = None

    @classmethod
    def of(cls, image: Any) -> Self:
        """What an image says that was loaded."""
        return cls(image.mimetype, getattr(image, "revision", None))


def lock_deleted(
    connection: Connection, mapper: Mapper[Any], flush_context: UOWTransaction, locked: Collection[Identity]
) -> dict[Identity, CurrentFile]:
    """Lock the rows of one mapped hierarchy that a flush is about to delete or replace.

    :param connection: the connection of the flush
    :param mapper: the mapper of any class of the hierarchy
    :param flush_context: the flush
    :param locked: the rows that are locked already
    :returns: what the others name, by identity; a row that is gone already is missing
    """
    identities = [
        state.key[1]
        for state, (is_deleted, _) in flush_context.states.items()
        if is_deleted and state.key is not None and state.mapper.base_mapper is mapper.base_mapper
    ]
    return lock_rows(connection, mapper, [identity for identity in identities if identity not in locked])


def lock_rows(
    connection: Connection, mapper: Mapper[Any], identities: Collection[Identity]
) -> dict[Identity, CurrentFile]:
    """Lock rows of one mapped hierarchy.

    :param connection: the connection of a session
    :param mapper: the mapper of any class of the hierarchy
    :param identities: the primary keys of the rows
    :returns: what the rows name, by identity; a row that is gone already is missing
    """
    table, columns = image_table(mapper), mapper.columns
    key = tuple(table.primary_key.columns)
    columns_read = [*key, columns["mimetype"]] + ([columns["revision"]] if "revision" in columns else [])
    ordered = sorted(identities, key=order_of)
    found = {}
    for chunk in chunks(ordered):
        criterion = _with_identity(table, chunk)
        if connection.dialect.name == "sqlite":
            connection.execute(_lock_by_update(mapper, criterion))
        for row in connection.execute(select(*columns_read).where(criterion).order_by(*key).with_for_update()):
            found[tuple(row[: len(key)])] = CurrentFile(*row[len(key) :])
    return found


def lock_original(session: Session, owner: Any, image: Any) -> bool:
    """Lock the row of an original, if it still is the one that was loaded.

    :param session: its session
    :param owner: the entity that it belongs to
    :param image: a persistent original
    :returns: false when the row was replaced or deleted by another transaction
    """
    state = inspect(image)
    connection = connection_for(session, state.mapper, image)
    if has_gap_locks(connection):
        # There the thumbnail's foreign key will lock the owner as well, and the owner comes first.
        lock_owners(session, [inspect(owner)], read=True)
    table = image_table(state.mapper)
    criterion = _with_identity(table, [state.identity])
    if "revision" in state.mapper.columns:
        revision = state.mapper.columns["revision"]
        criterion = and_(criterion, revision.is_(None) if image.revision is None else revision == image.revision)
    # An update, also where SELECT ... FOR UPDATE exists: where transactions see snapshots, the second one then gets the
    # database's own serialization error, instead of a duplicate of a row that it cannot see.
    return bool(connection.execute(_lock_by_update(state.mapper, criterion)).rowcount)


def find_current(session: Session, place: ImageSetRef, image: Any, **values: Any) -> list[Any]:
    """Load images of an image set as their rows are now, without regard to what the session has loaded.

    :param session: the session
    :param place: the image set
    :param image: a persistent image of it
    :param values: which images, by attributes; all, if there is none
    :returns: the images
    """
    mapper = place.relationship.mapper
    having = [mapper.columns[name] == value for name, value in values.items()]
    rows = connection_for(session, mapper, image).execute(select_images(mapper).where(*place.criteria(), *having))
    return images_of(mapper, rows, session, inspect(image).identity_token)


def has_gap_locks(connection: Connection) -> bool:
    """Whether the database locks rows that are not there.

    :param connection: a connection to it
    :returns: true for MySQL and MariaDB
    """
    return connection.dialect.name in {"mysql", "mariadb"}


def insert_or_find(session: Session, mapper: Mapper[Any], attach: Callable[[], Any]) -> Any:
    """Insert the row of an image at once, where another transaction may have inserted it unseen.

    :param session: its session
    :param mapper: its mapper
    :param attach: makes the image, complete with its key, and has the session insert it
    :returns: the image; or the one of the other transaction, and then the session has nothing of what was made
    """
    identity = image = None
    try:
        # What was pending before is flushed before the savepoint, and its errors are its own.
        with session.begin_nested():
            image = attach()
            identity = mapper.primary_key_from_instance(image)
            session.flush()
    except IntegrityError:
        if identity is None or image is None:
            raise
        # It is there, so this locks no gap; and a locking read sees the present.
        statement = select_images(mapper).where(_with_identity(image_table(mapper), [identity]))
        rows = connection_for(session, mapper, image).execute(statement.with_for_update(of=image_table(mapper)))
        found = images_of(mapper, rows, session, inspect(image).identity_token)
        if not found:
            raise
        return found[0]
    return image


def lock_sets(
    session: Session,
    connection: Connection,
    places: Sequence[ImageSetRef],
    identity_token: Any,
    moving: Collection[Any],
) -> tuple[list[Any], dict[Identity, CurrentFile]]:
    """Lock the rows of image sets of one relationship, and load them as they are now.

    :param session: the session
    :param connection: the connection that it writes these rows over
    :param places: the image sets
    :param identity_token: what tells their rows from those of other shards
    :param moving: the identity keys of images that go elsewhere, and stay as they were loaded
    :returns: the images, and what the rows name of those that stay, by identity
    """
    mapper = places[0].relationship.mapper
    criterion, table = any_of(places), image_table(mapper)
    statement = select_images(mapper).where(criterion)
    for_update = statement.order_by(*table.primary_key.columns).with_for_update(of=table)
    is_sqlite, lock = connection.dialect.name == "sqlite", not has_gap_locks(connection)
    if is_sqlite:
        connection.execute(_lock_by_update(mapper, criterion))
    seen = None
    while True:
        rows = connection.execute(for_update if lock and not is_sqlite else statement)
        images = images_of(mapper, rows, session, identity_token, moving)
        staying = [image for image in images if inspect(image).key not in moving]
        found = {inspect(image).identity: CurrentFile.of(image) for image in staying}
        if is_sqlite or not found or found == seen:
            return images, found
        if not lock:
            # What the transaction sees may be out of date. Only then are gaps locked, for that shows what is there.
            lock = found != lock_rows(connection, mapper, found)
        # Who waited for the original looks again: a thumbnail may have come that the query did not see.
        seen = found


def lock_owners(session: Session, owners: Iterable[InstanceState[Any]], *, read: bool = False) -> None:
    """Lock the rows of entities that images are attached to; SQLite has no such locks, and needs none.

    :param session: the session
    :param owners: the states of the entities
    :param read: whether others may lock them in this way at the same time
    """
    tables: dict[tuple[Table, Connection], set[Identity]] = {}
    for owner in owners:
        table = owner.mapper.local_table
        connection = connection_for(session, owner.mapper, owner.obj())
        if connection.dialect.name != "sqlite" and isinstance(table, Table):
            assert owner.identity is not None
            tables.setdefault((table, connection), set()).add(owner.identity)
    for table, connection in sorted(tables, key=lambda each: str(each[0])):
        key = table.primary_key.columns
        for chunk in chunks(sorted(tables[table, connection], key=order_of), connection):
            statement = select(*key).where(_with_identity(table, chunk)).order_by(*key)
            connection.execute(statement.with_for_update(read=read, key_share=True)).all()


def chunks(items: Sequence[T], connection: Connection | None = None) -> Iterator[Sequence[T]]:
    """Divide what is locked into parts for one statement each.

    :param items: what is locked
    :param connection: the connection, if it is looked for; where gaps are locked, no more rows than needed are looked
        at by one statement
    :returns: the parts
    """
    size = 1 if connection is not None and has_gap_locks(connection) else _BATCH
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _with_identity(table: Table, identities: Sequence[Any]) -> ColumnElement[bool]:
    """The rows of these primary keys, so spelled that every database uses the key's index."""
    key = table.primary_key.columns
    return or_(*(and_(*map(operator.eq, key, identity)) for identity in identities))


def _lock_by_update(mapper: Mapper[Any], criterion: ColumnElement[bool]) -> Any:
    table, original = image_table(mapper), mapper.columns["original"]
    # Columns with an onupdate are named, so that they keep their value.
    unchanged = [column for column in table.columns if column is original or column.onupdate is not None]
    return update(table).where(criterion).values({column: column for column in unchanged})
