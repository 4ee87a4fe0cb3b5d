"""A store as one setting of an application."""

from __future__ import annotations

import io
import secrets
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sqlalchemy_imageattach.stores import store_from_url
from sqlalchemy_imageattach.stores.cloud import AzureStore, GCSStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.s3 import S3Store

PICTURE = ("user-picture", 17042, 640, 480, "image/jpeg")


@pytest.mark.parametrize(
    ("url", "kind", "attributes"),
    [
        ("s3://yourapp", S3Store, {"bucket": "yourapp", "prefix": "", "region": None, "access_key": None}),
        ("S3://yourapp", S3Store, {"bucket": "yourapp"}),
        ("s3://your.app/a/b/", S3Store, {"bucket": "your.app", "prefix": "a/b"}),
        ("s3://yourapp/x?region=eu-west-1&max_age=60", S3Store, {"region": "eu-west-1", "max_age": 60}),
        ("s3://KEY:se%2Fcret%40+%3A@yourapp", S3Store, {"access_key": "KEY", "secret_key": "se/cret@+:"}),
        ("s3://yourapp?access_key=KEY&secret_key=a%2Fb+c%26", S3Store, {"access_key": "KEY", "secret_key": "a/b+c&"}),
        ("s3://yourapp?endpoint_url=http://127.0.0.1:9000", S3Store, {"endpoint_url": "http://127.0.0.1:9000"}),
        (
            "s3://yourapp?signed_urls=60&timeout=2.5&acl=public-read&reproducible_storage_class=ONEZONE_IA&max_retry=1",
            S3Store,
            {
                "signed_urls": 60,
                "timeout": 2.5,
                "acl": "public-read",
                "reproducible_storage_class": "ONEZONE_IA",
                "max_retry": 1,
            },
        ),
        ("s3://yourapp?reproducible_storage_class=", S3Store, {"reproducible_storage_class": None}),
        ("s3://yourapp//images", S3Store, {"prefix": "/images"}),
        (
            "s3://yourapp?signed_urls=900&signed_urls_window=3600&checksum=SHA256",
            S3Store,
            {"signed_urls": 900, "signed_urls_window": 3600, "checksum": "SHA256"},
        ),
        ("s3://yourapp?public_base_url=https://cdn/", S3Store, {"public_base_url": "https://cdn"}),
        ("az://images/x?account=yourapp", AzureStore, {"container": "images", "account": "yourapp", "prefix": "x"}),
        ("az://yourapp:a2V5%3D%3D@images", AzureStore, {"account": "yourapp", "account_key": "a2V5=="}),
        ("gs://yourapp/x?service_account=/a/b.json", GCSStore, {"bucket": "yourapp", "service_account": "/a/b.json"}),
        ("file:///var/images?base_url=https://host/x", FileSystemStore, {"path": "/var/images"}),
        ("file:///var/a%20b?base_url=https://host/x&sync=0", FileSystemStore, {"path": "/var/a b", "sync": False}),
        ("file:///var/images", HttpExposedFileSystemStore, {"path": "/var/images", "prefix": "__images__"}),
        ("file://localhost/var/images?prefix=img", HttpExposedFileSystemStore, {"prefix": "img"}),
        ("memory://", MemoryStore, {"base_url": "memory:///"}),
        ("memory:///?base_url=http://host/", MemoryStore, {"base_url": "http://host/"}),
    ],
)
def test_store_is_made_with_the_arguments_of_the_url(url: str, kind: type[Any], attributes: dict[str, Any]) -> None:
    store = store_from_url(url)
    assert type(store) is kind
    assert {name: getattr(store, name) for name in attributes} == attributes


def test_store_of_a_url_works(s3_server: Any, azure_server: Any, tmp_path: Path) -> None:
    prefix = secrets.token_hex(8)
    s3 = f"{s3_server.access_key}:{s3_server.secret_key}@{s3_server.bucket}/{prefix}"
    azure = f"{azure_server.account}:{quote(azure_server.key, safe='')}@{azure_server.container}/{prefix}"
    for url in (
        f"s3://{s3}?endpoint_url={s3_server.endpoint_url}",
        f"az://{azure}?endpoint_url={azure_server.endpoint_url}",
        f"file://{tmp_path}",
        "memory://",
    ):
        store: Any = store_from_url(url)
        store.put_file(io.BytesIO(b"bytes"), *PICTURE, False)
        with store.get_file(*PICTURE) as file:
            assert file.read() == b"bytes"
        store.delete_file(*PICTURE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "SECRET",
        "SECRET://bucket",
        "http://SECRET@host/bucket",
        "s3:SECRET",
        "s3://",
        "s3://KEY:SECRET",
        "s3://KEY:SECRET/x@bucket",
        "s3://KEY:SECRET#x@bucket",
        "s3://KEY:SECRET?x@bucket",
        "s3://:SECRET@bucket",
        "s3://SECRET@bucket",
        "s3://KEY:SECRET@bucket:80",
        "s3://KEY:SECRET@[bucket",
        "s3://KEY:SECRET\u2100@bucket",
        "s3://KEY:SECRET@bucket?access_key=KEY",
        "s3://bucket?access_key=KEY&secret_kye=SECRET",
        "s3://bucket?SECRET",
        "s3://bucket?max_age=SECRET",
        "s3://bucket?max_age=-1&access_key=KEY&secret_key=SECRET",
        "s3://bucket?signed_urls=1&public_base_url=https://cdn&access_key=KEY&secret_key=SECRET",
        "s3://bucket?endpoint_url=https://KEY:SECRET@host",
        "az://SECRET",
        "az://account:SECRET@",
        "az://SECRET@images",
        "az://SECRET?account=yourapp",
        "gs://SECRET",
        "gs://user:SECRET@bucket",
        "file://SECRET/path",
        "file://user:SECRET@/path",
        "file:///",
        "file:///path?base_url=https://host/&prefix=SECRET",
        "file:///path?cors=SECRET",
        "memory://SECRET",
        "memory:///SECRET",
    ],
)
def test_bad_url_is_refused_and_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the messages differ, and must not have the secret
        store_from_url(url)
    assert "SECRET" not in str(caught.value) + "".join(traceback.format_exception_only(caught.value))
    # Not even behind the error, where no traceback shows it, but what collects errors may.
    assert caught.value.__context__ is None


def test_secret_of_a_url_is_not_shown() -> None:
    for url in ("s3://KEY:SECRET@yourapp", "az://yourapp:SECRET@images", "s3://b?access_key=K&secret_key=SECRET"):
        store = store_from_url(url)
        assert "SECRET" not in repr(store) + str(store) + f"{store}"
