"""Moving all images to another store.

::

    migrate(session, Base, old_store, new_store).execute()

A plan copies the file of every image row.  It can copy several side by side, go on where it was stopped, and read back
what it wrote.  It must always be true that

- nothing is ever deleted, and nothing is written to the source;
- files are streamed: no more than a block of each, and a batch of rows, is in memory because of us;
- a row that is gone by now, or that names another file by now, is no error, since the application may be running;
- a checkpoint never says more than what was done: whatever kills the process, the next run misses nothing;
- no filter that an application gives its sessions keeps a file from being copied.

Rows are read over the session's connection, a batch at a time, and each image is given to the session once it is
copied.  A session that has no transaction open has none between two batches either, so that a move may take days while
the application writes; one that has a transaction keeps it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

from sqlalchemy.orm import Mapper, Session, scoped_session

from .bulk.arguments import (
    check_callback,
    check_one_database,
    check_workers,
    image_mapper,
    image_mappers,
    sessions_of,
)
from .bulk.batches import ImageRow, batches, in_session, read_again
from .bulk.checkpoint import Checkpoint, store_name
from .bulk.copying import Copier
from .bulk.keys import ALL_KEYS, KeyRange, check_keys
from .bulk.stretches import Stretch, job_of, log_passed_over, stretches
from .concurrency import call, outcome_of, side_by_side
from .entity import Image
from .store import Store

__all__ = ("MigrationPlan", "migrate", "migrate_class", "migration_job")


class MigrationPlan(Iterable[Image]):
    """Images to copy, one after the other: to iterate over it copies, and yields each image just copied.

    :param function: returns an iterator that copies
    :raises TypeError: when ``function`` cannot be called

    >>> MigrationPlan(lambda: iter(())).execute()
    """

    def __init__(self, function: Callable[[], Iterator[Image]]) -> None:
        if not callable(function):
            raise TypeError(f"expected a function that returns an iterator over images, got {function!r}")
        self.function = function

    def __iter__(self) -> Iterator[Image]:
        return self.function()

    def execute(self, callback: Callable[[Image], object] | None = None) -> None:
        """Do all of it.

        :param callback: called with each image just copied, if present
        :raises TypeError: when ``callback`` cannot be called; nothing was copied then

        >>> MigrationPlan(lambda: iter(())).execute(print)
        """
        if callback is not None and not callable(callback):
            raise TypeError(f"expected a function that takes an image as callback, got {callback!r}")
        for image in self:
            if callback is not None:
                callback(image)


def migrate(
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
    declarative_base: Any,
    source: Store,
    destination: Store,
    *,
    workers: int = 1,
    verify: bool = False,
    skip_existing: bool = False,
    variants: bool = False,
    dry_run: bool = False,
    checkpoint: MutableMapping[str, Any] | str | PathLike[str] | None = None,
    on_error: Callable[[Image, Exception], object] | None = None,
    on_skip: Callable[[Image], object] | None = None,
    max_bytes_per_second: float | None = None,
) -> MigrationPlan:
    """Plan to copy the files of all images from one store to another; nothing is deleted.

    The plan does nothing until it is executed, or iterated over.  It copies in the order of the rows' keys, and yields
    each image just copied.

    :param session: the session over whose connection the rows are read; a list of sessions, where shards or the schemas
        of tenants share a store
    :param declarative_base: the base of the image classes, made by :func:`~sqlalchemy.orm.declarative_base` or by
        inheriting :class:`~sqlalchemy.orm.DeclarativeBase`
    :param source: the store to copy from
    :param destination: the store to copy to
    :param workers: how many files are copied side by side
    :param verify: whether to read each file back, and compare its length and SHA-256 with what the source gave; an
        image that is cut off in the source is an error then
    :param skip_existing: whether to leave out what the destination has; with ``verify`` only if it is the same
    :param variants: whether to take along what was made of the originals, and the destination does not have; else it is
        made again when somebody asks for it
    :param dry_run: whether to write nothing: the plan then opens the files, and yields the images that it would copy
    :param checkpoint: where to note how far the plan has come, and where the next one goes on: a mapping, whose values
        can be kept as JSON, or the path of a file, which is written once a second and at the end
    :param on_error: called with an image and the error, when its file could not be copied; the plan then goes on, and
        its checkpoint too.  Without it, the first error ends the plan.
    :param on_skip: called with an image that was not copied, since the destination has its file
    :param max_bytes_per_second: how much is read from the source, of all workers together
    :returns: the plan
    :raises TypeError: when an argument is of another type
    :raises ValueError: when ``workers`` or ``max_bytes_per_second`` is not positive, both stores are one, or the
        destination cannot have variants

    >>> from models import Base  # your own
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> [image.size for image in migrate(session, Base, store, MemoryStore(), verify=True)]
    [(640, 480)]
    """
    mappers = image_mappers(declarative_base)
    sessions = sessions_of(session, mappers)
    copier = Copier(source, destination, verify, skip_existing, dry_run, max_bytes_per_second)
    return _plan(sessions, mappers, copier, variants, workers, checkpoint, on_error, on_skip)


def migrate_class(
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
    cls: type[Image],
    source: Store,
    destination: Store,
    *,
    keys: KeyRange = ALL_KEYS,
    workers: int = 1,
    verify: bool = False,
    skip_existing: bool = False,
    variants: bool = False,
    dry_run: bool = False,
    checkpoint: MutableMapping[str, Any] | str | PathLike[str] | None = None,
    on_error: Callable[[Image, Exception], object] | None = None,
    on_skip: Callable[[Image], object] | None = None,
    max_bytes_per_second: float | None = None,
) -> MigrationPlan:
    """Plan the same as :func:`migrate` for one image class, and the classes that inherit it.

    :param session: the session over whose connection the rows are read, or a list of sessions
    :param cls: the image class
    :param source: the store to copy from
    :param destination: the store to copy to
    :param keys: which rows; :func:`~sqlalchemy_imageattach.bulk.key_ranges` splits a class, for several processes
    :param workers: how many files are copied side by side
    :param verify: whether to read each file back, and compare
    :param skip_existing: whether to leave out what the destination has
    :param variants: whether to take variants along
    :param dry_run: whether to write nothing
    :param checkpoint: a mapping or a file that says where to go on
    :param on_error: called with each image that could not be copied, and the error
    :param on_skip: called with each image that was left out
    :param max_bytes_per_second: how much is read from the source
    :returns: the plan
    :raises TypeError: when an argument is of another type
    :raises ValueError: when an argument is out of range, or both stores are one

    >>> from models import UserPicture  # your own
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> migrate_class(session, UserPicture, store, MemoryStore()).execute()
    """
    mapper = image_mapper(cls)
    sessions = sessions_of(session, [mapper])
    check_keys(mapper, keys)
    check_one_database(sessions, keys)
    copier = Copier(source, destination, verify, skip_existing, dry_run, max_bytes_per_second)
    return _plan(sessions, [mapper], copier, variants, workers, checkpoint, on_error, on_skip, keys)


def migration_job(
    sessions: Sequence[Session], mappers: Sequence[Mapper[Any]], keys: KeyRange, source: Store, destination: Store
) -> Mapping[str, Any]:
    """Say what a migration is, for its checkpoint.

    :param sessions: the databases
    :param mappers: the image classes
    :param keys: which rows
    :param source: the store to copy from
    :param destination: the store to copy to
    :returns: the same as JSON
    """
    stores = {"source": store_name(source), "destination": store_name(destination)}
    return job_of("migrate", sessions, mappers, keys, **stores)


def _plan(
    sessions: Sequence[Session],
    mappers: Sequence[Mapper[Any]],
    copier: Copier,
    variants: bool,
    workers: int,
    kept: MutableMapping[str, Any] | str | PathLike[str] | None,
    on_error: Callable[[Image, Exception], object] | None,
    on_skip: Callable[[Image], object] | None,
    keys: KeyRange = ALL_KEYS,
) -> MigrationPlan:
    check_workers(workers)
    check_callback("on_error", on_error, "an image and an error")
    check_callback("on_skip", on_skip, "an image")
    if variants and not copier.destination.takes_revision():
        raise ValueError(
            f"expected a destination whose methods take revision, which variants need, got {copier.destination!r}"
        )
    job = migration_job(sessions, mappers, keys, copier.source, copier.destination)
    checkpoint = Checkpoint(kept, job, is_kept=not copier.dry_run)
    run = _Run(copier, variants, workers, checkpoint, on_error, on_skip)
    return MigrationPlan(lambda: run.images(sessions, mappers, keys))


class _Run:
    """One time through the rows."""

    def __init__(
        self,
        copier: Copier,
        variants: bool,
        workers: int,
        checkpoint: Checkpoint,
        on_error: Callable[[Image, Exception], object] | None,
        on_skip: Callable[[Image], object] | None,
    ) -> None:
        self.copier = copier
        self.variants = variants
        self.workers = workers
        self.checkpoint = checkpoint
        self.on_error = on_error
        self.on_skip = on_skip

    def images(self, sessions: Sequence[Session], mappers: Sequence[Mapper[Any]], keys: KeyRange) -> Iterator[Image]:
        """Copy, and give what was copied."""
        with self.checkpoint as checkpoint:
            # All of it is looked at before anything is copied.
            ahead = stretches(sessions, mappers, keys, checkpoint)
            log_passed_over(ahead, checkpoint)
            for stretch in ahead:
                with contextlib.closing(self.copies(stretch)) as copies:
                    for row, is_copied, error in copies:
                        image = in_session(stretch.session, row.image)
                        if error is not None:
                            self.fail(row, image, error)
                        if not stretch.is_late:
                            checkpoint.set(stretch.mapper, row.identity, stretch.number)
                        if is_copied:
                            yield image
                        elif is_copied is False and self.on_skip is not None and not stretch.is_late:
                            self.on_skip(image)
            checkpoint.finish()

    def copies(self, stretch: Stretch) -> Generator[tuple[ImageRow, bool | None, Exception | None]]:
        """Copy the files of some rows; neither copied nor failed is what is gone by now."""
        copy = partial(_copy, self.copier, self.variants, may_be_there=stretch.is_late)
        with contextlib.closing(side_by_side(copy, _rows(stretch), self.workers)) as outcomes:
            for row, is_copied, error in outcomes:
                current = row
                # Perhaps its row was deleted or replaced since it was read.
                while isinstance(error, OSError):
                    again = read_again(stretch.session, stretch.mapper, row.identity)
                    if again is None:
                        is_copied = error = None
                        break
                    if again.key == current.key:
                        break
                    current = again
                    is_copied, error = outcome_of(call, copy, current)
                yield row, is_copied, error

    def fail(self, row: ImageRow, image: Image, error: Exception) -> None:
        name = row.identity if row.key is None else tuple(row.key)
        error.add_note(f"copying {name} from {self.copier.source!r} to {self.copier.destination!r}")
        if self.on_error is None:
            raise error
        self.on_error(image, error)


def _rows(stretch: Stretch) -> Iterator[ImageRow]:
    session = stretch.session
    if session.in_transaction() and session.autoflush:
        # What the caller has attached in it is to be copied, too.
        session.flush()
    for batch in batches(session, stretch.mapper, stretch.keys, *stretch.criteria):
        yield from batch


def _copy(copier: Copier, variants: bool, row: ImageRow, *, may_be_there: bool) -> bool:
    if row.key is None or row.error is not None:
        assert row.error is not None
        raise row.error
    is_copied = copier(row.key, not row.image.original, may_be_there=may_be_there)
    if variants and row.image.original:
        copier.copy_variants(row.key)
    return is_copied
