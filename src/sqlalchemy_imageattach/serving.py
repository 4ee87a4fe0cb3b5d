"""Images over HTTP: a request in, a response out, and no server, socket or event loop.

:func:`respond` is the whole of it.  A *source* finds the file that a path names: :class:`Folder` in a folder,
:class:`Stored` in any store.  The doors to WSGI and ASGI servers are :mod:`sqlalchemy_imageattach.wsgi` and
:mod:`sqlalchemy_imageattach.asgi`.  What is served may have been uploaded by anybody, so it must always be true that

- no byte comes from outside the source: :func:`~sqlalchemy_imageattach.stores.naming.path_of` alone makes paths of
  names, and where an opened file really is is looked at again, so that symbolic links lead nowhere else;
- no file can run in the application's origin, whatever is in it: each is sent sandboxed, and as the type of its name;
- a name with a revision means the same bytes for ever, and only such a name may be cached for ever;
- whatever a request says, the response is one of those of :rfc:`9110`, and no exception.
"""

from __future__ import annotations

import errno
import io
import logging
import mimetypes
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import IO, Final, NamedTuple, Protocol, cast
from urllib.parse import quote

from .conditions import conditional_status, requested_range
from .exc import StoreError
from .store import FileKey, Store, takes_revision
from .stores.naming import key_of, mimetype_of, names_of, path_of, revision_of

__all__ = ("Body", "Folder", "Found", "Request", "Response", "Rules", "Source", "Stored", "respond")

_log = logging.getLogger(__name__)

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

#: A whole file up to this size, in bytes, is read at once: it costs less than handing it on.
SMALL = 1 << 16

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

    #: At the first byte to send; whoever sends it closes it.
    file: IO[bytes]
    #: How many bytes to send; ``None`` for all that are left.
    length: int | None
    #: Where the file is, if all of it is to be sent and it is in a folder.
    path: str | None


class Response(NamedTuple):
    """A response: a status, the headers and a body."""

    status: int
    headers: Headers
    body: bytes | Body


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


class Found(NamedTuple):
    """A file that a source has found, and opened."""

    #: A descriptor, or a file object where there is none.
    file: int | IO[bytes]
    #: Bytes; ``None`` when it is not known.
    size: int | None
    #: When it was written, in seconds since the epoch; ``None`` when it is not known.
    modified: int | None
    #: Its strong validator, quoted; ``None`` when there is none.
    etag: str | None
    #: Where it is; ``None`` when it is in no folder.
    path: str | None


class Source(Protocol):
    """Where files are found."""

    def find(self, name: str) -> Found | None:
        """Open a file.

        :param name: a relative path with slashes; from anybody
        :returns: the file, or ``None`` when there is none of this name
        """

    def url(self, name: str) -> str | None:
        """Make the URL that a file has by itself.

        :param name: a relative path with slashes; from anybody
        :returns: the URL, or ``None``
        """


class Folder:
    """The files of a folder.

    :param path: the folder; it need not be there yet
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path).rstrip("/")  # noqa: PTH100  # Path.resolve() would follow links once for all
        self._real = ""

    def find(self, name: str) -> Found | None:
        found = self._find(name)
        if found is None and (key := key_of(name)) is not None:
            # As a store in this folder finds it.
            found = next(filter(None, map(self._find, names_of(key)[1:])), None)
        return found

    def _find(self, name: str) -> Found | None:
        path = path_of(self._path, name)
        if path is None:
            return None
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        except ValueError:  # a name that cannot be that of a file
            return None
        try:
            status = os.fstat(descriptor)
            if not (stat.S_ISREG(status.st_mode) and self._holds(descriptor, path)):
                os.close(descriptor)
                return None
        except BaseException:
            os.close(descriptor)
            raise
        etag = _about(name).etag or f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        return Found(descriptor, status.st_size, int(status.st_mtime), etag, path)

    def url(self, name: str) -> str | None:
        return None

    def _holds(self, descriptor: int, path: str) -> bool:
        try:
            real = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        except OSError:
            real = os.path.realpath(path)
        if self._real and real.startswith(self._real):
            return True
        # The folder itself may be a link, and may be turned to another folder at any time.
        self._real = os.path.join(os.path.realpath(self._path), "")  # noqa: PTH118
        return real.startswith(self._real)


class Stored:
    """The files of a store, by the names that :func:`~sqlalchemy_imageattach.stores.naming.name_of` makes.

    :param store: any store
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, name: str) -> Found | None:
        key = self._key(name)
        if key is None:
            return None
        try:
            file = self._store.get_key(key)
        except StoreError:
            raise
        except (OSError, ValueError):
            return None
        return Found(file, _size(file), None, _about(name).etag, None)

    def url(self, name: str) -> str | None:
        key = self._key(name)
        return None if key is None else self._store.url_of_key(key)

    def _key(self, name: str) -> FileKey | None:
        key = key_of(name)
        # A store without revisions would give another file for one.
        return key if key is None or key.revision is None or takes_revision(self._store) else None


def respond(request: Request, source: Source, rules: Rules = DEFAULT_RULES) -> Response:
    """Answer a request for an image.

    :param request: the request
    :param source: where files are found
    :param rules: how they are served
    :returns: the response; who gets it has to close the file of its body

    >>> import io
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
        found = source.find(name)
    except StoreError:
        _log.exception("the store could not give %r", name)
        return _plain(503, request, rules, [("Retry-After", "5")])
    if found is None:
        return _plain(404, request, rules)
    try:
        return _found(request, found, rules)
    except BaseException:
        _close(found)
        raise


def _found(request: Request, found: Found, rules: Rules) -> Response:
    file, size, modified, etag, path = found
    headers = [*_about(request.path).headers]
    if rules.download:
        headers.append(("Content-Disposition", "attachment"))
    if rules.cors:
        headers += _cors_headers(request, rules)
    if path is not None and (rules.accel_redirect is not None or rules.x_sendfile):
        # The server in front sets validators of its own, and answers ranges.
        if rules.accel_redirect is not None:
            headers.append(("X-Accel-Redirect", f"{rules.accel_redirect.rstrip('/')}/{quote(request.path)}"))
        else:
            headers.append(("X-Sendfile", path))
        headers.append(("Content-Length", "0"))
        _close(found)
        return Response(200, headers, b"")
    if etag is not None:
        headers.append(("ETag", etag))
    if modified is not None:
        headers.append(("Last-Modified", _http_date(modified)))
    start, stop = 0, size
    status = 200
    if request.headers:
        status = conditional_status(request.headers, etag, modified)
        if status != 200:
            _close(found)
            if status == 304:
                return Response(304, [header for header in headers if header[0] != "Content-Type"], b"")
            return _plain(412, request, rules)
        if size is not None and request.method == "GET":
            part = requested_range(request.headers, etag, modified, size)
            if part is not None:
                start, stop = part
                if start >= size:
                    _close(found)
                    return _plain(416, request, rules, [("Content-Range", f"bytes */{size}")])
                status = 206
                headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
    if stop is not None:
        headers.append(("Accept-Ranges", "bytes"))
        length = stop - start
        if status == 200 and length <= SMALL and request.method == "GET" and isinstance(file, int):
            content = os.read(file, length)
            os.close(file)
            headers.append(("Content-Length", str(len(content))))
            return Response(200, headers, content)
        headers.append(("Content-Length", str(length)))
    if request.method == "HEAD":
        _close(found)
        return Response(status, headers, b"")
    stream = cast("IO[bytes]", io.FileIO(file)) if isinstance(file, int) else file
    if start:
        stream.seek(start)
    return Response(
        status, headers, Body(stream, None if stop is None else stop - start, path if status == 200 else None)
    )


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


class _About(NamedTuple):
    """What a name tells about its file."""

    #: The validator, if the name has a revision.
    etag: str | None
    #: The headers that are the same in every response.
    headers: tuple[tuple[str, str], ...]


@lru_cache(maxsize=4096)
def _about(name: str) -> _About:
    revision = revision_of(name)
    mimetype = mimetype_of(name) or _OTHER_TYPES.guess_type(name)[0] or "application/octet-stream"
    caching = "public, max-age=60" if revision is None else "public, max-age=31536000, immutable"
    return _About(
        None if revision is None else f'"{revision}"',
        (("Content-Type", mimetype), ("Cache-Control", caching), *_SAFETY),
    )


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _size(file: IO[bytes]) -> int | None:
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return None
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _close(found: Found) -> None:
    if isinstance(found.file, int):
        os.close(found.file)
    elif callable(close := getattr(found.file, "close", None)):
        close()


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

# Without blocking: opening a named pipe would wait for a writer.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_NOT_THERE = {
    errno.EACCES,
    errno.EISDIR,
    errno.EILSEQ,
    errno.EINVAL,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,  # a socket
    errno.EPERM,
}
