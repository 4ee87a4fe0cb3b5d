"""Deleting thumbnails of a size that is not needed any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from sqlalchemy import not_, or_
from sqlalchemy.orm import Mapper, Session, scoped_session

from ...store import Store
from ...transactions.which_store import find_store
from ..arguments import mappers_of, sessions_of
from ..batches import ImageRow, again_if_closed, batches, in_session
from ..keys import ALL_KEYS
from .arguments import check_no_transaction, own_session, sizes_of

__all__ = ("drop_thumbnails",)

# How many are deleted in one transaction.
_DELETE_AT = 100


def drop_thumbnails(
    session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
    declarative_base: Any,
    store: Store,
    *,
    widths: Collection[int] = (),
    heights: Collection[int] = (),
) -> int:
    """Delete the thumbnails of a size that is not needed any more, of all images.

    The rows are deleted a hundred at a time, and their files after each commit.  Originals stay, whatever their size.
    What a template still asks for is made again.

    :param session: the session to read rows with, or a list of sessions; it must have no transaction open.  Thumbnails
        are deleted by sessions of their own.
    :param declarative_base: the base of the image classes, or one image class
    :param store: the store that has the thumbnails
    :param widths: pixels; thumbnails that are as wide as one of these
    :param heights: pixels; thumbnails that are as high as one of these
    :returns: how many were deleted
    :raises TypeError: when an argument is of another type
    :raises ValueError: when no size is given, a number is not positive, or the session has a transaction open

    >>> from models import Base  # your own
    >>> _ = user.picture.from_file(photograph, store=store)
    >>> _ = user.picture.generate_thumbnail(width=80, store=store)
    >>> session.commit()
    >>> drop_thumbnails(session, Base, store, widths=[80])
    1
    """
    mappers = mappers_of(declarative_base)
    sessions = sessions_of(session, mappers)
    sizes_of(widths, heights)
    check_no_transaction(sessions)
    store = find_store(store)
    dropped = 0
    for each in sessions:
        for mapper in mappers:
            columns = mapper.columns
            has_size = or_(columns["width"].in_(list(widths)), columns["height"].in_(list(heights)))
            for batch in batches(each, mapper, ALL_KEYS, not_(columns["original"]), has_size):
                for start in range(0, len(batch), _DELETE_AT):
                    drop = partial(_drop, each, mapper, store, batch[start : start + _DELETE_AT])
                    dropped += again_if_closed(drop)
    return dropped


def _drop(session: Session, mapper: Mapper[Any], store: Store, rows: Sequence[ImageRow]) -> int:
    with own_session(session, mapper, store) as own:
        for row in rows:
            own.delete(in_session(own, row.image))
        own.commit()
    return len(rows)
