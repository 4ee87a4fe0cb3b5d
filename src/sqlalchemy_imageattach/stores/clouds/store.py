"""What the stores in clouds share: how their objects are named, what comes with them, and their URLs.

:class:`CloudStore` is the base of :class:`~.s3.S3Store`, :class:`~.cloud.AzureStore` and :class:`~.cloud.GCSStore`.  An
object is named like this, after the prefix::

    user-picture/17042/640x480.k3v9q2.jpe

It must always be true that

- rows without a revision have the names that the original library gave to objects on S3;
- an object that has a revision in its name is never overwritten;
- a URL is made without a request.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import IO, ClassVar
from urllib.parse import quote

from ...exc import ImageNotFoundError
from ...naming import SUFFIXES, FileKey, StorableImage, former_names_of, key_of, name_of
from ...store import Store, StoredFile
from .bucket import Bucket, check_range
from .clock import time_of
from .runtime import require

__all__ = ("DEFAULT_MAX_AGE", "CloudStore")

#: The default ``max-age`` of ``Cache-Control``: a year, in seconds.
DEFAULT_MAX_AGE = 60 * 60 * 24 * 365

# A signature cannot be valid for longer: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
_LONGEST_SIGNATURE = 7 * 24 * 60 * 60
_OBJECT_ID = re.compile(r"-?[0-9]{1,200}")
# No server that speaks XML can list them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class CloudStore(Bucket, Store):
    """The base of the stores in clouds.

    :param base_url: the cloud's own URL of what the store is in
    :param prefix: what the names of objects begin with, a path
    :param public_base_url: what URLs begin with, where that is not ``base_url``
    :param max_age: of ``Cache-Control``, in seconds
    :param max_retry: how often a request is repeated that failed on its way or was answered with a 5xx
    :param signed_urls: how long URLs are valid, in seconds, for what is not public; ``None`` for unsigned ones
    :param connect_timeout: how long a connection may take to be made, in seconds
    :param timeout: how long an answer is waited for, in seconds, repetitions included
    :raises ValueError: when one of these is out of range, or ``signed_urls`` comes with ``public_base_url``
    :raises MissingDependencyError: when the extra is not installed
    """

    #: The extra to install.
    extra: ClassVar[str]

    def __init__(
        self,
        base_url: str,
        *,
        prefix: str,
        public_base_url: str | None,
        max_age: int,
        max_retry: int,
        signed_urls: int | None,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        require(type(self).__qualname__, self.extra)
        if signed_urls is not None and public_base_url is not None:
            raise ValueError("a signature holds for the cloud's own URL: give signed_urls or public_base_url, not both")
        check_range("max_age", max_age, int, least=0)
        if signed_urls is not None:
            check_range("signed_urls", signed_urls, int, least=1, most=_LONGEST_SIGNATURE)
        super().__init__(base_url, max_retry, connect_timeout, timeout)
        #: What URLs begin with, without a slash at its end.
        self.public_base_url = self.base_url if public_base_url is None else public_base_url.rstrip("/")
        #: What the names of objects begin with, without slashes around it.
        self.prefix = _checked_prefix(prefix)
        self.max_age = max_age
        self.signed_urls = signed_urls

    def _storage_class(self, reproducible: bool) -> str | None:
        """The storage class of a new object, or ``None`` for the cloud's default."""
        return None

    def takes_type(self, mimetype: str) -> bool:
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
        name = self._name(FileKey(object_type, object_id, width, height, mimetype, revision))
        self._put(name, file, self._attributes(mimetype, reproducible), create=revision is not None)

    def get_file(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> IO[bytes]:
        name, *others = self._names(FileKey(object_type, object_id, width, height, mimetype, revision))
        try:
            return self._get(name)[0]
        except ImageNotFoundError:
            for other in others:
                with suppress(ImageNotFoundError):
                    return self._get(other)[0]
            raise

    def get_url(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> str:
        name = self._name(FileKey(object_type, object_id, width, height, mimetype, revision))
        if self.signed_urls is None:
            return f"{self.public_base_url}/{quote(name)}"
        valid = datetime.timedelta(seconds=self.signed_urls)
        url: str = self._ask(
            "sign a URL", name, lambda library, client: library.obstore.sign(client, "GET", name, valid)
        )
        return url

    def delete_file(
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str, revision: str | None = None
    ) -> None:
        for name in self._names(FileKey(object_type, object_id, width, height, mimetype, revision)):
            self._delete(name)

    def has_key(self, key: FileKey) -> bool:
        """Tell whether a file is there, without fetching it.

        :param key: the name
        :returns: whether it is there
        :raises StoreError: when the server does not say
        """
        return any(self._size(name) is not None for name in self._names(key))

    def list_files(self) -> Iterator[StoredFile]:
        """List the files of this store, a page at a time; what is not of its making is left out.

        :returns: an iterator; files that come or go meanwhile may be in it or not
        :raises StoreError: when the server does not list them
        """
        start = f"{self.prefix}/" if self.prefix else ""
        pages = self._ask(
            "list its files",
            start,
            lambda library, client: iter(library.obstore.list(client, self.prefix or None, chunk_size=1000)),
        )
        while (page := self._ask("list its files", start, lambda *_: next(pages, None))) is not None:
            for each in page:
                name = each["path"]
                key = _key_of_object(name.removeprefix(start))
                if key is not None:
                    yield StoredFile(name, each["size"], each["last_modified"], key, partial(self._delete, name))

    def now(self) -> datetime.datetime:
        """Tell the time by the server's clock, which dates the files.

        :returns: the date of an answer; what this machine's clock says where there is none
        """
        return time_of(self.base_url, self.timeout)

    def locate(self, image: StorableImage) -> str:
        # A signature covers the query, and is of the present time anyway.
        return super().locate(image) if self.signed_urls is None else self.url_of_key(FileKey.of(image))

    def _name(self, key: FileKey) -> str:
        return self._names(key)[0]

    def _names(self, key: FileKey) -> list[str]:
        if _CONTROL.search(key.object_type):
            raise ValueError(f"expected an object type without control characters, not {key.object_type!r}")
        start = f"{self.prefix}/" if self.prefix else ""
        return [start + _object_name(name) for name in (name_of(key), *former_names_of(key))]

    def _attributes(self, mimetype: str, reproducible: bool) -> dict[str, str]:
        attributes = {"Content-Type": mimetype, "Cache-Control": f"max-age={self.max_age}"}
        storage_class = self._storage_class(reproducible)
        return attributes if storage_class is None else attributes | {"Storage-Class": storage_class}


def _object_name(name: str) -> str:
    object_type, _, rest = name.partition("/")
    object_id, _, size = rest.rpartition("/")[2].partition(".")
    return f"{object_type}/{object_id}/{size}"


def _key_of_object(name: str) -> FileKey | None:
    object_type, _, rest = name.partition("/")
    object_id, _, size = rest.partition("/")
    if not _OBJECT_ID.fullmatch(object_id):
        return None
    number = int(object_id)
    return key_of(f"{object_type}/{number % 1000}/{number // 1000}/{object_id}.{size}")


def _checked_prefix(prefix: str) -> str:
    prefix = prefix.strip().strip("/")
    if prefix and (_CONTROL.search(prefix) or any(part in {"", ".", ".."} for part in prefix.split("/"))):
        raise ValueError(
            f"prefix must be a path without empty parts, dots and control characters, such as 'images', not {prefix!r}"
        )
    return prefix
