"""Who makes variants: a few threads, one at a time for each file, and a line of those who wait.

It must always be true that

- the first that asks makes a file, once; the others wait for the same end, good or bad;
- what runs at once is bounded by threads and by pixels, and so is how many wait: the rest is refused at once;
- a request that has waited too long goes away, and the making goes on for the next one;
- a forked child begins with a line of its own.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import NamedTuple

__all__ = ("Full", "Line")


class Full(Exception):
    """Raised when too many wait already."""


class _Job(NamedTuple):
    name: Hashable
    pixels: int
    function: Callable[[], object]
    future: Future[None]


class Line:
    """Calls functions side by side, as many as there are processors, one for each name.

    :param workers: how many at once
    :param max_pixels: how many pixels are made at once; a larger picture is made alone
    :param max_waiting: how many functions may wait to be called

    >>> line = Line(workers=1, max_pixels=1_000_000, max_waiting=10)
    >>> line.enter("name", 64, lambda: print("made")).result()
    made
    """

    def __init__(self, workers: int, max_pixels: int, max_waiting: int) -> None:
        self._workers = workers
        self._max_pixels = max_pixels
        self._max_waiting = max_waiting
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._running = 0
        self._pixels = 0

    def enter(self, name: Hashable, pixels: int, function: Callable[[], object]) -> Future[None]:
        """Have a function called, unless one of the same name is waiting or running.

        :param name: what it makes
        :param pixels: how many
        :param function: what to call, in another thread
        :returns: what ends as the function does
        :raises Full: when too many wait
        """
        if self._process != os.getpid():
            self._reset()
        with self._lock:
            if name in self._jobs:
                return self._jobs[name].future
            if len(self._waiting) >= self._max_waiting:
                raise Full
            context = contextvars.copy_context()
            job = _Job(name, pixels, lambda: context.run(function), Future())
            self._jobs[name] = job
            self._waiting.append(job)
            self._start()
        return job.future

    def _start(self) -> None:
        """Start what may run; first come, first served, so that a large picture is not passed by for ever."""
        while self._waiting and self._running < self._workers:
            if self._running and self._pixels + self._waiting[0].pixels > self._max_pixels:
                return
            job = self._waiting.popleft()
            self._running += 1
            self._pixels += job.pixels
            # A thread costs a thousandth of what it does, and an idle pool would keep processes from ending.
            threading.Thread(target=self._run, args=(job,), name="imageattach-variant", daemon=True).start()

    def _run(self, job: _Job) -> None:
        error: BaseException | None = None
        try:
            job.function()
        except BaseException as raised:
            error = raised
        with self._lock:
            del self._jobs[job.name]
            self._running -= 1
            self._pixels -= job.pixels
            self._start()
        if error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(error)
