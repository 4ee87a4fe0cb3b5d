"""Flask: the store comes from the configuration, and is there wherever an application context is.

::

    app = Flask(__name__)
    app.config["IMAGEATTACH_STORE"] = "file:///var/local/yourapp/images"
    ImageAttach(app)

The store is the current one from the push of an application context to its pop: in requests, in commands, in
``with app.app_context()``, and in Flask-SQLAlchemy's sessions, which live no longer than that.  It must always be true
that

- each push is undone by its own pop, whatever a hook of the application's has answered or raised in between;
- an application that is made twice, as in tests, has a store each time, and neither sees the other's;
- what browsers cannot reach by itself, a folder or a store in memory, the application serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from sqlalchemy.exc import NoResultFound

from ..bulk.arguments import image_mappers
from ..context import pop_store_context, push_store_context
from ..entity import BaseImageSet, policy_of
from ..exc import MissingDependencyError
from ..store import Store
from ..stores.http import HttpExposedStore, HttpExposure
from ..stores.memory import MemoryStore
from ..stores.url import store_from_url

try:
    import click
    from flask import Flask, current_app, has_request_context, request
    from flask.signals import appcontext_popped, appcontext_pushed

    from ..cli.arguments import GivenStore, Models
    from ..cli.commands import group
    from ..cli.report import Ended
except ImportError:
    raise MissingDependencyError("Flask needs an extra: pip install 'SQLAlchemy-ImageAttach[flask]'") from None

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ("ImageAttach", "thumbnail")


class ImageAttach:
    """Give a Flask application its store.

    :param app: the application; without, call :meth:`init_app`
    :param store: the store; by default the one that the application's configuration names as ``IMAGEATTACH_STORE``, a
        store or the URL of one (:func:`.store_from_url`)
    :raises RuntimeError: when there is no store, and when the application has one already
    :raises ValueError: when the URL is none of a store

    >>> app = Flask("yourapp")
    >>> app.config["IMAGEATTACH_STORE"] = "memory://"
    >>> images = ImageAttach(app)
    >>> with app.app_context():
    ...     images.store
    HttpExposedStore(MemoryStore('memory:///'), '__images__')
    """

    def __init__(self, app: Flask | None = None, store: Store | None = None) -> None:
        self._store = store
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give an application its store: for applications that a function makes.

        :param app: the application, with its configuration
        :raises RuntimeError: when there is no store, and when the application has one already
        :raises ValueError: when the URL is none of a store
        """
        if "imageattach" in app.extensions:
            raise RuntimeError(f"expected an application without a store, and {app.name!r} has been given one before")
        store = _exposed(app.config.get("IMAGEATTACH_STORE") if self._store is None else self._store)
        app.extensions["imageattach"] = attached = _Attached(store)
        # Signals hold these weakly, and so they are gone with the application.
        appcontext_pushed.connect(attached.push, app)
        appcontext_popped.connect(attached.pop, app)
        middleware: Callable[[WSGIApplication], WSGIApplication] | None = getattr(store, "wsgi_middleware", None)
        if middleware is not None:
            app.wsgi_app = middleware(app.wsgi_app)  # type: ignore[assignment,method-assign]
        app.jinja_env.globals.setdefault("thumbnail", thumbnail)
        app.jinja_env.globals.setdefault("accept", accept)
        app.cli.add_command(_Commands(app, store))

    @property
    def store(self) -> Store:
        """The store of the current application."""
        store: Store = current_app.extensions["imageattach"].store
        return store


def thumbnail(images: BaseImageSet[Any], width: int | None = None, height: int | None = None, **attributes: Any) -> str:
    """Show an image of a size, if that has been made, and else the original; in templates it is there as a global.

    :param images: an image set, such as ``user.picture``
    :param width: pixels
    :param height: pixels
    :param attributes: HTML attributes, such as ``alt``
    :returns: an ``<img>`` element; nothing when there is no image

    >>> from flask import render_template_string
    >>> app = Flask("yourapp")
    >>> _ = ImageAttach(app, store)
    >>> with app.app_context():
    ...     _ = user.picture.from_file(photograph), user.picture.generate_thumbnail(width=150)
    ...     session.flush()
    ...     print(render_template_string("{{ thumbnail(user.picture, width=150, alt='A cat') }}", user=user))
    <img src="..." width="150" height="113" alt="A cat" loading="lazy" decoding="async">
    """
    try:
        shown = images.find_thumbnail(width, height)
    except NoResultFound:
        shown = images.original
    return Markup() if shown is None else shown.img(**attributes)


def accept(attribute: Any) -> str:
    """Tell a file chooser which types an attribute accepts; in templates it is there as a global.

    :param attribute: the attribute, such as ``User.picture``
    :returns: the value for ``<input type="file" accept=...>``
    """
    return policy_of(attribute).accept


class _Attached:
    """What one application has."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def push(self, app: Flask, **_: Any) -> None:
        push_store_context(self.store)

    def pop(self, app: Flask, **_: Any) -> None:
        pop_store_context()


def _exposed(configured: Any) -> Store:
    """The store of a configuration, with URLs that the application answers where nothing else does."""
    if isinstance(configured, Store):
        return configured
    if not isinstance(configured, str) or not configured:
        raise RuntimeError(
            "expected a store, or the URL of one, as IMAGEATTACH_STORE in the configuration, got"
            f" {configured!r}; set it to one such as 'file:///var/local/yourapp/images'"
        )
    store = store_from_url(configured)
    if isinstance(store, MemoryStore):
        store = HttpExposedStore(store)
    if isinstance(store, HttpExposure):
        # What Flask says knows of ProxyFix and TRUSTED_HOSTS, in whichever order the application is wrapped.
        store.host_url_getter = _url_root
    return store


def _url_root() -> str:
    return str(request.url_root) if has_request_context() else "/"


class _Commands(click.Group):
    """``flask images``: the commands of :mod:`sqlalchemy_imageattach.cli`, which know the application's store."""

    def __init__(self, app: Flask, store: Store) -> None:
        commands = {name: command for name, command in group.commands.items() if name != "demo"}
        super().__init__("images", commands, help="Operations on the images of the application.", epilog=group.epilog)
        self._app = app
        self._store = store

    def invoke(self, ctx: click.Context) -> None:
        ctx.with_resource(self._app.app_context())
        known: dict[str, Any] = {"store": GivenStore(self._store, repr(self._store))}
        database = self._app.extensions.get("sqlalchemy")
        mappers = [] if database is None else image_mappers(database.Model)
        # With several databases, and without a model, what is meant has to be said.
        if database is not None and mappers and len(database.engines) == 1:
            known |= {"models": Models(database.Model, mappers), "database": [database.engine.url]}
        ctx.default_map = dict.fromkeys(self.commands, known)
        try:
            status = super().invoke(ctx)
        except Ended as ended:
            status = ended.status
        ctx.exit(status)
