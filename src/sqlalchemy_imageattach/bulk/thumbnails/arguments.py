"""What making thumbnails and deleting them take alike: sizes, and sessions without a transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy.orm import Mapper, Session

from ...entity.thumbnails import WantedSize
from ...store import Store
from ...transactions.info_keys import INFO_KEY
from ..batches import bind_of

__all__ = ("check_no_transaction", "own_session", "sizes_of")


def sizes_of(
    widths: Collection[int],
    heights: Collection[int],
    ratios: Collection[float] = (),
    presets: Collection[str] = (),
) -> list[WantedSize]:
    """Check sizes, and gather them.

    :param widths: pixels
    :param heights: pixels
    :param ratios: how many times an original's width and height
    :param presets: names of variants, which have sizes of their own
    :returns: each size
    :raises TypeError: when one is no number
    :raises ValueError: when there is none, or one is not positive
    """
    sizes = [WantedSize(width=width) for width in widths]
    sizes += [WantedSize(height=height) for height in heights]
    sizes += [WantedSize(ratio) for ratio in ratios]
    if not sizes and not presets:
        raise ValueError("expected at least one size, got none; give widths, heights or ratios")
    return sizes


def check_no_transaction(sessions: Sequence[Session]) -> None:
    """Refuse sessions that have a transaction open.

    :param sessions: the databases
    :raises ValueError: when one has
    """
    if any(session.in_transaction() for session in sessions):
        raise ValueError("expected a session without a transaction; commit it or roll it back before")


def own_session(session: Session, mapper: Mapper[Any], store: Store) -> Session:
    """Make a session that commits to the same database as another one, which only reads.

    :param session: the session that reads
    :param mapper: the image class
    :param store: where its images are
    :returns: a session, which the caller closes
    """
    info = {**session.info, INFO_KEY: store}
    return Session(bind_of(session, mapper), expire_on_commit=False, info=info)
