"""How a store on S3 is made: its arguments, its credentials."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from faults import FaultyServer, answered
from keys import KEY, PICTURE, get, put

from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.stores.s3 import S3Store


@pytest.mark.parametrize("not_given", [None, ""])
def test_credentials_may_come_from_the_environment(
    make_s3: Any, s3_server: Any, monkeypatch: pytest.MonkeyPatch, not_given: str | None
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint_url)
    store = make_s3(access_key=not_given, secret_key=not_given, endpoint_url=not_given)
    put(store)
    assert get(make_s3()) == b"bytes"
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
            put(make_s3(endpoint_url=faulty.url, access_key=None, secret_key=None))
    assert "Credential=key-of-the-role/" in faulty.requests[0].headers["authorization"]
    assert faulty.requests[0].headers["x-amz-security-token"] == "token-of-the-role"


def test_token_of_the_environment_is_not_sent_with_other_keys(
    faulty_s3: S3Store, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    put(faulty_s3)
    assert "x-amz-security-token" not in faulty.requests[0].headers


def test_session_token_is_sent(make_s3: Any, faulty: FaultyServer) -> None:
    with pytest.raises(StoreError):
        put(make_s3(endpoint_url=faulty.url, session_token="the-token"))
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
        ({"prefix": "a\tb"}, "prefix"),
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


@pytest.mark.parametrize("character", ["\t", "\n", "\x7f"])
def test_object_type_with_a_control_character_is_refused(s3: S3Store, character: str) -> None:
    key = KEY._replace(object_type=f"user{character}picture")
    for request in (lambda: put(s3, key=key), lambda: get(s3, key), lambda: s3.url_of_key(key)):
        with pytest.raises(ValueError, match="object type without control characters"):
            request()
