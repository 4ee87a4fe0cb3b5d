"""Rows and files agree after a process was killed, and after a file system was full."""

from __future__ import annotations

import errno
import io
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from workers import content, forkserver, work_until_killed

import services
from models import Base, User, UserPicture, picture, stored
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.store import FileKey, StoredFile
from sqlalchemy_imageattach.stores.fs import FileSystemStore

USERS = 4
IS_LONG = settings().max_examples >= 100_000
KILLS = 2_000 if IS_LONG else 100


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, memory_folder) -> Iterator[Engine]:
    """An engine on a database with users."""
    url = f"sqlite:///{memory_folder / 'database.sqlite'}"
    engine = services.make_engine(request.getfixturevalue("postgresql_url") if request.param == "postgresql" else url)
    if request.param == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(User() for _ in range(USERS))
        session.commit()
    yield engine
    engine.dispose()


def kill_one(engine: Engine, folder: Path) -> None:
    """Let a process work, and kill it at some moment."""
    receiver, sender = forkserver.Pipe(duplex=False)
    url = engine.url.render_as_string(hide_password=False)
    child = forkserver.Process(target=work_until_killed, args=(url, str(folder), USERS, sender))
    child.start()
    sender.close()
    with receiver:
        receiver.recv_bytes()
    child.join(random.uniform(0, 0.1))
    child.kill()
    child.join()
    child.close()
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(1)"))


@pytest.mark.soak
@pytest.mark.timeout(0 if IS_LONG else 600)
def test_after_a_kill_each_row_has_its_bytes_and_the_audit_names_and_sweeps_the_rest(engine, memory_folder):
    folder = memory_folder / "images"
    store = FileSystemStore(folder, "http://example.com/")
    swept = 0
    for _ in range(KILLS):
        kill_one(engine, folder)
        with Session(engine) as session:
            rows = {FileKey.of(image): image.caption for image in session.query(UserPicture)}
            findings = list(verify(session, Base, store))
        files = {file.name: file.key for file in store.list_files()}
        for key, caption in rows.items():
            with store.get_key(key) as file:
                assert file.read() == content(caption)
        left = {name for name, key in files.items() if key not in rows}
        assert {finding.name for finding in findings} == left
        removed: list[StoredFile] = []
        with Session(engine) as session:
            sweep(session, Base, store, timedelta(0), dry_run=False, callback=removed.append)
        assert {file.name for file in removed} == left
        assert {file.key for file in store.list_files()} == set(rows)
        swept += len(removed)
    # Else no process was killed at a moment that matters.
    assert swept > KILLS / 10


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


@pytest.mark.parametrize("fills_up", [a_small_file_system, a_write_that_fails])
def test_a_full_file_system_leaves_the_old_file_whole_and_no_debris(sqlite_url, tmp_path, monkeypatch, fills_up):
    engine = services.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    folder = tmp_path / "images"
    folder.mkdir()
    store = FileSystemStore(folder, "http://example.com/")
    with fills_up(folder, monkeypatch), Session(engine, info={"image_store": store}) as session:
        session.add(user := User())
        user.picture.from_blob(small := picture(64, 48))
        session.commit()
        noise = io.BytesIO(small + os.urandom(100_000))
        for size in [(64, 48), (65, 48)]:
            user.picture.from_raw_file(noise, size=size, mimetype="image/png")
            with pytest.raises(StoreError) as caught:
                session.commit()
            assert caught.value.errno == errno.ENOSPC
            session.rollback()
            assert list(stored(store).values()) == [small]
            assert user.picture.make_blob() == small
        user.picture.from_blob(other := picture(64, 48, color=1))
        session.commit()
        assert list(stored(store).values()) == [other]
    engine.dispose()
