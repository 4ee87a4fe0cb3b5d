"""Which files a flush puts and deletes: what becomes of rows, told to the ledger.

SQLAlchemy tells of each row of an image before and after it is written.  What a session has loaded may be out of date
by then, so a row that is to be deleted, replaced or renamed is locked, and what it names is read anew: see
:mod:`sqlalchemy_imageattach.transactions.rows.locking`.  It must always be true that

- an image is inserted with its bytes, or not at all;
- the file that is deleted is the one that the row named last, and stays until the commit;
- a file that has been put is not put again under the same name: a rollback may still be deleting that.

One flush may turn a deletion and an insertion under the same primary key into an update: a *row switch*.  Then the new
object is the one that events tell of, and the one that it replaces is still in the session's identity map.
"""

from __future__ import annotations

import weakref
from functools import cached_property, partial
from typing import Any, cast

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import InstanceState, Mapper, Session, SessionTransaction, UOWTransaction
from sqlalchemy.orm.attributes import flag_modified, set_attribute, set_committed_value
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.orm.exc import StaleDataError

from ..context import current_store
from ..naming import FileKey, new_revision
from .info_keys import FLUSH_KEY
from .ledger import ledger_of
from .pending import attach_copy, pending_file_of
from .rows.defaults import say_defaults
from .rows.locking import CurrentFile, Identity, lock_deleted, lock_rows
from .rows.place import stand_in
from .rows.replacing import Locked, replace_all
from .which_store import find_store, remember_store_of_file

__all__ = (
    "after_delete",
    "after_insert_or_update",
    "after_transaction_end",
    "before_delete",
    "before_flush",
    "before_insert",
    "before_update",
)

#: What no row has.
_NO_WIDTH = -1


class _Flush:
    """What is known of the rows that a running flush deletes, replaces and renames."""

    def __init__(self, context: UOWTransaction, locked: Locked) -> None:
        self._context_reference = weakref.ref(context)
        self._locked = locked
        #: What the rows name that are deleted or replaced, by mapper and identity.
        self._current_files: dict[Mapper[Any], dict[Identity, CurrentFile]] = {}
        #: The files of those rows, and of those that are renamed, by identity key.
        self._doomed: dict[Any, FileKey] = {}
        #: Whose row a new image takes over, by the state of the new one.
        self._replaced: dict[InstanceState[Any], InstanceState[Any]] = {}

    def doom(self, connection: Connection, state: InstanceState[Any]) -> bool:
        """Find out which file goes with a row that the flush is about to delete or replace, and lock the row.

        :param connection: the connection of the flush
        :param state: the state of the image
        :returns: whether the row is there
        """
        mapper = state.mapper.base_mapper
        if mapper not in self._current_files:
            locked = self._locked.get(mapper, {})
            self._current_files[mapper] = locked | lock_deleted(connection, state.mapper, self._context, locked)
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
        :raises ContextError: when no store is known for its file
        """
        key = self._doomed.pop(state.key, None)
        if key is not None:
            assert state.session is not None
            store = find_store(current_store, state.obj(), prefer_known=True)
            ledger_of(state.session).delete(state.session, connection, store, key)

    def doom_replaced(self, connection: Connection, state: InstanceState[Any]) -> None:
        """The same for the row that a new object takes over, if that is what happens.

        :param connection: the connection of the flush
        :param state: the state of the new image
        """
        assert state.session is not None
        if not self._deletes:
            return
        replaced = state.session.identity_map.get(state.mapper.identity_key_from_instance(state.obj()))
        if replaced is None:
            return
        known, context = inspect(replaced), cast("Any", self._context)
        if context.is_deleted(known):
            if self.doom(connection, known):
                self._replaced[state] = known
                say_defaults(state)
                return
            context.remove_state_actions(known)
        elif lock_rows(connection, known.mapper, [known.key[1]]):
            return
        # Another transaction has deleted that row: there is none to take over.
        state.session.expunge(replaced)

    def delete_replaced(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Note the file of the row that a new object took over, if that is what happened.

        :param connection: the connection of the flush
        :param state: the state of the new image
        :raises ContextError: when no store is known for its file
        """
        replaced = self._replaced.pop(state, None)
        if replaced is not None:
            self.delete_doomed(connection, replaced)

    def follow(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Find out which file goes with a row that the flush is about to give another name, and lock the row.

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
        is_copy = current.revision != new.revision and attach_copy(image)
        if current.revision not in (None, new.revision) and not is_copy:
            raise StaleDataError(
                f"expected {image!r} to keep its revision {current.revision!r}, and it got {new.revision!r}: what is "
                "merged must be up to date, or have bytes that were attached by from_file() or its like"
            )
        self._doomed[state.key] = loaded._replace(mimetype=current.mimetype, revision=current.revision)
        if current.revision is not None or is_copy:
            # It may have had the other name before, and the file of that is still there until the commit.
            set_attribute(image, "revision", new_revision())

    def move(self, connection: Connection, state: InstanceState[Any]) -> None:
        """Note that the file of a row that got another name moves along.

        :param connection: the connection of the flush
        :param state: the state of the image
        :raises ContextError: when no store is known for its file
        """
        image: Any = state.obj()
        old, new = self._doomed.pop(state.key, None), FileKey.of(image)
        if old is None or old == new:
            return
        session, attachment = state.session, pending_file_of(image)
        assert session is not None
        store, ledger = find_store(current_store, image, key=old, prefer_known=True), ledger_of(session)
        remember_store_of_file(session, new, store)
        if attachment is not None and attachment.is_pending:
            ledger.put(session, connection, store, new, not image.original, attachment.open, attachment)
        else:
            ledger.put(session, connection, store, new, not image.original, partial(store.get_key, old))
        ledger.delete(session, connection, store, old)

    @property
    def _context(self) -> UOWTransaction:
        context = self._context_reference()
        assert context is not None
        return context

    @cached_property
    def _deletes(self) -> bool:
        """Whether anything is deleted at all."""
        return any(is_deleted for is_deleted, _ in self._context.states.values())


def _flush_of(session: Session | None) -> _Flush:
    if session is None:
        # SQLAlchemy does not ask whether it was expunged after its key had changed.
        raise InvalidRequestError(
            "expected an image that is flushed to be in the session, and it was expunged before a rollback brought it "
            "back; roll back, close the session and load it anew"
        )
    flush: _Flush = session.info[FLUSH_KEY]
    return flush


def before_flush(session: Session, context: UOWTransaction, instances: Any) -> None:
    session.info[FLUSH_KEY] = _Flush(context, replace_all(session))


def after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    # A flush has a transaction of its own, and it may have failed.
    session.info.pop(FLUSH_KEY, None)


def before_insert(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    image: Any = state.obj()
    attach_copy(image)
    attachment = pending_file_of(image)
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
            set_attribute(image, "revision", new_revision())
    _flush_of(state.session).doom_replaced(connection, state)


def before_update(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    _flush_of(state.session).follow(connection, state)


def before_delete(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    if not _flush_of(state.session).doom(connection, state):
        # The row is gone.  Another one may come under its key any moment, and that is not to be deleted unseen.
        set_committed_value(state.obj(), "width", _NO_WIDTH)


def after_insert_or_update(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    session, image = state.session, cast("Any", state.obj())
    assert session is not None
    flush = _flush_of(session)
    if state.key is not None:
        flush.move(connection, state)
        return
    flush.delete_replaced(connection, state)
    attachment = pending_file_of(image)
    assert attachment is not None
    attachment.has_been_put = True
    key = FileKey.of(image)
    remember_store_of_file(session, key, attachment.store)
    ledger_of(session).put(session, connection, attachment.store, key, not image.original, attachment.open, attachment)


def after_delete(mapper: Mapper[Any], connection: Connection, state: InstanceState[Any]) -> None:
    if state.dict.get("width") == _NO_WIDTH:
        assert state.key is not None
        set_committed_value(state.obj(), "width", state.key[1][mapper.primary_key.index(mapper.columns["width"])])
    _flush_of(state.session).delete_doomed(connection, state)


def _committed_key(image: Any) -> FileKey:
    """The name of an image's file by the row as it was loaded, whatever was changed since."""
    state = inspect(image)
    changed = {name: value for name, value in state.committed_state.items() if name in state.mapper.column_attrs}
    if not changed:
        return FileKey.of(image)
    # A model may compute its object_id and object_type from any of its attributes.
    values = {attribute.key: changed.get(attribute.key, NO_VALUE) for attribute in state.mapper.column_attrs}
    loaded = {name: getattr(image, name) if value is NO_VALUE else value for name, value in values.items()}
    return FileKey.of(stand_in(state.mapper, loaded))
