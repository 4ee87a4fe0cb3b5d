"""Which rows a run goes over, and from where, when it was stopped before.

A run goes over the classes one after the other, in the order of their keys, and a checkpoint says up to where that was
done.  Keys need not grow: a row whose key is a random UUID may come behind the checkpoint while nothing runs.  So it
must always be true that a run that goes on looks at those rows first that are behind its checkpoint, and that were made
since the job began.  What else is behind it, was done, and is passed over.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapper, Session

from .batches import count
from .checkpoint import Checkpoint
from .keys import ALL_KEYS, KeyRange, class_name, key_to_json

__all__ = ("Stretch", "job_of", "log_passed_over", "rows_left", "rows_passed", "stretches")

logger = logging.getLogger("sqlalchemy_imageattach")

# How far the clocks and time zones of a database and of this machine may be apart.
_MARGIN = datetime.timedelta(days=1)


class Stretch(NamedTuple):
    """Rows of one class in one database that a run goes over."""

    session: Session
    mapper: Mapper[Any]
    keys: KeyRange
    #: Which of these rows, by columns of the mapper's.
    criteria: tuple[ColumnElement[bool], ...]
    #: Which of several databases it is, for the checkpoint.
    number: int
    #: Whether these rows came behind the checkpoint, so that they may have been done before.
    is_late: bool = False


def job_of(
    command: str,
    sessions: Sequence[Session],
    mappers: Sequence[Mapper[Any]],
    keys: KeyRange = ALL_KEYS,
    **details: Any,
) -> Mapping[str, Any]:
    """Say what a job is, for its checkpoint.

    :param command: what is done
    :param sessions: in which databases
    :param mappers: with which classes
    :param keys: with which of their rows
    :param details: stores and sizes, as JSON
    :returns: the same as JSON
    """
    job = {"command": command, "classes": [class_name(mapper) for mapper in mappers], **details}
    if len(sessions) > 1:
        job["databases"] = len(sessions)
    if keys != ALL_KEYS:
        job["keys"] = [None if key is None else key_to_json(mappers[0].primary_key, key) for key in keys]
    return job


def stretches(
    sessions: Sequence[Session],
    mappers: Sequence[Mapper[Any]],
    keys: KeyRange,
    checkpoint: Checkpoint,
    *,
    originals: bool = False,
) -> list[Stretch]:
    """Find out which rows a run goes over.

    :param sessions: in which databases
    :param mappers: of which classes
    :param keys: which rows of a class
    :param checkpoint: how far an earlier run has come
    :param originals: whether only originals are meant
    :returns: the rows, in the order in which to go over them
    :raises CheckpointError: when the checkpoint has other keys
    """
    found = []
    for number, session in enumerate(sessions):
        for mapper in mappers:
            criteria = (mapper.columns["original"],) if originals else ()
            done = checkpoint.get(mapper, number)
            if done is not None:
                late = mapper.columns["created_at"] >= checkpoint.began_at - _MARGIN
                behind = keys._replace(upto=done)
                found.append(Stretch(session, mapper, behind, (*criteria, late), number, is_late=True))
            ahead = keys if done is None else keys._replace(after=done)
            found.append(Stretch(session, mapper, ahead, criteria, number))
    return found


def log_passed_over(found: Sequence[Stretch], checkpoint: Checkpoint) -> None:
    """Log how many rows a run takes for done.

    :param found: what :func:`stretches` has found
    :param checkpoint: how far an earlier run has come
    """
    # To count takes a query.
    if checkpoint.is_gone_on_from and logger.isEnabledFor(logging.INFO):
        logger.info("going on from a checkpoint: %d rows before it count as done", rows_passed(found))


def rows_left(found: Sequence[Stretch]) -> int:
    """Count the rows that a run goes over.

    :param found: what :func:`stretches` has found
    :returns: how many there are now
    """
    return sum(count(each.session, each.mapper, each.keys, *each.criteria) for each in found)


def rows_passed(found: Sequence[Stretch]) -> int:
    """Count the rows that are behind the checkpoint, and that a run passes over.

    :param found: what :func:`stretches` has found
    :returns: how many there are now
    """
    late = [each for each in found if each.is_late]
    behind = [each._replace(criteria=each.criteria[:-1]) for each in late]
    return rows_left(behind) - rows_left(late)
