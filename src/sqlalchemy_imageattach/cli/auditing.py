"""Audits: showing what does not agree, and removing what has no row."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from .. import audit
from ..store import Store, StoredFile
from .report import Report, Status, plain

__all__ = ("sweep", "verify")

_STEPS = {"files": "listing files", "rows": "reading rows", "looks": "looking into files"}


def verify(
    sessions: Sequence[Session],
    chosen: Any,
    store: Store,
    grace: datetime.timedelta,
    probe: bool,
    report: Report,
    total: Callable[[], int],
) -> Status:
    """Print what does not agree, both ways; nothing is changed.

    :param sessions: sessions without a transaction
    :param chosen: the declarative base, or an image class
    :param store: the store
    :param grace: files without a row that are younger are left out
    :param probe: whether to look into the files
    :param report: where to print
    :param total: counts the rows
    :returns: the exit status
    """
    progress = _Progress(report, total)
    for finding in audit.verify(sessions, chosen, store, probe=probe, older_than=grace, on_progress=progress):
        row = None if finding.row is None else {"class": finding.row[0].__name__, "key": [*map(plain, finding.row[1])]}
        key = None if finding.key is None else finding.key._asdict()
        report.find(finding.kind, str(finding), reason=finding.reason, key=key, row=row, name=finding.name)
    counts = {kind: report.counts[kind] for kind in ("missing", "unreadable", "mismatch", "orphan", "debris")}
    line = ", ".join(f"{number:,} {kind}" for kind, number in counts.items())
    line = f"{report.looked['rows']:,} rows, {report.looked['files']:,} files: {line}"
    return report.end(Status.FOUND if report.counts else Status.FINE, line, **report.looked, **counts)


def sweep(
    sessions: Sequence[Session],
    chosen: Any,
    store: Store,
    grace: datetime.timedelta,
    variants_made_before: datetime.datetime | None,
    dry_run: bool,
    limit: float,
    require_known_types: bool,
    report: Report,
    total: Callable[[], int],
) -> Status:
    """Remove files that have no row, or print which ones.

    :param sessions: sessions without a transaction
    :param chosen: the declarative base, or an image class
    :param store: the store
    :param grace: files that are younger are left out
    :param variants_made_before: when variants were made that are removed, too
    :param dry_run: whether to remove nothing
    :param limit: which share of the files may be removed
    :param require_known_types: whether files of unknown types are an error
    :param report: where to print
    :param total: counts the rows
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

    swept = audit.sweep(
        sessions,
        chosen,
        store,
        grace,
        dry_run,
        limit=limit,
        variants_made_before=variants_made_before,
        require_known_types=require_known_types,
        callback=removed,
        on_error=failed,
        on_progress=progress,
    )
    line = f"{swept.rows:,} rows, {swept.listed:,} files: {swept.files:,} {event}, {swept.bytes:,} bytes"
    line += f", {swept.failed:,} failed"
    for name, number in swept.unknown_types.items():
        report.note(f"{number:,} files of the object type {name!r} were left alone: no class of the models has it.")
    for name, number in swept.unread_types.items():
        report.note(f"{number:,} files of the object type {name!r} were left alone: a row does not tell its own.")
    if swept.foreign:
        names = ", ".join(swept.foreign_names)
        report.note(f"{swept.foreign:,} files, folders and links of others were left alone, such as {names}.")
    if dry_run and swept.files:
        share = (
            "" if swept.files <= limit * swept.listed else f", with --limit {swept.files / swept.listed:.2g} or more"
        )
        report.note(f"Nothing was removed: --no-dry-run does it{share}.")
    is_found = swept.failed or (dry_run and swept.files)
    fields = {
        "rows": swept.rows,
        "listed": swept.listed,
        "files": swept.files,
        "bytes": swept.bytes,
        "failed": swept.failed,
        "unknown_types": swept.unknown_types,
        "unread_types": swept.unread_types,
        "foreign": swept.foreign,
        "dry_run": dry_run,
    }
    return report.end(Status.FOUND if is_found else Status.FINE, line, **fields)


class _Progress:
    """Each step of an audit goes over about as many files as there are rows."""

    def __init__(self, report: Report, total: Callable[[], int]) -> None:
        self._report = report
        self._total = total
        # Not while a step is going on: a query then would be one in the middle of its own.
        self._counted: int | None = None

    def __call__(self, step: str, done: int) -> None:
        if step in self._report.looked:
            self._report.looked[step] = done
        self._report.begin(_STEPS[step], self._count)
        self._report.advance(done)

    def _count(self) -> int:
        if self._counted is None:
            self._counted = self._total()
        return self._counted
