"""What a worker does with the tasks of :mod:`sqlalchemy_imageattach.tasks`; it knows nothing of Celery.

What a task says is JSON: names of classes and stores, keys of rows, sizes.  It must always be true that

- a task that is done again finds what was made, and makes the rest;
- a fault that may pass is raised, so that all of it is tried again; what does not pass, and what fails at the last try,
  is in the result, and keeps nothing else from being done;
- a request to stop is no fault of an image, and ends the task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import exc, inspect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.exc import StaleDataError

from ..audit import verify
from ..bulk.keys import KeyRange, class_name, key_from_json, key_to_json
from ..bulk.thumbnails import make_thumbnails
from ..concurrency import outcome_of
from ..context import current_store
from ..entity import Image
from ..entity.variants import prepare_presets
from ..exc import InvalidImageError
from ..migration import migrate_class
from ..naming import FileKey
from ..store import Store, check_store, is_missing
from ..transactions.which_store import find_store

__all__ = ("PASSING", "Operations", "passes")

logger = logging.getLogger("sqlalchemy_imageattach")

#: What may pass: a store or a database that is busy or unreachable, and another transaction that was there first.
PASSING = (
    OSError,
    exc.OperationalError,
    exc.InterfaceError,
    exc.IntegrityError,
    exc.TimeoutError,
    StaleDataError,
)


def passes(error: Exception) -> bool:
    """Tell whether a fault may pass, so that the same thing is worth another try.

    :param error: what was raised
    """
    if isinstance(error, InvalidImageError):
        return error.reason == "busy"
    return isinstance(error, PASSING) and not (isinstance(error, OSError) and is_missing(error))


class Operations:
    """What tasks do with an application's models, sessions and stores.

    :param declarative_base: the base of the image classes and of the entities that have images
    :param make_session: gives a new session when it is called
    :param stores: stores by their names
    :raises TypeError: when an argument is of another type
    """

    def __init__(self, declarative_base: Any, make_session: Callable[[], Session], stores: Mapping[str, Store]) -> None:
        if not callable(make_session):
            raise TypeError(f"expected a function such as a sessionmaker as make_session, got {make_session!r}")
        self._registry: Any = getattr(declarative_base, "registry", None)
        if self._registry is None:
            raise TypeError(f"expected a declarative base class as declarative_base, got {declarative_base!r}")
        self.base = declarative_base
        self.make_session = make_session
        self._stores = dict(stores)
        for name, store in self._stores.items():
            check_store(f"stores[{name!r}]", store)

    def store(self, name: str) -> Store:
        """Find a store by its name.

        :param name: the name
        :returns: the store
        :raises KeyError: when there is none of that name
        """
        try:
            return self._stores[name]
        except KeyError:
            known = ", ".join(self._stores) or "none"
            raise KeyError(f"expected the name of one of the stores of ImageTasks ({known}), got {name!r}") from None

    def knows(self, mapper: Mapper[Any]) -> bool:
        """Tell whether a class is one of the base's.

        :param mapper: its mapper
        """
        return mapper.registry is self._registry

    def name(self, mapper: Mapper[Any]) -> str:
        """Name a class, for :meth:`mapper`.

        :param mapper: its mapper
        :returns: the name
        :raises ValueError: when it is a class of another base
        """
        if not self.knows(mapper):
            raise ValueError(f"expected a class of {self.base!r}, for which these tasks are, got {mapper.class_!r}")
        return class_name(mapper)

    def mapper(self, name: str) -> Mapper[Any]:
        """Find a class by its name.

        :param name: the name
        :returns: its mapper
        :raises LookupError: when there is none of that name
        """
        for mapper in self._registry.mappers:
            if class_name(mapper) == name:
                found: Mapper[Any] = mapper
                return found
        raise LookupError(f"expected a class of {self.base!r}, got {name}; the sender has other models")

    def thumbnails(
        self,
        entity: str,
        key: Sequence[Any],
        attribute: str,
        image_set: Mapping[str, Any],
        sizes: Sequence[Mapping[str, Any]],
    ) -> list[list[int]]:
        """Make thumbnails of one image set.

        :param entity: the class of its entity
        :param key: the primary key of that
        :param attribute: the name of the attribute
        :param image_set: which of several image sets, by names of key attributes
        :param sizes: arguments of :meth:`~.BaseImageSet.generate_thumbnail`
        :returns: width and height of each, in pixels; none, when there is no original
        """
        mapper = self.mapper(entity)
        with self.make_session() as session:
            owner = session.get(mapper, key_from_json(mapper.primary_key, key))
            if owner is None:
                return []
            images = getattr(owner, attribute)
            if image_set:
                columns = [mapper.relationships[attribute].mapper.attrs[name].columns[0] for name in image_set]
                values = key_from_json(columns, list(image_set.values()))
                images = images.get_image_set(**dict(zip(image_set, values, strict=True)))
            made = []
            for size in sizes:
                if images.original is None:
                    return []
                made.append(list(images.generate_thumbnail(**size).size))
                # Its row is there, and others need not wait for the rest.
                session.commit()
        return made

    def variants(self, image_class: str, key: Sequence[Any], presets: Sequence[str]) -> list[list[int]]:
        """Make presets of an original.

        :param image_class: its class
        :param key: its primary key
        :param presets: names of presets
        :returns: width and height of each that was made, in pixels; none, when the original is gone
        """
        mapper = self.mapper(image_class)
        with self.make_session() as session:
            image: Any = session.get(mapper, key_from_json(mapper.primary_key, key))
            if image is None:
                return []
            # No connection is held while pictures are decoded.
            session.expunge(image)
            session.rollback()
            try:
                made = prepare_presets(image, find_store(current_store, image), presets)
            except OSError as error:
                # It was replaced meanwhile, and its variants would go with it.
                if is_missing(error):
                    return []
                raise
        return [list(variant.size) for variant in made]

    def make_thumbnails(
        self,
        is_last_try: bool,
        image_class: str,
        after: Sequence[Any] | None,
        upto: Sequence[Any] | None,
        store: str,
        **options: Any,
    ) -> dict[str, Any]:
        """Make the sizes that are missing of the originals of a range.

        :param is_last_try: whether faults that may pass are in the result instead of raised
        :param image_class: the class
        :param after: the key after which the range begins
        :param upto: the key up to which it goes
        :param store: the store
        :param options: for :func:`~.bulk.thumbnails.make_thumbnails`
        :returns: how many were made, and what failed
        """
        mapper, failures = self.mapper(image_class), _Failures(is_last_try)
        with self.make_session() as session:
            made = make_thumbnails(
                session,
                mapper.class_,
                self.store(store),
                keys=_range(mapper, after, upto),
                only_missing=True,
                on_error=failures.add,
                **options,
            )
            count = sum(len(each.thumbnails) + len(each.variants) for each in made)
        return {"made": count, "failed": failures.found}

    def migration(
        self,
        is_last_try: bool,
        image_class: str,
        after: Sequence[Any] | None,
        upto: Sequence[Any] | None,
        source: str,
        destination: str,
        **options: Any,
    ) -> dict[str, Any]:
        """Copy the files of a range that are not there yet.

        :param is_last_try: whether faults that may pass are in the result instead of raised
        :param image_class: the class
        :param after: the key after which the range begins
        :param upto: the key up to which it goes
        :param source: the store to copy from
        :param destination: the store to copy to
        :param options: for :func:`~.migration.migrate_class`
        :returns: how many were copied, and what failed
        """
        mapper, failures = self.mapper(image_class), _Failures(is_last_try)
        with self.make_session() as session:
            plan = migrate_class(
                session,
                mapper.class_,
                self.store(source),
                self.store(destination),
                keys=_range(mapper, after, upto),
                skip_existing=True,
                on_error=failures.add,
                **options,
            )
            count = sum(1 for _ in plan)
        return {"copied": count, "failed": failures.found}

    def audit(
        self, image_class: str, after: Sequence[Any] | None, upto: Sequence[Any] | None, store: str, **options: Any
    ) -> list[dict[str, Any]]:
        """Ask a store for the files of a range.

        :param image_class: the class
        :param after: the key after which the range begins
        :param upto: the key up to which it goes
        :param store: the store
        :param options: for :func:`~.audit.verify`
        :returns: what does not agree
        """
        mapper = self.mapper(image_class)
        found = []
        with self.make_session() as session:
            keys = _range(mapper, after, upto)
            for finding in verify(session, mapper.class_, self.store(store), keys=keys, **options):
                logger.warning("%s", finding, extra={"image_key": finding.key})
                assert finding.row is not None
                key = key_to_json(mapper.primary_key, finding.row[1])
                found.append({"kind": finding.kind, "reason": finding.reason, "key": key})
        return found


class _Failures:
    """What could not be done, as it is in a result."""

    def __init__(self, is_last_try: bool) -> None:
        self._is_last_try = is_last_try
        self.found: list[dict[str, Any]] = []

    def add(self, image: Image, error: Exception) -> None:
        if passes(error) and not self._is_last_try:
            raise error
        state: Any = inspect(image)
        key, _ = outcome_of(FileKey.of, image)  # pyright: ignore[reportArgumentType]
        logger.error("a task failed for %s", key or state.identity, exc_info=error, extra={"image_key": key})
        identity = key_to_json(state.mapper.primary_key, state.identity)
        self.found.append({"key": identity, "error": f"{type(error).__name__}: {error}"})


def _range(mapper: Mapper[Any], *bounds: Sequence[Any] | None) -> KeyRange:
    return KeyRange(*(None if bound is None else key_from_json(mapper.primary_key, bound) for bound in bounds))
