"""The door from ASGI servers to :mod:`sqlalchemy_imageattach.serving`.

What servers and applications owe each other is in `the specification
<https://asgi.readthedocs.io/en/latest/specs/www.html>`_.  It must always be true that

- files are opened and read in threads, so that a slow disk never holds up the event loop;
- a file is closed when its response has ended, and not while a thread reads it, however the response ends.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import IO, Any

from ..concurrency import in_thread
from ..naming import key_of
from .hosts import Hosts, quote_root, server_host, set_base_url
from .resources import Pending, Source
from .responses import DEFAULT_RULES, REQUEST_HEADERS, Body, Request, Response, Rules, respond

__all__ = ("ASGIApplication", "ImageServer")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# Each framework has types of its own for the three.
ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]

# How many bytes are read at once: a photograph.
_AT_ONCE = 1 << 20

_HEADERS = {name.encode("ascii"): name for name in REQUEST_HEADERS}


class ImageServer:
    """An ASGI application that serves images below one path, and leaves all other requests to another application.

    :param app: the other application; ``None`` to answer all other requests with 404
    :param url_path: the path of the images' URLs
    :param source: where images are found
    :param rules: how images are served
    :param hosts: what to believe about the host of a request, when the other application makes URLs; ``None`` to leave
        the making of URLs to others
    """

    def __init__(
        self,
        app: ASGIApplication | None,
        url_path: str,
        source: Source,
        *,
        rules: Rules = DEFAULT_RULES,
        hosts: Hosts | None = None,
    ) -> None:
        self.app = app
        #: The path of the images' URLs, with a slash at both ends.
        self.url_path = f"/{url_path.strip('/')}/".replace("//", "/")
        self.source = source
        self.rules = rules
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            whole = _path_of(scope)
            path = _path_below_root(whole, scope.get("root_path", "").rstrip("/"))
            if path.startswith(self.url_path) or self.app is None:
                return await self._serve(scope, self._name(whole, path), receive, send)
        elif self.app is None:
            return await _no_more_than_http(kind, receive, send)
        assert self.app is not None
        if self.hosts is None or kind == "lifespan":
            return await self.app(scope, receive, send)
        with set_base_url(_base_url(scope, self.hosts)):
            return await self.app(scope, receive, send)

    def _name(self, whole: str, path: str) -> str:
        """The name of the file that a request asks for, wherever the framework has mounted this application."""
        names = [path[len(self.url_path) :]] if path.startswith(self.url_path) else []
        if self.app is None:
            names += [path[1:], whole[1:]]
        # A mounted application's path may look as if it began with the prefix, if that is an object type as well.
        return next((name for name in names if key_of(name) is not None), names[0])

    async def _serve(self, scope: Scope, name: str, receive: Receive, send: Send) -> None:
        headers: dict[str, str] = {}
        for key, value in scope["headers"]:
            if key in _HEADERS:
                text = value.decode("latin-1")
                # Several lines of one header are one list.
                headers[_HEADERS[key]] = f"{headers[_HEADERS[key]]}, {text}" if _HEADERS[key] in headers else text
        request = Request(scope["method"], name, headers)
        response: Response | None = None

        def answer(**how: Any) -> Response:
            nonlocal response
            response = respond(request, self.source, self.rules, **how)
            return response

        try:
            try:
                await in_thread(answer, wait=False)
            except Pending as pending:
                # Without a thread, so that those who wait leave the others to those who need not.
                await asyncio.wait([asyncio.wrap_future(pending.future)], timeout=pending.patience)
                await in_thread(answer, waited_for=pending)
            assert response is not None
            await _send_response(response, scope, receive, send)
        finally:
            # The client may have gone while the file was opened.
            if response is not None and isinstance(response.body, Body):
                response.body.file.close()


async def _send_response(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    await send(_start(response))
    if response.path is not None and "http.response.pathsend" in (scope.get("extensions") or {}):
        await send({"type": "http.response.pathsend", "path": response.path})
    elif isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
    else:
        await _send_body(response.body, receive, send)


async def _send_body(body: Body, receive: Receive, send: Send) -> None:
    left = body.length
    block = await _read(body.file, left)
    if len(block) == left:
        return await send({"type": "http.response.body", "body": block})
    # A client that is gone would otherwise cost as much as one that stays.
    gone = asyncio.create_task(_disconnect(receive))
    try:
        while not gone.done():
            if left is not None:
                left -= len(block)
            more = bool(block) and left != 0
            await send({"type": "http.response.body", "body": block, "more_body": more})
            if not more:
                break
            block = await _read(body.file, left)
    finally:
        gone.cancel()


async def _read(file: IO[bytes], left: int | None) -> bytes:
    size = _AT_ONCE if left is None else min(_AT_ONCE, left)
    if size == 0:
        return b""
    return _read_from_memory(file, size) or await in_thread(file.read, size)


def _read_from_memory(file: IO[bytes], size: int) -> bytes:
    """Read what the system has in memory, which costs a tenth of a thread that may wait for the disk.

    :param file: a file
    :param size: bytes, at most :data:`_AT_ONCE`
    :returns: what is there of the next bytes; nothing where the system cannot tell without waiting
    """
    if not isinstance(file, io.FileIO) or not hasattr(os, "RWF_NOWAIT"):
        return b""
    view: memoryview | None = getattr(_buffers, "view", None)
    if view is None:
        view = _buffers.view = memoryview(bytearray(_AT_ONCE))
    try:
        position = file.tell()
        count = os.preadv(file.fileno(), [view[:size]], position, os.RWF_NOWAIT)
        file.seek(position + count)
    except OSError:  # the next bytes are on the disk; or this file system cannot tell
        return b""
    return bytes(view[:count])


# One for each thread that has a loop; new memory for each request would cost more than to fill it.
_buffers = threading.local()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _no_more_than_http(kind: str, receive: Receive, send: Send) -> None:
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
    elif kind == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _path_of(scope: Scope) -> str:
    path: str = scope["path"]
    # Litestar appends a slash to the paths of what it mounts.
    raw = scope.get("raw_path")
    return path if not raw or raw.endswith(b"/") else path.removesuffix("/")


def _path_below_root(path: str, root: str) -> str:
    """The path below the one that this application is mounted at.

    The specification has ``root_path`` at the beginning of ``path``.  Some servers and frameworks leave it out there,
    or a part of it: what a proxy has taken off.
    """
    while root and not f"{path}/".startswith(f"{root}/"):
        root = root[slash:] if (slash := root.find("/", 1)) != -1 else ""
    return path[len(root) :] or "/"


def _start(response: Response) -> Message:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers]
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def _base_url(scope: Scope, hosts: Hosts) -> str:
    scheme: str = scope.get("scheme", "http")
    # A page that opened a web socket is one of the same host.
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    headers: dict[bytes, list[bytes]] = {}
    for key, value in scope["headers"]:
        headers.setdefault(key, []).append(value)

    def header(name: str) -> str | None:
        values = headers.get(name.encode("ascii"))
        return None if values is None else b",".join(values).decode("latin-1")

    host = header("host")
    if host is None and scope.get("server"):
        host = server_host(scheme, *scope["server"])
    return hosts.base_url(scheme, host, quote_root(scope.get("root_path", "")), header)
