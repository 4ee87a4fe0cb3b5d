"""Rows as instances of a session, whatever an application filters.

What a flush locks and replaces must be every row, so that it is read by Core: see :mod:`.tables`.  It must always be
true that

- no event of a session, and no method that a subclass overrides, sees these statements;
- rows are read where the session writes them: from the leader, never from a follower that lags behind;
- a row becomes the instance that the session has of it, as the row says now.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, Table, inspect, update
from sqlalchemy.engine import Connection, CursorResult
from sqlalchemy.orm import Mapper, Session

from .tables import TableRows

#: The key in the ``info`` that SQLAlchemy keeps for each class.
_ROWS_KEY = "image_rows"

__all__ = ("connection_for", "image_table", "images_of", "select_images", "writing")


def image_table(mapper: Mapper[Any]) -> Table:
    """Find the table that has the columns of :class:`~sqlalchemy_imageattach.entity.Image`.

    :param mapper: the mapper of an image class
    :returns: the table
    """
    table = mapper.columns["original"].table
    assert isinstance(table, Table)
    return table


def connection_for(session: Session, mapper: Mapper[Any], instance: Any = None) -> Connection:
    """Get the connection that a session writes the rows of a class over; a transaction is begun if there is none.

    :param session: the session
    :param mapper: the mapper of the class
    :param instance: an instance of it, which tells a sharded session which shard is meant
    :returns: the connection, in the session's transaction
    """
    if session.connection_callable is None:
        return session.connection(bind_arguments=writing(mapper))
    if not session.in_transaction():
        session.begin()
    connection: Connection = session.connection_callable(mapper, instance)
    return connection


def writing(mapper: Mapper[Any]) -> dict[str, Any]:
    """Say what :meth:`Session.get_bind` is asked for the database that a class is written to.

    :param mapper: the mapper of the class
    :returns: the two arguments that SQLAlchemy's recipes for routing take
    """
    return {"mapper": mapper, "clause": update(mapper.tables[0])}


def select_images(mapper: Mapper[Any]) -> Select[Any]:
    """Select all rows of an image class and its subclasses.

    :param mapper: the mapper of the class
    :returns: a statement, for :func:`images_of`; criteria and order are the caller's to add, by columns of
        ``mapper.columns``
    """
    return _table_rows(mapper).select()


def images_of(
    mapper: Mapper[Any],
    found: CursorResult[Any],
    session: Session | None = None,
    identity_token: Any = None,
    kept: Collection[Any] = (),
) -> list[Any]:
    """Make instances of rows.

    :param mapper: the mapper of the class that was selected
    :param found: what a :func:`select_images` of it gave
    :param session: the session that has them, or gets them; without it they are detached
    :param identity_token: what tells them from rows of other shards
    :param kept: the identity keys of images that the session has, and that stay as they were loaded
    :returns: the images, in the order of the rows
    """
    rows = _table_rows(mapper)
    if session is None:
        return [rows.image(values) for values in found]
    images = []
    for values in found:
        key = mapper.identity_key_from_primary_key(rows.identity(values), identity_token=identity_token)
        image = session.identity_map.get(key)
        if image is None:
            image = rows.image(values)
            state = inspect(image)
            state.identity_token, state.key = identity_token, key
            session.add(image)
        elif key not in kept:
            rows.fill(image, values)
        images.append(image)
    return images


def _table_rows(mapper: Mapper[Any]) -> TableRows:
    rows: TableRows | None = mapper.class_manager.info.get(_ROWS_KEY)
    if rows is None:
        rows = mapper.class_manager.info[_ROWS_KEY] = TableRows(mapper)
    return rows
