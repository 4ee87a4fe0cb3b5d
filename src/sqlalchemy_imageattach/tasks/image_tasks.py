"""The tasks of an application, and the signatures to send them by."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import Mapper, Session, object_session
from sqlalchemy.util.concurrency import in_greenlet

from ..bulk.arguments import image_mapper, image_mappers
from ..bulk.batches import key_ranges
from ..bulk.keys import KeyRange, key_to_json
from ..bulk.thumbnails import make_thumbnails
from ..entity import Image
from ..entity.image_set import BaseImageSet
from ..entity.query import place_of
from ..entity.thumbnails import WantedSize
from ..entity.variants import presets_of
from ..exc import InvalidImageError, MissingDependencyError
from ..migration import migrate_class
from ..store import Store
from .partitions import PASSING, Operations, passes
from .sending import enqueue

try:
    from celery import Celery
    from celery.canvas import Signature
    from celery.exceptions import SoftTimeLimitExceeded
    from celery.utils.time import get_exponential_backoff_interval
except ImportError:
    raise MissingDependencyError("Celery needs an extra: pip install 'SQLAlchemy-ImageAttach[celery]'") from None

__all__ = ("PARTITION_SIZE", "ImageTasks")

#: How many rows a part of a migration or of an audit has, by default: that much is done again after a kill.
PARTITION_SIZE = 10_000

# Seconds between two tries.
_LONGEST_WAIT = 600

_OPTIONS: dict[str, Any] = {
    # A message is let go when the task has been done, and not when a worker is killed before.
    "acks_late": True,
    "reject_on_worker_lost": True,
    # After 1, 2, 4, 8 seconds and so on, each cut by chance: 17 minutes in all, at the most.
    # The soft time limit ends a task that has not done all of it; the next try finds what was done.
    "autoretry_for": (*PASSING, SoftTimeLimitExceeded),
    "max_retries": 10,
    "retry_backoff": True,
    "retry_backoff_max": _LONGEST_WAIT,
    "retry_jitter": True,
    "serializer": "json",
    "shared": False,
}

#: Those that have the tasks already.
_apps: weakref.WeakSet[Any] = weakref.WeakSet()


class ImageTasks:
    """The tasks of an application.

    Its methods give Celery's signatures, to be sent by ``apply_async()``, or by :func:`.enqueue` after a commit.  The
    tasks are named ``sqlalchemy_imageattach.thumbnails``, ``.variants``, ``.rebuilding`` (of :meth:`make_thumbnails`),
    ``.migration`` and ``.audit``.  Presets of variants that are declared with ``preprocessed=True`` are enqueued by
    themselves, when an image is attached.

    :param app: the application's Celery
    :param declarative_base: the base of the image classes and of the entities that have images
    :param make_session: gives a new session when it is called, such as a :class:`~sqlalchemy.orm.sessionmaker`; for
        thumbnails, its sessions know their store (``info={"image_store": store}``), or the models do
    :param stores: the stores that images are moved between and compared with, under names of your own
    :raises TypeError: when an argument is of another type
    :raises ValueError: when the app has these tasks already

    >>> from celery import Celery
    >>> from sqlalchemy.orm import sessionmaker
    >>> from sqlalchemy_imageattach.tasks import enqueue
    >>> from models import Base  # your own
    >>> from sqlalchemy_imageattach.tasks import enqueue
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
            raise TypeError(f"expected an instance of celery.Celery as app, got {app!r}")
        self._operations = operations = Operations(declarative_base, make_session, stores or {})
        if app in _apps:
            raise ValueError(f"expected an app without these tasks, and {app!r} has them already; use that ImageTasks")
        _apps.add(app)
        self._thumbnails = _registered(app, "thumbnails", lambda _, **given: operations.thumbnails(**given))
        self._variants = _registered(app, "variants", lambda _, **given: operations.variants(**given))
        # Its name is in messages that wait at brokers, and in settings, and stays.
        self._make_thumbnails = _registered(
            app, "rebuilding", lambda last, **given: operations.make_thumbnails(last, **given)
        )
        self._migration = _registered(app, "migration", lambda last, **given: operations.migration(last, **given))
        self._audit = _registered(app, "audit", lambda _, **given: operations.audit(**given))
        _listen(self)

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
                f"expected the image set of an entity, such as user.picture, as image_set, got {image_set!r}; of"
                " several, get_image_set() chooses one"
            )
        sizes: list[dict[str, Any]] = [
            {name: value}
            for name, values in (("width", widths), ("height", heights), ("ratio", ratios))
            for value in values
        ]
        if not sizes:
            raise TypeError("expected widths, heights or ratios of thumbnails, got none")
        for size in sizes:
            WantedSize(**size)
        owner, relationship = place_of(image_set.query)
        state: Any = inspect(owner)
        entity = self._operations.name(state.mapper)
        if state.identity is None:
            session = object_session(owner)
            if session is None:
                raise ValueError(f"expected {owner!r} to be in a session, so that it has a key; add it to one")
            if session.get_bind(state.mapper).dialect.is_async and not in_greenlet():
                raise ValueError(
                    f"expected {owner!r} to have a key, got none; await flush() of its AsyncSession before"
                )
            session.flush()
        names = list(image_set.identity_map)
        columns = [relationship.mapper.columns[name] for name in names]
        values = key_to_json(columns, list(image_set.identity_map.values()))
        return self._thumbnails.si(
            entity=entity,
            key=key_to_json(state.mapper.primary_key, state.identity or ()),
            attribute=relationship.key,
            image_set=dict(zip(names, values, strict=True)),
            sizes=sizes,
        )

    def variants(self, image: Image, presets: Iterable[str] | None = None) -> Signature:
        """Make presets of an original, so that nobody waits for the first request.

        The result is the sizes of those that were made, and were not there.

        :param image: the original; it has to be flushed, for its key
        :param presets: names of ``image_attachment(variants=…)``; by default those with ``preprocessed=True``
        :returns: the task, not sent yet
        :raises TypeError: when a text is given in place of names, or there is none
        :raises ValueError: when there is no such preset, or the image has no key yet
        """
        state: Any = inspect(image)
        known = presets_of(state.mapper)
        if presets is None:
            presets = [name for name, transform in known.items() if transform.preprocessed]
        names = [presets] if isinstance(presets, str) else list(presets)
        if isinstance(presets, str) or not names:
            raise TypeError(f"expected a list of names of presets, got {presets!r}")
        for name in names:
            if name not in known:
                raise ValueError(f"expected the name of a preset, got {name!r}; there are {', '.join(known) or 'none'}")
        key = state.mapper.primary_key_from_instance(image)
        if None in key:
            raise ValueError(f"expected {image!r} to have a key, got none; flush its session before")
        return self._variants.si(
            image_class=self._operations.name(state.mapper),
            key=key_to_json(state.mapper.primary_key, key),
            presets=names,
        )

    def has_preprocessed(self, mapper: Mapper[Any]) -> bool:
        """Tell whether presets of an image class are made soon after a commit.

        :param mapper: its mapper
        :returns: false for a class of another base, too
        """
        is_own = self._operations.knows(mapper)
        return is_own and any(transform.preprocessed for transform in presets_of(mapper).values())

    def make_thumbnails(
        self,
        store: str,
        cls: type[Image] | None = None,
        *,
        widths: Collection[int] = (),
        heights: Collection[int] = (),
        ratios: Collection[float] = (),
        presets: Collection[str] = (),
        size: int = PARTITION_SIZE,
        workers: int = 1,
    ) -> Iterator[Signature]:
        """Split the making of thumbnails of all originals into tasks, each of which makes those that are missing.

        The result of a task is ``{"made": number, "failed": [{"key": ..., "error": ...}]}``, with the key of each
        original of which a size could not be made, and the error.  Errors are in the log too.

        :param store: the name of the store that has the originals and gets the thumbnails
        :param cls: one image class; all of them, by default
        :param widths: pixels
        :param heights: pixels
        :param ratios: how many times an original's width and height
        :param presets: names of ``image_attachment(variants=…)``; variants of all originals, without rows
        :param size: how many rows a task has, thumbnails included
        :param workers: how many originals a task decodes side by side
        :returns: an iterator over tasks, not sent yet
        :raises KeyError: when there is no store of that name
        :raises TypeError: when an argument is of another type
        :raises ValueError: when a size is not positive, or there is none
        """
        session = self._operations.make_session()
        options: dict[str, Any] = {
            "widths": list(widths),
            "heights": list(heights),
            "ratios": list(ratios),
            "workers": workers,
        }
        if presets:
            options["presets"] = presets if isinstance(presets, str) else list(presets)
        for mapper in self._mappers(cls):
            # It refuses what the tasks could not do.
            make_thumbnails(session, mapper.class_, self._operations.store(store), **options)
        return self._partitions(self._make_thumbnails, session, cls, size, {"store": store, **options})

    #: The same, for programs that call it so.
    rebuilding = make_thumbnails

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
        session, stores = (
            self._operations.make_session(),
            (self._operations.store(source), self._operations.store(destination)),
        )
        for mapper in self._mappers(cls):
            # As above.
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
        self._operations.store(store)
        session = self._operations.make_session()
        return self._partitions(self._audit, session, cls, size, {"store": store, "probe": probe})

    def _mappers(self, cls: type[Image] | None) -> list[Mapper[Any]]:
        return image_mappers(self._operations.base) if cls is None else [image_mapper(cls)]

    def _partitions(
        self, task: Any, session: Session, cls: type[Image] | None, size: int, arguments: dict[str, Any]
    ) -> Iterator[Signature]:
        classes = [
            (self._operations.name(mapper), mapper.primary_key, key_ranges(session, mapper.class_, size))
            for mapper in self._mappers(cls)
        ]
        return _signatures(task, session, classes, arguments)


def _listen(tasks: ImageTasks) -> None:
    """Have the presets of originals enqueued when these are attached, as long as there are these tasks."""
    found = weakref.ref(tasks)

    def attached(mapper: Mapper[Any], connection: Any, state: Any) -> None:
        own, image = found(), state.obj()
        # An object that takes over a row comes without a key, and with bytes of its own.
        if own is not None and state.key is None and image.original and own.has_preprocessed(mapper):
            enqueue(state.session, own.variants(image))

    for name in ("after_insert", "after_update"):
        event.listen(Image, name, attached, propagate=True, raw=True)


def _registered(app: Celery, name: str, function: Callable[..., Any]) -> Any:
    def run(task: Any, **arguments: Any) -> Any:
        is_last_try = bool(task.request.retries >= task.max_retries)
        try:
            return function(is_last_try, **arguments)
        except InvalidImageError as error:
            if not passes(error):
                raise
            # Celery chooses what to try again by classes, and this is a matter of the reason.
            wait = get_exponential_backoff_interval(1, task.request.retries, _LONGEST_WAIT, full_jitter=True)
            raise task.retry(exc=error, countdown=max(1, wait)) from error

    return app.task(name=f"sqlalchemy_imageattach.{name}", bind=True, **_OPTIONS)(run)


def _signatures(
    task: Any,
    session: Session,
    classes: Iterable[tuple[str, Sequence[Any], Iterable[KeyRange]]],
    arguments: Mapping[str, Any],
) -> Iterator[Signature]:
    with session:
        for name, columns, ranges in classes:
            for keys in ranges:
                after, upto = (None if bound is None else key_to_json(columns, bound) for bound in keys)
                yield task.si(image_class=name, after=after, upto=upto, **arguments)
