"""What a command tells while it runs, and at its end.

What it finds goes to the standard output: a line for each image that something is wrong with, then a line that sums up.
With ``--json`` each of these is one JSON object with an ``event``, the last one ``"end"``.  How far it has come goes to
the standard error: a bar with rate and time left on a terminal, a line every ten seconds elsewhere, and nothing with
``--json``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from enum import IntEnum
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..naming import FileKey

__all__ = ("Ended", "Report", "Status", "described", "printable")

#: Seconds between two lines that tell how far a command has come, where there is no terminal.
INTERVAL = 10.0


class Status(IntEnum):
    """How a command ended, for the shell."""

    #: All was done, and nothing is wrong.
    FINE = 0
    #: All was gone through; images failed, or something was found, and is on the standard output.
    FOUND = 1
    #: Wrong usage: nothing was done.
    USAGE = 2
    #: It could not go on: a database or a disk gave out.  What was done is whole.
    STOPPED = 3
    #: A defect, of this library or of the models: there is a traceback.
    DEFECT = 70
    #: Ctrl-C.  What was done is whole.
    INTERRUPTED = 130


class Ended(Exception):
    """Raised where a command has ended before its end, and has told why as far as anybody listens."""

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
        self._began_at = self._told_at = time.monotonic()

    def __enter__(self) -> Self:
        # An older one prints an empty line at its end, even where it is disabled.
        if self._is_live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._bar.stop()

    @property
    def is_silent(self) -> bool:
        """Whether nobody is told how far it has come, so that nothing need be counted for that."""
        return self.as_json

    def begin(self, step: str, total: Callable[[], int]) -> None:
        """Begin a step, unless it goes on already.

        :param step: what is done in it
        :param total: tells how much there is to do, about; asked only where somebody is told
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
        told = [json.dumps({"event": event, **fields})] if self.as_json else map(printable, lines)
        try:
            print(*told, sep="\n", flush=True)
        except BrokenPipeError:
            # Who read it has enough; the interpreter would find that out once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Ended(Status.STOPPED) from None

    def fail(self, key: FileKey, error: Exception) -> None:
        """Tell of an image that something could not be done with.

        :param key: the image's
        :param error: what went wrong
        """
        reason = str(error) or type(error).__name__
        self.find("failed", f"failed: {described(key)}: {reason}", key=key._asdict(), error=reason)

    def note(self, line: str) -> None:
        """Tell people something about the run itself, on the standard error.

        :param line: a sentence
        """
        if self._is_live:
            self._bar.console.print(Text(printable(line)))
        else:
            print(printable(line), file=sys.stderr, flush=True)

    def end(self, status: Status, line: str, **fields: Any) -> Status:
        """Tell how it ended; the last thing on the standard output.

        :param status: the exit status
        :param line: for people
        :param fields: for programs
        :returns: the status
        """
        if self._is_live:
            self._bar.stop()
        self.show("end", [line], status=int(status), **fields)
        return status


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def described(key: FileKey) -> str:
    """Describe an image for people.

    >>> described(FileKey("user-picture", 1, 640, 480, "image/png", "k3v9q2"))
    'user-picture 1, 640x480, image/png, k3v9q2'
    """
    object_type, object_id, width, height, mimetype, revision = key
    return f"{object_type} {object_id}, {width}x{height}, {mimetype}{f', {revision}' if revision else ''}"


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
