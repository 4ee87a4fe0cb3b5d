"""The rows of a class are split by their keys, so that several processes can work on them."""

from __future__ import annotations

import io
import itertools
import json
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import String, Uuid, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import databases
from models import Base, User, UserPicture, picture, stored
from sqlalchemy_imageattach.audit import verify
from sqlalchemy_imageattach.bulk import key_ranges
from sqlalchemy_imageattach.bulk.arguments import image_mapper
from sqlalchemy_imageattach.bulk.batches import batches
from sqlalchemy_imageattach.bulk.keys import ALL_KEYS, KeyRange, key_from_json, key_to_json
from sqlalchemy_imageattach.bulk.thumbnails import make_thumbnails
from sqlalchemy_imageattach.entity import Image
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.migration import migrate_class
from sqlalchemy_imageattach.stores.memory import MemoryStore


class Keys(DeclarativeBase):
    pass


class ByNumber(Keys, Image):
    __tablename__ = "by_number"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class ByText(Keys, Image):
    __tablename__ = "by_text"
    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    object_id = 0


class ByUuid(Keys, Image):
    __tablename__ = "by_uuid"
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)


class BySeveral(Keys, Image):
    __tablename__ = "by_several"
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    object_id = 0


WORDS = ["", "-", "a", "B", "b c", "ö", "Z", "10", "9", "%", "'", "zz"]
UUIDS = [uuid.UUID(int=number * 2**124 + 7) for number in range(12)]
ROWS = {
    ByNumber: [{"number": number} for number in [-(10**9), -1, 0, 1, 2, 3, 5, 8, 13, 10**6, 10**9, 2**31 - 1]],
    ByText: [{"name": word} for word in WORDS],
    ByUuid: [{"id": each} for each in UUIDS],
    BySeveral: [
        {"id": UUIDS[number % 3], "name": WORDS[number % 4], "number": number % 2} for number in range(12)
    ],
}  # fmt: skip


def add(session: Session, cls: type[Image], **values: object) -> None:
    size = {"width": 8, "height": 8, "mimetype": "image/png", "original": True}
    session.execute(insert(cls), [size | values])


@pytest.fixture
def session(engine) -> Iterator[Session]:
    Keys.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


def keys_in(session: Session, cls: type[Image], keys: KeyRange) -> list[tuple[object, ...]]:
    mapper = image_mapper(cls)
    return [row.identity for batch in batches(session, mapper, keys) for row in batch]


@pytest.mark.parametrize("size", [1, 5, 12, 100])
@pytest.mark.parametrize("cls", ROWS, ids=lambda cls: cls.__name__)
def test_each_row_is_in_one_range_and_each_range_of_the_size_but_the_last(session, cls, size):
    for values in ROWS[cls]:
        add(session, cls, **values)
    ranges = list(key_ranges(session, cls, size))
    columns = image_mapper(cls).primary_key
    told = json.loads(json.dumps([[bound and key_to_json(columns, bound) for bound in keys] for keys in ranges]))
    read = [KeyRange(*(bound and key_from_json(columns, bound) for bound in keys)) for keys in told]
    found = [keys_in(session, cls, keys) for keys in read]
    assert [key for part in found for key in part] == keys_in(session, cls, ALL_KEYS)
    assert [len(part) for part in found[:-1]] == [size] * (len(ROWS[cls]) // size - (len(ROWS[cls]) % size == 0))
    assert 1 <= len(found[-1]) <= size


def test_a_row_that_comes_later_is_in_a_range_wherever_it_comes(session):
    for number in range(0, 100, 10):
        add(session, ByNumber, number=number)
    ranges = list(key_ranges(session, ByNumber, 3))
    for number in (-1, 5, 30, 31, 95):
        if number % 10:
            add(session, ByNumber, number=number)
    assert sum(len(keys_in(session, ByNumber, keys)) for keys in ranges) == 14


def test_a_class_without_rows_is_one_range(session):
    assert list(key_ranges(session, ByText, 10)) == [ALL_KEYS]


def test_a_range_costs_one_query_which_gives_no_rows_but_its_boundary(session, engine):
    for number in range(100):
        add(session, ByNumber, number=number)
    statements = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert len(list(key_ranges(session, ByNumber, 30))) == len(statements) == 4
    assert all("LIMIT" in statement.upper() for statement in statements)


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError), (None, TypeError)]
)
def test_a_size_that_is_none_is_refused(session, size, error):
    with pytest.raises(error, match="size"):
        key_ranges(session, ByNumber, size)


# Moving and comparing a range


@pytest.fixture
def pictures(sqlite_url) -> Iterator[tuple[Session, MemoryStore]]:
    engine, store = databases.make_engine(sqlite_url), MemoryStore()
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        for number in range(1, 8):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(color=number))
        session.commit()
        yield session, store
    engine.dispose()


def test_ranges_together_move_what_the_class_has(pictures):
    session, store = pictures
    destination, moved = MemoryStore(), []
    for keys in key_ranges(session, UserPicture, 3):
        moved.append([image.user_id for image in migrate_class(session, UserPicture, store, destination, keys=keys)])
    assert moved == [[1, 2, 3], [4, 5, 6], [7]]
    assert stored(destination) == stored(store)


def test_sizes_are_made_of_the_originals_of_a_range(pictures):
    session, store = pictures
    keys = KeyRange((2, 64, 48), (5, 64, 48))
    made = make_thumbnails(session, UserPicture, store, widths=[16], keys=keys)
    assert [thumbnail.user_id for each in made for thumbnail in each.thumbnails] == [3, 4, 5]


def test_a_range_goes_on_from_a_checkpoint(pictures):
    session, store = pictures
    keys, checkpoint = KeyRange((1, 64, 48), (5, 64, 48)), {}
    plan = migrate_class(session, UserPicture, store, MemoryStore(), keys=keys, checkpoint=checkpoint)
    assert [image.user_id for image in itertools.islice(plan, 2)] == [2, 3]
    assert [image.user_id for image in plan] == [4, 5]


def test_the_audit_of_a_range_tells_of_its_rows_alone_and_of_no_orphans(pictures):
    session, store = pictures
    for number in (1, 3, 5):
        store.delete(session.get_one(UserPicture, (number, 64, 48)))
    store.put_file(io.BytesIO(picture()), "user-picture", 99, 64, 48, "image/png", False)
    session.rollback()
    findings = list(verify(session, UserPicture, store, keys=KeyRange((2, 0, 0), (5, 64, 48))))
    assert [(finding.kind, finding.row[1][0]) for finding in findings] == [("missing", 3), ("missing", 5)]


def test_without_probe_the_audit_of_a_range_opens_no_file(pictures, monkeypatch):
    session, store = pictures
    asked = []
    monkeypatch.setattr(store, "has_key", lambda key: asked.append(key.object_id) or True, raising=False)
    monkeypatch.setattr(store, "get_file", lambda *key: pytest.fail("it was opened"))
    assert list(verify(session, UserPicture, store, keys=ALL_KEYS)) == []
    assert sorted(asked) == [1, 2, 3, 4, 5, 6, 7]


def test_a_store_that_cannot_be_reached_ends_the_audit_of_a_range(pictures, monkeypatch):
    session, store = pictures

    def has_key(key):
        raise StoreError("no answer")

    monkeypatch.setattr(store, "has_key", has_key, raising=False)
    with pytest.raises(StoreError, match="no answer"):
        list(verify(session, UserPicture, store, keys=ALL_KEYS))


@pytest.mark.parametrize(
    ("keys", "error"), [((None, None), TypeError), (KeyRange((1, 2)), ValueError), (KeyRange(None, ()), ValueError)]
)
def test_what_is_no_range_of_the_class_is_refused_before_anything_is_done(pictures, keys, error):
    session, store = pictures
    with pytest.raises(error, match="keys"):
        migrate_class(session, UserPicture, store, MemoryStore(), keys=keys)
    with pytest.raises(error, match="keys"):
        make_thumbnails(session, UserPicture, store, widths=[16], keys=keys)
    with pytest.raises(error, match="keys"):
        verify(session, UserPicture, store, keys=keys)


def test_the_audit_of_a_range_is_that_of_one_class(pictures):
    session, store = pictures
    with pytest.raises(TypeError, match="expected a mapped class"):
        verify(session, Base, store, keys=ALL_KEYS)
