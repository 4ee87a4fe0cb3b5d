"""The contract lets a sound store pass, and catches those of :mod:`broken`, run as anybody runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import broken
import pytest


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of the sound store, and of each of the others in the test that has to notice."""
    folder = tmp_path_factory.mktemp("anywhere")
    shutil.copy(broken.__file__, folder)
    asked = [f"broken.py::Test{kind.__name__}::{kind.noticed_by}" for kind in broken.BROKEN]  # type: ignore[attr-defined]
    options = ["-q", f"--rootdir={folder}", "-p", "no:cacheprovider", "-rA", "--tb=no"]
    command = [sys.executable, "-m", "pytest", *options, "broken.py::TestSound", *asked]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_sound_store_passes(report: str) -> None:
    assert "PASSED broken.py::TestSound::test_what_was_put_is_got" in report
    assert "FAILED broken.py::TestSound" not in report
    assert "ERROR broken.py::TestSound" not in report


@pytest.mark.parametrize("kind", broken.BROKEN)
def test_broken_store_is_caught(report: str, kind: type[broken.Sound]) -> None:
    assert f"FAILED broken.py::Test{kind.__name__}::{kind.noticed_by}" in report  # type: ignore[attr-defined]
