"""What audit, migration and thumbnails take: sessions, image classes, workers and callbacks.

Each is checked when a function is called, before anything is read or written.  It must always be true that a run sees
the rows of all databases that name its files, or is refused: one shard, or one tenant's schema, says nothing about the
files of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Mapper, Session, registry, scoped_session

from ..entity import Image
from ..transactions.rows.instances import writing
from ..transactions.rows.tables import is_of_tables
from ..transactions.sessions import session_behind
from .keys import ALL_KEYS, KeyRange

__all__ = (
    "check_callback",
    "check_one_database",
    "check_workers",
    "image_mapper",
    "image_mappers",
    "mappers_of",
    "sessions_of",
    "topmost_of",
)

_TRANSLATION = "schema_translate_map"


def sessions_of(
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]], mappers: Sequence[Mapper[Any]]
) -> Sequence[Session]:
    """Find out which databases are meant.

    :param session: one session, which sees all rows; or a list of sessions, which see them together
    :param mappers: the image classes that are read
    :returns: the sessions
    :raises TypeError: when it is neither
    :raises ValueError: when one session sees a part of the rows only
    """
    if isinstance(session, list | tuple):
        if not session:
            raise ValueError("expected at least one session, got an empty list")
        return [_checked(each) for each in session]
    session = _checked(session)
    for mapper in mappers:
        if _translates_schemas(session, mapper):
            raise ValueError(
                f"expected a session that sees the images of all schemas, got one with a {_TRANSLATION}, whose files"
                " may share a store with those of others; pass a list of sessions, one for each schema"
            )
    return [session]


def _checked(session: Any) -> Session:
    session = session_behind(session)
    if not isinstance(session, Session):
        raise TypeError(
            f"expected an instance of sqlalchemy.orm.Session as session, got {session!r}; to an AsyncSession's go"
            " by its run_sync()"
        )
    if isinstance(session, ShardedSession):
        raise ValueError(
            "expected a session that sees the images of all shards, got a ShardedSession, which reads one at a time;"
            " pass a list of sessions, one for each shard, as [Session(engine), ...]"
        )
    return session


def _translates_schemas(session: Session, mapper: Mapper[Any]) -> bool:
    # Sessions have options since SQLAlchemy 2.1.
    options: Any = getattr(session, "execution_options", {})
    bind = session.get_bind(**writing(mapper))
    if session.in_transaction():
        bind = session.connection(bind_arguments=writing(mapper))
    return bool(options.get(_TRANSLATION) or bind.get_execution_options().get(_TRANSLATION))


def mappers_of(declarative_base: Any) -> list[Mapper[Any]]:
    """Find the image classes that are meant by a base, or by one of them.

    :param declarative_base: a declarative base, or one image class
    :returns: their mappers; selecting from each gives every image row once
    :raises TypeError: when it is neither
    """
    if isinstance(declarative_base, type) and issubclass(declarative_base, Image):
        return [image_mapper(declarative_base)]
    return image_mappers(declarative_base)


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
            "expected a declarative base class, made by declarative_base() or by inheriting DeclarativeBase, as"
            f" declarative_base, got {declarative_base!r}"
        )
    return topmost_of(found)


def topmost_of(classes: registry) -> list[Mapper[Any]]:
    """Find the image classes of a registry, of each hierarchy just the topmost one.

    :param classes: the registry
    :returns: their mappers, always in the same order; selecting from each gives every image row once
    """
    classes.configure()
    topmost = [
        mapper
        for mapper in classes.mappers
        # A class that is mapped to a query has rows of another one's table.
        if _is_image(mapper) and not _is_read_with_another(mapper) and is_of_tables(mapper)
    ]
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
            "expected a mapped class that inherits sqlalchemy_imageattach.entity.Image, such as UserPicture, as cls,"
            f" got {cls!r}"
        )
    return mapper


def check_one_database(sessions: Sequence[Session], keys: KeyRange) -> None:
    """Refuse a range of keys for several databases, of which each has keys of its own.

    :param sessions: the databases
    :param keys: the range
    :raises ValueError: when there are several databases, and it is not the range that every row is in
    """
    if len(sessions) > 1 and keys != ALL_KEYS:
        raise ValueError(f"expected one session with keys, got {len(sessions)}; split and do each database by itself")


def check_workers(workers: Any) -> None:
    """Refuse what is no number of workers.

    :param workers: how many threads do something side by side
    :raises TypeError: when it is no integer
    :raises ValueError: when it is not positive
    """
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"expected an integer as workers, got {workers!r}")
    if workers < 1:
        raise ValueError(f"expected workers to be at least 1, got {workers}")


def check_callback(name: str, function: Any, takes: str) -> None:
    """Refuse what cannot be called.

    :param name: the name of the argument
    :param function: what was given, or ``None``
    :param takes: what it is called with, such as ``"an image"``
    :raises TypeError: when it cannot be called
    """
    if function is not None and not callable(function):
        raise TypeError(f"expected a function that takes {takes} as {name}, got {function!r}")


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
