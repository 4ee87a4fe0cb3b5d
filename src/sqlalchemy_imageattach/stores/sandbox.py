"""A store to play in: it shows the files of another one, which it never changes.

What is put goes to a second store, and what is deleted is marked there, by an empty file of another object type.  So
any two stores will do.  It must always be true that

- the underlying store is only read;
- what the overriding store says goes first, and a store that cannot be reached says nothing.
"""

from __future__ import annotations

import datetime
import errno
import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import IO, Generic, TypeVar

from ..exc import ImageNotFoundError
from ..naming import FileKey
from ..store import Store, StoredFile, check_store, holds, is_missing, may_hold
from .layered import LayeredStore

__all__ = ("SandboxStore",)

S = TypeVar("S", bound=Store)

# The revision goes with the type, since the overriding store need not keep any.
_MARK = re.compile(r"(.*)\.sandbox-deleted(?:-([0-9a-z._-]+))?", re.DOTALL)


class SandboxStore(LayeredStore, Generic[S]):
    """Two stores that look like one: the first is only read, and all changes go to the second.

    :param underlying: the store that is only read
    :param overriding: the store for changes
    :raises TypeError: when one of them is no store

    >>> import io
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> production = MemoryStore()
    >>> production.put_file(io.BytesIO(b'bytes'), 'user-picture', 1, 640, 480, 'image/png', False)
    >>> sandbox = SandboxStore(production, MemoryStore())
    >>> sandbox.delete_file('user-picture', 1, 640, 480, 'image/png')
    >>> production.get_file('user-picture', 1, 640, 480, 'image/png').read()
    b'bytes'
    """

    #: The store that is only read.
    underlying: S
    #: The store for changes.
    overriding: S

    def __init__(self, underlying: S, overriding: S) -> None:
        check_store("underlying", underlying)
        check_store("overriding", overriding)
        self.underlying = underlying
        self.overriding = overriding
        self.workers = overriding.workers

    def store_of(self, key: FileKey) -> Store:
        """Find the store that a file is in, which takes a look into the overriding one.

        :param key: the file's name
        :returns: the overriding store when it has the file
        :raises OSError: when the overriding store cannot be reached
        """
        return self.overriding if holds(self.overriding, key) else self.underlying

    def has_key(self, key: FileKey) -> bool:
        return holds(self.overriding, key) or (not self._is_deleted(key) and holds(self.underlying, key))

    def takes_revision(self) -> bool:
        return super().takes_revision() and self.overriding.takes_revision()

    def takes_type(self, mimetype: str) -> bool:
        return self.overriding.takes_type(mimetype)

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        self.overriding.put_key(file, key, reproducible)
        self.overriding.delete_key(_mark_of(key))

    def read(self, key: FileKey) -> IO[bytes]:
        if may_hold(self.overriding, key):
            try:
                return self.overriding.get_key(key)
            except OSError as error:
                if not is_missing(error):
                    raise
        if self._is_deleted(key) or not may_hold(self.underlying, key):
            raise ImageNotFoundError(errno.ENOENT, f"{self!r} has no such file", str(key))
        return self.underlying.get_key(key)

    def remove(self, key: FileKey) -> None:
        self.overriding.put_key(io.BytesIO(), _mark_of(key), True)
        if may_hold(self.overriding, key):
            self.overriding.delete_key(key)

    def list_files(self) -> Iterator[StoredFile]:
        """List the files that this store shows: those of the overriding one, then what the underlying one has besides.

        :returns: an iterator
        :raises OSError: when one of them cannot be reached
        :raises NotImplementedError: when one of them cannot list its files
        """
        overridden: set[FileKey] = set()
        for file in self.overriding.list_files():
            if file.key is None:
                yield file
                continue
            marked = self.marked(file)
            overridden.add(marked or file.key)
            if marked is None:
                yield self._listed(file, file.key)
        for file in self.underlying.list_files():
            if file.key is not None and file.key not in overridden:
                yield self._listed(file, file.key)

    def spool_folder(self) -> str | None:
        return self.overriding.spool_folder()

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        overridden: set[FileKey] = set()
        for file in self.overriding.list_variants(original):
            assert file.key is not None
            overridden.add(file.key)
            yield self._listed(file, file.key)
        for file in self.underlying.list_variants(original):
            if file.key is not None and file.key not in overridden and not self._is_deleted(file.key):
                yield self._listed(file, file.key)

    def alone(self, key: FileKey) -> AbstractContextManager[None]:
        return self.overriding.alone(key)

    def now(self) -> datetime.datetime:
        # Of two clocks the one that makes files younger.
        return min(self.underlying.now(), self.overriding.now())

    def _listed(self, file: StoredFile, key: FileKey) -> StoredFile:
        return StoredFile(file.name, file.size, file.modified, key, partial(self.delete_key, key))

    def _is_deleted(self, key: FileKey) -> bool:
        return holds(self.overriding, _mark_of(key))

    def marked(self, file: StoredFile) -> FileKey | None:
        """Find what a file of the overriding store marks as deleted.

        :param file: the file, which has a key
        :returns: the name of what is deleted, or ``None`` for any other file
        """
        assert file.key is not None
        match = _MARK.fullmatch(file.key.object_type)
        return None if match is None else file.key._replace(object_type=match[1], revision=match[2])

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.underlying!r}, {self.overriding!r})"


def _mark_of(key: FileKey) -> FileKey:
    revision = "" if key.revision is None else f"-{key.revision}"
    return key._replace(object_type=f"{key.object_type}.sandbox-deleted{revision}", revision=None)
