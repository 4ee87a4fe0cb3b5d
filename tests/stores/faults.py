"""A proxy on loopback that passes HTTP requests on to a real server, and does to some what networks and servers do."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import BinaryIO, Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str] = field(hash=False)
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: str
    headers: dict[str, str]
    body: bytes

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in self.headers.items()), "", ""]
        return "\r\n".join(lines).encode()


#: Gets the request and a function that asks the real server; returns what to send back, as it goes over the wire, or
#: raises :exc:`Cut` to send no more.
Fault = Callable[[Request, Callable[[], Answer]], bytes]


class Cut(Exception):
    """The connection ends here.

    :param sent: what is sent before
    :param is_reset: whether it ends by a reset, as when a server is killed, and not in order
    """

    def __init__(self, sent: bytes = b"", is_reset: bool = False) -> None:
        self.sent = sent
        self.is_reset = is_reset


def passed_on(request: Request, ask: Callable[[], Answer]) -> bytes:
    answer = ask()
    return answer.head() + answer.body


def answered(status: str, body: bytes = b"", **headers: str) -> Fault:
    """The server is not asked at all."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Answer(status, {"Content-Type": "application/xml", **names, "Content-Length": str(len(body))}, body)
    return lambda request, ask: answer.head() + (b"" if request.method == "HEAD" else body)


def refused(status: str, code: str, message: str) -> Fault:
    """What a server of S3's protocol says when it does not do something."""
    return answered(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


def lost(request: Request, ask: Callable[[], Answer]) -> bytes:
    """The server did what was asked, and nobody will know."""
    ask()
    raise Cut


def reset(request: Request, ask: Callable[[], Answer]) -> bytes:
    """The same, and the connection is reset."""
    ask()
    raise Cut(is_reset=True)


def failed_after(request: Request, ask: Callable[[], Answer]) -> bytes:
    """The server did what was asked, and says that it did not."""
    ask()
    return answered("500 Internal Server Error")(request, ask)


def cut_in_the_middle(request: Request, ask: Callable[[], Answer]) -> bytes:
    answer = ask()
    raise Cut(answer.head() + answer.body[: len(answer.body) // 2])


class FaultyServer(socketserver.ThreadingTCPServer):
    """The proxy.

    :param target: the URL of the real server
    :ivar fault: what happens to each request; passed on by default
    :ivar requests: every request that came
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target)
        self.fault: Fault = passed_on
        self.requests: list[Request] = []
        self._end = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self.target.path}"

    def first(self, *faults: Fault) -> None:
        """Has these happen to the next requests, one each, and nothing to those that follow."""
        left = list(faults)
        self.fault = lambda request, ask: (left.pop(0) if left else passed_on)(request, ask)

    def hang(self, request: Request, ask: Callable[[], Answer]) -> bytes:
        """Never answers, as long as the server runs."""
        self._end.wait()
        raise Cut

    def ask(self, request: Request) -> Answer:
        assert self.target.hostname
        connection = HTTPConnection(self.target.hostname, self.target.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(request.method, request.path, request.body, request.headers)
            response = connection.getresponse()
            body = response.read()
        headers = {name: value for name, value in response.getheaders() if name.lower() != "transfer-encoding"}
        headers.setdefault("Content-Length", str(len(body)))
        return Answer(f"{response.status} {response.reason}", headers, body)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none of the test's business."""


class _Handler(socketserver.StreamRequestHandler):
    server: FaultyServer

    def handle(self) -> None:
        while (request := _read(self.rfile)) is not None:
            self.server.requests.append(request)
            try:
                answer = self.server.fault(request, lambda request=request: self.server.ask(request))  # type: ignore[misc]
            except Cut as cut:
                self.wfile.write(cut.sent)
                if cut.is_reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    for each in (self.rfile, self.wfile, self.connection):
                        each.close()
                return
            self.wfile.write(answer)


def _read(file: BinaryIO) -> Request | None:
    line = file.readline().decode().split()
    if len(line) != 3:
        return None
    headers = {}
    while (header := file.readline().decode().strip()) != "":
        name, _, value = header.partition(": ")
        headers[name.lower()] = value
    return Request(line[0], line[1], headers, file.read(int(headers.get("content-length", 0))))
