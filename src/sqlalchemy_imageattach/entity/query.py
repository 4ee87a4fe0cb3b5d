"""A query of images that is also the collection that an attribute loads into.

``user.picture`` is one object in two modes:

- *attached*: SQLAlchemy made it as the collection of an attribute.  What it holds is read from memory, so every loader
  option works, and nothing is asked of the database once it is loaded;
- *plain*: an ordinary query, ``ImageSet([UserPicture], session)``, or what ``filter_by()`` and its like make of either.

An attached one turns into a query only when it is asked for something that a query does, and :func:`_as_query` is the
one way from the first mode to the second.  A set that was expired, and that the caller still holds, goes on as the
collection that the attribute has now.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import inspect, literal, select
from sqlalchemy.orm import Query, RelationshipProperty, object_session
from sqlalchemy.orm.collections import collection
from sqlalchemy.orm.exc import DetachedInstanceError

from ..concurrency import run
from ..transactions.pending import pending_file_of
from ..transactions.rows.instances import connection_for, image_table
from ..transactions.rows.place import are_of, known_keys
from .image import Image
from .key_index import KeyIndex, folded, key_names
from .removing import check_update, delete_at_once
from .sqlalchemy_internals import answer_from_memory, is_adapted

__all__ = ("BaseImageQuery", "as_stored", "current", "keys_of", "matching", "place_of")

#: From how many images on they are looked up by key, and not one by one.
_WORTH_AN_INDEX = 4

I = TypeVar("I", bound="Image")  # noqa: E741

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _typed(decorator: Any) -> Callable[[_Method], _Method]:
    """One of SQLAlchemy's decorators, which have no types."""
    typed: Callable[[_Method], _Method] = decorator
    return typed


class BaseImageQuery(Query[I]):
    """A :class:`~sqlalchemy.orm.Query` of images, which is also the collection of an attribute.

    :param entities: the image class; without it, an empty collection
    :param session: the session to query
    """

    __emulates__ = list

    #: The images in memory; ``None`` in a plain query.
    _members: list[I] | None = None
    #: Where they are looked up, once there are many; it goes when one is removed, and notices when one is added.
    _index: KeyIndex[I] | None = None
    #: The entity, and the name of its attribute, that SQLAlchemy made this the collection of.
    _owner: Any = None
    _name: str = ""

    def __init__(self, entities: Any = None, session: Any = None) -> None:
        if entities is None:
            self._members = []
        else:
            super().__init__(entities, session)

    if not TYPE_CHECKING:

        @classmethod
        def __class_getitem__(cls, item: Any) -> types.GenericAlias:
            # SQLAlchemy tells Mapped[ImageSet["UserPicture"]] by its origin, and takes typing's own alias for a scalar.
            return types.GenericAlias(cls, item)

    # The collection.

    @_typed(collection.appender)
    def append(self, image: I) -> None:
        """Add an image to the attribute; mostly :meth:`~.BaseImageSet.from_file` does that.

        :param image: an image
        """
        assert self._members is not None
        self._members.append(image)
        attachment = pending_file_of(image)
        if attachment is not None and attachment.place is not None and self._owner is not None:
            # An image that was attached to another entity replaces what this one has.
            attachment.place = attachment.place._replace(owner=self._owner)

    @_typed(collection.remover)
    def remove(self, image: I) -> None:
        """Take an image out of the attribute: its row is deleted, and after the commit its file.

        :param image: an image of the set
        :raises ValueError: when it is none
        """
        assert self._members is not None
        self._index = None
        # By identity: images of one owner that are dataclasses may be equal.
        for index, member in enumerate(self._members):
            if member is image:
                del self._members[index]
                return
        raise ValueError(f"expected an image of this set, and this {type(image).__name__} is none")

    @_typed(collection.internally_instrumented)
    def clear(self) -> None:
        """Remove all images of the attribute: their rows by the next flush, and after the commit their files."""
        assert self._members is not None
        for image in list(self._members):
            self.remove(image)

    @_typed(collection.iterator)
    def _iterate(self) -> Iterator[I]:
        assert self._members is not None
        return iter(self._members)

    def __iter__(self) -> Iterator[I]:
        if self._members is None:
            return super().__iter__()
        return iter(_in_memory(self) or ())

    def __len__(self) -> int:
        if self._members is None:
            raise TypeError("a query has no length before it ran; call count()")
        return len(_in_memory(self) or ())

    def __contains__(self, image: object) -> bool:
        return any(member is image for member in self)

    def __bool__(self) -> bool:
        if self._members is not None:
            return any(image.original for image in _in_memory(self) or ())
        if getattr(self, "instance", None) is None:
            return self.count() > 0
        # A dynamic attribute.  Thumbnails without an original are nothing that a page could show.
        return bool(matching(self, original=True))

    def __repr__(self) -> str:
        if self._owner is None:
            return f"<{type(self).__name__} query>" if self._members is None else f"<{type(self).__name__}>"
        identity = inspect(self._owner).identity
        key = "new" if identity is None else ", ".join(map(str, identity))
        sizes = ", ".join(_size_of(image) for image in self._members or ()) or "no image"
        return f"<{type(self._owner).__name__}.{self._name} of {key}: {sizes}>"

    def __str__(self) -> str:
        return super().__str__() if self._members is None else repr(self)

    # The query.

    def delete(self, synchronize_session: Any = "auto", delete_args: dict[Any, Any] | None = None) -> int:
        """Delete images at once, in the session's transaction: rows now, files after the commit.

        An original takes its thumbnails along.

        :param synchronize_session: taken as :meth:`sqlalchemy.orm.Query.delete` takes it; the session always knows
        :param delete_args: taken likewise
        :returns: how many images matched

        >>> _ = user.picture.from_file(photograph, store=store)
        >>> user.picture.delete()
        1
        >>> bool(user.picture)
        False
        """
        if self._members is None:
            session: Any = self.session
            return delete_at_once(session, list(self))
        images, owner = list(_in_memory(self) or ()), self._owner
        session = None if owner is None else object_session(owner)
        if session is None or any(image not in session for image in images):
            # What is not in a session has no row.
            current(self).clear()
            return len(images)
        return delete_at_once(session, images)

    async def adelete(self) -> int:
        """Await :meth:`delete`."""
        return await run(self.delete)

    def update(
        self,
        values: Any,
        synchronize_session: Any = "auto",
        update_args: dict[Any, Any] | None = None,
    ) -> int:
        """Update columns by SQL, as :meth:`sqlalchemy.orm.Query.update`; what files are named by is refused.

        :param values: values by attributes, columns or names
        :param synchronize_session: as SQLAlchemy takes it
        :param update_args: as SQLAlchemy takes it
        :returns: how many rows matched
        :raises ValueError: for a column that files are named by: a key, ``mimetype``, ``original`` or ``revision``, or
            what the class's own ``object_id`` or ``object_type`` reads
        """
        if self._members is not None:
            query: BaseImageQuery[I] = _as_query(self)
            return query.update(values, synchronize_session, update_args)
        check_update(inspect(self.column_descriptions[0]["entity"]), values)
        return super().update(values, synchronize_session, update_args)

    def count(self) -> int:
        """Count the images.

        :returns: how many there are
        """
        return super().count() if self._members is None else len(_in_memory(self) or ())

    def first(self) -> I | None:
        """The first image, in the attribute's order.

        :returns: the image, or ``None``
        """
        if self._members is None:
            return super().first()
        return next(iter(self), None)


def place_of(images: BaseImageQuery[Any]) -> tuple[Any, RelationshipProperty[Any]]:
    """Find the entity and the relationship that images belong to.

    :param images: the attribute of an entity
    :returns: the entity, and the relationship
    :raises TypeError: when this is a plain query
    """
    owner, name = images._owner, images._name
    if owner is None:
        # A dynamic relationship's query has `instance` and `attr`.
        owner, name = getattr(images, "instance", None), getattr(getattr(images, "attr", None), "key", "")
    if owner is None:
        raise TypeError("expected the attribute of an entity, such as user.picture, and not a query made of it")
    return owner, inspect(owner).mapper.relationships[name]


def keys_of(images: BaseImageQuery[Any]) -> tuple[list[str], dict[str, Any]]:
    """Find the key attributes of images, and those of them that their owner says.

    :param images: the attribute of an entity, or a query
    :returns: the names of all, and the values that are known, by name
    """
    try:
        owner, relationship = place_of(images)
    except TypeError:
        cls: Any = images.column_descriptions[0]["type"]
        return cls.identity_attributes(), {}
    return relationship.mapper.class_.identity_attributes(), known_keys(owner, relationship)


def current(images: BaseImageQuery[I]) -> BaseImageQuery[I]:
    """Find the collection that an attribute has now, in place of one that was expired or replaced.

    :param images: a collection, or a query
    :returns: the collection of now, or the same query
    """
    if images._owner is None or is_adapted(images):
        return images
    now: BaseImageQuery[I] = getattr(images._owner, images._name)
    return now


def matching(images: BaseImageQuery[I], **values: Any) -> list[I]:
    """Find the images that have these values: in memory, or else by the database.

    :param images: the images
    :param values: values of attributes
    :returns: those that have them all
    """
    # A dynamic relationship's query has a session as soon as its owner has a row.
    if images._members is None and images.session is not None:
        return list(images.filter_by(**values))
    # A copy, since what is looked at may have to be loaded, and may load others.
    found, wanted = [], values.items()
    for image in list(_among(images, values)):
        for name, value in wanted:
            if getattr(image, name) != value:
                break
        else:
            found.append(image)
    return found


def as_stored(images: BaseImageQuery[I], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Spell keys as a loaded image has them that is the same to the database, where a column ignores case.

    :param images: the images of an attribute
    :param values: values of key attributes
    :returns: the values of that image; the same values, if there is none
    """
    texts = {name for name, value in values.items() if isinstance(value, str)}
    if not texts or images._members is None or not is_adapted(images):
        return values
    owner, relationship = place_of(images)
    session, mapper = object_session(owner), relationship.mapper
    if session is None:
        return values
    similar: dict[tuple[Any, ...], I] = {}
    for image in _among(images, values):
        key = tuple(getattr(image, name) for name in values)
        if key == tuple(values.values()):
            return values
        if tuple(map(folded, key)) == tuple(map(folded, values.values())) and inspect(image).persistent:
            similar.setdefault(key, image)
    for key, image in similar.items():
        identity = zip(mapper.primary_key, inspect(image).identity or (), strict=True)
        same = select(literal(1)).select_from(image_table(mapper))
        same = same.where(*(column == value for column, value in identity))
        same = same.where(*(mapper.columns[name] == values[name] for name in texts))
        if connection_for(session, mapper, image).execute(same).first() is not None:
            return dict(zip(values, key, strict=True))
    return values


def _among(images: BaseImageQuery[I], values: Mapping[str, Any]) -> Sequence[I]:
    """Images in memory, all those with these values among them."""
    home = current(images)
    members = home._members
    if members is None:
        return list(images)
    if len(members) < _WORTH_AN_INDEX:
        return members
    if home._index is None or not home._index.is_current:
        _, known = keys_of(home)
        names = key_names(place_of(home)[1].mapper) - set(known)
        home._index = KeyIndex(sorted(names), members)
    return home._index.find(values)


def _in_memory(images: BaseImageQuery[I]) -> list[I] | None:
    if images._members is None:
        return None
    members = current(images)._members
    assert members is not None
    return list(members)


def _as_query(images: BaseImageQuery[Any]) -> Any:
    owner, relationship = place_of(current(images))
    session = object_session(owner)
    if session is None:
        raise DetachedInstanceError(
            f"expected the {type(owner).__name__} to be in a session, for {relationship.key} to be queried; "
            "add it to one, or use what is loaded: iterate, original, find_thumbnail()"
        )
    query = type(images)(relationship.mapper, session).filter(are_of(owner, relationship))
    return query.order_by(*relationship.order_by) if relationship.order_by else query


def _size_of(image: Any) -> str:
    """The size of an image, and whether it is the original, without loading it."""
    loaded = image.__dict__
    size = f"{loaded['width']}x{loaded['height']}" if {"width", "height"} <= loaded.keys() else "expired"
    return f"{size} original" if loaded.get("original") else size


def _adopt(images: BaseImageQuery[Any], owner: Any, name: str) -> None:
    images._owner, images._name = owner, name


answer_from_memory(BaseImageQuery, _in_memory, _as_query, _adopt)
