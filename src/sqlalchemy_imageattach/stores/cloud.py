"""Stores in the clouds of Microsoft and Google.

Both are :class:`~.base.CloudStore`, with the same names of objects as :class:`~.s3.S3Store`, and both find credentials
where the tools of their clouds do when none are given.  It must always be true that

- what is public is for the container or bucket to say: these stores send no access rights with a file.
"""

from __future__ import annotations

import os
import re
from typing import Any, ClassVar, Unpack

from .clouds.arguments import CloudOptions
from .clouds.store import CloudStore

__all__ = ("AzureStore", "GCSStore")

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER = re.compile(r"\$root|[a-z0-9](?:-?[a-z0-9]){2,62}")
# https://learn.microsoft.com/azure/storage/common/storage-account-overview
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][-_.a-z0-9]{1,220}[a-z0-9]")


class AzureStore(CloudStore):
    """A container of Azure Blob Storage.

    :param container: its name
    :param account: the storage account; by default that of the environment (``AZURE_STORAGE_ACCOUNT_NAME``)
    :param account_key: the account's key; by default the credentials of the environment, or of the machine
    :param endpoint_url: where the account is, if not in Azure's public cloud
    :param options: what every store in a cloud takes: see :class:`~.clouds.arguments.CloudOptions`
    :raises ValueError: when there is no account, or an argument is out of range
    :raises MissingDependencyError: when the extra ``azure`` is not installed

    >>> store = AzureStore('images', 'yourapp')
    >>> store.get_url('user-picture', 1, 640, 480, 'image/png')
    'https://yourapp.blob.core.windows.net/images/user-picture/1/640x480.png'
    """

    extra: ClassVar[str] = "azure"
    metadata_header: ClassVar[str] = "x-ms-meta-"
    tags_header: ClassVar[str | None] = "x-ms-tags"

    def __init__(
        self,
        container: str,
        account: str | None = None,
        account_key: str | None = None,
        *,
        endpoint_url: str | None = None,
        **options: Unpack[CloudOptions],
    ) -> None:
        account = account or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        if not _ACCOUNT.fullmatch(account):
            # None of these is shown: in a URL that is wrong, the key may be in its place.
            raise ValueError(
                "account must be the name of a storage account, 3 to 24 lower-case letters and digits; give it, or set"
                " AZURE_STORAGE_ACCOUNT_NAME"
            )
        if not _CONTAINER.fullmatch(container):
            raise ValueError("container must be the name of a container: lower-case letters, digits and hyphens")
        #: The name of the container.
        self.container = container
        self.account = account
        self.account_key = account_key
        #: Where the account is.
        self.endpoint_url = (endpoint_url or f"https://{account}.blob.core.windows.net").rstrip("/")
        super().__init__(f"{self.endpoint_url}/{container}", **options)

    def connect(self, clients: Any, **options: Any) -> Any:
        if self.account_key is not None:
            options["account_key"] = self.account_key
        return clients.AzureStore(self.container, account_name=self.account, endpoint=self.endpoint_url, **options)

    def secrets(self) -> tuple[str | None, ...]:
        return (self.account_key,)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.container!r}, account={self.account!r}, prefix={self.prefix!r})"


class GCSStore(CloudStore):
    """A bucket of Google Cloud Storage.

    :param bucket: its name
    :param service_account: the path of a service account's JSON key; by default the credentials of the environment, or
        of the machine
    :param options: what every store in a cloud takes: see :class:`~.clouds.arguments.CloudOptions`
    :raises ValueError: when an argument is out of range
    :raises MissingDependencyError: when the extra ``gcs`` is not installed

    >>> store = GCSStore('yourapp-images')
    >>> store.get_url('user-picture', 1, 640, 480, 'image/png')
    'https://storage.googleapis.com/yourapp-images/user-picture/1/640x480.png'
    """

    extra: ClassVar[str] = "gcs"
    metadata_header: ClassVar[str] = "x-goog-meta-"

    def __init__(
        self,
        bucket: str,
        service_account: str | os.PathLike[str] | None = None,
        **options: Unpack[CloudOptions],
    ) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise ValueError("bucket must be the name of a bucket: lower-case letters, digits, hyphens and dots")
        #: The name of the bucket.
        self.bucket = bucket
        self.service_account = None if service_account is None else os.fspath(service_account)
        # What the library below goes by in place of Google's server.
        server = os.environ.get("GOOGLE_BASE_URL", "https://storage.googleapis.com")
        super().__init__(f"{server.rstrip('/')}/{bucket}", **options)

    def connect(self, clients: Any, **options: Any) -> Any:
        if self.service_account is not None:
            options["service_account"] = self.service_account
        return clients.GCSStore(self.bucket, **options)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.bucket!r}, prefix={self.prefix!r})"
