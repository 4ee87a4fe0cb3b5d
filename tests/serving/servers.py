"""Real servers around :mod:`serving.application`, each with a listening socket that is there before it starts."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# These servers believe some headers of proxies on the same machine by themselves; here, none is to be believed.
GUNICORN = ["gunicorn", "--bind=fd://{fd}", "--forwarded-allow-ips=192.0.2.1", "--log-level=error", "application:wsgi"]
COMMANDS = {
    "wsgi": GUNICORN,
    "threads": [*GUNICORN, "--threads=4"],
    "asgi": ["uvicorn", "--fd={fd}", "--no-proxy-headers", "--log-level=error", "application:asgi"],
}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """A server, and a client of its."""

    def __init__(self, port: int, process: int, folder: Path) -> None:
        self.port = port
        self._process = process
        #: The folder that it serves.
        self.folder = folder

    def processes(self) -> list[int]:
        """The server's process, and those that it has started."""
        children = Path(f"/proc/{self._process}/task/{self._process}/children").read_text()
        return [self._process, *map(int, children.split())]

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Send a request as it is written; underscores in the names of headers are hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
            names = [name.lower() for name, _ in response.getheaders()]
            assert len(names) == len(set(names)), names
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        """Send a request that asks to close the connection, and return all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            answer = b""
            try:
                while block := connection.recv(1 << 16):
                    answer += block
            except ConnectionResetError:
                pass  # a server may close while it is still being sent to
            return answer


@contextmanager
def running(
    command: Sequence[str], folder: Path, cwd: Path = Path(__file__).parent, **environment: str
) -> Iterator[Server]:
    """Run a server for a block; it has what is in the folder, and stops by its process id."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        descriptor = listening.fileno()
        os.set_inheritable(descriptor, True)
        arguments = [part.format(fd=descriptor) for part in command]
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            pass_fds=[descriptor],
            cwd=cwd,
            env={**os.environ, "IMAGES": str(folder), **environment},
            stderr=subprocess.PIPE,
        )
        try:
            yield Server(listening.getsockname()[1], process.pid, folder)
        finally:
            process.terminate()
            _, errors = process.communicate()
            # A request must never make a server log a traceback, unless a test has asked for one.
            assert not re.search(rb"Traceback(?!.*asked for)", errors, re.DOTALL), errors.decode()
