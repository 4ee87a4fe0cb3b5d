"""A checkpoint belongs to its job, knows whether the job ended, and hides no row that came meanwhile."""

from __future__ import annotations

import datetime
import enum
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Uuid,
    create_engine,
    update,
)
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

from models import Base, User, UserCover, UserPicture, picture, stored
from sqlalchemy_imageattach.bulk.keys import key_from_json, key_to_json
from sqlalchemy_imageattach.bulk.thumbnails import make_thumbnails
from sqlalchemy_imageattach.exc import CheckpointError
from sqlalchemy_imageattach.migration import migrate, migrate_class
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.s3 import S3Store


@pytest.fixture
def engine(sqlite_url: URL) -> Iterator[Engine]:
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def old(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "old", "/", sync=False)


@pytest.fixture
def new(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "new", "/", sync=False)


@pytest.fixture
def session(engine: Engine, old: FileSystemStore) -> Iterator[Session]:
    """A session on a database with the covers of users 10, 20 and 30."""
    with Session(engine, info={"image_store": old}) as session:
        add(session, 10, 20, 30)
        yield session


def add(session: Session, *numbers: int) -> None:
    for number in numbers:
        session.add(user := User(id=number))
        user.cover.from_blob(picture(100, 50, color=number))
    session.commit()


def stop_after(count: int, images: Any) -> None:
    images = iter(images)
    for _ in range(count):
        next(images)
    images.close()


def copied(images: Any) -> list[int]:
    return [image.user_id for image in images]


# Whose it is


def test_a_checkpoint_of_another_job_is_refused_with_the_difference(
    session: Session, old: FileSystemStore, new: FileSystemStore, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    stop_after(2, migrate(session, Base, old, new, checkpoint=path))
    before = path.read_bytes()
    other = FileSystemStore(tmp_path / "other", "/")
    for run, difference in [
        (migrate(session, Base, old, other, checkpoint=path), f"its destination is .*new.* and not .*{other.path}"),
        (migrate(session, Base, other, new, checkpoint=path), "its source is "),
        (migrate_class(session, UserCover, old, new, checkpoint=path), "its classes is "),
        (make_thumbnails(session, Base, old, widths=[10], checkpoint=path), 'its command is "migrate" and not "thumb'),
    ]:
        session.rollback()
        with pytest.raises(CheckpointError, match=difference):
            list(run)
    assert path.read_bytes() == before
    assert not stored(other)
    assert copied(migrate(session, Base, old, new, checkpoint=path)) == [30]


def test_other_sizes_are_another_job(session: Session, old: FileSystemStore) -> None:
    checkpoint: dict[str, Any] = {}
    list(make_thumbnails(session, Base, old, widths=[10], checkpoint=checkpoint))
    for sizes in ({"widths": [11]}, {"heights": [10]}, {"widths": [10], "ratios": [0.5]}):
        with pytest.raises(CheckpointError, match=r"its (widths|heights|ratios) is"):
            list(make_thumbnails(session, Base, old, **sizes, checkpoint=checkpoint))


def test_another_store_in_memory_is_another_destination(session: Session, old: FileSystemStore) -> None:
    checkpoint: dict[str, Any] = {}
    first, second = MemoryStore(), MemoryStore()
    stop_after(1, migrate(session, Base, old, first, checkpoint=checkpoint))
    with pytest.raises(CheckpointError, match="its destination is"):
        migrate(session, Base, old, second, checkpoint=checkpoint).execute()


def test_no_secret_of_a_store_is_in_a_checkpoint(session: Session, old: FileSystemStore) -> None:
    checkpoint: dict[str, Any] = {}
    bucket = S3Store("bucket", access_key="the-key", secret_key="the-secret", endpoint_url="http://127.0.0.1:1")
    failed: list[Any] = []
    migrate(session, Base, old, bucket, checkpoint=checkpoint, on_error=lambda *error: failed.append(error)).execute()
    text = json.dumps(checkpoint)
    assert "bucket" in text
    assert "the-key" not in text
    assert "the-secret" not in text
    assert len(failed) == 3


def test_the_checkpoint_of_a_job_that_ended_begins_anew(
    session: Session, old: FileSystemStore, new: FileSystemStore, tmp_path: Path
) -> None:
    for checkpoint in ({}, tmp_path / "checkpoint"):
        for _ in range(2):
            assert copied(migrate(session, Base, old, new, checkpoint=checkpoint)) == [10, 20, 30]  # type: ignore[arg-type]
    add(session, 5)
    plan = migrate(session, Base, old, new, checkpoint=tmp_path / "checkpoint", skip_existing=True)
    assert copied(plan) == [5]


@pytest.mark.parametrize(
    "kept", ["{}", '{"job": {}}', '{"job": {}, "done": {}, "is_finished": false, "began_at": "x"}']
)
def test_what_is_no_checkpoint_is_refused(
    session: Session, old: FileSystemStore, new: FileSystemStore, tmp_path: Path, kept: str
) -> None:
    path = tmp_path / "checkpoint"
    path.write_text(kept)
    with pytest.raises(CheckpointError, match="remove it to begin anew"):
        migrate(session, Base, old, new, checkpoint=path).execute()


# What came meanwhile


def test_rows_that_came_behind_it_are_seen_once(
    session: Session, old: FileSystemStore, new: FileSystemStore, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    stop_after(2, migrate(session, Base, old, new, checkpoint=path))
    add(session, 5, 25)
    assert copied(migrate(session, Base, old, new, checkpoint=path)) == [5, 25, 30]
    assert stored(new) == stored(old)


def test_originals_that_came_behind_it_get_their_sizes(session: Session, old: FileSystemStore) -> None:
    checkpoint: dict[str, Any] = {}
    for number in (1, 2, 3):
        session.get_one(User, number * 10).picture.from_blob(picture(color=number))
    session.commit()
    arguments: dict[str, Any] = {"widths": [10], "checkpoint": checkpoint}
    stop_after(3, make_thumbnails(session, UserPicture, old, **arguments))
    session.add(user := User(id=5))
    user.picture.from_blob(picture(color=5))
    session.commit()
    made = [each.original.user_id for each in make_thumbnails(session, UserPicture, old, **arguments)]
    assert made == [5]


def test_old_rows_behind_it_are_passed_over_and_counted_in_the_log(
    session: Session, old: FileSystemStore, new: FileSystemStore, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint: dict[str, Any] = {}
    stop_after(2, migrate(session, Base, old, new, checkpoint=checkpoint))
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    session.execute(update(UserCover).values(created_at=long_ago))
    session.commit()
    for file in list(new.list_files()):
        file.remove()
    with caplog.at_level(logging.INFO, "sqlalchemy_imageattach"):
        assert copied(migrate(session, Base, old, new, checkpoint=checkpoint)) == [30]
    assert "2 rows before it count as done" in caplog.text


# How it is kept


def test_a_checkpoint_is_on_the_disk_before_it_is_renamed(
    session: Session, old: FileSystemStore, new: FileSystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        assert os.fstat(descriptor).st_size > 0
        fsync(descriptor)

    def audit(event: str, arguments: Any) -> None:
        if event == "os.rename" and is_watching:
            done.append(f"renamed {arguments[0]}")

    is_watching = True
    sys.addaudithook(audit)
    monkeypatch.setattr(os, "fsync", note)
    stop_after(1, migrate(session, Base, old, new, checkpoint=tmp_path / "checkpoint"))
    is_watching = False
    written = [each for each in done if f"{tmp_path}/." in each]
    assert written == [written[0], f"renamed {written[0]}"]


# Keys


class Color(enum.StrEnum):
    RED = "r"


class Size(enum.IntEnum):
    LARGE = 3


class Shape(enum.Enum):
    ROUND = (1, 2)


class Number:
    """A key of an application's own."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Number({self.value})"


class NumberType(TypeDecorator[Number]):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value.value

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return Number(value)


class BinaryUuid(TypeDecorator[uuid.UUID]):
    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value.bytes

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return uuid.UUID(bytes=value)


class LowerCase(TypeDecorator[str]):
    """A type that does not give back what it was given."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value.lower()


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        (String(), Color.RED),
        (Enum(Color), Color.RED),
        (Integer(), Size.LARGE),
        (Enum(Shape), Shape.ROUND),
        (Boolean(), True),
        (Uuid(), uuid.UUID(int=7)),
        (Date(), datetime.date(2001, 2, 3)),
        (DateTime(), datetime.datetime(2001, 2, 3, 4, 5, 6, 7, datetime.UTC)),
        (Numeric(), Decimal("1.50")),
        (LargeBinary(), b"\xff\x00"),
        (NumberType(), Number(5)),
        (BinaryUuid(), uuid.UUID(int=7)),
        (LowerCase(), "small"),
    ],
    ids=str,
)
def test_a_key_that_is_written_is_read_back_equal(column_type: Any, value: Any) -> None:
    columns = [Column("key", column_type)]
    written = json.loads(json.dumps(key_to_json(columns, [value])))
    assert key_from_json(columns, written) == (value,)


@pytest.mark.parametrize(
    ("column_type", "value"),
    [(LowerCase(), "LARGE"), (Integer(), True), (Boolean(), 1), (String(), b"a"), (Date(), "1")],
)
def test_a_key_that_would_be_read_back_otherwise_is_refused_when_it_is_written(column_type: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="expected values of key"):
        key_to_json([Column("key", column_type)], [value])
