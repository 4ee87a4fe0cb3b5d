"""The other libraries, each in an environment of its own, made of a list that is locked with hashes."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Rival(NamedTuple):
    """Something to compare with."""

    #: What it is called in figures, and by ``_rival_side.py``.
    name: str
    #: Its environment, which is that of this library if there is none: a list in ``requirements/rivals``.
    environment: str | None
    #: The package whose version is told.
    package: str
    #: What is there afterwards, and what is not.
    keeps: str
    makes_thumbnails: bool = False
    attaches: bool = True


RIVALS = [
    Rival("this library", None, "SQLAlchemy-ImageAttach", "row and file end together; synced", True),
    Rival("libvips by hand", None, "pyvips", "a row, a file; synced; a rollback leaves the file", True),
    Rival("Pillow by hand", None, "Pillow", "a row, a file; synced; a rollback leaves the file", True, False),
    Rival("filedepot", "filedepot", "filedepot", "a column, a file; not synced; no size of the picture"),
    Rival("sqlalchemy-file", "sqlalchemy-file", "sqlalchemy-file", "a column, a file; not synced; lost by savepoints"),
    Rival(
        "advanced-alchemy",
        "advanced-alchemy",
        "advanced-alchemy",
        "a column, a file written after the commit; not synced",
    ),
    Rival("easy-thumbnails", "django", "easy-thumbnails", "a row, a file; not synced; replaced files stay", True),
    Rival("thumbor", "thumbor", "thumbor", "no row; its engine alone, and a file that is not synced", True, False),
]


def python_of(environment: str | None) -> str:
    """The interpreter of an environment, which is made if it is not there, or not of this list.

    :param environment: the name of a list in ``requirements/rivals``
    :returns: its path
    """
    if environment is None:
        return sys.executable
    home, locked = ROOT / f".venv-rivals/{environment}", ROOT / f"requirements/rivals/{environment}.txt"
    python, mark = home / "bin/python", home / ".requirements"
    if not mark.exists() or mark.read_text() != locked.read_text():
        base: str = sys._base_executable  # type: ignore[attr-defined]
        subprocess.run([base, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", locked], check=True)
        mark.write_text(locked.read_text())
    return str(python)


def version_of(rival: Rival) -> str:
    """The version that is compared with."""
    if rival.environment is None:
        return version(rival.package)
    program = f"import importlib.metadata; print(importlib.metadata.version({rival.package!r}))"
    command = [python_of(rival.environment), "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
