"""A task is sent when the transaction that it is about has committed, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain, group
from sqlalchemy import event, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, sessionmaker

import databases
from models import Base, User
from sqlalchemy_imageattach.tasks import FAILED_SEND_KEY, FailedSend, enqueue


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.task_default_queue = secrets.token_hex(8)
    app.conf.task_publish_retry = False
    yield app
    app.close()


@pytest.fixture
def task(app: Celery) -> Any:
    @app.task(name="test.task", shared=False)
    def task(number: int) -> int:
        return number

    return task


@pytest.fixture
def sent(app: Celery) -> Callable[[], list[Any]]:
    """Gives the arguments of the tasks that were sent since it was asked before."""

    def sent() -> list[Any]:
        messages = []
        with (
            app.connection_for_read() as connection,
            connection.SimpleQueue(app.conf.task_default_queue) as queue,
            contextlib.suppress(queue.Empty),
        ):
            while True:
                message = queue.get_nowait()
                messages.append(message.payload[0][0])
                message.ack()
        return messages

    return sent


@pytest.fixture
def engine(sqlite_url) -> Iterator[Engine]:
    engine = databases.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def test_a_task_is_sent_by_the_commit_and_once(session, task, sent):
    session.add(User())
    enqueue(session, task.s(1))
    session.flush()
    assert sent() == []
    session.commit()
    assert sent() == [1]
    session.add(User())
    session.commit()
    assert sent() == []


def test_the_row_is_there_for_others_when_the_task_is_sent(engine, session, app, task):
    app.conf.task_always_eager = True
    seen = []

    @app.task(name="test.look", shared=False)
    def look():
        with Session(engine) as other:
            seen.extend(other.scalars(select(User.id)))

    session.add(User(id=7))
    enqueue(session, look.s())
    session.commit()
    assert seen == [7]


def test_tasks_are_sent_in_the_order_in_which_they_were_enqueued(session, task, sent):
    for number in range(3):
        enqueue(session, task.s(number))
    session.commit()
    assert sent() == [0, 1, 2]


def test_a_session_that_did_nothing_else_sends_it_as_well(session, task, sent):
    enqueue(session, task.s(1))
    session.commit()
    assert sent() == [1]


@pytest.mark.parametrize("end", [Session.rollback, Session.close, Session.reset], ids=lambda end: end.__name__)
def test_nothing_is_sent_without_a_commit(session, task, sent, end):
    session.add(User())
    enqueue(session, task.s(1))
    session.flush()
    end(session)
    session.commit()
    assert sent() == []


def test_nothing_is_sent_when_the_commit_fails(engine, session, task, sent):
    @event.listens_for(engine, "commit")
    def refuse(connection):
        raise DBAPIError("COMMIT", None, Exception("no"))

    session.add(User())
    enqueue(session, task.s(1))
    with pytest.raises(DBAPIError):
        session.commit()
    session.close()
    assert sent() == []


def test_a_savepoint_that_is_released_sends_nothing_before_the_outer_commit(session, task, sent):
    with session.begin_nested():
        enqueue(session, task.s(1))
    assert sent() == []
    session.commit()
    assert sent() == [1]


def test_a_savepoint_that_is_rolled_back_takes_its_tasks_along_and_no_others(session, task, sent):
    enqueue(session, task.s(1))
    with session.begin_nested() as savepoint:
        enqueue(session, task.s(2))
        with session.begin_nested():
            enqueue(session, task.s(3))
        savepoint.rollback()
    enqueue(session, task.s(4))
    session.commit()
    assert sent() == [1, 4]


def test_a_released_savepoint_sends_nothing_when_the_outer_transaction_rolls_back(session, task, sent):
    with session.begin_nested():
        enqueue(session, task.s(1))
    session.rollback()
    assert sent() == []


@pytest.mark.parametrize("mode", ["conditional_savepoint", "rollback_only", "create_savepoint"])
@pytest.mark.parametrize(("end", "expected"), [("commit", [1]), ("rollback", [])])
def test_a_joined_session_leaves_it_to_its_connection(engine, task, sent, mode, end, expected):
    with engine.connect() as connection:
        transaction = connection.begin()
        with Session(connection, join_transaction_mode=mode) as session:
            session.add(User())
            enqueue(session, task.s(1))
            session.commit()
        assert sent() == []
        getattr(transaction, end)()
    assert sent() == expected


def test_a_session_with_a_bind_for_each_class_sends_it_too(engine, task, sent):
    with Session(binds={User: engine}) as session:
        session.add(User())
        enqueue(session, task.s(1))
        session.commit()
    assert sent() == [1]


def test_the_session_of_an_async_session_sends_it_too(sqlite_url, engine, task, sent):
    async def main():
        async_engine = databases.make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with AsyncSession(async_engine) as session:
            session.add(User())
            enqueue(session.sync_session, task.s(1))
            await session.rollback()
            session.add(User())
            enqueue(session.sync_session, task.s(2))
            await session.commit()
        await async_engine.dispose()

    asyncio.run(main())
    assert sent() == [2]


def test_two_sessions_share_no_tasks(engine, task, sent):
    with Session(engine) as one, Session(engine) as other:
        enqueue(one, task.s(1))
        enqueue(other, task.s(2))
        other.commit()
        assert sent() == [2]


def test_groups_and_chains_are_sent_too(session, task, sent):
    enqueue(session, group(task.s(1), task.s(2)))
    enqueue(session, chain(task.si(3), task.si(4)))
    session.commit()
    assert sent() == [1, 2, 3]  # the chain's second one is sent by whoever has done the first


def test_a_task_that_is_changed_afterwards_is_sent_as_it_was(session, task, sent):
    signature = task.s(1)
    enqueue(session, signature)
    signature.args = (2,)
    session.commit()
    assert sent() == [1]


@pytest.fixture
def gone(app: Celery) -> None:
    """A broker that nobody can reach."""
    app.conf.update(broker_url="amqp://127.0.0.1:1", broker_transport_options={"max_retries": 0, "interval_start": 0})


@pytest.mark.usefixtures("gone")
def test_a_broker_that_is_gone_leaves_the_commit_as_it_is_and_is_reported(engine, task, caplog):
    failures: list[FailedSend] = []
    make_session = sessionmaker(engine, info={FAILED_SEND_KEY: failures.append})
    with caplog.at_level(logging.ERROR, "sqlalchemy_imageattach"), make_session() as session:
        session.add(User())
        enqueue(session, task.s(1))
        enqueue(session, task.s(2))
        session.commit()
        assert session.query(User).count() == 1
    assert [failure.signature.args for failure in failures] == [(1,), (2,)]
    assert caplog.records[0].image_task == "test.task"


@pytest.mark.usefixtures("gone")
def test_a_callback_that_fails_itself_is_logged(engine, task, caplog):
    with Session(engine, info={FAILED_SEND_KEY: lambda failure: 1 / 0}) as session:
        enqueue(session, task.s(1))
        session.commit()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("kind", ["nothing", "name", "task without arguments"])
def test_what_is_no_task_is_refused(session, task, kind):
    signature = {"nothing": None, "name": "test.task", "task without arguments": task}[kind]
    with pytest.raises(TypeError, match="signature"):
        enqueue(session, signature)


def test_arguments_that_cannot_be_sent_are_refused_before_the_commit(session, task):
    with pytest.raises(TypeError, match="json"):
        enqueue(session, task.s(object()))


def test_a_session_of_another_kind_is_refused(task):
    with pytest.raises(TypeError, match="sync_session"):
        enqueue(AsyncSession(), task.s(1))


def test_a_function_is_called_once_the_transaction_has_committed_and_not_after_a_rollback(session):
    called = []
    enqueue(session, lambda: called.append("rolled back"))
    session.rollback()
    enqueue(session, lambda: called.append("committed"))
    assert called == []
    session.commit()
    session.commit()
    assert called == ["committed"]


def test_a_function_that_fails_is_reported_and_can_be_called_again(session, caplog):
    failures = []
    session.info["image_send_failed"] = failures.append
    answers = iter([ConnectionError("no broker"), "sent"])

    def send():
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    enqueue(session, send)
    session.commit()
    (failure,) = failures
    assert "no broker" in str(failure.error)
    assert failure.signature() == "sent"
