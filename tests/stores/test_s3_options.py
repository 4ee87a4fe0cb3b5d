"""What is sent with new objects where it is asked for, and what URLs are like."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from faults import FaultyServer, refused
from keys import BIG, KEY, PICTURE, PLAIN, get, put

from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.cloud import AzureStore, GCSStore
from sqlalchemy_imageattach.stores.clouds import store as cloud_store
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.stores.s3 import S3SandboxStore, S3Store

HEADERS = {
    "X-Amz-Server-Side-Encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:1:key/1",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
    "x-amz-tagging": "project=blue%20sky&owner=",
    "x-amz-meta-origin": "yourapp",
    "Cache-Control": "private, max-age=60",
    "Content-Disposition": "inline",
}


def test_headers_are_sent_with_new_objects_and_with_nothing_else(make_s3: Any, faulty: FaultyServer) -> None:
    # The server in the tests has no keys of KMS.
    faulty.fault = lambda request, ask: refused("403 Forbidden", "AccessDenied", "No")(request, ask)
    store = make_s3(endpoint_url=faulty.url, put_headers=HEADERS, max_retry=0)
    for call in (lambda: put(store), lambda: put(store, key=PLAIN), lambda: put(store, BIG, PLAIN)):
        with pytest.raises(OSError, match="AccessDenied"):
            call()
    for call in (lambda: get(store), lambda: store.has_key(KEY), lambda: store.delete_key(KEY)):
        with pytest.raises(OSError, match=r"403|AccessDenied"):
            call()
    sent = [
        (request.method, {name: request.headers.get(name.lower()) for name in HEADERS}) for request in faulty.requests
    ]
    *puts, get_, head, delete = sent
    assert [method for method, _ in sent] == ["PUT", "PUT", "POST", "GET", "HEAD", "DELETE"]
    for _, headers in puts:
        assert dict(parse_qsl(headers.pop("x-amz-tagging") or "", keep_blank_values=True)) == {
            "project": "blue sky",
            "owner": "",
        }
        assert headers == {name: value for name, value in HEADERS.items() if name != "x-amz-tagging"}
    for _, headers in (get_, head, delete):
        assert set(headers.values()) == {None}


def test_parts_of_a_large_file_have_no_headers_which_s3_refuses_there(make_s3: Any, faulty: FaultyServer) -> None:
    headers = {"x-amz-tagging": "a=b", "x-amz-meta-origin": "yourapp"}
    store = make_s3(endpoint_url=faulty.url, put_headers=headers)
    put(store, BIG, PLAIN)
    assert get(store, PLAIN) == BIG
    for request in faulty.requests:
        is_start = request.method == "POST" and "?uploads" in request.path
        assert [request.headers.get(name) == value for name, value in headers.items()] == [is_start] * 2


def test_tags_and_metadata_are_kept(make_s3: Any, boto: Any) -> None:
    store = make_s3(put_headers={"x-amz-tagging": "project=blue%20sky", "x-amz-meta-origin": "yourapp"})
    put(store)
    name = {"Bucket": store.bucket, "Key": f"{store.prefix}/user-picture/17042/640x480.k3v9q2.jpe"}
    assert boto.get_object_tagging(**name)["TagSet"] == [{"Key": "project", "Value": "blue sky"}]
    assert boto.head_object(**name)["Metadata"] == {"origin": "yourapp"}


@pytest.mark.parametrize(
    "name", ["Content-Type", "Authorization", "x-amz-storage-class", "x-amz-server-side-encryption-customer-key"]
)
def test_header_that_cannot_be_sent_is_refused_and_its_value_not_shown(name: str) -> None:
    with pytest.raises(ValueError, match=f"x-amz-tagging, not '{name}'") as caught:
        S3Store("yourapp", put_headers={name: "SECRET"})
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("headers", ["x-amz-tagging: a=b", {"x-amz-tagging": 1}, [("x-amz-tagging", "a=b")]])
def test_headers_that_are_no_texts_are_refused(headers: Any) -> None:
    with pytest.raises(TypeError, match="put_headers"):
        S3Store("yourapp", put_headers=headers)


@pytest.mark.parametrize("content", [b"bytes", BIG], ids=["at once", "in parts"])
@pytest.mark.parametrize(
    ("checksum", "header"),
    [("SHA256", "x-amz-checksum-sha256"), ("CRC64NVME", "x-amz-checksum-crc64nvme"), (None, None)],
)
def test_checksum_is_sent_where_it_is_asked_for(
    make_s3: Any, faulty: FaultyServer, checksum: str | None, header: str | None, content: bytes
) -> None:
    store = make_s3(endpoint_url=faulty.url, checksum=checksum)
    put(store, content, PLAIN)
    assert get(store, PLAIN) == content
    found = [
        [name for name in request.headers if name.startswith("x-amz-checksum-") and name != "x-amz-checksum-algorithm"]
        for request in faulty.requests
        if request.method == "PUT"
    ]
    assert found
    assert found == [[header] if header else []] * len(found)


def test_unknown_checksum_is_refused() -> None:
    with pytest.raises(ValueError, match="'SHA256', 'CRC64NVME', None, not 'MD5'"):
        S3Store("yourapp", checksum="MD5")  # type: ignore[arg-type]


# Prefixes with a slash


@pytest.mark.parametrize("arguments", [{}, {"prefix": "/images/ "}, {"prefix": "/images/v2"}])
def test_prefix_with_a_slash_keeps_its_slash_in_urls_as_the_original_library_did(arguments: dict[str, Any]) -> None:
    arguments = {"prefix": "/images", **arguments}
    path = arguments["prefix"].strip().rstrip("/")
    assert S3Store("yourapp", **arguments).get_url(*PICTURE) == (
        f"https://yourapp.s3.amazonaws.com/{path}/user-picture/17042/640x480.jpe"
    )


def test_prefix_with_a_slash_keeps_its_slash_in_every_request(make_s3: Any, faulty: FaultyServer) -> None:
    store = make_s3(endpoint_url=faulty.url, prefix=f"/{make_s3().prefix}", signed_urls=60)
    put(store, key=PLAIN)
    put(store, BIG, KEY)
    assert get(store, PLAIN) == b"bytes"
    assert store.has_key(KEY)
    with urllib.request.urlopen(store.url_of_key(PLAIN)) as response:
        assert response.read() == b"bytes"
    store.delete_key(PLAIN)
    paths = {unquote(urlsplit(request.path).path) for request in faulty.requests}
    start = f"/{store.bucket}/{store.prefix}/user-picture/17042"
    assert paths == {f"{start}/640x480.jpe", f"{start}/640x480.k3v9q2.jpe"}
    assert start.startswith(f"/{store.bucket}//")


def test_prefix_with_a_slash_is_listed_by_its_slash(make_s3: Any, faulty: FaultyServer) -> None:
    store = make_s3(endpoint_url=faulty.url, prefix="/images")
    # The server in the tests takes such slashes off.
    body = b"""<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
        <IsTruncated>%s</IsTruncated>%s<EncodingType>url</EncodingType><Contents><Key>/images/user-picture/%d/1x1.png</Key>
        <Size>3</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"""
    pages = [body % (b"true", b"<NextContinuationToken>a/b=</NextContinuationToken>", 1), body % (b"false", b"", 2)]
    queries = []

    def listing(request: Any, ask: Callable[[], Any]) -> bytes:
        queries.append(dict(parse_qsl(urlsplit(request.path).query)))
        page = pages[len(queries) - 1]
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)

    faulty.fault = listing
    assert [(file.name, file.key and file.key.object_id) for file in store.list_files()] == [
        ("/images/user-picture/1/1x1.png", 1),
        ("/images/user-picture/2/1x1.png", 2),
    ]
    assert [(query["prefix"], query.get("continuation-token")) for query in queries] == [
        ("/images/", None),
        ("/images/", "a/b="),
    ]
    assert all("X-Amz-Signature" in query for query in queries)


def test_listing_of_a_prefix_with_a_slash_is_repeated_and_says_what_failed(make_s3: Any, faulty: FaultyServer) -> None:
    store = make_s3(endpoint_url=faulty.url, prefix="/images", max_retry=1)
    faulty.first(refused("503 Slow Down", "SlowDown", "Reduce your request rate"))
    assert list(store.list_files()) == []
    assert len(faulty.requests) == 2
    faulty.fault = refused("403 Forbidden", "AccessDenied", "Access Denied")
    with pytest.raises(OSError, match="could not list its files: AccessDenied: Access Denied") as caught:
        list(store.list_files())
    assert len(faulty.requests) == 3
    assert "Signature" not in str(caught.value)
    faulty.shutdown()
    faulty.server_close()
    with pytest.raises(OSError, match="could not list its files: it cannot be reached"):
        list(store.list_files())


@pytest.mark.parametrize("prefix", ["//images", "/a//b", "/../b"])
def test_prefix_of_a_slash_and_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        S3Store("yourapp", prefix=prefix)


def test_other_clouds_take_slashes_off() -> None:
    assert AzureStore("images", "yourapp", prefix="/a/").prefix == GCSStore("images", prefix="/a/").prefix == "a"


# URLs


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({}, "https://s3.amazonaws.com/images.yourapp.com/"),
        ({"region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com/images.yourapp.com/"),
        ({"endpoint_url": "https://s3.host"}, "https://s3.host/images.yourapp.com/"),
        ({"public_base_url": "https://images.yourapp.com"}, "https://images.yourapp.com/"),
    ],
)
def test_bucket_with_dots_is_in_the_path_since_no_certificate_covers_its_host(
    arguments: dict[str, Any], url: str
) -> None:
    store = S3Store("images.yourapp.com", "access", "secret", **arguments)
    assert store.get_url(*PICTURE) == f"{url}user-picture/17042/640x480.jpe"
    if "public_base_url" not in arguments:
        signed = S3Store("images.yourapp.com", "access", "secret", signed_urls=60, **arguments).get_url(*PICTURE)
        region = arguments.get("region", "us-east-1")
        expected = url if "endpoint_url" in arguments else f"https://s3.{region}.amazonaws.com/images.yourapp.com/"
        assert signed.startswith(f"{expected}user-picture/17042/640x480.jpe?")


@pytest.mark.parametrize(
    "base_url",
    [
        "https://cdn/?x=1",
        "https://cdn/#x",
        "cdn.yourapp.com/x",
        "images/",
        "",
        "https://cdn/a b",
        "://cdn",
        'https://c"',
    ],
)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda url: S3Store("yourapp", public_base_url=url), "public_base_url"),
        (lambda url: AzureStore("images", "yourapp", public_base_url=url), "public_base_url"),
        (lambda url: GCSStore("images", public_base_url=url), "public_base_url"),
        (lambda url: FileSystemStore("images", url), "base_url"),
        (MemoryStore, "base_url"),
    ],
)
def test_base_url_of_which_no_url_can_be_made_is_refused(
    make: Callable[[str], Store], name: str, base_url: str
) -> None:
    with pytest.raises(ValueError, match=f"expected {name} to be like https://example.com/images/"):
        make(base_url)


@pytest.mark.parametrize("base_url", ["https://cdn/x", "//cdn/x/", "/images/", "memory:///", "https://[::1]:80/~ü/"])
def test_base_url_may_be_a_path(base_url: str) -> None:
    url = f"{base_url.removesuffix('/')}/user-picture/42/17/17042.640x480.jpe"
    assert MemoryStore(base_url).get_url(*PICTURE) == FileSystemStore("images", base_url).get_url(*PICTURE) == url


class Clock:
    """A clock that tests set; it begins with the present hour, since servers have clocks as well."""

    def __init__(self) -> None:
        self.now = time.time() // 3600 * 3600

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(cloud_store, "time", clock)
    return clock


def of_an_instance(monkeypatch: pytest.MonkeyPatch) -> tuple[S3Store, list[int]]:
    """A store that is not given its keys, and for how long the library below has signed URLs for it."""
    store, signed = S3Store("yourapp", signed_urls=900, signed_urls_window=3600), list[int]()
    monkeypatch.setattr(store.objects, "sign", lambda name, seconds: f"{name}-{signed.append(seconds)}-{len(signed)}")
    return store, signed


def test_signed_url_is_the_same_within_its_window_and_valid_for_as_long_as_is_said(make_s3: Any, clock: Clock) -> None:
    store = make_s3(signed_urls=900, signed_urls_window=3600)
    url = store.url_of_key(KEY)
    assert "X-Amz-Expires=4500&" in url
    clock.now += 3599
    assert store.url_of_key(KEY) == url
    # So it is in every process.
    assert make_s3(signed_urls=900, signed_urls_window=3600).url_of_key(KEY) == url
    assert store.url_of_key(PLAIN) != url
    put(store)
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"bytes"
    clock.now += 1
    assert store.url_of_key(KEY) != url


@pytest.mark.parametrize(
    "arguments",
    [
        {"region": "eu-west-1"},
        {"endpoint_url": "http://[::1]:9000"},
        {"endpoint_url": "https://s3.host:443/path"},
        {"endpoint_url": "http://s3.host:80"},
        {"prefix": "/im ages", "region": "eu-west-1"},
        {"bucket": "a.b", "region": "eu-west-1"},
        {"session_token": "t/+="},
    ],
)
@pytest.mark.parametrize("object_type", ["user-picture", "ü 🖼+%25&<>'\"~!*()[]@:$,;="])
def test_url_that_is_signed_as_of_a_time_is_the_one_that_the_library_makes_then(
    arguments: dict[str, Any], object_type: str
) -> None:
    store = S3Store(**{"bucket": "yourapp", "access_key": "A/+", "secret_key": "s/+=", "signed_urls": 60, **arguments})
    key = KEY._replace(object_type=object_type)
    url = urlsplit(store.url_of_key(key))
    time = datetime.strptime(dict(parse_qsl(url.query))["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    other = urlsplit(store.signed_as_of(time, store.name(key), 60) or "")
    assert url[:3] == other[:3]
    assert sorted(url.query.split("&")) == sorted(other.query.split("&"))


def test_signed_url_of_keys_of_the_instance_is_kept_within_its_window(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, signed = of_an_instance(monkeypatch)
    urls = [store.url_of_key(KEY) for clock.now in (7200.0, 10_799.0, 10_800.0, 14_399.0, 14_400.0)]
    assert urls[0] == urls[1] != urls[2] == urls[3] != urls[4]
    assert signed == [4500] * 3


def test_signed_url_of_temporary_keys_is_not_kept_since_it_ends_with_them(clock: Clock) -> None:
    store = S3Store("yourapp", signed_urls=60, signed_urls_window=3600)
    for token in ("older", "newer"):
        # As the library below finds them on an instance.
        store.objects = S3Store("yourapp", "a", "b", session_token=token).objects
        assert f"X-Amz-Security-Token={token}&" in store.url_of_key(KEY)


def test_signed_url_that_was_made_for_another_time_is_not_taken(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    store, signed = of_an_instance(monkeypatch)
    store.url_of_key(KEY)
    store.signed_urls = 60
    store.url_of_key(KEY)
    assert signed == [4500, 3660]


def test_signed_urls_that_are_remembered_do_not_grow_without_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_store, "_SIGNED_URLS", 10)
    store, _ = of_an_instance(monkeypatch)
    for number in range(100):
        store.url_of_key(KEY._replace(object_id=number))
    assert len(store._signed[1]) <= 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signed_urls_window": -1}, "signed_urls_window"),
        ({"signed_urls": 604_800, "signed_urls_window": 1}, "between 1 and 604799"),
    ],
)
def test_window_that_no_signature_can_have_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S3Store("yourapp", **arguments)


def test_sandbox_takes_the_same_options() -> None:
    store = S3SandboxStore("a", "b", checksum="SHA256", signed_urls=60, signed_urls_window=60, put_headers=HEADERS)
    for each in (store.underlying, store.overriding):
        assert (each.checksum, each.signed_urls_window) == ("SHA256", 60)
        assert each.put_headers.tags == {"project": "blue sky", "owner": ""}
