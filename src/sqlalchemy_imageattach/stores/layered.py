"""What stores over other stores share.

It must always be true that

- a file is asked for by its whole key, revision included; a store that keeps no revisions is never asked for a file
  that has one, since it would answer with another file;
- a store that cannot be reached is never taken for one that does not have the file.
"""

from __future__ import annotations

from typing import IO

from ..naming import FileKey, StorableImage
from ..store import Store, holds

__all__ = ("LayeredStore",)


class LayeredStore(Store):
    """The base of stores over other stores, which implement the methods that take keys, and :meth:`store_of`."""

    def store_of(self, key: FileKey) -> Store:
        """Tell which store a file is in.

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

    def put_file(
        self,
        file: IO[bytes],
        object_type: str,
        object_id: int,
        width: int,
        height: int,
        mimetype: str,
        reproducible: bool,
        revision: str | None = None,
    ) -> None:
        self.put_key(file, FileKey(object_type, object_id, width, height, mimetype, revision), reproducible)

    def get_file(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> IO[bytes]:
        return self.get_key(FileKey(object_type, object_id, width, height, mimetype, revision))

    def get_url(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> str:
        return self.url_of_key(FileKey(object_type, object_id, width, height, mimetype, revision))

    def delete_file(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> None:
        self.delete_key(FileKey(object_type, object_id, width, height, mimetype, revision))

    def url_of_key(self, key: FileKey) -> str:
        return self.store_of(key).url_of_key(key)

    def locate(self, image: StorableImage) -> str:
        # The other store's own: it may have a reason to leave the timestamp out.
        return self.store_of(FileKey.of(image)).locate(image)
