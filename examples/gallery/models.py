"""What has pictures: people, one each, and albums, many each; a row and a file for each size of a picture."""

import uuid
from typing import IO, Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_imageattach.entity import BaseImageSet, Image, ImageSet, MultipleImageSet, image_attachment
from sqlalchemy_imageattach.imaging import ImagePolicy

#: Widths in pixels, of what pages show beside the original.
SMALL, MEDIUM, LARGE = WIDTHS = (96, 240, 640)
#: What anybody may upload.
TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"})
PHOTOGRAPHS = ImagePolicy(max_bytes=20_000_000, types=TYPES, min_side=64, max_side=10_000, strip_metadata=True)


class Base(DeclarativeBase): ...


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet["Portrait"]] = image_attachment("Portrait", policy=PHOTOGRAPHS)


class Portrait(Base, Image):
    __tablename__ = "portrait"
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    person: Mapped[Person] = relationship(back_populates="picture")
    caption: Mapped[str] = mapped_column(default="")


class Album(Base):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    photos: Mapped[MultipleImageSet["Photo"]] = image_attachment(
        "Photo", uselist=True, order_by="Photo.created_at", policy=PHOTOGRAPHS
    )


class Photo(Base, Image):
    __tablename__ = "photo"
    # Random, so that two uploads at once need not agree on a number; the same for all sizes of a photo.
    key: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), index=True)
    album: Mapped[Album] = relationship(back_populates="photos")
    caption: Mapped[str] = mapped_column(default="")


def attach(images: BaseImageSet[Any], file: IO[bytes], caption: str) -> None:
    """Attaches a file in place of what is there, in all sizes; or raises InvalidImageError."""
    images.from_file(file, extra_kwargs={"caption": caption})
    for width in WIDTHS:
        images.generate_thumbnail(width=width)
