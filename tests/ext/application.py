"""What the applications of these tests have in common: a user with a picture, an album, and their files."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_imageattach import Image, ImagePolicy, ImageSet, MultipleImageSet, image_attachment


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), default="Ada")
    picture: Mapped[ImageSet[UserPicture]] = image_attachment(
        "UserPicture", policy=ImagePolicy(types=frozenset({"image/png", "image/jpeg"}), max_bytes=20_000)
    )
    photos: Mapped[MultipleImageSet[Photo]] = image_attachment("Photo", uselist=True, order_by="Photo.id")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class Photo(Base, Image):
    __tablename__ = "photo"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User] = relationship(back_populates="photos")
