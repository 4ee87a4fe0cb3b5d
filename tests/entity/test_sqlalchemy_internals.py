"""What SQLAlchemy keeps private is there; a version that breaks one of these names is said by its number."""

from __future__ import annotations

import pytest
import sqlalchemy
from sqlalchemy import Engine, select
from sqlalchemy.orm import Query, Session
from sqlalchemy.orm.collections import CollectionAdapter

from models import User, UserPicture, picture
from sqlalchemy_imageattach.entity.sqlalchemy_internals import is_adapted, is_flushing, savepoints_of
from sqlalchemy_imageattach.stores.memory import MemoryStore


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (Query, "_generate"),
        (Query, "_iter"),
        (Query, "_statement_20"),
        (Query, "_where_criteria"),
        (Query, "_order_by_clauses"),
        (CollectionAdapter, "invalidated"),
    ],
)
def test_sqlalchemy_has_the_name(cls: type, name: str) -> None:
    assert hasattr(cls, name) or name in getattr(cls, "__slots__", ()), (
        f"SQLAlchemy {sqlalchemy.__version__} has no {cls.__name__}.{name}"
    )


def test_a_query_keeps_what_it_selects_and_its_session_under_their_names(session: Session) -> None:
    query = Query([UserPicture], session)
    assert {"_raw_columns", "session"} <= set(vars(query)), f"SQLAlchemy {sqlalchemy.__version__} names them otherwise"


def test_an_attribute_gives_its_collection_an_adapter_that_knows_owner_and_name(session: Session) -> None:
    user = User(name="name")
    adapter = user.picture._sa_adapter
    assert (adapter.owner_state.obj(), adapter._key) == (user, "picture"), f"SQLAlchemy {sqlalchemy.__version__}"
    assert is_adapted(user.picture)


def test_a_connection_says_which_savepoints_are_open(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        released = []
        sqlalchemy.event.listen(engine, "release_savepoint", lambda connection, name, context: released.append(name))
        with connection.begin_nested(), connection.begin_nested():
            opened = savepoints_of(connection)
        assert opened == set(released), f"SQLAlchemy {sqlalchemy.__version__} names savepoints otherwise"


def test_a_session_says_whether_it_flushes(session: Session) -> None:
    seen = []
    sqlalchemy.event.listen(
        session, "before_flush", lambda session, context, instances: seen.append(is_flushing(session))
    )
    session.add(user := User(name="name"))
    user.picture.from_blob(picture(), store=MemoryStore())
    session.flush()
    assert (seen[0], is_flushing(session)) == (True, False), f"SQLAlchemy {sqlalchemy.__version__}"
    assert session.scalars(select(UserPicture)).one() is user.picture.original
