"""Which URL the application has in the current request.

A middleware sets it, for as long as it handles one request, in a :class:`~contextvars.ContextVar`; a store that the
application serves itself asks for it whenever it makes a URL.  It must always be true that

- nothing is remembered from one request to another;
- what a client sent is part of a URL only when it has the form of a host, and is trusted if a list of hosts is set;
- what a proxy's headers say counts only when the application says how many proxies are in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

__all__ = ("ANY_HOST", "Hosts", "current_base_url", "quote_root", "server_host", "set_base_url")

# RFC 3986, section 3.2, without user information and the rarer characters; underscores are in the names of containers.
_HOST = re.compile(r"(?:[0-9a-z._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[0-9a-z%._~!$&'()*+,;=:@-]+)*", re.ASCII | re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

_base_url: ContextVar[str] = ContextVar("sqlalchemy_imageattach.serving.hosts", default="/")


def current_base_url() -> str:
    """Find the URL of the application in the current request.

    :returns: a URL such as ``'https://example.com/app/'``; outside a request, or when the request does not say which
        host it is for, just a path, which browsers take as one on the host of the page

    >>> current_base_url()
    '/'
    """
    return _base_url.get()


@contextmanager
def set_base_url(base_url: str) -> Iterator[None]:
    """Set what :func:`current_base_url` returns in a block.

    :param base_url: a URL or a path, a slash at its end
    """
    outer = _base_url.get()
    _base_url.set(base_url)
    try:
        yield
    finally:
        # The end of a response may run in another context than its beginning, where a token would be an error; and a
        # response that was never closed ends in the middle of another request, whose URL is not to be touched.
        if _base_url.get() is base_url:
            _base_url.set(outer)


@dataclass(frozen=True, slots=True)
class Hosts:
    """What to believe about the host that a request is for.

    :param trusted: the hosts that a request may be for, without ports, ``.example.com`` with all below it; ``None`` for
        any, and an empty list for none
    :param proxies: how many proxies in front of the application set ``X-Forwarded-Proto``, ``-Host`` and ``-Prefix``
    :raises ValueError: when ``proxies`` is negative
    """

    trusted: Collection[str] | None = None
    proxies: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.trusted, str):
            raise TypeError(f"trusted must be a list of hosts, such as ['example.com'], not the text {self.trusted!r}")
        if self.proxies < 0:
            raise ValueError(f"proxies must be 0 or more, not {self.proxies!r}")

    def base_url(self, scheme: str, host: str | None, root: str, header: Callable[[str], str | None]) -> str:
        """Make the URL of the application from what a request says.

        :param scheme: ``'http'`` or ``'https'``
        :param host: the ``Host`` header, or the server's name and port
        :param root: the path that the application is at, quoted, no slash at its end
        :param header: looks a header up by its name in lower case
        :returns: a URL, or only a path when the host is not trusted

        >>> Hosts().base_url("https", "example.com", "/app", {}.get)
        'https://example.com/app/'
        >>> Hosts(trusted=["example.com"]).base_url("https", "evil.com", "/app", {}.get)
        '/app/'
        """
        if self.proxies:
            forwarded_scheme = self._forwarded(header("x-forwarded-proto"))
            scheme = forwarded_scheme if forwarded_scheme in _DEFAULT_PORTS else scheme
            host = self._forwarded(header("x-forwarded-host")) or host
            prefix = self._forwarded(header("x-forwarded-prefix"))
            root = prefix.rstrip("/") if prefix and _PREFIX.fullmatch(prefix.rstrip("/")) else root
        if not host or not _HOST.fullmatch(host) or not self._trusts(host):
            return f"{root}/"
        return f"{scheme}://{host}{root}/"

    def _trusts(self, host: str) -> bool:
        if not self.trusted:
            return self.trusted is None
        from werkzeug.sansio.utils import host_is_trusted  # which a program that makes URLs, and serves none, lacks

        return host_is_trusted(host, self.trusted)

    def _forwarded(self, value: str | None) -> str | None:
        # Each proxy appends what it was asked for, so that the application's own proxies are the last ones.
        values = value.split(",") if value else []
        return values[-self.proxies].strip() if len(values) >= self.proxies else None


#: Any host, and no proxy.
ANY_HOST: Final = Hosts()


def server_host(scheme: str, name: str, port: str | int | None) -> str:
    """Make a host of a server's name and port, for a request that has no ``Host`` header (HTTP/1.0).

    :param scheme: ``'http'`` or ``'https'``
    :param name: the server's name or address
    :param port: its port
    :returns: the host, without the port that the scheme implies

    >>> server_host("http", "localhost", "8000"), server_host("https", "example.com", 443)
    ('localhost:8000', 'example.com')
    """
    if ":" in name and name[0] != "[":
        name = f"[{name}]"
    return name if port is None or str(port) == _DEFAULT_PORTS.get(scheme) else f"{name}:{port}"


def quote_root(path: str | bytes) -> str:
    """Quote the path that an application is at.

    :param path: the path as the server has unquoted it
    :returns: the path, no slash at its end
    """
    quoted = quote(path).rstrip("/")
    # A path that begins with two slashes would be a host.
    return quoted if quoted.startswith("/") and not quoted.startswith("//") else ""
