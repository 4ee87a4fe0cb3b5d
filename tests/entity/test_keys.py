"""When a key changes, every image is still found, or the change is refused; nothing is lost."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, declarative_base, relationship
from sqlalchemy.orm.exc import StaleDataError

from models import Album, AlbumPhoto, User, picture
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.exc import ContextError

RED, GREEN = picture(color=255), picture(color=255 << 8)

every_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


def models(onupdate: str | None = None, **options):
    Base = declarative_base()

    class Person(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("PersonPicture", **options)
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        person_id = Column(Integer, ForeignKey("person.id", onupdate=onupdate), primary_key=True)
        person = relationship("Person")
        __tablename__ = "person_picture"

    return Base, Person, PersonPicture


@pytest.fixture
def make_person(engine, make_session, store):
    """Makes a committed person with a red picture and a thumbnail, in a session that knows the store, or does not."""
    classes = []

    def make(onupdate: str | None = None, info: bool = True, **options):
        # A declarative base holds its classes but weakly.
        classes[:] = Base, Person, _ = models(onupdate, **options)
        Base.metadata.create_all(engine)
        session = make_session(info={"image_store": store} if info else {})
        session.add(person := Person(id=1))
        person.picture.from_blob(RED, store)
        person.picture.generate_thumbnail(width=8, store=store)
        session.commit()
        return session, person

    return make


def agree(session: Session, person, store, identity: int) -> None:
    """Says that the rows of a person name just the files that are there, under one key."""
    session.expire_all()
    assert person.id == identity
    assert {image.person_id for image in person.picture} == {identity}
    assert person.picture.make_blob(store) == RED
    assert {file.key[1:4] for file in store.list_files()} == {(identity, 64, 48), (identity, 8, 6)}
    assert all(image.make_blob(store) for image in person.picture)


@pytest.mark.parametrize("state", ["loaded", "expired", "gone"])
@every_database
def test_files_follow_rows_that_the_database_updates_with_their_owner(make_person, store, state):
    session, person = make_person("CASCADE")
    if state == "loaded":
        assert len(person.picture) == 2
    elif state == "gone":
        session.expunge_all()
        person = session.get(type(person), 1)
    person.id = 7
    session.flush()
    assert person.picture.make_blob() == RED
    session.commit()
    agree(session, person, store, 7)
    person.picture.from_blob(GREEN)
    session.commit()
    assert person.picture.make_blob() == GREEN
    assert len(list(store.list_files())) == 1


@every_database
def test_files_stay_with_rows_whose_update_is_rolled_back(make_person, store):
    session, person = make_person("CASCADE")
    person.id = 7
    session.flush()
    assert len(list(store.list_files())) == 4
    session.rollback()
    agree(session, person, store, 1)


def test_files_follow_through_a_savepoint(make_person, store):
    session, person = make_person("CASCADE")
    with session.begin_nested() as savepoint:
        person.id = 5
        session.flush()
        savepoint.rollback()
    agree(session, person, store, 1)
    with session.begin_nested():
        person.id = 7
    person.id = 9
    session.commit()
    agree(session, person, store, 9)


def test_files_follow_in_the_transaction_that_attached_them(make_person, store):
    session, person = make_person("CASCADE")
    person.picture.from_blob(GREEN)
    session.flush()
    person.id = 7
    session.commit()
    assert person.picture.make_blob() == GREEN
    assert {file.key[1:4] for file in store.list_files()} == {(7, 64, 48)}


def test_a_key_is_not_changed_when_nobody_knows_the_store(make_person, make_session, store):
    session, person = make_person("CASCADE")
    session.close()
    another = make_session()
    theirs = another.get(type(person), 1)
    theirs.id = 7
    with pytest.raises(ContextError):
        another.commit()
    another.rollback()
    agree(session, session.get(type(person), 1), store, 1)


def test_the_store_of_the_call_is_remembered_for_a_change_of_the_key(make_person, store):
    session, person = make_person("CASCADE", info=False)
    assert len(person.picture) == 2
    person.id = 7
    session.commit()
    agree(session, person, store, 7)


def test_an_owner_whose_key_does_not_change_costs_no_query(session, user, statements):
    assert user.name != "changed"
    user.name = "changed"
    with statements() as seen:
        session.commit()
    assert len(seen) == 1


@every_database
@pytest.mark.parametrize("options", [{}, {"passive_updates": False}], ids=["passive", "active"])
def test_a_foreign_key_that_forbids_the_change_refuses_it(make_person, store, options):
    session, person = make_person(**options)
    person.id = 7
    with pytest.raises(IntegrityError):
        session.commit()
    session.rollback()
    agree(session, person, store, 1)


def test_files_follow_rows_that_the_session_updates(make_person, store):
    session, person = make_person(passive_updates=False)
    # Where foreign keys are not enforced, which is how SQLite is without its pragma.
    session.connection().exec_driver_sql("COMMIT")
    session.connection().exec_driver_sql("PRAGMA foreign_keys = OFF")
    session.connection().exec_driver_sql("BEGIN")
    person.id = 7
    session.commit()
    agree(session, person, store, 7)


@every_database
def test_a_change_that_both_the_session_and_the_database_pass_on_is_refused(make_person, store):
    session, person = make_person("CASCADE", passive_updates=False)
    person.id = 7
    with pytest.raises(StaleDataError):
        session.commit()
    session.rollback()
    agree(session, person, store, 1)


# Keys of the images' own


@pytest.fixture
def photo(session, store):
    session.info["image_store"] = store
    session.add(album := Album())
    image = album.photos.get_image_set(position=1).from_blob(RED)
    session.commit()
    return image


def test_an_image_whose_own_key_changes_takes_its_file_along(session, photo, store):
    photo.position = 2
    session.flush()
    assert photo.make_blob() == RED
    session.commit()
    assert photo.make_blob() == RED
    assert [file.key.object_id for file in store.list_files()] == [photo.object_id] == [photo.album_id * 1000 + 2]


def test_an_image_whose_change_of_key_is_rolled_back_still_has_its_file(session, photo, store):
    photo.position = 2
    session.flush()
    session.rollback()
    assert photo.position == 1
    assert photo.make_blob() == RED
    assert len(list(store.list_files())) == 1


def test_a_pending_image_may_change_its_key(session, store):
    session.info["image_store"] = store
    session.add(album := Album())
    image = album.photos.get_image_set(position=1).from_blob(RED)
    image.position = 2
    session.flush()
    image.position = 3
    session.commit()
    assert image.make_blob() == RED
    assert [file.key.object_id for file in store.list_files()] == [image.album_id * 1000 + 3]


def test_images_may_move_to_another_owner(session, photo, store):
    session.add(other := Album())
    session.flush()
    photo.album_id = other.id
    session.commit()
    assert other.photos.get_image_set(position=1).make_blob() == RED
    assert len(list(store.list_files())) == 1


def test_two_images_may_swap_their_keys_by_way_of_a_third(session, photo, store):
    album = session.query(Album).one()
    other = album.photos.get_image_set(position=2).from_blob(GREEN)
    session.commit()
    for image, position in ((photo, 3), (other, 1), (photo, 2)):
        image.position = position
        session.flush()
    session.commit()
    assert album.photos.get_image_set(position=2).make_blob() == RED
    assert album.photos.get_image_set(position=1).make_blob() == GREEN
    assert len(list(store.list_files())) == 2


def test_what_is_in_no_files_name_may_change_without_touching_the_store(session, user, store):
    user.picture.from_blob(RED, store)
    session.commit()
    files = {file.name for file in store.list_files()}
    user.picture.original.caption = "changed"
    session.commit()
    assert {file.name for file in store.list_files()} == files


def test_an_object_id_of_the_models_own_may_outlive_any_change_of_keys(engine, make_session, store):
    Base = declarative_base()

    class Person(Base):
        login = Column(String(20), primary_key=True)
        picture = image_attachment("PersonPicture")
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        login = Column(String(20), ForeignKey("person.login", onupdate="CASCADE"), primary_key=True)
        number = Column(Integer, nullable=False)
        __tablename__ = "person_picture"
        object_id = property(lambda self: self.number)

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(person := Person(login="old"))
    person.picture.from_blob(RED, extra_kwargs={"number": 5})
    person.picture.generate_thumbnail(width=8)
    session.commit()
    files = {file.name for file in store.list_files()}
    person.login = "new"
    session.commit()
    assert {file.name for file in store.list_files()} == files
    assert person.picture.make_blob() == RED
    assert {image.login for image in person.picture} == {"new"}


def test_albums_of_many_photos_follow_too(engine, make_session, store):
    Base = declarative_base()

    class Shelf(Base):
        id = Column(Integer, primary_key=True)
        photos = image_attachment("ShelfPhoto", uselist=True)
        __tablename__ = "shelf"

    class ShelfPhoto(Base, Image):
        shelf_id = Column(Integer, ForeignKey("shelf.id", onupdate="CASCADE"), primary_key=True)
        position = Column(Integer, primary_key=True)
        __tablename__ = "shelf_photo"
        object_id = property(lambda self: self.shelf_id * 1000 + self.position)

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(shelf := Shelf())
    for position, blob in enumerate((RED, GREEN)):
        shelf.photos.get_image_set(position=position).from_blob(blob)
    session.commit()
    shelf.id = 7
    session.commit()
    assert shelf.photos.get_image_set(position=1).make_blob() == GREEN
    assert {file.key.object_id for file in store.list_files()} == {7000, 7001}


def test_an_owner_whose_key_changes_and_changes_back_has_its_file_after_a_rollback(engine, make_session, store):
    Base, Person, _ = models("CASCADE")
    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(person := Person(id=1))
    person.picture.from_blob(RED)
    session.commit()
    for key in (7, 1):
        person.id = key
        session.flush()
    session.rollback()
    assert person.picture.make_blob() == RED
    assert len(list(store.list_files())) == 1


def test_plain_names_follow_too(engine, make_session, own_store):
    Base, Person, _ = models("CASCADE")
    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": own_store})
    session.add(person := Person(id=1))
    person.picture.from_blob(RED)
    session.commit()
    person.id = 7
    session.flush()
    session.rollback()
    assert list(own_store.files.values()) == [RED]
    assert person.picture.make_blob() == RED
    person.id = 7
    session.commit()
    assert list(own_store.files) == [("person-picture", 7, 64, 48, "image/png")]


def test_the_models_of_the_tests_have_keys_of_these_kinds():
    assert AlbumPhoto.identity_attributes() == ["album_id", "position"]
    assert User.picture.property.passive_updates
