"""What the options of a command name: models, a database, stores, a time.

It must always be true that

- what was given is checked as a whole before anything is done with it;
- errors do not quote a URL, and what others say of it is :func:`redacted <without_secrets>`.
"""

from __future__ import annotations

import datetime
import importlib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import click
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.orm import Mapper, Session

from ..bulk.arguments import image_mappers
from ..exc import MissingDependencyError
from ..store import Store
from ..stores.clouds.failures import redacted
from ..stores.fs import BaseFileSystemStore
from ..stores.url import store_from_url

__all__ = ("DATABASE", "DURATION", "MODELS", "STORE", "GivenStore", "Models", "must_exist", "opened", "without_secrets")

# Everything that may be a secret, of all URLs that were given to this process.
_secrets: set[str] = set()


def without_secrets(text: str) -> str:
    """Take out of a text what was given as a secret.

    :param text: what another part says
    :returns: the text, with asterisks
    """
    longest_first: list[str] = sorted(_secrets, key=len, reverse=True)
    return redacted(text, longest_first)


class Models(NamedTuple):
    """Image classes."""

    #: The declarative base.
    base: Any
    #: Of each hierarchy the topmost one.
    mappers: list[Mapper[Any]]

    def chosen(self, name: str | None) -> Any:
        """Choose the class of a name.

        :param name: as it is in Python; with its module where two are named alike; ``None`` for all classes
        :returns: the class, or the base
        :raises click.BadParameter: when there is no such image class, or more than one
        """
        if name is None:
            return self.base
        classes = [each.class_ for mapper in self.mappers for each in mapper.self_and_descendants]
        found = [cls for cls in classes if name in (cls.__name__, f"{cls.__module__}.{cls.__qualname__}")]
        if len(found) == 1:
            return found[0]
        known = ", ".join(sorted(f"{cls.__module__}.{cls.__qualname__}" if found else cls.__name__ for cls in classes))
        what = "is the name of several image classes" if found else "is no image class"
        raise click.BadParameter(f"{name!r} {what}; there are {known}", param_hint="'--class'")


class _Models(click.ParamType):  # type: ignore[type-arg]  # older ones are not generic
    name = "package.module:Base"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Models:
        if isinstance(value, Models):
            return value
        module_name, _, path = value.partition(":")
        if not module_name or not path:
            self.fail("expected the module and the name of a declarative base, such as shop.models:Base", param, ctx)
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        try:
            found: Any = importlib.import_module(module_name)
        except Exception as error:
            self.fail(f"importing {module_name} failed: {_described(error)}", param, ctx)
        for name in path.split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                self.fail(f"{module_name} has no {path}", param, ctx)
        try:
            mappers = image_mappers(found)
        except Exception as error:
            self.fail(f"{value}: {_described(error)}", param, ctx)
        if not mappers:
            self.fail(f"{value} has no image classes; name a module that imports them all", param, ctx)
        return Models(found, mappers)


class _Database(click.ParamType):  # type: ignore[type-arg]  # older ones are not generic
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> URL:
        if isinstance(value, URL):
            return value
        _note_secrets(value)
        try:
            url = make_url(value)
            dialect = url.get_dialect()
        except NoSuchModuleError:
            self.fail("there is no such dialect or driver; expected one such as postgresql+psycopg", param, ctx)
        except (ArgumentError, ValueError):  # the latter for what should be a port
            self.fail("expected a database's URL, such as postgresql+psycopg://user:password@host/name", param, ctx)
        if url.password is not None:
            _secrets.add(str(url.password))
        if dialect.is_async:
            self.fail(f"{url.drivername} is for asyncio; name another driver, such as postgresql+psycopg", param, ctx)
        is_file = dialect.name == "sqlite" and url.database and not url.database.startswith(("file:", ":"))
        # SQLite would make it, and it would be empty.
        if is_file and not Path(str(url.database)).is_file():
            self.fail(f"there is no file {url.database}", param, ctx)
        return url


class GivenStore(NamedTuple):
    """A store, and the URL that it was made of."""

    store: Store
    url: str


class _Store(click.ParamType):  # type: ignore[type-arg]  # older ones are not generic
    name = "store"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> GivenStore:
        if isinstance(value, GivenStore):
            return value
        _note_secrets(value)
        try:
            return GivenStore(store_from_url(value), value)
        except (ValueError, MissingDependencyError) as error:
            self.fail(without_secrets(str(error)), param, ctx)


class _Duration(click.ParamType):  # type: ignore[type-arg]  # older ones are not generic
    """A time, such as ``90s``, ``30m``, ``12h`` or ``2d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.timedelta:
        if isinstance(value, datetime.timedelta):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])|0", value)
        if found is None:
            self.fail("expected a number of seconds, minutes, hours or days, such as 90s, 30m, 12h or 2d", param, ctx)
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2] or "s"]
        return datetime.timedelta(**{unit: int(found[1] or 0)})


MODELS = _Models()
DATABASE = _Database()
STORE = _Store()
DURATION = _Duration()


def must_exist(given: GivenStore, name: str) -> Store:
    """Refuse the folder that is not there, which would have no file of any image.

    :param given: a store that is read
    :param name: what the argument is called
    :returns: the store
    :raises click.BadParameter: when it is a folder, and is not there
    """
    if isinstance(given.store, BaseFileSystemStore) and not Path(given.store.path).is_dir():
        raise click.BadParameter(f"there is no folder {given.store.path}", param_hint=f"'{name}'")
    return given.store


@contextmanager
def opened(databases: Sequence[URL]) -> Iterator[list[Session]]:
    """Open databases.

    :param databases: their URLs
    :returns: a context manager that gives a session of each
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_opened(database)) for database in databases]


@contextmanager
def _opened(database: URL) -> Iterator[Session]:
    try:
        engine = create_engine(database)
    except ImportError as error:
        raise click.BadParameter(
            f"{database.drivername} needs a driver that is not installed: {error}", param_hint="'--database'"
        ) from None
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def _note_secrets(url: str) -> None:
    # As any part of it may be misplaced: the user, the password, and the values of the query.
    authority = url.partition("://")[2].rpartition("@")[0]
    parts = [authority, *authority.split(":", 1)[1:]]
    try:
        query = urlsplit(url).query
    except ValueError:
        query = url.partition("?")[2]
    parts += [value for name, value in parse_qsl(query) if re.search("key|secret|token|password", name, re.IGNORECASE)]
    _secrets.update(part for each in parts for part in (each, unquote(each)) if part)


def _described(error: Exception) -> str:
    """An error of an application's code, in a line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return without_secrets(f"{type(error).__name__}: {error}{where}".replace("\n", " "))
