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
from tempfile import TemporaryFile
from typing import NamedTuple

import processes

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
    with TemporaryFile() as errors:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            port, descriptor = listening.getsockname()[1], listening.fileno()
            os.set_inheritable(descriptor, True)
            process = subprocess.Popen(
                [sys.executable, "-m", *(part.format(fd=descriptor) for part in command)],
                pass_fds=[descriptor],
                cwd=cwd,
                env={**os.environ, "IMAGES": str(folder), **environment},
                stderr=errors,
            )
        # From here on only the server holds the socket: if it ends as it starts, who asks it is cut off at once.
        server = Server(port, process.pid, folder)
        try:
            try:
                server.get("/")
            except ConnectionError:
                process.wait()
            else:
                yield server
        finally:
            ended_by_itself = process.poll() is not None
            process.terminate()
            process.wait()
            errors.seek(0)
            said = errors.read().decode()
            assert not ended_by_itself, processes.ended(command[0], said)
            # A request must never make a server log a traceback, unless a test has asked for one.
            assert not re.search("Traceback(?!.*asked for)", said, re.DOTALL), said
