"""How the databases find the rows that an attachment, a replacement and a deletion name: by the index of their key."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select
from sqlalchemy.orm import Session, selectinload

from models import Album, AlbumPhoto, Base, User, UserCover, UserPicture, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore

#: So many owners that no database prefers to read all rows.
OWNERS = 1_000
MANY = 40
SIZES = [(64, 48, True), (32, 24, False), (16, 12, False)]


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """A database of many rows, with statistics that are up to date."""
    Base.metadata.create_all(engine)
    images = [
        {"width": width, "height": height, "original": original, "mimetype": "image/png", "revision": "k3v9q2"}
        for width, height, original in SIZES
    ]
    owners = range(1, OWNERS + 1)
    pictures = [{"user_id": owner, "caption": "", **image} for owner in owners for image in images]
    covers = [{name: value for name, value in row.items() if name not in {"caption", "revision"}} for row in pictures]
    photos = [
        {"album_id": owner, "position": position, **image}
        for owner in owners
        for position in range(2)
        for image in images
    ]
    with engine.begin() as connection:
        connection.execute(insert(User.__table__), [{"id": owner, "name": ""} for owner in owners])
        connection.execute(insert(Album.__table__), [{"id": owner} for owner in owners])
        connection.execute(insert(UserPicture.__table__), pictures)
        connection.execute(insert(UserCover.__table__), covers)
        connection.execute(insert(AlbumPhoto.__table__), photos)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        tables = ", ".join(Base.metadata.tables)
        connection.exec_driver_sql(f"ANALYZE TABLE {tables}" if connection.dialect.name == "mariadb" else "ANALYZE")
    return engine


def scans_of_sqlite(cursor: Any) -> list[str]:
    return [row[3] for row in cursor.fetchall() if row[3].startswith("SCAN")]


def scans_of_postgresql(cursor: Any) -> list[str]:
    lines = [row[0] for row in cursor.fetchall()]
    searches = [line for line in lines if "Scan using" in line or "Bitmap Index Scan" in line]
    conditions = [line for line in lines if "Index Cond" in line]
    return [line for line in lines if "Seq Scan" in line] + searches[len(conditions) :]


def scans_of_mariadb(cursor: Any) -> list[str]:
    names = [column[0] for column in cursor.description]
    steps = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [f"{step['type']} {step['table']}" for step in steps if step["type"] in {"ALL", "index"}]


SCANS: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
    "sqlite": ("EXPLAIN QUERY PLAN", scans_of_sqlite),
    "postgresql": ("EXPLAIN", scans_of_postgresql),
    "mariadb": ("EXPLAIN", scans_of_mariadb),
}


class Plans:
    """Asks the database for the plan of each statement, right before it is executed."""

    def __init__(self, engine: Engine) -> None:
        self.explain, self.scans_of = SCANS[engine.dialect.name]
        #: How many were asked for.
        self.count = 0
        #: What reads a whole table, and the statement.
        self.scans: list[tuple[list[str], str]] = []
        event.listen(engine, "before_cursor_execute", self.ask)

    def ask(
        self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if not statement.startswith(("SELECT", "UPDATE", "DELETE")):
            return
        self.count += 1
        own = connection.connection.cursor()
        own.execute(f"{self.explain} {statement}", parameters[0] if executemany else parameters)
        scans = self.scans_of(own)
        own.close()
        if scans:
            self.scans.append((scans, statement))


def users(session: Session) -> list[User]:
    return list(session.scalars(select(User).where(User.id.in_([7, 8])).options(selectinload(User.picture))))


def replace(session: Session) -> None:
    for user in users(session):
        user.picture.from_blob(picture(color=1))


def replace_many(session: Session) -> None:
    for user in session.scalars(select(User).where(User.id <= MANY).options(selectinload(User.picture))):
        user.picture.from_blob(picture(640, 480))


def replace_unloaded(session: Session) -> None:
    session.get_one(User, 7).picture.from_blob(picture(640, 480))


def replace_of_an_album(session: Session) -> None:
    session.get_one(Album, 7).photos.get_image_set(position=1).from_blob(picture(640, 480))


def remove(session: Session) -> None:
    for user in users(session):
        user.picture = None


def delete_owners(session: Session) -> None:
    for user in users(session):
        session.delete(user)


def delete_by_query(session: Session) -> None:
    session.get_one(User, 7).picture.filter_by(original=False).delete()


def delete_of_an_album(session: Session) -> None:
    session.get_one(Album, 7).photos.get_image_set(position=1).delete()


def make_thumbnail(session: Session) -> None:
    session.get_one(User, 7).picture.generate_thumbnail(width=8)


def rename(session: Session) -> None:
    picture = session.get_one(User, 7).picture
    for image in list(picture):
        image.mimetype = "image/gif"


def show(session: Session) -> None:
    for user in users(session):
        user.picture.find_thumbnail(width=16).locate()


def ask_the_database(session: Session) -> None:
    user = session.get_one(User, 7)
    assert user.picture.filter_by(original=False).count() == 2
    assert session.get_one(Album, 7).photos.get_image_set(position=1).count() == 3


@pytest.fixture
def store() -> MemoryStore:
    """What one of the users has."""
    store = MemoryStore()
    for width, height, _ in SIZES:
        store.put_key(
            BytesIO(picture(width, height)), FileKey("user-picture", 7, width, height, "image/png", "k3v9q2"), False
        )
    return store


@pytest.mark.parametrize(
    "operation",
    [
        replace,
        replace_many,
        replace_unloaded,
        replace_of_an_album,
        remove,
        delete_owners,
        delete_by_query,
        delete_of_an_album,
        make_thumbnail,
        rename,
        show,
        ask_the_database,
    ],
)
def test_every_statement_finds_its_rows_by_the_index_of_their_key(engine, store, operation):
    plans = Plans(engine)
    with store_context(store), Session(engine) as session:
        operation(session)
        session.commit()
    assert plans.count > 0
    assert plans.scans == []
