"""The tests of a store's methods."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import IO, Any, cast
from urllib.parse import urlsplit

import pytest

from ..naming import FileKey
from ..store import Store, StoredFile, takes_revision
from .faults import FaultContract

__all__ = ("StoreContract",)

_WRITERS = 8


class StoreContract(FaultContract):
    """The tests; a subclass has a fixture ``store``, which returns the store to test."""

    @pytest.fixture
    def store(self) -> Store:
        """The store to test; a subclass overrides it."""
        raise NotImplementedError(
            f"{type(self).__qualname__} has to have a fixture named store, which returns the store"
        )

    @pytest.fixture
    def key(self, store: Store) -> Iterator[FileKey]:
        """A key that no other test has; its file is deleted after the test."""
        key = FileKey(f"contract-{uuid.uuid4().hex}", 17042, 640, 480, "image/jpeg")
        yield key
        store.delete_key(key)

    def test_what_was_put_is_got(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"bytes\r\n\x00\xff")
        assert _get(store, key) == b"bytes\r\n\x00\xff"

    def test_empty_file_is_a_file(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"")
        assert _get(store, key) == b""

    def test_put_replaces(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"a longer one")
        _put(store, key, b"shorter")
        assert _get(store, key) == b"shorter"

    def test_reproducible_files_are_kept_too(self, store: Store, key: FileKey) -> None:
        store.put_key(io.BytesIO(b"bytes"), key, True)
        assert _get(store, key) == b"bytes"

    def test_put_takes_what_is_left_of_the_file_and_leaves_it_open(self, store: Store, key: FileKey) -> None:
        file = io.BytesIO(b"skipped bytes")
        file.seek(len(b"skipped "))
        store.put_key(file, key, False)
        assert not file.closed
        assert _get(store, key) == b"bytes"

    def test_put_takes_a_file_that_cannot_seek(self, store: Store, key: FileKey) -> None:
        store.put_key(cast("IO[bytes]", _Stream(b"bytes")), key, False)
        assert _get(store, key) == b"bytes"

    def test_missing_file_is_an_os_error(self, store: Store, key: FileKey) -> None:
        with pytest.raises(OSError):  # noqa: PT011  # any message will do
            _get(store, key)

    def test_deleted_file_is_missing(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"bytes")
        store.delete_key(key)
        with pytest.raises(OSError):  # noqa: PT011
            _get(store, key)

    def test_deleting_twice_is_silent(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"bytes")
        store.delete_key(key)
        store.delete_key(key)

    def test_deleting_what_never_was_is_silent(self, store: Store, key: FileKey) -> None:
        store.delete_key(key)

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"object_id": 17043}, id="object_id"),
            pytest.param({"width": 641}, id="width"),
            pytest.param({"height": 481}, id="height"),
            pytest.param({"mimetype": "image/png"}, id="mimetype"),
            pytest.param({"object_id": -17042}, id="sign"),
        ],
    )
    def test_each_identifier_tells_files_apart(self, store: Store, key: FileKey, changes: dict[str, Any]) -> None:
        other = key._replace(**changes)
        with contextlib.ExitStack() as stack:
            stack.callback(store.delete_key, other)
            _put(store, key, b"one")
            _put(store, other, b"other")
            assert (_get(store, key), _get(store, other)) == (b"one", b"other")
            assert store.url_of_key(key) != store.url_of_key(other)
            store.delete_key(other)
            assert _get(store, key) == b"one"

    def test_names_that_are_alike_tell_files_apart(self, store: Store, key: FileKey) -> None:
        of_type = key.object_type
        keys = [
            key,
            # Without a character that is not in ASCII, they are the same.
            key._replace(object_type=f"{of_type}-ü"),
            key._replace(object_type=f"{of_type}-名"),
            # One after the other without anything between, they are the same.
            key._replace(object_type=f"{of_type}-1", object_id=23),
            key._replace(object_type=f"{of_type}-12", object_id=3),
            key._replace(object_id=1, width=7042640),
            key._replace(object_id=17, width=42640),
            key._replace(width=6, height=40480),
            # They have as many pixels.
            key._replace(width=480, height=640),
            # Cut off to 32, 64 or 128 bits, or turned into a float, they are the same.
            *(key._replace(object_id=key.object_id + (1 << bits)) for bits in (32, 64, 128, 159)),
            key._replace(object_id=key.object_id + (1 << 159) + 1),
        ]
        with contextlib.ExitStack() as stack:
            for number, each in enumerate(keys):
                stack.callback(store.delete_key, each)
                _put(store, each, b"%d" % number)
            assert [_get(store, each) for each in keys] == [b"%d" % number for number in range(len(keys))]
            assert len({store.url_of_key(each) for each in keys}) == len(keys)

    @pytest.mark.parametrize("object_id", [0, -1, -1001, 2**160 - 1, -(2**160)])
    def test_any_integer_is_an_object_id(self, store: Store, key: FileKey, object_id: int) -> None:
        _round_trip(store, key._replace(object_id=object_id))

    @pytest.mark.parametrize("suffix", ["a b", "ü-名前-🖼", "a+b%20c&d=e#f?g", "comics.cover", "quote'\"<>"])
    def test_object_type_may_have_any_characters(self, store: Store, key: FileKey, suffix: str) -> None:
        _round_trip(store, key._replace(object_type=f"{key.object_type}-{suffix}"))

    def test_url_is_quoted(self, store: Store, key: FileKey) -> None:
        url = store.url_of_key(key._replace(object_type=f"{key.object_type} ü\"'<>#?"))
        assert url.isascii()
        assert not set(url) & set(" \"<>\\^`{|}'")
        assert urlsplit(url).fragment == ""

    def test_url_needs_no_file(self, store: Store, key: FileKey) -> None:
        assert store.url_of_key(key) == store.url_of_key(key)

    def test_files_of_many_megabytes_are_whole(self, store: Store, key: FileKey) -> None:
        content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(1 << 18))
        _put(store, key, content)
        with contextlib.closing(store.get_key(key)) as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 16):
                assert len(block) <= 1 << 16
                digest.update(block)
        assert digest.digest() == hashlib.sha256(content).digest()

    def test_open_gives_a_file_that_can_be_positioned(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"one\ntwo\n")
        with store.open(_Image(key), use_seek=True) as file:  # type: ignore[arg-type]
            assert list(file) == [b"one\n", b"two\n"]
            file.seek(4)
            assert file.read() == b"two\n"
            assert file.tell() == 8

    def test_open_gives_a_context_manager_and_an_iterator(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"one\ntwo\n")
        with store.open(_Image(key)) as file:  # type: ignore[arg-type]
            assert next(file) == b"one\n"
            assert file.readline() == b"two\n"

    def test_opened_files_are_independent(self, store: Store, key: FileKey) -> None:
        _put(store, key, b"bytes")
        with contextlib.closing(store.get_key(key)) as first, contextlib.closing(store.get_key(key)) as second:
            assert first.read() == second.read() == b"bytes"

    def test_many_writers_at_once(self, store: Store, key: FileKey) -> None:
        keys = [key._replace(object_id=number) for number in range(_WRITERS * 4)]
        with contextlib.ExitStack() as stack, ThreadPoolExecutor(_WRITERS) as threads:
            for each in keys:
                stack.callback(store.delete_key, each)
            list(threads.map(lambda each: _put(store, each, b"%d" % each.object_id), keys))
            assert list(threads.map(lambda each: _get(store, each), keys)) == [b"%d" % each.object_id for each in keys]

    def test_writers_of_one_file_leave_one_whole_file(self, store: Store, key: FileKey) -> None:
        contents = [bytes([number]) * 100_000 for number in range(_WRITERS)]
        barrier = Barrier(_WRITERS)

        def put(content: bytes) -> None:
            barrier.wait()
            _put(store, key, content)

        with ThreadPoolExecutor(_WRITERS) as threads:
            list(threads.map(put, contents))
        assert _get(store, key) in contents

    @pytest.mark.parametrize("size", [0, 14, 9 << 20])
    def test_put_that_fails_leaves_nothing(self, store: Store, key: FileKey, size: int) -> None:
        with pytest.raises(OSError):  # noqa: PT011
            store.put_key(cast("IO[bytes]", _CutOff(size)), key, False)
        with pytest.raises(OSError):  # noqa: PT011
            _get(store, key)

    @pytest.mark.parametrize("size", [0, 14, 9 << 20])
    def test_put_that_fails_leaves_the_old_file(self, store: Store, key: FileKey, size: int) -> None:
        _put(store, key, b"old")
        with pytest.raises(OSError):  # noqa: PT011
            store.put_key(cast("IO[bytes]", _CutOff(size)), key, False)
        assert _get(store, key) == b"old"

    def test_put_that_failed_can_be_tried_again(self, store: Store, key: FileKey) -> None:
        with pytest.raises(OSError):  # noqa: PT011
            store.put_key(cast("IO[bytes]", _CutOff(14)), key, False)
        _put(store, key, b"bytes")
        assert _get(store, key) == b"bytes"

    def test_revisions_are_kept_side_by_side(self, store: Store, key: FileKey) -> None:
        if not takes_revision(store):
            pytest.skip("this store takes no revision, which is its right")
        revisions = [key._replace(revision="k3v9q2"), key._replace(revision="0"), key]
        with contextlib.ExitStack() as stack:
            for each in revisions:
                stack.callback(store.delete_key, each)
                _put(store, each, repr(each.revision).encode())
            assert [_get(store, each) for each in revisions] == [b"'k3v9q2'", b"'0'", b"None"]
            assert len({store.url_of_key(each) for each in revisions}) == len(revisions)
            store.delete_key(revisions[0])
            assert [_get(store, each) for each in revisions[1:]] == [b"'0'", b"None"]

    def test_list_tells_every_file_and_removes_it(self, store: Store, key: FileKey) -> None:
        keys = {key, key._replace(object_id=-(2**160), mimetype="image/svg+xml"), key._replace(width=1, height=1)}
        if takes_revision(store):
            keys.add(key._replace(revision="k3v9q2"))
        with contextlib.ExitStack() as stack:
            for each in keys:
                stack.callback(store.delete_key, each)
                _put(store, each, b"bytes")
            files = _listed(store, key.object_type)
            assert {file.key for file in files} == keys
            assert {file.size for file in files} == {len(b"bytes")}
            assert all(file.modified.utcoffset() is not None for file in files)
            assert len({file.name for file in files}) == len(keys)
            for file in files:
                file.remove()
                file.remove()
            assert _listed(store, key.object_type) == []

    def test_time_is_that_of_the_files(self, store: Store, key: FileKey) -> None:
        assert store.now().utcoffset() is not None
        with contextlib.ExitStack() as stack:
            stack.callback(store.delete_key, key)
            _put(store, key, b"bytes")
            (file,) = _listed(store, key.object_type)
            assert abs(store.now() - file.modified) < datetime.timedelta(minutes=1)


class _Image:
    """As much of an image as a store needs."""

    original = True
    created_at = None

    def __init__(self, key: FileKey) -> None:
        self.object_type, self.object_id, self.width, self.height, self.mimetype, self.revision = key


class _Stream:
    """A file that can be read, and nothing else."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


class _CutOff:
    """A file that ends with an error after so many bytes."""

    def __init__(self, size: int) -> None:
        self._rest = io.BytesIO(bytes(size))

    def read(self, size: int = -1) -> bytes:
        if size >= 0 and (block := self._rest.read(size)):
            return block
        raise OSError("the connection was cut off")


def _put(store: Store, key: FileKey, content: bytes) -> None:
    store.put_key(io.BytesIO(content), key, False)


def _get(store: Store, key: FileKey) -> bytes:
    with contextlib.closing(store.get_key(key)) as file:
        return file.read()


def _round_trip(store: Store, key: FileKey) -> None:
    try:
        _put(store, key, b"bytes")
        assert _get(store, key) == b"bytes"
    finally:
        store.delete_key(key)
    with pytest.raises(OSError):  # noqa: PT011
        _get(store, key)


def _listed(store: Store, object_type: str) -> list[StoredFile]:
    try:
        return [file for file in store.list_files() if file.key is not None and file.key.object_type == object_type]
    except NotImplementedError:
        pytest.skip("this store cannot list its files, which is its right")
