"""Stores in a bucket of a real server, and the same through a proxy that does what networks do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from faults import FaultyServer

from sqlalchemy_imageattach.stores.s3 import S3Store


class MakeS3(Protocol):
    def __call__(self, **changes: Any) -> S3Store: ...


@pytest.fixture
def make_s3(s3_server: Any) -> Callable[..., S3Store]:
    """Makes stores of one prefix, which no other test has."""
    prefix = secrets.token_hex(8)

    def make_s3(**changes: Any) -> S3Store:
        arguments = {
            "bucket": s3_server.bucket,
            "access_key": s3_server.access_key,
            "secret_key": s3_server.secret_key,
            "prefix": prefix,
            "endpoint_url": s3_server.endpoint_url,
        }
        return S3Store(**arguments | changes)

    return make_s3


@pytest.fixture
def s3(make_s3: MakeS3) -> S3Store:
    return make_s3()


@pytest.fixture
def faulty(s3_server: Any) -> Iterator[FaultyServer]:
    """A proxy in front of the S3 server."""
    with FaultyServer(s3_server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def faulty_s3(make_s3: MakeS3, faulty: FaultyServer) -> S3Store:
    """The store of :func:`s3`, through the proxy."""
    return make_s3(endpoint_url=faulty.url, timeout=10)


@pytest.fixture
def boto(s3_server: Any) -> Any:
    """AWS's own library, for a second opinion."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        region_name=s3_server.region,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
