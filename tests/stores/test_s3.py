"""What goes to S3 and what comes back, while nothing goes wrong."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from faults import Answer, FaultyServer, Request, refused
from keys import BIG, KEY, PICTURE, PLAIN, get, image, put

from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.stores.s3 import BASE_URL_FORMAT, DEFAULT_MAX_AGE, S3Store

# Names and URLs


def test_object_of_a_row_without_a_revision_is_named_as_the_original_library_did(s3: S3Store, boto: Any) -> None:
    put(s3, key=PLAIN)
    put(s3)
    listed = boto.list_objects_v2(Bucket=s3.bucket, Prefix=s3.prefix)["Contents"]
    assert {each["Key"].removeprefix(s3.prefix) for each in listed} == {
        "/user-picture/17042/640x480.jpe",
        "/user-picture/17042/640x480.k3v9q2.jpe",
    }


def test_object_that_the_original_library_stored_is_read(s3: S3Store, boto: Any) -> None:
    boto.put_object(Bucket=s3.bucket, Key=f"{s3.prefix}/user-picture/17042/640x480.jpe", Body=b"from 2017")
    assert get(s3, PLAIN) == b"from 2017"


def test_object_that_the_original_library_named_by_another_machine_s_mime_types_is_found(
    s3: S3Store, boto: Any
) -> None:
    key = PLAIN._replace(mimetype="image/webp")
    boto.put_object(Bucket=s3.bucket, Key=f"{s3.prefix}/user-picture/17042/640x480None", Body=b"from 2017")
    assert s3.has_key(key)
    assert get(s3, key) == b"from 2017"
    s3.delete_key(key)
    assert not s3.has_key(key)
    with pytest.raises(ImageNotFoundError, match=r"640x480\.webp"):
        get(s3, key)


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ({}, "https://yourapp.s3.amazonaws.com/"),
        ({"region": "eu-west-1"}, "https://yourapp.s3.eu-west-1.amazonaws.com/"),
        ({"prefix": " images/ "}, "https://yourapp.s3.amazonaws.com/images/"),
        ({"prefix": "ü"}, "https://yourapp.s3.amazonaws.com/%C3%BC/"),
        ({"public_base_url": "https://cdn.yourapp.com/"}, "https://cdn.yourapp.com/"),
        ({"public_base_url": "//cdn.yourapp.com/x", "prefix": "y"}, "//cdn.yourapp.com/x/y/"),
        ({"endpoint_url": "http://127.0.0.1:9000/"}, "http://127.0.0.1:9000/yourapp/"),
        ({"endpoint_url": "https://s3.host", "region": "x"}, "https://s3.host/yourapp/"),
    ],
)
def test_url_is_the_public_one(arguments: dict[str, Any], url: str) -> None:
    store = S3Store("yourapp", **arguments)
    assert store.get_url(*PICTURE) == f"{url}user-picture/17042/640x480.jpe"
    assert store.locate(image(PLAIN, datetime(2026, 1, 2, tzinfo=UTC))).endswith("640x480.jpe?_ts=20260102000000000000")


def test_attributes_are_the_documented_ones() -> None:
    store = S3Store("yourapp", "access", "secret", 60, "images", "https://cdn/", "eu-west-1", 3)
    assert BASE_URL_FORMAT.format("yourapp") == S3Store("yourapp").base_url
    assert S3Store("yourapp").max_age == DEFAULT_MAX_AGE == 31536000
    assert (store.bucket, store.access_key, store.secret_key, store.max_age) == ("yourapp", "access", "secret", 60)
    assert (store.prefix, store.public_base_url) == ("images", "https://cdn")
    assert (store.region, store.max_retry) == ("eu-west-1", 3)


@pytest.mark.parametrize("signed_urls", [None, 60])
def test_url_takes_no_request(make_s3: Any, faulty: FaultyServer, signed_urls: int | None) -> None:
    store = make_s3(endpoint_url=faulty.url, signed_urls=signed_urls)
    store.get_url(*PICTURE)
    store.locate(image(KEY))
    assert faulty.requests == []


def test_signed_url_opens_what_is_private(make_s3: Any) -> None:
    store = make_s3(signed_urls=60)
    put(store)
    # A timestamp would not be covered by the signature.
    url = store.locate(image(KEY, datetime.now(UTC)))
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"bytes"
    assert "X-Amz-Expires=60&" in url
    for other in (url.partition("?")[0], url.replace("17042", "17043"), f"{url}&_ts=1"):
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(other)


def test_url_is_signed_or_elsewhere_but_not_both() -> None:
    with pytest.raises(ValueError, match="not both"):
        S3Store("yourapp", signed_urls=60, public_base_url="https://cdn.yourapp.com/")


# What is sent with a file


def test_type_and_age_are_sent(make_s3: Any, boto: Any) -> None:
    store = make_s3(max_age=60)
    put(store)
    head = boto.head_object(Bucket=store.bucket, Key=f"{store.prefix}/user-picture/17042/640x480.k3v9q2.jpe")
    assert (head["ContentType"], head["CacheControl"]) == ("image/jpeg", "max-age=60")


@pytest.mark.parametrize("content", [b"bytes", BIG], ids=["at once", "in parts"])
@pytest.mark.parametrize(
    ("arguments", "reproducible", "storage_class"),
    [
        ({}, True, "REDUCED_REDUNDANCY"),
        ({}, False, "STANDARD"),
        ({"reproducible_storage_class": "ONEZONE_IA"}, True, "ONEZONE_IA"),
        ({"reproducible_storage_class": "ONEZONE_IA"}, False, "STANDARD"),
        ({"reproducible_storage_class": None}, True, "STANDARD"),
    ],
)
def test_storage_class_is_for_what_can_be_made_again(
    make_s3: Any, boto: Any, arguments: dict[str, Any], reproducible: bool, storage_class: str, content: bytes
) -> None:
    store = make_s3(**arguments)
    put(store, content, reproducible=reproducible)
    (listed,) = boto.list_objects_v2(Bucket=store.bucket, Prefix=store.prefix)["Contents"]
    head = boto.head_object(Bucket=store.bucket, Key=listed["Key"])
    assert head.get("StorageClass", "STANDARD") == storage_class


@pytest.mark.parametrize("acl", [None, "public-read"])
def test_acl_is_sent_only_when_given_and_with_whole_objects_only(
    make_s3: Any, faulty: FaultyServer, acl: str | None
) -> None:
    store = make_s3(endpoint_url=faulty.url, acl=acl)
    big = KEY._replace(revision="big")
    put(store)
    put(store, key=PLAIN)
    put(store, BIG, big)
    assert get(store, big) == BIG
    assert store.has_key(big)
    store.delete_key(big)
    for request in faulty.requests:
        # S3 refuses an ACL with a part of an object.
        is_whole = request.method == "PUT" and "partNumber" not in request.path
        assert request.headers.get("x-amz-acl") == (acl if is_whole else None)
        # AWS refuses headers of its own that are not signed.
        assert ("x-amz-acl" in request.headers["authorization"]) == (is_whole and acl is not None)
    assert any("partNumber" in request.path for request in faulty.requests) == (acl is None)
    with pytest.raises(StoreError, match="there is another one of that name"):
        put(store, BIG[::-1], KEY)


def test_put_has_a_condition_when_the_name_has_a_revision(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    put(faulty_s3, key=PLAIN)
    put(faulty_s3)
    assert [request.headers.get("if-none-match") for request in faulty.requests] == [None, "*"]


@pytest.mark.parametrize(("old", "new"), [(b"old", b"new"), (b"old", BIG), (BIG, b"new"), (BIG, BIG[::-1])])
def test_file_with_a_revision_is_never_overwritten(s3: S3Store, old: bytes, new: bytes) -> None:
    put(s3, old)
    with pytest.raises(StoreError, match=r"there is another one of that name.*640x480\.k3v9q2\.jpe"):
        put(s3, new)
    assert get(s3) == old


def test_same_bytes_may_be_put_again(s3: S3Store) -> None:
    put(s3)
    put(s3)
    assert get(s3) == b"bytes"


def test_server_that_knows_no_conditions_is_asked_once(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    refusal = refused("501 Not Implemented", "NotImplemented", "A header implies functionality that is not implemented")
    faulty.fault = lambda request, ask: (
        refusal(request, ask) if "if-none-match" in request.headers else (answer := ask()).head() + answer.body
    )
    faulty_s3.max_retry = 0
    put(faulty_s3)
    put(faulty_s3, key=KEY._replace(revision="another"))
    assert [request.headers.get("if-none-match") for request in faulty.requests] == ["*", None, None]
    assert get(faulty_s3) == b"bytes"


# Files


def test_small_file_takes_one_request_and_can_be_positioned(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    put(faulty_s3)
    with faulty_s3.get_key(KEY) as file:
        assert file.read() == b"bytes"
        file.seek(1)
        assert file.read() == b"ytes"
    assert [request.method for request in faulty.requests] == ["PUT", "GET"]


def test_large_file_is_fetched_as_it_is_read(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    put(faulty_s3, BIG, PLAIN)
    faulty.requests.clear()
    with faulty_s3.get_key(PLAIN) as file:
        assert (file.read(3), file.read(4)) == (BIG[:3], BIG[3:7])
        assert file.read() == BIG[7:]
        assert file.read() == b""
    assert [request.method for request in faulty.requests] == ["GET"]


def test_file_may_be_closed_before_its_end(s3: S3Store) -> None:
    put(s3, BIG, PLAIN)
    with s3.get_key(PLAIN) as file:
        file.read(1)
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_put_that_fails_in_the_middle_leaves_no_parts(s3: S3Store, boto: Any) -> None:
    class Failing:
        parts = [BIG, BIG]

        def read(self, size: int) -> bytes:
            if not self.parts:
                raise OSError("the disk is gone")
            return self.parts.pop()[:size]

    with pytest.raises(OSError, match="the disk is gone") as caught:
        s3.put_key(Failing(), KEY, False)  # type: ignore[arg-type]
    assert not isinstance(caught.value, StoreError)
    assert not s3.has_key(KEY)
    assert "Uploads" not in boto.list_multipart_uploads(Bucket=s3.bucket, Prefix=s3.prefix)


def test_what_is_not_of_the_store_s_making_is_listed_as_foreign_and_left_alone(s3: S3Store, boto: Any) -> None:
    put(s3)
    names = {"readme.txt", "user-picture/1/readme", "user-picture/01/1x1.png", "deeper/user-picture/1/1x1.png"}
    for name in names:
        boto.put_object(Bucket=s3.bucket, Key=f"{s3.prefix}/{name}", Body=b"")
    files = list(s3.list_files())
    assert [file.key for file in files if not file.is_foreign] == [KEY]
    foreign = {file.name.removeprefix(f"{s3.prefix}/"): file for file in files if file.is_foreign}
    assert foreign.keys() == names
    for file in foreign.values():
        file.remove()
    assert len(list(s3.list_files())) == 5


@pytest.mark.parametrize(
    "name",
    ["logs//2024.txt", "/logs", "a/../b.txt", "./b", "tab\there", "\x1f\x7f", "+%2B %", "n\n.png", "ü/ü", "dir/"],
)
def test_foreign_name_of_any_kind_ends_no_listing(make_s3: Any, faulty: FaultyServer, boto: Any, name: str) -> None:
    store = make_s3(endpoint_url=faulty.url)
    keys = {KEY._replace(object_id=number) for number in range(3)}
    for key in keys:
        put(store, key=key)
    placeholder = f"{store.prefix}/user-picture/1/placeholder"
    boto.put_object(Bucket=store.bucket, Key=placeholder, Body=b"")

    # The server in the tests has folders, and cannot hold all of these; S3 can.
    def renaming(request: Request, ask: Callable[[], Answer]) -> bytes:
        answer = ask()
        shown = quote_plus(name, safe="/") if "encoding-type=url" in request.path else escape(name)
        body = answer.body.replace(b"user-picture/1/placeholder", shown.encode())
        return Answer(answer.status, answer.headers | {"Content-Length": str(len(body))}, body).head() + body

    faulty.fault = renaming
    files = list(store.list_files())
    assert {file.key for file in files if not file.is_foreign} == keys
    assert [file.name.removeprefix(f"{store.prefix}/").rstrip("/") for file in files if file.is_foreign] == [
        name.rstrip("/")
    ]


def test_control_character_in_a_foreign_name_ends_no_listing(s3: S3Store, boto: Any) -> None:
    keys = {KEY._replace(object_id=number) for number in range(1010)}
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: put(s3, key=key), keys))
    foreign = ["user-picture/99\x7f/x", "user\x7f/1/640x480.png", "user\x7f/1/0/1.640x480.k3v9q2-png/64x48.2f1c.webp"]
    names = [f"{s3.prefix}/{name}" for name in foreign]
    for name in names:
        boto.put_object(Bucket=s3.bucket, Key=name, Body=b"")
    files = list(s3.list_files())
    assert len(files) == 1013
    assert {file.key for file in files} == {*keys, None}
    assert {file.name for file in files if file.is_foreign} == set(names)


def test_list_has_any_number_of_files_and_odd_names(s3: S3Store) -> None:
    keys = {KEY._replace(object_id=number) for number in range(1010)} | {KEY._replace(object_type="ü 🖼+%25&<>'\"")}
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: put(s3, key=key), keys))
    assert {file.key for file in s3.list_files()} == keys
