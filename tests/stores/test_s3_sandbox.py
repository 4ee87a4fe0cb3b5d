"""The sandbox over two buckets."""

from __future__ import annotations

from typing import Any

import pytest
from faults import FaultyServer
from keys import PICTURE, PLAIN, get, image, put

from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.instrumentation import Event, subscribe, unsubscribe
from sqlalchemy_imageattach.stores.s3 import S3SandboxStore, S3Store


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
    put(s3, b"of production", PLAIN)
    assert get(sandbox, PLAIN) == b"of production"
    put(sandbox, b"of the sandbox", PLAIN)
    assert get(sandbox, PLAIN) == b"of the sandbox"
    sandbox.delete_key(PLAIN)
    with pytest.raises(ImageNotFoundError):
        get(sandbox, PLAIN)
    assert list(sandbox.list_files()) == []
    put(sandbox, b"again", PLAIN)
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
    put(s3, key=PLAIN)
    assert sandbox.get_url(*PICTURE) == s3.get_url(*PICTURE)
    put(sandbox, key=PLAIN)
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


def test_sandbox_tells_subscribers_of_the_bucket_that_was_asked(sandbox: S3SandboxStore) -> None:
    events: list[Event] = []
    subscribe(events.append)
    try:
        put(sandbox, b"bytes", PLAIN)
        get(sandbox, PLAIN)
        sandbox.delete_key(PLAIN)
    finally:
        unsubscribe(events.append)
    assert [(event.name, event.file_size) for event in events] == [("put", 5), ("get", 5), ("delete", None)]
    assert {event.store for event in events} == {sandbox.overriding}
