"""An image set is a query of its images, and a plain query of images is an image set."""

from __future__ import annotations

import pytest
from sqlalchemy import and_, exists, func, or_, select, tuple_
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.orm import Query, aliased, object_session

from models import Album, AlbumPhoto, User, UserPicture, picture
from sqlalchemy_imageattach.entity import BaseImageQuery, BaseImageSet, ImageSet, MultipleImageSet, SingleImageSet

RED, GREEN = picture(color=255), picture(color=255 << 8)

every_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


@pytest.fixture
def user(session, user, context):
    """A user with an original of 64 x 48 and thumbnails 32, 16 and 8 pixels wide; another user has one, too."""
    session.add(other := User(name="another"))
    for each in (user, other):
        each.picture.from_blob(RED)
    for width in (32, 16, 8):
        user.picture.generate_thumbnail(width=width)
    session.commit()
    return user


@pytest.fixture(params=["attached", "expired", "query of it", "plain query"])
def images(request, session, user):
    """The images of the user, by way of the attribute and by way of a query."""
    assert user.picture
    match request.param:
        case "expired":
            session.expire_all()
        case "query of it":
            return user.picture.filter_by()
        case "plain query":
            return ImageSet([UserPicture], session).filter_by(user_id=user.id)
    return user.picture


def widths(images) -> list[int]:
    return [image.width for image in images]


def test_a_set_is_a_query():
    assert ImageSet is SingleImageSet
    assert issubclass(ImageSet, BaseImageSet)
    assert issubclass(ImageSet, BaseImageQuery)
    assert issubclass(BaseImageQuery, Query)
    assert issubclass(MultipleImageSet, BaseImageQuery)


def test_filters_and_order(images):
    assert isinstance(images.filter_by(original=True), ImageSet)
    assert widths(images.filter_by(original=True)) == [64]
    assert sorted(widths(images.filter(UserPicture.width < 20))) == [8, 16]
    assert widths(images.order_by(UserPicture.width)) == [8, 16, 32, 64]
    assert widths(images.order_by(UserPicture.width.desc()).filter(UserPicture.height < 20)) == [16, 8]


def test_the_results(images):
    assert len(images.all()) == images.count() == 4
    assert images.first() in images
    assert images.filter_by(width=8).one().width == 8
    assert images.filter_by(width=9).one_or_none() is None
    assert images.filter_by(width=9).first() is None
    with pytest.raises(NoResultFound):
        images.filter_by(width=9).one()
    for method in (images.one, images.one_or_none):
        with pytest.raises(MultipleResultsFound):
            method()
    assert images.with_entities(func.max(UserPicture.width)).scalar() == 64


def test_limits_and_slices(images):
    by_width = images.order_by(UserPicture.width)
    assert widths(by_width.limit(2)) == [8, 16]
    assert widths(by_width.limit(2).offset(1)) == [16, 32]
    assert widths(by_width[1:3]) == [16, 32]
    assert by_width[0].width == 8
    assert len(images[0:3]) == len(images.limit(3).all()) == 3
    assert images[0] in images


def test_that_images_exist(session, images):
    assert session.query(images.exists()).scalar()
    assert not session.query(images.filter_by(width=9).exists()).scalar()


def test_it_can_be_a_part_of_another_query(session, user, images):
    subquery = images.filter_by(original=True).subquery()
    assert session.query(User).join(subquery, subquery.c.user_id == User.id).one() is user
    assert session.scalars(select(User).where(User.id.in_(images.with_entities(UserPicture.user_id)))).one() is user
    assert session.scalars(images.order_by(UserPicture.width).statement).first().width == 8
    assert images.union(session.query(UserPicture).filter_by(width=64)).count() == 5
    assert session.query(select(func.count()).select_from(images.subquery()).scalar_subquery()).scalar() == 4


def test_sets_of_two_users_can_be_parts_of_one_query(session, user):
    other = session.scalars(select(User).where(User.id != user.id)).one()
    session.expire_all()
    assert [len(each.picture) for each in (user, other)] == [4, 1]
    assert user.picture.filter_by().union(other.picture.filter_by()).count() == 5


def test_bulk_updates_reach_only_its_own_images(session, user, images):
    assert images.filter_by(original=False).update({"caption": "small"}) == 3
    assert session.query(UserPicture).filter_by(caption="small").count() == 3


def test_the_state_of_a_query_can_be_asked_for(session, user, images):
    assert images.session is session
    assert images.column_descriptions[0]["entity"] is UserPicture
    assert "user_picture" in str(images.filter())
    assert images.whereclause is not None


def test_a_query_sees_what_is_not_flushed_yet(user):
    user.picture.from_blob(GREEN)
    assert user.picture.filter_by(original=True).one().make_blob() == GREEN
    assert user.picture.filter_by().count() == 1


def test_a_set_can_be_asked_in_another_session(make_session, user):
    other = make_session()
    images = user.picture.with_session(other)
    assert images.session is other
    assert object_session(images.filter_by(width=8).one()) is other


def test_an_attribute_keeps_its_order(engine, make_session, store):
    from sqlalchemy import Column, ForeignKey, Integer
    from sqlalchemy.orm import declarative_base

    from sqlalchemy_imageattach.entity import Image, image_attachment

    Base = declarative_base()

    class Person(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("PersonPicture", order_by="PersonPicture.width.desc()")
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        person_id = Column(Integer, ForeignKey("person.id"), primary_key=True)
        __tablename__ = "person_picture"

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(person := Person())
    person.picture.from_blob(RED)
    for width in (8, 32, 16):
        person.picture.generate_thumbnail(width=width)
    session.commit()
    assert widths(person.picture) == widths(person.picture.filter_by()) == [64, 32, 16, 8]
    assert person.picture.first() is person.picture.original
    assert widths(person.picture.order_by(None).order_by(PersonPicture.width)) == [8, 16, 32, 64]


def test_a_query_has_no_length(session, user):
    with pytest.raises(TypeError, match=r"call count\(\)"):
        len(ImageSet([UserPicture], session))


def test_a_plain_query_is_true_when_it_finds_something(session, user):
    images = ImageSet([UserPicture], session)
    assert images
    assert not images.filter_by(width=9)
    assert images.filter_by(width=8).one() in images


def test_a_plain_query_reads_what_an_attribute_reads(session, user, store):
    images = ImageSet([UserPicture], session).filter_by(user_id=user.id)
    assert images.original is user.picture.original
    assert images.find_thumbnail(width=16) is user.picture.find_thumbnail(width=16)
    assert images.make_blob() == RED
    assert images.locate() == user.picture.locate()
    assert images.__html__() == user.picture.__html__()
    assert images.identity_map == {}
    assert images.query is images


def test_a_plain_query_has_no_owner_to_attach_to(session, user):
    for images in (ImageSet([UserPicture], session), user.picture.filter_by(original=True)):
        with pytest.raises(TypeError, match="expected the attribute of an entity"):
            images.from_blob(GREEN)
        with pytest.raises(TypeError, match="expected the attribute of an entity"):
            images.generate_thumbnail(width=4)
    assert user.picture.make_blob() == RED


# Columns as SQL expressions


@every_database
def test_the_columns_of_images_are_sql_expressions(session, user):
    small = select(UserPicture.width).where(UserPicture.original.is_(False), UserPicture.width < 20)
    assert sorted(session.scalars(small)) == [8, 16]
    assert session.query(UserPicture.mimetype).distinct().scalar() == "image/png"
    assert session.query(func.count(UserPicture.revision.distinct())).scalar() == 5
    assert session.query(func.max(UserPicture.created_at)).scalar() is not None
    assert session.query(User).filter(User.picture.any(UserPicture.width == 8)).one() is user
    assert session.query(User).filter(~User.cover.any()).count() == 2
    assert session.query(User).join(User.picture).filter(UserPicture.height == 6).one() is user


@every_database
def test_the_size_is_a_pair_in_sql(session, user):
    assert session.query(UserPicture).filter(UserPicture.size == (8, 6)).one().size == (8, 6)
    either = session.query(UserPicture).filter(UserPicture.size.in_([(8, 6), (16, 12), (8, 12)]))
    assert sorted(widths(either)) == [8, 16]
    assert user.picture.filter(UserPicture.size == tuple_(64, 48)).one().original


def test_the_size_of_an_image_can_be_set():
    image = UserPicture()
    image.size = 3, 2
    assert (image.width, image.height) == image.size == (3, 2)
    assert UserPicture(size=(3, 2)).height == 2


def test_images_can_be_compared_with_others_of_their_table(session, user):
    larger = aliased(UserPicture)
    has_larger = exists().where(and_(larger.user_id == UserPicture.user_id, larger.width > UserPicture.width))
    assert sorted(widths(session.query(UserPicture).filter(has_larger))) == [8, 16, 32]
    assert session.query(UserPicture).filter(or_(UserPicture.width == 8, UserPicture.original)).count() == 3


# Many sets behind one attribute


@pytest.fixture
def album(session, context):
    """An album with a red photo at position 1 and a green one at position 2, and two empty albums beside it."""
    session.add_all([album := Album(), Album(), Album()])
    session.flush()
    album.photos.get_image_set(position=1).from_blob(RED)
    album.photos.get_image_set(position=2).from_blob(GREEN)
    session.commit()
    return album


@pytest.fixture(params=["attached", "plain query"])
def photos(request, session, album):
    """The photos of the album, by way of the attribute and by way of a query."""
    return album.photos if request.param == "attached" else MultipleImageSet([AlbumPhoto], session)


def keys_of(album: Album, photos) -> dict[str, int]:
    """What a plain query has to be told, since it has no owner."""
    return {} if photos is album.photos else {"album_id": album.id}


def test_a_subset_has_its_own_original(album, photos):
    key = keys_of(album, photos)
    first, second = (photos.get_image_set(position=position, **key) for position in (1, 2))
    assert (first.make_blob(), second.make_blob()) == (RED, GREEN)
    assert first.original.position == 1
    assert first.require_original().identity_map == {"album_id": album.id, "position": 1}
    assert first.identity_map == {"position": 1, **key}
    assert first.query is photos
    assert first.locate() != second.locate()
    assert list(first) == [first.original]
    assert first.count() == 1
    assert first


def test_a_subset_that_is_not_there_is_empty(album, photos):
    nothing = photos.get_image_set(position=3, **keys_of(album, photos))
    assert not nothing
    assert nothing.original is None
    assert nothing.count() == 0
    assert list(nothing) == []
    assert nothing.__html__() == ""
    with pytest.raises(OSError, match="no original image yet"):
        nothing.require_original()
    with pytest.raises(NoResultFound):
        nothing.find_thumbnail(width=64)


def test_all_subsets_are_told(album, photos):
    assert sorted(subset.identity_map["position"] for subset in photos.image_sets) == [1, 2]
    assert sorted(subset.make_blob() for subset in photos.image_sets) == sorted([RED, GREEN])
    assert photos.count() == 2


def test_each_subset_has_thumbnails_of_its_own(session, album):
    first, second = (album.photos.get_image_set(position=position) for position in (1, 2))
    thumbnail = first.generate_thumbnail(width=8)
    with pytest.raises(NoResultFound):
        second.find_thumbnail(width=8)
    other = second.generate_thumbnail(width=8)
    assert other is not thumbnail
    session.commit()
    assert first.find_thumbnail(width=8) is thumbnail
    assert second.find_thumbnail(width=8) is other
    assert thumbnail.make_blob() != other.make_blob()
    assert (first.count(), second.count(), album.photos.count()) == (2, 2, 4)


def test_replacing_one_subset_leaves_the_others(session, album, store):
    first, second = (album.photos.get_image_set(position=position) for position in (1, 2))
    first.generate_thumbnail(width=8)
    first.from_blob(GREEN)
    session.commit()
    assert (first.make_blob(), second.make_blob()) == (GREEN, GREEN)
    assert (first.count(), second.count()) == (1, 1)
    assert len(list(store.list_files())) == 2


def test_a_subset_can_be_emptied(session, album, store):
    for photo in album.photos.get_image_set(position=1):
        album.photos.remove(photo)
    session.commit()
    assert [subset.identity_map for subset in album.photos.image_sets] == [{"position": 2}]
    assert len(list(store.list_files())) == 1


@pytest.mark.parametrize("is_added", [False, True], ids=["transient", "pending"])
def test_the_subsets_of_an_album_without_a_row(session, context, store, is_added):
    album = Album()
    if is_added:
        session.add(album)
    album.photos.get_image_set(position=1).from_blob(RED)
    album.photos.get_image_set(position=2).from_blob(GREEN)
    thumbnail = album.photos.get_image_set(position=2).generate_thumbnail(width=8)
    assert album.photos.get_image_set(position=1).make_blob() == RED
    assert album.photos.get_image_set(position=2).find_thumbnail(8) is thumbnail
    assert {subset.identity_map["position"] for subset in album.photos.image_sets} == {1, 2}
    session.add(album)
    session.commit()
    assert [subset.count() for subset in album.photos.image_sets] == [1, 2]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({}, "missing position"),
        ({"nonsense": 1}, "missing position; there is no nonsense"),
        ({"position": 1, "nonsense": 1}, "there is no nonsense"),
        ({"position": 1, "width": 8}, "there is no width"),
    ],
)
def test_a_subset_of_unknown_or_missing_keys_is_refused(album, keys, complaint):
    with pytest.raises(TypeError, match=complaint):
        album.photos.get_image_set(**keys)


def test_a_subset_of_a_plain_query_needs_the_owners_key_too(session, album):
    with pytest.raises(TypeError, match="expected values of album_id, position; missing album_id"):
        MultipleImageSet([AlbumPhoto], session).get_image_set(position=1)


def test_a_subset_may_be_told_the_owners_key(session, album):
    subset = album.photos.get_image_set(album_id=album.id, position=3)
    subset.from_blob(RED)
    session.commit()
    assert album.photos.get_image_set(position=3).make_blob() == RED


def test_a_subset_of_another_owner_is_refused(session, album):
    with pytest.raises(ValueError, match="album_id"):
        album.photos.get_image_set(album_id=album.id + 1, position=3).from_blob(RED)
    session.commit()
    assert album.photos.count() == 2
