"""Every event of SQLAlchemy's that this room listens to, in the order in which listeners of one event are called.

A connection's engine gets more listeners when image rows first go over it: see :func:`.connections.watch`.  How an
index notices that a key changes is :func:`sqlalchemy_imageattach.entity.key_index.watch_keys`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Mapper, Session

from . import connections, flush, ledger, owner_keys, pending, which_store
from .ledger import SavepointsOf
from .rows import place

__all__ = ("listen",)


def listen(image_class: type[Any], savepoints_of: SavepointsOf) -> None:
    """Start to listen.

    :param image_class: the mixin of all images
    :param savepoints_of: gives the names of the savepoints that are open on a connection; SQLAlchemy keeps them private
    """
    of_images = {"propagate": True, "raw": True}
    for target, name, listener, options in (
        (Mapper, "mapper_configured", _after_configured, {}),
        (Engine, "savepoint", connections.begin_before_savepoint, {}),
        (Session, "persistent_to_detached", which_store.remember_detached, {}),
        (Session, "pending_to_transient", pending.watch_let_go, {}),
        (Session, "persistent_to_transient", pending.watch_let_go, {}),
        (Session, "before_flush", flush.before_flush, {}),
        (image_class, "before_insert", flush.before_insert, of_images),
        (image_class, "before_update", flush.before_update, of_images),
        (image_class, "before_delete", flush.before_delete, of_images),
        (image_class, "after_insert", flush.after_insert_or_update, of_images),
        (image_class, "after_update", flush.after_insert_or_update, of_images),
        (image_class, "after_delete", flush.after_delete, of_images),
        (Mapper, "after_update", partial(owner_keys.follow_owner, image_class), {"raw": True}),
        (Session, "after_flush", ledger.after_flush, {}),
        (Session, "before_commit", ledger.before_commit, {}),
        (Session, "after_commit", ledger.after_commit, {}),
        (Session, "after_transaction_end", partial(ledger.after_transaction_end, savepoints_of), {}),
        (Session, "after_transaction_end", flush.after_transaction_end, {}),
        (Session, "after_transaction_end", pending.collect_let_go, {}),
    ):
        event.listen(target, name, listener, **options)


def _after_configured(mapper: Mapper[Any], cls: type[Any]) -> None:
    place.register_attachments(mapper)
