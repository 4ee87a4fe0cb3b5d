"""A database, SQLite unless a test asks for others; stores; sessions; and a look at what the database is asked."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session

from models import Base, User
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.memory import MemoryStore


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> URL:
    """An empty database of the test's own; ``indirect`` parameters choose other kinds."""
    url: URL = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("https://example.com/")


class OwnStore(Store):
    """A store with just what the guide asks for."""

    def __init__(self) -> None:
        self.files: dict[tuple[Any, ...], bytes] = {}

    def put_file(
        self,
        file: IO[bytes],
        object_type: str,
        object_id: int,
        width: int,
        height: int,
        mimetype: str,
        reproducible: bool,
    ) -> None:
        self.files[object_type, object_id, width, height, mimetype] = file.read()

    def delete_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> None:
        self.files.pop((object_type, object_id, width, height, mimetype), None)

    def get_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> IO[bytes]:
        try:
            return io.BytesIO(self.files[object_type, object_id, width, height, mimetype])
        except KeyError:
            raise OSError("there is no such file") from None

    def get_url(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> str:
        return f"https://own.example.com/{object_type}/{object_id}/{width}x{height}?type={mimetype}"


@pytest.fixture
def own_store() -> OwnStore:
    return OwnStore()


@pytest.fixture
def make_session(engine: Engine) -> Iterator[Callable[..., Session]]:
    """Makes sessions that know no store; they are closed after the test."""
    with contextlib.ExitStack() as sessions:
        yield lambda **options: sessions.enter_context(Session(engine, **options))


@pytest.fixture
def session(make_session: Callable[..., Session], engine: Engine) -> Session:
    """A session of the shared models, whose tables are there."""
    Base.metadata.create_all(engine)
    return make_session()


@pytest.fixture
def context(store: MemoryStore) -> Iterator[None]:
    """Makes the store the current one."""
    with store_context(store):
        yield


@pytest.fixture
def user(session: Session) -> User:
    """A user that is committed, and has no picture."""
    user = User(name="somebody")
    session.add(user)
    session.commit()
    return user


@pytest.fixture
def statements(engine: Engine) -> Callable[[], contextlib.AbstractContextManager[list[str]]]:
    """Collects the statements that the database gets in a ``with`` block."""

    @contextlib.contextmanager
    def statements() -> Iterator[list[str]]:
        seen: list[str] = []

        def see(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement != "BEGIN":
                seen.append(statement)

        event.listen(engine, "before_cursor_execute", see)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", see)

    return statements
