"""A folder whose store makes variants, a photograph in it, and a door to it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session
from werkzeug.test import Client

from models import Base, User, picture
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
from sqlalchemy_imageattach.variants import Variants

SECRET = "a secret of the application"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


@pytest.fixture
def database_url(sqlite_url: URL) -> URL:
    return sqlite_url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def store(folder: Path) -> HttpExposedFileSystemStore:
    return HttpExposedFileSystemStore(folder, "images", sync=False, variants=Variants(SECRET))


@pytest.fixture
def get(store: Any) -> Callable[..., Answer]:
    """A request to the store's WSGI application."""

    def elsewhere(environ: Any, start_response: Any) -> list[bytes]:
        start_response("418 I'm a teapot", [])
        return []

    def get(url: str, method: str = "GET", **headers: str) -> Answer:
        client = Client(store.wsgi_middleware(elsewhere))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with client.open(url, method=method, headers=named) as response:
            return Answer(response.status_code, dict(response.headers), response.get_data())

    return get


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


@pytest.fixture
def user(session: Session, store: Any) -> User:
    """A user with a JPEG of 640x480 pixels, committed."""
    user = User(name="Ann")
    session.add(user)
    user.picture.from_blob(picture(640, 480, 0x3060C0, "JPEG"), store)
    session.commit()
    return user


def files(folder: Path) -> set[str]:
    """The names of all files in a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def jpeg(width: int = 640, height: int = 480) -> io.BytesIO:
    return io.BytesIO(picture(width, height, 0x3060C0, "JPEG"))
