"""Work for Celery's workers: thumbnails, and parts of a migration and of an audit; it needs the extra ``celery``.

::

    images = ImageTasks(Celery("yourapp"), Base, sessionmaker(engine), {"old": old_store, "new": new_store})

    enqueue(session, images.thumbnails(user.picture, widths=[160, 640]))
    for partition in images.migration("old", "new"):
        partition.apply_async()

The application and its workers import the same module, so that both know the same sessions and stores.  What goes over
the broker is JSON: names of classes and stores, keys of rows, sizes.  It must always be true that

- a task may be delivered twice, at the same time too, and makes nothing twice;
- a worker that is killed in the middle leaves nothing half-done: its task is delivered again, to another worker;
- a fault that passes is tried again, after a while; what does not pass fails at once, or is told in the result.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import exc, inspect
from sqlalchemy.orm import Mapper, Session, object_session
from sqlalchemy.orm.exc import StaleDataError

from .audit import verify
from .bulk import image_mapper, image_mappers, key_ranges
from .entity import Image
from .imageset import BaseImageSet
from .keys import KeyRange, class_name, key_from_json, key_to_json
from .migration import migrate_class
from .sending import FAILED_SEND_KEY, FailedSend, enqueue
from .sizes import Wanted
from .store import FileKey, Store
from .stores.layered import is_missing

# isort: split
# After .sending, which says what to install where Celery is not there.
from celery import Celery
from celery.canvas import Signature

__all__ = ("FAILED_SEND_KEY", "PARTITION_SIZE", "FailedSend", "ImageTasks", "enqueue")

logger = logging.getLogger("sqlalchemy_imageattach")

#: How many rows a part of a migration or of an audit has, unless it is told: that much is done again after a kill.
PARTITION_SIZE = 10_000

#: What may pass: a store or a database that is busy or unreachable, and another transaction that was there first.
_PASSING = (
    OSError,
    exc.OperationalError,
    exc.InterfaceError,
    exc.IntegrityError,
    exc.TimeoutError,
    StaleDataError,
)

_OPTIONS: dict[str, Any] = {
    # A message is let go when the task has been done, whoever is killed before.
    "acks_late": True,
    "reject_on_worker_lost": True,
    # After 1, 2, 4, 8 seconds and so on, each cut by chance: 17 minutes in all, at the most.
    "autoretry_for": _PASSING,
    "max_retries": 10,
    "retry_backoff": True,
    "retry_backoff_max": 600,
    "retry_jitter": True,
    "serializer": "json",
    "shared": False,
}

#: Those that have the tasks already.
_apps: weakref.WeakSet[Any] = weakref.WeakSet()


class ImageTasks:
    """The tasks of an application, named ``sqlalchemy_imageattach.thumbnails``, ``.migration`` and ``.audit``.

    Its methods give Celery's signatures, to be sent by ``apply_async()``, or by :func:`enqueue` after a commit.

    :param app: the application's Celery
    :param declarative_base: the base of the image classes and of the entities that have images
    :param make_session: gives a new session when it is called, such as a :class:`~sqlalchemy.orm.sessionmaker`; for
        thumbnails, its sessions know their store (``info={"image_store": store}``), or the models do
    :param stores: the stores that images are moved between and compared with, under names of your own
    :raises TypeError: when an argument is of another type
    :raises ValueError: when the app has these tasks already

    >>> from celery import Celery
    >>> from sqlalchemy.orm import sessionmaker
    >>> from models import Base  # your own
    >>> images = ImageTasks(Celery(broker="memory://"), Base, sessionmaker(session.bind), {"store": store})
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> enqueue(session, images.thumbnails(user.picture, widths=[160, 640]))
    >>> session.commit()
    """

    def __init__(
        self,
        app: Celery,
        declarative_base: Any,
        make_session: Callable[[], Session],
        stores: Mapping[str, Store] | None = None,
    ) -> None:
        if not isinstance(app, Celery):
            raise TypeError(f"app must be an instance of celery.Celery, not {app!r}")
        if not callable(make_session):
            raise TypeError(f"make_session must be callable, such as a sessionmaker, not {make_session!r}")
        self._registry: Any = getattr(declarative_base, "registry", None)
        if self._registry is None:
            raise TypeError(f"declarative_base must be a declarative base class, not {declarative_base!r}")
        self._base = declarative_base
        self._make_session = make_session
        self._stores = dict(stores or {})
        for name, store in self._stores.items():
            if not isinstance(store, Store):
                raise TypeError(f"stores[{name!r}] must be an instance of Store, not {store!r}")
        if app in _apps:
            raise ValueError(f"expected an app without these tasks, and {app!r} has them already; use that ImageTasks")
        _apps.add(app)
        self._thumbnails = _registered(app, "thumbnails", self._make_thumbnails)
        self._migration = _registered(app, "migration", self._migrate)
        self._audit = _registered(app, "audit", self._verify)

    def thumbnails(
        self,
        image_set: BaseImageSet[Any],
        *,
        widths: Iterable[int] = (),
        heights: Iterable[int] = (),
        ratios: Iterable[float] = (),
    ) -> Signature:
        """Make thumbnails of the original that an image set has when the task runs; those that are there are found.

        The result is their sizes; none, when the entity or its original is gone by then.

        :param image_set: ``user.picture``, or one of an album's: ``album.photos.get_image_set(position=3)``.  When its
            entity is new, the session is flushed, for the key.
        :param widths: pixels
        :param heights: pixels
        :param ratios: how many times the original's width and height
        :returns: the task, not sent yet
        :raises TypeError: when there is no size, or it is no image set of an entity
        :raises ValueError: when a size is not positive, or the entity is in no session
        """
        if not isinstance(image_set, BaseImageSet):
            raise TypeError(
                f"image_set must be the image set of an entity, such as user.picture, not {image_set!r}; of several,"
                " get_image_set() chooses one"
            )
        sizes: list[dict[str, Any]] = [
            {name: value}
            for name, values in (("width", widths), ("height", heights), ("ratio", ratios))
            for value in values
        ]
        if not sizes:
            raise TypeError("expected widths, heights or ratios of thumbnails, and there is none")
        for size in sizes:
            Wanted(**size)
        owner, relationship = image_set.query._place()
        state: Any = inspect(owner)
        entity = self._name(state.mapper)
        if state.identity is None:
            session = object_session(owner)
            if session is None:
                raise ValueError(f"expected {owner!r} to be in a session, so that it has a key; add it to one")
            session.flush()
        keys = dict(zip(image_set.identity_map, key_to_json(list(image_set.identity_map.values())), strict=True))
        return self._thumbnails.si(
            entity=entity,
            key=key_to_json(state.identity or ()),
            attribute=relationship.key,
            image_set=keys,
            sizes=sizes,
        )

    def migration(
        self,
        source: str,
        destination: str,
        cls: type[Image] | None = None,
        *,
        size: int = PARTITION_SIZE,
        verify: bool = False,
        workers: int = 1,
    ) -> Iterator[Signature]:
        """Split a migration into tasks, each of which copies the files of so many rows that are not there yet.

        The result of a task is ``{"copied": number, "failed": [{"key": ..., "error": ...}]}``, with the key of each row
        whose file could not be copied, and the error.  Errors are in the log too.

        :param source: the name of the store to copy from
        :param destination: the name of the store to copy to
        :param cls: one image class; all of them, by default
        :param size: how many rows a task has
        :param verify: whether to read each file back, and to compare what is there already
        :param workers: how many files a task copies side by side
        :returns: an iterator over tasks, not sent yet
        :raises KeyError: when there is no store of that name
        :raises TypeError: when an argument is of another type
        :raises ValueError: when ``size`` is not positive, or both stores are one
        """
        session, stores = self._make_session(), (self._store(source), self._store(destination))
        for mapper in self._mappers(cls):
            # It refuses what the tasks could not do.
            migrate_class(session, mapper.class_, *stores, verify=verify, workers=workers)
        arguments = {"source": source, "destination": destination, "verify": verify, "workers": workers}
        return self._partitions(self._migration, session, cls, size, arguments)

    def audit(
        self, store: str, cls: type[Image] | None = None, *, size: int = PARTITION_SIZE, probe: bool = False
    ) -> Iterator[Signature]:
        """Split an audit into tasks, each of which asks a store for the files of so many rows.

        The result of a task is a list of what does not agree: ``[{"kind": ..., "reason": ..., "key": ...}]``, with the
        key of each row.  It is in the log too.  Files without a row are not looked for.

        :param store: the name of the store
        :param cls: one image class; all of them, by default
        :param size: how many rows a task has
        :param probe: whether to compare the size in pixels and the type of each file with its row
        :returns: an iterator over tasks, not sent yet
        :raises KeyError: when there is no store of that name
        :raises TypeError: when an argument is of another type
        :raises ValueError: when ``size`` is not positive
        """
        self._store(store)
        return self._partitions(self._audit, self._make_session(), cls, size, {"store": store, "probe": probe})

    # In the application.

    def _mappers(self, cls: type[Image] | None) -> list[Mapper[Any]]:
        return image_mappers(self._base) if cls is None else [image_mapper(cls)]

    def _name(self, mapper: Mapper[Any]) -> str:
        if mapper.registry is not self._registry:
            raise ValueError(f"expected a class of {self._base!r}, for which these tasks are, not {mapper.class_!r}")
        return class_name(mapper)

    def _partitions(
        self, task: Any, session: Session, cls: type[Image] | None, size: int, arguments: dict[str, Any]
    ) -> Iterator[Signature]:
        classes = [(self._name(mapper), key_ranges(session, mapper.class_, size)) for mapper in self._mappers(cls)]
        return _signatures(task, session, classes, arguments)

    # In a worker.

    def _make_thumbnails(
        self,
        entity: str,
        key: Sequence[Any],
        attribute: str,
        image_set: Mapping[str, Any],
        sizes: Sequence[Mapping[str, Any]],
    ) -> list[list[int]]:
        mapper = self._mapper(entity)
        with self._make_session() as session:
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

    def _migrate(
        self,
        image_class: str,
        after: Sequence[Any] | None,
        upto: Sequence[Any] | None,
        source: str,
        destination: str,
        verify: bool,
        workers: int,
    ) -> dict[str, Any]:
        mapper = self._mapper(image_class)
        is_last = self._migration.request.retries >= self._migration.max_retries
        failed = []

        def note(image: Image, error: Exception) -> None:
            does_pass = isinstance(error, _PASSING) and not (isinstance(error, OSError) and is_missing(error))
            if does_pass and not is_last:
                raise error
            key = FileKey.of(image)
            logger.error("could not copy %s", tuple(key), exc_info=error, extra={"image_key": key})
            failed.append({"key": key_to_json(inspect(image).identity), "error": f"{type(error).__name__}: {error}"})

        with self._make_session() as session:
            plan = migrate_class(
                session,
                mapper.class_,
                self._store(source),
                self._store(destination),
                keys=_range(mapper, after, upto),
                workers=workers,
                verify=verify,
                skip_existing=True,
                on_error=note,
            )
            copied = sum(1 for _ in plan)
        return {"copied": copied, "failed": failed}

    def _verify(
        self, image_class: str, after: Sequence[Any] | None, upto: Sequence[Any] | None, store: str, probe: bool
    ) -> list[dict[str, Any]]:
        mapper = self._mapper(image_class)
        findings = []
        with self._make_session() as session:
            keys = _range(mapper, after, upto)
            for finding in verify(session, mapper.class_, self._store(store), probe=probe, keys=keys):
                logger.warning("%s", finding, extra={"image_key": finding.key})
                assert finding.row is not None
                key = key_to_json(finding.row[1])
                findings.append({"kind": finding.kind, "reason": finding.reason, "key": key})
        return findings

    def _mapper(self, name: str) -> Mapper[Any]:
        for mapper in self._registry.mappers:
            if class_name(mapper) == name:
                found: Mapper[Any] = mapper
                return found
        raise LookupError(f"expected a class of {self._base!r}, and {name} is none; the sender has other models")

    def _store(self, name: str) -> Store:
        try:
            return self._stores[name]
        except KeyError:
            known = ", ".join(self._stores) or "none"
            raise KeyError(f"expected the name of one of the stores of ImageTasks ({known}), not {name!r}") from None


def _registered(app: Celery, name: str, function: Callable[..., Any]) -> Any:
    def task(**arguments: Any) -> Any:
        return function(**arguments)

    return app.task(name=f"sqlalchemy_imageattach.{name}", **_OPTIONS)(task)


def _signatures(
    task: Any, session: Session, classes: Iterable[tuple[str, Iterable[KeyRange]]], arguments: Mapping[str, Any]
) -> Iterator[Signature]:
    with session:
        for name, ranges in classes:
            for keys in ranges:
                after, upto = (None if bound is None else key_to_json(bound) for bound in keys)
                yield task.si(image_class=name, after=after, upto=upto, **arguments)


def _range(mapper: Mapper[Any], *bounds: Sequence[Any] | None) -> KeyRange:
    return KeyRange(*(None if bound is None else key_from_json(mapper.primary_key, bound) for bound in bounds))
