"""What stores over other stores share.

It must always be true that

- a file is asked for by its whole key, revision included; a store that keeps no revisions is never asked for a file
  that has one, since it would answer with another file;
- a store that cannot be reached is never taken for one that does not have the file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import IO, TYPE_CHECKING

from ..exc import ImageNotFoundError
from ..store import FileKey, Store

if TYPE_CHECKING:
    from ..entity import Image

__all__ = ("LayeredStore", "holds", "is_missing", "may_hold")


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

    def locate(self, image: Image) -> str:
        # The other store's own: it may have a reason to leave the timestamp out.
        return self.store_of(FileKey.of(image)).locate(image)


def may_hold(store: Store, key: FileKey) -> bool:
    """Tell whether a store can have a file at all.

    :param store: any store
    :param key: the file's name
    :returns: false when the file has a revision, and the store keeps none
    """
    return key.revision is None or store.takes_revision()


def holds(store: Store, key: FileKey) -> bool:
    """Tell whether a store has a file.

    :param store: any store; one with a method ``has_key()`` is asked by that, any other by opening the file
    :param key: the file's name
    :returns: whether it is there
    :raises OSError: when the store cannot be reached

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> holds(MemoryStore(), FileKey('user-picture', 1, 640, 480, 'image/png'))
    False
    """
    if not may_hold(store, key):
        return False
    has_key: Callable[[FileKey], bool] | None = getattr(store, "has_key", None)
    if has_key is not None:
        return has_key(key)
    try:
        with closing(store.get_key(key)):
            return True
    except OSError as error:
        if is_missing(error):
            return False
        raise


def is_missing(error: OSError) -> bool:
    """Tell whether an error of ``get_file()`` says that there is no such file.

    :param error: the error
    :returns: false for every other failure, of which nobody knows whether the file is there

    >>> is_missing(FileNotFoundError()), is_missing(OSError('not found')), is_missing(TimeoutError())
    (True, True, False)
    """
    if isinstance(error, ImageNotFoundError | FileNotFoundError):
        return True
    # As the guide tells to raise it; what the system or a library raises is a subclass, or has a number.
    return type(error) is OSError and error.errno is None
