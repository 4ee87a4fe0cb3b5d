"""Stores that the application serves itself.

:class:`HttpExposedStore` puts any store behind the application's own URLs: one in memory, a private bucket, a store of
one's own.  :class:`~sqlalchemy_imageattach.stores.fs.HttpExposedFileSystemStore` does the same for a folder, and shares
:class:`HttpExposure` with it.  URLs are for the host of the request in which they are made; see
:mod:`sqlalchemy_imageattach.serving.hosts`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..naming import FileKey, url_path_of
from ..store import Store, StoredFile, check_store
from .layered import LayeredStore

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from ..serving.asgi import ASGIApplication, ImageServer
    from ..serving.hosts import Hosts
    from ..serving.resources import Source
    from ..serving.responses import Rules
    from ..serving.wsgi import ServerMiddleware
    from ..variants.variant import VariantUrls

__all__ = ("HttpExposedStore", "HttpExposure")


class HttpExposure:
    """What stores that the application serves have in common.

    :param prefix: what the paths of URLs begin with
    :param host_url_getter: returns the URL of the host, such as ``'https://example.com/'``, for every URL that is made
    :param cors: whether pages of other origins may read the images: true for any origin, or a list of them
    :param rules: how images are served, if not as browsers want it by default
    :param hosts: what to believe about the host of a request; by default any
    :param variants: makes variants of the images when they are first asked for
    :raises TypeError: when ``host_url_getter`` cannot be called
    """

    def __init__(
        self,
        prefix: str,
        host_url_getter: Callable[[], str] | None,
        cors: bool | Collection[str],
        rules: Rules | None,
        hosts: Hosts | None,
        variants: VariantUrls | None,
    ) -> None:
        if host_url_getter is not None and not callable(host_url_getter):
            raise TypeError(f"host_url_getter must be callable, not {host_url_getter!r}")
        #: What the paths of URLs begin with, without slashes around it.
        self.prefix = prefix.strip("/")
        self.host_url_getter = host_url_getter
        self.cors = cors
        if rules is not None or cors:
            self.rules = _with_cors(rules, cors)
        if hosts is not None:
            self.hosts = hosts
        self.variants: object | None = variants

    @property
    def base_url(self) -> str:
        """What URLs begin with: ``host_url_getter`` has the first say, then the current request; without both it is a
        path, which is right in the pages of the application, and nowhere else (a mail, for one).
        """
        if self.host_url_getter is None:
            from ..serving.hosts import current_base_url

            host_url = current_base_url()
        else:
            host_url = self.host_url_getter()
        return f"{host_url.rstrip('/')}/{quote(self.prefix)}/" if self.prefix else f"{host_url.rstrip('/')}/"

    @cached_property
    def rules(self) -> Rules:
        """How images are served."""
        return _with_cors(None, False)

    @cached_property
    def hosts(self) -> Hosts:
        """What to believe about the host of a request."""
        from ..serving.hosts import ANY_HOST

        return ANY_HOST

    def asgi_middleware(self, app: ASGIApplication | None = None) -> ImageServer:
        """Make an ASGI application that serves the images, and leaves all other requests to another one.

        :param app: the other application; without, all other requests are answered with 404
        :returns: the application
        """
        from ..serving.asgi import ImageServer

        return ImageServer(app, self.prefix, self.source(), rules=self.rules, hosts=self.hosts)

    def source(self) -> Source:
        """Find where the files are that are served.

        :returns: the place
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement source()")

    def rules_with(self, cors: bool | Collection[str]) -> Rules:
        """Make the rules of one middleware.

        :param cors: whether pages of other origins may read the images, in addition to what the store's rules say
        :returns: the rules
        """
        return _with_cors(self.rules, cors) if cors else self.rules


def _with_cors(rules: Rules | None, cors: bool | Collection[str]) -> Rules:
    from ..serving.responses import DEFAULT_RULES

    rules = rules or DEFAULT_RULES
    return replace(rules, cors=cors) if cors else rules


class HttpExposedStore(HttpExposure, LayeredStore):
    """Any store, served by the application.

    :param store: where the files are
    :param prefix: what the paths of URLs begin with
    :param host_url_getter: returns the URL of the host, such as ``'https://example.com/'``, for every URL that is made
    :param cors: whether pages of other origins may read the images: true for any origin, or a list of them
    :param rules: how images are served; ``Rules(redirect=True)`` sends browsers to the store's own URLs
    :param hosts: what to believe about the host of a request; by default any
    :param variants: makes variants of the images when they are first asked for
    :raises TypeError: when ``host_url_getter`` cannot be called
    :raises ValueError: when the store takes no revision, and so cannot tell variants from originals

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> store = HttpExposedStore(MemoryStore(), 'images/')
    >>> store.get_url('user-picture', 1, 640, 480, 'image/png')
    '/images/user-picture/1/0/1.640x480.png'
    """

    def __init__(
        self,
        store: Store,
        prefix: str = "__images__",
        host_url_getter: Callable[[], str] | None = None,
        cors: bool | Collection[str] = False,
        *,
        rules: Rules | None = None,
        hosts: Hosts | None = None,
        variants: VariantUrls | None = None,
    ) -> None:
        check_store("store", store)
        if variants is not None and not store.takes_revision():
            raise ValueError(f"expected a store whose methods take revision, which variants need, got {store!r}")
        super().__init__(prefix, host_url_getter, cors, rules, hosts, variants)
        self.wrapped = store

    def wsgi_middleware(self, app: WSGIApplication, cors: bool | Collection[str] = False) -> ServerMiddleware:
        """Make a WSGI application that serves the images, and leaves all other requests to another one.

        :param app: the other application
        :param cors: whether pages of other origins may read the images; by default what the store's ``cors`` says
        :returns: the application
        """
        from ..serving.wsgi import ServerMiddleware

        return ServerMiddleware(app, self.prefix, self.source(), rules=self.rules_with(cors), hosts=self.hosts)

    def source(self) -> Source:
        from ..serving.resources import Stored
        from ..variants.maker import with_variants

        return with_variants(Stored(self.wrapped), self)

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        return self.wrapped.list_variants(original)

    def delete_variants(self, original: FileKey) -> None:
        self.wrapped.delete_variants(original)

    def rename_key(self, former: FileKey, key: FileKey) -> None:
        self.wrapped.rename_key(former, key)

    def alone(self, key: FileKey) -> AbstractContextManager[None]:
        return self.wrapped.alone(key)

    def spool_folder(self) -> str | None:
        return self.wrapped.spool_folder()

    def now(self) -> datetime.datetime:
        return self.wrapped.now()

    @property
    def workers(self) -> int:  # type: ignore[override]  # set it on the store that does the work
        return self.wrapped.workers

    def store_of(self, key: FileKey) -> Store:
        return self.wrapped

    def takes_revision(self) -> bool:
        return super().takes_revision() and self.wrapped.takes_revision()

    def takes_type(self, mimetype: str) -> bool:
        return super().takes_type(mimetype) and self.wrapped.takes_type(mimetype)

    def url(self, key: FileKey) -> str:
        return self.base_url + url_path_of(key)

    def list_files(self) -> Iterator[StoredFile]:
        return self.wrapped.list_files()

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.wrapped!r}, {self.prefix!r})"
