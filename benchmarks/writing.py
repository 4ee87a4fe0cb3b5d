"""Attach, replace, flush and delete: this library, against the same rows and files by hand.

By hand, the rows are mapped without this library, the header is read by Pillow, and each file is written aside in a
folder of its own, synced, renamed, and the folder synced.  What is replaced or deleted is unlinked after the commit.
Neither a rollback nor a crash is thought of.  Each side is timed right after the other, in CPU of all threads, and the
order is reversed from round to round.  What is printed is the median of the ratios: that is a figure even where the
machine is busy.
"""

from __future__ import annotations

import datetime
import gc
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
from _by_hand import Base, PlainUser, PlainUserPicture, User, main
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session, selectinload

from sqlalchemy_imageattach.stores.fs import FileSystemStore

MANY = 1_000


class ByHand:
    """What a program writes that knows its own layout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, image: PlainUserPicture) -> Path:
        number = image.user_id
        name = f"{number}.{image.width}x{image.height}.{image.revision}{Path(image.mimetype).suffix}"
        return self.folder / "user-picture" / str(number % 1000) / str(number // 1000) / name

    def image(self, source: Path) -> PlainUserPicture:
        with PIL.Image.open(source) as opened:
            width, height = opened.size
            mimetype = PIL.Image.MIME[opened.format or ""]
        now = datetime.datetime.now(datetime.UTC)
        return PlainUserPicture(
            width=width, height=height, mimetype=mimetype, original=True, created_at=now, revision=secrets.token_hex(5)
        )

    def put(self, image: PlainUserPicture, source: Path) -> None:
        path = self.path(image)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.tmp")
        with source.open("rb") as read, aside.open("wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        aside.rename(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


class Ours:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FileSystemStore(folder, "http://127.0.0.1/")

    def attach(self, session: Session, user: User, source: Path) -> None:
        with source.open("rb") as file:
            user.picture.from_file(file)


def add(session: Session, side: Any, sources: list[Path]) -> None:
    """Attach a picture to each of some new users, in one flush, and commit."""
    if isinstance(side, Ours):
        users = [User() for _ in sources]
        session.add_all(users)
        for user, source in zip(users, sources, strict=True):
            side.attach(session, user, source)
        session.commit()
        return
    owners = [PlainUser() for _ in sources]
    session.add_all(owners)
    for owner, source in zip(owners, sources, strict=True):
        owner.picture.append(side.image(source))
    session.flush()
    for owner, source in zip(owners, sources, strict=True):
        side.put(owner.picture[0], source)
    session.commit()


def replace(session: Session, side: Any, sources: list[Path]) -> None:
    """Give another picture to as many users, in one flush, and commit."""
    if isinstance(side, Ours):
        users = session.scalars(select(User).options(selectinload(User.picture)).limit(len(sources))).all()
        for user, source in zip(users, sources, strict=True):
            side.attach(session, user, source)
        session.commit()
        return
    owners = session.scalars(select(PlainUser).options(selectinload(PlainUser.picture)).limit(len(sources))).all()
    old: list[Path] = []
    for owner, source in zip(owners, sources, strict=True):
        (image,), made = owner.picture, side.image(source)
        old.append(side.path(image))
        # The same size is the same key, and so the same row.
        for name in ("mimetype", "created_at", "revision"):
            setattr(image, name, getattr(made, name))
        side.put(image, source)
    session.commit()
    for path in old:
        path.unlink()


def remove(session: Session, side: Any, sources: list[Path]) -> None:
    """Delete as many users with their pictures, in one flush, and commit."""
    owner_class = User if isinstance(side, Ours) else PlainUser
    options = selectinload(owner_class.picture)
    owners = session.scalars(select(owner_class).options(options).limit(len(sources))).all()
    old = [] if isinstance(side, Ours) else [side.path(owner.picture[0]) for owner in owners]
    for owner in owners:
        session.delete(owner)
    session.commit()
    for path in old:
        path.unlink()


def seconds(engine: Any, side: Any, work: Callable[..., None], sources: list[Path]) -> float:
    """What the work costs a side, in seconds of CPU."""
    info = {"image_store": side.store} if isinstance(side, Ours) else None
    with Session(engine, info=info) as session:
        gc.collect()
        start = time.process_time()
        work(session, side, sources)
        return time.process_time() - start


def make_pictures(folder: Path) -> dict[str, Path]:
    """A picture for each size of file that people attach."""

    def noise(width: int, height: int, name: str, **options: Any) -> Path:
        bands = [PIL.Image.effect_noise((width, height), 60) for _ in range(3)]
        PIL.Image.merge("RGB", bands).save(folder / name, **options)
        return folder / name

    return {
        "5 KB": noise(64, 48, "5k.jpg", quality=75),
        "570 KB": noise(800, 600, "570k.jpg", quality=75),
        "12 MP": noise(4000, 3000, "12mp.jpg", quality=50),
        "31 MB": noise(3700, 2800, "31m.png", compress_level=0),
        "100 MB": noise(7000, 4760, "100m.tif"),
    }


Work = Callable[[Session, Any, list[Path]], None]


def compare(
    engines: dict[Any, Engine], works: list[tuple[Work, list[Path]]], rounds: int
) -> list[tuple[float, float, float]]:
    """For works that are done one after the other: the medians of both sides, in seconds, and that of the ratios."""
    spent: list[list[tuple[float, float]]] = [[] for _ in works]
    ours, by_hand = engines
    for turn in range(-1, rounds):
        for at, (work, sources) in enumerate(works):
            order = (ours, by_hand) if turn % 2 else (by_hand, ours)
            found = {side: seconds(engines[side], side, work, sources) for side in order}
            if turn >= 0:
                spent[at].append((found[ours], found[by_hand]))
        for side, engine in engines.items():
            with engine.begin() as connection:
                for table in reversed(Base.metadata.sorted_tables):
                    connection.execute(table.delete())
            shutil.rmtree(side.folder)
    return [
        (*(statistics.median(side) for side in zip(*pairs, strict=True)), statistics.median(a / b for a, b in pairs))
        for pairs in spent
    ]


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each work."""
    rows: list[dict[str, Any]] = []

    def compared(titles: list[str], works: list[tuple[Work, list[Path]]], most: float, rounds: int) -> None:
        for title, (mine, other, ratio) in zip(titles, compare(engines, works, rounds), strict=True):
            rows.append({"work": title, "ours": mine, "by hand": other, "ratio": ratio, "most": most})

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        pictures = make_pictures(folder)
        engines: dict[Any, Engine] = {}
        for side in (Ours(folder / "ours"), ByHand(folder / "hand")):
            engines[side] = create_engine(f"sqlite:///{side.folder}.sqlite")
            Base.metadata.create_all(engines[side])
        for title, path in pictures.items():
            compared([f"attach {title}"], [(add, [path])], 1.25 if path.stat().st_size < 20e6 else 1.15, rounds)
        for count, turns in ((1, rounds), (MANY, max(3, rounds // 8))):
            sources = [pictures["5 KB"]] * count
            works: list[tuple[Work, list[Path]]] = [(add, sources), (replace, sources), (remove, sources)]
            compared([f"{work.__name__} {count:,} of 5 KB" for work, _ in works], works, 1.5, turns)
        for engine in engines.values():
            engine.dispose()
    return rows


if __name__ == "__main__":
    main(__doc__, measure)
