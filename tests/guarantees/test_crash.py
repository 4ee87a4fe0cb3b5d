"""Rows and files agree however often the process is killed, and when the disk is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: For each of two databases.
KILLS = 110 if os.environ.get("CI") == "true" else 25


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_every_committed_row_has_its_bytes_however_often_the_process_is_killed(database_url, tmp_path):
    program = Path(__file__).parent / "crashing.py"
    url = database_url.render_as_string(hide_password=False)
    command = [sys.executable, str(program), url, str(tmp_path / "pictures"), str(KILLS), "1"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    kills, rows_checked, _ = map(int, answer.stdout.split())
    assert kills == KILLS
    assert rows_checked > KILLS
