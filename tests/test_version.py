from __future__ import annotations

import subprocess
import sys

import pytest

import sqlalchemy_imageattach
from sqlalchemy_imageattach.version import VERSION, VERSION_INFO


def test_version_begins_with_its_three_numbers() -> None:
    assert VERSION.startswith("{}.{}.{}".format(*VERSION_INFO))


def test_module_prints_the_version() -> None:
    command = [sys.executable, "-W", "error", "-m", "sqlalchemy_imageattach.version"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (printed.stdout, printed.stderr) == (f"{VERSION}\n", "")


def test_package_has_the_version() -> None:
    assert sqlalchemy_imageattach.__version__ == VERSION
    with pytest.raises(AttributeError, match="has no attribute '__author__'"):
        _ = sqlalchemy_imageattach.__author__
