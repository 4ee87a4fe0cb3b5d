"""Requests of one's own, signed."""

from __future__ import annotations

import urllib.request
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest

from sqlalchemy_imageattach.stores.s3 import (
    AuthMechanismError,
    S3Request,
    S3RequestV2,
    S3RequestV4,
    S3Store,
)


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
