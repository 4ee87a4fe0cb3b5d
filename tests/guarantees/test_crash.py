"""Rows and files agree however often the process is killed, and when the disk is full."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from models import User, picture, stored
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.stores.fs import FileSystemStore

IS_SOAKED = settings().max_examples >= 100_000
#: For each of two databases.
KILLS = 5_000 if IS_SOAKED else 110 if os.environ.get("CI") == "true" else 25


@pytest.mark.soak
@pytest.mark.timeout(0 if IS_SOAKED else 300)
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_every_committed_row_has_its_bytes_however_often_the_process_is_killed(database_url, memory_folder):
    program = Path(__file__).parent / "crashing.py"
    url = database_url.render_as_string(hide_password=False)
    command = [sys.executable, str(program), url, str(memory_folder), str(KILLS), "1"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    kills, rows_checked, files_swept = map(int, answer.stdout.split())
    assert kills == KILLS
    assert rows_checked > KILLS
    # Else no process was killed at a moment that matters.
    assert files_swept > KILLS / 10


# A file system that is full


@contextmanager
def a_small_file_system(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "imageattach", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def a_write_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write, room = os.write, [65_536]

    def write_while_there_is_room(descriptor: int, block: bytes) -> int:
        if len(block) > 4096 and not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, block[: room[0] or 4096])
        room[0] -= min(room[0], written)
        return written

    monkeypatch.setattr(os, "write", write_while_there_is_room)
    yield


@pytest.fixture
def store(tmp_path: Path) -> FileSystemStore:
    (tmp_path / "images").mkdir()
    return FileSystemStore(tmp_path / "images", "http://127.0.0.1/")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fills_up", [a_small_file_system, a_write_that_fails])
@pytest.mark.parametrize("size", [(64, 48), (65, 48)], ids=["the same size", "another size"])
def test_a_full_file_system_leaves_the_old_file_whole_and_no_debris(
    engine, make_session, store, monkeypatch, fills_up, size
):
    with fills_up(Path(store.path), monkeypatch), make_session() as session:
        session.add(user := User())
        user.picture.from_blob(old := picture())
        session.commit()
        noise = io.BytesIO(os.urandom(100_000))
        user.picture.from_raw_file(noise, size=size, mimetype="image/png")
        with pytest.raises(StoreError) as caught:
            session.commit()
        assert caught.value.errno == errno.ENOSPC
        session.rollback()
        assert list(stored(store).values()) == [old]
        assert user.picture.make_blob() == old
        user.picture.from_blob(new := picture(*size, color=1))
        session.commit()
        assert list(stored(store).values()) == [new]
