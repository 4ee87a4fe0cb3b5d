"""The same promise with AsyncSession: the event loop goes on, and what is awaited is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import selectinload

from databases import make_async_engine
from models import Base, User, picture, rows, stored
from sqlalchemy_imageattach.stores.memory import MemoryStore

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)
DRIVERS = ["sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg"]


class Watching(MemoryStore):
    """A store whose calls, while :attr:`loop` is set, each wait for a turn of that event loop."""

    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        super().__init__()
        #: For each kind of call, whether the loop turned during it.
        self.turned: dict[str, set[bool]] = {}

    def watch(self, call: str) -> None:
        if self.loop:
            turned = threading.Event()
            self.loop.call_soon_threadsafe(turned.set)
            self.turned.setdefault(call, set()).add(turned.wait(20))

    def put_file(self, *args: Any, **kwargs: Any) -> None:
        self.watch("put")
        super().put_file(*args, **kwargs)

    def delete_file(self, *args: Any, **kwargs: Any) -> None:
        self.watch("delete")
        super().delete_file(*args, **kwargs)

    def get_file(self, *args: Any, **kwargs: Any) -> Any:
        self.watch("get")
        return super().get_file(*args, **kwargs)


class Case:
    """A database, a store, and what has to agree."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.store = Watching()
        self.session = async_sessionmaker(engine, expire_on_commit=False, info={"image_store": self.store})

    async def add_user(self, *blobs: bytes) -> int:
        async with self.session() as session:
            user = User()
            session.add(user)
            for blob in blobs:
                user.picture.from_blob(blob)
            await session.commit()
            return user.id

    async def load(self, session: AsyncSession, user_id: int) -> User:
        return await session.get_one(User, user_id, options=[selectinload(User.picture)])

    async def agree(self, *blobs: bytes) -> None:
        async with self.session() as session:
            named = await session.run_sync(rows)
        files = stored(self.store)
        assert set(files) == named
        assert sorted(files.values()) == sorted(blobs)


@pytest.fixture(params=DRIVERS)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[Case], Awaitable[None]]], None]:
    """Runs a coroutine function on a fresh database of each asynchronous driver."""
    name = request.param.partition("+")[0]
    url = request.getfixturevalue(f"{name}_url").set(drivername=request.param)

    def run(test: Callable[[Case], Awaitable[None]]) -> None:
        async def main() -> None:
            engine = make_async_engine(url)
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(Base.metadata.create_all)
                await test(Case(engine))
            finally:
                await engine.dispose()

        asyncio.run(main())

    return run


def test_attach_read_locate_thumbnail_replace_and_delete(run):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        async with case.session() as session:
            user = await case.load(session, user_id)
            assert await user.picture.amake_blob() == RED
            assert user.picture.locate().startswith("memory:///user-picture/")
            thumbnail = await user.picture.agenerate_thumbnail(width=8)
            assert thumbnail.size == (8, 6)
            await session.commit()
        async with case.session() as session:
            user = await case.load(session, user_id)
            assert user.picture.find_thumbnail(width=8).size == (8, 6)
            await user.picture.afrom_blob(GREEN)
            await session.commit()
        await case.agree(GREEN)
        async with case.session() as session:
            await session.delete(await case.load(session, user_id))
            await session.commit()
        await case.agree()

    run(test)


def test_a_loaded_picture_is_replaced_without_awaiting_anything_but_the_commit(run):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        async with case.session() as session:
            user = await case.load(session, user_id)
            user.picture.from_blob(GREEN)
            await session.commit()
        await case.agree(GREEN)

    run(test)


@pytest.mark.parametrize("end", ["rollback", "close", "reset", "invalidate"])
def test_every_end_but_a_commit_is_a_rollback(run, end):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        async with case.session() as session:
            user = await case.load(session, user_id)
            user.picture.from_blob(GREEN)
            await session.flush()
            await getattr(session, end)()
        await case.agree(RED)

    run(test)


def test_savepoints(run):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        async with case.session() as session:
            user = await case.load(session, user_id)
            user.picture.from_blob(GREEN)
            await session.flush()
            async with session.begin_nested() as savepoint:
                await user.picture.afrom_blob(BLUE)
                await session.flush()
                await savepoint.rollback()
            await session.commit()
        await case.agree(GREEN)

    run(test)


def test_the_error_of_a_store_comes_out_of_the_awaited_commit(run):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        async with case.session() as session:
            user = await case.load(session, user_id)
            user.picture.from_blob(GREEN)
            case.store.put_file = _fail  # type: ignore[method-assign]
            with pytest.raises(OSError, match="the disk is full"):
                await session.commit()
        await case.agree(RED)

    run(test)


def _fail(*args: Any, **kwargs: Any) -> None:
    raise OSError("the disk is full")


def test_the_loop_goes_on_while_a_slow_store_puts_reads_and_deletes(run):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        case.store.loop = asyncio.get_running_loop()
        async with case.session() as session:
            user = await case.load(session, user_id)
            await user.picture.amake_blob()
            await user.picture.agenerate_thumbnail(width=8)
            await session.commit()
            user.picture.from_blob(GREEN)
            await session.commit()
        case.store.loop = None
        assert case.store.turned == {"get": {True}, "put": {True}, "delete": {True}}
        await case.agree(GREEN)

    run(test)


def test_the_puts_of_a_flush_go_side_by_side(run):
    async def test(case: Case) -> None:
        together = threading.Barrier(case.store.workers, timeout=30)

        class Meeting(MemoryStore):
            def put_file(self, *args: Any, **kwargs: Any) -> None:
                together.wait()
                super().put_file(*args, **kwargs)

        store = Meeting()
        async with case.session() as session:
            for _ in range(2 * store.workers):
                user = User()
                session.add(user)
                user.picture.from_blob(RED, store=store)
            await session.commit()
        assert len(stored(store)) == 2 * store.workers

    run(test)


@pytest.mark.parametrize("moment", ["while a file is put", "after the flush"])
def test_a_task_that_is_cancelled_in_the_middle_has_rolled_back(run, moment):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        begun, cancelled = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()
        put_file = case.store.put_file

        def slow_put(*args: Any, **kwargs: Any) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert cancelled.wait(20)
            put_file(*args, **kwargs)

        if moment == "while a file is put":
            case.store.put_file = slow_put  # type: ignore[method-assign]

        async def work() -> None:
            async with case.session() as session:
                user = await case.load(session, user_id)
                user.picture.from_blob(GREEN)
                await session.flush()
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await case.agree(RED)

    run(test)


def test_queries_still_work(run):
    async def test(case: Case) -> None:
        user_id = await case.add_user(RED)
        async with case.session() as session:
            users = (await session.scalars(select(User).options(selectinload(User.picture)))).all()
            assert [user.picture.original.size for user in users] == [(64, 48)]
            assert users[0].id == user_id

    run(test)
