"""One file that a transaction has put or will delete, or one call for after it; and how that is undone or settled.

Notes hold names of files, never rows.  Undoing and settling are the last thing that happens to a transaction, after the
database: they log what fails, and never raise it.
"""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import IO, NamedTuple

from ..concurrency import call, call_all
from ..exc import ImageNotFoundError, StoreError
from ..file import send
from ..naming import FileKey
from ..store import Store, holds
from ..variants.deleting import delete_variants, delete_with_variants
from .pending import Attachment

__all__ = (
    "AfterCommit",
    "Delete",
    "FailedDelete",
    "Note",
    "Put",
    "Report",
    "abandon",
    "keep_in_doubt",
    "settle",
    "undo",
    "undo_abandoned",
)

logger = logging.getLogger("sqlalchemy_imageattach")


#: A sweep leaves younger files alone by default, for twice as long; in seconds.
LOOK_AGAIN_AFTER = 12 * 3600


class FailedDelete(NamedTuple):
    """A file that no row names any more, and that its store could not delete: all that is needed to try again.

    ``failure.store.delete_key(failure.key)`` tries again.
    """

    store: Store
    key: FileKey
    error: BaseException


#: Who is told of a :class:`FailedDelete`.
Report = Callable[[FailedDelete], object]


@dataclass(slots=True)
class Put:
    """A file that was put, or is about to be."""

    store: Store
    key: FileKey
    reproducible: bool
    open_source: Callable[[], IO[bytes]] | None
    attachment: weakref.ref[Attachment] | None
    was_begun: bool = False
    #: When it was put, in seconds since the epoch.
    put_at: float | None = None
    backup: Attachment | None = None

    def carry_out(self) -> None:
        assert self.open_source is not None
        if self._overwrites:
            self.backup = _read_aside(self.store, self.key)
        self.was_begun = True
        try:
            with self.open_source() as source:
                self.store.put_key(source, self.key, self.reproducible)
        except ValueError:
            # A name that the store refuses: nothing was put, and there is nothing to take back.
            self.was_begun = False
            raise
        self.put_at = time.time()
        self.open_source = None  # and with it, the bytes

    def look_again(self) -> None:
        """Make sure that the file is still there, if a sweep may have taken it for an orphan.

        :raises ImageNotFoundError: when it is gone
        """
        if self.put_at is not None and time.time() - self.put_at > LOOK_AGAIN_AFTER and not holds(self.store, self.key):
            raise ImageNotFoundError(
                f"expected {self.key} in {self.store!r}, where this transaction has put it, got nothing; a sweep may"
                " have removed it: roll back and attach it again"
            )

    def undo(self) -> None:
        if not self.was_begun:
            return
        if self.backup is None:
            delete_with_variants(self.store, self.key)
        else:
            with self.backup.open() as source:
                self.store.put_key(source, self.key, self.reproducible)

    @property
    def _overwrites(self) -> bool:
        # A file that moves may have had its new name before, and be there still until the commit.
        return self.attachment is None or self.key.revision is None or not self.store.takes_revision()


@dataclass(slots=True)
class Delete:
    """A file to delete once the root transaction committed."""

    store: Store
    key: FileKey


@dataclass(slots=True)
class AfterCommit:
    """What to do once the root transaction committed, and never otherwise."""

    function: Callable[[], object]


Note = Put | Delete | AfterCommit

# A SimpleQueue's put() may be called at any time.
_abandoned: queue.SimpleQueue[tuple[int, list[Note], Report | None]] = queue.SimpleQueue()


def undo(notes: list[Note], report: Report | None = None) -> None:
    """The transaction was rolled back: take back what it put, the last first.

    :param notes: what it noted; empty afterwards
    :param report: who is told of each file that could not be deleted
    """
    puts = [note for note in reversed(notes) if isinstance(note, Put)]
    notes.clear()
    errors = call_all([note.undo for note in puts], _workers(puts) if _are_independent(puts) else 1)
    for note, error in zip(puts, errors, strict=True):
        if error is None:
            continue
        if note.backup is None:
            _log(error, "could not take back %s, put into %r by a transaction that was rolled back", note)
            _tell(report, FailedDelete(note.store, note.key, error))
        else:
            message = "could not put back %s, overwritten in %r by a transaction that was rolled back; it is in %s"
            _log(error, message, note, _rescued(note.backup))


def abandon(notes: list[Note], report: Report | None = None) -> None:
    """Have notes undone soon: by :func:`undo_abandoned`, which is called before the next file is put in this process,
    and after the next transaction.

    Python collects garbage in the middle of anything, also while a lock is held that a store needs.  So nothing may be
    done then but this.

    :param notes: what a transaction noted whose session is gone; empty afterwards
    :param report: who is told of each file that could not be deleted
    """
    _abandoned.put((os.getpid(), notes.copy(), report))
    notes.clear()


def undo_abandoned() -> None:
    """Undo what was abandoned, here and not in a process that this one was forked from."""
    while True:
        try:
            process, notes, report = _abandoned.get_nowait()
        except queue.Empty:
            return
        if process == os.getpid():
            undo(notes, report)


def settle(notes: list[Note], report: Report | None) -> None:
    """The root transaction committed: let go of bytes that the stores have, delete what no row names any more, and do
    what was to be done afterwards.

    :param notes: what it noted; empty afterwards
    :param report: who is told of each file that could not be deleted
    """
    last_put = {(id(note.store), note.key): index for index, note in enumerate(notes) if isinstance(note, Put)}
    deletes = [
        note
        for index, note in enumerate(notes)
        if isinstance(note, Delete) and last_put.get((id(note.store), note.key), -1) < index
    ]
    for note in notes:
        attachment = note.attachment() if isinstance(note, Put) and note.attachment is not None else None
        if attachment is not None:
            attachment.release()
    overwritten = [note for note in notes if isinstance(note, Put) and note.backup is not None]
    functions = [note.function for note in notes if isinstance(note, AfterCommit)]
    notes.clear()
    removed = [partial(delete_with_variants, note.store, note.key) for note in deletes]
    # Of what was overwritten in place, the file stays.
    removed += [partial(delete_variants, note.store, note.key) for note in overwritten]
    gone: list[Put | Delete] = [*deletes, *overwritten]
    for entry, error in zip(gone, call_all(removed, _workers(gone)), strict=True):
        if error is not None:
            _log(error, "could not delete %s from %r, though no row names it any more", entry)
            _tell(report, FailedDelete(entry.store, entry.key, error))
    for function, error in zip(functions, call_all(functions, 1), strict=True):
        if error is not None:
            logger.error("what was to happen after a commit failed: %r", function, exc_info=error)


def keep_in_doubt(notes: list[Note]) -> None:
    """Nobody knows how the commit ended: keep every file, call nothing, and say so.

    :param notes: what it noted; empty afterwards
    """
    for note in notes:
        if isinstance(note, AfterCommit):
            logger.warning("the connection broke during COMMIT: this does not happen: %r", note.function)
            continue
        logger.warning(
            "the connection broke during COMMIT: %s in %r is kept, and the audit will tell whether a row names it",
            tuple(note.key),
            note.store,
            extra={"image_key": note.key, "image_store": note.store},
        )
    notes.clear()


def _are_independent(puts: list[Put]) -> bool:
    """Whether no file was put twice: what was overwritten twice must be taken back in order."""
    return len({(id(note.store), note.key) for note in puts}) == len(puts)


def _read_aside(store: Store, key: FileKey) -> Attachment | None:
    try:
        file = store.get_key(key)
    except StoreError:
        raise  # that says nothing about the file
    except LookupError as error:
        raise TypeError(
            f"expected get_file() of {store!r} to raise an OSError where there is no such file, got {error!r}; raise"
            " ImageNotFoundError there"
        ) from error
    except OSError:
        return None
    with file:
        return Attachment.of_file(store, file, max_bytes=2**63)


def _rescued(backup: Attachment) -> str:
    """Keep bytes that their store does not take back, and say where."""
    try:
        with backup.open() as source, tempfile.NamedTemporaryFile(prefix="imageattach-", delete=False) as file:
            send(source, file.fileno())
    except OSError as error:
        return f"no file either: {error}"
    return file.name


def _workers(notes: Iterable[Put | Delete]) -> int:
    return max((note.store.workers for note in notes), default=1)


def _log(error: BaseException, message: str, note: Put | Delete, *arguments: object) -> None:
    extra = {"image_key": note.key, "image_store": note.store}
    logger.error(message, tuple(note.key), note.store, *arguments, exc_info=error, extra=extra)


def _tell(report: Report | None, failure: FailedDelete) -> None:
    if report is None:
        return
    try:
        call(report, failure)
    except Exception:
        logger.exception("the callback for files that could not be deleted failed itself")
