"""What has pictures: people, one each, and albums, many each; one row and one file for each picture.

Every other size that a page wants is a variant: made when its URL is first asked for, and without a row.
"""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_imageattach import Image, ImagePolicy, ImageSet, MultipleImageSet, image_attachment
from sqlalchemy_imageattach.entity import Focal, Frames, Placeholder
from sqlalchemy_imageattach.variants import Transform

#: What anybody may upload.  What a camera notes beside the picture, such as the place, is removed.
PHOTOGRAPHS = ImagePolicy(
    types=frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"}),
    max_bytes=20_000_000,
    min_side=64,
    max_side=10_000,
    strip_metadata=True,
)

#: The shapes that pages ask for by name.
SHAPES = {
    "square": Transform(ratio="1/1", fit="cover"),
    "tile": Transform(ratio="4/3", fit="cover"),
    "wide": Transform(ratio="21/9", fit="cover"),
    # What somebody clicks on; it fits on every phone as it is.
    "whole": Transform(width=280, height=360, format="webp"),
}


class Base(DeclarativeBase): ...


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet["Portrait"]] = image_attachment("Portrait", policy=PHOTOGRAPHS, variants=SHAPES)


class Portrait(Base, Image, Focal, Frames, Placeholder):
    __tablename__ = "portrait"
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    person: Mapped[Person] = relationship(back_populates="picture")
    caption: Mapped[str] = mapped_column(default="")


class Album(Base):
    __tablename__ = "album"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    photos: Mapped[MultipleImageSet["Photo"]] = image_attachment(
        "Photo", uselist=True, order_by="Photo.created_at", policy=PHOTOGRAPHS, variants=SHAPES
    )


class Photo(Base, Image, Focal, Frames, Placeholder):
    __tablename__ = "photo"
    # Random, so that two uploads at once need not agree on a number.
    key: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), index=True)
    album: Mapped[Album] = relationship(back_populates="photos")
    caption: Mapped[str] = mapped_column(default="")
