"""Models and pictures that the tests share."""

from __future__ import annotations

import functools
import io

import PIL.Image
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqlalchemy_imageattach.entity import Image, ImageSet, MultipleImageSet, image_attachment
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.variants import Transform


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), default="")
    picture: Mapped[ImageSet[UserPicture]] = image_attachment(
        "UserPicture", variants={"square": Transform(ratio="1/1", fit="cover")}
    )
    cover: Mapped[ImageSet[UserCover]] = image_attachment("UserCover")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    caption: Mapped[str] = mapped_column(String(50), default="")
    user: Mapped[User] = relationship(back_populates="picture")


class UserCover(Base, Image):
    """A model that opts out of revisions, so that its files are overwritten in place."""

    __tablename__ = "user_cover"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    revision = None


class Album(Base):
    __tablename__ = "album"

    id: Mapped[int] = mapped_column(primary_key=True)
    photos: Mapped[MultipleImageSet[AlbumPhoto]] = image_attachment("AlbumPhoto", uselist=True)


class AlbumPhoto(Base, Image):
    __tablename__ = "album_photo"

    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)

    @property
    def object_id(self) -> int:
        return self.album_id * 1000 + self.position


@functools.cache
def picture(width: int = 64, height: int = 48, color: int = 0, format: str = "PNG") -> bytes:
    """The bytes of a picture; each color makes other bytes."""
    file = io.BytesIO()
    PIL.Image.new("RGB", (width, height), (color % 256, color // 256 % 256, color // 65536)).save(file, format)
    return file.getvalue()


def stored(store: Store) -> dict[FileKey | None, bytes]:
    """What a store holds."""
    files = {}
    for file in store.list_files():
        if file.key is None:
            files[None] = file.name.encode()
        else:
            with store.get_key(file.key) as opened:
                files[file.key] = opened.read()
    return files


def rows(session: Session) -> set[FileKey]:
    """The names of the files that the rows of all image classes name."""
    return {FileKey.of(image) for cls in (UserPicture, UserCover, AlbumPhoto) for image in session.query(cls)}
