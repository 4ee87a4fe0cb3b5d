"""Stores over other stores, which are ones in memory, and one as the guide tells users to write it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest
from keys import KEY, PLAIN, get, image, put
from test_contract import OneFolderStore

from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store, is_missing
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.s3 import S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore


class FailingStore(MemoryStore):
    """A store that cannot be reached."""

    error: OSError = StoreError(5, "it does not answer")

    def get_file(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        raise self.error


def has(store: Store, key: FileKey = KEY) -> bool:
    try:
        get(store, key)
    except FileNotFoundError:
        return False
    except ImageNotFoundError:
        return False
    return True


@pytest.fixture
def old() -> MemoryStore:
    return MemoryStore("http://old/")


@pytest.fixture
def new() -> MemoryStore:
    return MemoryStore("http://new/")


# While files move


def test_file_is_read_from_where_it_is(new: MemoryStore, old: MemoryStore) -> None:
    store = FallbackStore(new, old)
    put(old, b"old")
    assert get(store) == b"old"
    assert store.url_of_key(KEY).startswith("http://old/")
    put(new, b"new")
    assert get(store) == b"new"
    assert store.url_of_key(KEY).startswith("http://new/")


def test_file_that_is_nowhere_is_missing_and_would_be_in_the_new_store(new: MemoryStore, old: MemoryStore) -> None:
    store = FallbackStore(new, old)
    with pytest.raises(ImageNotFoundError):
        get(store)
    assert not store.has_key(KEY)


def test_file_is_put_into_the_new_store(new: MemoryStore, old: MemoryStore) -> None:
    put(FallbackStore(new, old), b"bytes")
    assert (has(new), has(old)) == (True, False)


def test_deleted_file_is_in_neither_store(new: MemoryStore, old: MemoryStore) -> None:
    for each in (new, old):
        put(each, b"bytes")
    FallbackStore(new, old).delete_key(KEY)
    assert (has(new), has(old)) == (False, False)


def test_listed_file_is_removed_from_both_stores(new: MemoryStore, old: MemoryStore) -> None:
    for each in (new, old):
        put(each, b"bytes")
    listed = list(FallbackStore(new, old).list_files())
    assert [file.key for file in listed] == [KEY, KEY]
    listed[0].remove()
    assert (has(new), has(old)) == (False, False)


def test_store_without_revisions_is_not_asked_for_one(new: MemoryStore, tmp_path: Path) -> None:
    old = OneFolderStore(tmp_path)
    put(old, b"another picture", PLAIN)
    store = FallbackStore(new, old)
    assert get(store, PLAIN) == b"another picture"
    assert not has(store, KEY)
    store.delete_key(KEY)
    assert get(old, PLAIN) == b"another picture"
    backwards = FallbackStore(old, new)
    assert not has(backwards, KEY)
    put(new, b"bytes", KEY)
    assert get(backwards, KEY) == b"bytes"
    assert backwards.url_of_key(KEY).startswith("http://new/")


def test_new_store_that_cannot_be_reached_is_not_taken_for_an_empty_one(old: MemoryStore) -> None:
    put(old, b"old")
    store = FallbackStore(FailingStore(), old)
    for ask in (lambda: get(store), lambda: store.url_of_key(KEY), lambda: store.has_key(KEY)):
        with pytest.raises(StoreError, match="it does not answer"):
            ask()


# Sandboxes


def test_sandbox_changes_nothing_below(new: MemoryStore, old: MemoryStore) -> None:
    sandbox = SandboxStore(old, new)
    put(old, b"of production")
    assert get(sandbox) == b"of production"
    assert sandbox.url_of_key(KEY).startswith("http://old/")
    put(sandbox, b"of the sandbox")
    assert get(sandbox) == b"of the sandbox"
    assert sandbox.url_of_key(KEY).startswith("http://new/")
    sandbox.delete_key(KEY)
    assert not has(sandbox)
    assert not sandbox.has_key(KEY)
    assert list(sandbox.list_files()) == []
    put(sandbox, b"again")
    assert [file.key for file in sandbox.list_files()] == [KEY]
    assert get(sandbox) == b"again"
    assert get(old) == b"of production"


def test_file_below_is_removed_from_the_list_of_the_sandbox_only(new: MemoryStore, old: MemoryStore) -> None:
    sandbox = SandboxStore(old, new)
    put(old, b"of production")
    (file,) = sandbox.list_files()
    file.remove()
    assert list(sandbox.list_files()) == []
    assert get(old) == b"of production"


def test_sandbox_without_revisions_hides_just_what_was_deleted(old: MemoryStore, tmp_path: Path) -> None:
    sandbox = SandboxStore(old, OneFolderStore(tmp_path))
    put(old, b"plain", PLAIN)
    put(old, b"with a revision", KEY)
    sandbox.delete_key(KEY)
    assert (has(sandbox, KEY), has(sandbox, PLAIN)) == (False, True)


def test_sandbox_that_cannot_be_reached_does_not_show_what_is_below(old: MemoryStore) -> None:
    put(old, b"of production")
    sandbox = SandboxStore(old, FailingStore())
    for ask in (lambda: get(sandbox), lambda: sandbox.url_of_key(KEY)):
        with pytest.raises(StoreError, match="it does not answer"):
            ask()


# Routes


def test_object_type_decides(new: MemoryStore, old: MemoryStore) -> None:
    store = RoutingStore(old, {"scan": new})
    scan = KEY._replace(object_type="scan")
    put(store, b"picture")
    put(store, b"scan", scan)
    assert (get(old), get(new, scan)) == (b"picture", b"scan")
    assert store.url_of_key(scan).startswith("http://new/")
    assert {file.key for file in store.list_files()} == {KEY, scan}
    store.delete_key(scan)
    assert not has(new, scan)


def test_route_is_not_listed_for_what_belongs_to_another(new: MemoryStore, old: MemoryStore) -> None:
    put(new, b"left behind")
    assert list(RoutingStore(old, {"scan": new}).list_files()) == []


def test_revisions_are_kept_when_every_route_keeps_them(new: MemoryStore, tmp_path: Path) -> None:
    assert RoutingStore(new, {"scan": MemoryStore()}).takes_revision()
    assert not RoutingStore(new, {"scan": OneFolderStore(tmp_path)}).takes_revision()


# All of them


@pytest.mark.parametrize(
    "wrap", [lambda s: FallbackStore(s, MemoryStore()), lambda s: RoutingStore(s, {}), lambda s: SandboxStore(s, s)]
)
def test_signed_url_gets_no_timestamp(s3_server: Any, wrap: Any) -> None:
    signing = S3Store(
        s3_server.bucket,
        s3_server.access_key,
        s3_server.secret_key,
        endpoint_url=s3_server.endpoint_url,
        signed_urls=60,
    )

    picture = image(PLAIN, datetime.now(UTC))
    put(signing, b"bytes", PLAIN)
    try:
        assert "_ts=" not in wrap(signing).locate(picture)
        assert "_ts=" in wrap(MemoryStore()).locate(picture)
    finally:
        signing.delete_key(PLAIN)


@pytest.mark.parametrize("make", [FallbackStore, SandboxStore, lambda a, b: RoutingStore(a, {"scan": b})])
def test_what_is_no_store_is_refused(make: Any) -> None:
    with pytest.raises(
        TypeError, match=r"expected an instance of sqlalchemy_imageattach\.store\.Store as .*, got .memory://."
    ):
        make(MemoryStore(), "memory://")


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (ImageNotFoundError(2, "no such file"), True),
        (FileNotFoundError(2, "no such file"), True),
        (OSError("not found"), True),
        (StoreError(5, "refused"), False),
        (PermissionError(13, "no"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (OSError(24, "Too many open files"), False),
    ],
)
def test_only_what_says_so_is_missing(error: OSError, missing: bool) -> None:
    assert is_missing(error) is missing
