"""A database of each kind with the models' tables, a store that can fail, and what has to agree in the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker

from models import Base, User, rows, stored
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.transactions import FailedDelete


class FaultyStore(MemoryStore):
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_to_put = self.fails_to_get = self.fails_to_delete = False
        self.fails_to_put_after: int | None = None

    def put_file(self, *args: Any, **kwargs: Any) -> None:
        if self.fails_to_put_after is not None:
            self.fails_to_put_after -= 1
        if self.fails_to_put or (self.fails_to_put_after is not None and self.fails_to_put_after < 0):
            raise StoreError("the disk is full")
        super().put_file(*args, **kwargs)

    def get_file(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        if self.fails_to_get:
            raise StoreError("the disk cannot be read")
        return super().get_file(*args, **kwargs)

    def delete_file(self, *args: Any, **kwargs: Any) -> None:
        if self.fails_to_delete:
            raise StoreError("the disk is read-only")
        super().delete_file(*args, **kwargs)


class DocumentedStore(MemoryStore):
    """A store as the guide has users write it: without revisions."""

    def put_file(  # type: ignore[override]
        self,
        file: IO[bytes],
        object_type: str,
        object_id: int,
        width: int,
        height: int,
        mimetype: str,
        reproducible: bool,
    ) -> None:
        super().put_file(file, object_type, object_id, width, height, mimetype, reproducible)

    def get_file(  # type: ignore[override]
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str
    ) -> IO[bytes]:
        return super().get_file(object_type, object_id, width, height, mimetype)

    def delete_file(  # type: ignore[override]
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str
    ) -> None:
        super().delete_file(object_type, object_id, width, height, mimetype)

    def get_url(  # type: ignore[override]
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str
    ) -> str:
        return super().get_url(object_type, object_id, width, height, mimetype)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def failures() -> list[FailedDelete]:
    """The failed deletions that were reported."""
    return []


@pytest.fixture
def make_session(engine: Engine, store: FaultyStore, failures: list[FailedDelete]) -> Iterator[Callable[..., Session]]:
    """Makes sessions that have the store by default; they are closed after the test."""
    Base.metadata.create_all(engine)
    sessions: list[Session] = []
    factory = sessionmaker(engine, info={"image_store": store, "image_delete_failed": failures.append})

    def make(**options: Any) -> Session:
        sessions.append(factory(**options))
        return sessions[-1]

    make.unmanaged = factory  # type: ignore[attr-defined]
    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    return make_session()


@pytest.fixture
def user(session: Session) -> User:
    """A user that is committed, and has no picture."""
    user = User(name="somebody")
    session.add(user)
    session.commit()
    return user


@pytest.fixture
def agree(make_session: Callable[..., Session], store: FaultyStore) -> Callable[..., None]:
    """Says that the rows that are committed name just the files that the store has."""

    def agree(*blobs: bytes) -> None:
        with make_session() as another:
            named: set[FileKey] = rows(another)
        files = stored(store)
        assert set(files) == named
        assert sorted(files.values()) == sorted(blobs)

    return agree


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else tmp_path) as folder:
        yield Path(folder)
