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
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from ...exc import ImageNotFoundError, StoreError
from ...file import SPOOL_SIZE
from .failures import Reason, reason_of, redacted
from .runtime import Runtime, runtime
from .streams import Body, Parts, read_up_to

__all__ = ("Bucket", "check_range")

T = TypeVar("T")

# A file that is not smaller goes up in parts of this size, so many at once.
_PART = 8 << 20
_PARTS_AT_ONCE = 4
_BLOCK = 1 << 18
_LONGEST_TIMEOUT = 24 * 60 * 60
# Seconds, twice as many after each attempt.
_FIRST_PAUSE = 0.1


class Bucket:
    """The objects of one bucket; a subclass says how its cloud is reached.

    :param base_url: the cloud's own URL of the bucket
    :param max_retry: how often a request is repeated that failed on its way or was answered with a 5xx
    :param connect_timeout: how long a connection may take to be made, in seconds
    :param timeout: how long an answer is waited for, in seconds, repetitions included
    :raises ValueError: when one of these is out of range
    """

    def __init__(self, base_url: str, max_retry: int, connect_timeout: float, timeout: float) -> None:
        check_range("max_retry", max_retry, int, least=0)
        check_range("connect_timeout", connect_timeout, int | float, least=0.001, most=_LONGEST_TIMEOUT)
        check_range("timeout", timeout, int | float, least=0.001, most=_LONGEST_TIMEOUT)
        #: The cloud's own URL of the bucket, without a slash at its end.
        self.base_url = _checked_url(base_url)
        self.max_retry = max_retry
        self.connect_timeout = connect_timeout
        self.timeout = timeout
        self._clients: dict[int, Any] = {}
        # Not every server that speaks S3's protocol can put under a condition; one that cannot is asked once.
        self._knows_conditions = True

    # What a subclass says of its cloud.

    def _make_client(self, clients: Any, **options: Any) -> Any:
        """Make a client, of one of the library's classes and with these options."""
        raise NotImplementedError(f"{type(self).__qualname__} has to implement _make_client()")

    def _secrets(self) -> tuple[str | None, ...]:
        """What no error may tell."""
        return ()

    def _headers(self) -> dict[str, str]:
        """What is sent with every request."""
        return {}

    def _error_class(self, reason: Reason) -> type[StoreError]:
        return StoreError

    # What is done with objects.

    def _put(self, name: str, file: IO[bytes], attributes: dict[str, str], create: bool) -> None:
        """Put an object, or replace it unless it is to be created."""
        content = read_up_to(file, _PART)
        if len(content) == _PART:
            self._put_parts(name, Parts(content, file), attributes, create)
        elif create and self._knows_conditions:
            self._create(name, content, attributes)
        else:
            self._overwrite(name, content, attributes)

    def _overwrite(self, name: str, content: bytes, attributes: dict[str, str]) -> None:
        self._ask(
            "store a file",
            name,
            lambda library, client: library.obstore.put(
                client, name, content, attributes=attributes, use_multipart=False
            ),
        )

    def _create(self, name: str, content: bytes, attributes: dict[str, str]) -> None:
        def put(library: Runtime, client: Any) -> Reason | None:
            try:
                library.obstore.put(client, name, content, attributes=attributes, mode="create")
            except library.error as error:
                reason = self._reason(error)
                if isinstance(error, library.already_exists) or reason.code == "NotImplemented":
                    return reason
                raise
            return None

        refusal = self._ask("store a file", name, put, repeat=True)
        if refusal is None:
            return
        if refusal.code == "NotImplemented":
            self._knows_conditions = False
            self._overwrite(name, content, attributes)
        elif not self._holds(name, content):
            raise self._failure("store a file", name, "there is another one of that name")

    def _holds(self, name: str, content: bytes) -> bool:
        try:
            file, _ = self._get(name)
        except ImageNotFoundError:
            return False
        with file:
            return file.read() == content

    def _put_parts(self, name: str, parts: Parts, attributes: dict[str, str], create: bool) -> None:
        # There is no condition for what goes up in parts; beside them, to ask first costs little.
        if create and self._size(name, "store a file") is not None:
            raise self._failure("store a file", name, "there is another one of that name")
        try:
            self._ask(
                "store a file",
                name,
                lambda library, client: library.obstore.put(
                    client, name, parts, attributes=attributes, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE
                ),
            )
        except StoreError:
            if parts.error is not None:
                raise parts.error from None
            # When the answer to the last request gets lost, that request is repeated in vain.
            if not (create and parts.is_complete and self._size(name, "store a file") == parts.size):
                raise

    def _get(self, name: str) -> tuple[IO[bytes], Any]:
        """Open an object; gives what the library answered along, which knows the type."""

        def get(library: Runtime, client: Any) -> tuple[Any, int, bytes | None]:
            result = library.obstore.get(client, name)
            _, size = result.range
            return result, size, bytes(result.bytes()) if size <= SPOOL_SIZE else None

        result, size, content = self._ask("read a file", name, get, missing=True)
        if content is None:
            return io.BufferedReader(Body(self._fetching(name, result.stream(min_chunk_size=_BLOCK), size))), result
        self._check_size(name, len(content), size)
        return io.BytesIO(content), result

    def _fetching(self, name: str, pieces: Iterator[bytes], size: int) -> Callable[[], bytes]:
        received = 0

        def fetch() -> bytes:
            nonlocal received
            piece = self._ask("read a file", name, lambda *_: next(pieces, b""))
            received += len(piece)
            if not piece:
                self._check_size(name, received, size)
            return piece

        return fetch

    def _check_size(self, name: str, received: int, announced: int) -> None:
        if received != announced:
            raise self._failure("read a file", name, f"{announced} bytes were announced, and {received} came")

    def _size(self, name: str, action: str = "find a file") -> int | None:
        """The size of an object in bytes, or ``None`` when it is not there."""
        try:
            meta = self._ask(action, name, lambda library, client: library.obstore.head(client, name), missing=True)
        except ImageNotFoundError:
            return None
        size: int = meta["size"]
        return size

    def _delete(self, name: str) -> None:
        with suppress(ImageNotFoundError):
            self._ask(
                "delete a file",
                name,
                lambda library, client: library.obstore.delete(client, name),
                missing=True,
                repeat=True,
            )

    # Requests, and what becomes of them.

    def _ask(
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
        :param repeat: whether to repeat it when nobody knows whether it was carried out, too; the library does that by
            itself, but not for a put under a condition, nor for a deletion
        """
        end, pause, left = time.monotonic() + self.timeout, _FIRST_PAUSE, self.max_retry
        while True:
            result = self._attempt(request)
            if not isinstance(result, _Failed):
                return result
            reason = self._reason(result.error)
            if not (repeat and left and reason.is_answer_lost and time.monotonic() + pause < end):
                break
            time.sleep(pause)
            pause, left = pause * 2, left - 1
        # Outside of any handler, or the library's own error would be the context, and may hold what must not be shown.
        # Its errors have no number; one that has is the system's, and about a file of this machine.
        is_not_there = isinstance(result.error, FileNotFoundError) and result.error.errno is None
        if missing and is_not_there and not reason.is_not_about_object:
            raise ImageNotFoundError(errno.ENOENT, f"{self!r} has no such file", name)
        raise self._failure(action, name, reason.sentence, self._error_class(reason))

    def _attempt(self, request: Callable[[Runtime, Any], T]) -> T | _Failed:
        failures: tuple[type[Exception], ...] = (OSError,)
        try:
            library = runtime()
            failures = (OSError, library.error)
            return request(library, self._client(library))
        except Exception as error:
            if isinstance(error, failures):
                return _Failed(error)
            raise

    def _client(self, library: Runtime) -> Any:
        # A client works only in the process that made it.  Those of a parent are kept: here they could not be ended.
        pid = os.getpid()
        if pid not in self._clients:
            timeout = datetime.timedelta(seconds=self.timeout)
            client_options = {
                "connect_timeout": datetime.timedelta(seconds=self.connect_timeout),
                # For each answer, and each piece of a body: a large file may take as long as it takes.
                "read_timeout": timeout,
                "timeout": datetime.timedelta(days=365),
                "allow_http": self.base_url.startswith("http:"),
                "default_headers": self._headers(),
            }
            retry_config = {"max_retries": self.max_retry, "retry_timeout": timeout}
            client = self._make_client(library.clients, client_options=client_options, retry_config=retry_config)
            self._clients.setdefault(pid, client)
        return self._clients[pid]

    def _reason(self, error: Exception) -> Reason:
        return reason_of(str(error), self.timeout)

    def _failure(self, action: str, name: str, sentence: str, kind: type[StoreError] = StoreError) -> StoreError:
        return kind(errno.EIO, f"{self!r} could not {action}: {redacted(sentence, self._secrets())}", name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_clients": {}}


class _Failed(NamedTuple):
    error: Exception


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.query:
        # Not shown: what makes it wrong may be a secret.
        raise ValueError("endpoint_url must be like https://host:port, without a user, a password and a query")
    return url.rstrip("/")


def check_range(what: str, number: float, kind: Any, *, least: float, most: float | None = None) -> None:
    """Check an argument.

    :param what: its name
    :param number: its value
    :param kind: the types that it may have
    :param least: the least value
    :param most: the largest value, if there is one
    :raises TypeError: when it is of another type
    :raises ValueError: when it is out of range
    """
    if isinstance(number, bool) or not isinstance(number, kind):
        raise TypeError(f"{what} must be a number, not {number!r}")
    if number < least or (most is not None and number > most) or number != number:
        range_ = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ValueError(f"{what} must be {range_}, not {number}")
