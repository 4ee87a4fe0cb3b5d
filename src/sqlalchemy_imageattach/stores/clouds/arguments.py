"""What the stores in clouds take as arguments, and the checks of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict
from urllib.parse import parse_qsl

__all__ = ("CloudOptions", "PutHeaders", "RequestOptions", "check_range", "sort_headers")


class RequestOptions(TypedDict, total=False):
    """The arguments that every store in a cloud takes by name."""

    #: How long URLs are valid, in seconds, for what is not public; ``None`` for URLs without a signature.
    signed_urls: int | None
    #: How long the signed URL of a file stays the same, in seconds, so that browsers cache it; it is valid for so much
    #: longer.
    signed_urls_window: int
    #: More headers of new objects: of encryption, tags, metadata, caching.
    put_headers: Mapping[str, str]
    #: How long a connection may take to be made, in seconds.
    connect_timeout: float
    #: How long an answer is waited for, in seconds, repetitions included.
    timeout: float


class CloudOptions(RequestOptions, total=False):
    """The arguments that stores take by name, but for :class:`~sqlalchemy_imageattach.stores.s3.S3Store`, which takes
    these by position too, as the original library's did."""

    #: Of ``Cache-Control``, in seconds.
    max_age: int
    #: What the names of objects begin with, a path, so that a bucket can have several stores.
    prefix: str
    #: What URLs begin with, where that is not the cloud's own URL; useful with a CDN.
    public_base_url: str | None
    #: How often a request is repeated that failed on its way or was answered with a 5xx.
    max_retry: int


class PutHeaders(NamedTuple):
    """The headers of new objects, by the way that they take."""

    #: What the library sends as attributes of the object.
    attributes: dict[str, str]
    #: The object's tags.
    tags: dict[str, str]
    #: What a client is made with, by the names of the headers in lower case.
    options: dict[str, str]


def sort_headers(headers: Mapping[str, str], *, metadata: str, tags: str | None, options: frozenset[str]) -> PutHeaders:
    """Sort the headers of new objects.

    They cannot just be sent with each request of a put: a cloud refuses most of them with the parts of a large file.

    :param headers: the headers by their names, in any case
    :param metadata: what the names of the cloud's headers of metadata begin with
    :param tags: the cloud's header of tags, if it has one
    :param options: the other headers that the cloud's client can send
    :returns: the same, sorted
    :raises TypeError: when ``headers`` is no mapping of texts
    :raises ValueError: when the client cannot send one of them

    >>> sort_headers({"X-Amz-Tagging": "a=b"}, metadata="x-amz-meta-", tags="x-amz-tagging", options=frozenset()).tags
    {'a': 'b'}
    """
    if not isinstance(headers, Mapping) or not all(isinstance(each, str) for pair in headers.items() for each in pair):
        raise TypeError(
            "put_headers must be a mapping from names of headers to texts, such as {'x-amz-tagging': 'a=b'}"
        )
    found = PutHeaders({}, {}, {})
    for name, value in headers.items():
        lower = name.lower()
        if lower in _ATTRIBUTES:
            found.attributes[_ATTRIBUTES[lower]] = value
        elif lower.startswith(metadata):
            found.attributes[lower.removeprefix(metadata)] = value
        elif lower == tags:
            found.tags.update(parse_qsl(value, keep_blank_values=True, strict_parsing=True))
        elif lower in options:
            found.options[lower] = value
        else:
            known: list[str] = sorted({*_ATTRIBUTES, f"{metadata}*", *options, *([tags] if tags else [])})
            # The value is not shown, since it may be a key.
            raise ValueError(f"put_headers takes {', '.join(known)}, not {name!r}")
    return found


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


_ATTRIBUTES = {
    name.lower(): name for name in ("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language")
}
