"""Programs such as strangers write, of what SQLAlchemy's documentation teaches."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import Column, ForeignKey, String, Table, create_engine, event, func, select, text
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    column_property,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

from models import picture
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.bulk import key_ranges
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.migration import migrate
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.tasks import enqueue


@pytest.fixture
def session(store):
    """A session on a database that minds foreign keys, and has no tables yet."""
    engine = create_engine("sqlite://")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON").close())
    with Session(engine, autoflush=False, info={"image_store": store}) as session:
        yield session
    engine.dispose()


@pytest.fixture(params=[True, False])
def base(request, session):
    """Users with pictures, which know their user or do not."""

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("Picture", **({"back_populates": "user"} if request.param else {}))

    class Picture(Base, Image):
        __tablename__ = "picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        if request.param:
            user = relationship("User", back_populates="picture")

    Base.User, Base.Picture = User, Picture
    Base.metadata.create_all(session.connection())
    return Base


@pytest.fixture
def user(session, base, store):
    """A user with a picture and a thumbnail of it."""
    user = base.User()
    session.add(user)
    user.picture.from_blob(picture())
    session.flush()
    user.picture.generate_thumbnail(width=32)
    session.commit()
    return user


def keys(store):
    return [file.key for file in store.list_files()]


def test_computed_columns_of_an_image_are_left_to_the_database(session, base, user, store):
    table = base.Picture.__table__
    base.Picture.area = column_property(table.c.width * table.c.height)
    base.Picture.id_of_user = column_property(
        select(base.User.id).where(base.User.id == table.c.user_id).scalar_subquery()
    )
    assert user.picture.generate_thumbnail(width=16).size == (16, 12)
    session.commit()
    assert [image.area for image in user.picture.order_by(base.Picture.area)] == [16 * 12, 32 * 24, 64 * 48]
    user.picture.from_blob(picture(color=5))
    session.commit()
    assert not list(verify(session, base, store))


def test_an_original_that_moves_to_a_new_owner_takes_its_thumbnails_along(session, base, user, store):
    another = base.User(picture=[user.picture.original])
    session.add(another)
    session.commit()
    assert another.picture.make_blob() == picture()
    assert not user.picture.count()
    assert [(key.width, key.height) for key in keys(store)] == [(64, 48)]


def test_an_original_that_is_taken_out_and_given_to_a_new_owner_stays(session, base, user, store):
    original = user.picture.original
    user.picture.remove(original)
    another = base.User(picture=[original])
    session.add(another)
    session.commit()
    assert another.picture.make_blob() == picture()
    assert [(key.width, key.height) for key in keys(store)] == [(64, 48)]


def test_an_owner_that_is_deleted_gets_no_picture_any_more(session, base, user, store):
    user.picture.from_blob(picture(color=5))
    session.delete(user)
    session.commit()
    assert not session.scalars(select(base.Picture)).all()
    assert not keys(store)


class Hidden(DeclarativeBase):
    pass


class Owner(Hidden):
    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture = image_attachment("OwnedPicture")


class OwnedPicture(Hidden, Image):
    __tablename__ = "owned_picture"
    owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"), primary_key=True)
    deleted_at: Mapped[str | None] = mapped_column(String(20))
    caption: Mapped[str] = mapped_column(String(20), default=lambda: "none")
    rank: Mapped[int] = mapped_column(default=1, onupdate=2)
    place: Mapped[str] = mapped_column(String(20), server_default="it's here")
    seen: Mapped[int] = mapped_column(server_default=text("3"))
    long: Mapped[int] = mapped_column(default=func.abs(-4))


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_an_image_of_the_same_size_has_nothing_of_the_row_that_it_takes_over(database_url, store):
    engine = create_engine(database_url)
    Hidden.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        owner = Owner()
        session.add(owner)
        said = {"deleted_at": "now", "caption": "old", "rank": 5, "place": "there", "seen": 6, "long": 7}
        owner.picture.from_blob(picture(), extra_kwargs=said)
        session.commit()
        owner.picture.from_blob(picture(color=5))
        session.commit()
        new = owner.picture.original
        assert {name: getattr(new, name) for name in said} == {
            "deleted_at": None,
            "caption": "none",
            "rank": 1,
            "place": "it's here",
            "seen": 3,
            "long": 4,
        }
        assert new.make_blob() == picture(color=5)
    Hidden.metadata.drop_all(engine)
    engine.dispose()


def test_images_of_concrete_classes(session, store):
    class Base(DeclarativeBase):
        pass

    class AnyPicture(ConcreteBase, Base, Image):
        __tablename__ = "any_picture"
        __mapper_args__ = {"polymorphic_identity": "any", "concrete": True}
        owner_id: Mapped[int] = mapped_column(primary_key=True)

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("UserPicture", primaryjoin="foreign(UserPicture.owner_id) == User.id")

    class UserPicture(AnyPicture):
        __table__ = Table(
            "user_picture",
            Base.metadata,
            *(Column(column.name, column.type, primary_key=column.primary_key) for column in AnyPicture.__table__.c),
        )
        __mapper_args__ = {"polymorphic_identity": "user", "concrete": True}

    Base.metadata.create_all(session.connection())
    user = User()
    session.add(user)
    for color in range(2):
        user.picture.from_blob(picture(color=color))
        session.commit()
        user.picture.generate_thumbnail(width=32)
        session.commit()
    assert len(keys(store)) == 2
    session.delete(user)
    session.commit()
    assert not keys(store)


def test_a_registry_of_sessions_is_taken_for_its_session(session, base, user, store):
    registry = scoped_session(sessionmaker(session.get_bind(), info={"image_store": store}))
    called = []
    enqueue(registry, partial(called.append, "committed"))
    registry.add(base.User())
    registry.commit()
    session.commit()
    assert called == ["committed"]
    assert not list(verify(registry, base, store))
    assert len(list(key_ranges(registry, base.Picture, 1))) == 2
    registry.remove()
    assert sweep([registry], base, store).files == 0
    registry.remove()
    another = MemoryStore()
    migrate(registry, base, store, another).execute()
    assert sorted(keys(another)) == sorted(keys(store))
    registry.remove()
