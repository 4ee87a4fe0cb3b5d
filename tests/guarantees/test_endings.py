"""Rows and files agree when a session is not alone in saying how its transaction ends."""

from __future__ import annotations

import gc
import time
import warnings

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from models import User, UserPicture, picture, stored
from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.transactions.ledger import ledger_of

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)


@pytest.fixture
def user_id(session, user) -> int:
    """The key of a user with a red picture, whose session is out of the way."""
    user.picture.from_blob(RED)
    session.commit()
    identity = user.id
    session.close()
    return identity


# A transaction that the connection had begun before the session came


@pytest.fixture
def connection(engine, user_id):
    with engine.connect() as connection:
        yield connection


# In these modes the connection decides; with control_fully, the session.
DECIDED_BY_THE_CONNECTION = ["conditional_savepoint", "rollback_only", "create_savepoint"]
by_the_connection = pytest.mark.parametrize("joined", DECIDED_BY_THE_CONNECTION, indirect=True)


@pytest.fixture(params=[*DECIDED_BY_THE_CONNECTION, "control_fully"])
def joined(request, connection, store):
    """A session that joined the connection's transaction."""
    connection.begin()
    info = {"image_store": store}
    with Session(connection, join_transaction_mode=request.param, info=info) as session:
        yield session


def replace(session: Session, user_id: int, blob: bytes) -> None:
    user = session.get(User, user_id)
    assert user is not None
    user.picture.from_blob(blob)


def sweep_green(store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours pass, and a sweep takes the green picture for an orphan."""
    (swept,) = [key for key, blob in stored(store).items() if blob == GREEN]
    store.delete_key(swept)
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)


@by_the_connection
def test_a_file_that_was_swept_before_the_connections_commit_fails_that(
    joined, connection, user_id, agree, store, monkeypatch
):
    replace(joined, user_id, GREEN)
    joined.commit()
    sweep_green(store, monkeypatch)
    with pytest.raises(ImageNotFoundError, match="sweep"):
        connection.commit()
    connection.rollback()
    agree(RED)


@by_the_connection
def test_the_connections_rollback_undoes_what_a_joined_session_committed(joined, connection, user_id, agree):
    replace(joined, user_id, GREEN)
    joined.commit()
    connection.rollback()
    connection.close()
    agree(RED)


def test_the_connections_commit_settles_what_a_joined_session_committed(joined, connection, user_id, agree):
    replace(joined, user_id, GREEN)
    joined.commit()
    if joined.join_transaction_mode != "control_fully":
        connection.commit()
    connection.close()
    agree(GREEN)


@by_the_connection
def test_nothing_is_deleted_before_the_connection_commits(joined, connection, user_id, store):
    replace(joined, user_id, GREEN)
    joined.commit()
    assert sorted(stored(store).values()) == sorted([RED, GREEN])


def test_the_rollback_of_a_joined_session_is_undone_at_once(joined, connection, user_id, store):
    replace(joined, user_id, GREEN)
    joined.flush()
    joined.rollback()
    assert list(stored(store).values()) == [RED]


@by_the_connection
def test_a_connection_that_is_closed_has_rolled_back(joined, connection, user_id, agree):
    replace(joined, user_id, GREEN)
    joined.commit()
    joined.close()
    connection.close()
    agree(RED)


def test_several_transactions_of_a_session_in_one_of_the_connection(connection, user_id, store, agree):
    connection.begin()
    with Session(connection, join_transaction_mode="create_savepoint", info={"image_store": store}) as session:
        for blob in (GREEN, BLUE):
            replace(session, user_id, blob)
            session.commit()
        replace(session, user_id, RED)
        session.rollback()
    connection.commit()
    connection.close()
    agree(BLUE)


@pytest.mark.parametrize("is_released", [False, True], ids=["rolled back", "released"])
def test_a_savepoint_of_the_connections_around_a_session(connection, user_id, store, agree, is_released):
    connection.begin()
    savepoint = connection.begin_nested()
    with Session(connection, join_transaction_mode="create_savepoint", info={"image_store": store}) as session:
        replace(session, user_id, GREEN)
        session.commit()
    if is_released:
        savepoint.commit()
    else:
        savepoint.rollback()
    connection.commit()
    connection.close()
    agree(GREEN if is_released else RED)


def test_a_savepoint_that_was_released_into_one_that_is_rolled_back(connection, user_id, store, agree):
    connection.begin()
    outer = connection.begin_nested()
    inner = connection.begin_nested()
    with Session(connection, join_transaction_mode="create_savepoint", info={"image_store": store}) as session:
        replace(session, user_id, GREEN)
        session.commit()
    inner.commit()
    outer.rollback()
    connection.commit()
    connection.close()
    agree(RED)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_savepoint_that_a_listener_begins_anew_whenever_one_ends(connection, user_id, store, agree, end):
    transaction = connection.begin()
    with Session(connection, info={"image_store": store}) as session:

        @event.listens_for(session, "after_transaction_end")
        def begin_anew(session, ended):
            if ended.nested and not ended.parent.nested:
                session.begin_nested()

        session.begin_nested()
        for blob in (GREEN, BLUE):
            replace(session, user_id, blob)
            session.commit()
            assert blob in stored(store).values()
    getattr(transaction, end)()
    connection.close()
    agree(BLUE if end == "commit" else RED)


def test_a_connection_of_its_own_that_begins_with_the_session(engine, connection, user_id, store, agree):
    with Session(connection, info={"image_store": store}) as session:
        replace(session, user_id, GREEN)
        session.commit()
    connection.close()
    agree(GREEN)


@by_the_connection
def test_what_a_connection_committed_is_deleted_when_it_begins_again(joined, connection, user_id, store):
    replace(joined, user_id, GREEN)
    joined.commit()
    connection.commit()
    connection.begin()
    assert list(stored(store).values()) == [GREEN]


def test_a_connection_that_is_forgotten_has_committed_nothing(engine, user_id, store, make_session):
    connection = engine.connect()
    connection.begin()
    session = Session(connection, join_transaction_mode="create_savepoint", info={"image_store": store})
    replace(session, user_id, GREEN)
    session.commit()
    session.close()
    with warnings.catch_warnings(action="ignore"):
        del connection, session
        gc.collect()
    with make_session() as another:
        assert another.get(User, user_id).picture.make_blob() == RED
    assert list(stored(store).values()) == [RED]


# Commits that go wrong


class Broken:
    """Makes the database connection break, or answer no, while it commits."""

    def __init__(self, engine, monkeypatch) -> None:
        self.engine, self.monkeypatch = engine, monkeypatch

    def __call__(self, *, commits: bool, is_disconnect: bool) -> None:
        do_commit = self.engine.dialect.do_commit
        dbapi = self.engine.dialect.dbapi

        def break_down(dbapi_connection) -> None:
            self.monkeypatch.setattr(self.engine.dialect, "do_commit", do_commit)
            if commits:
                do_commit(dbapi_connection)
            raise dbapi.OperationalError("the connection broke")

        self.monkeypatch.setattr(self.engine.dialect, "do_commit", break_down)
        self.monkeypatch.setattr(self.engine.dialect, "is_disconnect", lambda *_: is_disconnect)


@pytest.fixture
def broken(engine, monkeypatch):
    return Broken(engine, monkeypatch)


@pytest.mark.parametrize("commits", [False, True], ids=["after which the row is old", "after which the row is new"])
def test_all_files_are_kept_when_the_connection_is_lost_during_the_commit(
    make_session, user_id, store, broken, commits
):
    session = make_session()
    replace(session, user_id, GREEN)
    session.flush()
    broken(commits=commits, is_disconnect=True)
    with pytest.raises(OperationalError):
        session.commit()
    session.close()
    assert sorted(stored(store).values()) == sorted([RED, GREEN])
    with make_session() as another:
        assert another.get(User, user_id).picture.make_blob() == (GREEN if commits else RED)


@pytest.mark.parametrize("commits", [False, True])
def test_what_waits_for_a_commit_is_not_called_when_that_is_in_doubt(make_session, user_id, broken, commits):
    session, called = make_session(), []
    replace(session, user_id, GREEN)
    ledger_of(session).after_commit(session, lambda: called.append(1))
    session.flush()
    broken(commits=commits, is_disconnect=True)
    with pytest.raises(OperationalError):
        session.commit()
    session.close()
    with make_session() as another:
        another.get(User, user_id)
        another.commit()
    assert called == []


def test_what_a_failed_flush_noted_is_not_put_by_the_next_one(make_session, user_id, store, agree):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    session = make_session()
    session.add(user := User())
    user.picture.from_blob(GREEN)
    event.listen(UserPicture, "after_insert", fail)
    try:
        with pytest.raises(ZeroDivisionError):
            session.flush()
    finally:
        event.remove(UserPicture, "after_insert", fail)
    session.rollback()
    store.fails_to_put = True
    session.add(User())
    session.commit()
    agree(RED)


def test_a_commit_that_the_database_refused_is_a_rollback(make_session, user_id, broken, agree):
    session = make_session()
    replace(session, user_id, GREEN)
    session.flush()
    broken(commits=False, is_disconnect=False)
    with pytest.raises(OperationalError):
        session.commit()
    session.rollback()
    agree(RED)


@pytest.fixture
def at_commit(engine, user_id):
    """Has PostgreSQL run a statement at the end of each transaction that inserts or changes a picture."""

    def at_commit(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS"
                    f" $$ BEGIN {statement}; RETURN NULL; END $$;"
                    "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON user_picture"
                    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()"
                )
            )

    return at_commit


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_all_files_are_kept_when_postgresql_ends_the_connection_in_a_commit(make_session, user_id, store, at_commit):
    at_commit("PERFORM pg_terminate_backend(pg_backend_pid())")
    session = make_session()
    replace(session, user_id, GREEN)
    with pytest.raises(OperationalError):
        session.commit()
    session.close()
    assert sorted(stored(store).values()) == sorted([RED, GREEN])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_commit_that_postgresql_refuses_is_a_rollback(make_session, user_id, agree, at_commit):
    at_commit("RAISE EXCEPTION 'no'")
    session = make_session()
    replace(session, user_id, GREEN)
    with pytest.raises(DBAPIError, match="no"):
        session.commit()
    session.rollback()
    agree(RED)


def test_a_listener_that_fails_after_the_commit_leaves_every_row_its_file(make_session, user_id, store):
    session = make_session()
    event.listen(session, "after_commit", lambda session: 1 // 0, insert=True)
    replace(session, user_id, GREEN)
    with pytest.raises(ZeroDivisionError):
        session.commit()
    session.close()
    with make_session() as another:
        assert another.get(User, user_id).picture.make_blob() == GREEN


# Two-phase commit


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_all_files_are_kept_when_the_connection_is_lost_during_a_prepare(
    make_session, user_id, store, engine, monkeypatch
):
    session = make_session(twophase=True)
    replace(session, user_id, GREEN)
    session.flush()

    def break_down(connection, identifier):
        raise engine.dialect.dbapi.OperationalError("the connection broke")

    monkeypatch.setattr(engine.dialect, "do_prepare_twophase", break_down)
    monkeypatch.setattr(engine.dialect, "is_disconnect", lambda *_: True)
    with pytest.raises(Exception, match="the connection broke"):
        session.commit()
    session.close()
    assert sorted(stored(store).values()) == sorted([RED, GREEN])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("end", ["commit", "rollback", "prepare and commit", "prepare and rollback"])
def test_two_phase_commit(make_session, user_id, agree, end):
    session = make_session(twophase=True)
    replace(session, user_id, GREEN)
    for step in end.split(" and "):
        getattr(session, step)()
    session.close()
    agree(GREEN if end.endswith("commit") else RED)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_file_that_was_swept_before_prepare_fails_that(make_session, user_id, agree, store, monkeypatch):
    session = make_session(twophase=True)
    replace(session, user_id, GREEN)
    session.flush()
    sweep_green(store, monkeypatch)
    with pytest.raises(ImageNotFoundError, match="sweep"):
        session.prepare()
    session.close()
    agree(RED)
