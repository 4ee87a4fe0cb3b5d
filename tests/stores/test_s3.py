"""What goes to S3 and what comes back, while nothing goes wrong."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import subprocess
import sys
import textwrap
import urllib.request
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from faults import FaultyServer, answered, refused

from sqlalchemy_imageattach.exc import ImageNotFoundError, MissingDependencyError, StoreError
from sqlalchemy_imageattach.store import FileKey
from sqlalchemy_imageattach.stores.s3 import (
    BASE_URL_FORMAT,
    DEFAULT_MAX_AGE,
    AuthMechanismError,
    S3Request,
    S3RequestV2,
    S3RequestV4,
    S3SandboxStore,
    S3Store,
)

PICTURE = ("user-picture", 17042, 640, 480, "image/jpeg")
PLAIN = FileKey(*PICTURE)
KEY = FileKey(*PICTURE, "k3v9q2")
BIG = os.urandom(1 << 20) * 20


def put(store: Any, key: FileKey, content: bytes = b"bytes", reproducible: bool = False) -> None:
    store.put_key(io.BytesIO(content), key, reproducible)


def get(store: Any, key: FileKey) -> bytes:
    with store.get_key(key) as file:
        return file.read()


def image(key: FileKey, created_at: datetime | None = None) -> Any:
    return SimpleNamespace(**key._asdict(), original=True, created_at=created_at)


def python(script: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# Names and URLs


def test_object_of_a_row_without_a_revision_is_named_as_the_original_library_did(s3: S3Store, boto: Any) -> None:
    put(s3, PLAIN)
    put(s3, KEY)
    listed = boto.list_objects_v2(Bucket=s3.bucket, Prefix=s3.prefix)["Contents"]
    assert {each["Key"].removeprefix(s3.prefix) for each in listed} == {
        "/user-picture/17042/640x480.jpe",
        "/user-picture/17042/640x480.k3v9q2.jpe",
    }


def test_object_that_the_original_library_stored_is_read(s3: S3Store, boto: Any) -> None:
    boto.put_object(Bucket=s3.bucket, Key=f"{s3.prefix}/user-picture/17042/640x480.jpe", Body=b"from 2017")
    assert get(s3, PLAIN) == b"from 2017"


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
    put(store, KEY)
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
    put(store, KEY)
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
    put(store, KEY, content, reproducible)
    (listed,) = boto.list_objects_v2(Bucket=store.bucket, Prefix=store.prefix)["Contents"]
    head = boto.head_object(Bucket=store.bucket, Key=listed["Key"])
    assert head.get("StorageClass", "STANDARD") == storage_class


@pytest.mark.parametrize("acl", [None, "public-read"])
def test_acl_is_sent_only_when_given(make_s3: Any, faulty: FaultyServer, acl: str | None) -> None:
    store = make_s3(endpoint_url=faulty.url, acl=acl)
    put(store, KEY)
    put(store, KEY._replace(revision="big"), BIG)
    for request in faulty.requests:
        assert request.headers.get("x-amz-acl") == acl
        # AWS refuses headers of its own that are not signed.
        assert ("x-amz-acl" in request.headers["authorization"]) == (acl is not None)


def test_put_has_a_condition_when_the_name_has_a_revision(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    put(faulty_s3, PLAIN)
    put(faulty_s3, KEY)
    assert [request.headers.get("if-none-match") for request in faulty.requests] == [None, "*"]


@pytest.mark.parametrize(("old", "new"), [(b"old", b"new"), (b"old", BIG), (BIG, b"new"), (BIG, BIG[::-1])])
def test_file_with_a_revision_is_never_overwritten(s3: S3Store, old: bytes, new: bytes) -> None:
    put(s3, KEY, old)
    with pytest.raises(StoreError, match=r"there is another one of that name.*640x480\.k3v9q2\.jpe"):
        put(s3, KEY, new)
    assert get(s3, KEY) == old


def test_same_bytes_may_be_put_again(s3: S3Store) -> None:
    put(s3, KEY)
    put(s3, KEY)
    assert get(s3, KEY) == b"bytes"


def test_server_that_knows_no_conditions_is_asked_once(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    refusal = refused("501 Not Implemented", "NotImplemented", "A header implies functionality that is not implemented")
    faulty.fault = lambda request, ask: (
        refusal(request, ask) if "if-none-match" in request.headers else (answer := ask()).head() + answer.body
    )
    faulty_s3.max_retry = 0
    put(faulty_s3, KEY)
    put(faulty_s3, KEY._replace(revision="another"))
    assert [request.headers.get("if-none-match") for request in faulty.requests] == ["*", None, None]
    assert get(faulty_s3, KEY) == b"bytes"


# Files


def test_small_file_takes_one_request_and_can_be_positioned(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    put(faulty_s3, KEY)
    with faulty_s3.get_key(KEY) as file:
        assert file.read() == b"bytes"
        file.seek(1)
        assert file.read() == b"ytes"
    assert [request.method for request in faulty.requests] == ["PUT", "GET"]


def test_large_file_is_fetched_as_it_is_read(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    put(faulty_s3, PLAIN, BIG)
    faulty.requests.clear()
    with faulty_s3.get_key(PLAIN) as file:
        assert (file.read(3), file.read(4)) == (BIG[:3], BIG[3:7])
        assert file.read() == BIG[7:]
        assert file.read() == b""
    assert [request.method for request in faulty.requests] == ["GET"]


def test_file_may_be_closed_before_its_end(s3: S3Store) -> None:
    put(s3, PLAIN, BIG)
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


@pytest.mark.timeout(120)
def test_memory_does_not_grow_with_the_file(make_s3: Any) -> None:
    store = make_s3()
    arguments = [store.bucket, store.access_key, store.secret_key]
    peak, size = map(
        int,
        python(
            f"""
            import resource, tempfile
            from sqlalchemy_imageattach.store import FileKey
            from sqlalchemy_imageattach.stores.s3 import S3Store

            def peak():
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

            store = S3Store(*{arguments}, prefix={store.prefix!r}, endpoint_url={store.endpoint_url!r})
            key = FileKey("user-picture", 1, 2, 3, "image/png", "r")
            store.has_key(key)
            before, size = peak(), 0
            with tempfile.TemporaryFile() as file:
                for _ in range(200):
                    file.write(bytes(1 << 20))
                file.seek(0)
                store.put_key(file, key, False)
            with store.get_key(key) as file:
                while block := file.read(1 << 16):
                    size += len(block)
            store.delete_key(key)
            print(peak() - before, size)
            """
        ).split(),
    )
    assert size == 200 << 20
    assert peak < 100_000_000


def test_list_leaves_out_what_is_not_of_the_stores_making(s3: S3Store, boto: Any) -> None:
    put(s3, KEY)
    for name in ("readme.txt", "user-picture/1/readme", "user-picture/01/1x1.png", "deeper/user-picture/1/1x1.png"):
        boto.put_object(Bucket=s3.bucket, Key=f"{s3.prefix}/{name}", Body=b"")
    assert [file.key for file in s3.list_files()] == [KEY]


def test_list_has_any_number_of_files_and_odd_names(s3: S3Store) -> None:
    keys = {KEY._replace(object_id=number) for number in range(1010)} | {KEY._replace(object_type="ü 🖼+%25&<>'\"")}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda key: put(s3, key), keys))
    assert {file.key for file in s3.list_files()} == keys


# Processes, threads and dependencies


def test_store_works_in_forked_processes(make_s3: Any) -> None:
    store = make_s3()
    arguments = [store.bucket, store.access_key, store.secret_key]
    output = python(
        f"""
        import io, os, warnings
        from concurrent.futures import ThreadPoolExecutor
        from sqlalchemy_imageattach.store import FileKey
        from sqlalchemy_imageattach.stores.s3 import S3Store

        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what this is about
        store = S3Store(*{arguments}, prefix={store.prefix!r}, endpoint_url={store.endpoint_url!r}, timeout=5)

        def use(number):
            key = FileKey("user-picture", number, 2, 3, "image/png", "r")
            store.put_key(io.BytesIO(b"bytes"), key, False)
            try:
                store.get_key(key._replace(revision="none"))
            except OSError as error:
                assert type(error).__name__ == "ImageNotFoundError", error
            return store.get_key(key).read()

        def fork(number, then=lambda: None):
            child = os.fork()
            if child == 0:
                try:
                    with ThreadPoolExecutor(8) as threads:
                        assert set(threads.map(use, range(number, number + 20))) == {{b"bytes"}}
                    then()
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0

        fork(100)  # made, not used
        assert use(1) == b"bytes"
        fork(200)  # used
        fork(300, lambda: fork(400))
        assert use(2) == b"bytes"
        print("done")
        """
    )
    assert output == "done\n"


def test_store_may_be_copied_and_pickled(s3: S3Store) -> None:
    put(s3, KEY)
    for other in (copy.copy(s3), pickle.loads(pickle.dumps(s3))):
        assert get(other, KEY) == b"bytes"


def test_missing_library_is_named_when_a_store_is_made_and_not_before() -> None:
    output = python(
        """
        import sys
        sys.modules["obstore"] = None
        import sqlalchemy_imageattach
        from sqlalchemy_imageattach.stores import store_from_url
        from sqlalchemy_imageattach.stores.cloud import AzureStore, GCSStore
        from sqlalchemy_imageattach.stores.s3 import S3RequestV4, S3SandboxStore, S3Store
        for make in (
            lambda: S3Store("yourapp"),
            lambda: S3SandboxStore("yourapp", "yourapp-dev"),
            lambda: S3RequestV4("https://yourapp.s3.amazonaws.com/a", "yourapp", "us-east-1", "a", "b"),
            lambda: AzureStore("images", "yourapp"),
            lambda: GCSStore("yourapp"),
            lambda: store_from_url("s3://yourapp"),
        ):
            try:
                make()
            except sqlalchemy_imageattach.MissingDependencyError as error:
                print(error)
        """
    )
    extras = [line.rpartition("[")[2] for line in output.splitlines()]
    assert extras == ["s3]'", "s3]'", "s3]'", "azure]'", "gcs]'", "s3]'"]
    assert issubclass(MissingDependencyError, ImportError)


def test_library_is_not_imported_before_it_is_used() -> None:
    script = """
        import sys
        from sqlalchemy_imageattach.stores.s3 import S3Store
        S3Store("yourapp").get_url("user-picture", 1, 2, 3, "image/png")
        print("obstore" in sys.modules)
    """
    assert python(script) == "False\n"


# Credentials and arguments


def test_credentials_may_come_from_the_environment(
    make_s3: Any, s3_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint_url)
    store = make_s3(access_key=None, secret_key=None, endpoint_url=None)
    put(store, KEY)
    assert get(make_s3(), KEY) == b"bytes"
    assert store.get_url(*PICTURE).startswith(s3_server.endpoint_url)


def test_credentials_may_come_from_the_instance(
    make_s3: Any, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    credentials = {
        "AccessKeyId": "key-of-the-role",
        "SecretAccessKey": "secret-of-the-role",
        "Token": "token-of-the-role",
        "Expiration": "2100-01-01T00:00:00Z",
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2026-01-01T00:00:00Z",
    }
    with FaultyServer("http://127.0.0.1:1") as instance:
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
        said = {
            "/latest/api/token": b"token-of-the-service",
            "/latest/meta-data/iam/security-credentials/": b"the-role",
            "/latest/meta-data/iam/security-credentials/the-role": json.dumps(credentials).encode(),
        }
        instance.fault = lambda request, ask: answered("200 OK", said[request.path])(request, ask)
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", instance.url)
        with pytest.raises(StoreError):  # which knows no such key
            put(make_s3(endpoint_url=faulty.url, access_key=None, secret_key=None), KEY)
    assert "Credential=key-of-the-role/" in faulty.requests[0].headers["authorization"]
    assert faulty.requests[0].headers["x-amz-security-token"] == "token-of-the-role"


def test_token_of_the_environment_is_not_sent_with_other_keys(
    faulty_s3: S3Store, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    put(faulty_s3, KEY)
    assert "x-amz-security-token" not in faulty.requests[0].headers


def test_session_token_is_sent(make_s3: Any, faulty: FaultyServer) -> None:
    with pytest.raises(StoreError):
        put(make_s3(endpoint_url=faulty.url, session_token="the-token"), KEY)
    assert faulty.requests[0].headers["x-amz-security-token"] == "the-token"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bucket": ""}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"bucket": "a:b"}, "bucket"),
        ({"region": "eu west"}, "region"),
        ({"access_key": "a"}, "belong together"),
        ({"secret_key": "a"}, "belong together"),
        ({"session_token": "a"}, "belongs to them"),
        ({"max_age": -1}, "max_age"),
        ({"max_retry": -1}, "max_retry"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"connect_timeout": -1.0}, "connect_timeout"),
        ({"signed_urls": 0}, "signed_urls"),
        ({"signed_urls": 604801}, "between 1 and 604800"),
        ({"prefix": "a//b"}, "prefix"),
        ({"prefix": "../b"}, "prefix"),
        ({"endpoint_url": "s3.host"}, "endpoint_url"),
        ({"endpoint_url": "https://user:password@s3.host"}, "endpoint_url"),
    ],
)
def test_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S3Store(**{"bucket": "yourapp", **arguments})


@pytest.mark.parametrize("arguments", [{"max_age": "60"}, {"max_retry": 1.5}, {"timeout": True}, {"signed_urls": "1"}])
def test_argument_of_another_type_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(arguments))):
        S3Store("yourapp", **arguments)


# The sandbox


@pytest.fixture
def sandbox(s3_server: Any, s3: S3Store) -> S3SandboxStore:
    """A sandbox over the store of :func:`s3`."""
    return S3SandboxStore(
        s3.bucket,
        s3.bucket,
        s3.access_key,
        s3.secret_key,
        underlying_prefix=s3.prefix,
        overriding_prefix=f"{s3.prefix}-dev",
        endpoint_url=s3.endpoint_url,
    )


def test_sandbox_shows_what_is_below_and_changes_nothing_there(sandbox: S3SandboxStore, s3: S3Store) -> None:
    put(s3, PLAIN, b"of production")
    assert get(sandbox, PLAIN) == b"of production"
    put(sandbox, PLAIN, b"of the sandbox")
    assert get(sandbox, PLAIN) == b"of the sandbox"
    sandbox.delete_key(PLAIN)
    with pytest.raises(ImageNotFoundError):
        get(sandbox, PLAIN)
    assert list(sandbox.list_files()) == []
    put(sandbox, PLAIN, b"again")
    assert get(sandbox, PLAIN) == b"again"
    assert get(s3, PLAIN) == b"of production"
    assert [file.size for file in sandbox.list_files()] == [len(b"again")]


def test_sandbox_marks_what_is_deleted_by_an_empty_object_of_a_type_of_its_own(
    sandbox: S3SandboxStore, boto: Any
) -> None:
    sandbox.delete_key(PLAIN)
    name = f"{sandbox.overriding.prefix}/user-picture/17042/640x480.jpe"
    head = boto.head_object(Bucket=sandbox.overriding.bucket, Key=name)
    assert head["ContentLength"] == 0
    assert head["ContentType"] == "application/x-sqlalchemy-imageattach-sandbox-deleted"
    assert head["ContentType"] == sandbox.DELETED_MARK_MIMETYPE


def test_url_of_a_sandbox_is_that_of_the_bucket_which_has_the_file(sandbox: S3SandboxStore, s3: S3Store) -> None:
    put(s3, PLAIN)
    assert sandbox.get_url(*PICTURE) == s3.get_url(*PICTURE)
    put(sandbox, PLAIN)
    assert sandbox.get_url(*PICTURE) == sandbox.overriding.get_url(*PICTURE)


def test_url_of_a_sandbox_takes_one_request(sandbox: S3SandboxStore, faulty: FaultyServer, make_s3: Any) -> None:
    sandbox.overriding = make_s3(endpoint_url=faulty.url)
    sandbox.underlying = make_s3(endpoint_url=faulty.url)
    sandbox.locate(image(PLAIN))
    assert [request.method for request in faulty.requests] == ["HEAD"]


def test_sandbox_takes_the_documented_arguments() -> None:
    store = S3SandboxStore("a", "b", "access", "secret", 60, "c", "d", "eu-west-1", "eu-west-2", 3, signed_urls=60)
    under, over = store.underlying, store.overriding
    assert (under.bucket, under.prefix, under.region) == ("a", "c", "eu-west-1")
    assert (over.bucket, over.prefix, over.region) == ("b", "d", "eu-west-2")
    for each in (under, over):
        assert (each.access_key, each.secret_key, each.max_age) == ("access", "secret", 60)
        assert (each.max_retry, each.signed_urls) == (3, 60)


# Requests of one's own


def test_signed_requests_store_and_fetch(s3: S3Store) -> None:
    url = f"{s3.base_url}/{s3.prefix}/a%20b+c"
    keys = (s3.bucket, "us-east-1", s3.access_key, s3.secret_key)
    stored = S3RequestV4(url, *keys, data=b"bytes", method="PUT", content_type="image/png")
    urllib.request.urlopen(stored).close()
    with urllib.request.urlopen(S3Request(url, s3.bucket, s3.access_key, s3.secret_key)) as response:
        assert (response.read(), response.headers["Content-Type"]) == (b"bytes", "image/png")
    urllib.request.urlopen(S3RequestV4(url, *keys, method="DELETE")).close()
    with pytest.raises(HTTPError, match="404"):
        urllib.request.urlopen(S3RequestV4(url, *keys))


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://yourapp.s3.eu-west-1.amazonaws.com/a", "eu-west-1"),
        ("https://s3-eu-west-1.amazonaws.com/yourapp/a", "eu-west-1"),
        ("https://yourapp.s3.amazonaws.com/a", "us-east-1"),
        ("https://s3.host/yourapp/a", "us-east-1"),
    ],
)
def test_request_is_signed_for_the_region_of_its_url(url: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    request = S3Request(url, "yourapp", "access", "secret")
    assert f"%2F{region}%2Fs3" in request.full_url
    assert urlsplit(request.full_url)[:3] == urlsplit(url)[:3]


@pytest.mark.parametrize(
    "url", ["https://s3.host/another/a", "ftp://s3.host/yourapp/a", "https://s3.host/yourapp/a?acl"]
)
def test_request_is_for_an_object_of_the_bucket(url: str) -> None:
    with pytest.raises(ValueError, match="object of the bucket"):
        S3RequestV4(url, "yourapp", "us-east-1", "access", "secret")


def test_signature_version_2_says_that_it_is_gone() -> None:
    with pytest.raises(AuthMechanismError, match=r"is gone.*S3RequestV4"):
        S3RequestV2("https://yourapp.s3.amazonaws.com/a", "yourapp", "access", "secret")
