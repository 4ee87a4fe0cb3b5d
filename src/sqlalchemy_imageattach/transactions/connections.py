"""What only the connection knows: how a commit ended, and transactions that were there before the session.

A commit may break in the middle.  When the database answered with an error, the transaction was rolled back.  When the
connection was lost instead, the outcome is unknown: see :func:`is_in_doubt`.

A session may join a transaction that its connection has begun already (``join_transaction_mode``).  Then the end of the
session's own transaction decides nothing.  Its entries go to :class:`JoinedEntries`, and the connection's own commit or
rollback settles them.  SQLAlchemy's event of a commit comes before the database is asked, so what was committed is
settled when the connection goes on, or goes back to its pool.

Python's ``sqlite3`` begins a transaction no sooner than with the first change.  A savepoint before it is itself the
transaction, and its release a commit that no rollback takes back: so there the transaction is begun before it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from sqlalchemy import event
from sqlalchemy.engine import Connection

from .entries import Entry, Report, abandon, look_again, settle, undo
from .info_keys import COMMITTED_KEY

__all__ = ("JoinedEntries", "begin_before_savepoint", "is_in_doubt", "watch")

#: The connections that were told to commit, and have not answered with an error.
_commits: weakref.WeakSet[Connection] = weakref.WeakSet()


def watch(connection: Connection) -> None:
    """Listen to the engine of a connection.

    :param connection: a connection that image rows go over
    """
    engine = connection.engine
    if not event.contains(engine, "commit", _on_commit):
        for name, listener in _LISTENERS.items():
            event.listen(engine, name, listener)


def begin_before_savepoint(connection: Connection, name: str) -> None:
    """Have a transaction begin before its first savepoint, on SQLite.

    This is of all connections, since the savepoint may be there before the session that joins the transaction.

    :param connection: a connection that is about to make a savepoint
    :param name: what the savepoint will be called
    """
    if connection.dialect.name == "sqlite" and not getattr(
        connection.connection.driver_connection, "in_transaction", True
    ):
        connection.exec_driver_sql("BEGIN")


def is_in_doubt(connection: Connection) -> bool:
    """Whether the outcome is unknown of a transaction that did not end in a commit, as far as the session knows.

    :param connection: a connection of that transaction
    :returns: true when it was asked to commit and did not answer
    """
    return connection in _commits


class JoinedEntries:
    """The entries of sessions that joined a transaction of this connection's."""

    _all: ClassVar[weakref.WeakKeyDictionary[Connection, JoinedEntries]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        # With the names of the connection's savepoints that they are in.
        self._parts: list[tuple[set[str], list[Entry]]] = []
        self._report: Report | None = None
        self._process = os.getpid()

    @classmethod
    def take(cls, connection: Connection, savepoints: set[str], entries: list[Entry], report: Report | None) -> None:
        """Hand over what a session noted.

        :param connection: the connection, with a transaction open
        :param savepoints: the names of its open savepoints
        :param entries: what was noted
        :param report: is called for each file that could not be deleted
        """
        joined = cls._all.get(connection)
        if joined is None:
            joined = cls._all[connection] = cls()
            weakref.finalize(connection, joined.abandon).atexit = False
        joined._parts.append((savepoints, entries))
        joined._report = report or joined._report

    @classmethod
    def of(cls, connection: Connection) -> JoinedEntries:
        return cls._all.get(connection) or cls()

    def abandon(self) -> None:
        if self._process == os.getpid():
            for _, entries in reversed(self._parts):
                abandon(entries, self._report)

    def undo(self) -> None:
        parts, self._parts = self._parts, []
        for _, entries in reversed(parts):
            undo(entries)

    def release_savepoint(self, name: str) -> None:
        for names, _ in self._parts:
            names.discard(name)

    def rollback_savepoint(self, name: str) -> None:
        lost = [entries for names, entries in self._parts if name in names]
        self._parts = [(names, entries) for names, entries in self._parts if name not in names]
        for entries in reversed(lost):
            undo(entries)

    def look_again(self) -> None:
        for _, entries in self._parts:
            look_again(entries)

    def commit(self, connection: Connection) -> None:
        parts, self._parts = self._parts, []
        if parts:
            entries = [entry for _, part in parts for entry in part]
            connection.info.setdefault(COMMITTED_KEY, []).append((entries, self._report))


def _settle_committed(info: dict[Any, Any]) -> None:
    for entries, report in info.pop(COMMITTED_KEY, ()):
        settle(entries, report)


def _on_begin(connection: Connection) -> None:
    _commits.discard(connection)
    _settle_committed(connection.info)


def _on_commit(connection: Connection) -> None:
    joined = JoinedEntries.of(connection)
    joined.look_again()
    _commits.add(connection)
    joined.commit(connection)


def _on_rollback(connection: Connection) -> None:
    # What can still be rolled back was not committed: a prepared transaction, for one.
    if not connection.invalidated:
        _commits.discard(connection)
    JoinedEntries.of(connection).undo()


def _on_release_savepoint(connection: Connection, name: str, context: Any) -> None:
    JoinedEntries.of(connection).release_savepoint(name)


def _on_rollback_savepoint(connection: Connection, name: str, context: Any) -> None:
    JoinedEntries.of(connection).rollback_savepoint(name)


def _on_error(context: Any) -> None:
    connection = context.connection
    if connection is not None and connection in _commits and not context.is_disconnect:
        # The database answered: no.
        _commits.discard(connection)
        for entries, _ in connection.info.pop(COMMITTED_KEY, ()):
            undo(entries)


def _on_checkin(dbapi_connection: Any, record: Any) -> None:
    if dbapi_connection is not None:
        _settle_committed(record.info)


_LISTENERS: dict[str, Callable[..., Any]] = {
    "begin": _on_begin,
    "begin_twophase": lambda connection, xid: _on_begin(connection),
    "commit": _on_commit,
    "prepare_twophase": lambda connection, xid: _on_commit(connection),
    "commit_twophase": lambda connection, xid, is_prepared: _on_commit(connection),
    "rollback": _on_rollback,
    "rollback_twophase": lambda connection, xid, is_prepared: _on_rollback(connection),
    "release_savepoint": _on_release_savepoint,
    "rollback_savepoint": _on_rollback_savepoint,
    "handle_error": _on_error,
    "checkin": _on_checkin,
}
