"""Sending a task after the commit; :mod:`sqlalchemy_imageattach.tasks` has it too.

A broker knows nothing of the database's transactions.  Sent before the commit, a task may run before its row is there,
or for a row that never comes.  It must always be true that

- a task is sent once the *root* transaction committed, and never after a rollback, nor from a savepoint that was rolled
  back, nor when the session is closed, nor when the connection broke during the commit;
- once the database has committed, nothing here raises: what cannot be sent is logged and reported.

Any queue will do: what is sent is a task of Celery's, or anything that can be called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy.orm import Session, scoped_session

from ..transactions.info_keys import FAILED_SEND_KEY
from ..transactions.ledger import ledger_of
from ..transactions.sessions import session_behind

try:
    from celery.canvas import Signature
    from kombu.serialization import dumps
except ImportError:
    Signature = None

__all__ = ("FailedSend", "enqueue")

logger = logging.getLogger("sqlalchemy_imageattach")


class FailedSend(NamedTuple):
    """A task that was not sent after a commit.

    ``failure.signature.apply_async()`` tries a task of Celery's again, and ``failure.signature()`` a function.
    """

    #: What :func:`enqueue` was given.
    signature: Any
    error: BaseException


def enqueue(session: Session | scoped_session[Any], signature: Any) -> None:
    """Send a task when the session's transaction has committed, and only then.

    It may be any task of the application's, or a group or chain of them; with another queue than Celery, or none, it is
    a function that sends it: ``partial(queue.enqueue, make_sizes, user.id)``.  In a savepoint, the task is sent once
    the outermost transaction committed.  A session that has joined a transaction of its connection's sends it when that
    one committed, and the connection goes on or is closed.

    What the broker does not take is logged, and the callback under ``Session.info["image_send_failed"]`` is called with
    a :class:`FailedSend`; the commit stands.

    :param session: the session; of an :class:`~sqlalchemy.ext.asyncio.AsyncSession`, its ``sync_session``
    :param signature: the task with its arguments, such as ``notify.s(user.id)``; or a function without arguments
    :raises TypeError: when it is neither, or the arguments cannot be sent

    >>> from functools import partial
    >>> enqueue(session, partial(print, "committed"))
    >>> session.commit()
    committed
    """
    session = session_behind(session)
    if not isinstance(session, Session):
        raise TypeError(
            f"expected an instance of sqlalchemy.orm.Session as session, got {session!r}; of an AsyncSession pass its"
            " sync_session"
        )
    report = session.info.get(FAILED_SEND_KEY)
    if Signature is not None and isinstance(signature, Signature):
        signature = _sendable(signature)
        ledger_of(session).after_commit(session, _Send(signature, signature.apply_async, report))
    elif callable(signature) and not hasattr(signature, "apply_async"):
        ledger_of(session).after_commit(session, _Send(signature, signature, report))
    else:
        raise TypeError(
            "signature must be a task with its arguments, such as notify.s(user.id), or a function without, not"
            f" {signature!r}"
        )


def _sendable(signature: Any) -> Any:
    """A copy of a task that cannot change any more, now that its arguments were looked at."""
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
    return signature


class _Send:
    """Sends a task, and tells what came of it."""

    def __init__(
        self, signature: Any, send: Callable[[], object], report: Callable[[FailedSend], object] | None
    ) -> None:
        self._signature = signature
        self._send = send
        self._report = report

    def __repr__(self) -> str:
        return f"send {self._signature!r}"

    def __call__(self) -> None:
        try:
            self._send()
        except Exception as error:
            extra: dict[str, Any] = {"image_task": getattr(self._signature, "task", repr(self._signature))}
            logger.exception("could not send %r after the commit", self._signature, extra=extra)
            if self._report is not None:
                self._report(FailedSend(self._signature, error))
