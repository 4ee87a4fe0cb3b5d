"""The fixtures for the tests of applications, in the tests of a small one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_tests_of_an_application_are_held_against_their_rows():
    here = Path(__file__).parent / "tested_application"
    options = ["-p", "sqlalchemy_imageattach.ext.pytest_plugin", "-p", "no:randomly", "-p", "no:cacheprovider", "-rA"]
    collected = ["-c", "/dev/null", "-o", "python_functions=passes_* fails_*", "application_tests.py"]
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "--confcutdir=.", *options, *collected]
    answer = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=100)
    outcomes = set(re.findall(r"^([A-Z]+) \S+::([a-z]+)_", answer.stdout, re.MULTILINE))
    assert outcomes == {("PASSED", "passes"), ("FAILED", "fails")}, answer.stdout
    assert re.search(r"^orphan: user-picture 1, 640x480, image/png", answer.stdout, re.MULTILINE)
    assert re.search(r"^missing: user-picture 1, 640x480, image/png", answer.stdout, re.MULTILINE)
