"""Image classes may be declared in every style that SQLAlchemy has, and with every kind of key."""

from __future__ import annotations

import hashlib
import io
import uuid

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    Unicode,
    Uuid,
    inspect,
)
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, declarative_base, mapped_column, relationship
from sqlalchemy.orm import configure_mappers as configure
from sqlalchemy.orm.exc import NoResultFound

from models import picture
from sqlalchemy_imageattach.entity import Image, ImageSet, MultipleImageSet, image_attachment
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore

RED, GREEN = picture(color=255), picture(color=255 << 8)


@pytest.fixture
def check(engine, make_session, store):
    """Says that an owner of a class gets a picture, a thumbnail, another picture, and loses it all."""

    def check(owner, attribute: str = "picture") -> None:
        configure()
        type(owner).metadata.create_all(engine)
        session = make_session(info={"image_store": store})
        session.add(owner)
        images = getattr(owner, attribute)
        images.from_blob(RED)
        thumbnail = images.generate_thumbnail(width=8)
        assert thumbnail.locate().startswith("https://example.com/")
        session.commit()
        identity = inspect(owner).identity
        session.close()

        owner = session.get(type(owner), identity)
        images = getattr(owner, attribute)
        assert images.make_blob() == RED
        assert images.find_thumbnail(width=8).size == (8, 6)
        images.from_blob(GREEN)
        session.commit()
        assert images.make_blob() == GREEN
        assert images.count() == 1
        assert len(list(store.list_files())) == 1
        session.delete(owner)
        session.commit()
        assert list(store.list_files()) == []

    return check


def test_the_models_of_the_guide(check):
    Base = declarative_base()

    class User(Base):
        """User model."""

        id = Column(Integer, primary_key=True)
        name = Column(Unicode(50), nullable=False)
        picture = image_attachment("UserPicture")
        __tablename__ = "user"

    class UserPicture(Base, Image):
        """User picture model."""

        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        user = relationship("User")
        __tablename__ = "user_picture"

    check(User(name="somebody"))


def test_the_models_of_the_guide_with_a_second_attachment(check):
    Base = declarative_base()

    class User(Base):
        """Users have their profile picture and front cover."""

        id = Column(Integer, primary_key=True)
        picture = image_attachment("UserPicture")
        front_cover = image_attachment("UserFrontCover")
        __tablename__ = "user"

    class UserPicture(Base, Image):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        user = relationship("User")
        __tablename__ = "user_picture"

    class UserFrontCover(Base, Image):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        user = relationship("User")
        __tablename__ = "user_front_cover"

    check(User())
    check(User(), "front_cover")


def test_two_attachments_keep_their_images_apart(session, context, user, store):
    user.picture.from_blob(RED)
    user.cover.from_blob(GREEN)
    session.commit()
    assert (user.picture.make_blob(), user.cover.make_blob()) == (RED, GREEN)
    user.picture.from_blob(GREEN)
    session.commit()
    assert user.cover.make_blob() == GREEN
    assert len(list(store.list_files())) == 2


@pytest.mark.parametrize("criterion", ["UserPicture.wide == {}", "UserPicture.wide.in_([{}])"])
def test_two_attachments_may_share_a_table(engine, make_session, store, criterion):
    Base = declarative_base()
    portraits, covers = (f"and_(User.id == UserPicture.user_id, {criterion.format(wide)})" for wide in (False, True))

    class User(Base):
        id = Column(Integer, primary_key=True)
        portrait = image_attachment("UserPicture", primaryjoin=portraits)
        cover = image_attachment("UserPicture", primaryjoin=covers)
        __tablename__ = "user"

    class UserPicture(Base, Image):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        wide = Column(Boolean, primary_key=True)
        __tablename__ = "user_picture"
        object_id = property(lambda self: self.user_id * 2 + self.wide)

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(user := User())
    user.portrait.from_blob(RED, extra_kwargs={"wide": False})
    user.cover.from_blob(GREEN, extra_kwargs={"wide": True})
    session.commit()
    assert (user.portrait.make_blob(), user.cover.make_blob()) == (RED, GREEN)
    for images in (user.portrait, user.cover):
        images.generate_thumbnail(width=8)
    session.commit()
    assert [image.wide for image in user.portrait] == [False, False]
    assert [image.wide for image in user.cover] == [True, True]
    user.portrait.from_blob(GREEN, extra_kwargs={"wide": False})
    session.commit()
    assert (user.portrait.count(), user.cover.count()) == (1, 2)


def test_models_with_annotations(check):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        user: Mapped[User] = relationship(back_populates="picture")

    check(User())


def test_models_with_annotations_that_are_no_strings(check):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        __annotations__ = {"id": Mapped[int], "picture": Mapped[ImageSet["UserPicture"]]}
        id = mapped_column(primary_key=True)
        picture = image_attachment("UserPicture")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id = mapped_column(ForeignKey("user.id"), primary_key=True)

    check(User())


def test_a_table_of_its_own_whose_columns_have_no_defaults(check):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")

    class UserPicture(Base, Image):
        __table__ = Table(
            "user_picture",
            Base.metadata,
            Column("user_id", ForeignKey("user.id"), primary_key=True),
            Column("width", Integer, primary_key=True),
            Column("height", Integer, primary_key=True),
            Column("mimetype", String(255), nullable=False),
            Column("original", Boolean, nullable=False),
            Column("created_at", DateTime, nullable=False),
            Column("revision", String(16)),
        )

    check(User())


def test_an_annotation_alone_names_the_image_class(check):
    class Base(DeclarativeBase):
        pass

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment()

    check(User())


def test_dataclasses_whose_keys_are_no_arguments(check):
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture", init=False)

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True, init=False)
        user: Mapped[User] = relationship(back_populates="picture", init=False)

    check(User())


def test_dataclasses_whose_keys_are_arguments(check):
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture", init=False)

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)

    check(User(id=3))


@pytest.mark.parametrize("populates", [{}, {"back_populates": "picture"}], ids=["plain", "back_populates"])
@pytest.mark.parametrize("default", [{}, {"default": None}], ids=["required", "optional"])
def test_dataclasses_whose_owner_is_an_argument(check, populates, default):
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture", init=False)

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True, init=False)
        user: Mapped[User] = relationship(**populates, **default)

    user = User()
    image = user.picture.from_blob(RED, MemoryStore())
    assert image.user is user
    assert list(user.picture) == [image]
    check(User())


def test_dataclasses_that_compare_equal_are_told_apart(engine, make_session, store):
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture", default_factory=list, repr=False)

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True, init=False)
        user: Mapped[User] = relationship(back_populates="picture", init=False)

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(user := User())
    user.picture.from_blob(RED)
    thumbnail = user.picture.generate_thumbnail(width=8)
    assert thumbnail == user.picture.original
    session.commit()
    other = user.picture.from_raw_file(io.BytesIO(GREEN), size=(8, 6), mimetype="image/png", original=False)
    assert [image is user.picture.original for image in user.picture] == [True, False]
    assert user.picture.make_blob() == RED
    session.commit()
    assert user.picture.find_thumbnail(width=8) is other
    assert user.picture.count() == 2
    user.picture.remove(other)
    with pytest.raises(ValueError, match="expected an image of this set"):
        user.picture.remove(thumbnail)
    session.commit()
    assert [image.size for image in user.picture] == [(64, 48)]


def test_dataclasses_with_many_pictures(engine, make_session, store):
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class Album(Base):
        __tablename__ = "album"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        photos: Mapped[MultipleImageSet[Photo]] = image_attachment("Photo", uselist=True, init=False)

    class Photo(Base, Image):
        __tablename__ = "photo"
        album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), primary_key=True, init=False)
        position: Mapped[int] = mapped_column(primary_key=True)
        caption: Mapped[str] = mapped_column(String(50), default="untitled")

        @property
        def object_id(self) -> int:
            return self.album_id * 1000 + self.position

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(album := Album())
    album.photos.get_image_set(position=2).from_blob(RED, extra_kwargs={"caption": "red"})
    session.commit()
    assert [(photo.position, photo.caption) for photo in album.photos] == [(2, "red")]
    assert album.photos.get_image_set(position=2).make_blob() == RED


def test_a_required_argument_of_a_dataclass_is_given_with_the_image_and_kept_by_its_thumbnails(
    engine, make_session, store
):
    class Base(MappedAsDataclass, DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True, init=False)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture", init=False)

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True, init=False)
        caption: Mapped[str] = mapped_column(String(50))

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(user := User())
    user.picture.from_blob(RED, extra_args=["red"])
    user.picture.generate_thumbnail(width=8)
    session.commit()
    assert [image.caption for image in user.picture] == ["red", "red"]


def test_a_collection_that_is_only_written_is_no_image_set():
    with pytest.raises(ValueError, match='another lazy than "write_only"'):
        image_attachment("UserPicture", lazy="write_only")


# Keys


def test_uuid_keys_make_their_own_object_ids(check):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), primary_key=True)

    check(User())
    identity = uuid.uuid4()
    assert UserPicture(user_id=identity).object_id == identity.int


def test_string_keys_with_an_object_id_of_their_own(check):
    Base = declarative_base()

    class User(Base):
        login = Column(String(20), primary_key=True)
        picture = image_attachment("UserPicture")
        __tablename__ = "user"

    class UserPicture(Base, Image):
        user_login = Column(String(20), ForeignKey("user.login"), primary_key=True)
        __tablename__ = "user_picture"

        @property
        def object_id(self) -> int:
            return int(hashlib.sha1(self.user_login.encode()).hexdigest(), 16)

    check(User(login="somebody"))


def test_composite_keys_with_an_object_id_of_their_own(check):
    Base = declarative_base()

    class Seat(Base):
        row = Column(Integer, primary_key=True, autoincrement=False)
        number = Column(Integer, primary_key=True, autoincrement=False)
        picture = image_attachment("SeatPicture")
        __tablename__ = "seat"

    class SeatPicture(Base, Image):
        id_a = Column(Integer, primary_key=True)
        id_b = Column(Integer, primary_key=True)
        __tablename__ = "seat_picture"
        __table_args__ = (ForeignKeyConstraint([id_a, id_b], [Seat.row, Seat.number]),)

        @property
        def object_id(self) -> int:
            a, b = self.id_a, self.id_b
            return (a + b) * (a + b) + a

    check(Seat(row=3, number=4))
    assert SeatPicture(id_a=3, id_b=4).identity_map == {"id_a": 3, "id_b": 4}


def test_a_composite_key_asks_for_an_object_id():
    Base = declarative_base()
    columns = {key: Column(Integer, primary_key=True, autoincrement=False) for key in ("name", "other")}
    Picture = type("Picture", (Base, Image), {"__tablename__": "picture", **columns})
    with pytest.raises(NotImplementedError, match="object_id property that makes an integer of name, other"):
        Picture(name=1, other=1).object_id  # noqa: B018


def test_a_key_that_is_a_text_asks_for_an_object_id_when_mappers_are_configured():
    Base = declarative_base()
    type("Picture", (Base, Image), {"__tablename__": "picture", "name": Column(String(20), primary_key=True)})
    with pytest.raises(ArgumentError, match="write a property object_id of Picture"):
        Base.registry.configure()


def test_key_attributes_may_be_named_unlike_their_columns(check):
    Base = declarative_base()

    class User(Base):
        key = Column("UserId", Integer, primary_key=True)
        picture = image_attachment("UserPicture")
        __tablename__ = "user"

    class UserPicture(Base, Image):
        owner_key = Column("OwnerId", Integer, ForeignKey("user.UserId"), primary_key=True)
        __tablename__ = "user_picture"

    check(User())
    assert UserPicture.identity_attributes() == ["owner_key"]


def test_no_attribute_need_be_named_like_its_column(check):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        width = Column("w", Integer, primary_key=True, autoincrement=False)
        height = Column("h", Integer, primary_key=True, autoincrement=False)
        mimetype = Column("type", String(255), nullable=False)
        original = Column("is_original", Boolean, nullable=False)
        created_at = Column("made", DateTime(timezone=True), nullable=False)
        revision = Column("name", String(16))

    check(User())


def test_a_set_of_many_is_told_apart_by_attributes_named_unlike_their_columns(engine, make_session, store):
    Base = declarative_base()

    class Album(Base):
        key = Column("AlbumId", Integer, primary_key=True)
        photos = image_attachment("Photo", uselist=True)
        __tablename__ = "album"

    class Photo(Base, Image):
        album_key = Column("AlbumId", Integer, ForeignKey("album.AlbumId"), primary_key=True)
        place = Column("Position", Integer, primary_key=True)
        __tablename__ = "photo"
        object_id = property(lambda self: self.album_key * 1000 + self.place)

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(album := Album())
    album.photos.get_image_set(place=1).from_blob(RED)
    session.commit()
    assert session.query(Photo).filter_by(place=1).one().make_blob() == RED


# Inheritance


def test_the_owner_may_be_a_subclass_with_a_table_of_its_own(check):
    Base = declarative_base()

    class Person(Base):
        id = Column(Integer, primary_key=True)
        kind = Column(String(20))
        __tablename__ = "person"
        __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "person"}

    class Employee(Person):
        number = Column(Integer, ForeignKey("person.id"), primary_key=True)
        picture = image_attachment("EmployeePicture")
        __tablename__ = "employee"
        __mapper_args__ = {"polymorphic_identity": "employee"}

    class EmployeePicture(Base, Image):
        employee_number = Column(Integer, ForeignKey("employee.number"), primary_key=True)
        __tablename__ = "employee_picture"

    check(Employee())


def single_table(Base):
    class Picture(Base, Image):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        kind = Column(String(20), primary_key=True)
        __tablename__ = "picture"
        __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "plain"}

        @property
        def object_id(self) -> int:
            return self.user_id

        @property
        def object_type(self) -> str:
            return f"user-{self.kind}"

    class Portrait(Picture):
        __mapper_args__ = {"polymorphic_identity": "portrait"}

    class Cover(Picture):
        __mapper_args__ = {"polymorphic_identity": "cover"}

    return Portrait, Cover


def joined_tables(Base):
    class Picture(Base, Image):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        kind = Column(String(20), primary_key=True)
        __tablename__ = "picture"
        __mapper_args__ = {"polymorphic_on": kind}

        @property
        def object_id(self) -> int:
            return self.user_id

    key = ("user_id", "kind", "width", "height")
    parent = [f"picture.{name}" for name in key]

    class Portrait(Picture):
        user_id = Column(Integer, primary_key=True)
        kind = Column(String(20), primary_key=True)
        width = Column(Integer, primary_key=True)
        height = Column(Integer, primary_key=True)
        painter = Column(String(20))
        __tablename__ = "portrait"
        __table_args__ = (ForeignKeyConstraint(key, parent),)
        __mapper_args__ = {"polymorphic_identity": "portrait"}

    class Cover(Picture):
        user_id = Column(Integer, primary_key=True)
        kind = Column(String(20), primary_key=True)
        width = Column(Integer, primary_key=True)
        height = Column(Integer, primary_key=True)
        __tablename__ = "cover"
        __table_args__ = (ForeignKeyConstraint(key, parent),)
        __mapper_args__ = {"polymorphic_identity": "cover"}

    return Portrait, Cover


def tables_of_their_own(Base):
    class Picture(Image):
        """The mixin's own subclass, which is not mapped."""

    class Portrait(Base, Picture):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        __tablename__ = "portrait"

    class Cover(Base, Picture):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        __tablename__ = "cover"

    return Portrait, Cover


@pytest.mark.parametrize("image_classes", [single_table, joined_tables, tables_of_their_own])
def test_image_classes_may_inherit_from_each_other(check, engine, make_session, store, image_classes):
    Base = declarative_base()

    class User(Base):
        id = Column(Integer, primary_key=True)
        portrait = image_attachment("Portrait")
        cover = image_attachment("Cover")
        __tablename__ = "user"

    Portrait, _ = image_classes(Base)

    check(User(), "portrait")
    check(User(), "cover")

    session = make_session(info={"image_store": store})
    session.add(user := User())
    user.portrait.from_blob(RED)
    user.cover.from_blob(GREEN)
    session.commit()
    assert type(user.portrait.original) is Portrait
    assert FileKey.of(user.portrait.original).object_type != FileKey.of(user.cover.original).object_type
    assert (user.portrait.make_blob(), user.cover.make_blob()) == (RED, GREEN)
    user.portrait.from_blob(GREEN)
    session.commit()
    assert user.cover.make_blob() == GREEN


def test_subclasses_may_mix_image_in_where_the_base_is_none(check):
    Base = declarative_base()

    class Document(Base):
        id = Column(Integer, primary_key=True, autoincrement=False)
        kind = Column(String(20))
        __tablename__ = "document"
        __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "document"}

    class User(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("Scan")
        __tablename__ = "user"

    class Scan(Base, Image):
        user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
        document_id = Column(Integer, ForeignKey("document.id"))
        document = relationship(Document)
        __tablename__ = "scan"

    check(User())


# Object types


def test_the_object_type_is_the_tables_name_with_hyphens():
    class UserFrontCover(declarative_base(), Image):
        user_id = Column(Integer, primary_key=True)
        __tablename__ = "user_front_cover"

    assert UserFrontCover.object_type == UserFrontCover().object_type == "user-front-cover"


def test_the_object_type_of_a_table_that_was_given_as_such():
    Base = declarative_base()

    class Named(Base, Image):
        id = Column(Integer, primary_key=True)
        __tablename__ = "named_table"

    class Alias(Base):
        __table__ = Named.__table__

    assert type("Mixed", (Alias, Image), {}).object_type == "named-table"


@pytest.mark.parametrize("override", ["old_name", property(lambda self: "old_name")], ids=["attribute", "property"])
def test_the_object_type_can_be_overridden(override):
    Base = declarative_base()
    columns = {"__tablename__": "new_name", "user_id": Column(Integer, primary_key=True)}
    Picture = type("Picture", (Base, Image), {**columns, "object_type": override})
    image = Picture(user_id=1, width=2, height=3, mimetype="image/png")
    assert FileKey.of(image).object_type == "old_name"


def test_an_image_class_without_a_table_asks_for_an_object_type():
    with pytest.raises(NotImplementedError, match="object_type"):
        Image.object_type  # noqa: B018


# Several sessions


def test_an_owner_is_the_same_for_several_sessions(make_session, session, context, user):
    user.picture.from_blob(RED)
    session.commit()
    another = make_session()
    theirs = another.query(type(user)).one()
    assert theirs.picture.make_blob() == RED
    theirs.picture.generate_thumbnail(width=8)
    another.commit()
    assert user.picture.find_thumbnail(width=8).size == (8, 6)
    session.commit()
    theirs.picture.from_blob(GREEN)
    another.commit()
    assert user.picture.make_blob() == GREEN
    with pytest.raises(NoResultFound):
        user.picture.find_thumbnail(width=8)


def test_image_sets_of_two_owners_are_apart(session, context, user):
    other = type(user)(name="another")
    session.add(other)
    user.picture.from_blob(RED)
    other.picture.from_blob(GREEN)
    session.commit()
    session.delete(other)
    session.commit()
    assert user.picture.make_blob() == RED


def test_the_columns_that_image_adds():
    class Picture(declarative_base(), Image):
        id = Column(Uuid, primary_key=True)
        __tablename__ = "picture"

    table = Picture.__table__
    assert [column.name for column in table.primary_key] == ["id", "width", "height"]
    assert {column.name for column in table.columns if not column.nullable} == {
        "id",
        "width",
        "height",
        "mimetype",
        "original",
        "created_at",
    }
