from __future__ import annotations

import subprocess
import sys

from sqlalchemy_imageattach.version import VERSION, VERSION_INFO


def test_version_begins_with_its_three_numbers() -> None:
    assert VERSION.startswith("{}.{}.{}".format(*VERSION_INFO))


def test_module_prints_the_version() -> None:
    command = [sys.executable, "-m", "sqlalchemy_imageattach.version"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == f"{VERSION}\n"
