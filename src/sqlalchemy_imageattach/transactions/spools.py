"""The folder of this process for bytes that no store has yet.

A process that was killed leaves its folder.  So each folder has a file that its process holds locked, and the next
process that needs a folder removes those which nothing locks any more.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where folders of killed processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = ("spool_folder",)

_PREFIX = "imageattach-spools-"
_LOCK = "lock"

#: By process, since a forked child needs one of its own.
_folders: dict[int, tempfile.TemporaryDirectory[str]] = {}


def spool_folder() -> str:
    """Make the folder when it is first needed.

    :returns: its path; it goes with the process
    """
    folder = _folders.get(os.getpid())
    if folder is None or not Path(folder.name).is_dir():
        _remove_abandoned()
        folder = _folders[os.getpid()] = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        descriptor = os.open(Path(folder.name) / _LOCK, os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600)
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        weakref.finalize(folder, os.close, descriptor)
    return folder.name


def _remove_abandoned() -> None:
    if fcntl is None:
        return
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
