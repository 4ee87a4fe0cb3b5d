"""Stores on S3, and on whatever speaks its protocol.

:class:`S3Store` keeps files in a bucket.  :class:`S3SandboxStore` reads one bucket and writes another, so that
development can look at production's images without ever changing them.

It must always be true that

- objects of rows without a revision are named as the original library named them, and are found, also where the prefix
  begins with a slash;
- a URL is made without a request, but for the sandbox's, which has to know in which bucket the object is;
- access rights are sent only when they are asked for: many buckets refuse any.

Requests are signed by the library that makes them, with Signature Version 4:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

from __future__ import annotations

import datetime
import errno
import io
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO, Any, ClassVar, Literal, Unpack
from urllib.parse import quote

from ..exc import ImageNotFoundError
from ..instrumentation import measured
from ..naming import FileKey
from ..store import StoredFile
from .clouds.arguments import RequestOptions
from .clouds.bucket import Listed, UnreadableNameError
from .clouds.failures import AuthMechanismError
from .clouds.runtime import Runtime
from .clouds.s3listing import fetched, list_objects
from .clouds.s3request import S3Request, S3RequestV2, S3RequestV4
from .clouds.s3signature import Keys, signed_url
from .clouds.store import DEFAULT_MAX_AGE, CloudStore, checked_path
from .sandbox import SandboxStore

__all__ = (
    "BASE_URL_FORMAT",
    "DEFAULT_MAX_AGE",
    "AuthMechanismError",
    "S3Options",
    "S3Request",
    "S3RequestV2",
    "S3RequestV4",
    "S3SandboxStore",
    "S3Store",
)

#: What URLs of a bucket begin with when no region is given; has no slash at its end.
BASE_URL_FORMAT = "https://{0}.s3.amazonaws.com"

_BASE_REGION_URL_FORMAT = "https://{0}.s3.{region}.amazonaws.com"
# AWS's rules are stricter, and not everybody's; what is excluded would mean something else in a URL.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,254}")
_REGION = re.compile(r"[-_A-Za-z0-9]+")
_CHECKSUMS = ("SHA256", "CRC64NVME", None)
# The names that the library below has for these headers.
_ENCRYPTION = {
    "x-amz-server-side-encryption": "server_side_encryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "sse_kms_key_id",
    "x-amz-server-side-encryption-bucket-key-enabled": "sse_bucket_key_enabled",
}
# How long the signature of a request for a page of a listing is valid.
_LISTING = datetime.timedelta(minutes=15)
# The client only signs.
_ANY_SCHEME = {"allow_http": True}


class S3Options(RequestOptions, total=False):
    """What :class:`S3SandboxStore` passes on to both of its stores: see :class:`S3Store`."""

    endpoint_url: str | None
    session_token: str | None
    acl: str | None
    reproducible_storage_class: str | None
    checksum: Literal["SHA256", "CRC64NVME"] | None


class S3Store(CloudStore):
    """A bucket of S3, or of a server that speaks its protocol.

    :param bucket: its name
    :param access_key: the access key; by default the credentials of the environment, the container or the instance
    :param secret_key: the secret that belongs to ``access_key``
    :param max_age: of ``Cache-Control``, in seconds
    :param prefix: what the names of objects begin with, so that a bucket can have several stores
    :param public_base_url: what URLs begin with; useful with a CDN
    :param region: the bucket's region; by default that of the environment, or ``us-east-1``
    :param max_retry: how often a request is repeated that failed on its way or was answered with a 5xx
    :param endpoint_url: the server, if it is not AWS; by default that of the environment (``AWS_ENDPOINT_URL_S3`` or
        ``AWS_ENDPOINT_URL``)
    :param session_token: the token that belongs to temporary credentials
    :param acl: the `canned ACL <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>`_
        of new objects; ``None`` sends none.  With one, a large file is sent at once, and not in parts
    :param reproducible_storage_class: the `storage class <https://aws.amazon.com/s3/storage-classes/>`_ of what can
        be made again, such as ``'ONEZONE_IA'``; ``None`` for the bucket's default, which originals always have
    :param checksum: the `checksum <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>`_
        to send with new objects, ``'SHA256'`` or ``'CRC64NVME'``, as buckets with Object Lock demand; ``None`` for none
    :param options: what every store in a cloud takes: see :class:`~.clouds.arguments.RequestOptions`
    :raises ValueError: when an argument is out of range, or only one of ``access_key`` and ``secret_key`` is given
    :raises MissingDependencyError: when the extra ``s3`` is not installed

    >>> store = S3Store('yourapp-images', region='eu-west-1', prefix='v2')
    >>> store.get_url('user-picture', 1, 640, 480, 'image/png')
    'https://yourapp-images.s3.eu-west-1.amazonaws.com/v2/user-picture/1/640x480.png'
    """

    extra: ClassVar[str] = "s3"
    metadata_header: ClassVar[str] = "x-amz-meta-"
    tags_header: ClassVar[str | None] = "x-amz-tagging"
    option_headers: ClassVar[frozenset[str]] = frozenset(_ENCRYPTION)

    def __init__(
        self,
        bucket: str,
        access_key: str | None = None,
        secret_key: str | None = None,
        max_age: int = DEFAULT_MAX_AGE,
        prefix: str = "",
        public_base_url: str | None = None,
        region: str | None = None,
        max_retry: int = 5,
        *,
        endpoint_url: str | None = None,
        session_token: str | None = None,
        acl: str | None = None,
        reproducible_storage_class: str | None = "REDUCED_REDUNDANCY",
        checksum: Literal["SHA256", "CRC64NVME"] | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("bucket must be the name of a bucket: letters, digits, hyphens and dots")
        if region is not None and not _REGION.fullmatch(region):
            raise ValueError(f"region must be the name of a region, such as 'eu-west-1', not {region!r}")
        if bool(access_key) != bool(secret_key) or (session_token and not access_key):
            raise ValueError("access_key and secret_key belong together, and session_token belongs to them")
        if checksum not in _CHECKSUMS:
            raise ValueError(f"checksum must be one of {', '.join(map(repr, _CHECKSUMS))}, not {checksum!r}")
        environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        #: The name of the bucket.
        self.bucket = bucket
        self.access_key = access_key or None
        self.secret_key = secret_key or None
        self.session_token = session_token or None
        #: The region as it was given.
        self.region = region
        #: The server, or ``None`` for AWS.
        self.endpoint_url = endpoint_url or environment
        self.acl = acl
        self.reproducible_storage_class = reproducible_storage_class
        self.checksum = checksum
        super().__init__(
            _base_url(self.endpoint_url, bucket, region),
            prefix=prefix,
            public_base_url=public_base_url,
            max_age=max_age,
            max_retry=max_retry,
            **options,
        )

    def connect(self, clients: Any, **options: Any) -> Any:
        if self.region is not None:
            options["region"] = self.region
        if self.access_key is not None:
            # Not as plain options, beside which the token of the environment would be sent, that of other keys.
            options["credential_provider"] = self._credentials
        if self.checksum is not None:
            options["checksum_algorithm"] = self.checksum
        options |= {_ENCRYPTION[name]: value for name, value in self.put_headers.options.items()}
        # One object at a time is deleted, which every server can, and every bucket policy covers.
        options["disable_bulk_delete"] = True
        if "endpoint" in options or self.prefix.startswith("/"):
            # The library below takes such an endpoint as it is, and puts a slash and the name behind it.  From names it
            # takes the slash at their beginning off, so that is in the endpoint.
            options = {"endpoint": f"{self.base_url}/", "virtual_hosted_style_request": True} | options
        elif self.endpoint_url is not None:
            options["endpoint"] = self.endpoint_url
        else:
            # AWS wants the bucket in the host's name; one with a dot in its own would have no certificate there.
            options["virtual_hosted_style_request"] = "." not in self.bucket
        return clients.S3Store(self.bucket, **options)

    def _credentials(self) -> dict[str, Any]:
        return {
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "token": self.session_token,
            "expires_at": None,
        }

    def secrets(self) -> tuple[str | None, ...]:
        return self.secret_key, self.session_token

    def headers(self) -> dict[str, str]:
        return {} if self.acl is None else {"x-amz-acl": self.acl}

    def storage_class(self, reproducible: bool) -> str | None:
        return self.reproducible_storage_class if reproducible else None

    def checked_prefix(self, prefix: str) -> str:
        # One slash at its beginning was part of the names that the original library gave.
        prefix = prefix.strip().rstrip("/")
        return f"/{checked_path(prefix[1:])}" if prefix.startswith("/") else checked_path(prefix)

    def listed(self, prefix: str) -> Iterator[Listed]:
        last = ""
        if not prefix.startswith("/"):
            try:
                for each in self.objects.list(prefix):
                    last = each.name
                    yield each
                return
            except UnreadableNameError:
                pass
        yield from list_objects(partial(self._fetch, prefix), prefix, last)

    def signed_as_of(self, time: datetime.datetime, name: str, seconds: int) -> str | None:
        if self.access_key is None or self.secret_key is None:
            return None
        region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        keys = Keys(self.access_key, self.secret_key, self.session_token)
        url = f"{_base_url(self.endpoint_url, self.bucket, region)}/{quote(name)}"
        return signed_url(url, region, keys, time, seconds)

    def _fetch(self, prefix: str, query: str) -> bytes:
        """Ask the bucket for a page of its listing."""

        def fetch(library: Runtime, _: Any) -> bytes:
            # What is behind the query would be the name of an object: "/ListObjectsV2", here the value of a parameter
            # that servers leave alone.
            client = self.connect(
                library.clients, endpoint=f"{self.base_url}?{query}&x-id=", client_options=_ANY_SCHEME
            )
            return fetched(library.obstore.sign(client, "GET", "ListObjectsV2", _LISTING), self.timeout)

        return self.objects.ask("list its files", prefix, fetch, repeat=True)

    def __repr__(self) -> str:
        arguments = {"region": self.region, "prefix": self.prefix, "endpoint_url": self.endpoint_url}
        given = "".join(f", {name}={value!r}" for name, value in arguments.items() if value)
        return f"{type(self).__qualname__}({self.bucket!r}{given})"


class S3SandboxStore(SandboxStore[S3Store]):
    """Two buckets that look like one: the first is only read, and all changes go to the second.

    Useful for development with the images of production.  What is deleted is marked in the second bucket, by an empty
    object in its place.  A URL takes one request, which asks the second bucket whether it has the object.

    :param underlying: the name of the bucket that is only read
    :param overriding: the name of the bucket for changes
    :param access_key: the access key, for both buckets
    :param secret_key: the secret that belongs to ``access_key``
    :param max_age: of ``Cache-Control``, in seconds
    :param underlying_prefix: what the names of objects begin with in ``underlying``
    :param overriding_prefix: what the names of objects begin with in ``overriding``
    :param underlying_region: the region of ``underlying``
    :param overriding_region: the region of ``overriding``
    :param max_retry: how often a request is repeated that failed on its way or was answered with a 5xx
    :param options: further ones for both, by their names: see :class:`S3Store`
    :raises ValueError: when an argument is out of range
    :raises MissingDependencyError: when the extra ``s3`` is not installed

    >>> S3SandboxStore('yourapp-images', 'yourapp-images-dev').overriding.bucket
    'yourapp-images-dev'
    """

    #: The ``Content-Type`` of an object that marks what was deleted.
    DELETED_MARK_MIMETYPE = "application/x-sqlalchemy-imageattach-sandbox-deleted"

    def __init__(
        self,
        underlying: str,
        overriding: str,
        access_key: str | None = None,
        secret_key: str | None = None,
        max_age: int = DEFAULT_MAX_AGE,
        underlying_prefix: str = "",
        overriding_prefix: str = "",
        underlying_region: str | None = None,
        overriding_region: str | None = None,
        max_retry: int = 5,
        **options: Unpack[S3Options],
    ) -> None:
        def make(bucket: str, prefix: str, region: str | None) -> S3Store:
            return S3Store(bucket, access_key, secret_key, max_age, prefix, None, region, max_retry, **options)

        super().__init__(
            make(underlying, underlying_prefix, underlying_region),
            make(overriding, overriding_prefix, overriding_region),
        )

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        over = self.overriding
        with measured("put", key.mimetype, file=file, store=over, key=key):
            # Without a condition: there may be a mark.
            over.objects.put(over.name(key), file, over.attributes(key.mimetype, reproducible), create=False)

    def read(self, key: FileKey) -> IO[bytes]:
        over = self.overriding
        try:
            with measured("get", key.mimetype, store=over, key=key) as measurement:
                file, attributes = over.objects.get(over.name(key))
                measurement.opened(file)
        except ImageNotFoundError:
            return self.underlying.get_key(key)
        if self._is_mark(attributes):
            file.close()
            raise ImageNotFoundError(errno.ENOENT, f"{self!r} has no such file", over.name(key))
        return file

    def remove(self, key: FileKey) -> None:
        over = self.overriding
        with measured("delete", key.mimetype, store=over, key=key):
            over.objects.put(
                over.name(key), io.BytesIO(), over.attributes(self.DELETED_MARK_MIMETYPE, True), create=False
            )

    def has_key(self, key: FileKey) -> bool:
        try:
            with self.get_key(key):
                return True
        except ImageNotFoundError:
            return False

    def marked(self, file: StoredFile) -> FileKey | None:
        return None if file.size or not self._is_mark(self.overriding.objects.get(file.name)[1]) else file.key

    def _is_mark(self, attributes: Mapping[str, str]) -> bool:
        return attributes.get("Content-Type") == self.DELETED_MARK_MIMETYPE


def _base_url(endpoint_url: str | None, bucket: str, region: str | None) -> str:
    if endpoint_url is not None:
        return f"{endpoint_url.rstrip('/')}/{bucket}"
    if "." in bucket:
        # No certificate covers a host whose name has the bucket's dots in it.
        return f"https://s3.{region}.amazonaws.com/{bucket}" if region else f"https://s3.amazonaws.com/{bucket}"
    return _BASE_REGION_URL_FORMAT.format(bucket, region=region) if region else BASE_URL_FORMAT.format(bucket)
