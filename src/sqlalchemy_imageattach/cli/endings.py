"""How a command begins where an earlier one was stopped, and how it ends before its end.

It must always be true that

- what is wrong with the request is found out before anything is done, and is wrong usage;
- whatever ends a command in the middle, its last line says what was done, and how to go on if that helps;
- a request to stop is not taken for the failure of an image.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Mapper, Session

from ..bulk.checkpoint import Checkpoint
from ..bulk.keys import ALL_KEYS
from ..bulk.stretches import rows_left, rows_passed, stretches
from ..entity import Image
from ..exc import CheckpointError, UnsafeSweepError
from .arguments import without_secrets
from .report import Ended, Report, Status

__all__ = ("Ahead", "Terminated", "checked", "ending", "fail_image")

# What is about a whole store, and not about one of its images.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM, which is as good as Ctrl-C."""


class Ahead:
    """The rows that a command goes over.

    :param kept: the file of its checkpoint, if there is one
    :param job: what the job is
    :param sessions: in which databases
    :param mappers: of which classes
    :param originals: whether only originals are meant
    """

    def __init__(
        self,
        kept: Path | None,
        job: Mapping[str, Any],
        sessions: Sequence[Session],
        mappers: Sequence[Mapper[Any]],
        *,
        originals: bool = False,
    ) -> None:
        with checked(), Checkpoint(kept, job, is_kept=False) as checkpoint:
            self._is_going_on = checkpoint.is_gone_on_from
            self._stretches = stretches(sessions, mappers, ALL_KEYS, checkpoint, originals=originals)
        self._kept = kept
        #: How many rows are behind the checkpoint, and count as done.
        self.passed_over = 0

    def look(self, report: Report) -> None:
        """Say what counts as done.

        :param report: where to say it
        """
        if not self._is_going_on:
            return
        self.passed_over = rows_passed(self._stretches)
        if not report.as_json:
            report.note(f"Going on from {self._kept}: {self.passed_over:,} rows before it count as done.")

    def count(self) -> int:
        """Count the rows.

        :returns: how many there are
        """
        return rows_left(self._stretches)


@contextmanager
def checked() -> Iterator[None]:
    """Take what is refused before anything is done for wrong usage.

    :returns: a context manager
    """
    try:
        yield
    except (ValueError, NotImplementedError) as error:
        raise click.UsageError(without_secrets(str(error))) from error
    except OSError as error:
        raise click.UsageError(without_secrets(error.strerror or str(error))) from error


@contextmanager
def ending(report: Report, end: Callable[[Status], Status], advice: str) -> Iterator[None]:
    """End a command that cannot go on: with a sentence, its last line, and a status.

    :param report: where to say it
    :param end: prints the last line
    :param advice: how to go on
    :returns: a context manager
    """
    try:
        yield
    except Terminated:
        why, status = "Terminated.", Status.TERMINATED
    except KeyboardInterrupt:
        why, status = "Interrupted.", Status.INTERRUPTED
    except (CheckpointError, UnsafeSweepError) as error:
        raise click.UsageError(without_secrets(str(error))) from error
    except (SQLAlchemyError, OSError, NotImplementedError) as error:
        why, status = _reason(error), Status.STOPPED
        if _is_lasting(error):
            advice = ""
    except (Ended, click.ClickException):
        raise
    except Exception:
        report.note("A defect ended it.")
        end(Status.DEFECT)
        raise
    else:
        return
    report.note(f"{why} {advice}".rstrip())
    end(status)
    raise Ended(status)


def fail_image(report: Report, image: Image, error: Exception) -> None:
    """Report the failure of one image, unless it is one of the store.

    :param report: where to report it
    :param image: the image
    :param error: what went wrong
    :raises OSError: when the store is full or cannot be written to
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        raise error
    report.fail(image, error)


def _is_lasting(error: Exception) -> bool:
    """Whether it would be the same the next time: a table that is not there, a store that cannot do it."""
    if isinstance(error, DBAPIError):
        return isinstance(error, ProgrammingError) or "no such " in str(error.orig)
    return isinstance(error, NotImplementedError)


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = " ".join([*str(cause).split(), *getattr(error, "__notes__", [])]) or type(cause).__name__
    return f"Error: {without_secrets(text).rstrip('.')}."
