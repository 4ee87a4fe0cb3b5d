"""Finds out what a file does to whoever attaches it."""

from __future__ import annotations

import atexit
import os
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
    """Has :func:`outcome` run in a forked process, which a hang, a crash or a leak does not outlive."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            text = outcome(path)
        except BaseException as error:
            text = f"raised: {error!r}"
        os.write(writing, text.encode()[:4000])
        # Stops the worker, so that what it used is counted.
        atexit._run_exitfuncs()
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
        text = answer.read().decode()
    return {
        "name": path.name,
        "outcome": text if status == 0 else f"died: status {status}",
        "seconds": round(used.ru_utime + used.ru_stime, 2),
        "megabytes": used.ru_maxrss // 1024,
    }
