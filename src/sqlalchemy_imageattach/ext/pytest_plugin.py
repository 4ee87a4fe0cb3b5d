"""pytest: a store for the tests of an application, and image files of any type and size.

Installed is enough: pytest finds this module by its entry point.

::

    def test_a_picture_is_shown(client, imageattach_store, image_file):
        client.post("/picture", files={"file": image_file("image/png", width=640, height=480)})
        assert ".640x480." in client.get("/").text

A test that has asked for ``imageattach_store``, and has passed, is held against its rows: what it has stored and what
the databases of its sessions name has to be the same.  So ``session.execute(delete(User))``, which leaves files behind,
is found where it is written.  It must always be true that

- a test that has not asked for the store is left alone;
- nothing that a test has done is changed by looking at it: a session that has not ended is looked at from within.
"""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Protocol

import PIL.Image
import pytest
from sqlalchemy import URL, Connection, Engine, event, inspect
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from ..audit import Finding, verify
from ..context import store_context
from ..entity import Image
from ..exc import MissingDependencyError
from ..naming import FileKey
from ..stores.http import HttpExposedStore
from ..stores.memory import MemoryStore

try:
    from pillow_heif import register_heif_opener
except ImportError:

    def register_heif_opener(**_: Any) -> None:
        raise MissingDependencyError("HEIC needs an extra: pip install 'SQLAlchemy-ImageAttach[heif]'")


#: What Pillow calls the types that it writes.
_FORMATS = {
    "application/pdf": "PDF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/heic": "HEIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}
_DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}"><rect width="50%" height="50%" fill="{}"/></svg>'
)


class ImageFile(Protocol):
    """Makes an image file; each has other bytes than all before it."""

    def __call__(self, mimetype: str = "image/jpeg", width: int = 64, height: int = 48) -> IO[bytes]:
        """Make an image file.

        :param mimetype: its type
        :param width: pixels
        :param height: pixels
        :returns: a readable and seekable file in memory
        :raises ValueError: for a type that this library does not read
        """
        ...


@pytest.fixture
def image_file() -> ImageFile:
    """What makes image files: ``image_file("image/png", width=640, height=480)``."""
    numbers = itertools.count(1)

    def make(mimetype: str = "image/jpeg", width: int = 64, height: int = 48) -> IO[bytes]:
        color = f"#{next(numbers) * 0x4F1D35 % 0x1000000:06x}"
        if mimetype == "image/svg+xml":
            return io.BytesIO(_DRAWING.format(width, height, color).encode())
        if mimetype not in _FORMATS:
            types = ", ".join(sorted([*_FORMATS, "image/svg+xml"]))
            raise ValueError(f"expected a type that this library reads, one of {types}, got {mimetype!r}")
        if mimetype == "image/heic":
            register_heif_opener()
        file = io.BytesIO()
        # 72 to the inch make of each pixel a point of a PDF page.
        PIL.Image.new("RGB", (width, height), color).save(file, _FORMATS[mimetype], resolution=72)
        file.seek(0)
        return file

    return make


@pytest.fixture
def imageattach_store(request: pytest.FixtureRequest) -> Iterator[HttpExposedStore]:
    """A store in memory, which the application may serve; it is the current store of the test.

    When the test has passed, what is in the store has to be what the rows of the sessions' databases name.
    """
    store = request.node.stash[_STORE] = _RecordingStore()
    event.listen(Session, "after_begin", store.remember)
    try:
        with store_context(store):
            yield store
    finally:
        event.remove(Session, "after_begin", store.remember)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield
    # Before any fixture ends: the databases are there still.
    store = item.stash.get(_STORE, None)
    if store is not None and (found := store.disagreements()):
        pytest.fail(
            "\n".join(["expected rows and files that agree at the end of the test, got", *found]), pytrace=False
        )


class _RecordingStore(HttpExposedStore):
    """A store in memory that knows what it has ever been given, and the sessions that there were."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self._given = set[FileKey]()
        self._sessions: dict[Session, Engine] = {}

    def put_file(self, file: IO[bytes], *identifiers: Any, **revision: Any) -> None:
        super().put_file(file, *identifiers, **revision)
        self._given.add(FileKey(*identifiers[:5], **revision))

    def remember(self, session: Session, transaction: object, connection: Connection) -> None:
        self._sessions[session] = connection.engine

    def disagreements(self) -> list[str]:
        """What does not agree, a line each: a file is an orphan when no transaction sees a row of it."""
        looks = [findings for findings in self._looks() if findings is not None]
        orphans = [{str(each) for each in findings if each.kind == "orphan"} for findings in looks]
        found = set.intersection(*orphans) if orphans else set[str]()
        for findings in looks:
            # A row that came without this store is no concern of it.
            found |= {str(each) for each in findings if each.kind == "missing" and each.key in self._given}
        return sorted(found)

    def _looks(self) -> Iterator[list[Finding] | None]:
        """What an audit finds as each transaction that goes on sees its database, and as a new one does."""
        sessions, shared = self._sessions.copy(), set[Engine]()
        for session, engine in sessions.items():
            if session.in_transaction() or isinstance(session.bind, Connection):
                # Another transaction would be on the same connection, and its end the end of this one; one of asyncio's
                # belongs to a loop that has stopped.
                if engine.dialect.is_async or isinstance(engine.pool, SingletonThreadPool | StaticPool):
                    shared.add(engine)
                if not engine.dialect.is_async:
                    yield self._findings(session)
        for engine in set(sessions.values()) - shared:
            if not engine.dialect.is_async:
                with Session(engine) as session:
                    yield self._findings(session)
            elif engine.url.database not in (None, "", ":memory:"):
                with ThreadPoolExecutor(1) as thread:
                    yield thread.submit(asyncio.run, self._findings_anew(engine.url)).result()

    def _findings(self, session: Session) -> list[Finding] | None:
        """What an audit finds in one database; nothing where none of its tables is of these images."""
        given = {key.object_type for key in self._given}
        has_table = inspect(session.connection()).has_table
        classes = [cls for cls in _image_classes() if has_table(cls.__table__.name, cls.__table__.schema)]
        # An audit of one class reads the others of its base too, whose files may have names like its own.
        lacking = {cls.registry for cls in _image_classes() if cls not in classes}
        found = [
            verify(session, cls, self) for cls in classes if cls.object_type in given and cls.registry not in lacking
        ]
        return [finding for findings in found for finding in findings] if found else None

    async def _findings_anew(self, url: URL) -> list[Finding] | None:
        engine = create_async_engine(url, poolclass=NullPool)
        async with AsyncSession(engine) as session:
            return await session.run_sync(self._findings)


def _image_classes(cls: type[Any] = Image) -> Iterator[Any]:
    """The topmost class of each hierarchy of image classes that are mapped."""
    for subclass in cls.__subclasses__():
        if inspect(subclass, raiseerr=False) is None:
            yield from _image_classes(subclass)
        else:
            yield subclass


_STORE = pytest.StashKey[_RecordingStore]()
