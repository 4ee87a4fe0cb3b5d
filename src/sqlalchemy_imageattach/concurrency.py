"""How blocking work is run: here, in threads, or off the event loop.

Stores and decoders are plain blocking code.  Under :class:`~sqlalchemy.ext.asyncio.AsyncSession` that code runs inside
one of SQLAlchemy's greenlets; there :func:`call` hands it to a thread and lets the event loop go on.  It must always be
true that

- a call that was started is finished before its caller goes on, even when the task is cancelled: otherwise a file could
  arrive after the transaction that it belongs to was undone;
- the caller gets the error, at the place of the call;
- what runs in a thread sees the context variables of its caller: the current store, the current span of a trace.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy.util.concurrency import await_only, greenlet_spawn, in_greenlet

__all__ = (
    "call",
    "call_all",
    "run",
    "side_by_side",
)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function without ever blocking an event loop.

    :param function: what to call, with the arguments that follow
    :returns: what it returns
    :raises BaseException: what it raises

    >>> call(divmod, 7, 2)
    (3, 1)
    """
    # Where greenlet was not imported, and it need not be installed, nobody is in one.
    if sys.modules.get("greenlet") is not None and in_greenlet():
        return cast("T", await_only(_in_thread(lambda: function(*args, **kwargs))))
    return function(*args, **kwargs)


def call_all(
    functions: Sequence[Callable[[], object]], workers: int, *, until_error: bool = False
) -> list[BaseException | None]:
    """Call blocking functions side by side, and wait for all of them.

    :param functions: what to call, without arguments
    :param workers: how many run at once, at the most
    :param until_error: whether none is called any more once one has raised an error
    :returns: for each function the error that it raised, or ``None``

    >>> call_all([lambda: 1, lambda: 1 // 0], workers=2)
    [None, ZeroDivisionError('integer division or modulo by zero')]
    """
    if not functions:
        return []
    return call(_call_all, functions, workers, until_error)


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a function that may use an :class:`~sqlalchemy.ext.asyncio.AsyncSession`'s session and blocking work.

    :param function: what to call, with the arguments that follow
    :returns: what it returns
    :raises BaseException: what it raises

    >>> import asyncio
    >>> asyncio.run(run(call, divmod, 7, 2))
    (3, 1)
    """
    return await greenlet_spawn(lambda: function(*args, **kwargs))


def _call_all(functions: Sequence[Callable[[], object]], workers: int, until_error: bool) -> list[BaseException | None]:
    has_failed = False

    def error_of(function: Callable[[], object]) -> BaseException | None:
        nonlocal has_failed
        if until_error and has_failed:
            return None
        try:
            function()
        except BaseException as error:
            has_failed = True
            return error
        return None

    workers = min(workers, len(functions))
    if workers <= 1:
        return [error_of(function) for function in functions]
    with ThreadPoolExecutor(workers, thread_name_prefix="imageattach") as pool:
        # Each worker takes a share at once: a future for each file would cost more than writing a small file does.
        shares = pool.map(
            lambda start, context: context.run(lambda: [error_of(function) for function in functions[start::workers]]),
            range(workers),
            [contextvars.copy_context() for _ in range(workers)],
        )
        errors: list[BaseException | None] = [None] * len(functions)
        for start, share in enumerate(shares):
            errors[start::workers] = share
    return errors


async def _in_thread(function: Callable[[], Any]) -> Any:
    work = asyncio.ensure_future(asyncio.to_thread(function))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                continue
        work.exception()  # the cancellation is what the caller hears of
        raise


def side_by_side(
    function: Callable[[T], R], items: Iterable[T], workers: int
) -> Generator[tuple[T, R | None, Exception | None]]:
    """Call a blocking function for each of any number of items, a few at once, and tell the results in order.

    Closing the generator waits for the calls that were started.

    :param function: what to call; in threads, unless ``workers`` is 1
    :param items: taken as there is room for them
    :param workers: how many calls run at once, at the most
    :returns: a generator of each item with its result, or with the error that its call raised
    """
    if workers == 1:
        for item in items:
            yield item, *call(_outcome, function, item)
        return
    running: deque[tuple[T, Future[tuple[R | None, Exception | None]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="imageattach") as pool:
        try:
            for item in items:
                running.append((item, pool.submit(_outcome, function, item)))
                # More than run at once, so that one slow call at the head does not leave the others without work.
                if len(running) >= 4 * workers:
                    yield _finished(*running.popleft())
            while running:
                yield _finished(*running.popleft())
        finally:
            for _, future in running:
                future.cancel()


def _outcome(function: Callable[[T], R], item: T) -> tuple[R | None, Exception | None]:
    try:
        return function(item), None
    except Exception as error:
        return None, error


def _finished(item: T, future: Future[tuple[R | None, Exception | None]]) -> tuple[T, R | None, Exception | None]:
    call(wait, [future])
    return item, *future.result()
