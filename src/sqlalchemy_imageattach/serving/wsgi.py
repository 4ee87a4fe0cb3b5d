"""The door from WSGI servers (:pep:`3333`) to :mod:`sqlalchemy_imageattach.serving`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .hosts import Hosts, quote_root, server_host, set_base_url
from .resources import Folder, Source
from .responses import DEFAULT_RULES, REASONS, REQUEST_HEADERS, SMALL, Body, Request, Rules, respond

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ("ServerMiddleware", "StaticServerMiddleware")

_ENVIRON_KEYS = {f"HTTP_{name.upper().replace('-', '_')}": name for name in REQUEST_HEADERS}
_STATUS_LINES = {status: f"{status} {reason}" for status, reason in REASONS.items()}


class ServerMiddleware:
    """A WSGI application that serves images below one path, and leaves all other requests to another application.

    :param app: the other application
    :param url_path: the path of the images' URLs
    :param source: where images are found
    :param block_size: how many bytes of a large file to read at once
    :param rules: how images are served
    :param hosts: what to believe about the host of a request, when the other application makes URLs; ``None`` to leave
        the making of URLs to others
    :raises ValueError: when ``block_size`` is less than 1
    """

    def __init__(
        self,
        app: WSGIApplication,
        url_path: str,
        source: Source,
        block_size: int = SMALL,
        *,
        rules: Rules = DEFAULT_RULES,
        hosts: Hosts | None = None,
    ) -> None:
        self.app = app
        #: The path of the images' URLs, with a slash at both ends.
        self.url_path = f"/{url_path.strip('/')}/".replace("//", "/")
        self.source = source
        self.block_size = int(block_size)
        if self.block_size < 1:
            raise ValueError(f"block_size must be a number of bytes, 1 or more, not {block_size!r}")
        self.rules = rules
        self.hosts = hosts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(self.url_path):
            return self._pass_on(environ, start_response)
        name = path[len(self.url_path) :]
        if not name.isascii():
            # A WSGI server decodes bytes as if they were Latin-1. What is no UTF-8 then is the name of no file.
            name = name.encode("latin-1", "replace").decode("utf-8", "replace")
        headers: dict[str, str] = {}
        # Most requests have none of them.
        if not environ.keys().isdisjoint(_ENVIRON_KEYS):
            headers = {name: environ[key] for key, name in _ENVIRON_KEYS.items() if key in environ}
        request = Request(environ["REQUEST_METHOD"], name, headers)
        # What would take several blocks is left to the server, which may have the system send it.
        response = respond(request, self.source, self.rules, min(self.block_size, SMALL))
        start_response(_STATUS_LINES[response.status], response.headers)
        body = response.body
        file_wrapper: Callable[..., Iterable[bytes]] | None = environ.get("wsgi.file_wrapper")
        if file_wrapper is not None and response.path is not None:
            return file_wrapper(io.BytesIO(body) if isinstance(body, bytes) else body.file, self.block_size)
        if isinstance(body, bytes):
            return [body] if body else []
        return _Blocks(body, self.block_size)

    def _pass_on(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self.hosts is None:
            return self.app(environ, start_response)
        with ExitStack() as stack:
            stack.enter_context(set_base_url(_base_url(environ, self.hosts)))
            result = self.app(environ, start_response)
            if isinstance(result, (list, tuple, *_file_wrapper_types(environ))):
                return result
            # A template may be rendered while its parts are sent.
            return _Closing(result, stack.pop_all())


class StaticServerMiddleware(ServerMiddleware):
    """A WSGI application that serves the files of a folder, and leaves all other requests to another application.

    :param app: the other application
    :param url_path: the path of the files' URLs
    :param dir_path: the folder
    :param block_size: how many bytes of a large file to read at once
    :param cors: whether pages of other origins may read the files: true for any origin, or a list of them
    :param rules: how files are served
    :param hosts: what to believe about the host of a request, when the other application makes URLs; ``None`` to leave
        the making of URLs to others
    :raises ValueError: when ``block_size`` is less than 1

    >>> from wsgiref.simple_server import demo_app
    >>> StaticServerMiddleware(demo_app, '/static/', 'userimages').url_path
    '/static/'
    """

    def __init__(
        self,
        app: WSGIApplication,
        url_path: str,
        dir_path: str | os.PathLike[str],
        block_size: int = 8192,
        cors: bool | Collection[str] = False,
        *,
        rules: Rules = DEFAULT_RULES,
        hosts: Hosts | None = None,
    ) -> None:
        rules = replace(rules, cors=cors) if cors else rules
        super().__init__(app, url_path, Folder(dir_path), block_size, rules=rules, hosts=hosts)
        #: The folder.
        self.dir_path = os.fspath(dir_path)


def _base_url(environ: WSGIEnvironment, hosts: Hosts) -> str:
    scheme: str = environ["wsgi.url_scheme"]
    host = environ.get("HTTP_HOST") or server_host(scheme, environ["SERVER_NAME"], environ["SERVER_PORT"])
    root = quote_root(environ.get("SCRIPT_NAME", "").encode("latin-1", "replace"))
    return hosts.base_url(scheme, host, root, lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}"))


def _file_wrapper_types(environ: WSGIEnvironment) -> tuple[type[Any], ...]:
    # A server sends the file itself, if what it gets is its own wrapper.
    wrapper = environ.get("wsgi.file_wrapper")
    return (wrapper,) if isinstance(wrapper, type) else ()


class _Blocks:
    """The bytes of a body, a block at a time."""

    def __init__(self, body: Body, block_size: int) -> None:
        self._file = body.file
        self._left = body.length
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        size = self._block_size if self._left is None else min(self._block_size, self._left)
        block = self._file.read(size) if size else b""
        if not block:
            raise StopIteration
        if self._left is not None:
            self._left -= len(block)
        return block

    def close(self) -> None:
        self._file.close()


class _Closing:
    """What an application has returned, with something more to do when it is closed."""

    def __init__(self, result: Iterable[bytes], stack: ExitStack) -> None:
        self._result = result
        self._stack = stack

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._result)

    def close(self) -> None:
        with self._stack:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
