"""Sending a Celery task after the commit; :mod:`sqlalchemy_imageattach.tasks` has it too.

A broker knows nothing of the database's transactions.  Sent before the commit, a task may run before its row is there,
or for a row that never comes.  It must always be true that

- a task is sent once the *root* transaction committed, and never after a rollback, nor from a savepoint that was rolled
  back, nor when the session is closed, nor when the connection broke during the commit;
- once the database has committed, nothing here raises: what cannot be sent is logged and reported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from ..exc import MissingDependencyError
from ..transactions.ledger import ledger_of

try:
    from celery.canvas import Signature
    from kombu.serialization import dumps
except ImportError:
    raise MissingDependencyError("Celery needs an extra: pip install 'SQLAlchemy-ImageAttach[celery]'") from None

__all__ = ("FAILED_SEND_KEY", "FailedSend", "enqueue")

logger = logging.getLogger("sqlalchemy_imageattach")

#: The key in ``Session.info`` under which a callback may be given that takes a :class:`FailedSend`.
FAILED_SEND_KEY = "image_send_failed"


class FailedSend(NamedTuple):
    """A task that the broker did not take after a commit: ``failure.signature.apply_async()`` tries again."""

    signature: Signature
    error: BaseException


def enqueue(session: Session, signature: Signature) -> None:
    """Send a task when the session's transaction has committed, and only then.

    It may be any task of the application's, or a group or chain of them.  In a savepoint, the task is sent once the
    outermost transaction committed.  A session that has joined a transaction of its connection's sends it when that one
    committed, and the connection goes on or is closed.

    What the broker does not take is logged, and the callback under ``Session.info["image_send_failed"]`` is called with
    a :class:`FailedSend`; the commit stands.

    :param session: the session; of an :class:`~sqlalchemy.ext.asyncio.AsyncSession`, its ``sync_session``
    :param signature: the task with its arguments, such as ``notify.s(user.id)``
    :raises TypeError: when it is none, or the arguments cannot be sent

    >>> from celery import Celery
    >>> app = Celery(broker="memory://")
    >>> @app.task
    ... def notify(user_id): ...
    >>> enqueue(session, notify.s(user.id))
    >>> session.commit()
    """
    if not isinstance(session, Session):
        raise TypeError(
            f"session must be an instance of sqlalchemy.orm.Session, not {session!r}; of a scoped_session pass what it"
            " returns when it is called, and of an AsyncSession its sync_session"
        )
    if not isinstance(signature, Signature):
        raise TypeError(f"signature must be a task with its arguments, such as notify.s(user.id), not {signature!r}")
    signature = signature.clone()
    options: dict[str, Any] = signature.options or {}
    serializer = options.get("serializer") or signature.app.conf.task_serializer
    try:
        dumps(signature, serializer=serializer)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise TypeError(
            f"expected arguments that can be sent as {serializer}, such as numbers and strings, not those of"
            f" {signature!r}: {error}"
        ) from error
    ledger_of(session).after_commit(session, _Send(signature, session.info.get(FAILED_SEND_KEY)))


class _Send:
    """Sends a task, and tells what came of it."""

    def __init__(self, signature: Signature, report: Callable[[FailedSend], object] | None) -> None:
        self._signature = signature
        self._report = report

    def __repr__(self) -> str:
        return f"send {self._signature!r}"

    def __call__(self) -> None:
        try:
            self._signature.apply_async()
        except Exception as error:
            extra: dict[str, Any] = {"image_task": self._signature.task}
            logger.exception("could not send %r after the commit", self._signature, extra=extra)
            if self._report is not None:
                self._report(FailedSend(self._signature, error))
