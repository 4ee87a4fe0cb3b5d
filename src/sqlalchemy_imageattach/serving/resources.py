"""Where the files are that are served: any name in, an open file out.

:class:`Folder` finds them in a folder, :class:`Stored` in any store, and both are a :class:`Source`.  It must always be
true that no byte comes from outside the source: :func:`~sqlalchemy_imageattach.naming.path_of` alone makes paths
of names, and where an opened file really is is looked at again, so that symbolic links lead nowhere else.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import IO, NamedTuple, Protocol

from ..exc import StoreError
from ..naming import FileKey, former_names_of, key_of, original_of, path_of
from ..store import Store, takes_revision

__all__ = ("Folder", "Found", "NotServed", "Pending", "Source", "Stored", "etag_of")


class Found(NamedTuple):
    """A file that a source has found, and opened."""

    #: A descriptor, or a file object where there is none.
    file: int | IO[bytes]
    #: Bytes; ``None`` when it is not known.
    size: int | None
    #: When it was written, in seconds since the epoch; ``None`` when it is not known.
    modified: int | None
    #: Its strong validator, quoted; ``None`` when there is none.
    etag: str | None
    #: Where it is; ``None`` when it is in no folder.
    path: str | None
    #: What it is called there: not always as was asked for, if the original library has stored it.
    name: str

    def close(self) -> None:
        """Close the file."""
        if isinstance(self.file, int):
            os.close(self.file)
        elif callable(close := getattr(self.file, "close", None)):
            close()


class NotServed(Exception):
    """Raised by a source that has a better answer than "not found".

    :param status: 404, 422 or 503
    :param headers: more headers of the response, such as how long it may be cached
    """

    def __init__(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"answered with {status}")
        self.status = status
        self.headers = list(headers)


class Pending(Exception):
    """Raised by a source for a file that is being made.

    :param future: ends when the file is there, or with :exc:`NotServed`
    :param patience: how long to wait for that, in seconds
    """

    def __init__(self, future: Future[None], patience: float) -> None:
        super().__init__("the file is being made")
        self.future = future
        self.patience = patience


class Source(Protocol):
    """Where files are found."""

    def find(self, name: str) -> Found | None:
        """Open a file.

        :param name: a relative path with slashes, which may come from any client
        :returns: the file, or ``None`` when there is none of this name
        :raises NotServed: when there is a better answer
        :raises Pending: when the file is being made
        """

    def url(self, name: str) -> str | None:
        """Make the URL that a file has by itself.

        :param name: a relative path with slashes, which may come from any client
        :returns: the URL, or ``None``
        """


class Folder:
    """The files of a folder.

    :param path: the folder; it need not be there yet
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path).rstrip("/")  # noqa: PTH100  # Path.resolve() would follow links once for all
        self._real = ""
        # Files that were found to be within, by their paths, and until when that holds.
        self._within: dict[str, tuple[tuple[int, int, int], float]] = {}

    def find(self, name: str) -> Found | None:
        found = self._find(name)
        if found is None and (key := key_of(name)) is not None:
            # As a store in this folder finds it.
            found = next(filter(None, map(self._find, former_names_of(key))), None)
        return found

    def _find(self, name: str) -> Found | None:
        path = path_of(self._path, name)
        if path is None:
            return None
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        except ValueError:  # a name that cannot be that of a file
            return None
        try:
            status = os.fstat(descriptor)
            if not (stat.S_ISREG(status.st_mode) and self._is_within(path, descriptor, status)):
                os.close(descriptor)
                return None
        except BaseException:
            os.close(descriptor)
            raise
        etag, modified = etag_of(name), None
        # Some file systems and archives date every file to the epoch, or a second after; no date is better than that.
        if status.st_mtime > 1:
            etag, modified = etag or f'"{status.st_mtime_ns:x}-{status.st_size:x}"', int(status.st_mtime)
        return Found(descriptor, status.st_size, modified, etag, path, name)

    def url(self, name: str) -> str | None:
        return None

    def _is_within(self, path: str, descriptor: int, status: os.stat_result) -> bool:
        # To look where a file is takes as long as to open it, so that is done once a second for each that is asked for.
        # Another file in its place is noticed at once: what becomes of one, or of its number, changes the ctime.
        identity, now = (status.st_dev, status.st_ino, status.st_ctime_ns), time.monotonic()
        known, until = self._within.get(path, (None, 0.0))
        if known == identity and now < until:
            return True
        if not self._holds(descriptor, path):
            return False
        if len(self._within) >= _REMEMBERED:
            self._within.clear()
        self._within[path] = identity, now + _SECONDS
        return True

    def _holds(self, descriptor: int, path: str) -> bool:
        try:
            real = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        except OSError:
            real = os.path.realpath(path)
        if self._real and real.startswith(self._real):
            return True
        # The folder itself may be a link, and may be turned to another folder at any time.
        self._real = os.path.join(os.path.realpath(self._path), "")  # noqa: PTH118
        return real.startswith(self._real)


class Stored:
    """The files of a store, by the names that :func:`~sqlalchemy_imageattach.naming.name_of` makes.

    :param store: any store
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, name: str) -> Found | None:
        key = self._key(name)
        if key is None:
            return None
        try:
            file = self._store.get_key(key)
        except StoreError:
            raise
        except (OSError, ValueError):
            return None
        return Found(file, _size(file), None, etag_of(name), None, name)

    def url(self, name: str) -> str | None:
        key = self._key(name)
        return None if key is None else self._store.url_of_key(key)

    def _key(self, name: str) -> FileKey | None:
        key = key_of(name)
        # A store without revisions would give another file for one.
        return key if key is None or key.revision is None or takes_revision(self._store) else None


@lru_cache(maxsize=4096)
def etag_of(name: str) -> str | None:
    """Make the validator of a file that has its revision in its name, and so always the same bytes.

    :param name: a relative path with slashes, which may come from any client
    :returns: the validator, quoted, or ``None``

    >>> etag_of("user/1/0/1.640x480.k3v9q2.png")
    '"k3v9q2"'
    """
    key = key_of(name)
    if key is None or key.revision is None:
        return None
    original = original_of(key)
    if original is None:
        return f'"{key.revision}"'
    # Of a variant, its signature: it is made of all the rest.
    return None if original.revision is None else f'"{key.revision.rpartition(".")[2]}"'


def _size(file: IO[bytes]) -> int | None:
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return None
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


# How many files a folder remembers, and for how long.
_REMEMBERED = 4096
_SECONDS = 1.0

# Without blocking: opening a named pipe would wait for a writer.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_NOT_THERE = {
    errno.EACCES,
    errno.EISDIR,
    errno.EILSEQ,
    errno.EINVAL,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,  # a socket
    errno.EPERM,
}
