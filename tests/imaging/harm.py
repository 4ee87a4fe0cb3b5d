"""Finds out what a file does to whoever attaches it."""

from __future__ import annotations

import atexit
import os
import resource
import time
from pathlib import Path


def outcome(path: Path) -> str:
    """Attaches a file, and makes a thumbnail of it, as far as it goes: what an application would do."""
    from sqlalchemy_imageattach.exc import InvalidImageError, MissingDependencyError
    from sqlalchemy_imageattach.imaging import probe, resize

    try:
        with path.open("rb") as file:
            info = probe(file)
            width = 150
            height = max(1, round(info.height * width / info.width))
            with resize(file, info, width, height).file as made:
                return f"made {probe(made)}"
    except InvalidImageError as error:
        return f"refused: {error.reason}: {error}"
    except MissingDependencyError as error:
        return f"not installed: {error}"


def measured(path: Path) -> dict[str, object]:
    """Has :func:`outcome` run in a forked process, which a hang, a crash or a leak does not outlive.

    Megabytes are those above the start: what the process itself grew by at most, and the largest of its children, as
    they work one at a time.
    """
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        before = _resident("VmRSS")
        try:
            text = outcome(path)
        except BaseException as error:
            text = f"raised: {error!r}"
        # Stops the worker, so that what it used is counted.
        atexit._run_exitfuncs()
        kilobytes = _resident("VmHWM") - before + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        os.write(writing, f"{kilobytes // 1024} {text}".encode()[:4000])
        os._exit(0)
    os.close(writing)
    while True:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() - started > 60:
            os.kill(child, 9)
        time.sleep(0.005)
    with os.fdopen(reading, "rb") as answer:
        megabytes, _, text = answer.read().decode(errors="replace").partition(" ")
    died = status != 0
    return {
        "name": path.name,
        "outcome": f"died: status {status}" if died else text,
        "seconds": round(used.ru_utime + used.ru_stime, 2),
        "megabytes": used.ru_maxrss // 1024 if died else int(megabytes),
    }


def _resident(name: str) -> int:
    """How many kilobytes this process has in memory, now (``VmRSS``) or had at most (``VmHWM``)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(name)
