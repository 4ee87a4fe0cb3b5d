"""A store for each type of object."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from ..naming import FileKey
from ..store import Store, StoredFile, check_store
from .layered import LayeredStore

__all__ = ("RoutingStore",)


class RoutingStore(LayeredStore):
    """A store that hands files on by their object type, so that some models keep theirs elsewhere.

    :param default: the store of every other object type
    :param routes: stores by object type, such as ``'user-picture'``
    :raises TypeError: when one of them is no store

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> store = RoutingStore(MemoryStore('http://a/'), {'scan': MemoryStore('http://b/')})
    >>> store.get_url('scan', 1, 640, 480, 'image/png')
    'http://b/scan/1/0/1.640x480.png'
    """

    def __init__(self, default: Store, routes: Mapping[str, Store]) -> None:
        check_store("default", default)
        for object_type, store in routes.items():
            check_store(f"routes[{object_type!r}]", store)
        self.default = default
        self.routes = dict(routes)
        self.workers = max(store.workers for store in self._stores())

    def store_of(self, key: FileKey) -> Store:
        return self.routes.get(key.object_type, self.default)

    def takes_revision(self) -> bool:
        return super().takes_revision() and all(store.takes_revision() for store in self._stores())

    def takes_type(self, mimetype: str) -> bool:
        return any(store.takes_type(mimetype) for store in self._stores())

    def list_files(self) -> Iterator[StoredFile]:
        """List the files of every store, as far as this one would look for them there.

        :returns: an iterator
        :raises OSError: when one of them cannot be reached
        :raises NotImplementedError: when one of them cannot list its files
        """
        for store in self._stores():
            for file in store.list_files():
                if file.key is None or self.store_of(file.key) is store:
                    yield file

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        return self.store_of(original).list_variants(original)

    def delete_variants(self, original: FileKey) -> None:
        self.store_of(original).delete_variants(original)

    def rename_key(self, former: FileKey, key: FileKey) -> None:
        self.store_of(former).rename_key(former, key)

    def alone(self, key: FileKey) -> AbstractContextManager[None]:
        return self.store_of(key).alone(key)

    def spool_folder(self) -> str | None:
        return self.default.spool_folder()

    def now(self) -> datetime.datetime:
        # Of several clocks the one that makes files younger.
        return min(store.now() for store in self._stores())

    def _stores(self) -> list[Store]:
        # Each once, however many types it has.
        return list({id(store): store for store in (self.default, *self.routes.values())}.values())

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.default!r}, {self.routes!r})"
