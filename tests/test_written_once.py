"""What attaching, replacing and deleting write and sync, so that no change makes it worse unseen."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from models import Base, User, picture
from sqlalchemy_imageattach import store_context
from sqlalchemy_imageattach.file import SPOOL_SIZE
from sqlalchemy_imageattach.naming import FileKey, name_of
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.sandbox import SandboxStore
from sqlalchemy_imageattach.transactions.pending import PendingFile

#: Both are whole images: what comes after the last part of a PNG belongs to nothing.
LARGE = picture() + bytes(SPOOL_SIZE)
SMALL = picture()
#: What a commit writes besides: rows, and the database's own pages.
ROWS = 100_000
KEY = FileKey("user-picture", 1, 64, 48, "image/png", "k3v9q2")

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux tells how much was written")


@pytest.fixture
def store(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "images", "https://images.example/")


@pytest.fixture
def session(store: FileSystemStore) -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with store_context(store), Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    path.write_bytes(LARGE)
    return path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, by name."""
    paths: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return paths


def bytes_counted(name: str) -> int:
    """How many bytes this process has read or written, by whichever call."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def bytes_written() -> int:
    return bytes_counted("wchar")


def files_in(store: FileSystemStore) -> list[Path]:
    return [path for path in Path(store.path).rglob("*") if path.is_file()]


def attach(session: Session, content: bytes | Path, user: User | None = None) -> User:
    if user is None:
        session.add(user := User())
    if isinstance(content, bytes):
        user.picture.from_file(BytesIO(content))
    else:
        with content.open("rb") as file:
            user.picture.from_file(file)
    return user


@pytest.mark.parametrize("of_disk", [True, False])
@pytest.mark.parametrize("count", [1, 80])
def test_a_large_file_is_written_once(session, large_file, of_disk, count):
    before = bytes_written()
    for _ in range(count):
        attach(session, large_file if of_disk else LARGE)
    session.commit()
    assert bytes_written() - before < count * len(LARGE) + ROWS


def test_a_large_file_is_read_once_but_for_its_header(session, large_file):
    before = bytes_counted("rchar")
    attach(session, large_file)
    session.commit()
    assert bytes_counted("rchar") - before < len(LARGE) + ROWS


def test_a_file_that_is_linked_is_as_any_other(session, store, large_file):
    before = bytes_written()
    attach(session, large_file)
    attach(session, SMALL)
    session.commit()
    assert bytes_written() - before < 2 * len(LARGE)
    large, small = sorted(map(os.stat, files_in(store)), key=lambda status: -status.st_size)
    assert (large.st_mode, large.st_nlink, large.st_uid) == (small.st_mode, small.st_nlink, small.st_uid)


def test_a_file_is_as_young_as_its_put_and_not_as_its_bytes(store):
    pending = PendingFile.of_file(store, BytesIO(LARGE), 1 << 30)
    with pending.open() as file:
        os.utime(file.fileno(), (0, 0))
        store.put_key(file, KEY, False)
    assert files_in(store)[0].stat().st_mtime > 0


def test_a_large_image_is_put_again_after_a_rollback_has_deleted_its_file(session, store, large_file):
    user = attach(session, large_file)
    session.flush()
    assert len(files_in(store)) == 1
    session.rollback()
    assert files_in(store) == []
    session.add(user)
    session.commit()
    assert [path.read_bytes() for path in files_in(store)] == [LARGE]


def test_two_files_of_one_attachment_do_not_share_what_is_on_the_disk(tmp_path):
    stores = [FileSystemStore(tmp_path / name, "https://images.example/") for name in ("first", "second")]
    pending = PendingFile.of_file(stores[0], BytesIO(LARGE), 1 << 30)
    for store in stores:
        with pending.open() as file:
            store.put_key(file, KEY, False)
    first, second = (files_in(store)[0] for store in stores)
    assert not first.samefile(second)
    assert first.read_bytes() == second.read_bytes() == LARGE


def test_a_file_of_which_something_was_read_is_put_from_there(store):
    pending = PendingFile.of_file(store, BytesIO(LARGE), 1 << 30)
    with pending.open() as file:
        file.read(10)
        store.put_key(file, KEY, False)
    assert files_in(store)[0].read_bytes() == LARGE[10:]


def test_a_file_of_the_same_name_is_replaced(store):
    store.put_key(BytesIO(SMALL), KEY, False)
    with PendingFile.of_file(store, BytesIO(LARGE), 1 << 30).open() as file:
        store.put_key(file, KEY, False)
    assert [path.read_bytes() for path in files_in(store)] == [LARGE]


def test_bytes_of_another_file_system_are_copied(tmp_path):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system")
    elsewhere = FileSystemStore(other / "there-is-no-such-folder", "https://images.example/")
    store = FileSystemStore(tmp_path / "images", "https://images.example/")
    with PendingFile.of_file(elsewhere, BytesIO(LARGE), 1 << 30).open() as file:
        store.put_key(file, KEY, False)
    assert files_in(store)[0].read_bytes() == LARGE


@pytest.mark.parametrize(
    "around",
    [
        lambda store: FallbackStore(store, MemoryStore()),
        lambda store: SandboxStore(MemoryStore(), store),
        lambda store: RoutingStore(store, {"scan": MemoryStore()}),
        HttpExposedStore,
    ],
)
def test_a_store_over_others_has_large_files_wait_where_it_puts_them(store, around: Callable[[Store], Store]):
    before = bytes_written()
    outer = around(store)
    with PendingFile.of_file(outer, BytesIO(LARGE), 1 << 30).open() as file:
        outer.put_key(file, KEY, False)
    assert bytes_written() - before < len(LARGE) + ROWS
    assert (Path(store.path) / name_of(KEY)).read_bytes() == LARGE


def test_a_store_whose_folder_cannot_be_written_has_large_files_wait_elsewhere(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = FileSystemStore(tmp_path / "file" / "images", "https://images.example/")
    with PendingFile.of_file(store, BytesIO(LARGE), 1 << 30).open() as file:
        assert file.read() == LARGE


@pytest.mark.parametrize("count", [1, 80])
def test_a_process_that_is_killed_leaves_nothing_of_what_it_had_attached(tmp_path, count):
    program = """
        import io, os, signal, sys
        from sqlalchemy_imageattach.stores.fs import FileSystemStore
        from sqlalchemy_imageattach.transactions.pending import PendingFile
        os.mkdir(sys.argv[1])
        store = FileSystemStore(sys.argv[1], "https://images.example/")
        waiting = [PendingFile.of_file(store, io.BytesIO(bytes(2 << 20)), 1 << 30) for _ in range(int(sys.argv[2]))]
        os.kill(os.getpid(), signal.SIGKILL)
    """
    folder = tmp_path / "images"
    command = [sys.executable, "-c", textwrap.dedent(program), str(folder), str(count)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_first_image_syncs_its_file_and_each_folder_with_a_new_entry(session, store, synced, content):
    attach(session, content)
    session.commit()
    _, *folders = synced
    (stored,) = files_in(store)
    assert sorted(folders) == sorted(str(stored.parents[level]) for level in range(5))


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_replacement_syncs_its_file_and_its_folder_and_writes_one_file(session, store, synced, content):
    user = attach(session, content)
    session.commit()
    synced.clear()
    before = bytes_written()
    attach(session, content, user)
    session.commit()
    (stored,) = files_in(store)
    assert len(synced) == 2
    assert synced[1] == str(stored.parent)
    assert bytes_written() - before < len(content) + ROWS


def test_a_deletion_syncs_nothing_and_writes_nothing(session, store, synced):
    user = attach(session, LARGE)
    session.commit()
    synced.clear()
    before = bytes_written()
    session.delete(user)
    session.commit()
    assert (files_in(store), synced) == ([], [])
    assert bytes_written() - before < ROWS


def test_a_flush_of_many_syncs_each_file_and_its_folders_once(session, store, synced):
    for _ in range(50):
        attach(session, SMALL)
    session.commit()
    synced.clear()
    for user in session.query(User).all():
        attach(session, SMALL, user)
    session.commit()
    assert len(synced) == 2 * len(files_in(store)) == 100


@pytest.mark.parametrize("count", [1, 80])
def test_a_stored_file_is_readable_by_others_as_the_umask_says(store, count):
    umask = os.umask(0o027)
    try:
        waiting = [PendingFile.of_file(store, BytesIO(LARGE), 1 << 30) for _ in range(count)]
        with waiting[-1].open() as file:
            store.put_key(file, KEY, False)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(files_in(store)[0].stat().st_mode) == 0o640
