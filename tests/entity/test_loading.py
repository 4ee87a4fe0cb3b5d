"""Images are loaded with their owners by every loader option, and nothing is asked of the database once they are."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref

import pytest
from sqlalchemy import Column, ForeignKey, Integer, event, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import (
    contains_eager,
    declarative_base,
    defer,
    immediateload,
    joinedload,
    lazyload,
    noload,
    object_session,
    raiseload,
    relationship,
    selectinload,
    subqueryload,
)
from sqlalchemy.orm.exc import DetachedInstanceError, NoResultFound

from models import Album, User, UserPicture, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.transactions import pending

RED, GREEN = picture(color=255), picture(color=255 << 8)
TINY = picture(4, 3)
LARGE = picture(1200, 900, format="BMP")

every_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


def add_thumbnail(user: User) -> None:
    user.picture.from_blob(RED)
    user.picture.from_raw_file(io.BytesIO(TINY), size=(4, 3), mimetype="image/png", original=False)


def find_thumbnail_url(user: User) -> str:
    return user.picture.find_thumbnail(width=4).locate()


@pytest.fixture
def hundred_users(session, store):
    """A hundred users with a thumbnail each, none of them loaded."""
    with store_context(store):
        users = [User(name=str(number)) for number in range(100)]
        session.add_all(users)
        for user in users:
            add_thumbnail(user)
        session.commit()
    session.close()


# How many statements a page with a thumbnail of each of a hundred users costs.
COSTS = {
    selectinload: 2,
    subqueryload: 2,
    joinedload: 1,
    immediateload: 101,
    lazyload: 101,
}


@every_database
@pytest.mark.parametrize("option", COSTS, ids=lambda option: option.__name__)
def test_a_page_of_a_hundred_thumbnails(session, hundred_users, context, statements, option):
    with statements() as seen:
        users = session.query(User).options(option(User.picture)).all()
        urls = {find_thumbnail_url(user) for user in users}
    assert len(urls) == 100
    assert len(seen) == COSTS[option]


@every_database
def test_a_page_of_a_hundred_thumbnails_in_the_style_of_select(session, hundred_users, context, statements):
    with statements() as seen:
        users = session.scalars(select(User).options(selectinload(User.picture))).all()
        assert len({find_thumbnail_url(user) for user in users}) == 100
    assert len(seen) == 2


def test_nothing_is_asked_once_images_are_loaded(session, hundred_users, context, statements):
    user = session.query(User).options(selectinload(User.picture)).first()
    with statements() as seen:
        images = user.picture
        assert images
        assert len(images) == images.count() == len(images.all()) == 2
        assert set(images) == set(images.all())
        assert images.original in images
        assert images.first() in images
        assert (images.width, images.height, images.original.size) == (64, 48, (64, 48))
        assert images.require_original().original
        assert images.find_thumbnail(height=3).size == (4, 3)
        with pytest.raises(NoResultFound):
            images.find_thumbnail(width=5)
        assert images.generate_thumbnail(width=4) is images.find_thumbnail(4)
        assert images.generate_thumbnail(ratio=1) is images.original
        assert images.locate() in images.__html__()
        assert images.locate() in images.img(alt="somebody")
        assert images.make_blob() == RED
        assert images.original.user is user
    assert seen == []


def test_an_empty_set_is_asked_for_once(session, user, statements):
    assert user.name
    with statements() as seen:
        assert not user.picture
        assert user.picture.original is None
        assert user.picture.count() == 0
        assert user.picture.__html__() == ""
    assert len(seen) == 1


def test_attaching_asks_only_for_what_is_there(session, user, store, statements):
    assert user.name
    with statements() as seen:
        user.picture.from_blob(RED, store)
        assert user.picture.original.size == (64, 48)
    assert len(seen) == 1


def test_a_raiseload_is_kept(session, hundred_users):
    user = session.query(User).options(raiseload(User.picture)).first()
    with pytest.raises(InvalidRequestError, match="raise"):
        user.picture  # noqa: B018


def test_a_thumbnail_of_an_album_page_costs_two_queries(session, context, statements):
    for number in range(3):
        session.add(album := Album())
        for position in range(number + 1):
            album.photos.get_image_set(position=position).from_blob(RED)
    session.commit()
    session.close()
    with statements() as seen:
        albums = session.query(Album).options(selectinload(Album.photos)).order_by(Album.id).all()
        urls = [[photo.locate() for photo in album.photos.image_sets] for album in albums]
        assert [len(photos) for photos in urls] == [1, 2, 3]
        assert albums[2].photos.get_image_set(position=1).make_blob() == RED
    assert len(seen) == 2


def test_images_can_come_from_a_join(session, hundred_users, context, statements):
    query = session.query(User).join(User.picture).filter(UserPicture.width == 4)
    with statements() as seen:
        users = query.options(contains_eager(User.picture)).all()
        assert len({find_thumbnail_url(user) for user in users}) == 100
    assert len(seen) == 1


def test_images_can_be_loaded_without_some_columns(session, hundred_users, context):
    option = selectinload(User.picture).options(defer(UserPicture.created_at), defer(UserPicture.mimetype))
    user = session.query(User).options(option).first()
    assert user.picture.original.make_blob() == RED


# How a model says that its images are loaded


def models(**options):
    Base = declarative_base()

    class Person(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("PersonPicture", **options)
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        person_id = Column(Integer, ForeignKey("person.id"), primary_key=True)
        person = relationship(Person)
        __tablename__ = "person_picture"

    return Base, Person, PersonPicture


CONFIGURED = {"select": 4, True: 4, "selectin": 2, "joined": 1, "subquery": 2, "immediate": 4, "dynamic": 4}


@pytest.mark.parametrize("lazy", CONFIGURED)
def test_the_way_of_loading_can_be_configured(engine, make_session, store, statements, lazy):
    Base, Person, _ = models(lazy=lazy)
    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    for _ in range(3):
        session.add(person := Person())
        person.picture.from_blob(RED)
        assert person.picture.generate_thumbnail(width=8).locate()
    session.commit()
    session.expunge_all()
    with statements() as seen:
        for person in session.query(Person):
            assert person.picture.find_thumbnail(width=8).locate()
    assert len(seen) == CONFIGURED[lazy]
    person.picture.from_blob(GREEN)
    session.commit()
    assert person.picture.make_blob() == GREEN
    assert len(person.picture.all()) == 1
    session.delete(person)
    session.commit()
    assert len(list(store.list_files())) == 4


def test_a_set_that_is_configured_never_to_load_still_replaces_what_is_there(engine, make_session, store):
    Base, Person, PersonPicture = models(lazy="raise")
    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(person := Person())
    person.picture.from_blob(RED)
    session.commit()
    with pytest.raises(InvalidRequestError):
        person.picture.original  # noqa: B018
    person = session.query(Person).options(selectinload(Person.picture)).populate_existing().one()
    person.picture.from_blob(GREEN)
    session.commit()
    assert session.query(PersonPicture).one().make_blob() == GREEN


@pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*noload.*:sqlalchemy.exc.SADeprecationWarning")
def test_a_set_that_is_loaded_as_empty_still_replaces_what_is_there(session, user, context, store):
    add_thumbnail(user)
    session.commit()
    session.close()
    user = session.query(User).options(noload(User.picture)).one()
    assert not user.picture
    user.picture.from_blob(GREEN)
    session.commit()
    assert session.query(UserPicture).one().make_blob() == GREEN
    assert len(list(store.list_files())) == 1


@pytest.fixture
def dynamic(engine, make_session, store):
    """A person with a picture and a thumbnail, whose attribute is dynamic."""
    Base, Person, _ = models(lazy="dynamic", order_by="PersonPicture.width")
    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(person := Person())
    person.picture.from_blob(RED)
    person.picture.generate_thumbnail(width=8)
    session.commit()
    return person


def test_a_dynamic_set_loads_no_more_than_is_wanted(dynamic):
    loaded: list[object] = []
    image_class = type(dynamic.picture.original)
    object_session(dynamic).expire_all()
    gc.collect()
    event.listen(image_class, "load", lambda image, _: loaded.append(image))
    original = dynamic.picture.original
    assert loaded == [original]
    thumbnail = dynamic.picture.find_thumbnail(width=8)
    assert loaded == [original, thumbnail]


def test_a_dynamic_attribute_may_have_many_sets(engine, make_session, store):
    Base = declarative_base()

    class Shelf(Base):
        id = Column(Integer, primary_key=True)
        photos = image_attachment("ShelfPhoto", uselist=True, lazy="dynamic")
        __tablename__ = "shelf"

    class ShelfPhoto(Base, Image):
        shelf_id = Column(Integer, ForeignKey("shelf.id"), primary_key=True)
        position = Column(Integer, primary_key=True)
        __tablename__ = "shelf_photo"
        object_id = property(lambda self: self.shelf_id * 1000 + self.position)

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(shelf := Shelf())
    for position, blob in enumerate((RED, GREEN)):
        shelf.photos.get_image_set(position=position).from_blob(blob)
    session.commit()
    second = shelf.photos.get_image_set(position=1)
    second.generate_thumbnail(width=8)
    assert second.make_blob() == GREEN
    assert [photos.count() for photos in shelf.photos.image_sets] == [1, 2]
    second.from_blob(RED)
    session.commit()
    assert second.make_blob() == RED
    assert shelf.photos.count() == 2
    with pytest.raises(TypeError, match="missing position"):
        shelf.photos.get_image_set()


def test_a_dynamic_set_is_a_query(dynamic):
    assert [image.width for image in dynamic.picture] == [8, 64]
    assert dynamic.picture.count() == 2
    assert dynamic.picture.filter_by(original=False).one().width == 8
    assert dynamic.picture[0].width == 8
    assert bool(dynamic.picture)
    dynamic.picture.filter_by(original=False).one()


@pytest.mark.parametrize("is_added", [False, True], ids=["transient", "pending"])
def test_a_dynamic_set_of_an_owner_without_a_row(engine, make_session, store, is_added):
    Base, Person, _ = models(lazy="dynamic")
    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    person = Person()
    if is_added:
        session.add(person)
    assert not person.picture
    person.picture.from_blob(RED, store)
    person.picture.from_blob(GREEN, store)
    thumbnail = person.picture.generate_thumbnail(width=8, store=store)
    assert person.picture.make_blob(store) == GREEN
    assert person.picture.find_thumbnail(8) is thumbnail
    session.add(person)
    session.commit()
    assert person.picture.make_blob() == GREEN
    assert person.picture.count() == 2


# What happens to a set that somebody holds


@pytest.fixture
def held(session, context, user):
    """The image set of a user with a picture and a thumbnail, loaded."""
    add_thumbnail(user)
    session.commit()
    assert len(user.picture) == 2
    return user.picture


def test_a_set_that_is_held_across_a_commit_goes_on(session, user, held):
    user.picture.from_blob(GREEN)
    session.commit()
    assert held.make_blob() == GREEN
    assert len(held) == held.count() == 1
    held.from_blob(RED)
    session.commit()
    assert held.make_blob() == user.picture.make_blob() == RED


@pytest.mark.parametrize("method", ["expire", "refresh"])
def test_a_set_that_is_held_while_its_owner_is_made_anew_goes_on(session, user, held, method):
    session.query(UserPicture).filter_by(original=False).delete()
    getattr(session, method)(user)
    assert held.original.size == (64, 48)
    held.generate_thumbnail(width=8)
    assert {image.width for image in held} == {image.width for image in user.picture} == {8, 64}


def test_a_set_that_is_held_across_a_rollback_goes_on(session, user, held):
    held.from_blob(GREEN)
    session.rollback()
    assert held.make_blob() == RED
    assert held is not user.picture
    assert len(held) == 2


def test_a_set_that_is_held_while_another_one_is_merged_into_it_goes_on(session, user, held):
    assert session.merge(pickle.loads(pickle.dumps(user))) is user
    assert held.original is user.picture.original
    assert held.filter_by(original=False).one().width == 4
    held.from_blob(GREEN)
    session.commit()
    assert user.picture.make_blob() == GREEN


def test_a_set_whose_attribute_is_assigned_goes_on_as_the_new_one(session, user, held, store):
    user.picture = [held.original]
    session.commit()
    assert len(held) == 1
    user.picture = []
    session.commit()
    assert not held
    assert list(store.list_files()) == []


def test_a_set_whose_owner_nobody_holds_keeps_it(session, user, held):
    identity = user.id
    session.close()
    del user, held
    gc.collect()
    images = session.get(User, identity).picture
    gc.collect()
    assert images.make_blob() == RED
    images.from_blob(GREEN)
    session.commit()
    gc.collect()
    assert images.make_blob() == GREEN


def test_an_owner_that_nobody_holds_is_collected_with_its_images(session, user, held):
    owner = User(name="another")
    owner.picture.from_blob(RED)
    session.add(owner)
    session.commit()
    kept = [weakref.ref(thing) for thing in (owner, owner.picture, owner.picture.original)]
    del owner
    gc.collect()
    assert [reference() for reference in kept] == [None, None, None]


# Owners without a session


@pytest.fixture
def detached(session, held):
    user = held.original.user
    assert user.name
    assert not user.cover
    session.expunge(user)
    return user


def test_a_detached_owner_has_what_was_loaded(detached, store):
    assert detached.picture.locate().startswith("https://example.com/")
    assert detached.picture.make_blob(store) == RED
    assert detached.picture.find_thumbnail(width=4).make_blob() == TINY
    assert detached.picture.count() == len(detached.picture.all()) == 2


def test_a_detached_owner_can_be_given_a_picture_and_come_back(session, detached):
    detached.picture.from_blob(GREEN)
    thumbnail = detached.picture.generate_thumbnail(width=8)
    assert thumbnail.make_blob() != GREEN
    session.add(detached)
    session.commit()
    assert detached.picture.make_blob() == GREEN
    assert {image.width for image in detached.picture} == {8, 64}


def test_a_query_of_a_detached_owners_images_says_what_to_do(detached):
    with pytest.raises(DetachedInstanceError, match=r"add it to one, or use what is loaded"):
        detached.picture.filter_by(original=True)


def test_what_was_not_loaded_of_a_detached_owner_is_an_error(session, user):
    session.expire(user)
    session.refresh(user, ["name"])
    session.expunge(user)
    with pytest.raises(DetachedInstanceError):
        user.picture  # noqa: B018


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("what", ["the owner", "the set", "an image"])
def test_pickled_images_are_still_those_of_their_owner(user, held, what, protocol):
    assert {image.user for image in held} == {user}
    things = {"the owner": user, "the set": held, "an image": held.original}
    thing = pickle.loads(pickle.dumps(things[what], protocol))
    if what == "the owner":
        images = thing.picture
    elif what == "the set":
        images = thing
    else:
        images = thing.user.picture
    assert images.original.user.picture is images
    assert {image.width for image in images} == {4, 64}
    assert images.make_blob() == RED
    assert images.locate() == held.locate()


def test_what_is_pickled_before_it_is_stored_leaves_its_bytes_behind(session, user, context, monkeypatch):
    image = user.picture.from_blob(LARGE)
    pickled = pickle.dumps(user)
    # As in another process.
    monkeypatch.setattr(pending, "_attachments", {})
    thawed = pickle.loads(pickled)
    assert thawed.picture.original.size == image.size
    with pytest.raises(OSError, match="no such file"):
        thawed.picture.make_blob()
    session.expunge_all()
    session.add(thawed)
    with pytest.raises(TypeError, match="come with its bytes"):
        session.flush()


def test_a_pickled_owner_can_be_merged_and_given_another_picture(session, user, held):
    thawed = pickle.loads(pickle.dumps(user))
    session.expunge_all()
    user = session.merge(thawed)
    assert user.picture.make_blob() == RED
    user.picture.from_blob(GREEN)
    session.commit()
    assert user.picture.make_blob() == GREEN
    assert user.picture.count() == 1


@pytest.mark.parametrize("load", [True, False])
def test_an_owner_that_was_loaded_elsewhere_is_merged_with_its_images(make_session, held, user, load):
    another = make_session()
    if not load:
        held.session.expunge_all()
    merged = another.merge(user, load=load)
    assert {image.width for image in merged.picture} == {4, 64}
    assert merged.picture.original is not held.original
    assert merged.picture.make_blob() == RED
    assert not any(map(another.is_modified, [merged, *merged.picture]))


def test_a_copy_of_what_is_gone_before_it_is_stored_has_no_bytes_and_says_so(session, user, store):
    newcomer = User(name="new")
    newcomer.picture.from_blob(RED, store)
    session.merge(newcomer)
    del newcomer
    gc.collect()
    with pytest.raises(TypeError, match="come with its bytes"):
        session.commit()
    session.rollback()
    assert list(store.list_files()) == []


def test_a_copy_of_a_set_is_the_set(held):
    assert copy.copy(held).original is held.original


def test_an_image_that_is_expunged_is_read_from_the_store(session, held):
    original = held.original
    assert original.created_at
    session.expunge(original)
    assert original.make_blob() == RED
    assert original.locate().startswith("https://example.com/")
