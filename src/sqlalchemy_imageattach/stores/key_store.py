"""The base of the stores that come with this library: what a store does, said once for each file's key.

The documented methods of a store take the identifiers of a file one by one.  A :class:`KeyStore` has these methods, and
makes a :class:`~sqlalchemy_imageattach.naming.FileKey` of the identifiers: a subclass writes four methods that take it.
It must always be true that

- each call goes through the documented method, so that a subclass may override that one alone.
"""

from __future__ import annotations

import re
from typing import IO

from ..naming import SUFFIXES, FileKey
from ..store import Store

__all__ = ("KeyStore", "check_base_url")

# A scheme, or a slash; no character that begins a query or a fragment, and none that URLs may not have.
_BASE_URL = re.compile(r"(?:[A-Za-z][-+.A-Za-z0-9]*://|/)[^?#\s\x00-\x1f\x7f\"<>]*")


class KeyStore(Store):
    """A store with four methods that take a :class:`FileKey`; the documented ones are made of these.

    >>> class Shelf(KeyStore):
    ...     def __init__(self):
    ...         self.files = {}
    ...
    ...     def write(self, key, file, reproducible):
    ...         self.files[key] = file.read()
    ...
    ...     def read(self, key):
    ...         return io.BytesIO(self.files[key])
    ...
    ...     def remove(self, key):
    ...         self.files.pop(key, None)
    ...
    ...     def url(self, key):
    ...         return f"https://example.com/{name_of(key)}"
    >>> import io
    >>> from sqlalchemy_imageattach.naming import name_of
    >>> shelf = Shelf()
    >>> shelf.put_file(io.BytesIO(b"bytes"), "user-picture", 1, 640, 480, "image/png", False, revision="k3v9q2")
    >>> shelf.get_url("user-picture", 1, 640, 480, "image/png", revision="k3v9q2")
    'https://example.com/user-picture/1/0/1.640x480.k3v9q2.png'
    """

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        """Put a file: all of it, or nothing when it raises.

        :param key: the file's name
        :param file: the bytes, from its position to its end; the caller closes it
        :param reproducible: true for what can be computed again, such as a thumbnail; false for an original
        :raises OSError: when it could not be stored
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement write()")

    def read(self, key: FileKey) -> IO[bytes]:
        """Open a file.

        :param key: the file's name
        :returns: a readable binary file, which the caller closes
        :raises OSError: when there is no such file
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement read()")

    def remove(self, key: FileKey) -> None:
        """Delete a file; silent when there is no such file.

        :param key: the file's name
        :raises OSError: when the file is there, and stays
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement remove()")

    def url(self, key: FileKey) -> str:
        """Make a file's URL, without asking whether it is there.

        :param key: the file's name
        :returns: the URL, quoted
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement url()")

    def takes_type(self, mimetype: str) -> bool:
        """Tell whether the store has a name for files of a type; images of another are not attached.

        :param mimetype: e.g. ``'image/jpeg'``
        :returns: by default whether :func:`~sqlalchemy_imageattach.naming.name_of` has one
        """
        return mimetype in SUFFIXES

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
        self.write(FileKey(object_type, object_id, width, height, mimetype, revision), file, reproducible)

    def get_file(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> IO[bytes]:
        return self.read(FileKey(object_type, object_id, width, height, mimetype, revision))

    def get_url(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> str:
        return self.url(FileKey(object_type, object_id, width, height, mimetype, revision))

    def url_of_key(self, key: FileKey) -> str:
        if getattr(self.get_url, "__func__", None) is not KeyStore.get_url:
            return super().url_of_key(key)
        # Pages make thousands of URLs, and to take the key apart and put it together again is a third of one.
        return self.url(key if key.revision is None or self.takes_revision() else key._replace(revision=None))

    def delete_file(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> None:
        self.remove(FileKey(object_type, object_id, width, height, mimetype, revision))


def check_base_url(name: str, value: str) -> str:
    """Refuse what no URL can begin with.

    :param name: what the caller calls it
    :param value: what the caller gave
    :returns: the same
    :raises ValueError: when it has a query, or is neither a URL with a scheme nor a path that begins with a slash

    >>> check_base_url("base_url", "cdn.example.com/images/")
    Traceback (most recent call last):
    ValueError: expected base_url to be like https://example.com/images/, without a query, got 'cdn.example.com/images/'
    """
    if not _BASE_URL.fullmatch(value):
        raise ValueError(f"expected {name} to be like https://example.com/images/, without a query, got {value!r}")
    return value
