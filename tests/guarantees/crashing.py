"""A program that works on pictures until it is killed, over and over, and says what it then finds.

python crashing.py DATABASE_URL FOLDER KILLS SEED

It forks before each round, while it has no connection and no other thread, so that a round begins at once.  Each row
says in its caption which bytes it belongs to.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from models import Base, User, UserPicture
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.entity import ImageSet
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import StoredFile
from sqlalchemy_imageattach.stores.fs import FileSystemStore

USERS = 5


def make_engine(url: str) -> Engine:
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def use_wal(connection: object, _: object) -> None:
            connection.execute("PRAGMA journal_mode = WAL")  # type: ignore[attr-defined]

    return engine


def attach(images: ImageSet[UserPicture], store: FileSystemStore, chance: random.Random, original: bool) -> None:
    # The last waits on the disk, and is linked into the store.
    blob = chance.randbytes(chance.choice([100, 100_000, 1_100_000]))
    size = chance.choice([(64, 48), (80, 60)] if original else [(8, 6), (16, 12)])
    caption = hashlib.sha1(blob).hexdigest()
    images.from_raw_file(io.BytesIO(blob), store, size, "image/png", original, extra_kwargs={"caption": caption})


class TellingStore(FileSystemStore):
    """Tells of each file before it is put."""

    progress: int

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        os.write(self.progress, b".")
        super().put_key(file, key, reproducible)


def work(engine: Engine, store: TellingStore, users: list[int], seed: int) -> None:
    """Attaches, replaces and deletes, until it is killed."""
    chance = random.Random(seed)
    while True:
        with Session(engine, info={"image_store": store}) as session:
            for _ in range(chance.randint(1, 3)):
                user = session.get_one(User, chance.choice(users))
                with session.begin_nested() if chance.random() < 0.3 else session.no_autoflush:
                    deed = chance.choice(["original", "original", "thumbnail", "delete"])
                    if deed == "original":
                        attach(user.picture, store, chance, original=True)
                    elif deed == "thumbnail" and user.picture.original:
                        attach(user.picture, store, chance, original=False)
                    elif deed == "delete":
                        for image in list(user.picture):
                            user.picture.remove(image)
            (session.rollback if chance.random() < 0.2 else session.commit)()


def check(engine: Engine, store: FileSystemStore) -> tuple[int, int]:
    """How many rows there are, each of which has just its bytes; and how many files had none, and are swept now."""
    with Session(engine) as session:
        images = session.query(UserPicture).all()
        for image in images:
            assert hashlib.sha1(image.make_blob(store)).hexdigest() == image.caption, image.caption
        rows = {FileKey.of(image) for image in images}
        found = list(verify(session, Base, store))
    left = {file.name for file in store.list_files() if file.key not in rows}
    assert {finding.name for finding in found} == left, (found, left)
    removed: list[StoredFile] = []
    with Session(engine) as session:
        sweep(session, Base, store, datetime.timedelta(0), dry_run=False, limit=1, callback=removed.append)
    assert {file.name for file in removed} == left, (removed, left)
    assert {file.key for file in store.list_files()} == rows
    return len(rows), len(left)


def wait_until_alone(engine: Engine) -> None:
    """PostgreSQL may still be ending what the killed process had begun."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        while engine.dialect.name == "postgresql" and connection.scalar(others):
            connection.rollback()
            threading.Event().wait(0.01)


def main(url: str, folder: str, kills: int, seed: int) -> None:
    store = TellingStore(Path(folder) / "images", "http://127.0.0.1/")
    engine = make_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(everybody := [User() for _ in range(USERS)])
        session.commit()
        users = [user.id for user in everybody]
    chance = random.Random(seed)
    seen = swept = 0
    for kill in range(kills):
        reader, store.progress = os.pipe()
        child = os.fork()
        if child == 0:
            work(engine, store, users, seed * 1_000_003 + kill)
        os.close(store.progress)
        # At any moment; but three of four soon after the beginning of a put, however busy the machine is.
        for _ in range(chance.randint(1, 6) if kill % 4 else 0):
            os.read(reader, 1)
        threading.Event().wait(chance.choice([0, chance.uniform(0, 0.005)]) if kill % 4 else chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        wait_until_alone(engine)
        rows, files = check(engine, store)
        seen, swept = seen + rows, swept + files
    print(kills, seen, swept)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
