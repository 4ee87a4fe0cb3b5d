"""Deleting the thumbnails of a size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from ..bulk.thumbnails import drop_thumbnails
from ..store import Store
from ..transactions import FAILED_DELETE_KEY, FailedDelete
from .endings import ending
from .report import Report, Status

__all__ = ("drop",)


def drop(
    sessions: Sequence[Session],
    chosen: Any,
    store: Store,
    widths: Sequence[int],
    heights: Sequence[int],
    report: Report,
) -> Status:
    """Delete thumbnails.

    :param sessions: sessions without a transaction
    :param chosen: the declarative base, or an image class
    :param store: the store
    :param widths: pixels
    :param heights: pixels
    :param report: where to say what failed
    :returns: the exit status
    """
    dropped = 0

    def failed(failure: FailedDelete) -> None:
        reason = str(failure.error)
        report.find("failed", f"failed: {failure.key}: {reason}", key=failure.key._asdict(), error=reason)

    def end(status: Status) -> Status:
        number = report.counts["failed"]
        if number:
            report.note("Their rows are gone: audit --sweep removes the files.")
        return report.end(status, f"{dropped:,} dropped, {number:,} failed", dropped=dropped, failed=number)

    for session in sessions:
        session.info[FAILED_DELETE_KEY] = failed
    with ending(report, end, "Run the same again."):
        dropped = drop_thumbnails(sessions, chosen, store, widths=widths, heights=heights)
    return end(Status.FOUND if report.counts["failed"] else Status.FINE)
