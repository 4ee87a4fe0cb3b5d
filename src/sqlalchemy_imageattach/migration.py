"""Moving all images to another store.

::

    migrate(session, Base, old_store, new_store).execute()

A plan copies the file of every image row; it can be told to work side by side, to go on where it was stopped, and to
read back what it wrote.  It must always be true that

- nothing is ever deleted, and nothing is written to the source;
- files are streamed: no more than a block of each, and a batch of rows, is in memory because of us;
- a row that is gone by now, or that names another file by now, is no error, since the application may be running;
- a checkpoint never says more than what was done: whatever kills the process, the next run misses nothing.

Rows are read through the session, a batch at a time.  A session that has no transaction open has none between two
batches either, so that a move may take days while the application writes; one that has a transaction keeps it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, Session

from .bulk.batches import batches, check_session, image_mapper, image_mappers, reading
from .bulk.checkpoint import Checkpoint
from .bulk.copying import Copier
from .bulk.keys import ALL_KEYS, KeyRange, check_keys
from .concurrency import call, side_by_side
from .entity import Image
from .naming import FileKey
from .store import Store

__all__ = ("MigrationPlan", "migrate", "migrate_class")


class MigrationPlan(Iterable[Image]):
    """Images to copy, one after the other: iterating over it does the work, and yields each image just copied.

    :param function: returns an iterator that does the work
    :raises TypeError: when ``function`` cannot be called

    >>> MigrationPlan(lambda: iter(())).execute()
    """

    def __init__(self, function: Callable[[], Iterator[Image]]) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, and return an iterator over images, not {function!r}")
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
            raise TypeError(f"callback must be callable with an image, not {callback!r}")
        for image in self:
            if callback is not None:
                callback(image)


def migrate(
    session: Session,
    declarative_base: Any,
    source: Store,
    destination: Store,
    *,
    workers: int = 1,
    verify: bool = False,
    skip_existing: bool = False,
    dry_run: bool = False,
    checkpoint: MutableMapping[str, Any] | str | PathLike[str] | None = None,
    on_error: Callable[[Image, Exception], object] | None = None,
    on_skip: Callable[[Image], object] | None = None,
    max_bytes_per_second: float | None = None,
) -> MigrationPlan:
    """Plan to copy the files of all images from one store to another; nothing is deleted.

    The plan does nothing until it is executed, or iterated over.  It copies in the order of the rows' keys, and yields
    each image just copied.

    :param session: the session to read the rows with
    :param declarative_base: the base of the image classes, made by :func:`~sqlalchemy.orm.declarative_base` or by
        inheriting :class:`~sqlalchemy.orm.DeclarativeBase`
    :param source: the store to copy from
    :param destination: the store to copy to
    :param workers: how many files are copied side by side
    :param verify: whether to read each file back, and compare its length and SHA-256 with what the source gave; an
        image that is cut off in the source is an error then
    :param skip_existing: whether to leave out what the destination has; with ``verify`` only if it is the same
    :param dry_run: whether to write nothing: the plan then opens the files, and yields the images that it would copy
    :param checkpoint: where to note how far the plan has come, and where the next one goes on: a mapping, whose values
        can be kept as JSON, or the path of a file, which is written once a second and at the end
    :param on_error: called with an image and the error, when its file could not be copied; the plan then goes on, and
        its checkpoint too.  Without it, the first error ends the plan.
    :param on_skip: called with an image that was not copied, since the destination has its file
    :param max_bytes_per_second: how much is read from the source, of all workers together
    :returns: the plan
    :raises TypeError: when an argument is of another type
    :raises ValueError: when ``workers`` or ``max_bytes_per_second`` is not positive, or both stores are one

    >>> from models import Base  # your own
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> [image.size for image in migrate(session, Base, store, MemoryStore(), verify=True)]
    [(640, 480)]
    """
    check_session(session)
    mappers = image_mappers(declarative_base)
    copier = Copier(source, destination, verify, skip_existing, dry_run, max_bytes_per_second)
    return _plan(session, mappers, copier, workers, checkpoint, on_error, on_skip)


def migrate_class(
    session: Session,
    cls: type[Image],
    source: Store,
    destination: Store,
    *,
    keys: KeyRange = ALL_KEYS,
    workers: int = 1,
    verify: bool = False,
    skip_existing: bool = False,
    dry_run: bool = False,
    checkpoint: MutableMapping[str, Any] | str | PathLike[str] | None = None,
    on_error: Callable[[Image, Exception], object] | None = None,
    on_skip: Callable[[Image], object] | None = None,
    max_bytes_per_second: float | None = None,
) -> MigrationPlan:
    """Plan the same as :func:`migrate` for one image class, and the classes that inherit it.

    :param session: the session to read the rows with
    :param cls: the image class
    :param source: the store to copy from
    :param destination: the store to copy to
    :param keys: which rows; :func:`~sqlalchemy_imageattach.bulk.key_ranges` splits a class, for several processes
    :param workers: how many files are copied side by side
    :param verify: whether to read each file back, and compare
    :param skip_existing: whether to leave out what the destination has
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
    check_session(session)
    mapper = image_mapper(cls)
    check_keys(mapper, keys)
    copier = Copier(source, destination, verify, skip_existing, dry_run, max_bytes_per_second)
    return _plan(session, [mapper], copier, workers, checkpoint, on_error, on_skip, keys)


class _Job(NamedTuple):
    """An image to copy."""

    image: Image
    key: FileKey
    reproducible: bool

    @classmethod
    def of(cls, image: Image) -> _Job:
        return cls(image, FileKey.of(image), not image.original)


def _copy(copier: Copier, job: _Job) -> bool:
    return copier(job.key, job.reproducible)


def _plan(
    session: Session,
    mappers: Sequence[Mapper[Any]],
    copier: Copier,
    workers: int,
    kept: MutableMapping[str, Any] | str | PathLike[str] | None,
    on_error: Callable[[Image, Exception], object] | None,
    on_skip: Callable[[Image], object] | None,
    keys: KeyRange = ALL_KEYS,
) -> MigrationPlan:
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"workers must be an integer, not {workers!r}")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if on_error is not None and not callable(on_error):
        raise TypeError(f"on_error must be callable with an image and an error, not {on_error!r}")
    if on_skip is not None and not callable(on_skip):
        raise TypeError(f"on_skip must be callable with an image, not {on_skip!r}")
    checkpoint = Checkpoint(kept, is_kept=not copier.dry_run)
    return MigrationPlan(lambda: _run(session, mappers, keys, copier, workers, checkpoint, on_error, on_skip))


def _run(
    session: Session,
    mappers: Sequence[Mapper[Any]],
    keys: KeyRange,
    copier: Copier,
    workers: int,
    checkpoint: Checkpoint,
    on_error: Callable[[Image, Exception], object] | None,
    on_skip: Callable[[Image], object] | None,
) -> Iterator[Image]:
    with checkpoint:
        # All of it is looked at before anything is copied.
        places = [checkpoint.get(mapper) for mapper in mappers]
        for mapper, done in zip(mappers, places, strict=True):
            jobs = _jobs(session, mapper, keys if done is None else keys._replace(after=done))
            with contextlib.closing(side_by_side(partial(_copy, copier), jobs, workers)) as outcomes:
                for job, is_copied, error in outcomes:
                    if error is not None:
                        is_copied, error = _reconsider(session, mapper, copier, job, error)
                    if error is not None:
                        error.add_note(f"copying {tuple(job.key)} from {copier.source!r} to {copier.destination!r}")
                        if on_error is None:
                            raise error
                        on_error(job.image, error)
                    checkpoint.set(mapper, job.image)
                    if is_copied:
                        yield job.image
                    elif is_copied is False and on_skip is not None:
                        on_skip(job.image)


def _jobs(session: Session, mapper: Mapper[Any], keys: KeyRange) -> Iterator[_Job]:
    for batch in batches(session, mapper, keys):
        # All at once, since a commit of the caller's lets the attributes of the rest be loaded one by one.
        yield from [_Job.of(image) for image in batch]


def _reconsider(
    session: Session, mapper: Mapper[Any], copier: Copier, job: _Job, error: Exception
) -> tuple[bool | None, Exception | None]:
    """A file that is not there: perhaps its row was deleted or replaced since it was read."""
    while isinstance(error, OSError):
        with reading(session):
            image = session.get(mapper, inspect(job.image).identity, populate_existing=True)
        if image is None:
            return None, None
        current = _Job.of(image)
        if current.key == job.key:
            break
        job = current
        try:
            return call(_copy, copier, job), None
        except Exception as again:
            error = again
    return None, error
