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
import errno
import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from os import PathLike
from typing import IO, Any, NamedTuple, cast

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, Session

from .attachment import find_store
from .bulk import batches, image_mapper, image_mappers, reading, side_by_side
from .checkpoint import Checkpoint
from .concurrency import call
from .entity import Image
from .exc import InvalidImageError, MissingDependencyError, StoreError
from .file import FileProxy
from .imaging import probe
from .imaging.policy import ANYTHING
from .store import FileKey, Store
from .stores.layered import holds, is_missing

__all__ = ("MigrationPlan", "migrate", "migrate_class")

_BLOCK_SIZE = 1 << 16

# A JPEG or a PNG of one block, to its end marker: with that, most files need no closer look, which takes as long as all
# the rest.
_WHOLE = re.compile(rb"\xff\xd8\xff.{,65000}\xff\xd9|\x89PNG\r\n\x1a\n.{,65000}IEND\xaeB`\x82", re.DOTALL)


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
    _check_session(session)
    mappers = image_mappers(declarative_base)
    copier = _Copier(source, destination, verify, skip_existing, dry_run, max_bytes_per_second)
    return _plan(session, mappers, copier, workers, checkpoint, on_error, on_skip)


def migrate_class(
    session: Session,
    cls: type[Image],
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
    """Plan the same as :func:`migrate` for one image class, and the classes that inherit it.

    :param session: the session to read the rows with
    :param cls: the image class
    :param source: the store to copy from
    :param destination: the store to copy to
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
    _check_session(session)
    mappers = [image_mapper(cls)]
    copier = _Copier(source, destination, verify, skip_existing, dry_run, max_bytes_per_second)
    return _plan(session, mappers, copier, workers, checkpoint, on_error, on_skip)


class _Job(NamedTuple):
    """An image to copy."""

    image: Image
    key: FileKey
    reproducible: bool


class _Copier:
    """Copies one file at a time, in any thread; it knows stores, and no rows."""

    def __init__(
        self,
        source: Store,
        destination: Store,
        verify: bool,
        skip_existing: bool,
        dry_run: bool,
        max_bytes_per_second: float | None,
    ) -> None:
        self.source = _resolved("source", source)
        self.destination = _resolved("destination", destination)
        if self.source is self.destination:
            raise ValueError(f"source and destination must be two stores, and both are {self.source!r}")
        self.verify = verify
        self.skip_existing = skip_existing
        self.dry_run = dry_run
        self._throttle = None if max_bytes_per_second is None else _Throttle(max_bytes_per_second)

    def __call__(self, job: _Job) -> bool:
        """Copy a file, and tell whether that had to be done."""
        if self.skip_existing and self._is_there(job.key):
            return False
        file = self._open(job.key)
        with FileProxy(file):
            if self.verify:
                self._check_whole(file)
            if self.dry_run:
                return True
            metered = _Metered(file, self._throttle) if self.verify or self._throttle is not None else None
            try:
                self.destination.put_key(cast("IO[bytes]", metered or file), job.key, job.reproducible)
            except OSError:
                # A store that never overwrites refuses what an earlier run has put.
                if not self._is_same(job.key):
                    raise
                return True
            if self.verify and metered is not None:
                self._compare(metered.contents(), job.key)
        return True

    def _open(self, key: FileKey) -> IO[bytes]:
        # A key has what a store asks of an image.
        return self.source.open(cast("Image", key), use_seek=True) if self.verify else self.source.get_key(key)

    def _check_whole(self, file: IO[bytes]) -> None:
        """Refuse what was cut off in the source already; what is wrong otherwise is there to be moved."""
        head = getattr(file, "read1", file.read)(_BLOCK_SIZE)
        file.seek(0)
        if _WHOLE.fullmatch(head):
            return
        try:
            probe(file, ANYTHING)
        except InvalidImageError as error:
            if error.reason in {"empty", "truncated"}:
                raise StoreError(errno.EIO, f"what {self.source!r} has is no whole image: {error}") from error
        except MissingDependencyError:
            pass

    def _is_there(self, key: FileKey) -> bool:
        return self._is_same(key) if self.verify else holds(self.destination, self._name(key))

    def _is_same(self, key: FileKey) -> bool:
        if not holds(self.destination, self._name(key)):
            return False
        try:
            wanted = self._contents(self.source, key)
        except OSError as error:
            # What an application puts while its files move is in the destination alone.
            if is_missing(error):
                return True
            raise
        return self._contents(self.destination, key) == wanted

    def _name(self, key: FileKey) -> FileKey:
        """What the destination calls a file: it may keep no revisions."""
        return key if self.destination.takes_revision() else key._replace(revision=None)

    def _compare(self, sent: _Contents, key: FileKey) -> None:
        arrived = self._contents(self.destination, key)
        if arrived != sent:
            raise StoreError(
                errno.EIO,
                f"expected {self.destination!r} to give back what it was given, {sent}, and it gave {arrived};"
                " copy it again, with skip_existing and verify",
            )

    def _contents(self, store: Store, key: FileKey) -> _Contents:
        file = store.get_key(key)
        with FileProxy(file):
            return _Metered(file, self._throttle if store is self.source else None).contents()


class _Contents(NamedTuple):
    """What tells two files apart."""

    length: int
    sha256: bytes

    def __str__(self) -> str:
        return f"{self.length} bytes of SHA-256 {self.sha256.hex()}"


class _Metered:
    """A file to read once, which takes note of what is read."""

    def __init__(self, file: IO[bytes], throttle: _Throttle | None) -> None:
        self._file = file
        self._throttle = throttle
        self._length = 0
        # Made of the second block: of a small file there is none, and to digest one block at once takes half the time.
        self._digest: Any = None
        self._first = b""
        self._is_at_end = False

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(size)
        if block:
            self._note(block)
        else:
            self._is_at_end = size != 0
        return block

    def contents(self) -> _Contents:
        """Tell what was read, and what is left."""
        # Files of the system read twice at their end to fill a whole block, unless they need not.
        read = getattr(self._file, "read1", self._file.read)
        while not self._is_at_end:
            if block := read(_BLOCK_SIZE):
                self._note(block)
            else:
                self._is_at_end = True
        return _Contents(self._length, (self._digest or hashlib.sha256(self._first)).digest())

    def _note(self, block: bytes) -> None:
        if self._digest is not None:
            self._digest.update(block)
        elif self._length:
            self._digest = hashlib.sha256(self._first)
            self._digest.update(block)
        else:
            self._first = block
        self._length += len(block)
        if self._throttle is not None:
            self._throttle.spend(len(block))


class _Throttle:
    """A rate that several threads keep together: each waits for as long as what it has read may take."""

    def __init__(self, bytes_per_second: float) -> None:
        if isinstance(bytes_per_second, bool) or not isinstance(bytes_per_second, int | float):
            raise TypeError(f"max_bytes_per_second must be a number of bytes, not {bytes_per_second!r}")
        if not bytes_per_second > 0:
            raise ValueError(f"max_bytes_per_second must be positive, not {bytes_per_second!r}")
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def spend(self, size: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / self._bytes_per_second
            wait = self._free_at - now
        time.sleep(wait)


def _plan(
    session: Session,
    mappers: Sequence[Mapper[Any]],
    copier: _Copier,
    workers: int,
    kept: MutableMapping[str, Any] | str | PathLike[str] | None,
    on_error: Callable[[Image, Exception], object] | None,
    on_skip: Callable[[Image], object] | None,
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
    return MigrationPlan(lambda: _run(session, mappers, copier, workers, checkpoint, on_error, on_skip))


def _run(
    session: Session,
    mappers: Sequence[Mapper[Any]],
    copier: _Copier,
    workers: int,
    checkpoint: Checkpoint,
    on_error: Callable[[Image, Exception], object] | None,
    on_skip: Callable[[Image], object] | None,
) -> Iterator[Image]:
    with checkpoint:
        # All of it is looked at before anything is copied.
        places = [checkpoint.get(mapper) for mapper in mappers]
        for mapper, after in zip(mappers, places, strict=True):
            jobs = _jobs(session, mapper, after)
            with contextlib.closing(side_by_side(copier, jobs, workers)) as outcomes:
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


def _jobs(session: Session, mapper: Mapper[Any], after: Sequence[Any] | None) -> Iterator[_Job]:
    for batch in batches(session, mapper, after):
        # All at once, since a commit of the caller's lets the attributes of the rest be loaded one by one.
        yield from [_Job(image, FileKey.of(image), not image.original) for image in batch]


def _reconsider(
    session: Session, mapper: Mapper[Any], copier: _Copier, job: _Job, error: Exception
) -> tuple[bool | None, Exception | None]:
    """A file that is not there: perhaps its row was deleted or replaced since it was read."""
    while isinstance(error, OSError):
        with reading(session):
            image = session.get(mapper, inspect(job.image).identity, populate_existing=True)
        if image is None:
            return None, None
        key = FileKey.of(image)
        if key == job.key:
            break
        job = job._replace(key=key, reproducible=not image.original)
        try:
            return call(copier, job), None
        except Exception as again:
            error = again
    return None, error


def _check_session(session: Session) -> None:
    if not isinstance(session, Session):
        raise TypeError(
            f"session must be an instance of sqlalchemy.orm.Session, not {session!r}; of a scoped_session pass what it"
            " returns when it is called, and to an AsyncSession's go by its run_sync()"
        )


def _resolved(name: str, store: Store) -> Store:
    if not isinstance(store, Store):
        raise TypeError(f"{name} must be an instance of sqlalchemy_imageattach.store.Store, not {store!r}")
    # A plan may be executed in another context than it was made in.
    return find_store(store)
