"""Variants in each kind of store."""

from __future__ import annotations

import io
import secrets
from typing import Any

import pytest
from PIL import Image

from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.naming import FileKey, name_of
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.cloud import AzureStore
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.routing import RoutingStore
from sqlalchemy_imageattach.stores.s3 import S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore
from sqlalchemy_imageattach.variants import Transform, Variants
from sqlalchemy_imageattach.variants.variant import Original, Variant, variant_of


@pytest.fixture(params=["folder", "memory", "routing", "fallback", "sandbox", "s3", "azure"])
def kept(request: pytest.FixtureRequest, tmp_path: Any) -> Store:
    if request.param == "folder":
        return FileSystemStore(tmp_path, "https://example.com/")
    if request.param == "memory":
        return MemoryStore()
    if request.param == "routing":
        return RoutingStore(MemoryStore(), {"user-picture": MemoryStore()})
    if request.param == "fallback":
        return FallbackStore(MemoryStore(), MemoryStore())
    if request.param == "sandbox":
        return SandboxStore(MemoryStore(), MemoryStore())
    server: Any = request.getfixturevalue(f"{request.param}_server")
    prefix, address = secrets.token_hex(8), {"endpoint_url": server.endpoint_url}
    if request.param == "s3":
        return S3Store(server.bucket, server.access_key, server.secret_key, prefix=prefix, **address)
    return AzureStore(server.container, server.account, server.key, prefix=prefix, **address)


@pytest.fixture
def store(kept: Store) -> HttpExposedStore:
    return HttpExposedStore(kept, "images", variants=Variants("a secret of the application"))


@pytest.fixture
def original(store: HttpExposedStore) -> FileKey:
    key = FileKey("user-picture", 17042, 64, 48, "image/png", "k3v9q2")
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "PNG")
    file.seek(0)
    store.put_key(file, key, False)
    return key


def variant(original: FileKey, width: int) -> Variant:
    return variant_of(Original(original), Transform(width=width), 10**6, None)


def test_a_variant_is_kept_listed_and_deleted_with_its_original(store: HttpExposedStore, original: FileKey) -> None:
    neighbour = original._replace(revision="k3v9q2x")
    with store.get_key(original) as file:
        store.put_key(file, neighbour, False)
    made = [variant(original, width) for width in (10, 20)] + [variant(neighbour, 10)]
    blobs = [each.make_blob(store) for each in made]
    paths = [each.locate(store).removeprefix("/images/") for each in made]
    listed = {file.key: file for file in store.list_variants(original)}
    assert {name_of(key) for key in listed if key} == set(paths[:2])
    for key, file in listed.items():
        assert key is not None
        assert file.name.endswith(name_of(key))
        with store.get_key(key) as opened:
            assert opened.read() in blobs
    assert {file.key for file in store.list_files()} >= {original, neighbour, *listed}
    store.delete_variants(original)
    assert list(store.list_variants(original)) == []
    assert len(list(store.list_variants(neighbour))) == 1
    store.delete_variants(original)


def test_a_variant_may_be_made_twice(store: HttpExposedStore, original: FileKey) -> None:
    blob = variant(original, 10).make_blob(store)
    (file,) = store.list_variants(original)
    assert file.key
    store.put_key(io.BytesIO(b""), file.key, True)
    assert variant(original, 10).make_blob(store) == blob


def test_a_file_gets_another_name(store: HttpExposedStore, original: FileKey) -> None:
    blob = variant(original, 10).make_blob(store)
    (file,) = store.list_variants(original)
    assert file.key
    renamed = file.key._replace(width=11)
    store.rename_key(file.key, renamed)
    assert [each.key for each in store.list_variants(original)] == [renamed]
    with store.get_key(renamed) as opened:
        assert opened.read() == blob
    with pytest.raises(ImageNotFoundError):
        store.rename_key(file.key, renamed)


def test_a_bucket_renames_without_reading(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = {"endpoint_url": s3_server.endpoint_url, "prefix": secrets.token_hex(8)}
    store = S3Store(s3_server.bucket, s3_server.access_key, s3_server.secret_key, **address)
    key = FileKey("user-picture", 1, 64, 48, "image/png", "k3v9q2")
    store.put_key(io.BytesIO(b"bytes"), key, True)
    monkeypatch.setattr(store, "get_file", None)
    store.rename_key(key, key._replace(revision="another"))
    assert not store.has_key(key)
    assert store.has_key(key._replace(revision="another"))


def test_what_was_made_before_files_move_is_listed_and_goes_with_its_original(original: FileKey, store: Any) -> None:
    made_before = variant(original, 10).make_blob(store)
    new = MemoryStore()
    moving = HttpExposedStore(FallbackStore(new, store.wrapped), "images", variants=store.variants)
    assert variant(original, 10).make_blob(moving) == made_before
    assert list(new.list_files()) == []
    variant(original, 20).make_blob(moving)
    assert sorted(file.key.width for file in moving.list_variants(original) if file.key) == [10, 20]
    moving.delete_variants(original)
    assert [list(each.list_variants(original)) for each in (moving, store)] == [[], []]


def test_a_sandbox_deletes_no_variant_of_what_is_below(original: FileKey, store: Any) -> None:
    variant(original, 10).make_blob(store)
    sandbox = HttpExposedStore(SandboxStore(store.wrapped, MemoryStore()), "images", variants=store.variants)
    variant(original, 20).make_blob(sandbox)
    sandbox.delete_variants(original)
    assert list(sandbox.list_variants(original)) == []
    assert [file.key for file in sandbox.list_files()] == [original]
    assert len(list(store.list_variants(original))) == 1


def test_a_bucket_deletes_many_by_a_few_requests(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Store(
        s3_server.bucket,
        s3_server.access_key,
        s3_server.secret_key,
        prefix=secrets.token_hex(8),
        endpoint_url=s3_server.endpoint_url,
    )
    original = FileKey("user-picture", 1, 64, 48, "image/png", "k3v9q2")
    for number in range(1, 31):
        key = original._replace(width=number, height=1, revision="64x48.k3v9q2-png_.0123456789abcdef01234567")
        store.put_key(io.BytesIO(b"bytes"), key, True)
    asked: list[str] = []
    ask = store.objects.ask
    monkeypatch.setattr(
        store.objects, "ask", lambda action, *args, **options: asked.append(action) or ask(action, *args, **options)
    )
    store.delete_variants(original)
    assert asked.count("delete files") == 1
    assert asked.count("delete a file") == 0
    assert list(store.list_variants(original)) == []
