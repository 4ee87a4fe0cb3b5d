from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import itertools
import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, String, event, insert, inspect, select, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declarative_base, mapped_column, relationship

import databases
from models import Album, Base, User, UserCover, UserPicture, picture, stored
from sqlalchemy_imageattach.bulk import batches, copying
from sqlalchemy_imageattach.context import current_store, store_context
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.migration import MigrationPlan, migrate, migrate_class
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.s3 import S3Store


class Destination(MemoryStore):
    """A store that counts what is put, and knows that a migration never deletes."""

    def __init__(self) -> None:
        super().__init__()
        self.put: list[FileKey] = []

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        super().put_key(file, key, reproducible)
        self.put.append(key)

    def delete_key(self, key: FileKey) -> None:
        raise AssertionError(f"{key} was deleted")


class Source(MemoryStore):
    """A store that is only written to by an application, which says so."""

    is_in_use = True

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        assert self.is_in_use
        super().put_key(file, key, reproducible)

    def delete_key(self, key: FileKey) -> None:
        assert self.is_in_use
        super().delete_key(key)


@pytest.fixture
def old() -> Source:
    return Source()


@pytest.fixture
def new() -> Destination:
    return Destination()


@pytest.fixture
def sqlite(sqlite_url: URL) -> Iterator[Engine]:
    """The database of tests that are not about databases."""
    engine = databases.make_engine(sqlite_url)
    yield engine
    engine.dispose()


@contextlib.contextmanager
def filled(engine: Engine, store: Source, users: int = 4) -> Iterator[Session]:
    """A session on a database with pictures of some users, which are in the store."""
    Base.metadata.create_all(engine)
    with Session(engine) as session, store_context(store):
        for number in range(1, users + 1):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(color=number))
            user.cover.from_blob(picture(100, 50, color=number))
            user.picture.generate_thumbnail(width=32)
        session.commit()
    store.is_in_use = False
    with Session(engine) as session:
        yield session


@pytest.fixture
def session(sqlite: Engine, old: Source) -> Iterator[Session]:
    with filled(sqlite, old) as session:
        yield session


def test_every_file_of_every_class_is_copied_and_the_source_is_left_alone(
    engine: Engine, old: Source, new: Destination
) -> None:
    with filled(engine, old) as session:
        with store_context(old), Session(engine) as other:
            old.is_in_use = True
            other.add(album := Album(id=1))
            for position in range(3):
                album.photos.get_image_set(position=position).from_blob(picture(color=position))
            other.commit()
            old.is_in_use = False
        before = stored(old)
        images = list(migrate(session, Base, old, new))
        assert {FileKey.of(image) for image in images} == set(before) == set(new.put)
        assert stored(new) == stored(old) == before
        assert len(new.put) == len(before) == 4 * 3 + 3


def test_originals_and_thumbnails_are_told_apart(session: Session, old: Source) -> None:
    told = {}

    class Telling(MemoryStore):
        def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
            told[key] = reproducible

    for image in migrate(session, Base, old, Telling()):
        assert told[FileKey.of(image)] is not image.original


def test_a_plan_does_nothing_until_it_is_executed(session: Session, old: Source, new: Destination) -> None:
    plan = migrate(session, Base, old, new)
    assert isinstance(plan, MigrationPlan)
    assert not stored(new)
    plan.execute()
    assert stored(new) == stored(old)


def test_a_plan_can_be_executed_again(session: Session, old: Source, new: Destination) -> None:
    plan = migrate(session, Base, old, new)
    plan.execute()
    plan.execute()
    assert len(new.put) == 2 * len(stored(old))


def test_an_image_is_yielded_once_it_is_copied(session: Session, old: Source, new: Destination) -> None:
    for number, image in enumerate(migrate(session, Base, old, new), 1):
        assert new.put[-1] == FileKey.of(image)
        assert len(new.put) == number


def test_execute_calls_back_with_each_image(session: Session, old: Source, new: Destination) -> None:
    images: list[Image] = []
    migrate(session, Base, old, new).execute(images.append)
    assert [FileKey.of(image) for image in images] == new.put
    assert len(images) == len(stored(old))


def test_a_callback_that_cannot_be_called_is_refused_before_anything_is_copied(
    session: Session, old: Source, new: Destination
) -> None:
    with pytest.raises(TypeError, match="as callback"):
        migrate(session, Base, old, new).execute("print")  # type: ignore[arg-type]
    assert not stored(new)


def test_wrong_types_are_refused_at_once(session: Session, old: Source, new: Destination) -> None:
    class Abstract(Base):
        __abstract__ = True

    for arguments, options in [
        ((None, Base, old, new), {}),
        ((Session, Base, old, new), {}),
        ((session, None, old, new), {}),
        ((session, UserPicture, old, new), {}),
        ((session, Base.registry, old, new), {}),
        ((session, Base, None, new), {}),
        ((session, Base, old, "new"), {}),
        ((session, Base, old, new), {"workers": "2"}),
        ((session, Base, old, new), {"workers": True}),
        ((session, Base, old, new), {"on_error": []}),
        ((session, Base, old, new), {"on_skip": []}),
        ((session, Base, old, new), {"checkpoint": 1}),
        ((session, Base, old, new), {"max_bytes_per_second": "1M"}),
    ]:
        with pytest.raises(TypeError):
            migrate(*arguments, **options)  # type: ignore[arg-type]
    for wrong in (None, Base, Abstract, Image, User, "UserPicture"):
        with pytest.raises(TypeError, match="expected a mapped class"):
            migrate_class(session, wrong, old, new)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Session as session"):
        migrate_class(None, UserPicture, old, new)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a function that returns"):
        MigrationPlan(None)  # type: ignore[arg-type]


def test_values_out_of_range_are_refused_at_once(session: Session, old: Source, new: Destination) -> None:
    with pytest.raises(ValueError, match="two stores"):
        migrate(session, Base, old, old)
    with pytest.raises(ValueError, match="workers"):
        migrate(session, Base, old, new, workers=0)
    with pytest.raises(ValueError, match="max_bytes_per_second"):
        migrate(session, Base, old, new, max_bytes_per_second=0)


def test_migrate_class_copies_one_class(session: Session, old: Source, new: Destination) -> None:
    images = list(migrate_class(session, UserCover, old, new))
    assert {type(image) for image in images} == {UserCover}
    assert stored(new) == {key: blob for key, blob in stored(old).items() if key and key.object_type == "user-cover"}


def test_the_current_store_of_when_the_plan_was_made_is_meant(session: Session, old: Source, new: Destination) -> None:
    with store_context(old):
        plan = migrate(session, Base, current_store, new)
    plan.execute()
    assert stored(new) == stored(old)


def test_classes_of_a_classic_declarative_base_are_found(sqlite: Engine, old: Source, new: Destination) -> None:
    Classic: Any = declarative_base()

    class Person(Classic):
        __tablename__ = "person"
        id = Column(Integer, primary_key=True)
        portrait = image_attachment("Portrait")

    class Portrait(Classic, Image):
        __tablename__ = "portrait"
        person_id = Column(Integer, ForeignKey("person.id"), primary_key=True)
        person = relationship(Person, lazy="joined", viewonly=True)

    Classic.metadata.create_all(sqlite)
    with Session(sqlite) as session, store_context(old):
        session.add(person := Person(id=1))
        person.portrait.from_blob(picture())
        session.commit()
    with Session(sqlite) as session:
        (image,) = migrate(session, Classic, old, new)
        assert type(image) is Portrait
        # What the model loads eagerly is not loaded for this.
        assert "person" in inspect(image).unloaded
    assert stored(new) == stored(old)


class Animals(DeclarativeBase):
    pass


class Photo(Animals, Image):
    __tablename__ = "photo"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "photo"}

    animal_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))


class NightPhoto(Photo):
    """Of the same table."""

    __mapper_args__ = {"polymorphic_identity": "night"}


class Poster(Photo):
    """Of a table that is joined."""

    __tablename__ = "poster"
    __mapper_args__ = {"polymorphic_identity": "poster"}
    __table_args__ = (
        ForeignKeyConstraint(["animal_id", "width", "height"], ["photo.animal_id", "photo.width", "photo.height"]),
    )

    animal_id: Mapped[int] = mapped_column(primary_key=True)
    width = Column(Integer, primary_key=True)
    height = Column(Integer, primary_key=True)


@pytest.fixture
def animals(engine: Engine, old: Source) -> Iterator[Session]:
    """A session on a database with two photos, night photos and posters each, which are in the store."""
    Animals.metadata.create_all(engine)
    with Session(engine) as session:
        for number, kind in enumerate(["photo", "night", "poster"] * 2, 1):
            size = {"animal_id": number, "width": 64, "height": 48}
            session.execute(insert(Photo.__table__).values(kind=kind, mimetype="image/png", **size))
            if kind == "poster":
                session.execute(insert(Poster.__table__).values(**size))
            object_type = "poster" if kind == "poster" else "photo"
            old.put_key(io.BytesIO(picture(color=number)), FileKey(object_type, number, 64, 48, "image/png"), False)
        session.commit()
        yield session


def test_each_row_of_an_inheritance_hierarchy_is_copied_once(animals: Session, old: Source, new: Destination) -> None:
    images = list(migrate(animals, Animals, old, new))
    assert [type(image) for image in images] == [Photo, NightPhoto, Poster] * 2
    assert stored(new) == stored(old)
    assert len(new.put) == 6


@pytest.mark.parametrize("cls", [NightPhoto, Poster])
def test_migrate_class_copies_only_the_rows_of_a_subclass(
    animals: Session, old: Source, new: Destination, cls: type[Photo]
) -> None:
    assert [type(image) for image in migrate_class(animals, cls, old, new)] == [cls] * 2
    assert len(new.put) == 2


def test_rows_are_read_in_batches_that_end_anywhere_in_a_key(
    engine: Engine, old: Source, new: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(engine, old) as session:
        for size in (1, 2, 5):
            monkeypatch.setattr(batches, "BATCH_SIZE", size)
            assert len(list(migrate(session, Base, old, new))) == len(stored(old))
    assert stored(new) == stored(old)


def test_rows_do_not_gather_in_memory(
    session: Session, old: Source, new: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    seen: list[weakref.ref[Image]] = []
    for image in migrate(session, Base, old, new, workers=2):
        seen.append(weakref.ref(image))
        gc.collect()
        assert sum(each() is not None for each in seen) <= 4
    assert len(seen) == len(stored(old))


@pytest.mark.parametrize("verify", [False, True])
def test_files_are_streamed(sqlite: Engine, tmp_path: Path, verify: bool) -> None:
    old = FileSystemStore(tmp_path / "old", "http://example.com/")
    new = FileSystemStore(tmp_path / "new", "http://example.com/")
    Base.metadata.create_all(sqlite)
    with Session(sqlite) as session:
        key = _insert_cover(session)
        with io.BytesIO(bytes(32 << 20)) as large:
            old.put_key(large, key, False)
        list(migrate(session, Base, MemoryStore(), new, on_error=lambda *_: None))  # what is loaded once is not counted
        tracemalloc.start()
        try:
            migrate(session, Base, old, new, verify=verify).execute()
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
    with new.get_key(key) as file:
        assert len(file.read()) == 32 << 20


def _insert_cover(session: Session, number: int = 1, revision: str | None = None) -> FileKey:
    session.execute(insert(User).values(id=number, name=""))
    values = {"user_id": number, "width": 64, "height": 48, "mimetype": "image/png", "original": True}
    session.execute(insert(UserCover).values(**values))
    session.commit()
    return FileKey("user-cover", number, 64, 48, "image/png")


# What goes wrong


def _lose(store: MemoryStore, number: int) -> FileKey:
    """Loses the cover of a user."""
    key = FileKey("user-cover", number, 100, 50, "image/png")
    MemoryStore.delete_file(store, *key)
    return key


def test_the_first_error_ends_the_plan_and_names_the_file(session: Session, old: Source, new: Destination) -> None:
    lost = _lose(old, 2)
    with pytest.raises(ImageNotFoundError) as caught:
        migrate(session, Base, old, new).execute()
    assert str(tuple(lost)) in caught.value.__notes__[0]
    assert set(stored(new).items()) < set(stored(old).items())


@pytest.mark.parametrize("workers", [1, 3])
def test_errors_are_reported_and_the_others_copied_where_that_is_asked_for(
    session: Session, old: Source, new: Destination, workers: int
) -> None:
    lost = {_lose(old, 2), _lose(old, 4)}
    failures: list[tuple[Image, Exception]] = []
    images = list(migrate(session, Base, old, new, workers=workers, on_error=lambda *failure: failures.append(failure)))
    assert {FileKey.of(image) for image, _ in failures} == lost
    assert {type(error) for _, error in failures} == {ImageNotFoundError}
    assert {FileKey.of(image) for image in images} == set(stored(old))
    assert stored(new) == stored(old)


class CutOff(Source):
    """A store whose connection breaks in the middle of each file."""

    def get_key(self, key: FileKey) -> IO[bytes]:
        file = super().get_key(key)

        class Half:
            def read(self, size: int = -1) -> bytes:
                if file.tell():
                    raise StoreError("the connection was cut off")
                return file.read(10)

            def close(self) -> None:
                file.close()

        return Half()  # type: ignore[return-value]


def test_nothing_is_left_of_a_file_that_was_cut_off(sqlite: Engine, tmp_path: Path) -> None:
    new = FileSystemStore(tmp_path / "new", "http://example.com/")
    with filled(sqlite, old := CutOff()) as session, pytest.raises(StoreError, match="cut off"):
        migrate(session, Base, old, new).execute()
    assert not list(new.list_files())


def test_a_destination_that_is_full_keeps_what_it_has(session: Session, old: Source, new: Destination) -> None:
    class Full(Destination):
        def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
            if len(self.put) == 5:
                raise StoreError(28, "no space left on device")
            super().put_key(file, key, reproducible)

    full = Full()
    with pytest.raises(StoreError, match="no space left"):
        migrate(session, Base, old, full).execute()
    assert len(stored(full)) == 5


def test_a_row_that_was_deleted_or_replaced_meanwhile_is_no_error(
    engine: Engine, old: Source, new: Destination
) -> None:
    with filled(engine, old) as session:
        images = iter(migrate(session, Base, old, new))
        next(images)
        old.is_in_use = True
        with Session(engine, info={"image_store": old}) as other:
            other.delete(other.get_one(User, 2))
            other.get_one(User, 3).picture.from_blob(picture(color=99))
            other.commit()
        old.is_in_use = False
        for _ in images:
            pass
    assert {key for key in stored(old) if key and key.object_id != 1} <= set(stored(new))
    assert picture(color=99) in stored(new).values()
    assert not any(key and key.object_id == 2 for key in new.put)


def test_rows_that_are_added_meanwhile_are_copied_too(
    engine: Engine, old: Source, new: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    with filled(engine, old) as session:
        images = iter(migrate_class(session, UserPicture, old, new))
        next(images)
        old.is_in_use = True
        with Session(engine, info={"image_store": old}) as other:
            other.add(user := User(id=1000))
            user.picture.from_blob(picture())
            other.commit()
        old.is_in_use = False
        assert [image.object_id for image in images][-1] == 1000


# Side by side


def test_as_many_files_as_asked_for_are_copied_at_once(session: Session, old: Source) -> None:
    meeting = threading.Barrier(4)

    class Meeting(Destination):
        def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
            meeting.wait(timeout=30)
            super().put_key(file, key, reproducible)

    new = Meeting()
    images = list(migrate(session, Base, old, new, workers=4))
    assert stored(new) == stored(old)
    assert [FileKey.of(image) for image in images] == [
        FileKey.of(image) for image in migrate(session, Base, old, Destination())
    ]


def test_leaving_a_plan_in_the_middle_waits_for_what_was_begun(session: Session, old: Source) -> None:
    running = threading.Semaphore(0)

    class Counting(Destination):
        def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
            super().put_key(file, key, reproducible)
            running.release()

    new = Counting()
    images = migrate(session, Base, old, new, workers=3).function()
    next(images)
    images.close()  # type: ignore[attr-defined]
    done = len(new.put)
    assert all(running.acquire(blocking=False) for _ in range(done))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("imageattach")]


def test_two_movers_at_once_do_no_harm(sqlite: Engine, old: Source, tmp_path: Path) -> None:
    new = FileSystemStore(tmp_path / "new", "http://example.com/", sync=False)
    with filled(sqlite, old, users=10) as session:

        def move() -> None:
            with Session(sqlite) as own:
                migrate(own, Base, old, new, workers=2, checkpoint=tmp_path / "checkpoint").execute()

        other = threading.Thread(target=move)
        other.start()
        migrate(session, Base, old, new, workers=2, checkpoint=tmp_path / "checkpoint").execute()
        other.join()
    assert stored(new) == stored(old)


# Verifying, skipping, trying out


class Spoiling(Destination):
    """A store that loses the last byte of each file."""

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        super().put_key(io.BytesIO(file.read()[:-1]), key, reproducible)


class Careless(Destination):
    """A store that takes just the beginning of each file."""

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        super().put_key(io.BytesIO(file.read(20)), key, reproducible)


class Flipping(Destination):
    """A store that keeps the length of each file, and not what is in it."""

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        super().put_key(io.BytesIO(file.read()[::-1]), key, reproducible)


@pytest.mark.parametrize("store", [Spoiling, Careless, Flipping])
def test_what_arrived_otherwise_than_it_was_sent_is_an_error_when_verifying(
    session: Session, old: Source, store: type[Destination]
) -> None:
    migrate(session, Base, old, store()).execute()
    with pytest.raises(StoreError, match="to give back what it was given"):
        migrate(session, Base, old, store(), verify=True).execute()


@pytest.mark.parametrize("content", [b"", picture(100, 50)[:-20]], ids=["empty", "truncated"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_source_file_that_is_cut_off_is_an_error_when_verifying_and_is_not_copied(
    session: Session, old: Source, new: Destination, content: bytes, dry_run: bool
) -> None:
    key = FileKey("user-cover", 2, 100, 50, "image/png")
    old.is_in_use = True
    old.put_key(io.BytesIO(content), key, False)
    old.is_in_use = False
    failed: list[tuple[FileKey, str]] = []
    migrate(
        session,
        Base,
        old,
        new,
        verify=True,
        dry_run=dry_run,
        on_error=lambda image, error: failed.append((FileKey.of(image), str(error))),
    ).execute()
    ((lost, reason),) = failed
    assert lost == key
    assert "no whole image" in reason
    assert stored(new) == ({} if dry_run else {other: blob for other, blob in stored(old).items() if other != key})


def test_what_is_no_image_of_a_known_type_is_moved_as_it_is(session: Session, old: Source, new: Destination) -> None:
    old.is_in_use = True
    old.put_key(io.BytesIO(b"a picture of another time"), FileKey("user-cover", 2, 100, 50, "image/png"), False)
    migrate(session, Base, old, new, verify=True).execute()
    assert stored(new) == stored(old)


def test_what_is_verified_is_the_same(session: Session, old: Source, new: Destination) -> None:
    migrate(session, Base, old, new, verify=True, workers=2).execute()
    assert stored(new) == stored(old)


def test_what_is_there_is_skipped_where_that_is_asked_for(session: Session, old: Source, new: Destination) -> None:
    migrate_class(session, UserCover, old, new).execute()
    done = len(new.put)
    skipped: list[Image] = []
    images = list(migrate(session, Base, old, new, skip_existing=True, on_skip=skipped.append))
    assert {type(image) for image in images} == {UserPicture}
    assert [(type(image), image.object_id) for image in skipped] == [(UserCover, number) for number in (1, 2, 3, 4)]
    assert len(new.put) - done == len(images)
    assert stored(new) == stored(old)


@pytest.mark.parametrize("verify", [False, True])
def test_what_is_there_alone_is_skipped(session: Session, old: Source, new: Destination, verify: bool) -> None:
    migrate(session, Base, old, new).execute()
    assert list(migrate(session, Base, MemoryStore(), new, skip_existing=True, verify=verify)) == []


def test_what_is_there_and_differs_is_replaced_when_verifying(session: Session, old: Source, new: Destination) -> None:
    migrate(session, Base, old, new).execute()
    MemoryStore.put_key(new, io.BytesIO(b"half of i"), FileKey("user-cover", 2, 100, 50, "image/png"), False)
    assert list(migrate(session, Base, old, new, skip_existing=True)) == []
    replaced = list(migrate(session, Base, old, new, skip_existing=True, verify=True))
    assert [image.object_id for image in replaced] == [2]
    assert stored(new) == stored(old)


class NeverOverwriting(Destination):
    """A store that refuses a name that it has, as an object store may do."""

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        if key in stored(self):
            file.read(1)
            raise StoreError("there is another one of that name")
        super().put_key(file, key, reproducible)


@pytest.mark.parametrize("verify", [False, True])
def test_a_store_that_never_overwrites_may_have_the_same_file_already(
    session: Session, old: Source, verify: bool
) -> None:
    new = NeverOverwriting()
    migrate(session, Base, old, new, verify=verify).execute()
    migrate(session, Base, old, new, verify=verify).execute()
    assert stored(new) == stored(old)
    MemoryStore.put_key(new, io.BytesIO(b"half of i"), FileKey("user-cover", 2, 100, 50, "image/png"), False)
    with pytest.raises(StoreError, match="another one of that name"):
        migrate(session, Base, old, new, verify=verify).execute()


def test_files_move_to_a_bucket_and_may_be_moved_again(session: Session, old: Source, s3_server: Any) -> None:
    new = S3Store(
        s3_server.bucket,
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
        region=s3_server.region,
        endpoint_url=s3_server.endpoint_url,
        prefix=uuid.uuid4().hex,
    )
    for options in ({"workers": 4, "verify": True}, {"workers": 4}, {"skip_existing": True}):
        migrate(session, Base, old, new, **options).execute()
        assert stored(new) == stored(old)


def test_a_destination_may_keep_no_revisions(session: Session, old: Source) -> None:
    class WithoutRevisions(Destination):
        def takes_revision(self) -> bool:
            return False

    new = WithoutRevisions()
    migrate(session, Base, old, new, verify=True).execute()
    assert stored(new) == {key._replace(revision=None): blob for key, blob in stored(old).items() if key}
    assert list(migrate(session, Base, old, new, skip_existing=True)) == []


def test_a_dry_run_writes_nothing_and_tells_what_is_missing(session: Session, old: Source, new: Destination) -> None:
    migrate_class(session, UserPicture, old, new).execute()
    new.put.clear()
    lost = _lose(old, 2)
    places: dict[str, Any] = {}
    failed: list[Image] = []
    images = list(
        migrate(
            session,
            Base,
            old,
            new,
            dry_run=True,
            skip_existing=True,
            checkpoint=places,
            on_error=lambda image, _: failed.append(image),
        )
    )
    assert [image.object_id for image in images] == [1, 3, 4]
    assert [FileKey.of(image) for image in failed] == [lost]
    assert not new.put
    assert not places


# Checkpoints


def test_a_plan_goes_on_from_its_checkpoint(session: Session, old: Source, new: Destination) -> None:
    places: dict[str, Any] = {}
    images = iter(migrate(session, Base, old, new, checkpoint=places, workers=3))
    first = [FileKey.of(next(images)) for _ in range(5)]
    images.close()  # type: ignore[attr-defined]
    places = json.loads(json.dumps(places))
    rest = [FileKey.of(image) for image in migrate(session, Base, old, new, checkpoint=places)]
    assert len(first + rest) == len(set(first + rest))
    assert set(first + rest) == set(stored(old))


def test_a_plan_that_failed_begins_with_what_failed(
    session: Session, old: Source, new: Destination, tmp_path: Path
) -> None:
    lost = _lose(old, 3)
    with pytest.raises(ImageNotFoundError):
        migrate(session, Base, old, new, checkpoint=tmp_path / "checkpoint").execute()
    old.is_in_use = True
    old.put_key(io.BytesIO(picture(100, 50, color=3)), lost, False)
    images = list(migrate(session, Base, old, new, checkpoint=str(tmp_path / "checkpoint")))
    assert FileKey.of(images[0]) == lost
    assert stored(new) == stored(old)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"models.UserCover": [1]}', '{"models.UserCover": ["1", 2, 3]}'])
def test_a_file_that_is_no_checkpoint_is_refused(
    session: Session, old: Source, new: Destination, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "checkpoint"
    path.write_text(content)
    with pytest.raises(ValueError, match="remove it to begin anew"):
        migrate(session, Base, old, new, checkpoint=path).execute()
    assert not new.put
    assert path.read_text() == content


class Plants(DeclarativeBase):
    pass


class Leaf(Plants, Image):
    __tablename__ = "leaf"

    plant_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(String(10), primary_key=True)

    @property
    def object_id(self) -> int:
        return self.plant_id.int * 2 + (self.side == "upper")


def test_keys_may_be_uuids_and_strings(engine: Engine, new: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 3)
    Plants.metadata.create_all(engine)
    old = MemoryStore()
    with Session(engine) as session:
        for number in range(10):
            side = "upper" if number % 2 else "lower"
            values = {
                "plant_id": uuid.UUID(int=number // 2 * 2**100),
                "side": side,
                "width": 1,
                "height": 1,
                "mimetype": "image/png",
            }
            session.execute(insert(Leaf).values(**values))
        session.commit()
        for leaf in session.scalars(select(Leaf)):
            old.put_key(io.BytesIO(b"bytes"), FileKey.of(leaf), False)
        places: dict[str, Any] = {}
        for _ in migrate(session, Plants, old, new, checkpoint=places):
            if len(new.put) == 4:
                break
        places = json.loads(json.dumps(places))
        migrate(session, Plants, old, new, checkpoint=places).execute()
    assert stored(new) == stored(old)
    assert len(new.put) == 10


MOVER = """
    import sys
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session
    from models import Base
    from sqlalchemy_imageattach.bulk import checkpoint
    from sqlalchemy_imageattach.migration import migrate
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    checkpoint._INTERVAL = 0
    url, old, new, path = sys.argv[1:]
    with Session(create_engine(url)) as session:
        plan = migrate(session, Base, FileSystemStore(old, "/"), FileSystemStore(new, "/"), workers=2, checkpoint=path)
        for image in plan:
            print(image.object_id, flush=True)
"""


def test_a_mover_that_is_killed_goes_on_where_it_was_and_misses_nothing(
    sqlite: Engine, sqlite_url: URL, tmp_path: Path
) -> None:
    memory = Source()
    with filled(sqlite, memory, users=30) as session:
        old = FileSystemStore(tmp_path / "old", "/", sync=False)
        migrate(session, Base, memory, old).execute()
    arguments = [str(sqlite_url.render_as_string(False)), tmp_path / "old", tmp_path / "new", tmp_path / "checkpoint"]
    command = [sys.executable, "-c", textwrap.dedent(MOVER), *map(str, arguments)]
    for last in (20, 20, None):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent) as mover:
            assert mover.stdout
            copied = len(list(itertools.islice(mover.stdout, last)))
            mover.kill()
    files = stored(FileSystemStore(tmp_path / "new", "/"))
    files.pop(None, None)  # what a kill in the middle of a write leaves
    assert files == stored(memory)
    assert copied <= len(files) - 2 * 20


def test_a_checkpoint_that_cannot_be_written_is_found_out_first(
    session: Session, old: Source, new: Destination, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        migrate(session, Base, old, new, checkpoint=tmp_path / "nowhere" / "checkpoint").execute()
    assert not new.put


# The rate


def test_no_more_bytes_a_second_are_read_than_allowed(
    session: Session, old: Source, new: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    # A clock that stands still: what is waited for is all that the bytes may take.
    monkeypatch.setattr(copying, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=waits.append))
    size = sum(map(len, stored(old).values()))
    migrate(session, Base, old, new, workers=4, max_bytes_per_second=size / 300).execute()
    assert max(waits) == pytest.approx(300)
    assert stored(new) == stored(old)


# Other databases' troubles, and asyncio


def test_a_database_that_goes_away_is_an_error_and_the_checkpoint_stays(
    postgresql_url: URL, old: Source, new: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 2)
    engine = databases.make_engine(postgresql_url)
    try:
        with filled(engine, old) as session:
            images = iter(migrate(session, Base, old, new, checkpoint=tmp_path / "checkpoint"))
            next(images)
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            with engine.connect() as other:
                other.execute(text(f"SELECT pg_terminate_backend({pid})"))
            with pytest.raises(DBAPIError):
                list(images)
            session.invalidate()
        with Session(engine) as session:
            migrate(session, Base, old, new, checkpoint=tmp_path / "checkpoint").execute()
        assert stored(new) == stored(old)
        assert len(new.put) == len(stored(old))
    finally:
        engine.dispose()


def test_a_connection_that_a_proxy_has_closed_is_opened_again_though_the_driver_does_not_know(
    session: Session, sqlite: Engine, old: Source, new: Destination
) -> None:
    refusals = iter([sqlite3.OperationalError("client_idle_timeout")])

    def refuse(_: object, statement: str, *__: object) -> None:
        if statement.startswith("SELECT user_picture"):
            for error in refusals:
                raise error

    event.listen(sqlite, "do_execute", refuse)
    migrate(session, Base, old, new).execute()
    assert next(refusals, None) is None
    assert stored(new) == stored(old)


def test_an_async_session_migrates_by_run_sync(sqlite: Engine, sqlite_url: URL, old: Source, new: Destination) -> None:
    async def move() -> None:
        engine = databases.make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with AsyncSession(engine) as session:
            with pytest.raises(TypeError, match="run_sync"):
                migrate(session, Base, old, new)  # type: ignore[arg-type]
            await session.run_sync(lambda session: migrate(session, Base, old, new, workers=2).execute())
        await engine.dispose()

    with filled(sqlite, old):
        asyncio.run(move())
    assert stored(new) == stored(old)
