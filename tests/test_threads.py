"""Blocking code sees its caller's context, ends before its caller goes on, and keeps no event loop busy."""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import io
import selectors
import threading
from collections.abc import Callable

import anyio
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from models import Base, User, UserPicture, picture, rows, stored
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.bulk.thumbnails import make_thumbnails
from sqlalchemy_imageattach.concurrency import call, call_all, in_thread, run, side_by_side, thread_pool
from sqlalchemy_imageattach.context import current_store, store_context
from sqlalchemy_imageattach.migration import migrate
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore

name = contextvars.ContextVar("name", default="nothing")


class CountingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]  # one class for each system
    """Counts the turns of an event loop."""

    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        return super().select(timeout)


def names_by_call_all() -> list[str]:
    names: list[str] = []
    call_all([lambda: names.append(name.get())] * 3, 2)
    return names


def names_by_side_by_side() -> list[str | None]:
    return [found for _, found, _ in side_by_side(lambda _: name.get(), range(3), 2)]


def names_by_thread_pool() -> list[str]:
    with thread_pool(2) as pool:
        return list(pool.map(lambda _: name.get(), range(3)))


def names_by_in_thread() -> list[str]:
    return [asyncio.run(in_thread(name.get)) for _ in range(3)]


@pytest.mark.parametrize("names", [names_by_call_all, names_by_side_by_side, names_by_thread_pool, names_by_in_thread])
def test_what_runs_in_a_thread_sees_the_context_of_its_caller(names: Callable[[], list[str]]) -> None:
    contextvars.Context().run(name.set, "another caller's")
    assert contextvars.copy_context().run(lambda: (name.set("the caller's"), names())[1]) == ["the caller's"] * 3


CURRENT = HttpExposedStore(current_store)


def put_more(session: Session) -> None:
    for number in range(4, 8):
        user = User(id=number)
        user.picture.from_blob(picture(8, 6), store=CURRENT)
        session.add(user)
    session.commit()


def delete_all(session: Session) -> None:
    for image in session.query(UserPicture):
        session.delete(image)
    session.commit()


@pytest.mark.parametrize(
    "work",
    [
        put_more,
        delete_all,
        lambda session: list(migrate(session, Base, CURRENT, MemoryStore(), workers=2)),
        lambda session: list(verify(session, Base, CURRENT, probe=True)),
        lambda session: sweep(session, Base, CURRENT, datetime.timedelta(0), dry_run=False, limit=1),
        lambda session: list(make_thumbnails(session, UserPicture, CURRENT, widths=[4], workers=2)),
    ],
    ids=["put", "delete", "migrate", "verify", "sweep", "thumbnails"],
)
def test_background_work_sees_the_current_store_of_its_caller(work: Callable[[Session], object]) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with store_context(MemoryStore()) as store, Session(engine) as session:
        for number in range(4):
            user = User(id=number)
            user.picture.from_blob(picture(8, 6), store=CURRENT)
            session.add(user)
        session.commit()
        orphan = FileKey("user-picture", 9, 1, 1, "image/png")
        CURRENT.put_key(io.BytesIO(b"orphan"), orphan, False)
        work(session)
        assert set(stored(store)) - {orphan} == rows(session)
    engine.dispose()


def test_waiting_for_a_call_costs_no_turns_of_the_loop_however_often_it_is_cancelled() -> None:
    selector, release, ended = CountingSelector(), threading.Event(), False

    def blocking() -> None:
        nonlocal ended
        release.wait()
        ended = True

    async def cancelled() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(run, call, blocking)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
            asyncio.get_running_loop().call_later(0.1, release.set)
        assert ended

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(cancelled())
    assert selector.turns < 50


def test_call_has_ended_when_the_program_s_end_cancels_its_task() -> None:
    started, release, events = threading.Event(), threading.Event(), []

    def blocking() -> None:
        started.set()
        release.wait()
        events.append("call")

    async def forgotten() -> None:
        try:
            await in_thread(blocking)
        finally:
            events.append("caller")

    async def program() -> None:
        forgotten_task = asyncio.create_task(forgotten())
        await asyncio.to_thread(started.wait)
        asyncio.get_running_loop().call_later(0.05, release.set)
        assert not forgotten_task.done()

    asyncio.run(program())
    assert events == ["call", "caller"]


def test_closing_what_goes_side_by_side_waits_for_what_was_started() -> None:
    ended: list[int] = []
    results = side_by_side(ended.append, range(100), 2)
    next(results)
    results.close()
    count = len(ended)
    assert 0 < count < 100
    assert not any(thread.name.startswith("imageattach") for thread in threading.enumerate())
