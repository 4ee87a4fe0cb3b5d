"""Flush 1,000 small images: through the ledger, and with the same inserts and puts written by hand.

Both sides insert by SQLAlchemy's unit of work into tables of the same columns, and put the same files into a store on
the same disk, several at once.  Then: what the ledger holds for each image until the transaction ends, in bytes.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import io
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL.Image
from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Integer, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.naming import FileKey, new_revision
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.transactions.ledger import ledger_of


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


class PlainUser(Base):
    __tablename__ = "plain_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    pictures: Mapped[list[PlainPicture]] = relationship()


class PlainPicture(Base):
    __tablename__ = "plain_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("plain_user.id"), primary_key=True)
    width = Column(Integer, primary_key=True)
    height = Column(Integer, primary_key=True)
    mimetype = Column(String(255), nullable=False)
    original = Column(Boolean, nullable=False)
    created_at = Column(DateTime(timezone=True), nullable=False)
    revision = Column(String(16))


def photograph() -> bytes:
    file = io.BytesIO()
    PIL.Image.effect_noise((96, 72), 40).save(file, "JPEG")
    return file.getvalue()


def by_ledger(session: Session, store: FileSystemStore, blob: bytes, count: int) -> Callable[[], None]:
    for _ in range(count):
        user = User()
        session.add(user)
        user.picture.from_raw_file(io.BytesIO(blob), store, size=(96, 72), mimetype="image/jpeg")
    return session.flush


def by_hand(session: Session, store: FileSystemStore, blob: bytes, count: int) -> Callable[[], None]:
    pictures = []
    for _ in range(count):
        picture = PlainPicture(width=96, height=72, mimetype="image/jpeg", original=True, revision=new_revision())
        picture.created_at = datetime.datetime.now(datetime.UTC)
        session.add(PlainUser(pictures=[picture]))
        pictures.append(picture)

    def put(pictures: list[PlainPicture]) -> None:
        for picture in pictures:
            key = FileKey("plain-picture", picture.user_id, 96, 72, "image/jpeg", picture.revision)
            store.put_key(io.BytesIO(blob), key, False)

    def flush() -> None:
        session.flush()
        with ThreadPoolExecutor(store.workers) as pool:
            list(pool.map(put, [pictures[start :: store.workers] for start in range(store.workers)]))

    return flush


def seconds(side: Callable[..., Callable[[], None]], blob: bytes, count: int) -> float:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        store = FileSystemStore(f"{folder}/images", "http://127.0.0.1/")
        engine = create_engine(f"sqlite:///{folder}/database.sqlite")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            flush = side(session, store, blob, count)
            gc.collect()
            start = time.perf_counter()
            flush()
            taken = time.perf_counter() - start
            session.rollback()
        engine.dispose()
    return taken


def bytes_held(blob: bytes, count: int) -> float:
    """What the ledger's notes weigh after a flush, the images' bytes and rows aside."""
    with tempfile.TemporaryDirectory() as folder:
        store = FileSystemStore(f"{folder}/images", "http://127.0.0.1/", sync=False)
        engine = create_engine(f"sqlite:///{folder}/database.sqlite")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            flush = by_ledger(session, store, blob, count)
            tracemalloc.start()
            flush()
            before = _traced_memory()
            ledger_of(session).abandon()
            session.info.clear()
            held = before - _traced_memory()
            tracemalloc.stop()
        engine.dispose()
    return held / count


def _traced_memory() -> int:
    # What the session keeps of objects that are gone goes with a second collection.
    for _ in range(3):
        gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    blob = photograph()
    ratios = []
    for pair in range(-1, options.pairs):
        sides = [by_ledger, by_hand] if pair % 2 else [by_hand, by_ledger]
        taken = {side: seconds(side, blob, options.images) for side in sides}
        if pair >= 0:  # the first pair warms up
            ratios.append(taken[by_ledger] / taken[by_hand])
    ratios.sort()
    print(f"flush of {options.images} images, ledger / by hand: median {statistics.median(ratios):.3f}")
    print(f"  lowest {ratios[0]:.3f}, highest {ratios[-1]:.3f}, {len(ratios)} pairs")
    print(f"held by the ledger for each image until the transaction ends: {bytes_held(blob, options.images):.0f} bytes")


if __name__ == "__main__":
    main()
