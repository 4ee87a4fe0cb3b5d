"""The mixin that makes an entity an image: its columns, its name for stores, and what can be asked of it.

It knows neither image sets nor the events of sessions, so that everything above may import it.
"""

from __future__ import annotations

import datetime
import sys
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from markupsafe import Markup
from sqlalchemy import DATETIME, Boolean, Column, DateTime, Integer, String, inspect, tuple_
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Mapper, object_session
from sqlalchemy.orm.attributes import instance_state

from ..concurrency import call, run
from ..context import current_store
from ..naming import FileKey
from ..store import Store
from ..transactions.pending import ATTRIBUTE, pending_file_of
from ..transactions.which_store import find_store
from ..variants.html import img
from .sqlalchemy_internals import is_flushing
from .variants import WithVariants

__all__ = ("Image",)


#: What an image without a description of its own, further down the page, should have.
_IMG_ATTRIBUTES = {"alt": "", "loading": "lazy", "decoding": "async"}

# The key in the ``info`` that SQLAlchemy keeps for each class, of the names of its identity attributes.
_IDENTITY_KEY = "image_identity_attributes"
# And of whether columns, and nothing else, say what an image of the class is.
_PLAIN_KEY = "image_has_plain_columns"


class _DateTimeOfMySQL(DATETIME):
    """``sqlalchemy.dialects.mysql.DATETIME(fsp=6)``, which is what the compiler and migrations take it for.

    That dialect is a third of what SQLAlchemy has to load, and most applications use another.
    """

    __module__ = "sqlalchemy.dialects.mysql.types"
    fsp = 6

    def __repr__(self) -> str:
        return "DATETIME(fsp=6)"

    def __reduce__(self) -> Any:
        from sqlalchemy.dialects import mysql

        return mysql.DATETIME, (False, self.fsp)


# URLs are made of it: within one second, and before and after a commit.  MySQL and MariaDB would keep whole seconds.
_DATE_TIME = DateTime(timezone=True).with_variant(_DateTimeOfMySQL(), "mysql", "mariadb")


class _ObjectType:
    """``Image.object_type``: of the class and of its instances, and overridden by a plain attribute."""

    def __get__(self, image: Any, cls: type[Any]) -> str:
        name = getattr(cls, "__tablename__", None)
        if name is None:
            table = getattr(cls, "__table__", None)
            if table is None:
                raise NotImplementedError(f"expected {cls.__name__} to have a table, or an object_type of its own")
            name = table.name
        return _hyphenated(str(name))


@lru_cache(1024)
def _hyphenated(name: str) -> str:
    return sys.intern(name.replace("_", "-"))


def _now() -> datetime.datetime:
    # A plain function: tools that read models, such as DTOs and admin forms, call what is not one, or refuse it.
    return datetime.datetime.now(datetime.UTC)


class Image(WithVariants):
    """A mixin for entities that are images: one row, one file, of one size.

    Columns that it adds: ``width`` and ``height`` (pixels; part of the primary key), ``mimetype``, ``original``,
    ``created_at`` and ``revision``.
    """

    if TYPE_CHECKING:
        #: The width in pixels, as a browser shows it.
        width: Mapped[int]
        #: The height in pixels, as a browser shows it.
        height: Mapped[int]
        #: The type, such as ``'image/jpeg'``.
        mimetype: Mapped[str]
        #: Whether it is an original, and not a thumbnail.
        original: Mapped[bool]
        #: When it was attached, in UTC; some databases do not keep the time zone.
        created_at: Mapped[datetime.datetime]
        #: What makes the name of its file its own; ``None`` for files that the original library stored.
        revision: Mapped[str | None]
        #: What stores call images of this class: by default the table's name, with hyphens for underscores.
        object_type: str
    else:
        # Not annotated with Mapped[]: a mixin of models with dataclass fields must not have any.
        width = Column("width", Integer, primary_key=True, autoincrement=False)
        height = Column("height", Integer, primary_key=True, autoincrement=False)
        mimetype = Column("mimetype", String(255), nullable=False)
        original = Column("original", Boolean, nullable=False, default=False)
        created_at = Column("created_at", _DATE_TIME, nullable=False, default=_now)
        revision = Column("revision", String(16), nullable=True)
        object_type = _ObjectType()

    @property
    def object_id(self) -> int:
        """The number that stores know the image by: its key, when that is one integer or :class:`~uuid.UUID`.

        A model with another key overrides it, by anything that makes a different integer of each key.

        :raises NotImplementedError: when the key is neither, or is composite
        :raises ValueError: when the key is not known yet
        """
        names = self._identity_names()
        if len(names) == 1:
            loaded: object = self.__dict__.get(names[0])
            if type(loaded) is int:
                return loaded
            if self._unknown_keys():
                raise self._tell_of_unknown_keys()
            value = getattr(self, names[0])
            if isinstance(value, uuid.UUID):
                return value.int
            if isinstance(value, int):
                return value
        raise NotImplementedError(
            f"expected {type(self).__name__} to have an object_id property that makes an integer of "
            f"{', '.join(names)}: only a single key that is an integer or a UUID has one by default"
        )

    @classmethod
    def identity_attributes(cls) -> list[str]:
        """The names of the attributes that make up the primary key, without width and height.

        :returns: attribute names
        """
        mapper: Mapper[Any] = inspect(cls)
        names: tuple[str, ...] | None = mapper.class_manager.info.get(_IDENTITY_KEY)
        if names is None:
            keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
            names = tuple(key for key in keys if key not in ("width", "height"))
            mapper.class_manager.info[_IDENTITY_KEY] = names
        return list(names)

    @property
    def identity_map(self) -> dict[str, Any]:
        """The values of :meth:`identity_attributes`, by name."""
        return {name: getattr(self, name) for name in self.identity_attributes()}

    if TYPE_CHECKING:
        #: Width and height, in pixels; in SQL, a tuple of the columns.
        size: tuple[int, int]
    else:

        @hybrid_property
        def size(self) -> tuple[int, int]:
            return self.width, self.height

        @size.inplace.setter
        def _size_setter(self, size: tuple[int, int]) -> None:
            self.width, self.height = size

        @size.inplace.expression
        @classmethod
        def _size_expression(cls) -> Any:
            return tuple_(cls.width, cls.height)

    def open_file(self, store: Store = current_store, use_seek: bool = False) -> IO[bytes]:
        """Open the image's file.

        :param store: the store that has it; by default the current one, else the one that it was attached with
        :param use_seek: whether the file has to be seekable; it may be spooled for that
        :returns: a readable binary file, which the caller closes; also a context manager
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have it
        :raises ContextError: when there is no store

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> with user.picture.original.open_file() as file:
        ...     file.read(2).hex()
        'ffd8'
        """
        store = find_store(store, self)
        attachment = pending_file_of(self)
        if attachment is not None and attachment.is_pending and attachment.store is store:
            return attachment.open()
        return call(store.open, self, use_seek)  # pyright: ignore[reportArgumentType]

    def make_blob(self, store: Store = current_store) -> bytes:
        """Read the image's bytes.

        :param store: the store that has it; by default the current one, else the one that it was attached with
        :returns: its bytes
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have it
        :raises ContextError: when there is no store

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> user.picture.original.make_blob(store)[:2].hex()
        'ffd8'
        """
        with self.open_file(store) as file:
            return call(file.read)

    async def amake_blob(self, store: Store = current_store) -> bytes:
        """Await :meth:`make_blob`."""
        return await run(self.make_blob, store)

    def locate(self, store: Store = current_store) -> str:
        """The image's URL.  No store is asked for it, nor the database.

        :param store: the store that has it; by default the current one, else the one that it was attached with
        :returns: the URL
        :raises ContextError: when there is no store
        :raises ValueError: when the key is not known yet, since the row is not flushed
        """
        store = find_store(store, self)
        loaded, unknown = self.__dict__, None
        for name in self._identity_names():
            # What is loaded is known, and pages ask thousands.
            if loaded.get(name) is None:
                unknown = self._unknown_keys()
                break
        try:
            return store.locate(self)  # pyright: ignore[reportArgumentType]
        except TypeError as error:
            if not unknown:
                raise
            # An object_id of the model's own need not reckon with a key that is None.
            raise self._tell_of_unknown_keys() from error

    def img(self, **attributes: Any) -> Markup:
        """The image as an ``<img>`` element, loaded lazily and with its size, for templates.

        :param attributes: HTML attributes, such as ``alt``; one named like a Python keyword with ``_`` behind it
        :returns: the element, escaped
        :raises ContextError: when there is no store

        >>> with store_context(store):
        ...     _ = user.picture.from_file(photograph)
        ...     session.flush()
        ...     print(user.picture.img(alt="A cat", class_="round"))
        <img src="..." width="640" height="480" alt="A cat" loading="lazy" decoding="async" class="round">
        """
        store = attributes.pop("store", current_store)
        return img(self.locate(store), self.width, self.height, **_IMG_ATTRIBUTES | attributes)

    def __html__(self) -> str:
        return Markup('<img src="{}" width="{}" height="{}">').format(self.locate(), self.width, self.height)

    def image_of_variants(self) -> Any:
        return self

    def __repr__(self) -> str:
        state, loaded = inspect(self), self.__dict__
        key = ", ".join(str(loaded.get(name)) for name in self.identity_attributes())
        size = f"{loaded['width']}x{loaded['height']}" if {"width", "height"} <= loaded.keys() else "of unknown size"
        kind = {True: " original", False: " thumbnail", None: ""}[loaded.get("original")]
        names = ("transient", "pending", "persistent", "deleted", "detached")
        return f"<{type(self).__name__} {key} {size}{kind}, {next(name for name in names if getattr(state, name))}>"

    def __getstate__(self) -> dict[str, Any]:
        # Bytes that are not committed yet stay here.
        return {name: value for name, value in self.__dict__.items() if name != ATTRIBUTE}

    def __file_key__(self) -> FileKey | None:
        """The key of its file, where columns say all of it and are loaded: their state is read, and none is asked."""
        loaded, manager = self.__dict__, instance_state(self).manager
        try:
            width, height = loaded["width"], loaded["height"]
            mimetype, revision = loaded["mimetype"], loaded["revision"]
            is_plain = manager.info[_PLAIN_KEY]
        except KeyError:
            if _PLAIN_KEY not in manager.info:
                # A class may say by something else than a column what an image is.
                manager.info[_PLAIN_KEY] = all(
                    isinstance(getattr(type(self), name), InstrumentedAttribute)
                    for name in ("width", "height", "mimetype", "revision")
                )
            return None
        object_id = self.object_id
        if not is_plain or not (type(width) is type(height) is type(object_id) is int and type(mimetype) is str):
            return None
        if revision is None or type(revision) is str:
            return FileKey(self.object_type, object_id, width, height, mimetype, revision)
        return None

    def _identity_names(self) -> Sequence[str]:
        """What :meth:`identity_attributes` returns, found without a look at the mapper."""
        names: Sequence[str] | None = instance_state(self).manager.info.get(_IDENTITY_KEY)
        return self.identity_attributes() if names is None else names

    def _unknown_keys(self) -> list[str]:
        """The keys that are not known yet; a flush makes them known, and a query would have flushed, too."""
        unknown = [name for name in self.identity_attributes() if getattr(self, name) is None]
        session = object_session(self) if unknown else None
        if session is None or not session.autoflush or is_flushing(session):
            return unknown
        session.flush()
        return [name for name in unknown if getattr(self, name) is None]

    def _tell_of_unknown_keys(self) -> ValueError:
        return ValueError(
            f"{type(self).__name__}.{', '.join(self._unknown_keys())} is not known yet, and the URL and the file's "
            "name are made of it: add the entity to a session and flush() it first"
        )
