"""Requests to S3 as :mod:`urllib.request` takes them, signed.

The stores have no need of these; they are for programs that made requests of their own with the original library.
"""

from __future__ import annotations

import datetime
import os
import re
import urllib.request
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from .failures import AuthMechanismError
from .runtime import require, runtime

__all__ = ("S3Request", "S3RequestV2", "S3RequestV4")

_VALID = datetime.timedelta(minutes=15)
_HOST_WITH_REGION = re.compile(r"(?:.+\.)?s3[.-]([a-z]{2}-[-a-z]+-[0-9]+)\.amazonaws\.com")


class S3RequestV4(urllib.request.Request):
    """A request that is signed with Signature Version 4, for a quarter of an hour.

    The signature is part of :attr:`full_url`, which is therefore a secret.

    :param url: the object's URL, the bucket in its host or first in its path, without a query
    :param bucket: the name of the bucket
    :param region: its region
    :param access_key: the access key
    :param secret_key: the secret that belongs to it
    :param data: the body
    :param headers: more headers; S3 takes none that begin with ``x-amz-``, since they are not signed
    :param method: e.g. ``'PUT'``; by default ``'POST'`` with a body, which S3 does not take here, or ``'GET'``
    :param content_type: the type of the body
    :raises ValueError: when the URL is none of an object of this bucket
    :raises MissingDependencyError: when the extra ``s3`` is not installed

    >>> url = 'https://yourapp.s3.amazonaws.com/a.png'
    >>> request = S3RequestV4(url, 'yourapp', 'us-east-1', 'access key', 'secret key')
    >>> request.get_method(), request.full_url.partition('?')[0]
    ('GET', 'https://yourapp.s3.amazonaws.com/a.png')
    """

    def __init__(
        self,
        url: str,
        bucket: str,
        region: str,
        access_key: str,
        secret_key: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        content_type: str | None = None,
    ) -> None:
        require(type(self).__qualname__, "s3")
        method = method or ("GET" if data is None else "POST")
        signed = _signed_url(url, method, bucket, region, access_key, secret_key)
        super().__init__(signed, data, {**(headers or {})}, method=method)
        if content_type is not None:
            self.add_header("Content-Type", content_type)
        self.bucket = bucket
        self.region = region


class S3Request(S3RequestV4):
    """A signed request; the region is that of the URL, else of the environment, else ``us-east-1``.

    :param url: the object's URL, the bucket in its host or first in its path, without a query
    :param bucket: the name of the bucket
    :param access_key: the access key
    :param secret_key: the secret that belongs to it
    :param data: the body
    :param headers: more headers; S3 takes none that begin with ``x-amz-``, since they are not signed
    :param method: e.g. ``'PUT'``
    :param content_type: the type of the body
    :raises ValueError: when the URL is none of an object of this bucket
    :raises MissingDependencyError: when the extra ``s3`` is not installed
    """

    def __init__(
        self,
        url: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        content_type: str | None = None,
    ) -> None:
        match = _HOST_WITH_REGION.fullmatch(urlsplit(url).hostname or "")
        environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        region = match[1] if match else environment or "us-east-1"
        super().__init__(url, bucket, region, access_key, secret_key, data, headers, method, content_type)


class S3RequestV2:
    """What is gone: servers do not take Signature Version 2 any more.

    :raises AuthMechanismError: always
    """

    def __init__(self, *args: object, **kwargs: object) -> NoReturn:
        raise AuthMechanismError(
            "Signature Version 2 is gone, from AWS as from here; use S3RequestV4, which takes a region after the bucket"
        )


def _signed_url(url: str, method: str, bucket: str, region: str, access_key: str, secret_key: str) -> str:
    parts = urlsplit(url)
    in_host = (parts.hostname or "").startswith(f"{bucket.lower()}.")
    start = "/" if in_host else f"/{bucket}/"
    if parts.scheme not in {"http", "https"} or parts.query or not parts.path.startswith(start):
        raise ValueError(f"url must be that of an object of the bucket {bucket!r}, and have no query")
    library = runtime()
    client = library.clients.S3Store(
        bucket,
        endpoint=f"{parts.scheme}://{parts.netloc}",
        region=region,
        # Not as plain options, beside which the token of the environment would be used.
        credential_provider=lambda: {
            "access_key_id": access_key,
            "secret_access_key": secret_key,
            "token": None,
            "expires_at": None,
        },
        virtual_hosted_style_request=in_host,
        client_options={"allow_http": True},
    )
    signed: str = library.obstore.sign(client, method, unquote(parts.path.removeprefix(start)), _VALID)
    return signed
