"""Rows and files agree while many processes work on the same pictures, and each caller gets what it asked for."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import settings
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

import databases
from models import Base, User, UserPicture, picture
from sqlalchemy_imageattach.audit import verify
from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.stores.fs import FileSystemStore

USERS = 20
IS_SOAKED = settings().max_examples >= 100_000
PROCESSES = 8 if IS_SOAKED or os.environ.get("CI") == "true" else 4
#: Each process does so many transactions.
TRANSACTIONS = 1000 if IS_SOAKED else 100 if os.environ.get("CI") == "true" else 25
ISOLATION_LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

pytestmark = pytest.mark.timeout(0 if IS_SOAKED else 300)


@pytest.fixture
def store(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "pictures", "http://127.0.0.1/", sync=False)


def fill(engine: Any, store: FileSystemStore, users: int) -> list[int]:
    """The keys of users who have a picture."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        everybody = [User() for _ in range(users)]
        session.add_all(everybody)
        for user in everybody:
            user.picture.from_blob(picture(), store=store)
        session.commit()
        return [user.id for user in everybody]


# What an application does to the same pictures as everybody else


def work(url: URL, isolation_level: str, folder: str, users: list[int], seed: int, transactions: int) -> Counter[str]:
    """Attaches, replaces, makes thumbnails and deletes at random, and counts how its transactions ended."""
    engine = databases.make_engine(url, isolation_level=isolation_level)
    store = FileSystemStore(folder, "http://127.0.0.1/", sync=False)
    chance, ends = random.Random(seed), Counter[str]()
    for _ in range(transactions):
        with Session(engine, info={"image_store": store}) as session:
            try:
                for _ in range(chance.randint(1, 2)):
                    _do_something(session, chance, users)
                if chance.random() < 0.15:
                    session.rollback()
                    ends["rolled back"] += 1
                else:
                    session.commit()
                    ends["committed"] += 1
            except (DBAPIError, StaleDataError, ObjectDeletedError, ImageNotFoundError) as error:
                # What databases, and readers of what others have just deleted, have to say.
                ends[type(error).__name__] += 1
    engine.dispose()
    return ends


def _do_something(session: Session, chance: random.Random, users: list[int]) -> None:
    user = session.get_one(User, chance.choice(users))
    deed = chance.choice(["attach", "attach", "thumbnail", "thumbnail", "thumbnail", "delete"])
    if deed == "attach":
        # Few sizes, so that rows of the same key are replaced by several at once.
        user.picture.from_blob(picture(chance.choice([64, 80]), 48, chance.randrange(1 << 24)))
    elif deed == "thumbnail" and user.picture.original:
        user.picture.generate_thumbnail(width=chance.choice([8, 16]))
    elif deed == "delete":
        for image in list(user.picture):
            user.picture.remove(image)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("database_url", "isolation_level"),
    [
        ("postgresql", "READ COMMITTED"),
        ("mariadb", "REPEATABLE READ"),
        pytest.param("postgresql", "REPEATABLE READ", marks=pytest.mark.long),
        pytest.param("mariadb", "READ COMMITTED", marks=pytest.mark.long),
    ],
    indirect=["database_url"],
)
def test_the_audit_is_clean_after_many_processes_worked_on_the_same_pictures(
    database_url, engine, store, isolation_level
):
    users = fill(engine, store, USERS)
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        work_there = partial(work, database_url, isolation_level, store.path, users)
        jobs = [pool.submit(work_there, seed, TRANSACTIONS) for seed in range(PROCESSES)]
        ends = sum((job.result() for job in jobs), Counter[str]())
    print(dict(ends), file=sys.stderr)
    assert ends["committed"] > PROCESSES
    with Session(engine) as session:
        assert list(verify(session, Base, store, probe=True)) == []
    if isolation_level == "READ COMMITTED":
        # Everybody sees what is there: no request fails but for deadlocks, and where another one came before it.
        assert not {"IntegrityError", "StaleDataError"} & set(ends)
        with Session(engine) as session:
            for user in session.query(User):
                assert len({color(image.make_blob(store)) for image in user.picture}) <= 1
                assert sum(image.original for image in user.picture) <= 1


def color(blob: bytes) -> object:
    """That of all pixels: a thumbnail has that of its original."""
    with PIL.Image.open(io.BytesIO(blob)) as image:
        return image.convert("RGB").getpixel((0, 0))


# The same thumbnail, wanted by many


def make_thumbnails(engine: Any, store: FileSystemStore, users: list[int], wanted: Callable[[], object]) -> list[Any]:
    """Makes the same size of each picture, tries again where the database asks for it, and says what it got."""
    wanted()
    got = []
    for user_id in users:
        while True:
            with Session(engine, info={"image_store": store}) as session:
                try:
                    image = session.get_one(User, user_id).picture.generate_thumbnail(width=8)
                    session.commit()
                    got.append((user_id, image.size, image.revision))
                    break
                except IntegrityError:
                    raise
                except DBAPIError:
                    continue  # a deadlock, a serialization failure, a lock that took too long
    return got


@pytest.mark.parametrize("isolation_level", ISOLATION_LEVELS)
@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
def test_many_who_make_the_same_thumbnail_get_one(database_url, engine, store, isolation_level):
    _test_one_thumbnail_for_all(engine.execution_options(isolation_level=isolation_level), store)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_many_who_make_the_same_thumbnail_on_sqlite_get_one(engine, store):
    _test_one_thumbnail_for_all(engine, store)


def _test_one_thumbnail_for_all(engine: Any, store: FileSystemStore) -> None:
    callers = 4
    users = fill(engine, store, 30)
    together = threading.Barrier(callers, timeout=60)
    with ThreadPoolExecutor(callers) as pool:
        jobs = [pool.submit(make_thumbnails, engine, store, users, together.wait) for _ in range(callers)]
        got = [job.result() for job in jobs]
    assert [sorted(each) for each in got] == [sorted(got[0])] * callers
    with Session(engine) as session:
        assert session.query(UserPicture).count() == 2 * len(users)
        assert list(verify(session, Base, store, probe=True)) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_deletes_an_owner_deletes_what_another_transaction_has_just_attached(database_url, engine, store):
    (user_id,) = fill(engine, store, 1)

    def delete() -> None:
        with Session(engine, info={"image_store": store}) as session:
            session.delete(session.get_one(User, user_id))
            session.commit()

    waiting = text(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"
    )
    onlooker = engine.execution_options(isolation_level="AUTOCOMMIT")
    with ThreadPoolExecutor(1) as pool, Session(engine, info={"image_store": store}) as session:
        session.get_one(User, user_id).picture.from_blob(picture(80, 48))
        session.flush()
        deletion = pool.submit(delete)
        with onlooker.connect() as connection:
            while not connection.execute(waiting).first() and not deletion.done():
                pass
        session.commit()
        deletion.result()
    with Session(engine) as session:
        assert not session.query(User).count()
        assert list(verify(session, Base, store)) == []
