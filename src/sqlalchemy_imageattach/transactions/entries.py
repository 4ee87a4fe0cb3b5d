"""One file that a transaction has put or will delete, or one call for after it; and how that is undone or settled.

Entries hold names of files, never rows.  Undoing and settling are the last thing that happens to a transaction, after
the database: they log what fails, and never raise it.
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
from .pending import PendingFile

__all__ = (
    "AfterCommit",
    "Delete",
    "Entry",
    "FailedDelete",
    "Put",
    "Report",
    "abandon",
    "keep_in_doubt",
    "look_again",
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


#: What is called with a :class:`FailedDelete`.
Report = Callable[[FailedDelete], object]


@dataclass(slots=True)
class Put:
    """A file that was put, or is about to be."""

    store: Store
    key: FileKey
    reproducible: bool
    open_source: Callable[[], IO[bytes]] | None
    attachment: weakref.ref[PendingFile] | None
    was_begun: bool = False
    #: When it was put, in seconds since the epoch.
    put_at: float | None = None
    backup: PendingFile | None = None

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


Entry = Put | Delete | AfterCommit

# A SimpleQueue's put() may be called at any time.
_abandoned: queue.SimpleQueue[tuple[int, list[Entry], Report | None]] = queue.SimpleQueue()


def look_again(entries: Iterable[Entry]) -> None:
    """Look for files that were put long ago, before what named them is committed.

    :param entries: what a transaction noted
    :raises ImageNotFoundError: when one of them is gone
    """
    for entry in entries:
        if isinstance(entry, Put):
            call(entry.look_again)


def undo(entries: list[Entry], report: Report | None = None) -> None:
    """The transaction was rolled back: take back what it put, the last first.

    :param entries: what it noted; empty afterwards
    :param report: is called for each file that could not be deleted
    """
    puts = [entry for entry in reversed(entries) if isinstance(entry, Put)]
    entries.clear()
    errors = call_all([entry.undo for entry in puts], _workers(puts) if _are_independent(puts) else 1)
    for entry, error in zip(puts, errors, strict=True):
        if error is None:
            continue
        if entry.backup is None:
            _log(error, "could not take back %s, put into %r by a transaction that was rolled back", entry)
            _tell(report, FailedDelete(entry.store, entry.key, error))
        else:
            message = "could not put back %s, overwritten in %r by a transaction that was rolled back; it is in %s"
            _log(error, message, entry, _rescued(entry.backup))


def abandon(entries: list[Entry], report: Report | None = None) -> None:
    """Have entries undone soon: by :func:`undo_abandoned`, which is called before the next file is put in this process,
    and after the next transaction.

    Python collects garbage in the middle of anything, also while a lock is held that a store needs.  So nothing may be
    done then but this.

    :param entries: what a transaction noted whose session is gone; empty afterwards
    :param report: is called for each file that could not be deleted
    """
    _abandoned.put((os.getpid(), entries.copy(), report))
    entries.clear()


def undo_abandoned() -> None:
    """Undo what was abandoned, here and not in a process that this one was forked from."""
    while True:
        try:
            process, entries, report = _abandoned.get_nowait()
        except queue.Empty:
            return
        if process == os.getpid():
            undo(entries, report)


def settle(entries: list[Entry], report: Report | None) -> None:
    """The root transaction committed: let go of bytes that the stores have, delete what no row names any more, and do
    what was to be done afterwards.

    :param entries: what it noted; empty afterwards
    :param report: is called for each file that could not be deleted
    """
    last_put = {(id(entry.store), entry.key): index for index, entry in enumerate(entries) if isinstance(entry, Put)}
    deletes = [
        entry
        for index, entry in enumerate(entries)
        if isinstance(entry, Delete) and last_put.get((id(entry.store), entry.key), -1) < index
    ]
    for entry in entries:
        attachment = entry.attachment() if isinstance(entry, Put) and entry.attachment is not None else None
        if attachment is not None:
            attachment.release()
    overwritten = [entry for entry in entries if isinstance(entry, Put) and entry.backup is not None]
    functions = [entry.function for entry in entries if isinstance(entry, AfterCommit)]
    entries.clear()
    removed = [partial(delete_with_variants, entry.store, entry.key) for entry in deletes]
    # Of what was overwritten in place, the file stays.
    removed += [partial(delete_variants, entry.store, entry.key) for entry in overwritten]
    gone: list[Put | Delete] = [*deletes, *overwritten]
    for entry, error in zip(gone, call_all(removed, _workers(gone)), strict=True):
        if error is not None:
            _log(error, "could not delete %s from %r, though no row names it any more", entry)
            _tell(report, FailedDelete(entry.store, entry.key, error))
    for function, error in zip(functions, call_all(functions, 1), strict=True):
        if error is not None:
            logger.error("what was to happen after a commit failed: %r", function, exc_info=error)


def keep_in_doubt(entries: list[Entry]) -> None:
    """Keep every file, call nothing, and say so: the outcome of the commit is unknown.

    :param entries: what it noted; empty afterwards
    """
    for entry in entries:
        if isinstance(entry, AfterCommit):
            logger.warning("the connection broke during COMMIT: this does not happen: %r", entry.function)
            continue
        logger.warning(
            "the connection broke during COMMIT: %s in %r is kept, and the audit will tell whether a row names it",
            tuple(entry.key),
            entry.store,
            extra={"image_key": entry.key, "image_store": entry.store},
        )
    entries.clear()


def _are_independent(puts: list[Put]) -> bool:
    """Whether no file was put twice: what was overwritten twice must be taken back in order."""
    return len({(id(entry.store), entry.key) for entry in puts}) == len(puts)


def _read_aside(store: Store, key: FileKey) -> PendingFile | None:
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
        return PendingFile.of_file(store, file, max_bytes=2**63)


def _rescued(backup: PendingFile) -> str:
    """Keep bytes that their store does not take back, and say where."""
    try:
        with backup.open() as source, tempfile.NamedTemporaryFile(prefix="imageattach-", delete=False) as file:
            send(source, file.fileno())
    except OSError as error:
        return f"no file either: {error}"
    return file.name


def _workers(entries: Iterable[Put | Delete]) -> int:
    return max((entry.store.workers for entry in entries), default=1)


def _log(error: BaseException, message: str, entry: Put | Delete, *arguments: object) -> None:
    extra = {"image_key": entry.key, "image_store": entry.store}
    logger.error(message, tuple(entry.key), entry.store, *arguments, exc_info=error, extra=extra)


def _tell(report: Report | None, failure: FailedDelete) -> None:
    if report is None:
        return
    try:
        call(report, failure)
    except Exception:
        logger.exception("the callback for files that could not be deleted failed itself")
