"""What each operation costs, in things that can be counted: statements, opened files, decodes, calls.

A time says something only on a quiet machine; a count says the same everywhere, so that no change makes one worse
unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session, selectinload
from werkzeug.test import create_environ, run_wsgi_app

from models import Album, Base, User, UserPicture, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.instrumentation import subscribe, unsubscribe
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore

#: How many calls of functions the URL of a loaded image may cost, and a request by WSGI for a file that was asked for.
CALLS_OF_LOCATE, CALLS_OF_A_REQUEST = 22, 14


#: How many statements replace a picture that was not loaded: by one of its size, and of another; and delete its owner,
#: who has two attributes of images. PostgreSQL and MariaDB lock the owner as well, and MariaDB looks before it locks.
STATEMENTS = {"sqlite": (4, 5, 7), "postgresql": (5, 6, 7), "mariadb": (6, 7, 8)}


@pytest.fixture
def store(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(tmp_path / "images", "https://images.example/")


@pytest.fixture
def session(engine, store) -> Iterator[Session]:
    Base.metadata.create_all(engine)
    with store_context(store), Session(engine) as session:
        yield session


@pytest.fixture
def statements(engine) -> list[str]:
    """The statements that were sent to the database; clear it before what is counted."""
    sent: list[str] = []

    def note(*arguments: object) -> None:
        # SQLite's transactions are begun by a statement.
        if arguments[2] != "BEGIN":
            sent.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    return sent


@contextlib.contextmanager
def decodes() -> Iterator[list[str]]:
    """The types of the pictures that are decoded."""
    decoded: list[str] = []

    def note(done: object) -> None:
        if done.name == "decode":
            decoded.append(done.mimetype)

    subscribe(note)
    try:
        yield decoded
    finally:
        unsubscribe(note)


@contextlib.contextmanager
def calls() -> Iterator[list[str]]:
    """The functions that are called in this thread, those of Python's own and of others too."""
    called: list[str] = []
    sys.setprofile(lambda frame, what, _: called.append(frame.f_code.co_qualname) if what == "call" else None)
    try:
        yield called
    finally:
        sys.setprofile(None)


_opened: list[str] = []


def _note(name: str, arguments: tuple[object, ...]) -> None:
    if name == "open":
        _opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "")


@functools.cache
def watch_files() -> list[str]:
    """The paths of all files that this process opens from now on: a hook stays for as long as it lives."""
    sys.addaudithook(_note)
    return _opened


def opened_in(folder: Path) -> list[str]:
    return [path for path in _opened if path.startswith(f"{folder}/") and Path(path).suffix in {".png", ".jpe"}]


def add_users(session: Session, count: int) -> None:
    for _ in range(count):
        session.add(user := User())
        user.picture.from_blob(picture())
        user.picture.from_raw_file(io.BytesIO(picture(16, 12)), size=(16, 12), mimetype="image/png", original=False)
    session.commit()
    session.expunge_all()


def add_user_without_thumbnail(session: Session) -> None:
    session.add(user := User())
    user.picture.from_blob(picture())
    session.commit()
    session.expunge_all()


def test_a_page_with_the_urls_of_thumbnails_costs_two_statements(session, statements):
    add_users(session, 20)
    statements.clear()
    users = session.scalars(select(User).options(selectinload(User.picture)))
    assert len({user.picture.find_thumbnail(width=16).locate() for user in users}) == 20
    assert len(statements) == 2


def test_an_album_with_the_urls_of_its_originals_costs_two_statements(session, statements):
    session.add(album := Album())
    for position in range(30):
        album.photos.get_image_set(position=position).from_blob(picture(color=position))
    session.commit()
    session.expunge_all()
    statements.clear()
    album = session.scalars(select(Album).options(selectinload(Album.photos))).one()
    assert len({photos.locate() for photos in album.photos.image_sets}) == 30
    assert len(statements) == 2


def test_the_url_of_a_loaded_image_costs_no_statement_and_no_file_and_few_calls(session, store, statements):
    add_users(session, 1)
    image = session.scalars(select(UserPicture).where(UserPicture.original)).one()
    image.locate()
    statements.clear()
    watch_files().clear()
    with calls() as called:
        image.locate()
    assert (statements, opened_in(store.path)) == ([], [])
    assert len(called) <= CALLS_OF_LOCATE, "\n".join(called)


@pytest.mark.parametrize("attributes", [[], ["width"], ["mimetype", "revision"]])
def test_the_url_of_an_expired_image_is_made_of_what_the_row_says(session, statements, attributes):
    add_users(session, 1)
    image = session.scalars(select(UserPicture).where(UserPicture.original)).one()
    url = image.locate()
    session.expire(image, attributes or None)
    statements.clear()
    assert image.locate() == url
    assert len(statements) == 1


def test_an_attachment_costs_the_insertion_of_its_row(session, statements):
    session.add(user := User())
    user.picture.from_blob(picture())
    session.commit()
    assert len(statements) == 2


@pytest.mark.parametrize("which", [0, 1])
def test_a_replacement_costs_few_statements(session, statements, which):
    add_user_without_thumbnail(session)
    user = session.scalars(select(User)).one()
    statements.clear()
    user.picture.from_blob([picture(color=1), picture(40, 30)][which])
    session.commit()
    assert len(statements) == STATEMENTS[session.get_bind().dialect.name][which], "\n".join(statements)


def test_a_deletion_costs_few_statements(session, statements):
    add_user_without_thumbnail(session)
    user = session.scalars(select(User).options(selectinload(User.picture))).one()
    statements.clear()
    session.delete(user)
    session.commit()
    assert len(statements) == STATEMENTS[session.get_bind().dialect.name][2], "\n".join(statements)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_many_replacements_in_one_flush_cost_no_statement_each(session, statements):
    counts = []
    for count in (20, 100):
        add_users(session, count)
        users = session.scalars(select(User).options(selectinload(User.picture)).order_by(User.id.desc()).limit(count))
        for user in users.all():
            user.picture.from_blob(picture(color=1))
        statements.clear()
        session.commit()
        counts.append(len(statements))
        session.expunge_all()
    assert counts[0] == counts[1], counts


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_thumbnail_costs_one_decode_and_one_that_is_there_none(session):
    session.add(user := User())
    user.picture.from_blob(picture(640, 480))
    session.commit()
    with decodes() as decoded:
        user.picture.generate_thumbnail(width=64)
        assert decoded == ["image/png"]
        session.commit()
        user.picture.generate_thumbnail(width=64)
    assert decoded == ["image/png"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_attaching_decodes_nothing(session):
    session.add(user := User())
    with decodes() as decoded:
        user.picture.from_blob(picture(640, 480))
        session.commit()
    assert decoded == []


def test_a_request_for_a_file_opens_it_once_and_nothing_else(tmp_path):
    store = HttpExposedFileSystemStore(tmp_path / "images", "images")
    store.put_file(io.BytesIO(picture()), "user", 1, 64, 48, "image/png", False, revision="k3v9q2")
    application = store.wsgi_middleware(lambda environ, start_response: [])
    environ = create_environ("/images/user/1/0/1.64x48.k3v9q2.png")
    watch_files()
    for _ in range(2):
        _opened.clear()
        body, status, _ = run_wsgi_app(application, environ, buffered=True)
        assert (b"".join(body), status) == (picture(), "200 OK")
        assert [path for path in _opened if path.startswith(str(tmp_path))] == [
            f"{tmp_path}/images/user/1/0/1.64x48.k3v9q2.png"
        ]


def test_a_request_for_a_file_costs_few_calls(tmp_path):
    store = HttpExposedFileSystemStore(tmp_path / "images", "images")
    store.put_file(io.BytesIO(picture()), "user", 1, 64, 48, "image/png", False, revision="k3v9q2")
    application = store.wsgi_middleware(lambda environ, start_response: [])
    environ = create_environ("/images/user/1/0/1.64x48.k3v9q2.png")
    for _ in range(2):
        with calls() as called:
            (content,) = application(environ, lambda status, headers: None)
    assert content == picture()
    assert len(called) <= CALLS_OF_A_REQUEST, "\n".join(called)


class CountingExecutor(ThreadPoolExecutor):
    """Threads that know how often they were asked."""

    asked = 0

    def submit(self, *arguments: object, **more: object) -> Future[object]:
        self.asked += 1
        return super().submit(*arguments, **more)


def can_tell_what_is_in_memory(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except (AttributeError, OSError):
            return False


@pytest.mark.parametrize("size", [5_000, 570_000])
def test_a_photograph_that_is_in_memory_costs_one_trip_to_a_thread(tmp_path, size):
    store = HttpExposedFileSystemStore(tmp_path / "images", "images")
    store.put_file(io.BytesIO(bytes(size)), "user", 1, 64, 48, "image/png", False, revision="k3v9q2")
    name = "user/1/0/1.64x48.k3v9q2.png"
    if not can_tell_what_is_in_memory(tmp_path / "images" / name):
        pytest.skip("this file system cannot tell what is in memory")
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def request() -> int:
        executor = CountingExecutor()
        asyncio.get_running_loop().set_default_executor(executor)
        scope = {"type": "http", "method": "GET", "path": f"/images/{name}", "headers": []}
        await store.asgi_middleware()(scope, receive, send)
        return executor.asked

    assert asyncio.run(request()) == 1
    assert [len(message.get("body", b"")) for message in sent] == [0, size]
