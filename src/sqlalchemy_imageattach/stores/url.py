"""A store as one setting of an application.

::

    store = store_from_url(os.environ["IMAGE_STORE"])

=========================================================  ======================================================
``s3://bucket/prefix?region=eu-west-1``                    :class:`~.s3.S3Store`
``s3://KEY:SECRET@bucket?endpoint_url=https://s3.host``    the same, with its own credentials
``az://container/prefix?account=yourapp``                  :class:`~.cloud.AzureStore`
``az://ACCOUNT:KEY@container``                             the same, with its own credentials
``gs://bucket/prefix?service_account=/etc/key.json``       :class:`~.cloud.GCSStore`
``file:///var/images?base_url=https://yourapp.com/img/``   :class:`~.fs.FileSystemStore`
``file:///var/images?prefix=img``                          :class:`~.fs.HttpExposedFileSystemStore`
``memory://``                                              :class:`~.memory.MemoryStore`
=========================================================  ======================================================

The query takes the store's arguments by their names.  Everything is percent-encoded as in any URL: the slash of a
secret is ``%2F``; a plus is a plus.  It must always be true that

- what may be a secret is in no error: neither a user or password, nor anything that was not understood.  That holds
  for the errors behind an error as well, so none is raised while another one is handled;
- an argument that the store does not have is refused, so that a misspelt one is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from ..store import Store

__all__ = ("store_from_url",)

T = TypeVar("T")


def store_from_url(url: str) -> Store:
    """Make a store from a URL.

    :param url: see :mod:`sqlalchemy_imageattach.stores.url`
    :returns: the store
    :raises ValueError: when the URL is none of a store, or an argument in it is unknown or out of range
    :raises MissingDependencyError: when the extra that the store needs is not installed

    >>> store_from_url('s3://yourapp-images/v2?region=eu-west-1')
    S3Store('yourapp-images', region='eu-west-1', prefix='v2')
    """
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    make = _MAKERS.get(scheme)
    if make is None:
        # What stands in the place of the scheme may be anything.
        raise ValueError(f"expected the URL of a store, which begins with one of {_SCHEMES}")
    understood = _understood(urlsplit, url)
    authority, at, host = understood[0].netloc.rpartition("@") if understood else ("", "", "")
    if not understood or ":" in host or "@" in understood[0].path or "#" in url:
        raise ValueError(
            f"expected the URL of a store, such as {_EXAMPLES[scheme]}, in which every : / ? # @ [ ] of a name, a user"
            " or a password is percent-encoded"
        )
    (parts,) = understood
    user, _, password = authority.partition(":")
    arguments = _arguments(scheme, parts.query)
    return make(unquote(host), unquote(parts.path), (unquote(user), unquote(password)) if at else None, arguments)


def _make_s3(bucket: str, path: str, credentials: tuple[str, str] | None, arguments: dict[str, Any]) -> Store:
    from .s3 import S3Store

    if credentials is not None:
        _set(arguments, access_key=credentials[0], secret_key=credentials[1])
    _set(arguments, prefix=path.removeprefix("/"))
    return S3Store(bucket, **arguments)


def _make_azure(container: str, path: str, credentials: tuple[str, str] | None, arguments: dict[str, Any]) -> Store:
    from .cloud import AzureStore

    if credentials is not None:
        _set(arguments, account=credentials[0], account_key=credentials[1] or None)
    _set(arguments, prefix=path.removeprefix("/"))
    return AzureStore(container, **arguments)


def _make_gcs(bucket: str, path: str, credentials: tuple[str, str] | None, arguments: dict[str, Any]) -> Store:
    from .cloud import GCSStore

    if credentials is not None:
        raise ValueError("a gs:// URL takes no user and password; set service_account to the path of a key")
    _set(arguments, prefix=path.removeprefix("/"))
    return GCSStore(bucket, **arguments)


def _make_file(host: str, path: str, credentials: tuple[str, str] | None, arguments: dict[str, Any]) -> Store:
    from .fs import FileSystemStore, HttpExposedFileSystemStore

    if host not in {"", "localhost"} or credentials is not None or path.strip("/") == "":
        raise ValueError("a file:// URL must have the absolute path of a folder, and no host: file:///var/images")
    if "base_url" not in arguments:
        return HttpExposedFileSystemStore(path, **arguments)
    if unknown := sorted(arguments.keys() - {"base_url", "sync"}):
        raise ValueError(f"a file:// URL with base_url takes no {', '.join(unknown)}")
    return FileSystemStore(path, **arguments)


def _make_memory(host: str, path: str, credentials: tuple[str, str] | None, arguments: dict[str, Any]) -> Store:
    from .memory import MemoryStore

    if host or path.strip("/") or credentials is not None:
        raise ValueError("a memory:// URL has no host and no path")
    return MemoryStore(**arguments)


def _set(arguments: dict[str, Any], **values: Any) -> None:
    for name, value in values.items():
        if name in arguments and value:
            raise ValueError(f"{name} is in the URL twice")
        if value or name not in arguments:
            arguments[name] = value


def _bool(text: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[text.lower()]


def _optional(text: str) -> str | None:
    return text or None


_CLOUD: Mapping[str, Callable[[str], Any]] = {
    "max_age": int,
    "public_base_url": str,
    "max_retry": int,
    "signed_urls": int,
    "signed_urls_window": int,
    "connect_timeout": float,
    "timeout": float,
}
_ARGUMENTS: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "s3": {
        **_CLOUD,
        "access_key": str,
        "secret_key": str,
        "session_token": str,
        "region": str,
        "endpoint_url": str,
        "acl": str,
        "checksum": {"SHA256": "SHA256", "CRC64NVME": "CRC64NVME"}.__getitem__,
        "reproducible_storage_class": _optional,
    },
    "az": {**_CLOUD, "account": str, "account_key": str, "endpoint_url": str},
    "gs": {**_CLOUD, "service_account": str},
    "file": {"base_url": str, "prefix": str, "cors": _bool, "sync": _bool},
    "memory": {"base_url": str},
}
_MAKERS: Mapping[str, Callable[[str, str, tuple[str, str] | None, dict[str, Any]], Store]] = {
    "s3": _make_s3,
    "az": _make_azure,
    "gs": _make_gcs,
    "file": _make_file,
    "memory": _make_memory,
}
_SCHEMES = ", ".join(f"{scheme}://" for scheme in _MAKERS)
_EXAMPLES = {
    "s3": "s3://bucket/prefix?region=eu-west-1",
    "az": "az://container/prefix?account=yourapp",
    "gs": "gs://bucket/prefix",
    "file": "file:///var/images?base_url=https://yourapp.com/img/",
    "memory": "memory://",
}


def _arguments(scheme: str, query: str) -> dict[str, Any]:
    known, arguments = _ARGUMENTS[scheme], dict[str, Any]()
    for pair in filter(None, query.split("&")):
        name, _, text = pair.partition("=")
        if name not in known:
            # A name that is in no list may be the rest of a secret.
            raise ValueError(f"an argument in the {scheme}:// URL is unknown; there are {', '.join(sorted(known))}")
        understood = _understood(known[name], unquote(text))
        if not understood:
            raise ValueError(f"the value of {name} in the {scheme}:// URL is not of the kind that it takes")
        _set(arguments, **{name: understood[0]})
    return arguments


def _understood(read: Callable[[str], T], text: str) -> list[T]:
    """What was read, or nothing; an error of its own would show the text."""
    try:
        return [read(text)]
    except (ValueError, KeyError):
        return []
