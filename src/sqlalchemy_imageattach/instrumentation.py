"""Events of what stores and decoders do, for subscribers: for metrics, traces, and a log of what is slow.

::

    @subscribe
    def count(event: Event) -> None:
        histogram.labels(event.name, type(event.store).__name__).observe(event.seconds)

Each :class:`Event` is one file that was put, opened or deleted, or one image that was decoded.  Stores are measured
where they are asked by key, in :class:`~sqlalchemy_imageattach.store.Store`, so that a store of anybody's reports.  A
store over other stores reports nothing itself: the one that it asks does.  It must always be true that

- an error of a subscriber is logged, and the operation goes on;
- with neither a subscriber nor debug logging, nothing is measured;
- nothing is read, copied or wrapped in order to measure it.

The logger ``sqlalchemy_imageattach`` gets each event, too, at level ``DEBUG``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Literal, Protocol, Self, TypeVar

from .exc import MissingDependencyError
from .file import bytes_left
from .naming import FileKey

__all__ = ("Event", "Operation", "Subscriber", "measured", "opentelemetry_spans", "subscribe", "unsubscribe")

logger = logging.getLogger("sqlalchemy_imageattach")

Operation = Literal["put", "get", "delete", "decode"]


@dataclass(frozen=True, slots=True)
class Event:
    """One operation, now that it ended."""

    #: ``"get"`` is the opening of a file: what is read from it afterwards is not in ``seconds``.
    name: Operation
    #: The type of the image; for ``"decode"``, of the original.
    mimetype: str
    #: How long it took.
    seconds: float
    #: Of the file, or of the original that was decoded, in bytes; ``None`` where that cannot be told without reading,
    #: and for ``"delete"``.
    file_size: int | None = None
    #: What it raised.
    error: BaseException | None = None
    #: The store that did it; ``None`` for ``"decode"``.
    store: object | None = None
    #: The file's name; ``None`` for ``"decode"``.
    key: FileKey | None = None


#: What is called with each :class:`Event`.
Subscriber = Callable[[Event], object]

S = TypeVar("S", bound=Subscriber)

_subscribers: tuple[Subscriber, ...] = ()
_lock = threading.Lock()


def subscribe(subscriber: S) -> S:
    """Have a function called with each :class:`Event` of this process.

    It is called in the thread that did the work, which may be one of several at once, before the work's caller goes on:
    it has to be quick.

    :param subscriber: the function
    :returns: the same function, so that this is a decorator as well

    >>> import io
    >>> from sqlalchemy_imageattach.store import FileKey
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> events = []
    >>> _ = subscribe(events.append)
    >>> MemoryStore().put_key(io.BytesIO(b'bytes'), FileKey('user-picture', 1, 640, 480, 'image/png'), True)
    >>> unsubscribe(events.append)
    >>> [(event.name, event.file_size) for event in events]
    [('put', 5)]
    """
    global _subscribers
    with _lock:
        _subscribers = (*_subscribers, subscriber)
    return subscriber


def unsubscribe(subscriber: Subscriber) -> None:
    """Undo :func:`subscribe`.

    :param subscriber: the function
    :raises ValueError: when it has not subscribed
    """
    global _subscribers
    with _lock:
        if subscriber not in _subscribers:
            raise ValueError(f"expected a function that has subscribed, not {subscriber!r}")
        index = _subscribers.index(subscriber)
        _subscribers = _subscribers[:index] + _subscribers[index + 1 :]


def opentelemetry_spans() -> Subscriber:
    """Make a subscriber that records each event as a span of `OpenTelemetry <https://opentelemetry.io>`_.

    The span of what a request does is a child of the request's own span.

    :returns: what to give to :func:`subscribe`
    :raises MissingDependencyError: when ``opentelemetry-api`` is not installed

    >>> spans = subscribe(opentelemetry_spans())
    >>> unsubscribe(spans)
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise MissingDependencyError("spans need OpenTelemetry: pip install opentelemetry-api") from error
    from .version import VERSION  # not with the package: running that module would warn

    tracer = trace.get_tracer("sqlalchemy_imageattach", VERSION)

    def record(event: Event) -> None:
        end = time.time_ns()
        span = tracer.start_span(f"imageattach.{event.name}", start_time=end - int(event.seconds * 1e9))
        span.set_attribute("imageattach.mimetype", event.mimetype)
        if event.file_size is not None:
            span.set_attribute("imageattach.file_size", event.file_size)
        if event.store is not None and event.key is not None:
            span.set_attribute("imageattach.store", repr(event.store))
            span.set_attribute("imageattach.object_type", event.key.object_type)
            # A number of an attribute has 64 bits, and a UUID 128.
            span.set_attribute("imageattach.object_id", str(event.key.object_id))
            span.set_attribute("imageattach.width", event.key.width)
            span.set_attribute("imageattach.height", event.key.height)
        if event.error is not None:
            span.record_exception(event.error)
            span.set_status(trace.StatusCode.ERROR, str(event.error))
        span.end(end)

    return record


class Measured(Protocol):
    """A ``with`` block around an operation."""

    def opened(self, file: IO[bytes]) -> None:
        """Take note of the file that the operation opened."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


def measured(
    name: Operation,
    mimetype: str,
    *,
    file: IO[bytes] | None = None,
    file_size: int | None = None,
    store: object | None = None,
    key: FileKey | None = None,
) -> Measured:
    """Measure an operation, if anybody wants to know.

    :param name: which one
    :param mimetype: the type of the image
    :param file: the file that it reads to its end
    :param file_size: or how many bytes it takes
    :param store: who does it
    :param key: the file's name
    :returns: a ``with`` block for the operation
    """
    if not _subscribers and not logger.isEnabledFor(logging.DEBUG):
        return _UNMEASURED
    return _Measurement(name, mimetype, file_size if file is None else bytes_left(file), store, key)


class _Unmeasured:
    def opened(self, file: IO[bytes]) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


_UNMEASURED = _Unmeasured()


@dataclass(slots=True)
class _Measurement:
    name: Operation
    mimetype: str
    file_size: int | None
    store: object | None
    key: FileKey | None
    start: float = 0.0

    def opened(self, file: IO[bytes]) -> None:
        self.file_size = bytes_left(file)

    def __enter__(self) -> Self:
        self.start = time.perf_counter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        seconds = time.perf_counter() - self.start
        event = Event(self.name, self.mimetype, seconds, self.file_size, error, self.store, self.key)
        for subscriber in _subscribers:
            try:
                subscriber(event)
            except Exception:
                logger.exception("the subscriber %r failed at %r", subscriber, event)
        _log(event)


def _log(event: Event) -> None:
    extra = {
        "image_operation": event.name,
        "image_mimetype": event.mimetype,
        "image_seconds": event.seconds,
        "image_file_size": event.file_size,
        "image_error": event.error,
        "image_store": event.store,
        "image_key": event.key,
    }
    message = "%s %s: %.3f s" if event.error is None else "%s %s: failed after %.3f s"
    logger.debug(
        message, event.name, event.mimetype if event.key is None else tuple(event.key), event.seconds, extra=extra
    )
