from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import logging
import os
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import String, insert
from sqlalchemy.engine import URL, Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import databases
from models import Base, User, UserCover, picture, stored
from sqlalchemy_imageattach.audit import Finding, Swept, sweep, verify
from sqlalchemy_imageattach.bulk import batches
from sqlalchemy_imageattach.context import current_store, store_context
from sqlalchemy_imageattach.entity import Image
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.migration import migrate_class
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store, StoredFile, holds
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.s3 import S3Store

NO_TIME = datetime.timedelta(0)


@pytest.fixture(params=["memory", "fs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    return FileSystemStore(tmp_path / "images", "http://images.example.com/", sync=False)


@pytest.fixture
def gallery(engine: Engine, store: Store) -> Iterator[Session]:
    """A session on a database with some pictures, whose files the store has; it has no transaction."""
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        for number in (1, 2, 3):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(color=number))
            user.cover.from_blob(picture(100, 50, color=number))
            user.picture.generate_thumbnail(width=32)
        session.commit()
        yield session


@pytest.fixture
def sqlite(sqlite_url: URL) -> Iterator[Engine]:
    """The database of tests that are not about databases."""
    engine = databases.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def cover(number: int, width: int = 100, revision: str | None = None) -> FileKey:
    return FileKey("user-cover", number, width, 50, "image/png", revision)


def put(store: Store, key: FileKey, content: bytes = b"bytes") -> None:
    store.put_key(io.BytesIO(content), key, False)


def found(findings: Iterator[Finding]) -> set[tuple[str, FileKey | None]]:
    return {(finding.kind, finding.key) for finding in findings}


# What is found


def test_rows_and_files_that_agree_are_clean(gallery: Session, store: Store) -> None:
    assert list(verify(gallery, Base, store)) == []
    assert list(verify(gallery, Base, store, probe=True)) == []


def test_a_row_whose_file_is_gone_is_missing(gallery: Session, store: Store) -> None:
    store.delete_key(cover(2))
    (finding,) = verify(gallery, Base, store)
    assert (finding.kind, finding.key) == ("missing", cover(2))
    assert finding.row
    assert FileKey.of(gallery.get_one(*finding.row)) == cover(2)
    assert str(finding).startswith("missing: user-cover 2, 100x50, image/png: ")


def test_a_file_that_no_row_names_is_an_orphan(gallery: Session, store: Store) -> None:
    stray = [
        cover(2, width=99),
        cover(2, revision="k3v9q2"),
        cover(-7),
        FileKey("user-picture", 2**130, 1, 1, "image/gif"),
    ]
    for key in stray:
        put(store, key)
    findings = list(verify(gallery, Base, store))
    assert found(iter(findings)) == {("orphan", key) for key in stray}
    assert {finding.name for finding in findings} == {file.name for file in store.list_files() if file.key in stray}
    assert {finding.row for finding in findings} == {None}


def test_each_part_of_a_name_tells_files_apart(gallery: Session, store: Store) -> None:
    with store.get_key(cover(3)) as file:
        content = file.read()
    store.delete_key(cover(3))
    put(store, cover(3)._replace(mimetype="image/jpeg"), content)
    assert found(verify(gallery, Base, store)) == {
        ("missing", cover(3)),
        ("orphan", cover(3)._replace(mimetype="image/jpeg")),
    }


def test_other_names_of_a_type_name_the_same_file(gallery: Session, store: Store) -> None:
    gallery.execute(UserCover.__table__.update().values(mimetype="image/x-png"))
    gallery.commit()
    assert list(verify(gallery, Base, store, probe=True)) == []


def test_an_empty_file_is_unreadable(gallery: Session, store: Store) -> None:
    put(store, cover(1), b"")
    assert found(verify(gallery, Base, store)) == {("unreadable", cover(1))}


def test_debris_of_an_interrupted_write_is_found(engine: Engine, gallery: Session, tmp_path: Path) -> None:
    store = FileSystemStore(tmp_path / "crashed", "/")
    put(store, cover(9))
    (tmp_path / "crashed/user-cover/9/0/.0123456789abcdef.tmp").write_bytes(b"half of i")
    findings = [finding for finding in verify(gallery, Base, store) if finding.kind == "debris"]
    assert [finding.name for finding in findings] == ["user-cover/9/0/.0123456789abcdef.tmp"]
    assert "9 bytes" in str(findings[0])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"no image at all", "unreadable"),
        (picture(100, 50)[:-20], "unreadable"),
        (picture(50, 100), "mismatch"),
        (picture(100, 50, format="JPEG"), "mismatch"),
        (picture(100, 50, color=77), None),
    ],
    ids=["garbage", "truncated", "another size", "another type", "another picture"],
)
def test_probing_compares_what_is_in_a_file_with_its_row(
    gallery: Session, store: Store, content: bytes, kind: str | None
) -> None:
    put(store, cover(2), content)
    assert list(verify(gallery, Base, store)) == []
    assert found(verify(gallery, Base, store, probe=True)) == ({(kind, cover(2))} if kind else set())


class CannotList(MemoryStore):
    def list_files(self) -> Iterator[StoredFile]:
        return Store.list_files(self)


def test_a_store_that_cannot_list_is_asked_for_each_file(sqlite: Engine) -> None:
    store = CannotList()
    with Session(sqlite, info={"image_store": store}) as session:
        session.add(user := User(id=1))
        user.cover.from_blob(picture(100, 50))
        session.add(other := User(id=2))
        other.cover.from_blob(picture(100, 50))
        session.commit()
        put(store, cover(3))
        store.delete_key(cover(2))
        assert found(verify(session, Base, store)) == {("missing", cover(2))}
        session.commit()
        with pytest.raises(NotImplementedError, match="list_files"):
            sweep(session, Base, store)


class WithoutRevisions(MemoryStore):
    """A store as the guide has users write it."""

    def takes_revision(self) -> bool:
        return False


def test_a_store_without_revisions_is_compared_without(gallery: Session, store: Store) -> None:
    names = {key: blob for key, blob in stored(store).items() if key}
    assert {key.revision is None for key in names} == {True, False}
    documented = WithoutRevisions()
    for key, blob in names.items():
        put(documented, key, blob)
    assert {key.revision for key in stored(documented) if key} == {None}
    assert list(verify(gallery, Base, documented, probe=True)) == []
    assert sweep(gallery, Base, documented, NO_TIME, dry_run=False, limit=1).files == 0
    documented.delete_key(cover(2))
    assert found(verify(gallery, Base, documented)) == {("missing", cover(2))}


def test_a_file_that_may_not_be_read_is_unreadable_and_not_missing(sqlite: Engine) -> None:
    class Refusing(MemoryStore):
        def get_key(self, key: FileKey) -> IO[bytes]:
            raise StoreError("the secret is wrong")

    store = Refusing()
    with Session(sqlite, info={"image_store": store}) as session:
        session.add(user := User(id=1))
        user.picture.from_blob(picture())
        session.commit()
        (finding,) = verify(session, Base, store, probe=True)
        assert (finding.kind, finding.reason) == ("unreadable", "the secret is wrong")


def test_a_class_may_be_compared_alone(gallery: Session, store: Store) -> None:
    store.delete_key(cover(1))
    put(store, cover(9))
    put(store, FileKey("user-picture", 9, 1, 1, "image/png"))
    assert found(verify(gallery, UserCover, store)) == {("missing", cover(1)), ("orphan", cover(9))}
    gallery.commit()
    assert sweep(gallery, UserCover, store, NO_TIME, dry_run=False, limit=1).files == 1
    assert found(verify(gallery, Base, store)) == {
        ("missing", cover(1)),
        ("orphan", FileKey("user-picture", 9, 1, 1, "image/png")),
    }


# Sweeping


def test_a_sweep_removes_what_has_no_row_and_nothing_else(gallery: Session, store: Store) -> None:
    before = stored(store)
    put(store, cover(9))
    put(store, cover(2, revision="k3v9q2"), b"more bytes")
    assert sweep(gallery, Base, store, NO_TIME, dry_run=False, limit=1) == Swept(files=2, bytes=15)
    assert stored(store) == before
    assert sweep(gallery, Base, store, NO_TIME, dry_run=False, limit=1) == Swept(files=0, bytes=0)


def test_a_sweep_is_dry_by_default(gallery: Session, store: Store) -> None:
    put(store, cover(9))
    files: list[StoredFile] = []
    assert sweep(gallery, Base, store, NO_TIME, callback=files.append) == (1, 5)
    assert [file.key for file in files] == [cover(9)]
    assert cover(9) in stored(store)


def test_a_sweep_leaves_what_is_younger_than_the_grace_time(gallery: Session, tmp_path: Path) -> None:
    store = FileSystemStore(tmp_path / "images", "http://images.example.com/")
    put(store, cover(8))
    put(store, cover(9))
    old = time.time() - 3 * 60 * 60
    os.utime(tmp_path / "images/user-cover/8/0/8.100x50.png", (old, old))
    assert sweep(gallery, Base, store, dry_run=False, limit=1).files == 0
    assert sweep(gallery, Base, store, datetime.timedelta(hours=2), dry_run=False, limit=1).files == 1
    assert cover(8) not in stored(store)
    assert cover(9) in stored(store)
    assert found(verify(gallery, Base, store, older_than=datetime.timedelta(hours=2))) <= found(
        verify(gallery, Base, store)
    )
    assert ("orphan", cover(9)) not in found(verify(gallery, Base, store, older_than=datetime.timedelta(hours=2)))


def test_debris_is_swept(gallery: Session, tmp_path: Path) -> None:
    store = FileSystemStore(tmp_path / "images", "http://images.example.com/")
    put(store, cover(9))
    debris = tmp_path / "images/user-cover/9/0/.0123456789abcdef.tmp"
    debris.write_bytes(b"half of i")
    assert sweep(gallery, UserCover, store, dry_run=False, limit=1).files == 0
    assert sweep(gallery, UserCover, store, NO_TIME, dry_run=False, limit=1) == (2, 14)
    assert not debris.exists()


def test_other_occupants_of_a_store_are_counted_and_left_alone(
    sqlite: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FileSystemStore(tmp_path / "images", "http://images.example.com/")
    foreign = FileKey("blog-picture", 1, 100, 50, "image/png")
    put(store, foreign)
    put(store, foreign._replace(object_id=2))
    put(store, cover(9))
    names = ["README", "user-cover/README", "user-cover/9/0/notes.txt", "user-cover/9/0/9.100x50.png.bak"]
    names += ["user-cover/10/0/9.100x50.png", "blog-picture/1/0/.0123456789abcdef.tmp", "user-cover/9/0/.9.tmp"]
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"somebody else's")
    with caplog.at_level(logging.INFO, "sqlalchemy_imageattach"), Session(sqlite) as session:
        assert found(verify(session, Base, store)) == {("orphan", cover(9))}
        assert "3 files of the object type 'blog-picture'" in caplog.text
        assert sweep(session, Base, store, NO_TIME, dry_run=False, limit=1).files == 1
    assert all((tmp_path / "images" / name).exists() for name in names)
    assert foreign in stored(store)


@pytest.mark.parametrize("linked", ["user-cover", "user-cover/9", "user-cover/9/0"])
def test_a_sweep_removes_nothing_behind_a_link(sqlite: Engine, tmp_path: Path, linked: str) -> None:
    store = FileSystemStore(tmp_path / "images", "http://images.example.com/")
    put(store, cover(9))
    (tmp_path / "images" / linked).rename(tmp_path / "elsewhere")
    (tmp_path / "images" / linked).symlink_to(tmp_path / "elsewhere")
    with Session(sqlite) as session:
        swept = sweep(session, Base, store, NO_TIME, dry_run=False, limit=1)
    assert (swept.files, swept.foreign, swept.foreign_names) == (0, 1, (linked,))
    assert holds(store, cover(9))


def test_a_file_that_cannot_be_removed_is_reported(sqlite: Engine) -> None:
    class Stubborn(MemoryStore):
        def list_files(self) -> Iterator[StoredFile]:
            for file in super().list_files():
                if file.key == cover(1):
                    yield StoredFile(file.name, file.size, file.modified, file.key, self.refuse)
                else:
                    yield file

        def refuse(self) -> None:
            raise StoreError("the disk is read-only")

    store = Stubborn()
    for number in (1, 2, 3):
        put(store, cover(number))
    failures: list[tuple[StoredFile, Exception]] = []
    with Session(sqlite) as session:
        with pytest.raises(StoreError, match="read-only"):
            sweep(session, Base, store, NO_TIME, dry_run=False, limit=1)
        sweep(session, Base, store, NO_TIME, dry_run=False, limit=1, on_error=lambda *failure: failures.append(failure))
    assert [file.key for file, _ in failures] == [cover(1)]
    assert set(stored(store)) == {cover(1)}


class Tagged(DeclarativeBase):
    pass


class Label(Tagged, Image):
    """Each row tells its own object type."""

    __tablename__ = "label"

    label_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))

    @property
    def object_type(self) -> str:  # type: ignore[override]
        return self.kind


class Front(Tagged, Image):
    """Its object type is that of some labels."""

    __tablename__ = "front"

    front_id: Mapped[int] = mapped_column(primary_key=True)


def test_object_types_are_those_of_the_classes_and_of_the_rows(engine: Engine, store: Store) -> None:
    Tagged.metadata.create_all(engine)
    size = {"width": 1, "height": 1, "mimetype": "image/png"}
    with Session(engine) as session:
        session.execute(insert(Label).values(label_id=1, kind="front", **size))
        session.execute(insert(Label).values(label_id=2, kind="back", **size))
        session.execute(insert(Front).values(front_id=3, **size))
        session.commit()
        named = [
            FileKey("front", 1, 1, 1, "image/png"),
            FileKey("back", 2, 1, 1, "image/png"),
            FileKey("front", 3, 1, 1, "image/png"),
        ]
        strays = [key._replace(width=2) for key in named] + [FileKey("side", 1, 1, 1, "image/png")]
        for key in named + strays:
            put(store, key)
        assert sweep(session, Front, store, NO_TIME, dry_run=False, limit=1).files == 2
        assert set(stored(store)) == {*named, strays[1], strays[3]}
        assert sweep(session, Tagged, store, NO_TIME, dry_run=False, limit=1).files == 1
        assert set(stored(store)) == {*named, strays[3]}


def test_rows_are_compared_with_a_bucket(sqlite: Engine, s3_server: Any) -> None:
    store = S3Store(
        s3_server.bucket,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        region=s3_server.region,
        endpoint_url=s3_server.endpoint_url,
        prefix=uuid.uuid4().hex,
    )
    with Session(sqlite, info={"image_store": store}) as session:
        for number in (1, 2):
            session.add(user := User(id=number))
            user.cover.from_blob(picture(100, 50))
        session.commit()
        put(store, cover(9))
        store.delete_key(cover(2))
        assert found(verify(session, Base, store, probe=True)) == {("missing", cover(2)), ("orphan", cover(9))}
        assert sweep(session, Base, store, NO_TIME, dry_run=False, limit=1) == (1, 5)
        assert set(stored(store)) == {cover(1)}


# Others at work meanwhile


class Meanwhile(MemoryStore):
    """A store in which something happens once its files have been listed."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: list[Callable[[], object]] = []

    def list_files(self) -> Iterator[StoredFile]:
        yield from super().list_files()
        while self.happens:
            self.happens.pop()()


@contextlib.contextmanager
def at_work(engine: Engine) -> Iterator[tuple[Session, Session, Meanwhile]]:
    """A session to audit with, another one to work with, and their store, which has a picture of one user."""
    store = Meanwhile()
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as own, Session(engine, info={"image_store": store}) as other:
        other.add(user := User(id=1))
        user.picture.from_blob(picture())
        other.commit()
        yield own, other, store


def _replace_picture(session: Session) -> None:
    session.get_one(User, 1).picture.from_blob(picture(color=2))
    session.commit()


def _remove_picture(session: Session) -> None:
    session.delete(session.get_one(User, 1))
    session.commit()


def _add_picture(session: Session) -> None:
    session.add(user := User(id=2))
    user.picture.from_blob(picture())
    session.commit()


@pytest.mark.parametrize("work", [_replace_picture, _remove_picture, _add_picture])
@pytest.mark.parametrize("probe", [False, True])
def test_what_is_committed_between_listing_and_reading_is_no_finding(
    engine: Engine, work: Callable[[Session], None], probe: bool
) -> None:
    with at_work(engine) as (own, other, store):
        store.happens.append(lambda: work(other))
        assert list(verify(own, Base, store, probe=probe)) == []
        assert not store.happens


@pytest.mark.parametrize("work", [_replace_picture, _remove_picture])
def test_what_is_committed_after_reading_is_no_finding(engine: Engine, work: Callable[[Session], None]) -> None:
    with at_work(engine) as (own, other, store):

        class Late(Meanwhile):
            def get_key(self, key: FileKey) -> IO[bytes]:
                while late.happens:
                    late.happens.pop()()
                return store.get_key(key)

            def list_files(self) -> Iterator[StoredFile]:
                return Store.list_files(self)

        late = Late()
        late.happens.append(lambda: work(other))
        late.workers = 1
        assert list(verify(own, Base, late, probe=True)) == []


@pytest.mark.parametrize("work", [_replace_picture, _add_picture])
def test_a_sweep_without_grace_keeps_what_is_committed_while_it_runs(
    engine: Engine, work: Callable[[Session], None]
) -> None:
    with at_work(engine) as (own, other, store):
        store.happens.append(lambda: work(other))
        assert sweep(own, Base, store, NO_TIME, dry_run=False, limit=1).files == 0
        own.commit()
        assert list(verify(own, Base, store, probe=True)) == []


def test_a_sweep_without_grace_keeps_a_file_whose_transaction_commits_after_the_listing(engine: Engine) -> None:
    with at_work(engine) as (own, other, store):
        other.add(user := User(id=2))
        user.picture.from_blob(picture())
        other.flush()
        store.happens.append(other.commit)
        assert sweep(own, Base, store, NO_TIME, dry_run=False, limit=1).files == 0
        assert list(verify(own, Base, store, probe=True)) == []


def test_a_file_whose_transaction_goes_on_survives_the_grace_time(engine: Engine) -> None:
    with at_work(engine) as (own, other, store):
        other.add(user := User(id=2))
        user.picture.from_blob(picture())
        other.flush()
        assert sweep(own, Base, store, datetime.timedelta(minutes=1), dry_run=False, limit=1).files == 0
        other.commit()
        assert list(verify(own, Base, store, probe=True)) == []


def test_a_sweep_does_not_trust_what_the_session_has_loaded(engine: Engine) -> None:
    with at_work(engine) as (_, other, store), Session(engine, expire_on_commit=False) as own:
        loaded = own.get_one(User, 1).picture.original
        own.commit()
        _replace_picture(other)
        assert sweep(own, Base, store, NO_TIME, dry_run=False, limit=1).files == 0
        assert list(verify(own, Base, store)) == []
        assert FileKey.of(loaded) not in stored(store)


def test_a_sweep_in_a_transaction_is_refused(engine: Engine) -> None:
    with at_work(engine) as (own, _, store):
        own.get_one(User, 1)
        put(store, cover(9))
        with pytest.raises(ValueError, match="without a transaction"):
            sweep(own, Base, store, NO_TIME, dry_run=False, limit=1)
        assert cover(9) in stored(store)


def test_verify_in_a_transaction_sees_what_the_transaction_did_and_leaves_it_be(engine: Engine) -> None:
    with at_work(engine) as (own, other, store):
        own.add(user := User(id=2))
        user.cover.from_blob(picture(100, 50))
        own.flush()
        user.name = "not flushed yet"
        transaction = own.get_transaction()
        assert list(verify(own, Base, store, probe=True)) == []
        assert own.get_transaction() is transaction
        assert user.name == "not flushed yet"
        if engine.dialect.name != "sqlite":
            assert found(verify(other, Base, store)) == {("orphan", cover(2))}
        own.commit()
        assert list(verify(other, Base, store)) == []


def test_verify_leaves_no_transaction_behind(gallery: Session, store: Store) -> None:
    list(verify(gallery, Base, store))
    sweep(gallery, Base, store)
    assert not gallery.in_transaction()


# In constant memory


class Endless(Store):
    """A store of many files that is made up while it is listed, in another order than that of the rows."""

    def __init__(self, count: int) -> None:
        self.count = count

    def list_files(self) -> Iterator[StoredFile]:
        earlier = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        for number in range(self.count):
            key = FileKey("leaf", number * 7919 % self.count, 1, 1, "image/png")
            yield StoredFile(f"leaf {key.object_id}", 1, earlier, key, lambda: None)

    def get_file(self, *args: Any) -> IO[bytes]:
        return io.BytesIO(b"bytes")


class Leaves(DeclarativeBase):
    pass


class Leaf(Leaves, Image):
    __tablename__ = "leaf"

    leaf_id: Mapped[int] = mapped_column(primary_key=True)
    revision = None


def _peak(engine: Engine, files: int) -> tuple[int, int]:
    """How many findings there are, and how many bytes of Python's memory they took to find."""
    with Session(engine) as session:
        tracemalloc.start()
        try:
            findings = sum(1 for _ in verify(session, Leaves, Endless(files)))
            return findings, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_memory_does_not_grow_with_rows_and_files(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 100)
    Leaves.metadata.create_all(sqlite)
    values = [{"leaf_id": number, "width": 1, "height": 1, "mimetype": "image/png"} for number in range(5000)]
    with sqlite.begin() as connection:
        connection.execute(insert(Leaf), values[:1000])
    few, small = _peak(sqlite, 2000)
    with sqlite.begin() as connection:
        connection.execute(insert(Leaf), values[1000:])
    many, large = _peak(sqlite, 10_000)
    assert (few, many) == (1000, 5000)
    # What is compiled and cached once differs from run to run; what was kept of each row and file would be five times.
    assert large < small * 2


# What is refused, and asyncio


def test_wrong_arguments_are_refused_at_once(sqlite: Engine) -> None:
    store = MemoryStore()
    with Session(sqlite) as session:
        for function in (verify, sweep):
            for arguments, options in [
                ((None, Base, store), {}),
                ((session, None, store), {}),
                ((session, User, store), {}),
                ((session, Base, None), {}),
                ((session, Base, store), {"older_than": 5}),
                ((session, Base, store), {"on_progress": []}),
            ]:
                with pytest.raises(TypeError):
                    function(*arguments, **options)
            with pytest.raises(ValueError, match="negative"):
                function(session, Base, store, older_than=datetime.timedelta(-1))
        for name in ("callback", "on_error"):
            with pytest.raises(TypeError, match=f"as {name}"):
                sweep(session, Base, store, **{name: []})


def test_the_current_store_is_meant_as_it_was_at_the_call(sqlite: Engine) -> None:
    store = MemoryStore()
    put(store, cover(9))
    with Session(sqlite) as session, store_context(store):
        findings = verify(session, Base, current_store)
    assert found(findings) == {("orphan", cover(9))}


def test_an_async_session_audits_by_run_sync(sqlite: Engine, sqlite_url: URL) -> None:
    store = MemoryStore()
    put(store, cover(9))

    async def audit() -> tuple[set[tuple[str, FileKey | None]], Swept]:
        engine = databases.make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with AsyncSession(engine) as session:
            findings = await session.run_sync(lambda session: found(verify(session, Base, store, probe=True)))
            await session.rollback()
            swept = await session.run_sync(lambda session: sweep(session, Base, store, NO_TIME, dry_run=False, limit=1))
        await engine.dispose()
        return findings, swept

    assert asyncio.run(audit()) == ({("orphan", cover(9))}, (1, 5))


def test_files_that_another_machine_s_mime_types_named_are_there_and_get_today_s_name_by_a_move(
    sqlite: Engine, tmp_path: Path
) -> None:
    old, new = (FileSystemStore(tmp_path / name, "https://example.com/") for name in ("old", "new"))
    with Session(sqlite) as session:
        session.add(user := User())
        user.cover.from_blob(picture(format="WEBP"), old)
        session.commit()
        (path,) = (tmp_path / "old").rglob("*.webp")
        path.rename(path.with_name(path.stem + "None"))
        assert list(verify(session, UserCover, old, probe=True)) == []
        migrate_class(session, UserCover, old, new).execute()
        assert list(verify(session, UserCover, new)) == []
    assert [each.name for each in (tmp_path / "new").rglob("*.webp")] == [path.name]
