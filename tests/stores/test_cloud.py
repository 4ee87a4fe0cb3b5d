"""Azure on its own emulator; of Google's cloud, what can be seen without it."""

from __future__ import annotations

import secrets
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError

import pytest
from faults import Answer, FaultyServer, Request, answered, lost
from keys import BIG, KEY, PICTURE, get, image, put

from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.stores.cloud import AzureStore, GCSStore


@pytest.fixture
def make_azure(azure_server: Any) -> Any:
    """Makes stores of one prefix, which no other test has."""
    prefix = secrets.token_hex(8)

    def make_azure(**changes: Any) -> AzureStore:
        arguments = {
            "container": azure_server.container,
            "account": azure_server.account,
            "account_key": azure_server.key,
            "prefix": prefix,
            "endpoint_url": azure_server.endpoint_url,
        }
        return AzureStore(**arguments | changes)

    return make_azure


def test_signed_url_opens_what_is_private_with_its_type_and_age(make_azure: Any) -> None:
    store = make_azure(signed_urls=60, max_age=60)
    put(store)
    url = store.locate(image(KEY, datetime.now(UTC)))
    assert "_ts=" not in url
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"bytes"
        assert (response.headers["Content-Type"], response.headers["Cache-Control"]) == ("image/jpeg", "max-age=60")
    with pytest.raises(HTTPError):
        urllib.request.urlopen(url.partition("?")[0])


@pytest.mark.parametrize(("old", "new"), [(b"old", b"new"), (b"old", BIG), (BIG, b"new")])
def test_blob_with_a_revision_is_never_overwritten(make_azure: Any, old: bytes, new: bytes) -> None:
    store = make_azure()
    put(store, old)
    with pytest.raises(StoreError, match="there is another one of that name"):
        put(store, new)
    assert get(store) == old


@pytest.mark.parametrize("name", ["logs//2024.txt", "logs/a/../b", "logs/tab\x7f"])
def test_foreign_name_of_any_kind_ends_no_listing(make_azure: Any, azure_server: Any, name: str) -> None:
    with FaultyServer(azure_server.endpoint_url) as faulty:
        store = make_azure(endpoint_url=faulty.url)
        keys = {KEY._replace(object_id=number, object_type=kind) for number in range(3) for kind in ("a", "z")}
        for key in keys:
            put(store, key=key)
        placeholder = KEY._replace(object_type="logs", object_id=1)
        put(store, key=placeholder)

        # The library cannot put such names.
        def renaming(request: Request, ask: Callable[[], Answer]) -> bytes:
            answer = ask()
            body = answer.body.replace(b"logs/1/640x480.k3v9q2.jpe", name.encode())
            return Answer(answer.status, answer.headers | {"Content-Length": str(len(body))}, body).head() + body

        faulty.fault = renaming
        files = list(store.list_files())
        assert {file.key for file in files if not file.is_foreign} == keys
        assert [file.name.removeprefix(f"{store.prefix}/") for file in files if file.is_foreign] == ["logs/"]


@pytest.mark.parametrize("content", [b"bytes", BIG], ids=["small", "large"])
def test_put_whose_answer_is_lost_succeeds(make_azure: Any, azure_server: Any, content: bytes) -> None:
    with FaultyServer(azure_server.endpoint_url) as faulty:
        store = make_azure(endpoint_url=faulty.url)
        if content is BIG:
            store.has_key(KEY)
        faulty.first(lost)
        put(store, content)
    assert get(make_azure()) == content


def test_blobs_that_are_not_there_are_missing(make_azure: Any) -> None:
    store = make_azure()
    store.delete_key(KEY)
    assert not store.has_key(KEY)
    with pytest.raises(ImageNotFoundError, match=r"AzureStore\('test', .*640x480\.k3v9q2\.jpe"):
        get(store)


@pytest.mark.parametrize("operation", ["put", "get", "delete", "list"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"account_key": "c2VjcmV0LXNlY3JldA=="}, "check account_key"),
        ({"container": "no-such-container"}, "check the name of the (container|bucket)"),
        ({"endpoint_url": "http://127.0.0.1:1/devstoreaccount1", "max_retry": 0}, "it cannot be reached"),
    ],
)
def test_what_is_wrong_is_a_clear_error(make_azure: Any, changes: dict[str, Any], message: str, operation: str) -> None:
    store = make_azure(**changes)
    operations = {
        "put": lambda: put(store),
        "get": lambda: get(store),
        "delete": lambda: store.delete_key(KEY),
        "list": lambda: list(store.list_files()),
    }
    with pytest.raises(StoreError, match=message) as caught:
        operations[operation]()
    assert "c2VjcmV0" not in str(caught.value) + repr(store)


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({"account": "yourapp"}, "https://yourapp.blob.core.windows.net/images/"),
        ({"account": "yourapp", "prefix": "x"}, "https://yourapp.blob.core.windows.net/images/x/"),
        ({"account": "yourapp", "endpoint_url": "http://127.0.0.1:10000/a/"}, "http://127.0.0.1:10000/a/images/"),
        ({"account": "yourapp", "public_base_url": "https://cdn/"}, "https://cdn/"),
    ],
)
def test_url_of_azure(arguments: dict[str, Any], url: str) -> None:
    assert AzureStore("images", **arguments).get_url(*PICTURE) == f"{url}user-picture/17042/640x480.jpe"


def test_account_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "yourapp")
    assert AzureStore("images").account == "yourapp"
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(ValueError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        AzureStore("images")


@pytest.mark.parametrize("container", ["", "a/b", "UPPER", "a--b"])
def test_bad_container_is_refused(container: str) -> None:
    with pytest.raises(ValueError, match="container"):
        AzureStore(container, "yourapp")


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({}, "https://storage.googleapis.com/yourapp/"),
        ({"prefix": "x"}, "https://storage.googleapis.com/yourapp/x/"),
        ({"public_base_url": "https://cdn/"}, "https://cdn/"),
    ],
)
def test_url_of_google(arguments: dict[str, Any], url: str) -> None:
    assert GCSStore("yourapp", **arguments).get_url(*PICTURE) == f"{url}user-picture/17042/640x480.jpe"


def test_missing_key_of_google_is_a_clear_error() -> None:
    store = GCSStore("yourapp", service_account="/no/such/key.json")
    with pytest.raises(
        StoreError, match=r"GCSStore\('yourapp'.*no credentials could be had.*/no/such/key\.json.*640x480"
    ):
        put(store)


def test_request_to_google_has_its_condition_and_its_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not Google's cloud, which nobody can run: just what is sent there.
    with FaultyServer("http://127.0.0.1:1") as google:
        google.fault = answered("200 OK", ETag='"tag"')
        monkeypatch.setenv("GOOGLE_BASE_URL", google.url)
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "the-token")
        put(GCSStore("yourapp", max_age=60))
        (request,) = google.requests
    assert (request.method, request.body) == ("PUT", b"bytes")
    assert request.headers["x-goog-if-generation-match"] == "0"
    assert (request.headers["content-type"], request.headers["cache-control"]) == ("image/jpeg", "max-age=60")


@pytest.mark.parametrize("bucket", ["", "a/b", "UPPER"])
def test_bad_bucket_of_google_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="bucket"):
        GCSStore(bucket)


@pytest.mark.parametrize("content", [b"bytes", BIG], ids=["small", "large"])
def test_headers_are_sent_with_new_blobs_and_with_nothing_else(
    make_azure: Any, azure_server: Any, content: bytes
) -> None:
    with FaultyServer(azure_server.endpoint_url) as faulty:
        headers = {"x-ms-tags": "project=blue%20sky", "x-ms-meta-origin": "yourapp", "Cache-Control": "private"}
        store = make_azure(endpoint_url=faulty.url, put_headers=headers)
        put(store, content, KEY)
        assert get(store) == content
        sent = [request for request in faulty.requests if "x-ms-tags" in request.headers]
        assert [request.method for request in sent] == ["PUT"]
        assert "comp=block&" not in sent[0].path
        assert sent[0].headers["x-ms-meta-origin"] == "yourapp"
        assert sent[0].headers["x-ms-blob-cache-control"] == "private"
        assert sent[0].headers["x-ms-tags"] in {"project=blue%20sky", "project=blue+sky"}
