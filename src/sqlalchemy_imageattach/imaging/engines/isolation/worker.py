"""The process that decodes for another one; :mod:`.pool` starts it.

It does one job after another, each within limits on memory and on processor time, until its socket closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import IO, Any

from ....exc import InvalidImageError
from ...headers.header import too_costly
from ...source import opened
from ..choice import load_engines, resize_here
from ..job import Job
from .messages import LENGTH, READY, receive, unpacked


def serve(descriptor: int) -> None:
    """Do jobs until the process that started this one closes its end."""
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(EOFError):
        load_engines()
        connection.sendall(READY)
        # A stranger's image decides what decoders print.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        while True:
            length, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, 2)
            if len(length) < LENGTH.size:
                return
            request = json.loads(receive(connection, *LENGTH.unpack(length)))
            with os.fdopen(descriptors[0], "rb") as source, os.fdopen(descriptors[1], "wb") as result:
                answer = json.dumps(_answered(request, source, result)).encode()
            connection.sendall(LENGTH.pack(len(answer)) + answer)


# What decoders say when the limit on memory leaves no room for a picture, or for a thread's stack.
_TOO_MUCH_MEMORY = too_costly("to decode it takes too much memory")
_NO_MEMORY = ("Error creating thread", "out of memory", "unable to malloc", "Insufficient memory")


def _answered(request: dict[str, Any], source: IO[bytes], result: IO[bytes]) -> dict[str, Any]:
    task, seconds = request.pop("task"), request.pop("seconds")
    try:
        with opened(source) as data:
            job = Job(data=data, header=unpacked(request.pop("header")), **request)
            _limit(job.memory, seconds)
            if task == "pdf_size":
                from .. import pdfium

                width, height = pdfium.size(data)
                return {"width": width, "height": height}
            file, width, height = resize_here(job)
            with file:
                shutil.copyfileobj(file, result)
            return {"width": width, "height": height}
    except InvalidImageError as error:
        if any(words in str(error) for words in _NO_MEMORY):
            error = _TOO_MUCH_MEMORY
        return {"invalid": str(error), "reason": error.reason}
    except MemoryError:
        return {"invalid": str(_TOO_MUCH_MEMORY), "reason": _TOO_MUCH_MEMORY.reason}
    except OSError as error:
        return {"failed": str(error), "errno": error.errno}


def _limit(memory: int, seconds: float) -> None:
    import resource

    for kind, limit in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    # Its signal ends the process; RLIMIT_CPU would do so too, and knows whole seconds only.
    signal.setitimer(signal.ITIMER_PROF, seconds)
