"""The objects of one bucket, by their names: how they are put, read and deleted, and what is said when that fails.

A bucket is whatever a cloud keeps objects in.  It must always be true that

- an object that is to be new is put on the condition that there is none of its name; where there is one with the same
  bytes, an earlier attempt of ours had succeeded;
- a file goes through memory in parts, whatever its size;
- "it is not there" is said when the server said so, and for no other failure;
- an error names the bucket and the object, and never a secret.
"""

from __future__ import annotations

import datetime
import errno
import io
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any, NamedTuple, Protocol, TypeVar

from ...exc import ImageNotFoundError, StoreError
from ...file import BLOCK_SIZE, SPOOL_SIZE
from .failures import AuthMechanismError, Reason, TransientError, reason_of, redacted
from .runtime import Runtime, runtime
from .streams import Body, Parts, read_up_to

__all__ = ("Bucket", "Listed", "UnreadableNameError")

T = TypeVar("T")

# A file that is not smaller goes up in parts of this size, so many at once.
_PART = 8 << 20
_PARTS_AT_ONCE = 4
# Seconds, twice as many after each attempt.
# How many objects are deleted by one request.
_BATCH = 1000
_FIRST_PAUSE = 0.1


class Cloud(Protocol):
    """What a bucket has to know of the cloud that it is in; its store says that."""

    #: The cloud's own URL of the bucket, without a slash at its end.
    base_url: str
    #: How often a request is repeated that failed on its way or was answered with a 5xx.
    max_retry: int
    #: How long a connection may take to be made, in seconds.
    connect_timeout: float
    #: How long an answer is waited for, in seconds, repetitions included.
    timeout: float

    def connect(self, clients: Any, **options: Any) -> Any:
        """Make a client.

        :param clients: the module that has the library's classes of clients
        :param options: what every client of this cloud gets
        :returns: the client
        """

    def secrets(self) -> tuple[str | None, ...]:
        """List what no error may show.

        :returns: the secrets
        """
        ...

    def headers(self) -> dict[str, str]:
        """List what is sent with every put of a whole object, and with nothing else.

        :returns: the headers
        """
        ...


class Listed(NamedTuple):
    """An object that a bucket has listed."""

    name: str
    #: Bytes.
    size: int
    #: When it was written, aware.
    modified: datetime.datetime


class UnreadableNameError(StoreError):
    """Raised when a listing has a name that the library cannot read, and so nothing of the same page."""


class Bucket:
    """The objects of one bucket.

    :param cloud: how the bucket is reached; errors name it by its ``repr()``
    :param tags: what every new object is tagged with
    """

    def __init__(self, cloud: Cloud, tags: Mapping[str, str]) -> None:
        self._cloud = cloud
        self._tags = dict(tags) or None
        # By process, and by whether the headers of puts are sent.
        self._clients: dict[tuple[int, bool], Any] = {}
        # Not every server that speaks S3's protocol can put under a condition; one that cannot is asked once.
        self._knows_conditions = True

    def put(self, name: str, file: IO[bytes], attributes: dict[str, str], create: bool) -> None:
        """Put an object.

        :param name: its name
        :param file: the bytes, from its position to its end
        :param attributes: its type, and what else comes with it
        :param create: whether to refuse to replace another one
        :raises StoreError: when it is not stored
        """
        content = read_up_to(file, _PART)
        if len(content) == _PART:
            parts = Parts(content, file)
            if not self._cloud.headers():
                return self._put_parts(name, parts, attributes, create)
            # S3 takes these headers with a whole object, and refuses them with a part.
            content = b"".join(parts)
        if create and self._knows_conditions:
            self._create(name, content, attributes)
        else:
            self._overwrite(name, content, attributes)

    def _overwrite(self, name: str, content: bytes, attributes: dict[str, str]) -> None:
        self.ask(
            "store a file",
            name,
            lambda library, _: library.obstore.put(
                self._client(library, puts=True),
                name,
                content,
                attributes=attributes,
                tags=self._tags,
                use_multipart=False,
            ),
        )

    def _create(self, name: str, content: bytes, attributes: dict[str, str]) -> None:
        def put(library: Runtime, _: Any) -> Reason | None:
            client = self._client(library, puts=True)
            try:
                library.obstore.put(client, name, content, attributes=attributes, tags=self._tags, mode="create")
            except library.error as error:
                reason = self._reason(error)
                if isinstance(error, library.already_exists) or reason.code == "NotImplemented":
                    return reason
                raise
            return None

        refusal = self.ask("store a file", name, put, repeat=True)
        if refusal is None:
            return
        if refusal.code == "NotImplemented":
            self._knows_conditions = False
            self._overwrite(name, content, attributes)
        elif not self._holds(name, content):
            raise self._failure("store a file", name, "there is another one of that name")

    def _holds(self, name: str, content: bytes) -> bool:
        try:
            file, _ = self.get(name)
        except ImageNotFoundError:
            return False
        with file:
            return file.read() == content

    def _put_parts(self, name: str, parts: Parts, attributes: dict[str, str], create: bool) -> None:
        # There is no condition for what goes up in parts; beside them, to ask first costs little.
        if create and self.size(name, "store a file") is not None:
            raise self._failure("store a file", name, "there is another one of that name")
        try:
            self.ask(
                "store a file",
                name,
                lambda library, client: library.obstore.put(
                    client,
                    name,
                    parts,
                    attributes=attributes,
                    tags=self._tags,
                    chunk_size=_PART,
                    max_concurrency=_PARTS_AT_ONCE,
                ),
            )
        except StoreError:
            if parts.error is not None:
                raise parts.error from None
            # When the answer to the last request gets lost, that request is repeated in vain.
            if not (create and parts.is_complete and self.size(name, "store a file") == parts.size):
                raise

    def get(self, name: str) -> tuple[IO[bytes], Mapping[str, str]]:
        """Open an object.

        :param name: its name
        :returns: the file, and the object's attributes
        :raises ImageNotFoundError: when there is no such object
        :raises StoreError: when it cannot be read
        """

        def get(library: Runtime, client: Any) -> tuple[Any, int, bytes | None]:
            result = library.obstore.get(client, name)
            _, size = result.range
            return result, size, bytes(result.bytes()) if size <= SPOOL_SIZE else None

        result, size, content = self.ask("read a file", name, get, missing=True)
        if content is None:
            pieces = result.stream(min_chunk_size=BLOCK_SIZE)
            return io.BufferedReader(Body(self._fetching(name, pieces, size))), result.attributes
        self._check_size(name, len(content), size)
        return io.BytesIO(content), result.attributes

    def _fetching(self, name: str, pieces: Iterator[bytes], size: int) -> Callable[[], bytes]:
        received = 0

        def fetch() -> bytes:
            nonlocal received
            piece = self.ask("read a file", name, lambda *_: next(pieces, b""))
            received += len(piece)
            if not piece:
                self._check_size(name, received, size)
            return piece

        return fetch

    def _check_size(self, name: str, received: int, announced: int) -> None:
        if received != announced:
            raise self._failure("read a file", name, f"{announced} bytes were announced, and {received} came")

    def size(self, name: str, action: str = "find a file") -> int | None:
        """Find the size of an object.

        :param name: its name
        :param action: what it is for, in an error
        :returns: bytes, or ``None`` when there is no such object
        :raises StoreError: when the server does not say
        """
        try:
            meta = self.ask(action, name, lambda library, client: library.obstore.head(client, name), missing=True)
        except ImageNotFoundError:
            return None
        size: int = meta["size"]
        return size

    def delete(self, name: str) -> None:
        """Delete an object; silent when there is no such object.

        :param name: its name
        :raises StoreError: when it is not deleted
        """
        with suppress(ImageNotFoundError):
            self.ask(
                "delete a file",
                name,
                lambda library, client: library.obstore.delete(client, name),
                missing=True,
                repeat=True,
            )

    def rename(self, former: str, name: str) -> None:
        """Have the server copy an object, and delete it under its former name.

        :param former: the name that it has
        :param name: the name that it gets
        :raises ImageNotFoundError: when there is no such object
        :raises StoreError: when it is not copied
        """
        self.ask(
            "rename a file",
            former,
            lambda library, client: library.obstore.copy(client, former, name),
            missing=True,
            repeat=True,
        )
        self.delete(former)

    def delete_all(self, names: Iterable[str]) -> None:
        """Delete objects, a thousand by a request where the server can; silent about those that are gone.

        :param names: their names
        :raises StoreError: when one is not deleted
        """
        names = iter(names)
        while batch := list(itertools.islice(names, _BATCH)):
            try:
                self.ask("delete files", batch[0], _deletion(batch), missing=True, repeat=True)
            except ImageNotFoundError:
                # Where the server deletes one at a time, it ends with one that another process has deleted.
                for name in batch:
                    self.delete(name)

    def sign(self, name: str, seconds: int) -> str:
        """Make a URL that opens an object.

        :param name: its name
        :param seconds: how long the URL is valid
        :returns: the URL
        :raises StoreError: when there are no credentials
        """
        valid = datetime.timedelta(seconds=seconds)
        url: str = self.ask(
            "sign a URL", name, lambda library, client: library.obstore.sign(client, "GET", name, valid)
        )
        return url

    def list(self, prefix: str) -> Iterator[Listed]:
        """List objects, a page at a time.

        :param prefix: a path that their names begin with, a slash at its end, or an empty text
        :returns: an iterator
        :raises UnreadableNameError: when the library cannot read a name
        :raises StoreError: when the server does not list them
        """
        pages = self.ask(
            "list its files",
            prefix,
            lambda library, client: iter(library.obstore.list(client, prefix or None, chunk_size=1000)),
        )
        while (page := self.ask("list its files", prefix, lambda *_: next(pages, None))) is not None:
            for each in page:
                yield Listed(each["path"], each["size"], each["last_modified"])

    def list_by_folders(self, prefix: str) -> Iterator[Listed]:
        """List objects, a folder at a time, so that a name which cannot be read hides no other folder.

        :param prefix: as for :meth:`list`
        :returns: an iterator; a folder with such a name is listed itself, a slash at its end
        :raises StoreError: when the server does not list them, or cannot list the folders either
        """
        level = self.ask(
            "list its files",
            prefix,
            lambda library, client: library.obstore.list_with_delimiter(client, prefix or None),
        )
        for each in level["objects"]:
            yield Listed(each["path"], each["size"], each["last_modified"])
        for folder in level["common_prefixes"]:
            try:
                yield from self.list(f"{folder}/")
            except UnreadableNameError:
                yield Listed(f"{folder}/", 0, datetime.datetime.fromtimestamp(0, datetime.UTC))

    def ask(
        self,
        action: str,
        name: str,
        request: Callable[[Runtime, Any], T],
        *,
        missing: bool = False,
        repeat: bool = False,
    ) -> T:
        """Make a request.

        :param action: what it is for
        :param name: the object that it is about
        :param request: makes it
        :param missing: whether there may be no such object
        :param repeat: whether to repeat it although it may have been carried out; the library does that by itself, but
            neither for a put under a condition nor for a deletion
        :returns: what ``request`` returned
        :raises ImageNotFoundError: when there is no such object, and there may be none
        :raises StoreError: when it failed
        """
        end, pause, left = time.monotonic() + self._cloud.timeout, _FIRST_PAUSE, self._cloud.max_retry
        while True:
            result = self._attempt(request)
            if not isinstance(result, _Failed):
                return result
            reason = self._reason(result.error)
            is_lost = reason.is_answer_lost or isinstance(result.error, TransientError)
            if not (repeat and left and is_lost and time.monotonic() + pause < end):
                break
            time.sleep(pause)
            pause, left = pause * 2, left - 1
        # Outside of any handler, or the library's own error would be the context, and may hold what must not be shown.
        # Its errors have no number; one that has is the system's, and about a file of this machine.
        is_not_there = isinstance(result.error, FileNotFoundError) and result.error.errno is None
        if missing and is_not_there and not reason.is_not_about_object:
            raise ImageNotFoundError(errno.ENOENT, f"{self._cloud!r} has no such file", name)
        if result.is_unreadable_name:
            raise self._failure(action, name, f"{reason.sentence}; give the store a prefix", UnreadableNameError)
        raise self._failure(action, name, reason.sentence, AuthMechanismError if reason.is_about_region else StoreError)

    def _attempt(self, request: Callable[[Runtime, Any], T]) -> T | _Failed:
        try:
            library = runtime()
        except OSError as error:
            return _Failed(error)
        try:
            return request(library, self._client(library))
        except (OSError, library.error) as error:
            return _Failed(error, isinstance(error, library.invalid_path))

    def _client(self, library: Runtime, *, puts: bool = False) -> Any:
        # A client works only in the process that made it.  Those of a parent are kept: here they could not be ended.
        headers = self._cloud.headers() if puts else {}
        kind = (os.getpid(), bool(headers))
        if kind not in self._clients:
            cloud, timeout = self._cloud, datetime.timedelta(seconds=self._cloud.timeout)
            client_options = {
                "connect_timeout": datetime.timedelta(seconds=cloud.connect_timeout),
                # For each answer, and each piece of a body: a large file may take as long as it takes.
                "read_timeout": timeout,
                "timeout": datetime.timedelta(days=365),
                "allow_http": cloud.base_url.startswith("http:"),
                "default_headers": headers,
            }
            retry_config = {"max_retries": cloud.max_retry, "retry_timeout": timeout}
            client = cloud.connect(library.clients, client_options=client_options, retry_config=retry_config)
            self._clients.setdefault(kind, client)
        return self._clients[kind]

    def _reason(self, error: Exception) -> Reason:
        return reason_of(str(error), self._cloud.timeout)

    def _failure(self, action: str, name: str, sentence: str, kind: type[StoreError] = StoreError) -> StoreError:
        return kind(errno.EIO, f"{self._cloud!r} could not {action}: {redacted(sentence, self._cloud.secrets())}", name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_clients": {}}


class _Failed(NamedTuple):
    error: Exception
    is_unreadable_name: bool = False


def _deletion(names: list[str]) -> Callable[[Runtime, Any], None]:
    def delete(library: Runtime, client: Any) -> None:
        library.obstore.delete(client, names)

    return delete
