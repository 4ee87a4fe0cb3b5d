"""All images of an application, a few at a time.

Moving images to another store, or comparing rows with files, goes over every image row there is: millions.  It must
always be true that

- no filter of the application hides a row: see :mod:`sqlalchemy_imageattach.transactions.rows.tables`;
- memory does not grow with the number of rows: they are read in batches, each beginning after the key at which the one
  before it ended, so that no result is held open, and any key is a place to go on from;
- no transaction stays open between two batches, so that the database goes on, and each batch sees what was committed
  meanwhile; only one that the caller has begun is the caller's to end;
- a connection that was closed between two batches is opened again;
- each row is read once, whatever inheritance its class is part of, and one that cannot be understood ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, func, inspect
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Mapper, Session, scoped_session

from ..concurrency import outcome_of
from ..entity import Image
from ..naming import FileKey
from ..transactions.rows.instances import writing
from ..transactions.rows.tables import TableRow, TableRows, any_of
from ..transactions.sessions import session_behind
from .arguments import image_mapper
from .keys import ALL_KEYS, KeyRange, within

__all__ = (
    "ImageRow",
    "again_if_closed",
    "batches",
    "bind_of",
    "count",
    "in_session",
    "key_ranges",
    "read_again",
    "reading",
)

#: How many rows are read at once.
BATCH_SIZE = 1000

# Where rows can be compared as such, and an index serves it.
_COMPARES_ROWS = frozenset({"postgresql", "sqlite"})

T = TypeVar("T")


class ImageRow(NamedTuple):
    """An image row, as its table has it."""

    #: An instance of its class, detached, with what could be read.
    image: Any
    #: The name of its file; ``None`` when it cannot be known.
    key: FileKey | None
    #: What cannot be understood of it.
    error: Exception | None

    @classmethod
    def of(cls, row: TableRow) -> ImageRow:
        """Find out what a row calls its file.

        :param row: the row
        :returns: the same with the name, or with what is wrong with it
        """
        key, error = outcome_of(FileKey.of, row.image)
        return cls(row.image, key, row.error or error)

    @property
    def identity(self) -> tuple[Any, ...]:
        """The primary key."""
        return tuple(inspect(self.image).identity)


def batches(
    session: Session, mapper: Mapper[Any], keys: KeyRange = ALL_KEYS, *criteria: ColumnElement[bool]
) -> Iterator[Sequence[ImageRow]]:
    """Read all images of a class and its subclasses, in the order of their keys.

    :param session: the session over whose connection they are read; it loads nothing
    :param mapper: the mapper of the class
    :param keys: which of them
    :param criteria: and which of these, by columns of the mapper's
    :returns: an iterator over lists of up to :data:`BATCH_SIZE` rows
    :raises NotImplementedError: when the class has no table, or keys of a type that the database does not find again
    """
    rows, compares_rows = TableRows(mapper), _compares_rows(session, mapper)

    def read(connection: Connection) -> Sequence[TableRow]:
        return rows.read(connection, *within(rows.key, keys, compares_rows), *criteria, limit=BATCH_SIZE)

    while batch := [ImageRow.of(row) for row in _query(session, mapper, read)]:
        if keys.after is not None and batch[0].identity == tuple(keys.after):
            raise _not_advancing(rows, keys.after)
        keys = keys._replace(after=batch[-1].identity)
        yield batch


def count(session: Session, mapper: Mapper[Any], keys: KeyRange = ALL_KEYS, *criteria: ColumnElement[bool]) -> int:
    """Count the images of a class and its subclasses.

    :param session: the session over whose connection they are counted
    :param mapper: the mapper of the class
    :param keys: which of them
    :param criteria: and which of these, by columns of the mapper's
    :returns: how many rows :func:`batches` would read now
    """
    rows = TableRows(mapper)
    statement = rows.select(func.count()).where(*within(rows.key, keys, _compares_rows(session, mapper)), *criteria)
    return _query(session, mapper, lambda connection: connection.scalar(statement)) or 0


def read_again(session: Session, mapper: Mapper[Any], identity: Sequence[Any]) -> ImageRow | None:
    """Read one row as it is now.

    :param session: the session over whose connection it is read
    :param mapper: the mapper of its class
    :param identity: its primary key
    :returns: the row, or ``None`` when it is gone
    """
    rows = TableRows(mapper)
    found = _query(session, mapper, lambda connection: rows.read(connection, any_of(rows.key, [identity])))
    return ImageRow.of(found[0]) if found else None


def in_session(session: Session, image: Any) -> Any:
    """Give an image that was read from its table to a session, so that an application can use it.

    :param session: the session
    :param image: a detached image
    :returns: the image; or the one that the session has of the same row
    """
    known = session.identity_map.get(inspect(image).key)
    if known is not None:
        return known
    # To add something begins a transaction, which has nothing to do.
    with reading(session):
        session.add(image)
    return image


def key_ranges(session: Session | scoped_session[Any], cls: type[Image], size: int) -> Iterator[KeyRange]:
    """Split the rows of an image class into ranges of keys, of so many rows each, for several processes.

    The database steps over the index of the primary key from one boundary to the next; no row is sent.  The first range
    has no beginning and the last one no end, so that each row is in one range, whatever is inserted meanwhile.

    :param session: the session to read the boundaries with
    :param cls: the image class
    :param size: how many rows are in a range, except for the last
    :returns: an iterator over ranges, in the order of the keys; a boundary is looked for when it is asked for
    :raises TypeError: when ``cls`` is no image class, or ``size`` no integer
    :raises ValueError: when ``size`` is not positive
    :raises NotImplementedError: when the class has no table, or keys of a type that the database does not find again

    >>> from models import UserPicture  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> _ = user.picture.generate_thumbnail(width=160, store=store)
    >>> session.commit()
    >>> list(key_ranges(session, UserPicture, 1))
    [KeyRange(after=None, upto=(1, 160, 120)), KeyRange(after=(1, 160, 120), upto=None)]
    """
    mapper = image_mapper(cls)
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"expected an integer as size, got {size!r}")
    if size < 1:
        raise ValueError(f"expected a size of at least 1, got {size}")
    return _key_ranges(session_behind(session), mapper, size)


def _key_ranges(session: Session, mapper: Mapper[Any], size: int) -> Iterator[KeyRange]:
    rows, compares_rows = TableRows(mapper), _compares_rows(session, mapper)
    # The last row of a range, and whether there is one behind it.
    statement = rows.select(*rows.key).order_by(*rows.key).offset(size - 1).limit(2)
    keys = ALL_KEYS

    def read(connection: Connection) -> Sequence[Any]:
        return connection.execute(statement.where(*within(rows.key, keys, compares_rows))).all()

    while len(found := _query(session, mapper, read)) == 2:
        upto = tuple(found[0])
        if upto == keys.after:
            raise _not_advancing(rows, upto)
        yield keys._replace(upto=upto)
        keys = KeyRange(after=upto)
    yield keys


@contextmanager
def reading(session: Session) -> Iterator[None]:
    """Read in a transaction that ends with the ``with`` block, unless one is going on; what was loaded stays loaded.

    :param session: the session to read with
    :returns: a context manager
    """
    if session.in_transaction():
        yield
        return
    transaction = session.begin()
    try:
        yield
    finally:
        # Unlike a commit and a rollback, this does not expire what was loaded.
        transaction.close()


def bind_of(session: Session, mapper: Mapper[Any]) -> Engine | Connection:
    """Find out what a session writes a class over: the leader, and never a follower that may lag.

    :param session: the session
    :param mapper: the mapper of the class
    :returns: its engine, or the connection that it was made for
    """
    bind = session.get_bind(**writing(mapper))
    # Sessions have options since SQLAlchemy 2.1.
    options = dict(getattr(session, "execution_options", {}))
    return bind.execution_options(**options) if options else bind


def again_if_closed(function: Callable[[], T]) -> T:
    """Call a function that opens a connection, and once more where that had been closed while it was not needed.

    :param function: what to call; it has done nothing when a connection breaks
    :returns: what it returns
    :raises DBAPIError: when the database does not answer
    """
    try:
        return function()
    except DBAPIError as error:
        # What a proxy says when it has closed a connection, drivers know as one of their operational errors at best.
        if not (error.connection_invalidated or isinstance(error, InterfaceError | OperationalError)):
            raise
    return function()


def _query(session: Session, mapper: Mapper[Any], read: Callable[[Connection], T]) -> T:
    """Read over the connection that a session has, or else over one of its engine's, which is given back at once."""
    if session.in_transaction():
        return read(session.connection(bind_arguments=writing(mapper)))
    bind = bind_of(session, mapper)
    if isinstance(bind, Connection):
        if bind.in_transaction():
            return read(bind)
        with bind.begin() as transaction:
            try:
                return read(bind)
            finally:
                transaction.rollback()

    def connect() -> T:
        with bind.connect() as connection:
            return read(connection)

    return again_if_closed(connect)


def _compares_rows(session: Session, mapper: Mapper[Any]) -> bool:
    return session.get_bind(**writing(mapper)).dialect.name in _COMPARES_ROWS


def _not_advancing(rows: TableRows, key: Sequence[Any]) -> NotImplementedError:
    types = ", ".join(f"{column} is {column.type}" for column in rows.key)
    return NotImplementedError(
        f"expected keys after {tuple(key)!r}, got the same again: the database does not take a value that it gave for"
        f" equal to itself. {types}; use types that are exact, such as INTEGER, NUMERIC or VARCHAR"
    )
