"""How blocking code is run: here, in threads, or beside the event loop.

Stores and decoders are plain blocking code.  Under :class:`~sqlalchemy.ext.asyncio.AsyncSession` that code runs inside
one of SQLAlchemy's greenlets; there :func:`call` hands it to a thread and lets the event loop go on.  It must always be
true that

- a call that was started is finished before its caller goes on, even when the task is cancelled: otherwise a file could
  arrive after the transaction that it belongs to was undone;
- that waiting costs nothing, however often the task is cancelled;
- the caller gets the error, at the place of the call;
- what runs in a thread sees the context variables of its caller: the current store, the current span of a trace.  So
  all threads of this library come from :func:`thread_pool` and :func:`in_thread`.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy.util.concurrency import await_only, greenlet_spawn, in_greenlet

__all__ = (
    "call",
    "call_all",
    "in_thread",
    "is_request_to_stop",
    "outcome_of",
    "run",
    "side_by_side",
    "thread_pool",
)

_END: Any = object()

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function without ever blocking an event loop.

    :param function: what to call, with the arguments that follow
    :returns: what it returns
    :raises BaseException: what it raises

    >>> call(divmod, 7, 2)
    (3, 1)
    """
    # Without greenlet, which is an optional dependency, there is no greenlet to be in.
    if sys.modules.get("greenlet") is not None and in_greenlet():
        return await_only(in_thread(function, *args, **kwargs))
    return function(*args, **kwargs)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a blocking function, which runs in a thread; it has ended when this ends, cancelled or not.

    :param function: what to call, with the arguments that follow
    :returns: what it returns
    :raises BaseException: what it raises

    >>> asyncio.run(in_thread(divmod, 7, 2))
    (3, 1)
    """
    # Not a task: the end of the program cancels all tasks, and would not wait for the thread of this one.
    future = asyncio.get_running_loop().run_in_executor(
        None, contextvars.copy_context().run, lambda: function(*args, **kwargs)
    )
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        with _without_cancellation():
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
        future.exception()  # the caller gets the cancellation instead
        raise


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a function that may use an :class:`~sqlalchemy.ext.asyncio.AsyncSession`'s session and blocking code.

    :param function: what to call, with the arguments that follow
    :returns: what it returns
    :raises BaseException: what it raises

    >>> asyncio.run(run(call, divmod, 7, 2))
    (3, 1)
    """
    return await greenlet_spawn(lambda: function(*args, **kwargs))


def thread_pool(workers: int) -> Executor:
    """Make a pool of threads in which each call sees the context variables of the code that submitted it.

    :param workers: how many calls run at once, at the most
    :returns: the pool, a context manager that waits for all calls

    >>> name = contextvars.ContextVar("name", default="nothing")
    >>> with thread_pool(2) as pool:
    ...     _ = name.set("something")
    ...     pool.submit(name.get).result()
    'something'
    """
    return _ContextPool(workers, thread_name_prefix="imageattach")


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


def side_by_side(
    function: Callable[[T], R], items: Iterable[T], workers: int
) -> Generator[tuple[T, R | None, Exception | None]]:
    """Call a blocking function for each of any number of items, a few at once, and yield the results in order.

    The calls run in threads, also where there is one worker: what is raised in the caller's thread meanwhile, by a
    signal or by Celery's soft time limit, is a request to stop, and never the failure of an item.  Closing the
    generator waits for the calls that were started.

    :param function: what to call
    :param items: taken as there is room for them
    :param workers: how many calls run at once, at the most
    :returns: a generator of each item with its result, or with the error that its call raised

    >>> list(side_by_side(abs, [-1, "text"], workers=2))
    [(-1, 1, None), ('text', None, TypeError("bad operand type for abs(): 'str'"))]
    """
    # More than run at once, so that one slow call at the head does not leave the others without anything to do; but
    # where there are no others, nothing is done ahead of what was asked for.
    ahead = 4 * workers if workers > 1 else 1
    running: deque[tuple[T, Future[tuple[R | None, Exception | None]]]] = deque()
    pool = thread_pool(workers)
    try:
        source, error = iter(items), None
        while error is None:
            item, error = outcome_of(next, source, _END)
            if error is not None or item is _END:
                break
            running.append((cast("T", item), pool.submit(outcome_of, function, cast("T", item))))
            if len(running) >= ahead:
                yield _finished(*running.popleft())
        # What was started is done, also where there will be no more.
        while running:
            yield _finished(*running.popleft())
        if error is not None:
            raise error
    finally:
        call(pool.shutdown, cancel_futures=True)


def outcome_of(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> tuple[R | None, Exception | None]:
    """Call a function for which to fail is a result.

    :param function: what to call, with the arguments that follow
    :returns: what it returned, or the error that it raised
    :raises BaseException: a request to stop

    >>> outcome_of(divmod, 1, 0)
    (None, ZeroDivisionError(...))
    """
    try:
        return function(*args, **kwargs), None
    except Exception as error:
        if is_request_to_stop(error):
            raise
        return None, error


def is_request_to_stop(error: BaseException) -> bool:
    """Tell whether an error was raised to end what goes on, and says nothing about it.

    :param error: any error
    :returns: true for :exc:`KeyboardInterrupt` and its like, and for the soft time limit of Celery's tasks

    >>> is_request_to_stop(KeyboardInterrupt()), is_request_to_stop(OSError())
    (True, False)
    """
    # Celery raises an Exception, in the middle of anything.
    billiard: Any = sys.modules.get("billiard.exceptions")
    return not isinstance(error, Exception) or (
        billiard is not None and isinstance(error, billiard.SoftTimeLimitExceeded)
    )


class _ContextPool(ThreadPoolExecutor):
    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        context = contextvars.copy_context()
        return super().submit(lambda: context.run(function, *args, **kwargs))


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
    errors: list[BaseException | None] = [None] * len(functions)
    with thread_pool(workers) as pool:
        # Each worker takes a share at once: a future for each file would cost more than writing a small file does.
        shares = pool.map(lambda start: [error_of(function) for function in functions[start::workers]], range(workers))
        for start, share in enumerate(shares):
            errors[start::workers] = share
    return errors


def _finished(item: T, future: Future[tuple[R | None, Exception | None]]) -> tuple[T, R | None, Exception | None]:
    return item, *call(future.result)


def _without_cancellation() -> AbstractContextManager[Any]:
    # AnyIO cancels a task again in each turn of the event loop until the task has ended, unless it is shielded.
    anyio = sys.modules.get("anyio")
    return nullcontext() if anyio is None else cast("AbstractContextManager[Any]", anyio.CancelScope(shield=True))
