"""What stores over other stores share.

It must always be true that

- a file is asked for by its whole key, revision included; a store that keeps no revisions is never asked for a file
  that has one, since it would answer with another file;
- a store that cannot be reached is never taken for one that does not have the file;
- each file is measured once, by the store that it is in.
"""

from __future__ import annotations

from typing import IO, Any

from ..naming import FileKey, StorableImage
from ..store import Store, holds
from .key_store import KeyStore

__all__ = ("LayeredStore",)


class LayeredStore(KeyStore):
    """The base of stores over other stores; what it does not override is done by the store of :meth:`store_of`."""

    def store_of(self, key: FileKey) -> Store:
        """Find the store that a file is in.

        :param key: the file's name
        :returns: the store whose URL of it is to be used
        :raises OSError: when a store that has to be asked cannot be reached
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement store_of()")

    def has_key(self, key: FileKey) -> bool:
        """Tell whether a file is there.

        :param key: the name
        :returns: whether it is there
        :raises OSError: when a store that has to be asked cannot be reached
        """
        return holds(self.store_of(key), key)

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        self.store_of(key).put_key(file, key, reproducible)

    def read(self, key: FileKey) -> IO[bytes]:
        return self.store_of(key).get_key(key)

    def remove(self, key: FileKey) -> None:
        self.store_of(key).delete_key(key)

    def url(self, key: FileKey) -> str:
        return self.store_of(key).url_of_key(key)

    # These are not measured, since the other stores are.  They hand on the whole key: a subclass decides whether a file
    # with a revision can be in one of the other stores.

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        self.put_file(file, *key[:5], reproducible, **self._revision_of(key))

    def get_key(self, key: FileKey) -> IO[bytes]:
        return self.get_file(*key[:5], **self._revision_of(key))

    def delete_key(self, key: FileKey) -> None:
        self.delete_file(*key[:5], **self._revision_of(key))

    def url_of_key(self, key: FileKey) -> str:
        return self.get_url(*key[:5], **self._revision_of(key))

    def _revision_of(self, key: FileKey) -> Any:
        # None for a subclass that has overridden a documented method by one with just the documented arguments.
        return {"revision": key.revision} if key.revision is not None and Store.takes_revision(self) else {}

    def locate(self, image: StorableImage) -> str:
        if type(self).url is not LayeredStore.url or type(self).get_url is not LayeredStore.get_url:
            return super().locate(image)
        # The other store's own: it may have a reason to leave the timestamp out.
        return self.store_of(FileKey.of(image)).locate(image)
