"""What the rows say now, and keeping it so until the transaction ends.

What a session has loaded may be out of date: another process may have replaced the picture since.  So before a row is
deleted, replaced or relied on, it is locked, and what it names is read anew.  It must always be true that

- the file that is deleted after a commit is the one that the deleted row named, whatever the session had loaded;
- a thumbnail is inserted only while its original is locked, so two transactions never make the same one, and none
  is made of an original that is being replaced;
- an original replaces all rows of its image set, those that the session never loaded too;
- who attaches an original has locked the owner before, since nobody can lock rows that are not there yet; and a row
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

import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Table, and_, inspect, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstanceState, Mapper, Session, UOWTransaction, lazyload

from ..store import Store
from .pending import attachment_of
from .place import Place, order_of
from .which_store import remember_store

__all__ = (
    "CurrentFile",
    "find_current",
    "has_gap_locks",
    "insert_or_find",
    "lock_deleted",
    "lock_original",
    "lock_rows",
    "replace_all",
)

#: How many rows are asked for by one statement.
_BATCH = 100

T = TypeVar("T")


class CurrentFile(NamedTuple):
    """What of a file's name a row says, apart from its key."""

    mimetype: str
    revision: str | None = None

    @classmethod
    def of(cls, image: Any) -> Self:
        """What an image says that was loaded."""
        return cls(image.mimetype, getattr(image, "revision", None))


def lock_deleted(
    connection: Connection, mapper: Mapper[Any], flush_context: UOWTransaction
) -> dict[tuple[Any, ...], CurrentFile]:
    """Lock the rows of one mapped hierarchy that a flush is about to delete or replace.

    :param connection: the connection of the flush
    :param mapper: the mapper of any class of the hierarchy
    :param flush_context: the flush
    :returns: what the rows name, by identity; a row that is gone already is missing
    """
    identities = [
        state.key[1]
        for state, (is_deleted, _) in flush_context.states.items()
        if is_deleted and state.key is not None and state.mapper.base_mapper is mapper.base_mapper
    ]
    return lock_rows(connection, mapper, identities)


def lock_rows(
    connection: Connection, mapper: Mapper[Any], identities: Collection[tuple[Any, ...]]
) -> dict[tuple[Any, ...], CurrentFile]:
    """Lock rows of one mapped hierarchy.

    :param connection: the connection of a session
    :param mapper: the mapper of any class of the hierarchy
    :param identities: the primary keys of the rows
    :returns: what the rows name, by identity; a row that is gone already is missing
    """
    table, columns = _table(mapper), mapper.columns
    key = tuple(table.primary_key.columns)
    wanted = [*key, columns["mimetype"]] + ([columns["revision"]] if "revision" in columns else [])
    ordered = sorted(identities, key=order_of)
    found = {}
    for chunk in _chunks(ordered, _BATCH):
        criterion = _have(table, chunk)
        if connection.dialect.name == "sqlite":
            connection.execute(_touch(mapper, criterion))
        for row in connection.execute(select(*wanted).where(criterion).order_by(*key).with_for_update()):
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
    if has_gap_locks(session, state.mapper):
        # There the thumbnail's foreign key will lock the owner as well, and the owner comes first.
        _lock_owners(session, [inspect(owner)], read=True)
    table = _table(state.mapper)
    criterion = _have(table, [state.identity])
    if "revision" in state.mapper.columns:
        revision = state.mapper.columns["revision"]
        criterion = and_(criterion, revision.is_(None) if image.revision is None else revision == image.revision)
    # An update, also where SELECT ... FOR UPDATE exists: where transactions see snapshots, the second one then gets the
    # database's own serialization error, instead of a duplicate of a row that it cannot see.
    with session.no_autoflush:
        result = session.execute(_touch(state.mapper, criterion), bind_arguments={"mapper": state.mapper})
    return bool(result.rowcount)  # type: ignore[attr-defined]


def find_current(session: Session, place: Place, **values: Any) -> list[Any]:
    """Load images of an image set as their rows are now, without regard to what the session has loaded.

    :param session: the session
    :param place: the image set
    :param values: which images, by attributes; all, if there is none
    :returns: the images
    """
    mapper = place.relationship.mapper
    having = [getattr(mapper.class_, name) == value for name, value in values.items()]
    return _find(session, mapper, and_(*place.criteria(), *having))


def has_gap_locks(session: Session, mapper: Mapper[Any]) -> bool:
    """Whether the database locks rows that are not there.

    :param session: the session
    :param mapper: whose rows
    :returns: true for MySQL and MariaDB
    """
    return session.get_bind(mapper).dialect.name in {"mysql", "mariadb"}


def insert_or_find(session: Session, mapper: Mapper[Any], attach: Callable[[], Any]) -> Any:
    """Insert the row of an image at once, where another transaction may have inserted it unseen.

    :param session: its session
    :param mapper: its mapper
    :param attach: makes the image, complete with its key, and has the session insert it
    :returns: the image; or the one of the other transaction, and then the session has nothing of what was made
    """
    identity = None
    try:
        # What was pending before is flushed before the savepoint, and its errors are its own.
        with session.begin_nested():
            image = attach()
            identity = mapper.primary_key_from_instance(image)
            session.flush()
    except IntegrityError:
        if identity is None:
            raise
        # It is there, so this locks no gap; and a locking read sees the present.
        statement = select(mapper).where(_have(_table(mapper), [identity])).options(lazyload("*"))
        found = session.scalars(statement.with_for_update().execution_options(populate_existing=True)).one_or_none()
        if found is None:
            raise
        return found
    return image


def replace_all(session: Session) -> None:
    """Delete every row of the image sets that the session is about to insert originals into.

    What the session was about to insert there before the last original is not inserted.

    :param session: the session, before it flushes
    """
    replaced: dict[Any, tuple[Place, Store]] = {}
    pending: dict[Any, list[Any]] = {}
    for image in session.new:
        attachment = attachment_of(image)
        if attachment is None or attachment.place is None:
            continue
        place = _here(session, attachment.place)
        key = id(place.owner), place.relationship, place.values
        if image.original:
            replaced[key] = place, attachment.store
            for former in pending.pop(key, ()):
                _drop(session, former, place)
        pending.setdefault(key, []).append(image)
    to_replace = sorted(
        (each for each in replaced.values() if inspect(each[0].owner).persistent), key=lambda each: each[0].order()
    )
    _lock_owners(session, [inspect(place.owner) for place, _ in to_replace])
    for relationship, places in itertools.groupby(to_replace, lambda each: each[0].relationship):
        # Where gaps are locked, no more rows than needed are looked at by one statement.
        size = 1 if has_gap_locks(session, relationship.mapper) else _BATCH
        for chunk in _chunks(list(places), size):
            _replace(session, chunk)


def _here(session: Session, place: Place) -> Place:
    """The image set in this session, where the image came without the object that it was attached to."""
    owner = inspect(place.owner)
    return place._replace(owner=session.get(owner.mapper, owner.identity) or place.owner) if owner.detached else place


def _replace(session: Session, places: Sequence[tuple[Place, Store]]) -> None:
    """Delete what is in image sets of one relationship."""
    images = _lock_sets(session, [place for place, _ in places])
    by_values = {tuple(place.known_values().values()): (place, store) for place, store in places}
    names = list(places[0][0].known_values())
    homes = [
        places[0] if len(places) == 1 else by_values.get(tuple(getattr(image, name) for name in names))
        for image in images
    ]
    if None in homes:
        # Databases may take values for equal that Python does not.
        for each in places:
            _replace(session, [each])
        return
    for image, home in zip(images, homes, strict=True):
        assert home is not None
        place, store = home
        remember_store(image, store)
        loaded: Any = inspect(place.owner).dict.get(place.relationship.key)
        if place.relationship.lazy != "dynamic" and loaded is not None and image in loaded:
            loaded.remove(image)
        session.delete(image)


def _drop(session: Session, image: Any, place: Place) -> None:
    collection = getattr(place.owner, place.relationship.key)
    if image in collection:
        collection.remove(image)
    if image in session.new:
        session.expunge(image)


def _table(mapper: Mapper[Any]) -> Table:
    table = mapper.columns["original"].table
    assert isinstance(table, Table)
    return table


def _lock_sets(session: Session, places: Sequence[Place]) -> list[Any]:
    """Lock the rows of image sets of one relationship, and load them as they are now."""
    mapper = places[0].relationship.mapper
    if session.get_bind(mapper).dialect.name == "sqlite":
        with session.no_autoflush:
            session.execute(_touch(mapper, _are_in(places)), bind_arguments={"mapper": mapper})
        return _find(session, mapper, _are_in(places))
    seen, lock = None, not has_gap_locks(session, mapper)
    while True:
        images = _find(session, mapper, _are_in(places), lock=lock)
        found = {inspect(image).identity: CurrentFile.of(image) for image in images}
        if not found or found == seen:
            return images
        if not lock:
            # What the transaction sees may be out of date. Only then are gaps locked, for that shows what is there.
            lock = found != lock_rows(session.connection({"mapper": mapper}), mapper, found)
        # Who waited for the original looks again: a thumbnail may have come that the query did not see.
        seen = found


def _find(session: Session, mapper: Mapper[Any], criterion: ColumnElement[bool], *, lock: bool = False) -> list[Any]:
    statement = select(mapper).where(criterion).options(lazyload("*")).execution_options(populate_existing=True)
    if lock:
        table = _table(mapper)
        statement = statement.order_by(*table.primary_key.columns).with_for_update(of=table)
    with session.no_autoflush:
        return list(session.scalars(statement))


def _are_in(places: Sequence[Place]) -> ColumnElement[bool]:
    return or_(*(and_(*place.criteria()) for place in places))


def _lock_owners(session: Session, owners: Iterable[InstanceState[Any]], *, read: bool = False) -> None:
    tables: dict[Table, tuple[Mapper[Any], set[Any]]] = {}
    for owner in owners:
        table = owner.mapper.local_table
        if session.get_bind(owner.mapper).dialect.name != "sqlite" and isinstance(table, Table):
            tables.setdefault(table, (owner.mapper, set()))[1].add(owner.identity)
    for table in sorted(tables, key=str):
        mapper, identities = tables[table]
        key = table.primary_key.columns
        for chunk in _chunks(sorted(identities, key=order_of), 1 if has_gap_locks(session, mapper) else _BATCH):
            statement = select(*key).where(_have(table, chunk)).order_by(*key)
            statement = statement.with_for_update(read=read, key_share=True)
            with session.no_autoflush:
                session.execute(statement, bind_arguments={"mapper": mapper}).all()


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _have(table: Table, identities: Sequence[Any]) -> ColumnElement[bool]:
    """The rows of these primary keys, so spelled that every database uses the key's index."""
    key = table.primary_key.columns
    return or_(*(and_(*map(operator.eq, key, identity)) for identity in identities))


def _touch(mapper: Mapper[Any], criterion: ColumnElement[bool]) -> Any:
    table, original = _table(mapper), mapper.columns["original"]
    # Columns with an onupdate are named, so that they keep their value.
    unchanged = [column for column in table.columns if column is original or column.onupdate is not None]
    return update(table).where(criterion).values({column: column for column in unchanged})
