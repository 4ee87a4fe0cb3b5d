"""What stores are told, which store a file is in, and that a lock is no change."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import ForeignKey, Integer, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from models import picture, stored
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.transactions.entries import undo_abandoned
from sqlalchemy_imageattach.transactions.ledger import ledger_of

RED, GREEN = picture(color=255), picture(color=255 << 8)


class RecordingStore(MemoryStore):
    """A store that remembers whether what it got can be made again."""

    def __init__(self) -> None:
        super().__init__()
        self.reproducible = {}

    def put_key(self, file, key, reproducible):
        super().put_key(file, key, reproducible)
        self.reproducible[key] = reproducible


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture = image_attachment("PersonPicture")


class PersonPicture(Base, Image):
    __tablename__ = "person_picture"
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id", onupdate="CASCADE"), primary_key=True)
    changes: Mapped[int] = mapped_column(Integer, default=0, onupdate=1)


@pytest.fixture
def open_session(database_url):
    """Makes sessions that keep what they have loaded, on a database that minds foreign keys."""
    engine = create_engine(database_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON").close())
    Base.metadata.create_all(engine)
    yield lambda **info: Session(engine, info=info, expire_on_commit=False)
    Base.metadata.drop_all(engine)
    engine.dispose()


def with_thumbnail(session: Session, store: MemoryStore, end: str = "commit") -> Person:
    person = Person()
    session.add(person)
    person.picture.from_blob(RED, store)
    session.flush()
    person.picture.generate_thumbnail(width=8, store=store)
    getattr(session, end)()
    return person


def by_owner(session: Session, person: Person, key: int) -> None:
    person.id = key


def by_image(session: Session, person: Person, key: int) -> None:
    session.add(Person(id=key))
    session.flush()
    person.picture.original.person_id = key


@pytest.mark.parametrize("change", [by_owner, by_image])
def test_an_explicit_store_is_remembered_through_two_changes_of_a_key(open_session, change):
    store = MemoryStore()
    with open_session() as session:
        key = with_thumbnail(session, store).id
        for new_key in (7, 8):
            session.expunge_all()
            change(session, session.get(Person, key), new_key)
            session.commit()
            key = new_key
        session.expunge_all()
        assert session.get(Person, 8).picture.make_blob() == RED
        session.delete(session.get(Person, 8))
        session.commit()
    assert not stored(store)


@pytest.mark.parametrize("end", ["flush", "commit"])
@pytest.mark.parametrize("change", [by_owner, by_image])
def test_originals_are_put_as_not_reproducible_and_thumbnails_as_reproducible(open_session, change, end):
    store = RecordingStore()
    with open_session(image_store=store) as session:
        person = with_thumbnail(session, store, end)
        change(session, person, 7)
        session.commit()
    put = {(key.object_id, key.width): is_thumbnail for key, is_thumbnail in store.reproducible.items()}
    # A thumbnail goes along with its owner; an original goes alone.
    assert put == {(1, 64): False, (1, 8): True, (7, 64): False} | ({(7, 8): True} if change is by_owner else {})


def test_a_lock_changes_no_column(open_session):
    store = MemoryStore()
    with open_session(image_store=store) as session:
        person = with_thumbnail(session, store)
        person.picture.generate_thumbnail(width=16)
        session.commit()
        assert set(session.scalars(select(PersonPicture.changes))) == {0}


def test_a_thumbnail_that_another_transaction_has_made_is_in_the_attribute_then(open_session):
    store = MemoryStore()
    with open_session(image_store=store) as session, open_session(image_store=store) as another:
        person = with_thumbnail(session, store)
        another.get(Person, person.id).picture.generate_thumbnail(width=16)
        another.commit()
        assert person.picture.generate_thumbnail(width=16) in person.picture
        assert sorted(image.width for image in person.picture) == [8, 16, 64]


def test_a_deleted_image_whose_row_was_gone_keeps_its_width(open_session):
    store = MemoryStore()
    with open_session(image_store=store) as session, open_session(image_store=store) as another:
        person = with_thumbnail(session, store)
        thumbnail = person.picture.find_thumbnail(width=8)
        another.delete(another.get(Person, person.id).picture.find_thumbnail(width=8))
        another.commit()
        session.delete(thumbnail)
        session.flush()
        assert thumbnail.size == (8, 6)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_a_parent_abandoned_is_not_undone_by_a_forked_child(open_session, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    store = FileSystemStore(str(folder), "https://example.com/")
    with open_session(image_store=store) as session:
        session.add(person := Person())
        person.picture.from_blob(RED)
        session.flush()
        # As the garbage collection of a session does it.
        ledger_of(session).abandon()
        child = os.fork()
        if child == 0:
            undo_abandoned()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert stored(store)
        undo_abandoned()
        assert not stored(store)
