"""A store that keeps files in memory: for tests, and for trying things out.

What it holds is gone with it.  It may be used by many threads at once.
"""

from __future__ import annotations

import datetime
import errno
import io
from collections.abc import Iterator
from functools import partial
from typing import IO

from ..exc import ImageNotFoundError
from ..naming import FileKey, folder_of_variants, key_of, name_of, url_path_of
from ..store import StoredFile
from .key_store import KeyStore, check_base_url

__all__ = ("MemoryStore",)


class MemoryStore(KeyStore):
    """A store that keeps files in memory.

    :param base_url: what URLs begin with; nothing answers there, unless the application serves the store

    >>> store = MemoryStore()
    >>> store.put_file(io.BytesIO(b'bytes'), 'user-picture', 1, 640, 480, 'image/png', False)
    >>> store.get_file('user-picture', 1, 640, 480, 'image/png').read()
    b'bytes'
    """

    def __init__(self, base_url: str = "memory:///") -> None:
        #: What URLs begin with, a slash at its end.
        self.base_url = f"{check_base_url('base_url', base_url).removesuffix('/')}/"
        self._files: dict[str, tuple[bytes, datetime.datetime]] = {}

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        name = name_of(key)
        self._files[name] = (bytes(file.read()), datetime.datetime.now(datetime.UTC))

    def read(self, key: FileKey) -> IO[bytes]:
        name = name_of(key)
        try:
            return io.BytesIO(self._files[name][0])
        except KeyError:
            raise ImageNotFoundError(errno.ENOENT, "no such file in memory", name) from None

    def remove(self, key: FileKey) -> None:
        self._remove(name_of(key))

    def url(self, key: FileKey) -> str:
        return self.base_url + url_path_of(key)

    def list_files(self) -> Iterator[StoredFile]:
        for name, (content, modified) in self._files.copy().items():
            yield StoredFile(name, len(content), modified, key_of(name), partial(self._remove, name))

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        folder = f"{folder_of_variants(original)}/"
        return (file for file in self.list_files() if file.name.startswith(folder))

    def _remove(self, name: str) -> None:
        self._files.pop(name, None)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.base_url!r})"
