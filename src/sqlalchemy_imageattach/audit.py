"""Comparing rows with files, and removing files that have no row.

::

    for finding in verify(session, Base, store):
        print(finding)
    sweep(session, Base, store, dry_run=False)

While an application runs, rows and files come and go between the moment at which one is seen and that at which the
other is.  So files are listed before rows are read, and what differs then is looked at again.  It must always be true
that

- memory does not grow with the number of rows and files, but for findings that the caller keeps;
- rows are read from their tables, so that nothing that an application hides from its sessions is missed;
- :func:`verify` changes nothing in the database and in the store;
- :func:`sweep` removes only files whose names have the form of ours, whose object type is one of the image classes that
  it was given, that no row named after they were listed, and that have not been written since the grace time began, by
  the clock of the store;
- it removes nothing where a row does not tell which file is its own, and no more than a small part at once;
- all else in a store belongs to others: it is counted, and left alone.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

from sqlalchemy.orm import Session, scoped_session

from . import imaging
from .bulk.arguments import check_callback, check_one_database, image_mapper
from .bulk.comparison import Comparison, File, Row
from .bulk.keys import KeyRange, check_keys
from .bulk.orphans import (
    DEFAULT_LIMIT,
    Swept,
    age_check,
    check_known_types,
    check_limit,
    log_left_alone,
    orphans_of,
    remove_orphans,
)
from .bulk.selection import Selection, Step
from .concurrency import call, side_by_side
from .entity import Image
from .exc import InvalidImageError
from .imaging.policy import ANYTHING
from .naming import SUFFIXES, FileKey, StorableImage
from .store import Store, StoredFile, holds, is_missing

__all__ = ("DEFAULT_GRACE", "DEFAULT_LIMIT", "Finding", "Kind", "Swept", "sweep", "verify")

#: What :func:`sweep` leaves out: files that have been written since.
DEFAULT_GRACE = datetime.timedelta(days=1)

#: What a :class:`Finding` is about: a row whose file is missing, unreadable or not what the row says; or a file that is
#: an orphan, without a row, or debris of an interrupted write.  A row that cannot be understood is unreadable, too.
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
    #: The identifiers of the file: those that the row has, or else those that its name tells; ``None`` for debris, and
    #: for a row that does not tell them.
    key: FileKey | None = None
    #: The class and the primary key of the row, for ``session.get(*finding.row)``.
    row: tuple[type[Image], tuple[Any, ...]] | None = None
    #: What the store calls the file, where it was listed without a row.
    name: str | None = None
    #: The image of the row, in its session, which may delete it; no filter of the application hides it.
    image: Image | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        if self.key is not None:
            what = str(self.key)
        elif self.row is not None:
            what = f"{self.row[0].__name__} {', '.join(map(str, self.row[1]))}"
        else:
            what = str(self.name)
        return f"{self.kind}: {what}: {self.reason}"


def verify(
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
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

    :param session: the session over whose connection the rows are read; a list of sessions, where shards or the schemas
        of tenants share a store
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
    :raises ValueError: when ``older_than`` is negative, or the session sees a part of the rows only

    >>> from models import Base  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> session.commit()
    >>> list(verify(session, Base, store, probe=True))
    []
    >>> store.delete(user.picture.original)
    >>> [finding.kind for finding in verify(session, Base, store)]
    ['missing']
    """
    selection = Selection(session, declarative_base, store, on_progress)
    grace = _grace(older_than)
    if keys is None:
        return _verify(selection, probe, grace)
    check_keys(image_mapper(declarative_base), keys)
    check_one_database(selection.sessions, keys)
    return _look_at(selection, selection.rows(keys) if probe else _rows_without_file(selection, keys), probe)


def sweep(
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
    declarative_base: Any,
    store: Store,
    older_than: datetime.timedelta = DEFAULT_GRACE,
    dry_run: bool = True,
    *,
    limit: float = DEFAULT_LIMIT,
    require_known_types: bool = False,
    variants_made_before: datetime.datetime | None = None,
    callback: Callable[[StoredFile], object] | None = None,
    on_error: Callable[[StoredFile, Exception], object] | None = None,
    on_progress: Callable[[Step, int], object] | None = None,
) -> Swept:
    """Remove the files of images that have no row, and the debris of interrupted writes; by default, just count them.

    Variants stay as long as their original has a row.

    A file is put before its row is committed, so ``older_than`` has to be longer than any transaction takes.  Files of
    other object types than those of the image classes are never touched.

    :param session: the session over whose connection the rows are read; it must have no transaction open.  A list of
        sessions, where shards or the schemas of tenants share a store.
    :param declarative_base: the base of the image classes, or one image class, for stores that have just its files
    :param store: the store
    :param older_than: only what was written longer ago than this is removed, by the clock of the store
    :param dry_run: whether to remove nothing
    :param limit: which share of the listed files may be removed, from 0 to 1.  Where more would be, or where there are
        files and no row at all, the database is likely to be another one, and nothing is removed; 1 allows that.
    :param require_known_types: whether files of an object type that no image class has are an error
    :param variants_made_before: an aware time: variants that were made before it are removed, though their originals
        have rows; they are made again when they are asked for
    :param callback: called with each file that was removed, or would be
    :param on_error: called with a file that could not be removed, and the error; without it, the first error is raised
    :param on_progress: called with the step that goes on, and how many files or rows it has done so far
    :returns: how many files, and how many bytes, were removed or would be, and what was left alone
    :raises TypeError: when an argument is of another type
    :raises ValueError: when ``older_than`` is negative, ``limit`` is no share, or the session has a transaction open or
        sees a part of the rows only
    :raises UnsafeSweepError: (a :exc:`ValueError`) when it would remove more than ``limit``, or finds files of unknown
        types that it must not; nothing was removed then
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
    selection = Selection(session, declarative_base, store, on_progress)
    grace = _grace(older_than)
    check_callback("callback", callback, "a file")
    check_callback("on_error", on_error, "a file and an error")
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise TypeError(f"expected a number from 0 to 1 as limit, got {limit!r}")
    if not 0 <= limit <= 1:
        raise ValueError(f"expected a limit from 0 to 1, such as 0.05 for 5 % of the files, got {limit}")
    if variants_made_before is not None and (
        not isinstance(variants_made_before, datetime.datetime) or variants_made_before.tzinfo is None
    ):
        raise TypeError(f"expected an aware datetime as variants_made_before, got {variants_made_before!r}")
    if any(each.in_transaction() for each in selection.sessions):
        raise ValueError(
            "expected a session without a transaction, which may not see what others have committed since it began;"
            " commit it or roll it back before the sweep, or use another session"
        )
    is_old = age_check(selection.store, grace)
    with Comparison(selection.store) as comparison:
        comparison.add_files(selection.files())
        selection.read(comparison)
        comparison.compare()
        if require_known_types:
            check_known_types(selection)
        if not dry_run:
            check_limit(selection, comparison, is_old, limit)
        swept = remove_orphans(selection, comparison, is_old, variants_made_before, dry_run, callback, on_error)
    log_left_alone(selection)
    return swept


def _verify(selection: Selection, probe: bool, grace: datetime.timedelta) -> Iterator[Finding]:
    is_old = age_check(selection.store, grace)
    with Comparison(selection.store) as comparison:
        try:
            comparison.add_files(selection.files())
        except NotImplementedError:
            selection.read(comparison)
            yield from _look_at(selection, comparison.rows(), probe)
            return
        selection.read(comparison)
        comparison.compare()
        yield from _look_at(selection, comparison.rows() if probe else comparison.rows_in_question(), probe)
        is_there = partial(_is_there, selection.store)
        orphans = orphans_of(selection, comparison, is_old)
        with closing(side_by_side(is_there, orphans, selection.store.workers)) as files:
            for file, is_left, error in files:
                if error is not None:
                    raise error
                if is_left:
                    yield _finding(file)
    log_left_alone(selection)


def _rows_without_file(selection: Selection, keys: KeyRange) -> Iterator[Row]:
    has_file = partial(_has_file, selection.store)
    with closing(side_by_side(has_file, selection.rows(keys), selection.store.workers)) as asked:
        for row, is_there, error in asked:
            # A store that cannot be reached says nothing about a file.
            if isinstance(error, OSError):
                raise error
            if not is_there:
                yield row


def _has_file(store: Store, row: Row) -> bool:
    return row.key is not None and row.problem is None and holds(store, row.key)


def _look_at(selection: Selection, rows: Iterable[Row], probe: bool) -> Iterator[Finding]:
    look = partial(_look, selection.store, probe)
    with closing(side_by_side(look, rows, selection.store.workers)) as looks:
        for row, problem, error in selection.watched("looks", looks):
            if error is not None:
                raise error
            while problem is not None:
                # It may have been deleted or replaced since it was read, and its file with it.
                found = selection.read_again(row)
                if found is None:
                    break
                current, image = found
                if current.says_as_much_as(row):
                    cls = selection.mappers[row.mapper].class_
                    yield Finding(*problem, key=row.key, row=(cls, row.identity), image=image)
                    break
                row, problem = current, call(look, current)


def _look(store: Store, probe: bool, row: Row) -> tuple[Kind, str] | None:
    """What is wrong with a row, or with its file."""
    if row.key is None or row.problem is not None:
        return "unreadable", f"the row cannot be understood: {row.problem}"
    try:
        # A key has what a store asks of an image.
        with store.open(cast("StorableImage", row.key), use_seek=probe) as file:
            if not file.read(1):
                return "unreadable", "the file is empty"
            if not probe:
                return None
            info = imaging.probe(file, ANYTHING)
    except InvalidImageError as error:
        return "unreadable", str(error)
    except OSError as error:
        return "missing" if is_missing(error) else "unreadable", str(error)
    except ValueError as error:
        # No file can have such a name.
        return "unreadable", f"the row cannot be understood: {error}"
    suffix, found_suffix = (SUFFIXES.get(mimetype, mimetype) for mimetype in (row.key.mimetype, info.mimetype))
    if (info.width, info.height, found_suffix) == (row.key.width, row.key.height, suffix):
        return None
    found = f"{info.width}x{info.height}, {info.mimetype}"
    return "mismatch", f"the row says {row.key.width}x{row.key.height}, {row.key.mimetype}, and the file is {found}"


def _is_there(store: Store, file: File) -> bool:
    """Whether a file without a row is still in the store."""
    return file.key is None or holds(store, file.key)


def _finding(file: File) -> Finding:
    when = f"{file.size} bytes, written at {file.modified:%Y-%m-%d %H:%M:%S} UTC"
    if file.key is None:
        return Finding("debris", f"an interrupted write has left {when}", name=file.name)
    return Finding("orphan", f"no row names this file of {when}", key=file.key, name=file.name)


def _grace(older_than: datetime.timedelta) -> datetime.timedelta:
    if not isinstance(older_than, datetime.timedelta):
        raise TypeError(f"expected a datetime.timedelta as older_than, got {older_than!r}")
    if older_than < datetime.timedelta(0):
        raise ValueError(f"expected an older_than that is not negative, got {older_than}")
    return older_than
