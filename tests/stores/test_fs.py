from __future__ import annotations

import contextlib
import datetime
import errno
import io
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from keys import get

from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.naming import FileKey, name_of
from sqlalchemy_imageattach.serving.resources import Folder
from sqlalchemy_imageattach.stores import fs
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore

PICTURE = ("user-picture", 17042, 640, 480, "image/jpeg")
KEY = FileKey(*PICTURE, "k3v9q2")


@pytest.fixture
def store(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "images", "http://images.example.com/")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_file_of_a_row_without_a_revision_is_where_the_original_library_put_it(
    store: FileSystemStore, tmp_path: Path
) -> None:
    store.put_file(io.BytesIO(b"bytes"), *PICTURE, False)
    assert names(tmp_path) == {"images/user-picture/42/17/17042.640x480.jpe"}


@pytest.mark.parametrize(
    ("mimetype", "suffix", "other"),
    [
        ("image/webp", ".webp", "None"),
        ("image/bmp", ".bmp", "None"),
        ("image/tiff", ".tiff", ".tif"),
        ("image/svg+xml", ".svg", ".svgz"),
    ],
)
def test_file_that_the_original_library_named_by_another_machine_s_mime_types_is_found(
    store: FileSystemStore, tmp_path: Path, mimetype: str, suffix: str, other: str
) -> None:
    key = FileKey("user-picture", 17042, 640, 480, mimetype)
    folder = tmp_path / "images/user-picture/42/17"
    folder.mkdir(parents=True)
    (folder / f"17042.640x480{other}").write_bytes(b"from 2017")
    assert get(store, key) == b"from 2017"
    found = Folder(tmp_path / "images").find(f"user-picture/42/17/17042.640x480{suffix}")
    assert found is not None
    os.close(cast("int", found.file))
    with pytest.raises(ImageNotFoundError):
        store.get_key(key._replace(revision="k3v9q2"))
    store.put_key(io.BytesIO(b"new"), key, False)
    assert get(store, key) == b"new"
    store.delete_key(key)
    assert names(tmp_path) == set()


def test_revision_is_in_the_name(store: FileSystemStore, tmp_path: Path) -> None:
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    assert names(tmp_path) == {"images/user-picture/42/17/17042.640x480.k3v9q2.jpe"}
    assert store.url_of_key(KEY) == "http://images.example.com/user-picture/42/17/17042.640x480.k3v9q2.jpe"


def test_missing_file_is_named_in_the_error(store: FileSystemStore) -> None:
    with pytest.raises(ImageNotFoundError, match=r"has no such file.*17042\.640x480\.jpe"):
        store.get_file(*PICTURE)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_modes_are_those_that_the_umask_leaves(store: FileSystemStore, tmp_path: Path, umask: int, mode: int) -> None:
    old = os.umask(umask)
    try:
        store.put_key(io.BytesIO(b"bytes"), KEY, False)
    finally:
        os.umask(old)
    path = tmp_path / "images" / "user-picture" / "42" / "17" / "17042.640x480.k3v9q2.jpe"
    assert path.stat().st_mode & 0o777 == mode
    assert path.parent.stat().st_mode & 0o777 == 0o777 & ~umask


def test_working_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileSystemStore("images", "http://images.example.com/")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    assert store.path == "images"
    assert (tmp_path / "images").is_dir()


class _Watching:
    """Looks into the folder while it is read."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._parts = [b"part, ", b"and part"]

    def read(self, size: int = -1) -> bytes:
        self._look()
        return self._parts.pop(0) if self._parts else b""


def test_half_written_file_is_never_seen(store: FileSystemStore) -> None:
    old: list[bytes] = []

    def look() -> None:
        with contextlib.suppress(ImageNotFoundError), store.get_key(KEY) as file:
            old.append(file.read())

    watching: Any = _Watching(look)
    store.put_key(watching, KEY, False)
    assert old == []
    watching = _Watching(look)
    store.put_key(watching, KEY, False)
    assert old == [b"part, and part"] * 3


def test_reader_of_a_replaced_file_reads_the_old_one_to_its_end(store: FileSystemStore) -> None:
    store.put_key(io.BytesIO(b"old"), KEY, False)
    with store.get_key(KEY) as file:
        store.put_key(io.BytesIO(b"new"), KEY, False)
        assert file.read() == b"old"


@pytest.mark.parametrize("sync", [True, False])
def test_file_and_its_folders_are_synced_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    store = FileSystemStore(tmp_path / "images", "http://images.example.com/", sync=sync)
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    if not sync:
        assert synced == []
        return
    aside, *folders = synced
    assert aside.startswith("images/user-picture/42/17/.")
    # The folder of the file, and each folder in which another was made.
    assert sorted(folders) == [
        ".",
        "images",
        "images/user-picture",
        "images/user-picture/42",
        "images/user-picture/42/17",
    ]
    synced.clear()
    store.put_key(io.BytesIO(b"bytes"), KEY._replace(revision="another"), False)
    assert synced[1:] == ["images/user-picture/42/17"]


@pytest.mark.parametrize(("number", "is_stored"), [(errno.EINVAL, True), (errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_file_system_that_cannot_sync_a_folder_is_used_all_the_same(
    store: FileSystemStore, monkeypatch: pytest.MonkeyPatch, number: int, is_stored: bool
) -> None:
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    with contextlib.nullcontext() if is_stored else pytest.raises(StoreError, match="Input/output error"):
        store.put_key(io.BytesIO(b"bytes"), KEY, False)
    assert get(store) == b"bytes"


def test_failing_disk_leaves_the_old_file_and_no_debris(store: FileSystemStore, tmp_path: Path) -> None:
    store.put_key(io.BytesIO(b"old"), KEY, False)
    result = python(
        """
        import io, resource, sys
        from sqlalchemy_imageattach.exc import StoreError
        from sqlalchemy_imageattach.store import FileKey
        from sqlalchemy_imageattach.stores.fs import FileSystemStore

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        store = FileSystemStore(sys.argv[1], "http://host/")
        key = FileKey("user-picture", 17042, 640, 480, "image/jpeg", "k3v9q2")
        try:
            store.put_key(io.BytesIO(bytes(200_000)), key, False)
        except StoreError as error:
            print(error)
        """,
        tmp_path / "images",
    )
    assert "could not store a file: File too large" in result.stdout, result.stderr
    assert "17042.640x480.k3v9q2.jpe" in result.stdout
    with store.get_key(KEY) as file:
        assert file.read() == b"old"
    assert len(names(tmp_path)) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can make a small disk; the test with a limit of the process holds the same rule")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk_leaves_the_old_file_and_no_debris(small_disk: Path) -> None:
    store = FileSystemStore(small_disk, "http://images.example.com/")
    store.put_key(io.BytesIO(b"old"), KEY, False)
    with pytest.raises(StoreError, match="No space left on device") as raised:
        store.put_key(io.BytesIO(bytes(2_000_000)), KEY, False)
    assert raised.value.errno == errno.ENOSPC
    assert names(small_disk) == {"user-picture/42/17/17042.640x480.k3v9q2.jpe"}
    with store.get_key(KEY) as file:
        assert file.read() == b"old"
    store.put_key(io.BytesIO(bytes(500_000)), KEY, False)


def test_killed_writer_leaves_the_old_file_and_debris_that_is_listed(store: FileSystemStore, tmp_path: Path) -> None:
    store.put_key(io.BytesIO(b"old"), KEY, False)
    result = python(
        """
        import os, signal, sys
        from sqlalchemy_imageattach.store import FileKey
        from sqlalchemy_imageattach.stores.fs import FileSystemStore

        class Killing:
            parts = [b"half"]
            def read(self, size):
                if not self.parts:
                    os.kill(os.getpid(), signal.SIGKILL)
                return self.parts.pop()

        store = FileSystemStore(sys.argv[1], "http://host/")
        store.put_key(Killing(), FileKey("user-picture", 17042, 640, 480, "image/jpeg", "k3v9q2"), False)
        """,
        tmp_path / "images",
    )
    assert result.returncode == -signal.SIGKILL
    with store.get_key(KEY) as file:
        assert file.read() == b"old"
    debris = [file for file in store.list_files() if file.key is None]
    assert [file.size for file in debris] == [4]
    debris[0].remove()
    assert [file.key for file in store.list_files()] == [KEY]


def test_what_cannot_be_stored_is_refused_before_anything_is_done(store: FileSystemStore, tmp_path: Path) -> None:
    for key in (KEY._replace(mimetype="text/html"), KEY._replace(object_type="../x"), KEY._replace(revision="../x")):
        with pytest.raises(ValueError, match="expected"):
            store.put_key(io.BytesIO(b"bytes"), key, False)
    assert list(tmp_path.iterdir()) == []


def test_file_opened_in_text_mode_is_refused(store: FileSystemStore, tmp_path: Path) -> None:
    text: Any = io.StringIO("text")
    with pytest.raises(TypeError, match="bytes-like object is required"):
        store.put_key(text, KEY, False)
    assert names(tmp_path) == set()


def test_file_in_the_way_of_a_folder_is_an_error_that_names_it(store: FileSystemStore, tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"")
    with pytest.raises(StoreError, match="could not store a file: Not a directory"):
        store.put_key(io.BytesIO(b"bytes"), KEY, False)
    with pytest.raises(ImageNotFoundError):
        store.get_key(KEY)
    store.delete_key(KEY)


def test_writers_make_folders_while_others_remove_empty_ones(store: FileSystemStore, tmp_path: Path) -> None:
    stop = threading.Event()

    def remove_empty_folders() -> None:
        while not stop.is_set():
            for folder, _, _ in os.walk(tmp_path / "images", topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    def write(start: int) -> None:
        try:
            for number in range(start, start + 50):
                key = KEY._replace(object_id=number)
                quick.put_key(io.BytesIO(b"bytes"), key, False)
                with quick.get_key(key) as file:
                    assert file.read() == b"bytes"
                quick.delete_key(key)
        except BaseException as error:
            errors.append(error)

    quick = FileSystemStore(tmp_path / "images", "http://host/", sync=False)
    errors: list[BaseException] = []
    writers = [threading.Thread(target=write, args=(start,)) for start in range(0, 400, 50)]
    removers = [threading.Thread(target=remove_empty_folders) for _ in range(2)]
    for thread in writers + removers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in removers:
        thread.join()
    assert errors == []
    assert names(tmp_path) == set()


def test_folder_that_is_removed_as_soon_as_it_is_made_is_made_again(
    store: FileSystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, removals = os.mkdir, iter(range(10))

    def mkdir_and_rmdir(path: str) -> None:
        mkdir(path)
        if next(removals, None) is not None:
            Path(path).rmdir()

    monkeypatch.setattr(os, "mkdir", mkdir_and_rmdir)
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    with store.get_key(KEY) as file:
        assert file.read() == b"bytes"


def test_first_writes_into_new_folders_by_many_processes_succeed(tmp_path: Path) -> None:
    script = """
        import io, sys
        from sqlalchemy_imageattach.stores.fs import FileSystemStore

        store = FileSystemStore(sys.argv[1], "http://host/")
        sys.stdin.read(1)
        for number in range(20):
            store.put_file(io.BytesIO(b"bytes"), "user", number, 1, 1, "image/png", False, sys.argv[2])
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "images")]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE)) for number in range(4)
        ]
        for process in processes:
            process.communicate(b"!")
        assert [process.returncode for process in processes] == [0] * 4
    assert len(names(tmp_path)) == 80


def test_what_is_not_of_the_store_s_making_is_listed_as_foreign_and_left_alone(
    store: FileSystemStore, tmp_path: Path
) -> None:
    assert list(store.list_files()) == []
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    folder = tmp_path / "images"
    (folder / "README").write_text("mine")
    (folder / ".snapshot" / "user-picture").mkdir(parents=True)
    (folder / "user-picture" / "thumbs" / "1").mkdir(parents=True)
    (folder / "user-picture" / "42" / "17" / "notes.txt").write_text("mine")
    (folder / "user-picture" / "42" / "17" / "1.1x1.png").write_text("of another folder")
    (folder / "user-picture" / "42" / "17" / "17042.1x1.png").symlink_to("/etc/passwd")
    (folder / "user-picture" / "42" / "17" / "17042.2x2.png").mkdir()
    (folder / "user-picture" / "42" / "17" / os.fsdecode(b"\xff.png")).write_text("mine")
    files = list(store.list_files())
    (own,) = [file for file in files if not file.is_foreign]
    assert (own.key, own.name) == (KEY, "user-picture/42/17/17042.640x480.k3v9q2.jpe")
    assert abs(own.modified - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
    assert {file.name.removeprefix("user-picture/42/17/") for file in files if file.is_foreign} == {
        "README",
        ".snapshot/",
        "user-picture/thumbs/",
        "notes.txt",
        "1.1x1.png",
        "17042.1x1.png",
        "17042.2x2.png/",
        "\udcff.png",
    }
    for file in files:
        if file.is_foreign:
            file.remove()
    assert len(list(store.list_files())) == len(files)


@pytest.mark.parametrize("linked", ["user-picture", "user-picture/42", "user-picture/42/17"])
def test_what_is_behind_a_link_is_not_listed_and_the_link_is(
    store: FileSystemStore, tmp_path: Path, linked: str
) -> None:
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    (tmp_path / "images" / linked).rename(tmp_path / "another disk")
    (tmp_path / "images" / linked).symlink_to(tmp_path / "another disk")
    assert [(file.name, file.key, file.is_foreign) for file in store.list_files()] == [(linked, None, True)]
    for file in store.list_files():
        file.remove()
    # It is read where it is.
    assert get(store) == b"bytes"


def test_of_a_link_in_the_place_of_a_file_the_link_is_deleted(store: FileSystemStore, tmp_path: Path) -> None:
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    file, elsewhere = tmp_path / "images" / name_of(KEY), tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    store.delete_key(KEY)
    assert elsewhere.read_bytes() == b"bytes"
    assert not file.is_symlink()


def test_folder_at_the_top_that_cannot_be_read_ends_no_listing(
    store: FileSystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_key(io.BytesIO(b"bytes"), KEY, False)
    (tmp_path / "images" / "lost+found").mkdir()
    scandir, closed = os.scandir, {"lost+found"}

    # The modes of a folder mean nothing to root, who may run these tests.
    def refusing(path: str) -> Any:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert {(file.name, file.is_foreign) for file in store.list_files()} == {
        ("lost+found/", True),
        ("user-picture/42/17/17042.640x480.k3v9q2.jpe", False),
    }
    closed.add("17")
    with pytest.raises(PermissionError):
        list(store.list_files())


def test_file_that_is_deleted_while_its_folder_is_listed_is_left_out(store: FileSystemStore) -> None:
    keys = [KEY._replace(width=width) for width in range(1, 4)]
    for key in keys:
        store.put_key(io.BytesIO(b"bytes"), key, False)
    files = store.list_files()
    first = next(files)
    for key in keys:
        store.delete_key(key)
    assert first.key in keys
    assert list(files) == []


def test_list_takes_no_memory_for_each_file(tmp_path: Path) -> None:
    store = FileSystemStore(tmp_path, "http://host/", sync=False)
    for number in range(2000):
        store.put_file(io.BytesIO(b""), "user", number * 1000, 1, 1, "image/png", False)
    tracemalloc.start()
    try:
        assert sum(1 for _ in store.list_files()) == 2000
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_deleting_what_cannot_be_deleted_is_an_error(store: FileSystemStore, tmp_path: Path) -> None:
    (tmp_path / "images" / "user-picture" / "42" / "17" / "17042.640x480.k3v9q2.jpe" / "x").mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory"):
        store.delete_key(KEY)


def test_base_url_needs_no_slash_at_its_end(tmp_path: Path) -> None:
    urls = {FileSystemStore(tmp_path, base_url).get_url(*PICTURE) for base_url in ("http://host/x", "http://host/x/")}
    assert urls == {"http://host/x/user-picture/42/17/17042.640x480.jpe"}


@pytest.mark.parametrize("prefix", ["static/images", "/static/images/", "static/images/"])
def test_prefix_is_the_path_of_urls(tmp_path: Path, prefix: str) -> None:
    store = HttpExposedFileSystemStore(tmp_path, prefix, lambda: "https://example.com")
    assert store.get_url(*PICTURE) == "https://example.com/static/images/user-picture/42/17/17042.640x480.jpe"


def test_host_url_getter_is_asked_for_every_url(tmp_path: Path) -> None:
    hosts = iter(["http://one", "http://two/"])
    store = HttpExposedFileSystemStore(tmp_path, host_url_getter=lambda: next(hosts))
    assert store.get_url(*PICTURE).startswith("http://one/__images__/user-picture/")
    assert store.get_url(*PICTURE).startswith("http://two/__images__/user-picture/")
    with pytest.raises(TypeError, match="host_url_getter must be callable"):
        HttpExposedFileSystemStore(tmp_path, host_url_getter="http://one/")  # type: ignore[arg-type]


def test_url_without_a_request_is_a_path(tmp_path: Path) -> None:
    store = HttpExposedFileSystemStore(tmp_path)
    assert store.get_url(*PICTURE) == "/__images__/user-picture/42/17/17042.640x480.jpe"


def test_module_exports_the_documented_names() -> None:
    documented = {
        "BaseFileSystemStore",
        "FileSystemStore",
        "HttpExposedFileSystemStore",
        "StaticServerMiddleware",
        "guess_extension",
    }
    assert documented <= set(fs.__all__)
