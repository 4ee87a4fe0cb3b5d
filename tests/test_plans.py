"""Statements and their plans stay the same however many rows there are: each finds its images by their key."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session, selectinload

from models import Base, User, UserPicture, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.stores.memory import MemoryStore

PAGE = 20


@pytest.fixture
def session(engine) -> Iterator[Session]:
    Base.metadata.create_all(engine)
    with store_context(MemoryStore()), Session(engine) as session:
        yield session


def fill(session: Session, first: int, last: int) -> None:
    """Users with a picture and a thumbnail each."""
    common = {"mimetype": "image/png", "created_at": datetime.datetime.now(datetime.UTC), "caption": ""}
    sizes = [{"width": width, "height": 48, "original": width == 64, "revision": f"r{width}"} for width in (64, 16)]
    numbers = range(first, last + 1)
    session.execute(insert(User), [{"id": number, "name": ""} for number in numbers])
    session.execute(
        insert(UserPicture), [{"user_id": number, **size, **common} for number in numbers for size in sizes]
    )
    session.commit()
    table = "user_picture" if session.bind.dialect.name in {"sqlite", "postgresql"} else "TABLE user_picture"
    session.execute(text(f"ANALYZE {table}"))
    session.commit()


def show_a_page(session: Session) -> None:
    users = session.scalars(select(User).order_by(User.id).limit(PAGE).options(selectinload(User.picture)))
    assert len([user.picture.find_thumbnail(width=16).locate() for user in users]) == PAGE


def show_one(session: Session) -> None:
    assert session.get_one(User, 7).picture.locate()


def query_one(session: Session) -> None:
    assert session.get_one(User, 7).picture.filter_by(width=16).one().locate()


def replace_one(session: Session) -> None:
    session.get_one(User, 7).picture.from_blob(picture(32, 24))
    session.flush()


def delete_one(session: Session) -> None:
    session.delete(session.get_one(User, 7))
    session.flush()


def delete_at_once(session: Session) -> None:
    assert session.get_one(User, 7).picture.delete() == 2


OPERATIONS = [show_a_page, show_one, query_one, replace_one, delete_one, delete_at_once]


def run(session: Session, operation: Callable[[Session], None]) -> list[tuple[str, Any]]:
    """The statements about images that an operation sends, with their parameters; what it does is rolled back."""
    sent: list[tuple[str, Any]] = []

    def note(connection, cursor, statement, parameters, context, executemany) -> None:
        if re.search(r"\b(FROM|UPDATE) user_picture\b", statement):
            sent.append((statement, parameters[0] if executemany else parameters))

    event.listen(session.bind, "before_cursor_execute", note)
    try:
        operation(session)
    finally:
        event.remove(session.bind, "before_cursor_execute", note)
        session.rollback()
        session.expunge_all()
    return sent


def plan(session: Session, statement: str, parameters: Any) -> list[str]:
    """How the database finds the images: by which index, and otherwise."""
    connection = session.connection()
    match connection.dialect.name:
        case "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return [row.detail for row in rows if "user_picture" in row.detail]
        case "postgresql":
            explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
            explained = json.loads(explained) if isinstance(explained, str) else explained
            return sorted(nodes(explained[0]["Plan"]))
        case _:
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings()
            return [f"{row['type']} {row['key']}" for row in rows if row["table"] == "user_picture"]


def nodes(node: dict[str, Any]) -> Iterator[str]:
    if "Scan" in node["Node Type"] and (index := node.get("Index Name")) is not None:
        yield f"by {index}"
    elif node.get("Relation Name") == "user_picture" and node["Node Type"] == "Seq Scan":
        yield "scan of all"
    for inner in node.get("Plans", ()):
        yield from nodes(inner)


def is_by_key(found: list[str]) -> bool:
    by_key = r"SEARCH user_picture USING .*INDEX|by user_picture_pkey|(const|eq_ref|ref|range) PRIMARY"
    return bool(found) and all(re.match(by_key, each) for each in found)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_statements_and_plans_are_those_of_the_key_however_many_rows_there_are(session, operation):
    seen = []
    for first, last in ((1, 1_000), (1_001, 10_000)):
        fill(session, first, last)
        statements = run(session, operation)
        assert statements
        plans = [plan(session, *each) for each in statements]
        assert all(map(is_by_key, plans)), list(zip(statements, plans, strict=True))
        seen.append([statement for statement, _ in statements])
    assert seen[0] == seen[1]
