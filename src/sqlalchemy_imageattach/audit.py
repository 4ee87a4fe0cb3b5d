"""Comparing rows with files, and removing files that have no row.

::

    for finding in verify(session, Base, store):
        print(finding)
    sweep(session, Base, store, dry_run=False)

While an application runs, rows and files come and go between the moment at which one is seen and that at which the
other is.  So files are listed before rows are read, and what differs then is looked at again.  It must always be true
that

- memory does not grow with the number of rows and files, but for findings that the caller keeps;
- :func:`verify` changes nothing; the session that it is given is asked for its connection alone;
- :func:`sweep` removes only files whose names have the form of ours, whose object type is one of the image classes that
  it was given, that no row named after they were listed, and that have not been written since the grace time began;
- all else in a store is somebody else's: it is counted in the log, and left alone.
"""

from __future__ import annotations

import datetime
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy.orm import Session

from . import imaging
from .bulk.batches import image_mapper
from .bulk.comparison import Comparison, File, Row
from .bulk.keys import KeyRange, check_keys
from .bulk.selection import Scope, Step
from .concurrency import call, side_by_side
from .entity import Image
from .exc import InvalidImageError
from .imaging.policy import ANYTHING
from .naming import SUFFIXES, FileKey
from .store import Store, StoredFile, holds, is_missing

__all__ = ("Finding", "Kind", "Step", "Swept", "sweep", "verify")

logger = logging.getLogger("sqlalchemy_imageattach")

#: What a :class:`Finding` is about: a row whose file is missing, unreadable or not what the row says; or a file that is
#: an orphan, without a row, or debris of an interrupted write.
Kind = Literal["missing", "unreadable", "mismatch", "orphan", "debris"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where rows and files do not agree; as a string, a line to read.

    >>> print(Finding("missing", "the store has no such file", key=FileKey("user-picture", 1, 640, 480, "image/png")))
    missing: user-picture 1, 640x480, image/png: the store has no such file
    """

    #: What is wrong.
    kind: Kind
    #: The same as a sentence.
    reason: str
    #: The identifiers of the file: those that the row has, or else those that its name tells; ``None`` for debris.
    key: FileKey | None = None
    #: The class and the primary key of the row, which ``session.get(*finding.row)`` loads.
    row: tuple[type[Image], tuple[Any, ...]] | None = None
    #: What the store calls the file, where it was listed without a row.
    name: str | None = None

    def __str__(self) -> str:
        if self.key is None:
            return f"{self.kind}: {self.name}: {self.reason}"
        object_type, object_id, width, height, mimetype, revision = self.key
        what = f"{object_type} {object_id}, {width}x{height}, {mimetype}{f', {revision}' if revision else ''}"
        return f"{self.kind}: {what}: {self.reason}"


class Swept(NamedTuple):
    """What :func:`sweep` has removed, or would remove."""

    #: How many files.
    files: int
    #: Their size, in bytes.
    bytes: int


def verify(
    session: Session,
    declarative_base: Any,
    store: Store,
    *,
    probe: bool = False,
    older_than: datetime.timedelta = datetime.timedelta(0),
    keys: KeyRange | None = None,
    on_progress: Callable[[Step, int], object] | None = None,
) -> Iterator[Finding]:
    """Compare the rows of all images with the files of a store, both ways.

    A store that cannot list its files is asked for the file of each row.  Rows that are not committed yet are not seen,
    unless they are those of a transaction that the session has begun.

    :param session: the session to read the rows with
    :param declarative_base: the base of the image classes, or one image class, for stores that have just its files
    :param store: the store
    :param probe: whether to open each file, and to compare its size in pixels and its type with its row
    :param older_than: files without a row that are not older are left out; their transactions may still be going on
    :param keys: which rows of one image class, as :func:`~sqlalchemy_imageattach.bulk.key_ranges` splits it for several
        processes.  The store is asked for the file of each then, which without ``probe`` is not opened; files without a
        row are not looked for.
    :param on_progress: called with the step that goes on, and how many files or rows it has done so far
    :returns: an iterator over what does not agree; nothing is done before it is asked
    :raises TypeError: when an argument is of another type
    :raises ValueError: when ``older_than`` is negative

    >>> from models import Base  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> session.commit()
    >>> list(verify(session, Base, store, probe=True))
    []
    >>> store.delete(user.picture.original)
    >>> [finding.kind for finding in verify(session, Base, store)]
    ['missing']
    """
    scope = Scope(session, declarative_base, store, on_progress)
    grace = _grace(older_than)
    if keys is None:
        return _verify(scope, probe, grace)
    check_keys(image_mapper(declarative_base), keys)
    return _look_at(scope, scope.rows(keys) if probe else _rows_without_file(scope, keys), probe)


def sweep(
    session: Session,
    declarative_base: Any,
    store: Store,
    older_than: datetime.timedelta = datetime.timedelta(days=1),
    dry_run: bool = True,
    *,
    callback: Callable[[StoredFile], object] | None = None,
    on_error: Callable[[StoredFile, Exception], object] | None = None,
    on_progress: Callable[[Step, int], object] | None = None,
) -> Swept:
    """Remove the files of images that have no row, and the debris of interrupted writes; by default, just count them.

    A file is put before its row is committed, so ``older_than`` has to be longer than any transaction takes.  Files of
    other object types than those of the image classes are never touched.

    :param session: the session to read the rows with; it must have no transaction open
    :param declarative_base: the base of the image classes, or one image class, for stores that have just its files
    :param store: the store
    :param older_than: only what was written longer ago than this is removed
    :param dry_run: whether to remove nothing
    :param callback: called with each file that was removed, or would be
    :param on_error: called with a file that could not be removed, and the error; without it, the first error is raised
    :param on_progress: called with the step that goes on, and how many files or rows it has done so far
    :returns: how many files, and how many bytes, were removed or would be
    :raises TypeError: when an argument is of another type
    :raises ValueError: when ``older_than`` is negative, or the session has a transaction open
    :raises NotImplementedError: when the store cannot list its files
    :raises OSError: when a file cannot be removed, and there is no ``on_error``

    >>> from models import Base  # your own
    >>> session.commit()
    >>> store.put_file(photograph, "user-picture", 7, 640, 480, "image/jpeg", False)
    >>> sweep(session, Base, store, older_than=datetime.timedelta(0)).files
    1
    >>> sweep(session, Base, store).files
    0
    """
    scope = Scope(session, declarative_base, store, on_progress)
    grace = _grace(older_than)
    for name, function in (("callback", callback), ("on_error", on_error)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be callable, not {function!r}")
    if session.in_transaction():
        raise ValueError(
            "expected a session without a transaction, which may not see what others have committed since it began;"
            " commit it or roll it back before the sweep, or use another session"
        )
    return _sweep(scope, grace, dry_run, callback, on_error)


def _verify(scope: Scope, probe: bool, grace: datetime.timedelta) -> Iterator[Finding]:
    before = _now() - grace
    with Comparison(scope.store) as comparison:
        try:
            comparison.add_files(scope.files())
        except NotImplementedError:
            scope.read(comparison)
            yield from _look_at(scope, comparison.rows(), probe)
            return
        scope.read(comparison)
        comparison.compare()
        yield from _look_at(scope, comparison.rows() if probe else comparison.rows_in_question(), probe)
        left_alone: Counter[str] = Counter()
        orphans = (file for file in comparison.files_without_row() if _is_candidate(scope, file, before, left_alone))
        is_there = partial(_is_there, scope.store)
        with closing(side_by_side(is_there, orphans, scope.store.workers)) as files:
            for file, is_left, error in files:
                if error is not None:
                    raise error
                if is_left:
                    yield _finding(file)
        _log(scope.store, left_alone)


def _sweep(
    scope: Scope,
    grace: datetime.timedelta,
    dry_run: bool,
    callback: Callable[[StoredFile], object] | None,
    on_error: Callable[[StoredFile, Exception], object] | None,
) -> Swept:
    before = _now() - grace
    count = size = 0
    with Comparison(scope.store) as comparison:
        comparison.add_files(scope.files())
        scope.read(comparison)
        comparison.compare()
        left_alone: Counter[str] = Counter()
        # Listed anew, since only the store knows how to remove a file, and since one may have been written again.
        orphans = (
            file
            for file in scope.store.list_files()
            if comparison.has_no_row(file) and _is_candidate(scope, file, before, left_alone)
        )
        remove = partial(_remove, dry_run)
        with closing(side_by_side(remove, orphans, 1 if dry_run else scope.store.workers)) as removals:
            for file, _, error in removals:
                if error is None:
                    count, size = count + 1, size + file.size
                    if callback is not None:
                        callback(file)
                elif on_error is None:
                    raise error
                else:
                    on_error(file, error)
        _log(scope.store, left_alone)
    return Swept(count, size)


def _rows_without_file(scope: Scope, keys: KeyRange) -> Iterator[Row]:
    with closing(side_by_side(partial(_has_file, scope.store), scope.rows(keys), scope.store.workers)) as asked:
        for row, has_file, error in asked:
            # A store that cannot be reached says nothing about a file.
            if error is not None:
                raise error
            if not has_file:
                yield row


def _has_file(store: Store, row: Row) -> bool:
    return holds(store, row.key)


def _look_at(scope: Scope, rows: Iterable[Row], probe: bool) -> Iterator[Finding]:
    look = partial(_look, scope.store, probe)
    with closing(side_by_side(look, rows, scope.store.workers)) as looks:
        for row, problem, error in scope.watched("looks", looks):
            if error is not None:
                raise error
            while problem is not None:
                # It may have been deleted or replaced since it was read, and its file with it.
                current = scope.read_again(row)
                if current is None:
                    break
                if current == row:
                    cls = scope.mappers[row.mapper].class_
                    yield Finding(*problem, key=row.key, row=(cls, row.identity))
                    break
                row, problem = current, call(look, current)


def _look(store: Store, probe: bool, row: Row) -> tuple[Kind, str] | None:
    """What is wrong with the file of a row."""
    try:
        # A key has what a store asks of an image.
        with store.open(cast("Image", row.key), use_seek=probe) as file:
            if not file.read(1):
                return "unreadable", "the file is empty"
            if not probe:
                return None
            info = imaging.probe(file, ANYTHING)
    except InvalidImageError as error:
        return "unreadable", str(error)
    except OSError as error:
        return "missing" if is_missing(error) else "unreadable", str(error)
    suffix, found_suffix = (SUFFIXES.get(mimetype, mimetype) for mimetype in (row.key.mimetype, info.mimetype))
    if (info.width, info.height, found_suffix) == (row.key.width, row.key.height, suffix):
        return None
    found = f"{info.width}x{info.height}, {info.mimetype}"
    return "mismatch", f"the row says {row.key.width}x{row.key.height}, {row.key.mimetype}, and the file is {found}"


def _is_there(store: Store, file: File) -> bool:
    """Whether a file without a row is still in the store."""
    return file.key is None or holds(store, file.key)


def _remove(dry_run: bool, file: StoredFile) -> None:
    if not dry_run:
        file.remove()
        logger.info("removed %s (%d bytes), which had no row", file.name, file.size, extra={"image_key": file.key})


def _is_candidate(scope: Scope, file: StoredFile | File, before: datetime.datetime, left_alone: Counter[str]) -> bool:
    if scope.is_ours(file):
        return file.modified <= before
    left_alone[file.name.partition("/")[0] if file.key is None else file.key.object_type] += 1
    return False


def _finding(file: File) -> Finding:
    when = f"{file.size} bytes, written at {file.modified:%Y-%m-%d %H:%M:%S} UTC"
    if file.key is None:
        return Finding("debris", f"an interrupted write has left {when}", name=file.name)
    return Finding("orphan", f"no row names this file of {when}", key=file.key, name=file.name)


def _log(store: Store, left_alone: Counter[str]) -> None:
    for object_type, count in left_alone.items():
        logger.info(
            "%d files of the object type %r are in %r, which no image class here has; they were left alone",
            count,
            object_type,
            store,
            extra={"image_store": store},
        )


def _grace(older_than: datetime.timedelta) -> datetime.timedelta:
    if not isinstance(older_than, datetime.timedelta):
        raise TypeError(f"older_than must be a datetime.timedelta, not {older_than!r}")
    if older_than < datetime.timedelta(0):
        raise ValueError(f"older_than must not be negative, and is {older_than}")
    return older_than


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
