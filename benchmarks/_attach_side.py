"""A child of attach.py: the same small application, on this library or on the original one.

python _attach_side.py (ours|original) FOLDER PHOTOGRAPH
"""

import json
import os
import sys
import time
from pathlib import Path

library, folder, photograph = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

if library == "original":
    import _original  # noqa: F401

from sqlalchemy import Column, ForeignKey, Integer, Unicode, create_engine, event
from sqlalchemy.orm import declarative_base, relationship, sessionmaker
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.stores.fs import FileSystemStore

Base = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    name = Column(Unicode(100), nullable=False)
    picture = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
    user = relationship("User")


folder.mkdir()
store = FileSystemStore(str(folder / "images"), "http://127.0.0.1/")
engine = create_engine(f"sqlite:///{folder / 'database.sqlite'}")
Base.metadata.create_all(engine)
Session = sessionmaker(engine)
statements = []
event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))


def attach():
    """Seconds to attach the photograph to a new user and commit."""
    with store_context(store), Session() as session:
        user = User(name="name")
        session.add(user)
        session.flush()
        start = time.perf_counter()
        with photograph.open("rb") as file:
            user.picture.from_file(file)
            session.commit()
        return time.perf_counter() - start


def thumbnail(width=800):
    """Seconds to make a thumbnail of the last user's picture and commit."""
    with store_context(store), Session() as session:
        user = session.query(User).order_by(User.id.desc()).first()
        start = time.perf_counter()
        user.picture.generate_thumbnail(width=width)
        session.commit()
        return time.perf_counter() - start


def vips(width=800):
    """Seconds to do what :func:`thumbnail` does to the pixels and the disk, by hand."""
    import pyvips

    start = time.perf_counter()
    image = pyvips.Image.thumbnail(str(photograph), width, height=width * 3 // 4, size="force")
    made = image.jpegsave_buffer(Q=85, keep="none")
    temporary = folder / "by-hand.jpg.part"
    with temporary.open("wb") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "by-hand.jpg")
    return time.perf_counter() - start


def fill():
    """Adds users with pictures until there are 100, each with a thumbnail of 100 pixels' width."""
    with store_context(store), Session() as session:
        for user in session.query(User):
            session.delete(user)
        session.commit()
        small = photograph.with_name("small.jpg")
        for _ in range(100):
            user = User(name="name")
            session.add(user)
            with small.open("rb") as file:
                user.picture.from_file(file)
                session.flush()
            user.picture.generate_thumbnail(width=100)
        session.commit()


def page():
    """The statements of a page with 100 users and a thumbnail's URL for each."""
    with store_context(store), Session() as session:
        statements.clear()
        users = session.query(User)
        if library == "ours":
            from sqlalchemy.orm import selectinload

            users = users.options(selectinload(User.picture))
        urls = {user.picture.find_thumbnail(width=100).locate() for user in users}
        assert len(urls) == 100, len(urls)
        return len(statements)


for line in sys.stdin:
    print(json.dumps(globals()[line.strip()]()), flush=True)
