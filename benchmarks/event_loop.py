"""Flush with an AsyncSession into a store that takes half a second a file: how long, and does the event loop go on?"""

from __future__ import annotations

import argparse
import asyncio
import io
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import PIL.Image
from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.stores.memory import MemoryStore


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


class SlowStore(MemoryStore):
    seconds = 0.5

    def put_file(self, *args: Any, **kwargs: Any) -> None:
        threading.Event().wait(self.seconds)
        super().put_file(*args, **kwargs)


async def longest_pause(done: asyncio.Event) -> float:
    longest, last = 0.0, time.perf_counter()
    while not done.is_set():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def measure(folder: Path, count: int) -> tuple[float, float]:
    """Seconds that the flush took, and the longest that the loop stood still."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / str(count)}.sqlite")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    blob = io.BytesIO()
    PIL.Image.new("RGB", (96, 72)).save(blob, "PNG")
    store = SlowStore()
    async with async_sessionmaker(engine, info={"image_store": store})() as session:
        for _ in range(count):
            user = User()
            session.add(user)
            user.picture.from_blob(blob.getvalue())
        done = asyncio.Event()
        watch = asyncio.create_task(longest_pause(done))
        await asyncio.sleep(0.1)
        start = time.perf_counter()
        await session.commit()
        taken = time.perf_counter() - start
        done.set()
        pause = await watch
    await engine.dispose()
    return taken, pause


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with TemporaryDirectory() as name:
        one, _ = asyncio.run(measure(Path(name), 1))
        fifty, pause = asyncio.run(measure(Path(name), 50))
    print(f"one put of {SlowStore.seconds} s: {one:.2f} s; 50 puts of one flush: {fifty:.2f} s, x {fifty / one:.1f}")
    print(f"the event loop stood still for {pause * 1000:.1f} ms at the longest   (wanted: 20)")


if __name__ == "__main__":
    main()
