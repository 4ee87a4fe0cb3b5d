"""The conditions and ranges of a request, by :rfc:`9110`.

Werkzeug reads the headers; what follows from them is decided here, in the order that `section 13.2.2`__ demands.  A
header that cannot be read counts as one that is not there, and never as an error.

__ https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from werkzeug.http import parse_date, parse_etags, parse_range_header

__all__ = ("conditional_status", "requested_range")

# RFC 9110, section 14.1.2: well-formed, and yet it cannot be had; Werkzeug takes it for a mistake.
_LAST_NOTHING = re.compile(r"\s*bytes\s*=\s*-0+\s*", re.ASCII | re.IGNORECASE)


class ByteRange(NamedTuple):
    """A part of a file, in bytes; with ``start`` at the end of the file or past it, one that cannot be had."""

    start: int
    #: The first byte after it.
    stop: int


def conditional_status(headers: Mapping[str, str], etag: str | None, modified: int | None) -> int:
    """Decide what the conditions of a GET or HEAD request come to.

    :param headers: the request's headers by their names in lower case
    :param etag: the strong validator of the file, quoted, if it has one
    :param modified: when the file was written, in seconds since the epoch, if it is known
    :returns: 200, 304 (not modified) or 412 (a condition does not hold)

    >>> conditional_status({"if-none-match": '"a", W/"b"'}, '"b"', None)
    304
    """
    if_match = headers.get("if-match")
    if if_match is not None:
        tags = parse_etags(if_match)
        if not (tags.star_tag or (etag is not None and tags.is_strong(etag[1:-1]))):
            return 412
    else:
        since = _seconds(headers.get("if-unmodified-since"))
        if since is not None and modified is not None and modified > since:
            return 412
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        tags = parse_etags(if_none_match)
        return 304 if tags.star_tag or (etag is not None and tags.contains_weak(etag[1:-1])) else 200
    since = _seconds(headers.get("if-modified-since"))
    return 304 if since is not None and modified is not None and modified <= since else 200


def requested_range(headers: Mapping[str, str], etag: str | None, modified: int | None, size: int) -> ByteRange | None:
    """Find the part of a file that a GET request asks for.

    :param headers: the request's headers by their names in lower case
    :param etag: the strong validator of the file, quoted, if it has one
    :param modified: when the file was written, in seconds since the epoch, if it is known
    :param size: the size of the file, in bytes
    :returns: the range, or ``None`` for the whole file: no range, several, or one of another state of the file

    >>> requested_range({"range": "bytes=-2"}, None, None, 10)
    ByteRange(start=8, stop=10)
    """
    text = headers.get("range")
    if text is None or size == 0:
        return None
    if_range = headers.get("if-range")
    if if_range is not None and not _is_current(if_range.strip(), etag, modified):
        return None
    if _LAST_NOTHING.fullmatch(text):
        return ByteRange(size, size)
    asked = parse_range_header(text)
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    start, stop = asked.ranges[0]
    if start < 0:
        return ByteRange(max(size + start, 0), size)
    return ByteRange(start, size if stop is None else min(stop, size))


def _is_current(if_range: str, etag: str | None, modified: int | None) -> bool:
    # Only a strong validator will do, and a date only if it is exactly that of the file.
    if if_range.startswith('"'):
        return if_range == etag
    seconds = _seconds(if_range)
    return seconds is not None and seconds == modified


def _seconds(date: str | None) -> float | None:
    try:
        parsed = parse_date(date)
        return None if parsed is None else parsed.timestamp()
    except OverflowError:  # a year or an hour of many digits
        return None
