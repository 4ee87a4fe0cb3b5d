"""What the stores in clouds share: how their objects are named, what comes with them, and their URLs.

:class:`CloudStore` is the base of :class:`~.s3.S3Store`, :class:`~.cloud.AzureStore` and :class:`~.cloud.GCSStore`.  An
object is named like this, after the prefix::

    user-picture/17042/640x480.k3v9q2.jpe

It must always be true that

- rows without a revision have the names that the original library gave to objects on S3;
- an object that has a revision in its name is never overwritten;
- a URL is made without a request, and holds for at least as long as it says;
- what is not of the store's making is left alone, whatever it is called.
"""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import IO, Any, ClassVar
from urllib.parse import quote, urlsplit

from ...exc import ImageNotFoundError
from ...naming import FileKey, StorableImage, folder_of_variants, former_names_of, key_of, name_of, original_of
from ...store import StoredFile
from ..key_store import KeyStore, check_base_url
from .arguments import PutHeaders, check_range, sort_headers
from .bucket import Bucket, Listed, UnreadableNameError
from .clock import time_of
from .runtime import require

__all__ = ("DEFAULT_MAX_AGE", "CloudStore", "checked_path")

#: The default ``max-age`` of ``Cache-Control``: a year, in seconds.
DEFAULT_MAX_AGE = 60 * 60 * 24 * 365

# A signature cannot be valid for longer: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
_LONGEST_SIGNATURE = 7 * 24 * 60 * 60
_LONGEST_TIMEOUT = 24 * 60 * 60
# How many signed URLs a store remembers.
_SIGNED_URLS = 10_000
# What URLs have that temporary credentials of AWS and of Azure sign.
_TEMPORARY = re.compile("[?&](?:X-Amz-Security-Token|skoid)=")
_OBJECT_ID = re.compile(r"-?[0-9]{1,200}")
# No server that speaks XML can list them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class CloudStore(KeyStore):
    """The base of the stores in clouds, which *has* a bucket: :attr:`objects`.

    :param base_url: the cloud's own URL of what the store is in
    :param prefix: what the names of objects begin with, a path
    :param public_base_url: what URLs begin with, where that is not ``base_url``
    :param max_age: of ``Cache-Control``, in seconds
    :param max_retry: how often a request is repeated that failed on its way or was answered with a 5xx
    :param signed_urls: how long URLs are valid, in seconds, for what is not public; ``None`` for unsigned ones
    :param signed_urls_window: how long the signed URL of a file stays the same, in seconds
    :param put_headers: more headers of new objects
    :param connect_timeout: how long a connection may take to be made, in seconds
    :param timeout: how long an answer is waited for, in seconds, repetitions included
    :raises ValueError: when one of these is out of range, or ``signed_urls`` comes with ``public_base_url``
    :raises MissingDependencyError: when the extra is not installed
    """

    #: The extra to install.
    extra: ClassVar[str]

    #: What the names of the cloud's headers of metadata begin with.
    metadata_header: ClassVar[str]

    #: The cloud's header of tags, if it has one.
    tags_header: ClassVar[str | None] = None

    #: The other headers of new objects that the cloud's client can send.
    option_headers: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        base_url: str,
        *,
        prefix: str = "",
        public_base_url: str | None = None,
        max_age: int = DEFAULT_MAX_AGE,
        max_retry: int = 5,
        signed_urls: int | None = None,
        signed_urls_window: int = 0,
        put_headers: Mapping[str, str] | None = None,
        connect_timeout: float = 5.0,
        timeout: float = 60.0,
    ) -> None:
        require(type(self).__qualname__, self.extra)
        if signed_urls is not None and public_base_url is not None:
            raise ValueError("a signature holds for the cloud's own URL: give signed_urls or public_base_url, not both")
        check_range("max_age", max_age, int, least=0)
        check_range("max_retry", max_retry, int, least=0)
        check_range("connect_timeout", connect_timeout, int | float, least=0.001, most=_LONGEST_TIMEOUT)
        check_range("timeout", timeout, int | float, least=0.001, most=_LONGEST_TIMEOUT)
        check_range("signed_urls_window", signed_urls_window, int, least=0, most=_LONGEST_SIGNATURE - 1)
        if signed_urls is not None:
            check_range("signed_urls", signed_urls, int, least=1, most=_LONGEST_SIGNATURE - signed_urls_window)
        #: The cloud's own URL of the bucket, without a slash at its end.
        self.base_url = _checked_url(base_url)
        #: What URLs begin with, without a slash at its end.
        self.public_base_url = self.base_url
        if public_base_url is not None:
            self.public_base_url = check_base_url("public_base_url", public_base_url).rstrip("/")
        #: What the names of objects begin with, without a slash at its end.
        self.prefix = self.checked_prefix(prefix)
        self.max_age = max_age
        self.max_retry = max_retry
        self.signed_urls = signed_urls
        self.signed_urls_window = signed_urls_window
        self.connect_timeout = connect_timeout
        self.timeout = timeout
        self.put_headers: PutHeaders = sort_headers(
            put_headers or {}, metadata=self.metadata_header, tags=self.tags_header, options=self.option_headers
        )
        #: The objects of the bucket.
        self.objects = Bucket(self, self.put_headers.tags)
        # Those that were signed in the present window, and which window that is.
        self._signed: tuple[tuple[int, int], dict[str, str]] = ((0, 0), {})

    # What a subclass says of its cloud.

    def connect(self, clients: Any, **options: Any) -> Any:
        """Make a client of the library below.

        :param clients: the module that has the classes of clients
        :param options: what every client gets
        :returns: the client
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement connect()")

    def secrets(self) -> tuple[str | None, ...]:
        """List what no error may show.

        :returns: the secrets
        """
        return ()

    def headers(self) -> dict[str, str]:
        """List what is sent with every put of a whole object.  A file with such headers is in memory as a whole.

        :returns: the headers
        """
        return {}

    def storage_class(self, reproducible: bool) -> str | None:
        """Choose the storage class of a new object.

        :param reproducible: whether it can be computed again
        :returns: the class, or ``None`` for the cloud's default
        """
        return None

    def checked_prefix(self, prefix: str) -> str:
        """Check a prefix.

        :param prefix: the prefix as it was given
        :returns: the prefix without slashes around it
        :raises ValueError: when it is no path
        """
        return checked_path(prefix.strip().strip("/"))

    def listed(self, prefix: str) -> Iterator[Listed]:
        """List the objects of the bucket.

        :param prefix: what their names begin with
        :returns: an iterator
        :raises StoreError: when the server does not list them
        """
        last = ""
        try:
            for each in self.objects.list(prefix):
                last = each.name
                yield each
        except UnreadableNameError:
            # What comes up to there was listed; servers list in the order of names.
            yield from (each for each in self.objects.list_by_folders(prefix) if each.name > last)

    def signed_as_of(self, time: datetime.datetime, name: str, seconds: int) -> str | None:
        """Sign a URL as of a time, so that every process makes the same one.

        :param time: the time, in UTC
        :param name: the name of the object
        :param seconds: how long it is valid from then on
        :returns: the URL; by default none, and each process keeps those that it has signed
        """
        return None

    # What a store does.

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        attributes = self.attributes(key.mimetype, reproducible)
        # A variant may be made twice, and is the same then.
        create = key.revision is not None and original_of(key) is None
        self.objects.put(self.name(key), file, attributes, create=create)

    def read(self, key: FileKey) -> IO[bytes]:
        name, *others = self._names(key)
        try:
            return self.objects.get(name)[0]
        except ImageNotFoundError:
            for other in others:
                with suppress(ImageNotFoundError):
                    return self.objects.get(other)[0]
            raise

    def url(self, key: FileKey) -> str:
        name = self.name(key)
        return f"{self.public_base_url}/{quote(name)}" if self.signed_urls is None else self._sign(name)

    def remove(self, key: FileKey) -> None:
        for name in self._names(key):
            self.objects.delete(name)

    def has_key(self, key: FileKey) -> bool:
        """Tell whether a file is there, without fetching it.

        :param key: the name
        :returns: whether it is there
        :raises StoreError: when the server does not say
        """
        return any(self.objects.size(name) is not None for name in self._names(key))

    def list_files(self) -> Iterator[StoredFile]:
        """List the files of this store, a page at a time; objects of other names are foreign.

        :returns: an iterator; files that come or go meanwhile may be in it or not
        :raises StoreError: when the server does not list them
        """
        start = self._start()
        for name, size, modified in self.listed(start):
            key = _key_of_object(name.removeprefix(start))
            if key is None:
                yield StoredFile.foreign(name, size, modified)
            else:
                yield StoredFile(name, size, modified, key, partial(self.objects.delete, name))

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        start, folder = self._start(), f"{folder_of_variants(original)}/"
        for name, size, modified in self.listed(start + folder):
            key = _key_of_object(name.removeprefix(start))
            if key is not None and original_of(key) == original:
                yield StoredFile(name, size, modified, key, partial(self.objects.delete, name))

    def delete_variants(self, original: FileKey) -> None:
        self.objects.delete_all(file.name for file in self.list_variants(original))

    def rename_key(self, former: FileKey, key: FileKey) -> None:
        self.objects.rename(self.name(former), self.name(key))

    def now(self) -> datetime.datetime:
        """Tell the time by the server's clock, which dates the files.

        :returns: the date of an answer; what this machine's clock says where there is none
        """
        return time_of(self.base_url, self.timeout)

    def locate(self, image: StorableImage) -> str:
        # A signature covers the query, and is of the present time anyway.
        return super().locate(image) if self.signed_urls is None else self.url_of_key(FileKey.of(image))

    def name(self, key: FileKey) -> str:
        """Make the name of a file's object.

        :param key: the file's name
        :returns: the object's name, with the prefix
        :raises ValueError: when the key cannot be a name
        """
        return self._names(key)[0]

    def attributes(self, mimetype: str, reproducible: bool) -> dict[str, str]:
        """Make the attributes of a new object.

        :param mimetype: its type
        :param reproducible: whether it can be computed again
        :returns: the attributes as the library below takes them
        """
        attributes = {"Content-Type": mimetype, "Cache-Control": f"max-age={self.max_age}"}
        storage_class = self.storage_class(reproducible)
        if storage_class is not None:
            attributes["Storage-Class"] = storage_class
        return attributes | self.put_headers.attributes

    def _start(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""

    def _names(self, key: FileKey) -> list[str]:
        if _CONTROL.search(key.object_type):
            raise ValueError(f"expected an object type without control characters, not {key.object_type!r}")
        return [self._start() + _object_name(name) for name in (name_of(key), *former_names_of(key))]

    def _sign(self, name: str) -> str:
        assert self.signed_urls is not None
        if not self.signed_urls_window:
            return self.objects.sign(name, self.signed_urls)
        # Whenever the window ends, what was signed at its beginning is still valid for as long as was asked for.
        window, seconds = int(time.time()) // self.signed_urls_window, self.signed_urls + self.signed_urls_window
        begin = datetime.datetime.fromtimestamp(window * self.signed_urls_window, datetime.UTC)
        if (signed := self.signed_as_of(begin, name, seconds)) is not None:
            return signed
        if self._signed[0] != (window, seconds) or len(self._signed[1]) >= _SIGNED_URLS:
            self._signed = ((window, seconds), {})
        urls = self._signed[1]
        if name not in urls:
            url = self.objects.sign(name, seconds)
            if _TEMPORARY.search(url):
                # The credentials may end at any time, and the URL with them: the next one is signed by newer ones.
                return url
            urls[name] = url
        return urls[name]


# In the name of a file that is no variant.
_SLASHES = 3


def _object_name(name: str) -> str:
    """The original library's name of a file; a variant, which that did not have, lies where its URL says."""
    if name.count("/") > _SLASHES:
        return name
    object_type, _, rest = name.partition("/")
    object_id, _, size = rest.rpartition("/")[2].partition(".")
    return f"{object_type}/{object_id}/{size}"


def _key_of_object(name: str) -> FileKey | None:
    if _CONTROL.search(name):
        return None
    if name.count("/") > _SLASHES:
        return key_of(name)
    object_type, _, rest = name.partition("/")
    object_id, _, size = rest.partition("/")
    if not _OBJECT_ID.fullmatch(object_id):
        return None
    number = int(object_id)
    return key_of(f"{object_type}/{number % 1000}/{number // 1000}/{object_id}.{size}")


def checked_path(prefix: str) -> str:
    """Check a prefix.

    :param prefix: the prefix, without slashes around it
    :returns: the same
    :raises ValueError: when it is no path
    """
    if prefix and (_CONTROL.search(prefix) or any(part in {"", ".", ".."} for part in prefix.split("/"))):
        raise ValueError(
            f"prefix must be a path without empty parts, dots and control characters, such as 'images', not {prefix!r}"
        )
    return prefix


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.query:
        # Not shown: what makes it wrong may be a secret.
        raise ValueError("endpoint_url must be like https://host:port, without a user, a password and a query")
    return url.rstrip("/")
