"""A subclass of a store of this library may override any documented method, and is asked through it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import pytest
from keys import KEY, get, image, put

from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store, holds, takes_revision
from sqlalchemy_imageattach.stores.cloud import AzureStore
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.key_store import KeyStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.s3 import S3SandboxStore, S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore


def tenants(cls: type[Any]) -> type[Any]:
    """A user's subclass, which names files in a way of its own, and bytes too."""

    class Tenants(cls):  # type: ignore[misc]
        def put_file(self, file: IO[bytes], object_type: str, *args: Any, revision: str | None = None) -> None:
            reversed_file = io.BytesIO(file.read()[::-1])
            super().put_file(reversed_file, f"jane-{object_type}", *args, revision=revision)

        def get_file(self, object_type: str, *args: Any, revision: str | None = None) -> IO[bytes]:
            with super().get_file(f"jane-{object_type}", *args, revision=revision) as file:
                return io.BytesIO(file.read()[::-1])

        def get_url(self, object_type: str, *args: Any, revision: str | None = None) -> str:
            return super().get_url(f"jane-{object_type}", *args, revision=revision)  # type: ignore[no-any-return]

        def delete_file(self, object_type: str, *args: Any, revision: str | None = None) -> None:
            super().delete_file(f"jane-{object_type}", *args, revision=revision)

    return Tenants


@pytest.fixture(
    params=[
        "MemoryStore",
        "FileSystemStore",
        "HttpExposedFileSystemStore",
        "HttpExposedStore",
        "FallbackStore",
        "RoutingStore",
        "SandboxStore",
        "S3Store",
        "S3SandboxStore",
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    def over_s3(cls: type[Any], *buckets: str, **prefixes: str) -> Any:
        s3 = request.getfixturevalue("s3")
        names = {name: s3.prefix + prefix for name, prefix in prefixes.items()}
        keys = {"access_key": s3.access_key, "secret_key": s3.secret_key, "endpoint_url": s3.endpoint_url}
        return tenants(cls)(*[s3.bucket for _ in buckets], **keys, **names)

    made: Any = {
        "MemoryStore": lambda: tenants(MemoryStore)(),
        "FileSystemStore": lambda: tenants(FileSystemStore)(tmp_path, "http://host/"),
        "HttpExposedFileSystemStore": lambda: tenants(HttpExposedFileSystemStore)(tmp_path),
        "HttpExposedStore": lambda: tenants(HttpExposedStore)(MemoryStore()),
        "FallbackStore": lambda: tenants(FallbackStore)(MemoryStore(), MemoryStore()),
        "RoutingStore": lambda: tenants(RoutingStore)(MemoryStore(), {}),
        "SandboxStore": lambda: tenants(SandboxStore)(MemoryStore(), MemoryStore()),
        "S3Store": lambda: over_s3(S3Store, "bucket", prefix=""),
        "S3SandboxStore": lambda: over_s3(S3SandboxStore, "one", "two", underlying_prefix="", overriding_prefix="-dev"),
    }[request.param]
    store: Store = made()
    return store


def test_overridden_method_is_on_the_way_of_every_file(store: Store) -> None:
    assert takes_revision(store)
    assert not holds(store, KEY)
    put(store, b"bytes")
    (file,) = list(store.list_files())
    assert file.key == KEY._replace(object_type=f"jane-{KEY.object_type}")
    assert get(store) == b"bytes"
    assert holds(store, KEY)
    assert not holds(store, file.key)
    assert f"/jane-{KEY.object_type}/" in store.url_of_key(KEY)
    assert f"/jane-{KEY.object_type}/" in store.locate(image(KEY))
    store.delete_key(KEY)
    assert not holds(store, KEY)
    assert list(store.list_files()) == []


@pytest.mark.parametrize("cls", [MemoryStore, FallbackStore, RoutingStore, SandboxStore, S3Store, AzureStore])
def test_subclass_whose_method_takes_no_revision_is_handed_none(cls: type[Store]) -> None:
    class Documented(cls):  # type: ignore[misc, valid-type]
        def get_url(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> str:
            return f"{object_type}-{object_id}"

    stores = (MemoryStore(), MemoryStore())
    arguments: Any = {
        MemoryStore: (),
        FallbackStore: stores,
        SandboxStore: stores,
        RoutingStore: (stores[0], {}),
        S3Store: ("bucket",),
        AzureStore: ("container", "account"),
    }[cls]
    store = Documented(*arguments)
    assert not takes_revision(store)
    assert store.url_of_key(KEY) == "user-picture-17042"


def test_key_store_has_to_implement_four_methods() -> None:
    class Empty(KeyStore):
        pass

    store, key = Empty(), FileKey("user", 1, 1, 1, "image/png")
    for method, call in (
        ("write", lambda: store.put_key(io.BytesIO(), key, False)),
        ("read", lambda: store.get_key(key)),
        ("remove", lambda: store.delete_key(key)),
        ("url", lambda: store.url_of_key(key)),
    ):
        with pytest.raises(NotImplementedError, match=rf"Empty has to implement {method}\(\)"):
            call()
