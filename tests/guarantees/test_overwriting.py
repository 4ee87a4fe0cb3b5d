"""Rows and files agree also where a file is overwritten in place: a model, or a store, that knows no revisions."""

from __future__ import annotations

import gc
import tempfile
import threading

import pytest
from sqlalchemy.orm import Session

from models import User, picture

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)


@pytest.fixture(autouse=True, params=["a store without", "a model without"])
def attribute(request, store, monkeypatch) -> str:
    """The attribute of a user whose files have no revision."""
    if request.param == "a model without":
        return "cover"
    monkeypatch.setattr(store, "takes_revision", lambda: False)
    return "picture"


@pytest.fixture
def user_id(session, user, attribute) -> int:
    """A user with a red picture, committed."""
    getattr(user, attribute).from_blob(RED)
    session.commit()
    identity = user.id
    session.close()
    return identity


@pytest.fixture
def attach(attribute, user_id):
    def attach(session, blob: bytes) -> None:
        getattr(session.get(User, user_id), attribute).from_blob(blob)
        session.flush()

    return attach


def test_a_rollback_puts_the_old_bytes_back(session, attach, agree):
    attach(session, GREEN)
    attach(session, BLUE)
    session.rollback()
    agree(RED)


def test_what_was_overwritten_twice_is_put_back_in_order(session, store, attach, agree, monkeypatch):
    attach(session, GREEN)
    attach(session, BLUE)
    threads, put = [], store.put_key
    monkeypatch.setattr(store, "workers", 8)  # any order, if two ran at once
    monkeypatch.setattr(store, "put_key", lambda *file: (threads.append(threading.get_ident()), put(*file)))
    session.rollback()
    assert threads == [threading.get_ident()] * 2
    agree(RED)


def test_a_savepoint_that_is_rolled_back_puts_back_the_bytes_of_before_it(session, attach, agree):
    attach(session, GREEN)
    with session.begin_nested() as savepoint:
        attach(session, BLUE)
        savepoint.rollback()
    session.commit()
    agree(GREEN)


def test_what_is_deleted_and_put_again_in_one_transaction_stays(session, user_id, attribute, attach, agree):
    session.delete(getattr(session.get(User, user_id), attribute).original)
    session.flush()
    session.expire_all()
    attach(session, GREEN)
    session.commit()
    agree(GREEN)


def test_a_put_that_fails_puts_the_old_bytes_back(session, attach, agree, store):
    store.fails_to_put_after = 0
    with pytest.raises(OSError, match="full"):
        attach(session, GREEN)
    store.fails_to_put_after = None
    session.rollback()
    agree(RED)


def test_bytes_that_cannot_be_read_are_not_overwritten(session, attach, agree, store):
    store.fails_to_get = True
    with pytest.raises(OSError, match="cannot be read"):
        attach(session, GREEN)
    store.fails_to_get = False
    session.rollback()
    agree(RED)


def test_what_several_sessions_of_a_connection_overwrote_is_put_back_to_the_first_state(engine, store, attach, agree):
    with engine.connect() as connection:
        connection.begin()
        for blob in (GREEN, BLUE):
            with Session(connection, join_transaction_mode="create_savepoint", info={"image_store": store}) as session:
                attach(session, blob)
                session.commit()
        connection.rollback()
    agree(RED)


def test_what_several_sessions_overwrote_in_a_savepoint_is_put_back_to_the_state_before_it(
    engine, store, attach, agree
):
    def join(connection, blob):
        with Session(connection, join_transaction_mode="create_savepoint", info={"image_store": store}) as session:
            attach(session, blob)
            session.commit()

    with engine.connect() as connection:
        connection.begin()
        join(connection, GREEN)
        savepoint = connection.begin_nested()
        for blob in (BLUE, RED, BLUE):
            join(connection, blob)
        savepoint.rollback()
        connection.commit()
    agree(GREEN)


def test_a_forgotten_session_that_overwrote_outside_and_inside_of_a_savepoint_leaves_the_committed_bytes(
    make_session, attach, agree
):
    forgotten = make_session.unmanaged()
    attach(forgotten, GREEN)
    savepoint = forgotten.begin_nested()
    attach(forgotten, BLUE)
    del forgotten, savepoint
    gc.collect()
    with make_session() as another:
        another.get(User, 0)
    agree(RED)


def test_bytes_that_cannot_be_put_back_are_kept_where_the_log_says(
    session, attach, store, caplog, monkeypatch, tmp_path
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    attach(session, GREEN)
    store.fails_to_put = True
    session.rollback()
    (kept,) = tmp_path.glob("imageattach-*")
    assert kept.read_bytes() == RED
    assert f"it is in {kept}" in caplog.text


def test_a_forgotten_session_takes_nothing_from_a_later_one_that_overwrote_its_file(make_session, attach, agree):
    forgotten = make_session.unmanaged()
    attach(forgotten, GREEN)
    del forgotten
    gc.collect()
    another = make_session()
    attach(another, BLUE)
    another.commit()
    agree(BLUE)
