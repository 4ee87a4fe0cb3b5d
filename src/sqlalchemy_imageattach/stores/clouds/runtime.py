"""The library that talks to clouds, as each process has it.

obstore is an extra, a large one, so it is imported when a store is first used and not before.  It runs its connections
on threads of its own, one set for the whole process, and these do not survive a fork: a forked child that inherits them
would wait for ever, with any client.  So it must always be true that

- a process calls nothing but what it has loaded itself: everything here is kept by process id;
- a process whose parent had loaded obstore loads the extension once more, from a copy of its file, since a second
  loading of the same file would give it the dead threads again.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ...exc import MissingDependencyError

__all__ = ("Runtime", "require", "runtime")


class Runtime(NamedTuple):
    """What this process calls of obstore."""

    #: ``put``, ``get``, ``head``, ``list``, ``delete`` and ``sign``.
    obstore: ModuleType
    #: The classes of clients: ``S3Store``, ``AzureStore``, ``GCSStore``.
    clients: ModuleType
    #: What it raises, but for the built-in ``FileNotFoundError``.
    error: type[Exception]
    #: Raised by a conditional put.
    already_exists: type[Exception]
    #: Raised by a listing.
    invalid_path: type[Exception]


_runtimes: dict[int, Runtime] = {}
# One lock for each process, since a lock that a thread of the parent held would never be released in the child.
_locks: dict[int, threading.Lock] = {}


def require(owner: str, extra: str) -> None:
    """Check that obstore is installed, without importing it.

    :param owner: what needs it
    :param extra: the extra to install
    :raises MissingDependencyError: when it is not
    """
    try:
        found = importlib.util.find_spec("obstore") is not None
    except ImportError:
        found = False
    if not found:
        raise MissingDependencyError(
            f"{owner} needs the extra {extra!r}: pip install 'SQLAlchemy-ImageAttach[{extra}]'", name="obstore"
        )


def runtime() -> Runtime:
    """The obstore of this process, loaded if it is not yet.

    :returns: what to call
    :raises OSError: when a forked process cannot copy the extension
    """
    pid = os.getpid()
    if pid not in _runtimes:
        with _locks.setdefault(pid, threading.Lock()):
            if pid not in _runtimes:
                _runtimes[pid] = _load_copy() if _runtimes else _load()
    return _runtimes[pid]


def _load() -> Runtime:
    obstore, clients, errors = map(importlib.import_module, ("obstore", "obstore.store", "obstore.exceptions"))
    return Runtime(obstore, clients, errors.BaseError, errors.AlreadyExistsError, errors.InvalidPathError)


def _load_copy() -> Runtime:
    origin = importlib.import_module("obstore._obstore").__file__
    assert origin is not None
    with tempfile.TemporaryDirectory(prefix="imageattach-") as folder:
        copy = shutil.copy(origin, Path(folder) / Path(origin).name)
        spec = importlib.util.spec_from_file_location("obstore._obstore", copy)
        assert spec is not None
        assert spec.loader is not None
        try:
            extension = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(extension)
        except ImportError as error:
            raise OSError(
                f"a forked process has to load obstore from {folder}, and cannot: {error}; set TMPDIR to a folder from"
                " which code may be loaded"
            ) from error
    errors = extension.exceptions
    # The public package beside it would load the library again.
    stores = vars(extension)["_store"]
    return Runtime(extension, stores, errors.BaseError, errors.AlreadyExistsError, errors.InvalidPathError)
