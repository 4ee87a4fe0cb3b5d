"""Rows and files agree also on SQLite as ``create_engine()`` makes it, where sqlite3 says when transactions begin."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from models import User, picture

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)


@pytest.fixture
def engine(sqlite_url):
    engine = create_engine(sqlite_url)
    yield engine
    engine.dispose()


@pytest.fixture
def user(session, user):
    """A user with a red picture, committed."""
    user.picture.from_blob(RED)
    session.commit()
    return user


def test_a_savepoint_that_is_released_first_thing_is_rolled_back_with_its_transaction(session, user, agree):
    session.rollback()
    with session.begin_nested():
        user.picture.from_blob(GREEN)
    session.rollback()
    agree(RED)


def test_a_savepoint_after_a_mere_query_is_rolled_back_with_its_transaction(session, user, agree):
    assert user.picture.original
    with session.begin_nested(), session.begin_nested():
        user.picture.from_blob(GREEN)
    session.rollback()
    agree(RED)


def test_a_savepoint_that_is_rolled_back_leaves_the_transaction_as_it_was(session, user, agree):
    user.picture.from_blob(GREEN)
    with session.begin_nested() as savepoint:
        user.picture.from_blob(BLUE)
        savepoint.rollback()
    session.commit()
    agree(GREEN)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_session_in_a_savepoint_of_its_connections_transaction(engine, store, user, session, agree, end):
    identity = user.id
    session.close()
    with engine.connect() as connection, connection.begin() as transaction:
        info = {"image_store": store}
        with Session(connection, join_transaction_mode="create_savepoint", info=info) as another:
            another.get(User, identity).picture.from_blob(GREEN)
            another.commit()
        getattr(transaction, end)()
    agree(GREEN if end == "commit" else RED)


# As test suites do it: each test has a session in a transaction that is rolled back, and the engine had none before.
@pytest.mark.parametrize("has_savepoint", [False, True])
def test_the_first_session_of_an_engine_is_rolled_back_with_its_connections_transaction(
    engine, store, agree, has_savepoint
):
    with create_engine(engine.url).connect() as connection, connection.begin() as transaction:
        with connection.begin_nested() if has_savepoint else contextlib.nullcontext():
            info = {"image_store": store}
            with Session(connection, join_transaction_mode="create_savepoint", info=info) as session:
                session.add(user := User())
                user.picture.from_blob(RED)
                session.commit()
        transaction.rollback()
    agree()


def test_a_savepoint_of_an_asynchronous_session_is_rolled_back_with_its_transaction(
    sqlite_url, store, user, session, agree
):
    identity = user.id
    session.close()

    async def replace_in_vain() -> None:
        engine = create_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with AsyncSession(engine, info={"image_store": store}) as another:
            async with another.begin_nested():
                (await another.get(User, identity, options=[selectinload(User.picture)])).picture.from_blob(GREEN)
            await another.rollback()
        await engine.dispose()

    asyncio.run(replace_in_vain())
    agree(RED)
