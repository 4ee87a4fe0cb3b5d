"""The folder of this process for bytes that no store has yet.

A process that was killed leaves its folder.  So each folder has a file that its process holds locked, and the next
process that needs a folder removes those which nothing locks any more.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where folders of killed processes stay
    fcntl = None  # type: ignore[assignment]

__all__ = ("spool_folder",)

_PREFIX = "imageattach-spools-"
_LOCK = "lock"

#: By process, since a forked child needs one of its own.
_folders: dict[int, Path] = {}


def spool_folder() -> str:
    """Make the folder when it is first needed.

    :returns: its path; it goes with the process
    """
    process = os.getpid()
    folder = _folders.get(process)
    if folder is None or not folder.is_dir():
        _remove_abandoned()
        folder = _folders[process] = Path(tempfile.mkdtemp(prefix=_PREFIX))
        atexit.register(_remove, folder, process)
        # It is locked before it has the name that others look for. The process holds the descriptor until it ends.
        descriptor, name = tempfile.mkstemp(dir=folder)
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            Path(name).rename(folder / _LOCK)
    return str(folder)


def _remove(folder: Path, process: int) -> None:
    # A forked child that ends would take what its parent still needs.
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned() -> None:
    if fcntl is None:
        return
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
