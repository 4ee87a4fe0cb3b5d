"""Which store an image is in, or goes to.

Asked for in this order: what the caller passes, the current store of :mod:`sqlalchemy_imageattach.context`, the store
that the image was attached with, the session's default, and that of the attribute.  It must always be true that the
answer is a store and never a proxy, which would mean another one later.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState, Mapper, Session, object_session

from ..context import LocalProxyStore
from ..exc import ContextError
from ..naming import FileKey
from ..store import Store, check_store
from .info_keys import INFO_KEY, STORES_KEY
from .pending import ATTRIBUTE, PendingFile, pending_file_of
from .rows.place import attachments_of, attachments_to

__all__ = (
    "find_store",
    "forget_stores",
    "known_store",
    "remember_detached",
    "remember_store",
    "remember_store_of_file",
)


# The default stores of the sessions that entities were loaded by and have left; beside them, so that they stay as they
# are when they are pickled.
_of_detached: weakref.WeakKeyDictionary[InstanceState[Any], Store] = weakref.WeakKeyDictionary()


def find_store(
    store: Store,
    image: Any = None,
    *,
    owner: Any = None,
    mapper: Mapper[Any] | None = None,
    key: FileKey | None = None,
    prefer_known: bool = False,
) -> Store:
    """Find the store itself behind what a caller passed, which is mostly the proxy of the current one.

    :param store: a store, or :data:`~sqlalchemy_imageattach.context.current_store`
    :param image: the image that it is about, if there is one yet
    :param owner: the entity that the image belongs to
    :param mapper: the mapper of the image, where there is no image yet
    :param key: what its file is called, if the image is about to name another
    :param prefer_known: whether the store that the image was attached with goes before the current one
    :returns: the store given; else the current one; else the one that the image was attached with; else the session's
        default; else the default of :func:`~sqlalchemy_imageattach.entity.image_attachment`
    :raises ContextError: when there is none
    :raises TypeError: when it is no store
    """
    check_store("store", store)
    if not isinstance(store, LocalProxyStore):
        return store
    if prefer_known and (known := known_store(image, owner, key)) is not None:
        return known
    current = store.store_behind()
    if current is not None:
        return current
    default = known_store(image, owner, key) or _default_store(image, owner, mapper)
    if default is None:
        raise ContextError(
            "no store is known; pass store=..., wrap the code in store_context(store), or give a default: "
            f"sessionmaker(info={{{INFO_KEY!r}: store}}) or image_attachment(..., store=store)"
        )
    return default


def remember_store(image: Any, store: Store) -> None:
    """Remember which store an image is in that was loaded from the database.

    :param image: an image; if it was attached in this process, nothing changes
    :param store: the store that it is in
    """
    if pending_file_of(image) is None:
        image.__dict__[ATTRIBUTE] = PendingFile(store, None)


def remember_store_of_file(session: Session, key: FileKey, store: Store) -> None:
    """Remember which store a session put a file into, for when it loads the row again.

    :param session: the session
    :param key: the file's name
    :param store: the store
    """
    if session.info.get(INFO_KEY) is not store:
        session.info.setdefault(STORES_KEY, {})[key] = store


def forget_stores(session: Session, keys: Iterable[FileKey]) -> None:
    """Forget the stores of files that are gone.

    :param session: the session that has put them
    :param keys: the files' names
    """
    stores: dict[FileKey, Store] = session.info.get(STORES_KEY, {})
    for key in keys:
        stores.pop(key, None)


def remember_detached(session: Session, entity: Any) -> None:
    """Remember the default store of a session for an entity that leaves it, so that it is located afterwards.

    :param session: the session
    :param entity: an entity
    """
    store = session.info.get(INFO_KEY)
    state = inspect(entity)
    if store is not None and (attachments_of(state.mapper) or attachments_to(state.mapper)):
        _of_detached[state] = store


def known_store(image: Any, owner: Any = None, key: FileKey | None = None) -> Store | None:
    attachment = pending_file_of(image)
    if attachment is not None:
        return attachment.store
    entity = owner if image is None else image
    session = None if entity is None else object_session(entity)
    stores: dict[FileKey, Store] = {} if session is None else session.info.get(STORES_KEY, {})
    if stores and key is None and image is not None:
        key = FileKey.of(image)
    return None if key is None else stores.get(key)


def _default_store(image: Any, owner: Any, mapper: Mapper[Any] | None) -> Store | None:
    for entity in (image, owner):
        session = None if entity is None else object_session(entity)
        if session is not None and INFO_KEY in session.info:
            return cast("Store", session.info[INFO_KEY])
        if session is None and entity is not None and inspect(entity) in _of_detached:
            return _of_detached[inspect(entity)]
    if image is not None:
        mapper = inspect(image).mapper
    return None if mapper is None else _default_store_of(mapper)


def _default_store_of(mapper: Mapper[Any]) -> Store | None:
    for attachment in attachments_to(mapper):
        if INFO_KEY in attachment.info and mapper.isa(attachment.mapper):
            return cast("Store", attachment.info[INFO_KEY])
    return None
