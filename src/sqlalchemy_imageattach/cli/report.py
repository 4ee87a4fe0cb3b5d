"""What a command prints while it runs, and at its end.

What it finds goes to the standard output: a line for each image that something is wrong with, then a line that sums up.
With ``--json`` each of these is one JSON object with an ``event``, the last one ``"end"``.  How far it has come goes to
the standard error: a bar with rate and time left on a terminal, a line every ten seconds elsewhere, and nothing with
``--json``.  It must always be true that

- what the encoding of the output lacks is spelled out, and what would control a terminal, too;
- an output that takes no more, such as a pipe that was closed or a disk that is full, ends the command quietly.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from enum import IntEnum
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy import inspect

from ..concurrency import outcome_of
from ..entity import Image
from ..naming import FileKey

__all__ = ("Ended", "Report", "Status", "plain")

#: Seconds between two lines that tell how far a command has come, where there is no terminal.
INTERVAL = 10.0


class Status(IntEnum):
    """How a command ended, for the shell."""

    #: All was done, and nothing is wrong.
    FINE = 0
    #: All was gone through; images failed, or something was found, and is on the standard output.
    FOUND = 1
    #: Wrong usage, or a request that is not safe: nothing was done.
    USAGE = 2
    #: It could not go on: a database, a disk or the output gave out.  What was done is whole.
    STOPPED = 3
    #: A defect, of this library or of the models: there is a traceback.  What was done is whole.
    DEFECT = 70
    #: Ctrl-C.  What was done is whole.
    INTERRUPTED = 130
    #: SIGTERM.  What was done is whole.
    TERMINATED = 143


class Ended(Exception):
    """Raised where a command has ended before its end, and has said why as far as the outputs take it."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


class Report:
    """What a command tells, as a context manager around what it does.

    :param as_json: whether for programs
    :param unit: what is counted, such as ``"images"``
    """

    def __init__(self, as_json: bool, unit: str = "images") -> None:
        self.as_json = as_json
        #: How many images there were of each kind, for the end.
        self.counts: Counter[str] = Counter()
        #: How many rows and files were looked at.
        self.looked = {"rows": 0, "files": 0}
        self._unit = unit
        console = Console(stderr=True)
        self._is_live = console.is_terminal and not as_json
        # Lines for a terminal are printed above the bar; lines for a file or a pipe are none of its business.
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=False,
        )
        self._step = ""
        self._total = 0
        self._done = 0
        self._began_at = self._told_at = self._opened_at = time.monotonic()

    def __enter__(self) -> Self:
        # An older one prints an empty line at its end, even where it is disabled.
        if self._is_live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            with contextlib.suppress(OSError):
                self._bar.stop()

    @property
    def is_silent(self) -> bool:
        """Whether it does not say how far it has come, so that nothing need be counted for that."""
        return self.as_json

    def begin(self, step: str, total: Callable[[], int]) -> None:
        """Begin a step, unless it goes on already.

        :param step: what is done in it
        :param total: counts about how much there is to do; called only where that is printed
        """
        if step == self._step or self.is_silent:
            return
        self._step, self._total, self._done = step, total(), 0
        self._began_at = self._told_at = time.monotonic()
        if self._is_live:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(step, total=self._total)

    def advance(self, done: int | None = None) -> None:
        """Tell that one more is done.

        :param done: or how many there are by now
        """
        self._done = self._done + 1 if done is None else done
        if self._is_live:
            for task in self._bar.task_ids:
                self._bar.update(task, completed=self._done)
            return
        now = time.monotonic()
        if not self.is_silent and now - self._told_at >= INTERVAL:
            self._told_at = now
            rate = self._done / (now - self._began_at)
            left = max(0, self._total - self._done) / rate
            self.note(
                f"{self._step}: {self._done:,} of {self._total:,} {self._unit}, {rate:,.0f}/s, {_duration(left)} left"
            )

    def find(self, event: str, line: str, **fields: Any) -> None:
        """Tell of an image, or a file, that something is wrong with, and count it.

        :param event: what it is
        :param line: for people
        :param fields: for programs
        """
        self.counts[event] += 1
        self.show(event, [line], **fields)

    def show(self, event: str, lines: Sequence[str], **fields: Any) -> None:
        """Print something on the standard output.

        :param event: what it is
        :param lines: for people
        :param fields: for programs
        """
        printed = [json.dumps({"event": event, **fields})] if self.as_json else map(printable, lines)
        try:
            print(*printed, sep="\n", flush=True)
        except OSError as error:
            silence(sys.stdout)
            # Who reads a pipe and closes it has enough.
            if not isinstance(error, BrokenPipeError):
                self.note(f"Error: the output takes no more: {error.strerror}.")
            raise Ended(Status.STOPPED) from None

    def fail(self, image: Image, error: Exception) -> None:
        """Tell of an image that something could not be done with.

        :param image: the image
        :param error: what went wrong
        """
        reason = str(error) or type(error).__name__
        state: Any = inspect(image)
        row = {"class": type(image).__name__, "key": [*map(plain, state.identity)]}
        key, _ = outcome_of(FileKey.of, image)  # pyright: ignore[reportArgumentType]
        what = f"{row['class']} {', '.join(map(str, state.identity))}" if key is None else str(key)
        self.find(
            "failed", f"failed: {what}: {reason}", key=None if key is None else key._asdict(), row=row, error=reason
        )

    def note(self, line: str) -> None:
        """Tell people something about the run itself, on the standard error.

        :param line: a sentence
        """
        try:
            if self._is_live:
                self._bar.console.print(Text(printable(line)))
            else:
                print(printable(line), file=sys.stderr, flush=True)
        except OSError:
            silence(sys.stderr)

    def end(self, status: Status, line: str, **fields: Any) -> Status:
        """Tell how it ended; the last thing on the standard output.

        :param status: the exit status
        :param line: for people
        :param fields: for programs
        :returns: the status
        """
        if self._is_live:
            with contextlib.suppress(OSError):
                self._bar.stop()
        seconds = round(time.monotonic() - self._opened_at, 3)
        self.show("end", [line], status=int(status), **fields, seconds=seconds)
        return status


def plain(value: Any) -> int | str:
    """Spell a part of a primary key as JSON can hold it.

    >>> plain(7), plain(None)
    (7, 'None')
    """
    return value if isinstance(value, int | str) else str(value)


def silence(stream: TextIO) -> None:
    """Write what is still to come to nowhere; else the interpreter would fail with it once more at its end.

    :param stream: the standard output, or the standard error
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def printable(text: str) -> str:
    """Spell out what would control a terminal, as names of files and what servers say may.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
