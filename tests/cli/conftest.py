"""A database with pictures, their store, and the command in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

import databases
from models import Base, User, picture
from sqlalchemy_imageattach.cli import commands
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import FileSystemStore

USERS = 4


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What ``--json`` has printed."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["sqlalchemy-imageattach", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        status = commands.run()
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def engine(sqlite_url: URL) -> Iterator[Engine]:
    engine = databases.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def old(engine: Engine, tmp_path: Path) -> FileSystemStore:
    """The store of some users' pictures and covers, three files each."""
    store = FileSystemStore(tmp_path / "old", "http://old.example.com/", sync=False)
    fill(engine, store)
    return store


@pytest.fixture
def new(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "new", "http://new.example.com/", sync=False)


def fill(engine: Engine, store: Store, users: int = USERS) -> None:
    with Session(engine, info={"image_store": store}) as session:
        for number in range(1, users + 1):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(color=number))
            user.cover.from_blob(picture(100, 50, color=number))
            user.picture.generate_thumbnail(width=32)
        session.commit()


def url_of(store: FileSystemStore) -> str:
    return f"file://{store.path}"


@pytest.fixture
def options(sqlite_url: URL) -> list[str]:
    """What names the models and the database."""
    return ["--models", "models:Base", "--database", sqlite_url.render_as_string(hide_password=False)]
