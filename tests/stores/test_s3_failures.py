"""What a store on S3 does when the network, the server or the application is wrong."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faults import Cut, FaultyServer, answered, cut_in_the_middle, failed_after, lost, passed_on, refused, reset
from keys import BIG, KEY, PLAIN, SMALL, get, put
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

import databases
from models import Base, User, picture
from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.s3 import AuthMechanismError, S3SandboxStore, S3Store
from sqlalchemy_imageattach.stores.sandbox import SandboxStore

NAME = r"user-picture/17042/640x480\.k3v9q2\.jpe"

unavailable = answered("503 Slow Down")


def operations(store: Any) -> dict[str, Callable[[], object]]:
    return {
        "put": lambda: put(store),
        "put in parts": lambda: put(store, BIG),
        "put without a revision": lambda: put(store, key=PLAIN),
        "get": lambda: get(store),
        "has": lambda: store.has_key(KEY),
        "delete": lambda: store.delete_key(KEY),
        "list": lambda: list(store.list_files()),
    }


OPERATIONS = sorted(operations(None))
each_operation = pytest.mark.parametrize("operation", OPERATIONS)


# Faults that pass


@pytest.mark.parametrize("fault", [unavailable, failed_after, lost, reset], ids=["503", "500 after", "lost", "reset"])
@each_operation
def test_fault_that_passes_is_not_noticed(
    faulty_s3: S3Store, faulty: FaultyServer, s3: S3Store, operation: str, fault: Any
) -> None:
    if not operation.startswith("put"):
        put(s3)
    faulty.first(fault)
    result = operations(faulty_s3)[operation]()
    content = BIG if operation == "put in parts" else SMALL
    if operation == "delete":
        assert not s3.has_key(KEY)
    elif operation == "put without a revision":
        assert get(s3, PLAIN) == content
    else:
        assert get(s3) == content
    if operation in {"get", "has"}:
        assert result in (SMALL, True)


def test_put_in_parts_succeeds_when_just_its_last_answer_is_lost(
    faulty_s3: S3Store, faulty: FaultyServer, s3: S3Store
) -> None:
    # Some servers have forgotten the upload when its end is repeated.
    left = [lost, refused("404 Not Found", "NoSuchUpload", "The specified upload does not exist.")]

    def fault(request: Any, ask: Any) -> bytes:
        is_last = request.method == "POST" and "uploadId=" in request.path
        chosen = left.pop(0) if is_last and left else passed_on
        return bytes(chosen(request, ask))

    faulty.fault = fault
    put(faulty_s3, BIG)
    assert left == []
    assert get(s3) == BIG


@pytest.mark.parametrize("content", [SMALL, BIG, BIG[: 2 << 20]], ids=["small", "large", "medium"])
def test_body_that_is_cut_off_once_is_fetched_to_its_end(
    faulty_s3: S3Store, faulty: FaultyServer, s3: S3Store, content: bytes
) -> None:
    put(s3, content, PLAIN)
    faulty.first(cut_in_the_middle)
    assert get(faulty_s3, PLAIN) == content
    assert len(faulty.requests) == 2


# Faults that stay


@each_operation
def test_store_that_is_unavailable_is_a_clear_error(faulty_s3: S3Store, faulty: FaultyServer, operation: str) -> None:
    faulty.fault = unavailable
    faulty_s3.max_retry = 1
    with pytest.raises(StoreError, match=r"^\[Errno 5\] S3Store\('test', .*503 Service Unavailable") as caught:
        operations(faulty_s3)[operation]()
    assert not isinstance(caught.value, ImageNotFoundError)
    expected = faulty_s3.prefix if operation == "list" else f"{faulty_s3.prefix}/user-picture/17042/640x480"
    assert str(caught.value.filename).startswith(expected)
    assert len(faulty.requests) == 2


@pytest.mark.parametrize("max_retry", [0, 3])
def test_request_is_repeated_as_often_as_was_set(make_s3: Any, faulty: FaultyServer, max_retry: int) -> None:
    faulty.fault = unavailable
    with pytest.raises(StoreError):
        put(make_s3(endpoint_url=faulty.url, max_retry=max_retry))
    assert len(faulty.requests) == max_retry + 1


@each_operation
def test_server_that_never_answers_is_waited_for_as_long_as_was_set(
    make_s3: Any, faulty: FaultyServer, operation: str
) -> None:
    faulty.fault = faulty.hang
    with pytest.raises(StoreError, match="did not answer within 1 s"):
        operations(make_s3(endpoint_url=faulty.url, timeout=1, max_retry=10))[operation]()
    assert len(faulty.requests) == 1


def test_host_that_never_takes_the_connection_is_waited_for_as_long_as_was_set(make_s3: Any) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        store = make_s3(endpoint_url=url, connect_timeout=0.5, timeout=1, max_retry=1000)
        # Were it tried as often as that, the test would never end.
        with pytest.raises(StoreError, match=NAME):
            put(store)
        for each in waiting:
            each.close()


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
@each_operation
def test_host_that_cannot_be_reached_is_a_clear_error(make_s3: Any, host: str, operation: str) -> None:
    store = make_s3(endpoint_url=f"http://{host}", max_retry=1, timeout=5)
    with pytest.raises(StoreError, match="it cannot be reached"):
        operations(store)[operation]()


@pytest.mark.parametrize("content", [SMALL, BIG], ids=["small", "large"])
def test_body_that_is_always_cut_off_is_a_clear_error(
    make_s3: Any, faulty: FaultyServer, s3: S3Store, content: bytes
) -> None:
    put(s3, content, PLAIN)
    faulty.fault = cut_in_the_middle
    store = make_s3(endpoint_url=faulty.url, max_retry=1)
    with pytest.raises(StoreError, match=r"could not read a file: .*640x480\.jpe"):
        get(store, PLAIN)


@pytest.mark.parametrize("content", [SMALL, BIG], ids=["small", "large"])
def test_connection_that_is_cut_off_while_sending_is_a_clear_error(
    make_s3: Any, faulty: FaultyServer, content: bytes
) -> None:
    def cut(request: Any, ask: Any) -> bytes:
        raise Cut

    faulty.fault = cut
    with pytest.raises(StoreError, match=f"could not store a file: .*{NAME}"):
        put(make_s3(endpoint_url=faulty.url, max_retry=1), content)


@pytest.mark.parametrize("content", [SMALL, BIG], ids=["small", "large"])
def test_body_of_another_length_than_announced_is_a_clear_error(
    make_s3: Any, faulty: FaultyServer, s3: S3Store, content: bytes
) -> None:
    put(s3, content, PLAIN)

    def longer(request: Any, ask: Any) -> bytes:
        answer = ask()
        answer.headers["Content-Length"] = str(len(content) + 1)
        raise Cut(answer.head() + answer.body)

    faulty.fault = longer
    with pytest.raises(StoreError, match=r"640x480\.jpe"):
        get(make_s3(endpoint_url=faulty.url, max_retry=1), PLAIN)


@pytest.mark.parametrize("content", [SMALL, BIG], ids=["small", "large"])
def test_rest_of_another_length_is_a_clear_error(
    make_s3: Any, faulty: FaultyServer, s3: S3Store, content: bytes
) -> None:
    put(s3, content, PLAIN)

    def shorter(request: Any, ask: Any) -> bytes:
        answer = ask()
        answer.headers["Content-Length"] = str(len(answer.body) - 1)
        return bytes(answer.head() + answer.body[:-1])

    faulty.first(cut_in_the_middle, shorter)
    with pytest.raises(StoreError, match=rf"{len(content)} bytes were announced, and {len(content) - 1} came"):
        get(make_s3(endpoint_url=faulty.url, max_retry=1), PLAIN)


# What the server refuses


@each_operation
def test_wrong_secret_is_a_clear_error(make_s3: Any, operation: str) -> None:
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch|403 Forbidden"):
        operations(make_s3(secret_key="another-secret"))[operation]()


@each_operation
def test_wrong_access_key_is_a_clear_error(make_s3: Any, operation: str) -> None:
    with pytest.raises(StoreError, match=r"InvalidAccessKeyId|403 Forbidden"):
        operations(make_s3(access_key="another-key"))[operation]()


@pytest.mark.parametrize("operation", ["get", "delete", "list"])
def test_wrong_bucket_is_not_a_missing_file(make_s3: Any, operation: str) -> None:
    with pytest.raises(StoreError, match=r"NoSuchBucket.*\(check the name of the bucket\)"):
        operations(make_s3(bucket="no-such-bucket"))[operation]()


@pytest.mark.parametrize("operation", ["put", "put in parts", "put without a revision", "get", "delete"])
def test_wrong_bucket_as_aws_says_it_is_a_clear_error(faulty_s3: S3Store, faulty: FaultyServer, operation: str) -> None:
    faulty.fault = refused("404 Not Found", "NoSuchBucket", "The specified bucket does not exist")
    if operation == "put in parts":
        head = answered("404 Not Found")
        no_bucket = faulty.fault
        faulty.fault = lambda request, ask: (head if request.method == "HEAD" else no_bucket)(request, ask)
    with pytest.raises(StoreError, match="check the name of the bucket"):
        operations(faulty_s3)[operation]()


@pytest.mark.parametrize(
    "refusal",
    [
        refused(
            "400 Bad Request",
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
        ),
        refused("301 Moved Permanently", "PermanentRedirect", "The bucket must be addressed using another endpoint."),
    ],
    ids=["400", "301"],
)
@pytest.mark.parametrize("operation", ["put", "put without a revision", "get", "delete", "list"])
def test_wrong_region_as_aws_says_it_is_a_clear_error(
    faulty_s3: S3Store, faulty: FaultyServer, operation: str, refusal: Any
) -> None:
    faulty.fault = refusal
    with pytest.raises(AuthMechanismError, match="set region to the bucket's"):
        operations(faulty_s3)[operation]()


@pytest.fixture
def denied(boto: Any, make_s3: Any) -> Iterator[S3Store]:
    """A store in a bucket whose policy denies everything, and that has the file."""
    bucket = f"denied-{secrets.token_hex(6)}"
    boto.create_bucket(Bucket=bucket)
    store = make_s3(bucket=bucket)
    put(store)
    objects, itself = f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"
    statements = [
        {"Effect": "Deny", "Principal": "*", "Action": ["s3:*Object", "s3:ListBucket"], "Resource": [objects, itself]}
    ]
    boto.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    yield store
    boto.delete_bucket_policy(Bucket=bucket)
    boto.delete_object(Bucket=bucket, Key=f"{store.prefix}/user-picture/17042/640x480.k3v9q2.jpe")
    boto.delete_bucket(Bucket=bucket)


@each_operation
def test_policy_that_denies_is_a_clear_error(denied: S3Store, operation: str) -> None:
    with pytest.raises(StoreError, match=r"AccessDenied|403 Forbidden"):
        operations(denied)[operation]()


def test_storage_class_that_the_server_lacks_says_what_to_set(faulty_s3: S3Store, faulty: FaultyServer) -> None:
    faulty.fault = refused("400 Bad Request", "InvalidStorageClass", "The storage class you specified is not valid")
    with pytest.raises(StoreError, match="set reproducible_storage_class"):
        put(faulty_s3)


def test_missing_credentials_are_a_clear_error(make_s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"no credentials could be had|cannot be reached"):
        put(make_s3(access_key=None, secret_key=None, max_retry=0, timeout=2))


# What is never taken for a missing file


@pytest.mark.parametrize(
    "fault",
    [unavailable, answered("500 Internal Server Error"), refused("403 Forbidden", "AccessDenied", "Access Denied")],
    ids=["503", "500", "403"],
)
@pytest.mark.parametrize("wrap", [S3SandboxStore, SandboxStore, FallbackStore])
def test_store_over_stores_does_not_take_a_failure_for_a_missing_file(
    make_s3: Any, faulty: FaultyServer, s3: S3Store, wrap: Any, fault: Any
) -> None:
    broken = make_s3(endpoint_url=faulty.url, max_retry=0)
    if wrap is FallbackStore:
        store = FallbackStore(broken, s3)
    else:
        store = wrap.__new__(wrap)
        SandboxStore.__init__(store, s3, broken)
    put(s3)
    faulty.fault = fault
    for request in (lambda: get(store), lambda: store.url_of_key(KEY), lambda: store.has_key(KEY)):
        with pytest.raises(StoreError):
            request()


@pytest.mark.parametrize("operation", ["get", "delete"])
def test_page_of_a_web_server_does_not_say_that_a_file_is_missing(
    faulty_s3: S3Store, faulty: FaultyServer, operation: str
) -> None:
    faulty.fault = answered("404 Not Found", b"<html><h1>404 Not Found</h1></html>")
    with pytest.raises(StoreError, match=rf"what answered is no store \(check endpoint_url\).*{NAME}"):
        operations(faulty_s3)[operation]()
    faulty.fault = answered("404 Not Found")
    if operation == "get":
        with pytest.raises(ImageNotFoundError):
            get(faulty_s3)
    else:
        faulty_s3.delete_key(KEY)


def test_forked_process_without_a_temporary_folder_says_so(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3)
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in a process of another number, which has to load its own library
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    for request in (lambda: get(s3), lambda: s3.has_key(KEY), lambda: s3.delete_key(KEY)):
        with pytest.raises(StoreError, match="/no/such/folder"):
            request()


# Secrets


def test_secret_is_in_no_error_and_no_log(make_s3: Any, faulty: FaultyServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, token = "se/cret+key", "the/session=token"
    store = make_s3(endpoint_url=faulty.url, secret_key=secret, session_token=token, max_retry=0, signed_urls=60)
    texts = [repr(store), str(store), repr(S3SandboxStore("a", "b", "access", secret, session_token=token))]
    # A server that says all that it was told, and more.
    echo = refused("403 Forbidden", "SignatureDoesNotMatch", f"{secret} {token} X-Amz-Signature=abcdef&amp;x")
    for fault in (echo, unavailable, passed_on, answered("500 Oh", f"{secret} {token}".encode())):
        faulty.fault = fault
        for operation in operations(store).values():
            with pytest.raises(StoreError) as caught:
                operation()
            texts += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
            assert caught.value.__context__ is None
    texts += caplog.messages
    for shown in texts:
        for hidden in (secret, token, "se%2Fcret", "the%2Fsession", "abcdef"):
            assert hidden not in shown


# Transactions


@pytest.fixture
def session(sqlite_url: URL) -> Iterator[Session]:
    engine = databases.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_transaction_fails_with_its_store_and_succeeds_with_the_same_objects(
    session: Session, faulty_s3: S3Store, faulty: FaultyServer, s3: S3Store
) -> None:
    faulty_s3.max_retry = 0
    user = User(name="user")
    user.picture.from_blob(picture(), store=faulty_s3)
    session.add(user)
    faulty.fault = unavailable
    with pytest.raises(StoreError, match="503"):
        session.commit()
    session.rollback()
    assert session.query(User).count() == 0
    assert list(s3.list_files()) == []

    faulty.fault = passed_on
    session.add(user)
    session.commit()
    (file,) = s3.list_files()
    assert file.key == FileKey.of(user.picture.original)
    assert user.picture.make_blob(store=s3) == picture()


def test_file_that_cannot_be_deleted_does_not_undo_the_commit(
    session: Session, faulty_s3: S3Store, faulty: FaultyServer, s3: S3Store
) -> None:
    faulty_s3.max_retry = 0
    user = User(name="user")
    user.picture.from_blob(picture(), store=faulty_s3)
    session.add(user)
    session.commit()
    failures: list[Any] = []
    session.info["image_delete_failed"] = failures.append
    faulty.fault = unavailable
    session.delete(user)
    session.commit()
    assert session.query(User).count() == 0
    assert len(list(s3.list_files())) == 1
