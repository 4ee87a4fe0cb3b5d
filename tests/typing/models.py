"""What an application writes has the types that its author means, for mypy and for pyright: checked, never run."""

from __future__ import annotations

import datetime
import io
from typing import IO, assert_type

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqlalchemy_imageattach import ImagePolicy
from sqlalchemy_imageattach.entity import Image, ImageSet, ImageSubset, MultipleImageSet, image_attachment, policy_of


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture")
    photos: Mapped[MultipleImageSet[UserPhoto]] = image_attachment("UserPhoto", uselist=True)


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class UserPhoto(Base, Image):
    __tablename__ = "user_photo"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)


def an_image_knows_its_columns(picture: UserPicture) -> None:
    assert_type(picture.width, int)
    assert_type(picture.mimetype, str)
    assert_type(picture.original, bool)
    assert_type(picture.created_at, datetime.datetime)
    assert_type(picture.revision, str | None)
    assert_type(picture.size, tuple[int, int])
    assert_type(picture.object_type, str)
    assert_type(picture.object_id, int)
    assert_type(picture.locate(), str)
    assert_type(picture.make_blob(), bytes)
    with picture.open_file(use_seek=True) as file:
        assert_type(file, IO[bytes])


def a_set_gives_images_of_its_class(user: User) -> None:
    assert_type(user.picture, ImageSet[UserPicture])
    assert_type(user.picture.original, UserPicture | None)
    assert_type(user.picture.require_original(), UserPicture)
    assert_type(user.picture.from_file(io.BytesIO()), UserPicture)
    assert_type(user.picture.from_blob(b""), UserPicture)
    assert_type(user.picture.generate_thumbnail(width=150), UserPicture)
    assert_type(user.picture.find_thumbnail(height=150).user.id, int)
    assert_type([image.user_id for image in user.picture], list[int])
    assert_type(len(user.picture), int)


def a_set_is_a_query(user: User) -> None:
    thumbnails = user.picture.filter_by(original=False).order_by(UserPicture.width)
    assert_type(thumbnails.all(), list[UserPicture])
    assert_type(user.picture.first(), UserPicture | None)
    assert_type(user.picture.count(), int)


def many_images_are_sets_of_their_own(user: User) -> None:
    photo = user.photos.get_image_set(position=3)
    assert_type(photo, ImageSubset[UserPhoto])
    assert_type(photo.require_original().position, int)
    assert_type([each.original for each in user.photos.image_sets], list[UserPhoto | None])


def the_class_level_attribute_makes_criteria(session: Session) -> None:
    query = session.query(UserPicture).filter(UserPicture.width < 200)
    assert_type(query.all(), list[UserPicture])


async def the_awaitable_forms_give_the_same(user: User) -> None:
    assert_type(await user.picture.afrom_file(io.BytesIO()), UserPicture)
    assert_type(await user.picture.agenerate_thumbnail(width=150), UserPicture)
    assert_type(await user.picture.require_original().amake_blob(), bytes)


async def what_is_awaited_takes_what_its_sibling_takes(user: User, file: IO[bytes], policy: ImagePolicy) -> None:
    assert_type(await user.picture.afrom_file(file, extra_kwargs={"caption": "A cat"}, policy=policy), UserPicture)
    assert_type(await user.picture.afrom_blob(b"", policy=policy), UserPicture)
    assert_type(await user.picture.afrom_raw_file(file, size=(2, 1), mimetype="image/png"), UserPicture)
    assert_type(await user.picture.agenerate_thumbnail(width=150, filter="lanczos", first_frame=True), UserPicture)
    await user.picture.afrom_blob(b"", polcy=policy)  # type: ignore[call-arg]
    await user.picture.agenerate_thumbnail(widht=1)  # type: ignore[call-overload]
    await user.picture.agenerate_thumbnail(width=1, height=1)  # type: ignore[call-overload]


def a_thumbnail_has_one_size(user: User) -> None:
    assert_type(user.picture.generate_thumbnail(0.5), UserPicture)
    assert_type(user.picture.generate_thumbnail(height=150, filter="mitchell"), UserPicture)
    user.picture.generate_thumbnail()  # type: ignore[call-overload]
    user.picture.generate_thumbnail(width=1, height=1)  # type: ignore[call-overload]
    user.picture.generate_thumbnail(0.5, width=1)  # type: ignore[call-overload]
    assert_type(user.picture.generate_thumbnails([{"width": 150}, {"ratio": 0.5}]), list[UserPicture])
    user.picture.generate_thumbnails([{}])  # type: ignore[list-item]
    user.picture.generate_thumbnails([{"width": 1, "height": 1}])  # type: ignore[list-item]


def an_attribute_has_a_policy() -> None:
    assert_type(policy_of(User.picture), ImagePolicy)
