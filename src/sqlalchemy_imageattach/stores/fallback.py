"""Two stores while files move from one to the other.

::

    store = FallbackStore(new=S3Store("yourapp-images"), old=FileSystemStore("/var/images", "https://yourapp.com/images/"))

The application goes on with that one, :mod:`sqlalchemy_imageattach.migration` copies the files in its own time, and
then the new store takes its place.  It must always be true that

- nothing is put into the old store, and what was deleted is in neither;
- the new store is asked first, and the old one only when the new one said that it does not have the file.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import IO

from ..exc import ImageNotFoundError
from ..naming import FileKey
from ..store import Store, StoredFile, check_store, holds, is_missing, may_hold
from .layered import LayeredStore

__all__ = ("FallbackStore",)


class FallbackStore(LayeredStore):
    """A store that reads two others, and puts into the first.

    :param new: the store that files move to
    :param old: the store that they are in yet
    :raises TypeError: when one of them is no store

    >>> import io
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> new, old = MemoryStore('http://new/'), MemoryStore('http://old/')
    >>> old.put_file(io.BytesIO(b'bytes'), 'user-picture', 1, 640, 480, 'image/png', False)
    >>> FallbackStore(new, old).get_url('user-picture', 1, 640, 480, 'image/png')
    'http://old/user-picture/1/0/1.640x480.png'
    """

    def __init__(self, new: Store, old: Store) -> None:
        check_store("new", new)
        check_store("old", old)
        self.new = new
        self.old = old
        self.workers = new.workers

    def store_of(self, key: FileKey) -> Store:
        """Find the store that a file is in, which takes one look into the new one.

        :param key: the file's name
        :returns: the new store when it has the file, or when the old one cannot have it
        :raises OSError: when the new store cannot be reached
        """
        return self.new if not may_hold(self.old, key) or holds(self.new, key) else self.old

    def takes_revision(self) -> bool:
        return super().takes_revision() and self.new.takes_revision()

    def takes_type(self, mimetype: str) -> bool:
        return self.new.takes_type(mimetype)

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        self.new.put_key(file, key, reproducible)

    def read(self, key: FileKey) -> IO[bytes]:
        if may_hold(self.new, key):
            try:
                return self.new.get_key(key)
            except OSError as error:
                if not (is_missing(error) and may_hold(self.old, key)):
                    raise
        elif not may_hold(self.old, key):
            raise ImageNotFoundError(f"{self!r} has no revisions, and was asked for one: {key}")
        return self.old.get_key(key)

    def remove(self, key: FileKey) -> None:
        # The old one first: when the other deletion fails, the file is as it was.
        for store in (self.old, self.new):
            if may_hold(store, key):
                store.delete_key(key)

    def list_files(self) -> Iterator[StoredFile]:
        """List the files of both stores; one that both have is listed twice, and removed from both.

        :returns: an iterator
        :raises OSError: when one of them cannot be reached
        :raises NotImplementedError: when one of them cannot list its files
        """
        for store in (self.new, self.old):
            for file in store.list_files():
                if file.key is None:
                    yield file
                else:
                    remove = partial(self.delete_key, file.key)
                    yield StoredFile(file.name, file.size, file.modified, file.key, remove)

    def spool_folder(self) -> str | None:
        return self.new.spool_folder()

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        for store in (self.new, self.old):
            for file in store.list_variants(original):
                assert file.key is not None
                yield StoredFile(file.name, file.size, file.modified, file.key, partial(self.delete_key, file.key))

    def delete_variants(self, original: FileKey) -> None:
        for store in (self.old, self.new):
            store.delete_variants(original)

    def alone(self, key: FileKey) -> AbstractContextManager[None]:
        return self.new.alone(key)

    def now(self) -> datetime.datetime:
        # Of two clocks the one that makes files younger.
        return min(self.new.now(), self.old.now())

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.new!r}, {self.old!r})"
