"""The command as a process of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import Engine

from models import stored
from sqlalchemy_imageattach.cli.report import Status
from sqlalchemy_imageattach.stores.fs import FileSystemStore

from .conftest import url_of

HERE = Path(__file__).parent.parent
MODULE = [sys.executable, "-m", "sqlalchemy_imageattach.cli"]


def test_the_command_is_installed_and_tells_its_version() -> None:
    command = Path(sys.executable).with_name("sqlalchemy-imageattach")
    answer = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("sqlalchemy-imageattach, version ")


def test_help_tells_the_exit_statuses() -> None:
    answer = subprocess.run([*MODULE, "migrate", "--help"], capture_output=True, text=True, check=True)
    for status in Status:
        assert f"{int(status)} " in answer.stdout.partition("Exit status:")[2]


def test_without_the_extra_it_says_which_one_to_install() -> None:
    program = "import sys; sys.modules['click'] = None; from sqlalchemy_imageattach.cli import main; main()"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.returncode == Status.USAGE
    assert "pip install 'SQLAlchemy-ImageAttach[cli]'" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_models_are_found_in_the_current_directory_and_options_in_the_environment(
    old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    variables = {
        "IMAGEATTACH_SOURCE": url_of(old),
        "IMAGEATTACH_DESTINATION": url_of(new),
        "IMAGEATTACH_MODELS": options[1],
        "IMAGEATTACH_DATABASE": options[3],
        "IMAGEATTACH_JSON": "1",
    }
    answer = subprocess.run(
        [*MODULE, "migrate"], capture_output=True, text=True, cwd=HERE, env=os.environ | variables, check=True
    )
    assert json.loads(answer.stdout)["copied"] == 12
    assert stored(new) == stored(old)


def test_ctrl_c_ends_it_and_the_same_command_goes_on(
    old: FileSystemStore, new: FileSystemStore, engine: Engine, options: list[str], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint"
    size = sum(map(len, stored(old).values()))
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options, "--checkpoint", str(checkpoint), "--json"]
    slowly = [*command, "--workers", "1", "--max-bytes-per-second", str(size // 6)]
    with subprocess.Popen(slowly, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as mover:
        # It is written after a second.
        while not checkpoint.exists() and mover.poll() is None:
            time.sleep(0.01)
        mover.send_signal(signal.SIGINT)
        out, err = mover.communicate()
    assert mover.returncode == Status.INTERRUPTED
    assert err == f"Interrupted. Run the same again, and it goes on from {checkpoint}.\n"
    first = json.loads(out)
    assert first["status"] == Status.INTERRUPTED
    assert 0 < first["copied"] < 12
    answer = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    assert first["copied"] + json.loads(answer.stdout)["copied"] == 12
    assert stored(new) == stored(old)


def test_two_movers_at_once_do_no_harm(
    old: FileSystemStore, new: FileSystemStore, engine: Engine, options: list[str], tmp_path: Path
) -> None:
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options, "--checkpoint", str(tmp_path / "checkpoint")]
    movers = [subprocess.Popen(command, cwd=HERE) for _ in range(2)]
    assert [mover.wait() for mover in movers] == [Status.FINE] * 2
    assert stored(new) == stored(old)


def test_a_terminal_gets_a_bar_with_rate_and_time_left_and_lines_above_it(
    old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    old.delete_file("user-cover", 2, 100, 50, "image/png")
    main, terminal = pty.openpty()
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(command, cwd=HERE, stdout=terminal, stderr=terminal, env=environment) as mover:
        os.close(terminal)
        shown = b""
        while True:
            try:
                block = os.read(main, 4096)
            except OSError:  # that is how Linux tells the end
                break
            if not block:
                break
            shown += block
    os.close(main)
    assert mover.returncode == Status.FOUND
    text = shown.decode()
    assert "12/12" in text
    assert "/s" in text
    assert "0:00:00" in text
    assert "failed: user-cover 2, 100x50, image/png" in text
    assert "11 copied, 0 left out since they are there, 1 failed" in text


def test_a_reader_that_has_enough_ends_it_quietly(
    old: FileSystemStore, new: FileSystemStore, options: list[str]
) -> None:
    for number in range(1, 5):
        old.delete_file("user-cover", number, 100, 50, "image/png")
    reader, writer = os.pipe()
    os.close(reader)
    command = [*MODULE, "migrate", url_of(old), url_of(new), *options]
    answer = subprocess.run(command, cwd=HERE, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert answer.returncode == Status.STOPPED
    assert not answer.stderr
