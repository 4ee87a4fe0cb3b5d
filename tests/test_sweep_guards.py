"""A sweep deletes only what it can judge, and says what it has looked at."""

from __future__ import annotations

import datetime
import io
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session

from models import Base, User, UserCover, picture, stored
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.exc import StoreError, UnsafeSweepError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import StoredFile
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.s3 import S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore

NO_TIME = datetime.timedelta(0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def engine(sqlite_url: URL) -> Iterator[Engine]:
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine, store: MemoryStore) -> Iterator[Session]:
    """A session on a database with 19 pictures, whose files the store has."""
    with Session(engine, info={"image_store": store}) as session:
        for number in range(1, 20):
            session.add(user := User(id=number))
            user.cover.from_blob(picture(100, 50, color=number))
        session.commit()
        yield session


def add(store: Any, number: int, object_type: str = "user-cover") -> FileKey:
    key = FileKey(object_type, number, 100, 50, "image/png")
    store.put_key(io.BytesIO(b"bytes"), key, False)
    return key


def test_no_more_than_a_twentieth_of_the_files_is_removed(session: Session, store: MemoryStore) -> None:
    add(store, 100)
    assert sweep(session, Base, store, NO_TIME, dry_run=False) == (1, 5)
    add(store, 100), add(store, 101)
    before = stored(store)
    with pytest.raises(UnsafeSweepError, match=r"no more than 5% of 21 files .*, got 2 \(10%\)"):
        sweep(session, Base, store, NO_TIME, dry_run=False)
    assert stored(store) == before
    files: list[StoredFile] = []
    assert sweep(session, Base, store, NO_TIME, callback=files.append) == (2, 10)
    assert {file.key and file.key.object_id for file in files} == {100, 101}
    assert sweep(session, Base, store, NO_TIME, dry_run=False, limit=0.1) == (2, 10)


def test_what_is_younger_than_the_grace_time_does_not_count_for_the_limit(session: Session, store: MemoryStore) -> None:
    for number in range(100, 110):
        add(store, number)
    assert sweep(session, Base, store, dry_run=False) == (0, 0)


def test_a_database_without_rows_is_refused_unless_the_limit_allows_all(engine: Engine, store: MemoryStore) -> None:
    with Session(engine) as session:
        assert sweep(session, Base, store, dry_run=False) == (0, 0)
        add(store, 1)
        with pytest.raises(UnsafeSweepError, match="got none for 1 files"):
            sweep(session, Base, store, dry_run=False)
        assert sweep(session, Base, store, NO_TIME) == (1, 5)
        assert len(stored(store)) == 1
        assert sweep(session, Base, store, NO_TIME, dry_run=False, limit=1) == (1, 5)


def test_files_of_unknown_types_are_left_alone_and_counted(session: Session, store: MemoryStore) -> None:
    for number in (1, 2):
        add(store, number, "blog-picture")
    add(store, 100)
    swept = sweep(session, Base, store, NO_TIME, dry_run=False, limit=1)
    assert (swept, swept.unknown_types) == ((1, 5), {"blog-picture": 2})
    assert (swept.rows, swept.listed, swept.failed, swept.unread_types) == (19, 20, 0, {})
    add(store, 100)
    with pytest.raises(UnsafeSweepError, match="2 of 'blog-picture'"):
        sweep(session, Base, store, NO_TIME, dry_run=False, require_known_types=True)
    assert len(stored(store)) == 22


def test_files_of_one_class_alone_are_no_reason_to_remove_those_of_others(session: Session, store: MemoryStore) -> None:
    add(store, 100, "user-picture")
    swept = sweep(session, UserCover, store, NO_TIME, dry_run=False, limit=1)
    assert (swept, swept.unknown_types) == ((0, 0), {"user-picture": 1})


class Stubborn(MemoryStore):
    """A store that cannot remove one of its files."""

    def list_files(self) -> Iterator[StoredFile]:
        def refuse() -> None:
            raise StoreError("it stays")

        for file in super().list_files():
            is_stubborn = file.key is not None and file.key.object_id == 100
            yield StoredFile(file.name, file.size, file.modified, file.key, refuse) if is_stubborn else file


def test_what_could_not_be_removed_is_not_counted_as_removed(session: Session, store: MemoryStore) -> None:
    stubborn = Stubborn()
    stubborn.__dict__.update(store.__dict__)
    for number in (100, 101):
        add(stubborn, number)
    failed: list[str] = []
    removed: list[StoredFile] = []
    swept = sweep(
        session,
        Base,
        stubborn,
        NO_TIME,
        dry_run=False,
        limit=1,
        callback=removed.append,
        on_error=lambda _, error: failed.append(str(error)),
    )
    assert (swept, swept.failed, failed) == ((1, 5), 1, ["it stays"])
    assert [file.key and file.key.object_id for file in removed] == [101]
    assert FileKey("user-cover", 100, 100, 50, "image/png") in stored(stubborn)


def test_a_file_that_was_written_again_after_it_was_listed_stays(session: Session) -> None:
    class Rewritten(MemoryStore):
        is_listed = False

        def list_files(self) -> Iterator[StoredFile]:
            if self.is_listed:
                add(self, 100)
            self.is_listed = True
            return super().list_files()

    store = Rewritten()
    add(store, 100)
    assert sweep(session, Base, store, NO_TIME, dry_run=False, limit=1) == (0, 0)


@pytest.mark.parametrize(
    ("limit", "error"), [(-0.1, ValueError), (1.1, ValueError), (True, TypeError), ("5%", TypeError), (None, TypeError)]
)
def test_a_limit_that_is_no_share_is_refused(session: Session, store: MemoryStore, limit: Any, error: Any) -> None:
    with pytest.raises(error, match="limit"):
        sweep(session, Base, store, limit=limit)


# Whose clock


class Slow(MemoryStore):
    """A store whose clock is an hour behind."""

    def now(self) -> datetime.datetime:
        return super().now() - datetime.timedelta(hours=1)


def test_the_age_of_a_file_is_judged_by_the_clock_of_the_store(session: Session) -> None:
    behind = Slow()
    add(behind, 100)
    assert sweep(session, Base, behind, NO_TIME, dry_run=False, limit=1) == (0, 0)
    assert list(verify(session, UserCover, behind, older_than=NO_TIME, keys=None))[-1].kind == "missing"


def test_of_several_stores_the_clock_that_makes_files_younger_counts() -> None:
    now = datetime.datetime.now(datetime.UTC)
    for store in (
        FallbackStore(MemoryStore(), Slow()),
        FallbackStore(Slow(), MemoryStore()),
        RoutingStore(MemoryStore(), {"user-cover": Slow()}),
        SandboxStore(MemoryStore(), Slow()),
    ):
        assert store.now() < now


def test_the_clock_of_a_folder_is_that_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileSystemStore(tmp_path / "images", "/")
    add(store, 1)
    real = os.stat

    def behind(path: Any, **options: Any) -> Any:
        status = real(path, **options)
        return os.stat_result([*status[:8], status.st_mtime - 3600, *status[9:]])

    monkeypatch.setattr(os, "stat", behind)
    assert store.now() < datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=59)
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["user-cover"]
    assert abs(FileSystemStore(tmp_path / "nowhere", "/").now() - store.now()) < datetime.timedelta(minutes=1)


def test_the_clock_of_a_bucket_is_that_of_its_server(s3_server: Any) -> None:
    class Refusing(BaseHTTPRequestHandler):
        """A server of the year 2000, which wants a signature."""

        def do_HEAD(self) -> None:
            self.send_response_only(403)
            self.send_header("Date", "Sat, 01 Jan 2000 12:00:00 GMT")
            self.end_headers()

    access = {"access_key": "key", "secret_key": "secret", "region": "us-east-1"}
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        store = S3Store("bucket", endpoint_url=f"http://127.0.0.1:{server.server_port}", **access)
        assert store.now() == datetime.datetime(2000, 1, 1, 12, tzinfo=datetime.UTC)
        thread.join()
    here = datetime.datetime.now(datetime.UTC)
    for url in (s3_server.endpoint_url, "http://127.0.0.1:1"):
        store = S3Store("bucket", endpoint_url=url, **access)
        assert abs(store.now() - here) < datetime.timedelta(minutes=1)
