from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import IO, Any

import pytest

from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store, takes_revision
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore

CREATED = datetime.datetime(2013, 8, 26, 12, 30, 15, 123456, datetime.UTC)


def image(**attributes: Any) -> Any:
    default = {
        "object_type": "user-picture",
        "object_id": 1,
        "width": 640,
        "height": 480,
        "mimetype": "image/png",
        "original": True,
        "created_at": CREATED,
        "revision": None,
    }
    return SimpleNamespace(**{**default, **attributes})


class Guide(Store):
    """A store with exactly the arguments that the guide documents."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.file: Any = io.BytesIO(b"bytes")

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
        self.calls.append((file.read(), object_type, object_id, width, height, mimetype, reproducible))

    def delete_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> None:
        self.calls.append((object_type, object_id, width, height, mimetype))

    def get_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> Any:
        self.calls.append((object_type, object_id, width, height, mimetype))
        return self.file

    def get_url(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> str:
        return f"http://host/{object_type}/{object_id}/{width}x{height}"


def test_templates_call_the_four_methods_with_the_documented_arguments() -> None:
    store = Guide()
    store.store(image(), io.BytesIO(b"original"))
    store.store(image(original=False), io.BytesIO(b"thumbnail"))
    store.open(image())
    store.delete(image())
    identifiers = ("user-picture", 1, 640, 480, "image/png")
    assert store.calls == [
        (b"original", *identifiers, False),
        (b"thumbnail", *identifiers, True),
        identifiers,
        identifiers,
    ]


def test_store_with_the_documented_arguments_is_never_handed_a_revision() -> None:
    store = Guide()
    key = FileKey("user-picture", 1, 640, 480, "image/png", "k3v9q2")
    assert not takes_revision(store)
    store.put_key(io.BytesIO(b"bytes"), key, False)
    store.get_key(key)
    store.delete_key(key)
    assert store.locate(image(revision="k3v9q2")).startswith("http://host/user-picture/1/640x480?_ts=")
    assert len(store.calls) == 3


def test_store_with_a_revision_argument_is_handed_the_revision() -> None:
    store = MemoryStore()
    assert takes_revision(store)
    for revision in ("a", "b", None):
        store.put_key(io.BytesIO(repr(revision).encode()), FileKey("user", 1, 2, 3, "image/png", revision), False)
    assert store.get_key(FileKey("user", 1, 2, 3, "image/png", "a")).read() == b"'a'"
    assert store.get_key(FileKey("user", 1, 2, 3, "image/png")).read() == b"None"
    store.delete_key(FileKey("user", 1, 2, 3, "image/png", "a"))
    assert {file.name for file in store.list_files()} == {"user/1/0/1.2x3.b.png", "user/1/0/1.2x3.png"}


class PassingOn(Store):
    def put_file(self, *args: Any, **kwargs: Any) -> None: ...
    def get_file(self, *args: Any, **kwargs: Any) -> Any: ...
    def get_url(self, *args: Any, **kwargs: Any) -> Any: ...
    def delete_file(self, *args: Any, **kwargs: Any) -> None: ...


class NamingOnce(PassingOn):
    def put_file(self, *args: Any, revision: str | None = None, **kwargs: Any) -> None: ...


class NarrowedUrl(FileSystemStore):
    def get_url(  # type: ignore[override]
        self, object_type: str, object_id: int, width: int, height: int, mimetype: str
    ) -> str:
        return "http://host/"


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (Store(), False),
        (PassingOn(), False),  # nothing says what it passes its arguments on to
        (NamingOnce(), True),
        (NarrowedUrl("folder", "http://host/"), False),
        (FileSystemStore("folder", "http://host/"), True),
    ],
)
def test_signatures_tell_whether_a_store_takes_revisions(store: Store, expected: bool) -> None:
    assert takes_revision(store) is expected


def test_locate_appends_the_time() -> None:
    store = Guide()
    assert store.locate(image()) == "http://host/user-picture/1/640x480?_ts=20130826123015123456"


def test_locate_appends_to_a_query_that_is_there() -> None:
    class Query(Guide):
        def get_url(self, *args: Any) -> str:  # type: ignore[override]
            return "http://host/?id=1"

    assert Query().locate(image()) == "http://host/?id=1&_ts=20130826123015123456"


def test_time_in_urls_is_utc_whatever_the_database_returns() -> None:
    abroad = CREATED.astimezone(datetime.timezone(datetime.timedelta(hours=9)))
    naive = CREATED.replace(tzinfo=None)
    assert len({Guide().locate(image(created_at=time)) for time in (CREATED, abroad, naive)}) == 1


def test_locate_needs_no_time() -> None:
    assert Guide().locate(image(created_at=None)) == "http://host/user-picture/1/640x480"


@pytest.mark.parametrize("wrong", [None, object(), "image", 1])
def test_what_is_no_image_is_a_type_error_before_anything_is_done(wrong: Any) -> None:
    store = Guide()
    for call in (store.open, store.locate, store.delete, lambda image: store.store(image, io.BytesIO(b""))):
        with pytest.raises(TypeError, match="expected an image"):
            call(wrong)
    assert store.calls == []


@pytest.mark.parametrize(
    "attributes",
    [{"object_id": None}, {"object_id": "1"}, {"object_id": True}, {"width": 1.5}, {"object_type": 1}, {"revision": 1}],
)
def test_image_with_an_attribute_of_another_type_is_a_type_error(attributes: dict[str, Any]) -> None:
    name = next(iter(attributes))
    with pytest.raises(TypeError, match=rf"\.{name} must be"):
        Guide().open(image(**attributes))


@pytest.mark.parametrize("wrong", [None, b"bytes", "path", object()])
def test_what_cannot_be_read_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"with a read\(\) method"):
        Guide().store(image(), wrong)


def test_store_that_returns_no_file_is_a_type_error() -> None:
    store = Guide()
    store.file = object()
    with pytest.raises(TypeError, match=r"Guide\.get_file\(\) must return a readable file"):
        store.open(image())


class Stream:
    """What comes from a network: it can be read, and nothing else."""

    def __init__(self, content: bytes) -> None:
        file = io.BytesIO(content)
        self.read, self.readline, self.readlines = file.read, file.readline, file.readlines
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Pipe(io.BufferedReader):
    """It has a seek() that only raises."""

    def seekable(self) -> bool:
        return False

    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("seek")


def test_opened_file_is_a_context_manager_and_an_iterator_over_lines() -> None:
    store = Guide()
    store.file = stream = Stream(b"one\ntwo\n")
    with store.open(image()) as file:
        assert isinstance(file, Iterator)
        assert list(file) == [b"one\n", b"two\n"]
    assert stream.closed


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_file_that_cannot_seek_is_copied_when_it_has_to(size: int) -> None:
    content = bytes(size)
    for file in (Stream(content), Pipe(io.BytesIO(content))):  # type: ignore[arg-type]
        store = Guide()
        store.file = file
        with store.open(image(), use_seek=True) as copy:
            assert copy.read() == content
            assert copy.seek(1) == 1
            assert copy.tell() == 1
            assert len(copy.read()) == size - 1
        assert file.closed


def test_file_that_can_seek_is_not_copied() -> None:
    store = Guide()
    assert store.open(image(), use_seek=True) is store.file


def test_file_that_can_seek_without_being_a_context_manager_is_made_one() -> None:
    class Seekable(Stream):
        def __init__(self, content: bytes) -> None:
            file = io.BytesIO(content)
            self.read, self.readline, self.readlines = file.read, file.readline, file.readlines
            self.seek, self.tell = file.seek, file.tell

    store = Guide()
    store.file = Seekable(b"bytes")
    with store.open(image(), use_seek=True) as file:
        file.seek(2)
        assert file.read() == b"tes"


def test_missing_method_is_named() -> None:
    for call in (
        lambda s: s.get_file("u", 1, 1, 1, "image/png"),
        lambda s: s.list_files(),
        lambda s: s.locate(image()),
    ):
        with pytest.raises(NotImplementedError, match="has to implement"):
            call(Store())
