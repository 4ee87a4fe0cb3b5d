"""What a session's transactions have put, and what they will delete.

Every session that touches images has one :class:`Ledger`, with one frame for each of its transactions, savepoints
included.  During a flush, files are put, and noted in the frame of the innermost transaction.  It must always be true
that

- a file is put before the transaction of its row can commit, and noted before it is put;
- nothing is deleted before the *root* transaction committed, but what a transaction put itself and then rolled back;
- when nobody can know how a commit ended (the connection broke in the middle), every file is kept;
- nothing is shared between two sessions, nor with a process that was forked from this one; a frame is undone at most
  once;
- once the database has committed, nothing here raises: what cannot be deleted is logged and reported.

How a transaction ends is told by ``after_transaction_end`` alone: it comes for a commit, a rollback, a close and a
reset, and for savepoints.  ``after_commit`` came just before if it ended well.  A session that joined a transaction of
its connection's (``join_transaction_mode``) hands its notes over to that connection: see
:mod:`sqlalchemy_imageattach.connections`.  A session that is garbage collected with a transaction open never committed
it.

One flush may turn a deletion and an insertion under the same primary key into an update: a *row switch*.  Then the new
object is the one that events tell of, and the one that it replaces is still in the session's identity map.

A file that has no revision is overwritten in place.  Then what was there before is kept aside, to be put back.
"""

from __future__ import annotations

import os
import secrets
import string
import weakref
from collections.abc import Callable
from functools import partial
from typing import IO, Any, cast

from sqlalchemy import event, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import InstanceState, Mapper, Session, SessionTransaction, UOWTransaction
from sqlalchemy.orm.attributes import flag_modified, set_committed_value
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.orm.exc import StaleDataError

from .attachment import Attachment, attachment_of, find_store, remember_store_of_file
from .concurrency import call_all
from .connections import Joined, is_in_doubt, watch, watch_savepoints
from .context import current_store
from .notes import (
    AfterCommit,
    Delete,
    FailedDelete,
    Note,
    Put,
    Report,
    abandon,
    keep_in_doubt,
    settle,
    undo,
    undo_abandoned,
)
from .rows import CurrentFile, lock_deleted, lock_rows, replace_all
from .store import FileKey, Store

__all__ = ("FAILED_DELETE_KEY", "FailedDelete", "Ledger", "ledger_of", "listen_to_images", "new_revision")

#: The key in ``Session.info`` under which a callback may be given that takes a :class:`FailedDelete`.
FAILED_DELETE_KEY = "image_delete_failed"

_INFO_KEY = "_sqlalchemy_imageattach_ledger"
_FLUSH_KEY = "_sqlalchemy_imageattach_flush"
#: What no row has.
_NO_WIDTH = -1
_ALPHABET = string.ascii_lowercase + string.digits


class Ledger:
    """The notes of one session, innermost transaction last.

    :param report: who is told of each file that could not be deleted after a commit
    """

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._process = os.getpid()
        self._frames: list[_Frame] = []
        self._queue: list[Put] = []
        #: What the rows name that the running flush deletes or replaces, by mapper and identity.
        self._current_files: dict[Mapper[Any], dict[tuple[Any, ...], CurrentFile]] = {}
        #: The files of those rows, by identity key.
        self._doomed: dict[Any, FileKey] = {}
        #: Whose row a new image takes over in the running flush, by the state of the new one.
        self._replaced: dict[InstanceState[Any], InstanceState[Any]] = {}
        #: Whether the running flush deletes anything, as far as that was asked yet.
        self._flush_deletes: bool | None = None

    def put(
        self,
        session: Session,
        connection: Connection,
        store: Store,
        key: FileKey,
        reproducible: bool,
        open_source: Callable[[], IO[bytes]],
        attachment: Attachment | None = None,
    ) -> None:
        """Note a file, to be put at the end of the running flush.

        :param session: the session that flushes
        :param connection: the connection that the row goes over
        :param store: where the file goes
        :param key: its identifiers
        :param reproducible: whether the file could be made again from another
        :param open_source: opens the bytes
        :param attachment: what lets the bytes go once the transaction committed
        """
        note = Put(store, key, reproducible, open_source, None if attachment is None else weakref.ref(attachment))
        self._frame(session, connection).notes.append(note)
        self._queue.append(note)

    def delete(self, session: Session, connection: Connection, store: Store, key: FileKey) -> None:
        """Note a file, to be deleted after the root transaction committed.

        :param session: the session that flushes
        :param connection: the connection that the row was deleted over
        :param store: where the file is
        :param key: its identifiers
        """
        self._frame(session, connection).notes.append(Delete(store, key))

    def after_commit(self, session: Session, function: Callable[[], object]) -> None:
        """Note what to do after the root transaction committed; one is begun if there is none.

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
        self._frame(session, *connections).notes.append(AfterCommit(function))

    def doom(self, connection: Connection, state: InstanceState[Any]) -> bool:
        """Find out which file goes with a row that the running flush is about to delete or replace, and lock the row.

        :param connection: the connection of the flush
        :param state: the state of the image
        :returns: whether the row is there
        """
        mapper = state.mapper.base_mapper
        if mapper not in self._current_files:
            self._current_files[mapper] = lock_deleted(connection, state.mapper, _flush_context(state.session))
        assert state.key is not None
        current = self._current_files[mapper].get(state.key[1])
        if current is None:
            return False
        key = _committed_key(state.obj())
        self._doomed[state.key] = key._replace(mimetype=current.mimetype, revision=current.revision)
        return True

    def delete_doomed(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Note the file of a row that was deleted or replaced; there is none if the row was gone already.

        :param connection: the connection of the flush
        :param state: the state of the image
        :raises ContextError: when nobody knows which store its file is in
        """
        key = self._doomed.pop(state.key, None)
        if key is not None:
            assert state.session is not None
            store = find_store(current_store, state.obj(), prefer_known=True)
            self.delete(state.session, connection, store, key)

    def doom_replaced(self, connection: Connection, state: InstanceState[Any]) -> None:
        """The same for the row that a new object takes over, if that is what happens.

        :param connection: the connection of the flush
        :param state: the state of the new image
        """
        assert state.session is not None
        if self._flush_deletes is None:
            self._flush_deletes = any(is_deleted for is_deleted, _ in _flush_context(state.session).states.values())
        if not self._flush_deletes:
            return
        replaced = state.session.identity_map.get(state.mapper.identity_key_from_instance(state.obj()))
        if replaced is None:
            return
        if self.doom(connection, inspect(replaced)):
            self._replaced[state] = inspect(replaced)
        else:
            # Another transaction has deleted that row: there is none to take over.
            flush_context: Any = _flush_context(state.session)
            flush_context.remove_state_actions(inspect(replaced))
            state.session.expunge(replaced)

    def delete_replaced(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Note the file of the row that a new object took over, if that is what happened.

        :param connection: the connection of the flush
        :param state: the state of the new image
        :raises ContextError: when nobody knows which store its file is in
        """
        replaced = self._replaced.pop(state, None)
        if replaced is not None:
            self.delete_doomed(connection, replaced)

    def follow(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Find out which file goes with a row that the running flush is about to give another name, and lock the row.

        :param connection: the connection of the flush
        :param state: the state of the image
        :raises StaleDataError: when the row is not as it was loaded any more
        """
        assert state.key is not None
        image: Any = state.obj()
        loaded, new = _committed_key(image), FileKey.of(image)
        is_known = NO_VALUE not in (state.committed_state.get(name) for name in CurrentFile._fields)
        if loaded == new and is_known:
            return
        current = lock_rows(connection, state.mapper, [state.key[1]]).get(state.key[1])
        if current is None or (is_known and current != CurrentFile(loaded.mimetype, loaded.revision)):
            raise StaleDataError(
                f"expected the row of {image!r} to name the file that was loaded, and another transaction has replaced "
                "or deleted it; refresh the object and try again"
            )
        if current.revision not in (None, new.revision):
            raise StaleDataError(
                f"expected {image!r} to keep its revision {current.revision!r}, and it got {new.revision!r}: what is "
                "merged must be up to date, and new bytes are attached by from_file() and its like"
            )
        self._doomed[state.key] = loaded._replace(mimetype=current.mimetype, revision=current.revision)
        if current.revision is not None:
            # It may have had the other name before, and the file of that is still there until the commit.
            image.revision = new_revision()

    def move(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Note that the file of a row that got another name moves along.

        :param connection: the connection of the flush
        :param state: the state of the image
        :raises ContextError: when nobody knows which store its file is in
        """
        image: Any = state.obj()
        old, new = self._doomed.pop(state.key, None), FileKey.of(image)
        if old is None or old == new:
            return
        assert state.session is not None
        attachment = attachment_of(image)
        store = find_store(current_store, image, prefer_known=True)
        if attachment is not None and attachment.is_pending:
            self.put(state.session, connection, store, new, not image.original, attachment.open, attachment)
        else:
            self.put(state.session, connection, store, new, not image.original, partial(store.get_key, old))
        self.delete(state.session, connection, store, old)

    def carry_out(self) -> None:
        """Put what the flush noted, side by side.

        :raises Exception: the first error of a store; the flush fails with it
        """
        queue, self._queue = self._queue, []
        self._forget_flush()
        if not queue:
            return
        # One of these files may have the name of one that a forgotten session has put, if it has no revision.
        undo_abandoned()
        for error in call_all([note.carry_out for note in queue], max(note.store.workers for note in queue)):
            if error is not None:
                raise error

    def mark_committed(self, transaction: SessionTransaction) -> None:
        """Remember that a transaction ended well, for :meth:`end`.

        :param transaction: a root transaction or a savepoint
        """
        frame = self._find(transaction)
        if frame is not None:
            frame.is_committed = True

    def end(self, session: Session, transaction: SessionTransaction) -> None:
        """Settle, undo or hand on what a transaction noted, now that it ended.

        :param session: its session
        :param transaction: a root transaction, a savepoint, or the marker of a flush
        """
        self._queue.clear()
        self._forget_flush()
        frame = self._find(transaction)
        if frame is None:
            return
        self._frames.remove(frame)
        if self._process != os.getpid():
            return
        if not frame.is_committed:
            in_doubt = not transaction.nested and any(map(is_in_doubt, frame.connections))
            if in_doubt:
                keep_in_doubt(frame.notes)
            else:
                undo(frame.notes, self._report)
        elif transaction.nested:
            self._frame(session, *frame.connections, transaction=_boundary(transaction.parent)).notes.extend(
                frame.notes
            )
        else:
            joined = [connection for connection in frame.connections if connection.in_transaction()]
            if joined:
                Joined.take(joined[0], frame.notes, self._report)
            else:
                settle(frame.notes, self._report)

    def abandon(self) -> None:
        """Have everything undone: the session is gone, and did not commit."""
        if self._process == os.getpid():
            for frame in reversed(self._frames):
                abandon(frame.notes, self._report)

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

    def _forget_flush(self) -> None:
        self._current_files.clear()
        self._doomed.clear()
        self._replaced.clear()
        self._flush_deletes = None

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
        ledger = session.info[_INFO_KEY] = Ledger(session.info.get(FAILED_DELETE_KEY))
        weakref.finalize(session, ledger.abandon).atexit = False
    return ledger


def new_revision() -> str:
    """Make up a revision: ten random lower-case letters and digits.

    :returns: the revision

    >>> len(new_revision())
    10
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


def listen_to_images(image_class: type[Any]) -> None:
    """Have the ledgers told of every row of the classes that are mapped as images.

    :param image_class: the mixin of all images
    """
    for name, listener in (
        ("before_insert", _before_insert),
        ("before_update", _before_update),
        ("before_delete", _before_delete),
        ("after_insert", _after_insert_or_update),
        ("after_update", _after_insert_or_update),
        ("after_delete", _after_delete),
    ):
        event.listen(image_class, name, listener, propagate=True, raw=True)


class _Frame:
    """The notes of one transaction of a session."""

    __slots__ = ("connections", "is_committed", "notes", "transaction")

    def __init__(self, transaction: SessionTransaction) -> None:
        self.transaction = weakref.ref(transaction)
        self.notes: list[Note] = []
        self.connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.is_committed = False


def _find_ledger(session: Session) -> Ledger | None:
    ledger: Ledger | None = session.info.get(_INFO_KEY)
    return ledger


def _flush_context(session: Session | None) -> UOWTransaction:
    assert session is not None
    flush_context: UOWTransaction | None = session.info[_FLUSH_KEY]()
    assert flush_context is not None
    return flush_context


def _innermost(session: Session) -> SessionTransaction | None:
    return session.get_nested_transaction() or session.get_transaction()


def _boundary(transaction: SessionTransaction | None) -> SessionTransaction | None:
    """The savepoint or root that a transaction stands for: a flush runs in a mere marker inside of one."""
    while transaction is not None and not transaction.nested and transaction.parent is not None:
        transaction = transaction.parent
    return transaction


@event.listens_for(Session, "after_begin")
def _after_begin(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    watch_savepoints(connection)


@event.listens_for(Session, "before_flush")
def _before_flush(session: Session, flush_context: UOWTransaction, instances: Any) -> None:
    replace_all(session)
    # Of a session without images, nothing but this is kept, and not beyond the flush.
    session.info[_FLUSH_KEY] = weakref.ref(flush_context)


@event.listens_for(Session, "after_flush")
def _after_flush(session: Session, flush_context: UOWTransaction) -> None:
    ledger = _find_ledger(session)
    if ledger is not None:
        ledger.carry_out()


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    ledger, transaction = _find_ledger(session), _innermost(session)
    if ledger is not None and transaction is not None:
        ledger.mark_committed(transaction)


@event.listens_for(Session, "after_transaction_end")
def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    ledger = _find_ledger(session)
    if ledger is not None:
        ledger.end(session, transaction)
    undo_abandoned()


def _before_insert(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    image: Any = state.obj()
    attachment = attachment_of(image)
    if attachment is None or not attachment.is_pending:
        raise TypeError(
            f"expected {image!r} to come with its bytes, and it has none: "
            "attach images by from_file(), from_blob() or from_raw_file() of the image set"
        )
    if attachment.has_been_put:
        # A rollback made it new again.  Of an object that takes over a row, SQLAlchemy writes what has changed since.
        for attribute in state.mapper.column_attrs:
            if attribute.key in state.dict:
                flag_modified(image, attribute.key)
        if image.revision is not None:
            # The file of that name may be about to be deleted still, for the transaction that was rolled back.
            image.revision = new_revision()
    assert state.session is not None
    ledger_of(state.session).doom_replaced(connection, state)


def _before_update(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    assert state.session is not None
    ledger_of(state.session).follow(connection, state)


def _before_delete(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    assert state.session is not None
    if not ledger_of(state.session).doom(connection, state):
        # The row is gone.  Another one may come under its key any moment, and that is not to be deleted unseen.
        set_committed_value(state.obj(), "width", _NO_WIDTH)


def _after_insert_or_update(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    session, image = state.session, cast("Any", state.obj())
    assert session is not None
    ledger = ledger_of(session)
    if state.key is not None:
        ledger.move(connection, state)
        return
    ledger.delete_replaced(connection, state)
    attachment = attachment_of(image)
    assert attachment is not None
    attachment.has_been_put = True
    key = FileKey.of(image)
    remember_store_of_file(session, key, attachment.store)
    ledger.put(session, connection, attachment.store, key, not image.original, attachment.open, attachment)


def _after_delete(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    assert state.session is not None
    if state.dict.get("width") == _NO_WIDTH:
        assert state.key is not None
        set_committed_value(state.obj(), "width", state.key[1][mapper.primary_key.index(mapper.columns["width"])])
    ledger_of(state.session).delete_doomed(connection, state)


def _committed_key(image: Any) -> FileKey:
    """The name of an image's file by the row as it was loaded, whatever was changed since."""
    state = inspect(image)
    changed = {name: value for name, value in state.committed_state.items() if name in state.mapper.column_attrs}
    if not changed:
        return FileKey.of(image)
    # A stand-in, since a model may compute its object_id and object_type from any of its attributes.
    stand_in = state.manager.new_instance()
    for attribute in state.mapper.column_attrs:
        name = attribute.key
        value = changed.get(name, NO_VALUE)
        set_committed_value(stand_in, name, getattr(image, name) if value is NO_VALUE else value)
    return FileKey.of(stand_in)
