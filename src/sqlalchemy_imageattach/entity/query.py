"""A query of images that is also the collection that an attribute loads into.

``user.picture`` is one object in two modes:

- *attached*: SQLAlchemy made it as the collection of an attribute.  What it holds is read from memory, so every loader
  option works, and nothing is asked of the database once it is loaded;
- *plain*: an ordinary query, ``ImageSet([UserPicture], session)``, or what ``filter_by()`` and its like make of either.

An attached one turns into a query only when it is asked for something that a query does, and ``_generate()`` is the
one way from the first mode to the second.  A set that was expired, and that the caller still holds, goes on as the
collection that the attribute has now.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import inspect
from sqlalchemy.engine.result import IteratorResult, ScalarResult, SimpleResultMetaData
from sqlalchemy.orm import Query, RelationshipProperty, object_session
from sqlalchemy.orm.collections import collection
from sqlalchemy.orm.exc import DetachedInstanceError

from ..transactions.pending import attachment_of
from ..transactions.place import are_of
from .image import Image

__all__ = ("BaseImageQuery",)

I = TypeVar("I", bound="Image")  # noqa: E741

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _typed(decorator: Any) -> Callable[[_Method], _Method]:
    """One of SQLAlchemy's decorators, which have no types."""
    typed: Callable[[_Method], _Method] = decorator
    return typed


#: What :class:`~sqlalchemy.orm.Query` keeps in its instances, and reads without going through ``_generate()``.
_QUERY_STATE = ("_raw_columns", "_where_criteria", "_order_by_clauses", "session")


class BaseImageQuery(Query[I]):
    """A :class:`~sqlalchemy.orm.Query` of images, which is also the collection of an attribute.

    :param entities: the image class; without it, an empty collection
    :param session: the session to query
    """

    __emulates__ = list

    #: The images in memory; ``None`` in a plain query.
    _members: list[I] | None = None
    #: What a subclass keeps to find them; it goes when one is removed, and has to notice by itself when one is added.
    _index: Any = None
    #: The entity, and the name of its attribute, that SQLAlchemy made this the collection of.
    _owner: Any = None
    _name: str = ""
    _sa_adapter: Any = None

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

        def __setattr__(self, name: str, value: Any) -> None:
            # The adapter knows the owner but weakly. `session.get(User, 1).picture` has nobody else to keep it alive.
            if name == "_sa_adapter":
                self.__dict__.update(_owner=value.owner_state.obj(), _name=value._key)
            super().__setattr__(name, value)

    # The collection.

    @_typed(collection.appender)
    def append(self, image: I) -> None:
        """Add an image to the attribute; mostly :meth:`~.BaseImageSet.from_file` does that.

        :param image: an image
        """
        assert self._members is not None
        self._members.append(image)
        attachment = attachment_of(image)
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

    @_typed(collection.iterator)
    def _iterate(self) -> Iterator[I]:
        assert self._members is not None
        return iter(self._members)

    def __iter__(self) -> Iterator[I]:
        if self._members is None:
            return super().__iter__()
        return iter(list(self._images()))

    def __len__(self) -> int:
        if self._members is None:
            raise TypeError("a query has no length before it ran; call count()")
        return len(self._images())

    def __contains__(self, image: object) -> bool:
        return any(member is image for member in self)

    def __bool__(self) -> bool:
        if self._members is not None:
            return bool(self._images())
        return self.count() > 0

    # The query.

    def count(self) -> int:
        """Count the images.

        :returns: how many there are
        """
        return super().count() if self._members is None else len(self._images())

    def first(self) -> I | None:
        """The first image, in the attribute's order.

        :returns: the image, or ``None``
        """
        if self._members is None:
            return super().first()
        return next(iter(self), None)

    def _iter(self) -> Any:
        if self._members is None:
            return super()._iter()
        rows = ((image,) for image in list(self._images()))
        result: ScalarResult[I] = IteratorResult(SimpleResultMetaData(["image"]), rows).scalars()
        return result

    def _statement_20(self, *args: Any, **kwargs: Any) -> Any:
        if self._members is None:
            return super()._statement_20(*args, **kwargs)
        return self._generate()._statement_20(*args, **kwargs)

    def _generate(self) -> Any:
        if self._members is None:
            return super()._generate()
        owner, relationship = self._current()._place()
        session = object_session(owner)
        if session is None:
            raise DetachedInstanceError(
                f"expected the {type(owner).__name__} to be in a session, for {relationship.key} to be queried; "
                "add it to one, or use what is loaded: iterate, original, find_thumbnail()"
            )
        query = type(self)(relationship.mapper, session).filter(are_of(owner, relationship))
        return query.order_by(*relationship.order_by) if relationship.order_by else query

    def _images(self) -> list[I]:
        """The images: those in memory, or what the query finds."""
        if self._members is None:
            return list(self)
        members = self._current()._members
        assert members is not None
        return members

    def _matching(self, **values: Any) -> list[I]:
        """The images that have these values: looked for in memory, or else by the database."""
        # A dynamic relationship's query has a session as soon as its owner has a row.
        if self._members is None and self.session is not None:
            return list(self.filter_by(**values))
        # A copy, since what is looked at may have to be loaded, and may load others.
        among = list(self._among(values))
        return [image for image in among if all(getattr(image, name) == value for name, value in values.items())]

    def _among(self, values: Mapping[str, Any]) -> Sequence[I]:
        """Images in memory, all those with these values among them."""
        return self._images()

    def _current(self) -> BaseImageQuery[I]:
        """The collection that the attribute has now, in place of one that was expired or replaced."""
        if self._owner is None or not (self._sa_adapter is None or self._sa_adapter.invalidated):
            return self
        current: BaseImageQuery[I] = getattr(self._owner, self._name)
        return current

    def _place(self) -> tuple[Any, RelationshipProperty[Any]]:
        """The entity and the relationship that the images belong to.

        :raises TypeError: when this is a plain query
        """
        owner, name = self._owner, self._name
        if owner is None:
            # A dynamic relationship's query has `instance` and `attr`.
            owner, name = getattr(self, "instance", None), getattr(getattr(self, "attr", None), "key", "")
        if owner is None:
            raise TypeError("expected the attribute of an entity, such as user.picture, and not a query made of it")
        return owner, inspect(owner).mapper.relationships[name]


def _delegated(name: str) -> property:
    def get(self: BaseImageQuery[Any]) -> Any:
        if self._members is not None:
            return getattr(self._generate(), name)
        try:
            return self.__dict__[name]
        except KeyError:
            return getattr(Query, name)

    def set_(self: BaseImageQuery[Any], value: Any) -> None:
        self.__dict__[name] = value

    return property(get, set_)


for _name in _QUERY_STATE:
    setattr(BaseImageQuery, _name, _delegated(_name))
