"""What SQLAlchemy keeps private, and this library needs; no other file reaches for it.

The guide makes one object of a query and a collection, and SQLAlchemy offers no hook for that.  So this file knows the
few private names that it takes.  ``tests/entity/test_sqlalchemy_internals.py`` says which of them a version has broken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from sqlalchemy.engine import Connection
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.orm import Query, Session
from sqlalchemy.orm.base import LoaderCallableStatus
from sqlalchemy.orm.collections import CollectionAdapter

__all__ = ("answer_from_memory", "is_adapted", "is_flushing", "savepoints_of", "take_none_for_empty")

#: What :class:`~sqlalchemy.orm.Query` keeps in its instances, and reads without going through ``_generate()``.
_QUERY_STATE = ("_raw_columns", "_where_criteria", "_order_by_clauses", "session")


class _Reads(Protocol):
    def __call__(self, query: Any, /) -> Iterable[Any] | None: ...


def answer_from_memory(
    cls: type[Query[Any]],
    in_memory: _Reads,
    as_query: Callable[[Any], Any],
    adopt: Callable[[Any, Any, str], None],
) -> None:
    """Make a class of queries answer from memory, until something is asked that only the database can answer.

    :param cls: the class
    :param in_memory: gives the objects of a query that is a collection, and ``None`` of a plain one
    :param as_query: makes a plain query of one that is a collection
    :param adopt: is called with a query, the entity and the attribute's name when it becomes the attribute's collection
    """

    def _iter(self: Any) -> Any:
        objects = in_memory(self)
        if objects is None:
            return Query._iter(self)
        rows = ((each,) for each in objects)
        return IteratorResult(SimpleResultMetaData(["image"]), rows).scalars()

    def _statement_20(self: Any, *args: Any, **kwargs: Any) -> Any:
        return Query._statement_20(self if in_memory(self) is None else as_query(self), *args, **kwargs)

    def _generate(self: Any) -> Any:
        return Query._generate(self) if in_memory(self) is None else as_query(self)

    def __setattr__(self: Any, name: str, value: Any) -> None:
        # The adapter knows the owner but weakly: ``session.get(User, 1).picture`` has nothing else to keep it alive.
        if name == "_sa_adapter" and value is not None:
            adopt(self, value.owner_state.obj(), value._key)
        object.__setattr__(self, name, value)

    for method in (_iter, _statement_20, _generate, __setattr__):
        setattr(cls, method.__name__, method)
    for name in _QUERY_STATE:
        setattr(cls, name, _of_the_plain_query(name, in_memory, as_query))


def is_adapted(collection: Any) -> bool:
    """Whether a collection still is the one of its attribute.

    :param collection: a collection
    :returns: false when the attribute was expired, or has another one now
    """
    adapter: CollectionAdapter | None = getattr(collection, "_sa_adapter", None)
    return adapter is not None and not adapter.invalidated


def is_flushing(session: Session) -> bool:
    """Whether a session flushes right now.

    :param session: the session
    """
    return session._flushing


def take_none_for_empty(attribute: Any) -> None:
    """Let ``None`` be assigned to a collection, for none of its objects.

    :param attribute: the attribute of a class
    """
    kind: Any = type(attribute.impl)
    attribute.impl.__class__ = _that_takes_none(kind)


@functools.cache
def _that_takes_none(kind: Any) -> Any:
    if hasattr(kind, "takes_none"):
        return kind

    def assign(self: Any, state: Any, dict_: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value is None:
            value = []
        elif not isinstance(value, LoaderCallableStatus) and not _may_be_images(value):
            raise TypeError(
                f"expected None or a list of images as {self.key}, got {value!r:.60}; attach an image by from_file(), "
                "remove all of them by delete()"
            )
        return kind.set(self, state, dict_, value, *args, **kwargs)

    return type(kind.__name__, (kind,), {"__slots__": (), "set": assign, "takes_none": True})


def _may_be_images(value: Any) -> bool:
    if isinstance(value, (str, bytes)) or not isinstance(value, Collection):
        return False
    return all(hasattr(each, "_sa_instance_state") for each in value)


def savepoints_of(connection: Connection) -> set[str]:
    """Find the savepoints that are open on a connection.

    :param connection: the connection
    :returns: their names, which later events have, and the event of their beginning has not
    """
    names = set()
    savepoint: Any = connection.get_nested_transaction()
    while savepoint is not None:
        names.add(savepoint._savepoint)
        savepoint = savepoint._previous_nested
    return names


def _of_the_plain_query(name: str, in_memory: _Reads, as_query: Callable[[Any], Any]) -> property:
    def get(self: Any) -> Any:
        if in_memory(self) is not None:
            return getattr(as_query(self), name)
        try:
            return self.__dict__[name]
        except KeyError:
            return getattr(Query, name)

    def set_(self: Any, value: Any) -> None:
        self.__dict__[name] = value

    return property(get, set_)
