"""What a session's transactions have put, and what they will delete.

Every session that touches images has one :class:`Ledger`, with one frame for each of its transactions, savepoints
included.  During a flush, files are put, and noted in the frame of the innermost transaction.  It must always be true
that

- a file is put before the transaction of its row can commit, and noted before it is put;
- nothing is deleted before the *root* transaction committed, but what a transaction put itself and then rolled back;
- when the outcome of a commit is unknown (the connection broke in the middle), every file is kept;
- nothing is shared between two sessions, nor with a process that was forked from this one; a frame is undone at most
  once;
- once the database has committed, nothing here raises: what cannot be deleted is logged and reported.

``after_transaction_end`` alone says how a transaction ends: it comes for a commit, a rollback, a close and a
reset, and for savepoints.  ``after_commit`` came just before if it ended well.  A session that joined a transaction of
its connection's (``join_transaction_mode``) hands its entries over to that connection: see
:mod:`.connections`.  A session that is garbage collected with a transaction open never committed it.

Which files a flush puts and deletes is the business of :mod:`.flush`.  A file that has no revision is overwritten in
place; then what was there before is kept aside, to be put back.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import IO

from sqlalchemy.engine import Connection
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction

from ..concurrency import call_all
from ..naming import FileKey
from ..store import Store
from .connections import JoinedEntries, is_in_doubt, watch
from .entries import (
    AfterCommit,
    Delete,
    Entry,
    Put,
    Report,
    abandon,
    keep_in_doubt,
    look_again,
    settle,
    undo,
    undo_abandoned,
)
from .info_keys import FAILED_DELETE_KEY, LEDGER_KEY
from .pending import PendingFile
from .which_store import forget_stores

__all__ = ("SavepointsOf", "after_commit", "after_flush", "after_transaction_end", "before_commit", "ledger_of")

SavepointsOf = Callable[[Connection], set[str]]


class Ledger:
    """The entries of one session, innermost transaction last.

    :param report: is called for each file that could not be deleted after a commit
    """

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._process = os.getpid()
        self._frames: list[_Frame] = []
        self._queue: list[Put] = []

    def put(
        self,
        session: Session,
        connection: Connection,
        store: Store,
        key: FileKey,
        reproducible: bool,
        open_source: Callable[[], IO[bytes]],
        attachment: PendingFile | None = None,
    ) -> None:
        """Entry a file, to be put at the end of the running flush.

        :param session: the session that flushes
        :param connection: the connection that the row goes over
        :param store: where the file goes
        :param key: its identifiers
        :param reproducible: whether the file could be made again from another
        :param open_source: opens the bytes
        :param attachment: what lets the bytes go once the transaction committed
        """
        entry = Put(store, key, reproducible, open_source, None if attachment is None else weakref.ref(attachment))
        self._frame(session, connection).entries.append(entry)
        self._queue.append(entry)

    def delete(self, session: Session, connection: Connection, store: Store, key: FileKey) -> None:
        """Entry a file, to be deleted after the root transaction committed.

        :param session: the session that flushes
        :param connection: the connection that the row was deleted over
        :param store: where the file is
        :param key: its identifiers
        """
        self._frame(session, connection).entries.append(Delete(store, key))

    def after_commit(self, session: Session, function: Callable[[], object]) -> None:
        """Entry what to do after the root transaction committed; one is begun if there is none.

        :param session: the session
        :param function: what to call; errors that it raises are logged
        """
        if not session.in_transaction():
            session.begin()
        try:
            bind = session.get_bind()
        except UnboundExecutionError:
            # It has an engine for each class, and so transactions of its own.
            bind = None
        # A session of a connection's may join a transaction of that.  To ask another for its connection would open one.
        connections = [bind] if isinstance(bind, Connection) else []
        self._frame(session, *connections).entries.append(AfterCommit(function))

    def carry_out(self) -> None:
        """Put what the flush noted, side by side.

        :raises Exception: the first error of a store; the flush fails with it
        """
        queue, self._queue = self._queue, []
        if not queue:
            return
        # One of these files may have the name of one that a forgotten session has put, if it has no revision.
        undo_abandoned()
        puts = [entry.carry_out for entry in queue]
        # Of a store that is down, one has waited long enough with the first files.
        for error in call_all(puts, max(entry.store.workers for entry in queue), until_error=True):
            if error is not None:
                raise error

    def look_again(self, transaction: SessionTransaction) -> None:
        """Look for files that were put long ago, before the transaction commits.

        :param transaction: a root transaction or a savepoint
        :raises ImageNotFoundError: when one of them is gone
        """
        frame = self._find(transaction)
        if frame is not None:
            look_again(frame.entries)

    def mark_committed(self, transaction: SessionTransaction) -> None:
        """Remember that a transaction ended well, for :meth:`end`.

        :param transaction: a root transaction or a savepoint
        """
        frame = self._find(transaction)
        if frame is not None:
            frame.is_committed = True

    def end(self, session: Session, transaction: SessionTransaction, savepoints_of: SavepointsOf) -> None:
        """Settle, undo or hand on what a transaction noted, now that it ended.

        :param session: its session
        :param transaction: a root transaction, a savepoint, or the marker of a flush
        :param savepoints_of: gives the names of the savepoints that are open on a connection
        """
        self._queue.clear()
        frame = self._find(transaction)
        if frame is None:
            return
        self._frames.remove(frame)
        if self._process != os.getpid():
            return
        if not frame.is_committed:
            in_doubt = not transaction.nested and any(map(is_in_doubt, frame.connections))
            if in_doubt:
                keep_in_doubt(frame.entries)
            else:
                forget_stores(
                    session, [entry.key for entry in frame.entries if isinstance(entry, Put) and entry.key.revision]
                )
                undo(frame.entries, self._report)
        elif transaction.nested:
            self._frame(session, *frame.connections, transaction=_boundary(transaction.parent)).entries.extend(
                frame.entries
            )
        else:
            forget_stores(
                session, [entry.key for entry in frame.entries if isinstance(entry, Delete) and entry.key.revision]
            )
            joined = [connection for connection in frame.connections if connection.in_transaction()]
            if joined:
                JoinedEntries.take(joined[0], savepoints_of(joined[0]), frame.entries, self._report)
            else:
                settle(frame.entries, self._report)

    def abandon(self) -> None:
        """Have everything undone: the session is gone, and did not commit."""
        if self._process == os.getpid():
            for frame in reversed(self._frames):
                abandon(frame.entries, self._report)

    def _frame(
        self, session: Session, *connections: Connection, transaction: SessionTransaction | None = None
    ) -> _Frame:
        transaction = transaction or _innermost(session)
        assert transaction is not None
        frame = self._find(transaction)
        if frame is None:
            frame = _Frame(transaction)
            self._frames.append(frame)
        for connection in connections:
            if connection not in frame.connections:
                frame.connections.add(connection)
                watch(connection)
        return frame

    def _find(self, transaction: SessionTransaction) -> _Frame | None:
        for frame in reversed(self._frames):
            if frame.transaction() is transaction:
                return frame
        return None


def ledger_of(session: Session) -> Ledger:
    """The ledger of a session, made when it is first asked for.

    :param session: a session
    :returns: its ledger
    """
    ledger = _find_ledger(session)
    if ledger is None:
        ledger = session.info[LEDGER_KEY] = Ledger(session.info.get(FAILED_DELETE_KEY))
        weakref.finalize(session, ledger.abandon).atexit = False
    return ledger


class _Frame:
    """The entries of one transaction of a session."""

    __slots__ = ("connections", "entries", "is_committed", "transaction")

    def __init__(self, transaction: SessionTransaction) -> None:
        self.transaction = weakref.ref(transaction)
        self.entries: list[Entry] = []
        self.connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.is_committed = False


def _find_ledger(session: Session) -> Ledger | None:
    ledger: Ledger | None = session.info.get(LEDGER_KEY)
    return ledger


def _innermost(session: Session) -> SessionTransaction | None:
    root, savepoint = session.get_transaction(), session.get_nested_transaction()
    outermost = savepoint
    while outermost is not None and outermost.parent is not None:
        outermost = outermost.parent
    # One that a listener has begun while the root transaction was ending is still said to be there when that is gone.
    return savepoint if outermost is root else root


def _boundary(transaction: SessionTransaction | None) -> SessionTransaction | None:
    """The savepoint or root that a transaction stands for: a flush runs in a mere marker inside of one."""
    while transaction is not None and not transaction.nested and transaction.parent is not None:
        transaction = transaction.parent
    return transaction


def after_flush(session: Session, flush_context: UOWTransaction) -> None:
    ledger = _find_ledger(session)
    if ledger is not None:
        ledger.carry_out()


def before_commit(session: Session) -> None:
    ledger, transaction = _find_ledger(session), _innermost(session)
    if ledger is not None and transaction is not None:
        ledger.look_again(transaction)


def after_commit(session: Session) -> None:
    ledger, transaction = _find_ledger(session), _innermost(session)
    # A listener may have begun a savepoint in the transaction that commits.
    while transaction is not None and transaction.is_active:
        transaction = transaction.parent
    if ledger is not None and transaction is not None:
        ledger.mark_committed(transaction)


def after_transaction_end(savepoints_of: SavepointsOf, session: Session, transaction: SessionTransaction) -> None:
    ledger = _find_ledger(session)
    if ledger is not None:
        ledger.end(session, transaction, savepoints_of)
    undo_abandoned()
