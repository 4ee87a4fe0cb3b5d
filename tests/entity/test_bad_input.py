"""What is no picture, or asks for too much, is refused in little memory, and the old picture is untouched."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from models import picture
from sqlalchemy_imageattach.context import LocalProxyStore
from sqlalchemy_imageattach.exc import InvalidImageError, StoreError
from sqlalchemy_imageattach.imaging import ImagePolicy
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.s3 import S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore

from . import hostile_uploads

RED, GREEN = picture(color=255), picture(color=255 << 8)
UPLOADS = hostile_uploads.uploads()

MEGABYTE = 1024 * 1024


@pytest.fixture
def user(session, user, context):
    """A user with a red picture and a thumbnail."""
    user.picture.from_blob(RED)
    user.picture.generate_thumbnail(width=8)
    session.commit()
    return user


@pytest.fixture
def is_untouched(session, user, store):
    """Says that the old picture is still there, before a commit and after it."""
    files = {file.name for file in store.list_files()}

    def is_untouched() -> None:
        assert not session.new
        assert not session.deleted
        for _ in range(2):
            assert user.picture.make_blob() == RED
            assert user.picture.count() == 2
            assert {file.name for file in store.list_files()} == files
            session.commit()

    return is_untouched


@pytest.mark.parametrize("name", UPLOADS)
@pytest.mark.parametrize("method", ["from_blob", "from_file", "from_raw_file"])
def test_what_is_no_picture_is_refused_with_its_reason(user, is_untouched, method, name):
    blob, reason = UPLOADS[name]
    with pytest.raises(InvalidImageError) as caught:
        getattr(user.picture, method)(blob if method == "from_blob" else io.BytesIO(blob))
    assert caught.value.reason == reason
    assert isinstance(caught.value, ValueError)
    is_untouched()


def test_the_files_of_the_tests_are_as_small_as_they_say():
    assert len(UPLOADS["900 million pixels"][0]) < 150_000
    assert len(UPLOADS["a thousand frames"][0]) < 35_000


class Failing(io.BytesIO):
    """A file that cannot be read to its end."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 50:
            raise ConnectionResetError("the browser went away")
        return super().read(min(size or 60, 60))


FILES = [
    (io.StringIO("text"), TypeError, "binary mode"),
    (object(), TypeError, r"has no read\(\)"),
    (None, TypeError, r"has no read\(\)"),
    (RED, TypeError, r"pass them to from_blob\(\)"),
    ("picture.png", TypeError, r"pass open\(path, 'rb'\)"),
    (Path("picture.png"), TypeError, r"pass open\(path, 'rb'\)"),
    (type("File", (), {"read": lambda self, size=-1: None})(), TypeError, "gives bytes, not NoneType"),
    (Failing(RED), ConnectionResetError, "the browser went away"),
]


@pytest.mark.parametrize(("file", "error", "message"), FILES)
def test_what_is_no_binary_file_is_refused(user, is_untouched, file, error, message):
    with pytest.raises(error, match=message):
        user.picture.from_file(file)
    is_untouched()


@pytest.mark.parametrize("blob", ["text", None, 5, io.BytesIO(RED), [1, 2]])
def test_what_is_no_byte_string_is_refused(user, is_untouched, blob):
    with pytest.raises(TypeError, match="expected the bytes of an image"):
        user.picture.from_blob(blob)
    is_untouched()


def test_a_file_that_never_ends_is_refused_when_it_is_too_large(user, is_untouched):
    class Endless:
        given = 0

        def read(self, size: int) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(InvalidImageError) as caught:
        user.picture.from_file(endless, policy=ImagePolicy(max_bytes=3 * MEGABYTE))
    assert caught.value.reason == "too_many_bytes"
    assert endless.given < 4 * MEGABYTE
    is_untouched()


@pytest.mark.parametrize("wanted", [{"width": 0}, {"ratio": float("nan")}, {"width": True}, {"width": 8, "ratio": 1}])
def test_a_size_that_cannot_be_touches_nothing(user, is_untouched, wanted):
    with pytest.raises((TypeError, ValueError)):
        user.picture.generate_thumbnail(**wanted)
    is_untouched()


@pytest.mark.parametrize(
    "over",
    [
        lambda store: store,
        lambda store: LocalProxyStore(lambda: store),
        lambda store: HttpExposedStore(store),
        lambda store: FallbackStore(store, MemoryStore()),
        lambda store: SandboxStore(MemoryStore(), store),
        lambda store: RoutingStore(store, {"user-cover": MemoryStore()}),
        lambda store: FileSystemStore("images", "https://example.com/"),
        lambda store: S3Store("bucket"),
    ],
    ids=["memory", "current", "http", "fallback", "sandbox", "routing", "fs", "s3"],
)
def test_a_type_that_the_store_cannot_name_touches_nothing(user, is_untouched, store, over):
    with pytest.raises(ValueError, match="has a name for, such as 'image/png', not 'application/x-nonsense'"):
        user.picture.from_raw_file(io.BytesIO(RED), over(store), size=(3, 2), mimetype="application/x-nonsense")
    is_untouched()


def test_a_store_of_ones_own_may_name_any_type(session, user, own_store):
    for store in (own_store, RoutingStore(MemoryStore(), {"user-picture": own_store})):
        user.picture.from_raw_file(io.BytesIO(b"bytes"), store, size=(3, 2), mimetype="application/x-nonsense")
        session.commit()
        assert user.picture.make_blob(store) == b"bytes"


def test_an_unknown_filter_touches_nothing(user, is_untouched):
    with pytest.raises(ValueError, match="sharpest"):
        user.picture.generate_thumbnail(width=4, filter="sharpest")
    is_untouched()


def test_an_original_that_is_damaged_in_the_store_makes_no_thumbnail(session, user, store):
    session.info["image_store"] = store
    store.store(user.picture.original, io.BytesIO(RED[:-20]))
    with pytest.raises(InvalidImageError):
        user.picture.generate_thumbnail(width=4)
    assert user.picture.count() == 2


def test_a_store_that_fails_to_read_says_so_and_nothing_is_attached(user, is_untouched, store, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise StoreError("the network is down")

    with monkeypatch.context() as patch:
        patch.setattr(store, "get_file", fail)
        with pytest.raises(StoreError, match="the network is down"):
            user.picture.generate_thumbnail(width=4)
    is_untouched()


# Memory, in a process of its own


def grown(tmp_path: Path, what: str, source: Path) -> int:
    """Runs the program of :mod:`hostile_uploads`, and tells how many bytes its memory has grown."""
    tests = Path(hostile_uploads.__file__).parents[1]
    environ = os.environ | {"PYTHONPATH": str(tests)}
    command = [sys.executable, "-W", "error", hostile_uploads.__file__, what, str(source)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["grown"]


def test_what_is_refused_costs_less_than_100_megabytes(tmp_path):
    source = tmp_path / "uploads"
    source.write_bytes(pickle.dumps(UPLOADS))
    assert grown(tmp_path, "refuse", source) < 100 * MEGABYTE


def test_a_picture_of_100_megabytes_is_attached_in_less_than_40(tmp_path):
    source = tmp_path / "large.tiff"
    assert hostile_uploads.large_tiff(source) > 100 * MEGABYTE
    assert grown(tmp_path, "attach", source) < 40 * MEGABYTE
