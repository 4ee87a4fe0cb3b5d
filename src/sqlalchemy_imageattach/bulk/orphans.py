"""Files without a row: which ones may go, and removing them.

It must always be true that

- a database that is likely to be another one than the files are of costs no file;
- a file is removed by the listing that comes after the comparison, so that one which was written again stays;
- what others have put there, and what is of an object type that is unknown or that a row does not tell its file of, is
  left alone and counted.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple, Self

from ..concurrency import side_by_side
from ..exc import UnsafeSweepError
from ..naming import original_of
from ..store import Store, StoredFile
from ..variants.deleting import kept_for
from .comparison import Comparison, File
from .selection import Selection

__all__ = (
    "DEFAULT_LIMIT",
    "Swept",
    "age_check",
    "check_known_types",
    "check_limit",
    "log_left_alone",
    "orphans_of",
    "remove_orphans",
)

logger = logging.getLogger("sqlalchemy_imageattach")

#: Which share of the files that it lists a sweep removes at the most.
DEFAULT_LIMIT = 0.05

#: Tells whether a file without a row is old enough to go.
AgeCheck = Callable[[StoredFile | File], bool]


class _Removed(NamedTuple):
    files: int
    bytes: int


class Swept(_Removed):
    """How many files a sweep has removed, or would remove, and their size in bytes; and what it has looked at.

    >>> files, size = Swept(3, 4096)
    """

    #: How many files could not be removed.
    failed: int
    #: How many files the store has of the object types of the image classes.
    listed: int
    #: How many rows there are.
    rows: int
    #: How many files were left alone since no image class has their object type, by object type.
    unknown_types: Mapping[str, int]
    #: How many files were left alone since a row of their object type does not tell which file is its own, by object
    #: type.
    unread_types: Mapping[str, int]
    #: How many files, folders and links of others were left alone, and the names of the first of them.
    foreign: int
    foreign_names: Sequence[str]

    def __new__(cls, files: int, bytes: int, **counts: Any) -> Self:
        swept = super().__new__(cls, files, bytes)
        swept.__dict__.update(counts)
        return swept


def age_check(store: Store, grace: datetime.timedelta) -> AgeCheck:
    """Make what tells whether a file without a row is old enough to go; variants may be kept for longer.

    :param store: the store, whose clock counts
    :param grace: how long ago it has to have been written
    :returns: a function
    """
    now = store.now()
    before, variants_before = now - grace, now - max(grace, kept_for(store))
    return lambda file: file.modified <= (variants_before if _is_variant(file) else before)


def orphans_of(selection: Selection, comparison: Comparison, is_old: AgeCheck) -> Iterator[File]:
    """Find the files without a row that may be removed.

    :param selection: the rows and files
    :param comparison: what of them differs
    :param is_old: whether a file is old enough
    :returns: an iterator over the files, as they were listed
    """
    return (file for file in comparison.files_without_row() if selection.is_ours(file) and is_old(file))


def check_known_types(selection: Selection) -> None:
    """Refuse files of object types that no image class has.

    :param selection: the rows and files
    :raises UnsafeSweepError: when there are such files
    """
    if unknown := selection.unknown_types():
        counted = ", ".join(f"{count:,} of {name!r}" for name, count in unknown.items())
        raise UnsafeSweepError(
            f"expected files of known object types only, got {counted} in {selection.store!r}; name the base that has"
            " their classes, or move them to another store"
        )


def check_limit(selection: Selection, comparison: Comparison, is_old: AgeCheck, limit: float) -> None:
    """Refuse a database that is likely to be another one than the files are of.

    :param selection: the rows and files
    :param comparison: what of them differs
    :param is_old: whether a file is old enough to go
    :param limit: which share of the files may go
    :raises UnsafeSweepError: when there is no row, or more files would go
    """
    listed = selection.listed_count()
    if limit == 1 or not listed:
        return
    if not selection.row_count:
        raise UnsafeSweepError(
            f"expected rows of these image classes, got none for {listed:,} files in {selection.store!r}, so that all"
            " of them would go; see whether it is the right database, and pass limit=1 if it is"
        )
    count = sum(1 for _ in orphans_of(selection, comparison, is_old))
    if count > limit * listed:
        raise UnsafeSweepError(
            f"expected no more than {limit:.0%} of {listed:,} files to be without a row, got {count:,}"
            f" ({count / listed:.0%}); look at them by a dry run, and pass limit={count / listed:.2g} or more if it is"
            " right"
        )


def remove_orphans(
    selection: Selection,
    comparison: Comparison,
    is_old: AgeCheck,
    variants_made_before: datetime.datetime | None,
    dry_run: bool,
    callback: Callable[[StoredFile], object] | None,
    on_error: Callable[[StoredFile, Exception], object] | None,
) -> Swept:
    """Remove files without a row.

    :param selection: the rows and files
    :param comparison: what of them differs
    :param is_old: whether a file is old enough to go
    :param variants_made_before: variants that were made before this go, too
    :param dry_run: whether to remove nothing
    :param callback: called with each file that was removed, or would be
    :param on_error: called with a file that could not be removed, and the error
    :returns: how many there were
    :raises OSError: when a file cannot be removed, and there is no ``on_error``
    """
    count = size = failed = 0
    # Listed anew, since only the store knows how to remove a file, and since one may have been written again.
    orphans = (
        file
        for file in selection.store.list_files()
        if not file.is_foreign
        and selection.is_ours(file)
        and (
            (is_old(file) and comparison.has_no_row(file))
            or (variants_made_before is not None and _is_variant(file) and file.modified < variants_made_before)
        )
    )
    with closing(side_by_side(_keep if dry_run else _remove, orphans, selection.store.workers)) as removals:
        for file, _, error in removals:
            if error is None:
                count, size = count + 1, size + file.size
                if callback is not None:
                    callback(file)
                continue
            failed += 1
            if on_error is None:
                raise error
            on_error(file, error)
    return Swept(
        count,
        size,
        failed=failed,
        listed=selection.listed_count(),
        rows=selection.row_count,
        unknown_types=selection.unknown_types(),
        unread_types=selection.unread_types(),
        foreign=selection.foreign_count,
        foreign_names=tuple(selection.foreign_names),
    )


def log_left_alone(selection: Selection) -> None:
    """Log what was left alone.

    :param selection: the rows and files
    """
    extra = {"image_store": selection.store}
    if selection.foreign_count:
        logger.info(
            "%d files, folders and links in %r are not of this library's making, such as %s; they were left alone",
            selection.foreign_count,
            selection.store,
            ", ".join(map(ascii, selection.foreign_names)),
            extra=extra,
        )
    for name, count in selection.unknown_types().items():
        logger.info(
            "%d files of the object type %r are in %r, which no image class here has; they were left alone",
            count,
            name,
            selection.store,
            extra=extra,
        )
    for name, count in selection.unread_types().items():
        logger.warning(
            "%d files of the object type %r are in %r, of which a row does not tell its own; they were left alone",
            count,
            name,
            selection.store,
            extra=extra,
        )


def _keep(file: StoredFile) -> None:
    """What a dry run does with a file."""


def _remove(file: StoredFile) -> None:
    file.remove()
    logger.info("removed %s (%d bytes), which had no row", file.name, file.size, extra={"image_key": file.key})


def _is_variant(file: StoredFile | File) -> bool:
    return file.key is not None and original_of(file.key) is not None
