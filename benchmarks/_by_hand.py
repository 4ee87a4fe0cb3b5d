"""What is compared with this library by hand: the same tables, and the table of what came of it.

Both sides map the same columns of the same tables.  One has the images as an image set, the other as a list.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, DateTime, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqlalchemy_imageattach import Image, ImagePolicy, ImageSet, image_attachment

#: Larger files than strangers may send.
POLICY = ImagePolicy(max_bytes=1 << 30, max_pixels=1 << 28)


class Base(DeclarativeBase):
    """The models of an application that uses this library."""


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet[UserPicture]] = image_attachment("UserPicture", policy=POLICY)


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


class Plain(DeclarativeBase):
    """The same tables, by hand."""


class PlainImage:
    width: Mapped[int] = mapped_column(primary_key=True)
    height: Mapped[int] = mapped_column(primary_key=True)
    mimetype: Mapped[str] = mapped_column(String(255))
    original: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
    revision: Mapped[str] = mapped_column(String(16))


class PlainUser(Plain):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[list[PlainUserPicture]] = relationship(cascade="all, delete-orphan")


class PlainUserPicture(PlainImage, Plain):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


def main(description: str | None, measure: Callable[[int], Sequence[Mapping[str, Any]]]) -> None:
    """Print a row for each work."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=25)
    for row in measure(parser.parse_args().rounds):
        print(
            f"{row['work']:<46}{row['ours'] * 1e6:10.1f} µs   by hand {row['by hand'] * 1e6:10.1f} µs"
            f"   x {row['ratio']:.2f}, at most x {row['most']}"
        )
