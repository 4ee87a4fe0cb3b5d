"""Images over HTTP: a request in, a response out, and no server, socket or event loop.

:func:`respond` is the whole of it.  It opens files by a :class:`~.resources.Source`: a :class:`~.resources.Folder`, or
what is :class:`~.resources.Stored` anywhere.  The doors to WSGI and ASGI servers are :mod:`.wsgi` and :mod:`.asgi`.
Any stranger may have uploaded what is served, so it must always be true that

- no file can run in the application's origin, whatever is in it: each is sent sandboxed, and as the type of its name;
- a name with a revision means the same bytes for ever, and only such a name may be cached for ever;
- whatever a request says, the response is one of those of :rfc:`9110`, and no exception.
"""

from __future__ import annotations

import io
import logging
import mimetypes
import os
from collections.abc import Collection, Mapping
from concurrent import futures
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import IO, Final, NamedTuple, cast
from urllib.parse import quote

from ..naming import mimetype_of
from .conditions import conditional_status, requested_range
from .resources import Found, NotServed, Pending, Source, etag_of

__all__ = ("DEFAULT_RULES", "REASONS", "REQUEST_HEADERS", "SMALL", "Body", "Request", "Response", "Rules", "respond")

_log = logging.getLogger("sqlalchemy_imageattach.serving")

#: The headers of a request, in lower case, that :func:`respond` looks at.
REQUEST_HEADERS: Final = (
    "access-control-request-method",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "range",
)

#: A file up to this size, in bytes, is read at once by default: it costs less than to go on reading.
SMALL: Final = 1 << 16

Headers = list[tuple[str, str]]


class Request(NamedTuple):
    """As much of a request as matters."""

    #: The method, in upper case.
    method: str
    #: The path below the one that is served, unquoted, no slash at its beginning.
    path: str
    #: Those of :data:`REQUEST_HEADERS` that it has.
    headers: Mapping[str, str]


class Body(NamedTuple):
    """A body that is read while it is sent."""

    #: At the first byte to send; the sender closes it.
    file: IO[bytes]
    #: How many bytes to send; ``None`` for all that are left.
    length: int | None


class Response(NamedTuple):
    """A response: a status, the headers and a body."""

    status: int
    headers: Headers
    body: bytes | Body
    #: Where the file is, if the body is all of one in a folder.
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How images are served.

    :param cors: whether pages of other origins may read the images: true for any origin, or a list such as
        ``['https://example.com']``; see `CORS`__
    :param download: whether browsers save an image that is opened by itself, instead of showing it
    :param accel_redirect: the URL path of an internal location of nginx, such as ``'/protected/'``: nginx sends files
    :param x_sendfile: whether the server in front sends files that ``X-Sendfile`` names
    :param redirect: whether requests are redirected to the store's own URLs, instead of sending what the store holds
    :raises TypeError: when ``cors`` is a text

    __ https://fetch.spec.whatwg.org/#http-cors-protocol
    """

    cors: bool | Collection[str] = False
    download: bool = False
    accel_redirect: str | None = None
    x_sendfile: bool = False
    redirect: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.cors, str):
            raise TypeError(f"cors must be True, False or a list of origins, not the text {self.cors!r}")


#: Everything as browsers want it, for pages of the application's own origin.
DEFAULT_RULES: Final = Rules()


def respond(
    request: Request,
    source: Source,
    rules: Rules = DEFAULT_RULES,
    small: int = SMALL,
    *,
    wait: bool = True,
    waited_for: Pending | None = None,
) -> Response:
    """Answer a request for an image.

    :param request: the request
    :param source: where files are found
    :param rules: how they are served
    :param small: up to how many bytes a file of a folder is read at once, and given as bytes
    :param wait: whether to wait here for a file that is being made
    :param waited_for: the file that was waited for already, and is there, or never will be
    :returns: the response; who gets it has to close the file of its body
    :raises Pending: when ``wait`` is false, and the file is being made

    >>> import io
    >>> from sqlalchemy_imageattach.serving import Stored
    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> store = MemoryStore()
    >>> store.put_file(io.BytesIO(b"bytes"), "user", 1, 640, 480, "image/png", False)
    >>> response = respond(Request("HEAD", "user/1/0/1.640x480.png", {}), Stored(store))
    >>> response.status, dict(response.headers)["Content-Type"]
    (200, 'image/png')
    """
    if request.method not in {"GET", "HEAD"}:
        return _other_method(request, rules)
    name = request.path
    try:
        if rules.redirect and (url := source.url(name)) is not None:
            return _plain(302, request, rules, [("Location", url), ("Cache-Control", "no-store")])
        if waited_for is not None:
            if not waited_for.future.done():
                return _busy(request, rules)
            waited_for.future.result()
        found = source.find(name)
    except Pending as pending:
        if waited_for is not None:
            return _busy(request, rules)
        if not wait:
            raise
        futures.wait([pending.future], pending.patience)
        return respond(request, source, rules, small, waited_for=pending)
    except NotServed as error:
        return _plain(error.status, request, rules, error.headers)
    except OSError:
        _log.exception("%r cannot be opened", name)
        return _plain(503, request, rules, [("Retry-After", "5")])
    if found is None:
        return _plain(404, request, rules)
    try:
        return _found(request, found, rules, small)
    except BaseException:
        found.close()
        raise


def _busy(request: Request, rules: Rules) -> Response:
    return _plain(503, request, rules, [("Retry-After", "2"), ("Cache-Control", "no-store")])


def _found(request: Request, found: Found, rules: Rules, small: int) -> Response:
    file, size, modified, etag, path, name = found
    extra: Headers = []
    if rules.download:
        extra.append(("Content-Disposition", "attachment"))
    if rules.cors:
        extra += _cors_headers(request, rules)
    if path is not None and (rules.accel_redirect is not None or rules.x_sendfile):
        # The server in front sets validators of its own, and answers ranges.
        if rules.accel_redirect is not None:
            extra.append(("X-Accel-Redirect", f"{rules.accel_redirect.rstrip('/')}/{quote(name)}"))
        else:
            extra.append(("X-Sendfile", path))
        found.close()
        extra.append(("Content-Length", "0"))
        return Response(200, [*_headers_of(request.path, None, None, None), *extra], b"")
    if request.headers:
        status = conditional_status(request.headers, etag, modified)
        if status == 412:
            found.close()
            return _plain(412, request, rules)
        if status == 304:
            found.close()
            same = [each for each in _headers_of(request.path, etag, modified, None) if each[0] != "Content-Type"]
            return Response(304, [*same, *extra], b"")
        if size is not None and request.method == "GET":
            part = requested_range(request.headers, etag, modified, size)
            if part is not None:
                start, stop = part
                if start >= size:
                    found.close()
                    return _plain(416, request, rules, [("Content-Range", f"bytes */{size}")])
                extra.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
                headers = [*_headers_of(request.path, etag, modified, stop - start), *extra]
                stream = _stream(file)
                stream.seek(start)
                return Response(206, headers, Body(stream, stop - start))
    if request.method == "HEAD":
        found.close()
        return Response(200, [*_headers_of(request.path, etag, modified, size), *extra], b"")
    if isinstance(file, int) and size is not None and size <= small:
        content = os.read(file, size)
        os.close(file)
        return Response(200, [*_headers_of(request.path, etag, modified, len(content)), *extra], content, path)
    return Response(200, [*_headers_of(request.path, etag, modified, size), *extra], Body(_stream(file), size), path)


def _stream(file: int | IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", io.FileIO(file)) if isinstance(file, int) else file


def _other_method(request: Request, rules: Rules) -> Response:
    if request.method != "OPTIONS" or not rules.cors:
        return _plain(405, request, rules, [("Allow", "GET, HEAD")])
    headers = [("Allow", "GET, HEAD, OPTIONS"), *_cors_headers(request, rules)]
    if "access-control-request-method" in request.headers:
        headers += [
            ("Access-Control-Allow-Methods", "GET, HEAD"),
            ("Access-Control-Allow-Headers", "If-Match, If-Modified-Since, If-None-Match, If-Range, Range"),
            ("Access-Control-Max-Age", "86400"),
        ]
    return Response(204, headers, b"")


def _plain(status: int, request: Request, rules: Rules, headers: Headers | None = None) -> Response:
    content = f"{REASONS[status]}\n".encode()
    all_headers = [
        *(headers or []),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(content))),
        *_SAFETY,
        *_cors_headers(request, rules),
    ]
    return Response(status, all_headers, b"" if request.method == "HEAD" else content)


def _cors_headers(request: Request, rules: Rules) -> Headers:
    if not rules.cors:
        return []
    expose = ("Access-Control-Expose-Headers", "Accept-Ranges, Content-Length, Content-Range, ETag")
    if rules.cors is True:
        return [("Access-Control-Allow-Origin", "*"), expose]
    # A cache must not give the response for one origin to another.
    vary = ("Vary", "Origin")
    origin = request.headers.get("origin")
    return [vary, ("Access-Control-Allow-Origin", origin), expose] if origin and origin in rules.cors else [vary]


@lru_cache(maxsize=4096)
def _headers_of(name: str, etag: str | None, modified: int | None, length: int | None) -> tuple[tuple[str, str], ...]:
    """The headers of a file, as far as no rule and no request has a say."""
    mimetype = mimetype_of(name) or _OTHER_TYPES.guess_type(name)[0] or "application/octet-stream"
    caching = "public, max-age=60" if etag_of(name) is None else "public, max-age=31536000, immutable"
    headers = [("Content-Type", mimetype), ("Cache-Control", caching), *_SAFETY]
    if etag is not None:
        headers.append(("ETag", etag))
    if modified is not None:
        headers.append(("Last-Modified", formatdate(modified, usegmt=True)))
    if length is not None:
        headers += [("Accept-Ranges", "bytes"), ("Content-Length", str(length))]
    return tuple(headers)


REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    302: "Found",
    304: "Not Modified",
    404: "Not Found",
    405: "Method Not Allowed",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    503: "Service Unavailable",
}

# A document may style itself and show what is within it, for this is what SVG needs, and nothing else: no script, no
# form, no request, and an origin of its own.
_SAFETY: Final = (
    ("Content-Security-Policy", "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
)

# Python's own table, without those of the machine.
_OTHER_TYPES = mimetypes.MimeTypes()
