"""RQ: a job makes the sizes of a picture, once the picture is committed.

rq worker --url redis://127.0.0.1      # in the folder of this file, beside what calls replace_picture()
"""

import os
from functools import partial
from pathlib import Path
from typing import IO

from redis import Redis
from rq import Queue
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

from sqlalchemy_imageattach import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.tasks import enqueue

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


store = FileSystemStore(HERE / "images", "https://images.example.com/")
engine = create_engine(f"sqlite:///{HERE}/example.sqlite")
make_session = sessionmaker(engine, info={"image_store": store})
queue = Queue(connection=Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1")))


def make_sizes(user_id: int) -> None:
    with make_session.begin() as session:
        user = session.get_one(User, user_id)
        for width in (96, 320, 960):
            user.picture.generate_thumbnail(width=width)


def replace_picture(user_id: int, file: IO[bytes]) -> None:
    with make_session.begin() as session:
        session.get_one(User, user_id).picture.from_file(file)
        # Called after the commit, and never without one.
        enqueue(session, partial(queue.enqueue, make_sizes, user_id))
