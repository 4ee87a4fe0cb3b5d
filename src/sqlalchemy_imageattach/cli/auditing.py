"""Audits: what does not agree is told, or what has no row is removed."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from .. import audit
from ..store import Store, StoredFile
from .report import Report, Status

__all__ = ("sweep", "verify")

_STEPS = {"files": "listing files", "rows": "reading rows", "looks": "looking into files"}


def verify(
    session: Session,
    chosen: Any,
    store: Store,
    grace: datetime.timedelta,
    probe: bool,
    report: Report,
    total: Callable[[], int],
) -> Status:
    """Tell what does not agree, both ways; nothing is changed.

    :param session: a session without a transaction
    :param chosen: the declarative base, or an image class
    :param store: the store
    :param grace: files without a row that are younger are left out
    :param probe: whether to look into the files
    :param report: who is told
    :param total: tells how many rows there are
    :returns: the exit status
    """
    progress = _Progress(report, total)
    for finding in audit.verify(session, chosen, store, probe=probe, older_than=grace, on_progress=progress):
        row = None if finding.row is None else {"class": finding.row[0].__name__, "key": [*map(_plain, finding.row[1])]}
        key = None if finding.key is None else finding.key._asdict()
        report.find(finding.kind, str(finding), reason=finding.reason, key=key, row=row, name=finding.name)
    counts = {kind: report.counts[kind] for kind in ("missing", "unreadable", "mismatch", "orphan", "debris")}
    line = ", ".join(f"{number:,} {kind}" for kind, number in counts.items())
    return report.end(Status.FOUND if report.counts else Status.FINE, line, **counts)


def sweep(
    session: Session,
    chosen: Any,
    store: Store,
    grace: datetime.timedelta,
    dry_run: bool,
    report: Report,
    total: Callable[[], int],
) -> Status:
    """Remove files that have no row, or tell which ones.

    :param session: a session without a transaction
    :param chosen: the declarative base, or an image class
    :param store: the store
    :param grace: files that are younger are left out
    :param dry_run: whether to remove nothing
    :param report: who is told
    :param total: tells how many rows there are
    :returns: the exit status
    """
    progress = _Progress(report, total)
    event = "removable" if dry_run else "removed"

    def removed(file: StoredFile) -> None:
        key = None if file.key is None else file.key._asdict()
        report.find(event, f"{event}: {file.name}, {file.size:,} bytes", name=file.name, bytes=file.size, key=key)

    def failed(file: StoredFile, error: Exception) -> None:
        reason = str(error)
        report.find("failed", f"failed: {file.name}: {reason}", name=file.name, bytes=file.size, error=reason)

    swept = audit.sweep(session, chosen, store, grace, dry_run, callback=removed, on_error=failed, on_progress=progress)
    line = f"{swept.files:,} {event}, {swept.bytes:,} bytes, {report.counts['failed']:,} failed"
    if dry_run and swept.files:
        report.note("Nothing was removed: --no-dry-run does it.")
    is_found = report.counts["failed"] or (dry_run and swept.files)
    fields = {"files": swept.files, "bytes": swept.bytes, "failed": report.counts["failed"], "dry_run": dry_run}
    return report.end(Status.FOUND if is_found else Status.FINE, line, **fields)


class _Progress:
    """Each step of an audit goes over about as many files as there are rows."""

    def __init__(self, report: Report, total: Callable[[], int]) -> None:
        self._report = report
        self._total = total
        # Not while a step is going on: a query then would be one in the middle of its own.
        self._counted: int | None = None

    def __call__(self, step: str, done: int) -> None:
        self._report.begin(_STEPS[step], self._count)
        self._report.advance(done)

    def _count(self) -> int:
        if self._counted is None:
            self._counted = self._total()
        return self._counted


def _plain(value: Any) -> int | str:
    """A part of a primary key, as JSON can hold it."""
    return value if isinstance(value, int | str) else str(value)
