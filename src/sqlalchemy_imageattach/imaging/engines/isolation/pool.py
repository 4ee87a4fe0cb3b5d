"""Decoding in a process of its own, so that a decoder that crashes, hangs or swells costs an error and not the server.

SVG, PDF and HEIC are always decoded there: the first two are programs, of which no header tells what they cost, and
the decoders of the third are large.  So is every image that may cost much, see
:mod:`~sqlalchemy_imageattach.imaging.engines.cost`.  :func:`isolate` sends everything there.  A worker takes one job
after another; each has limits on memory (``RLIMIT_DATA``, by the policy's ``max_pixels``), on processor time, and on
time.  What must always be true:

- Nothing that comes out of a worker is executed: the answer is JSON, the image a file that this process made, and
  passed the descriptor of.
- A worker that failed in any way but with a clean answer is killed and not used again; in place of one that died while
  it had nothing to do, another is started.
- Who comes first is served first, and waits for :data:`_PATIENCE` at most.
- Callbacks are called in the process that gave them, with an image that a worker decoded.
- Workers belong to the process that started them: a forked child forgets them, and starts its own.  They end with it,
  at the latest when their socket closes.

Where descriptors cannot be passed between processes (Windows), everything is decoded in the process itself.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import dataclasses
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ....exc import ImageAttachError, InvalidImageError
from ...headers.header import MORE, Header, damaged, too_costly
from ..cost import LARGE_FILE, is_doubtful
from ..job import Job
from .messages import LENGTH, MEGABYTE, READY, packed, receive

__all__ = ("AVAILABLE", "handles", "isolate", "pdf_size", "resize")

AVAILABLE = hasattr(socket, "send_fds")

_ALWAYS = frozenset({"application/pdf", "image/heic", "image/svg+xml"})

# A decoder that hangs uses no processor, and is waited for this much longer; and so long for a place.  In seconds.
_PATIENCE = 10

# Of the seconds that an image may take in all, the part that each task may take of a processor; reading the header in
# this process, and starting a worker, take the rest.
_SHARES = {"pdf_size": 0.2, "resize": 0.6}

# What has leaked in a decoder goes with its process.
_JOBS_OF_A_WORKER = 500

# To import the package on a loaded machine takes a while.
_START_SECONDS = 60

# A worker needs this package and no other of the library: to import SQLAlchemy takes six times as long as the rest.
_LIBRARY = __name__.rsplit(".", 4)[0]
_WORKER = __name__.rpartition(".")[0] + ".worker"
_START = f"""
import importlib, sys, types
folder, descriptor = sys.argv[1:]
sys.modules["{_LIBRARY}"] = library = types.ModuleType("{_LIBRARY}")
library.__path__ = [folder]
importlib.import_module("{_WORKER}").serve(int(descriptor))
"""


_everything = False
_seconds = 3


def isolate(enabled: bool = True, *, seconds: int = 3) -> None:
    """Decide whether all images are decoded in processes of their own; without it, only those that may cost much are.

    It is a setting of the process, to be made when an application starts: workers are started at once, so that the
    first image does not wait for one.  A thumbnail takes a few milliseconds longer.

    :param enabled: whether all are
    :param seconds: how long one image may take, in seconds of processor time, to be attached and decoded; a file of a
        megabyte or more may take four times as long.  It holds for what is decoded in another process in any case
    :raises RuntimeError: if this platform cannot pass files between processes
    :raises ValueError: if ``seconds`` is below 1

    >>> isolate()
    >>> isolate(False)
    """
    global _everything, _seconds
    if seconds < 1:
        raise ValueError(f"seconds must be at least 1, not {seconds!r}")
    if enabled and not AVAILABLE:
        raise RuntimeError(
            "images cannot be decoded in another process on this platform, as it cannot pass open files to it"
        )
    _everything, _seconds = enabled, seconds
    if enabled:
        _pool.warm_up()


def handles(job: Job) -> bool:
    """Tell whether a job is to be done in a worker."""
    return AVAILABLE and (_everything or job.header.isolated or job.header.mimetype in _ALWAYS or is_doubtful(job))


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    with contextlib.ExitStack() as stack:
        result: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
        answer = _run("resize", job, result)
        if result.seek(0, io.SEEK_END) <= MEGABYTE:
            result.seek(0)
            result = io.BytesIO(result.read())
        else:
            stack.pop_all()
    result.seek(0)
    return result, int(answer["width"]), int(answer["height"])


def pdf_size(data: memoryview) -> tuple[float, float]:
    """Tell the size of the first page of a PDF, in points."""
    job = Job(data, Header("application/pdf", 1, 1), 1, 1, "image/png", memory=256 * MEGABYTE)
    with tempfile.TemporaryFile() as result:
        answer = _run("pdf_size", job, result)
    return float(answer["width"]), float(answer["height"])


class _Worker:
    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            environment = dict(
                os.environ,
                VIPS_CONCURRENCY="1",
                MALLOC_ARENA_MAX="2",
                PYTHONPATH=os.pathsep.join(filter(None, sys.path)),
            )
            self.process = subprocess.Popen(  # noqa: S603  (nothing in it comes from outside)
                [sys.executable, "-c", _START, str(Path(__file__).parents[3]), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self.jobs = 0
        self._is_ready = False

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def wait_until_ready(self) -> None:
        if self._is_ready:
            return
        self.socket.settimeout(_START_SECONDS)
        with contextlib.suppress(OSError):
            self._is_ready = self.socket.recv(1) == READY
        if not self._is_ready:
            status = self.stop()
            raise ImageAttachError(
                f"expected {sys.executable!r} to be a Python that can import {_WORKER}, got the status {status}; "
                "images are decoded in a process that is started by it"
            )

    def ask(self, request: dict[str, Any], source: IO[bytes], result: IO[bytes], seconds: float) -> dict[str, Any]:
        self.jobs += 1
        payload = json.dumps(request).encode()
        self.socket.settimeout(seconds)
        socket.send_fds(self.socket, [LENGTH.pack(len(payload))], [source.fileno(), result.fileno()])
        self.socket.sendall(payload)
        answer = json.loads(receive(self.socket, *LENGTH.unpack(receive(self.socket, LENGTH.size))))
        if not isinstance(answer, dict):
            raise ValueError("the answer of a worker is not an object")
        return answer

    def stop(self) -> int:
        self.socket.close()
        self.process.kill()
        return self.process.wait()


class _Pool:
    """The workers of this process, and the places in which they work."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._size = self._free = max(2, os.cpu_count() or 1)
        self._waiting: collections.deque[threading.Event] = collections.deque()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, in the order of those who came.

        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if there is none for too long
        """
        turn = threading.Event()
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                turn.set()
            else:
                self._waiting.append(turn)
        try:
            if not turn.wait(_PATIENCE):
                raise InvalidImageError(
                    f"expected a free place among {self._size} processes that decode costly images, "
                    f"got none within {_PATIENCE} seconds; try again later",
                    reason="busy",
                )
            yield
        finally:
            self._leave(turn)

    def _leave(self, turn: threading.Event) -> None:
        with self._lock:
            if not turn.is_set():
                self._waiting.remove(turn)
            elif self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def warm_up(self) -> None:
        """Start workers for all places, without waiting for them."""
        with self._lock:
            while len(self._idle) < self._free:
                self._idle.append(_Worker())

    def take(self) -> _Worker:
        worker = None
        with self._lock:
            while worker is None and self._idle:
                worker = self._idle.pop()
                if not worker.is_alive():
                    worker.stop()
                    worker = None
        worker = worker or _Worker()
        worker.wait_until_ready()
        return worker

    def give_back(self, worker: _Worker) -> None:
        if worker.jobs >= _JOBS_OF_A_WORKER:
            worker.stop()
            return
        with self._lock:
            self._idle.append(worker)

    def stop(self) -> None:
        while self._idle:
            self._idle.pop().stop()

    def forget(self) -> None:
        """Drop what belongs to the parent of a forked child, without touching the processes."""
        for worker in self._idle:
            worker.socket.close()
            # They are not children of this process, which cannot wait for them.
            worker.process.returncode = 0


_pool = _Pool()


def _after_fork() -> None:
    global _pool
    _pool.forget()
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _pool.stop())


def _run(task: str, job: Job, result: IO[bytes]) -> dict[str, Any]:
    """Have a worker do a task, ``"resize"`` or ``"pdf_size"``.

    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the worker says so, crashes, or reaches a limit
    """
    pool = _pool
    seconds = _SHARES[task] * _seconds * (MORE if len(job.data) >= LARGE_FILE else 1)
    left_here = {"data", "header", "preprocess", "postprocess"}
    fields = {field.name: getattr(job, field.name) for field in dataclasses.fields(job) if field.name not in left_here}
    request = {"task": task, "seconds": seconds, "header": packed(job.header), **fields}
    with pool.place(), tempfile.TemporaryFile() as source:
        source.write(job.data)
        source.flush()
        worker = pool.take()
        try:
            answer = worker.ask(request, source, result, seconds + _PATIENCE)
        except (OSError, EOFError, ValueError) as error:
            raise _failed(job.header, worker.stop(), error, seconds) from None
        except BaseException:
            worker.stop()
            raise
        pool.give_back(worker)
    if "invalid" in answer:
        raise InvalidImageError(str(answer["invalid"]), reason=str(answer["reason"]))
    if "failed" in answer:
        raise OSError(answer.get("errno"), str(answer["failed"]))
    return answer


def _failed(header: Header, status: int, error: Exception, seconds: float) -> InvalidImageError:
    if status in (-signal.SIGPROF, -signal.SIGXCPU) or isinstance(error, TimeoutError):
        return too_costly(f"to decode the {header.mimetype} takes more than {seconds:g} seconds")
    return damaged(f"the decoder gave up on the {header.mimetype}, or needed too much memory; simplify it")
