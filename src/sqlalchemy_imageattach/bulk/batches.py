"""All images of an application, a few at a time.

Moving images to another store, or comparing rows with files, goes over every image row there is: millions.  It must
always be true that

- memory does not grow with the number of rows: they are read in batches, each beginning after the key at which the one
  before it ended, so that no result is held open, and any key is a place to go on from;
- no transaction stays open between two batches, so that the database goes on, and each batch sees what was committed
  meanwhile; only one that the caller has begun is the caller's to end;
- each row is read once, whatever inheritance its class is part of;
- threads touch stores and never the session, which belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import func, inspect, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper, Session, lazyload, registry

from ..entity import Image
from .keys import ALL_KEYS, KeyRange, within

__all__ = (
    "BATCH_SIZE",
    "batches",
    "check_session",
    "count",
    "image_mapper",
    "image_mappers",
    "key_ranges",
    "own_session",
    "reading",
    "topmost_of",
)

#: How many rows are read at once.
BATCH_SIZE = 1000

# Where rows can be compared as such, and an index serves it.
_COMPARES_ROWS = frozenset({"postgresql", "sqlite"})

T = TypeVar("T")
R = TypeVar("R")


def image_mappers(declarative_base: Any) -> list[Mapper[Any]]:
    """Find the image classes of a declarative base, of each hierarchy just the topmost one.

    :param declarative_base: what :func:`~sqlalchemy.orm.declarative_base` made, or a subclass of
        :class:`~sqlalchemy.orm.DeclarativeBase`
    :returns: their mappers, always in the same order; selecting from each gives every image row once
    :raises TypeError: when it is no declarative base
    """
    found = getattr(declarative_base, "registry", None)
    if not (isinstance(declarative_base, type) and isinstance(found, registry)) or _mapper_of(declarative_base):
        raise TypeError(
            "declarative_base must be a declarative base class, made by declarative_base() or by inheriting"
            f" DeclarativeBase, not {declarative_base!r}"
        )
    return topmost_of(found)


def topmost_of(classes: registry) -> list[Mapper[Any]]:
    """Find the image classes of a registry, of each hierarchy just the topmost one.

    :param classes: the registry
    :returns: their mappers, always in the same order; selecting from each gives every image row once
    """
    classes.configure()
    topmost = [mapper for mapper in classes.mappers if _is_image(mapper) and not _is_read_with_another(mapper)]
    return sorted(topmost, key=lambda mapper: (mapper.class_.__module__, mapper.class_.__qualname__))


def image_mapper(cls: Any) -> Mapper[Any]:
    """Find the mapper of an image class.

    :param cls: a mapped class that inherits :class:`~sqlalchemy_imageattach.entity.Image`
    :returns: its mapper
    :raises TypeError: when it is another class, or none
    """
    mapper = _mapper_of(cls) if isinstance(cls, type) else None
    if mapper is None or not _is_image(mapper):
        raise TypeError(
            "cls must be a mapped class that inherits sqlalchemy_imageattach.entity.Image, such as UserPicture,"
            f" not {cls!r}"
        )
    return mapper


def batches(
    session: Session, mapper: Mapper[Any], keys: KeyRange = ALL_KEYS, *, originals: bool = False
) -> Iterator[Sequence[Any]]:
    """Read all images of a class and its subclasses, in the order of their keys.

    :param session: the session to read them with
    :param mapper: the mapper of the class
    :param keys: which of them
    :param originals: whether just originals are wanted
    :returns: an iterator over lists of up to :data:`BATCH_SIZE` images
    :raises NotImplementedError: when the class is loaded from several tables at once, each with keys of its own
    """
    columns, compares_rows = _ordered(session, mapper)
    # What the model loads eagerly is not needed here.
    statement = select(mapper).order_by(*columns).limit(BATCH_SIZE).options(lazyload("*"))
    if originals:
        statement = statement.where(mapper.class_.original)
    while True:
        with reading(session):
            batch = session.scalars(statement.where(*within(columns, keys, compares_rows))).all()
        if not batch:
            return
        keys = keys._replace(after=inspect(batch[-1]).identity)
        yield batch


def count(session: Session, mapper: Mapper[Any], keys: KeyRange = ALL_KEYS, *, originals: bool = False) -> int:
    """Count the images of a class and its subclasses.

    :param session: the session to count them with
    :param mapper: the mapper of the class
    :param keys: which of them
    :param originals: whether just originals are wanted
    :returns: how many rows :func:`batches` would read now
    """
    columns, compares_rows = _ordered(session, mapper)
    statement = select(func.count()).select_from(mapper).where(*within(columns, keys, compares_rows))
    if originals:
        statement = statement.where(mapper.class_.original)
    with reading(session):
        return session.scalar(statement) or 0


def key_ranges(session: Session, cls: type[Image], size: int) -> Iterator[KeyRange]:
    """Split the rows of an image class into ranges of keys, of so many rows each, so that several processes can work.

    The database steps over the index of the primary key from one boundary to the next; no row is sent.  The first range
    has no beginning and the last one no end, so that each row is in one range, whatever is inserted meanwhile.

    :param session: the session to read the boundaries with
    :param cls: the image class
    :param size: how many rows are in a range, except for the last
    :returns: an iterator over ranges, in the order of the keys; a boundary is looked for when it is asked for
    :raises TypeError: when ``cls`` is no image class, or ``size`` no integer
    :raises ValueError: when ``size`` is not positive
    :raises NotImplementedError: when the class is loaded from several tables at once, each with keys of its own

    >>> from models import UserPicture  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> _ = user.picture.generate_thumbnail(width=160, store=store)
    >>> session.commit()
    >>> list(key_ranges(session, UserPicture, 1))
    [KeyRange(after=None, upto=(1, 160, 120)), KeyRange(after=(1, 160, 120), upto=None)]
    """
    mapper = image_mapper(cls)
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"size must be an integer, not {size!r}")
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    return _key_ranges(session, mapper, size)


def _key_ranges(session: Session, mapper: Mapper[Any], size: int) -> Iterator[KeyRange]:
    columns, compares_rows = _ordered(session, mapper)
    # The last row of a range, and whether there is one behind it.
    statement = select(*columns).order_by(*columns).offset(size - 1).limit(2)
    keys = ALL_KEYS
    while True:
        with reading(session):
            found = session.execute(statement.where(*within(columns, keys, compares_rows))).all()
        if len(found) < 2:
            yield keys
            return
        yield keys._replace(upto=tuple(found[0]))
        keys = KeyRange(after=tuple(found[0]))


def check_session(session: Session) -> None:
    """Refuse what is no session, and tell what to pass of what wraps one.

    :param session: what a caller gave
    :raises TypeError: when it is none
    """
    if not isinstance(session, Session):
        raise TypeError(
            f"session must be an instance of sqlalchemy.orm.Session, not {session!r}; of a scoped_session pass what it"
            " returns when it is called, and to an AsyncSession's go by its run_sync()"
        )


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


@contextmanager
def own_session(session: Session, mapper: Mapper[Any]) -> Iterator[Session]:
    """Open another session where a session would read a class, to read it as it is, whatever that one has loaded.

    :param session: the session; where it has begun a transaction, the other one reads in it
    :param mapper: the mapper of the class
    :returns: a context manager
    """
    bind: Engine | Connection = session.get_bind(mapper)
    if session.in_transaction():
        bind = session.connection(bind_arguments={"mapper": mapper})
    # It commits nothing, so closing it leaves a transaction that is not its own as it is.
    with Session(bind) as own:
        yield own


def _mapper_of(cls: Any) -> Mapper[Any] | None:
    try:
        mapper: Mapper[Any] = inspect(cls)
    except NoInspectionAvailable:
        return None
    return mapper


def _is_image(mapper: Mapper[Any]) -> bool:
    return issubclass(mapper.class_, Image)


def _is_read_with_another(mapper: Mapper[Any]) -> bool:
    return mapper.inherits is not None and not mapper.concrete and _is_image(mapper.inherits)


def _ordered(session: Session, mapper: Mapper[Any]) -> tuple[list[Any], bool]:
    """What rows of a class are ordered by, and whether the database compares rows as such."""
    if any(each.concrete and each is not mapper for each in mapper.with_polymorphic_mappers):
        raise NotImplementedError(
            f"expected {mapper.class_.__name__} to be loaded from tables of one key; classes of concrete inheritance"
            " cannot be read in the order of their keys while ConcreteBase loads them together"
        )
    columns = [mapper.get_property_by_column(column).class_attribute for column in mapper.primary_key]
    return columns, session.get_bind(mapper).dialect.name in _COMPARES_ROWS
