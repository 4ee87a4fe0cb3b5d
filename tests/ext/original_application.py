"""An application as it was in 2017, on the original library: it writes pictures, or reads them.

python original_application.py (write|read) BENCHMARKS DATABASE FOLDER, in the environment of the original library; it
prints, for each row, what has to be the same afterwards: its key, its URL, and a hash of its file.
"""

import hashlib
import json
import sys

action, benchmarks, database, folder = sys.argv[1:]
sys.path.insert(0, benchmarks)

import _original  # noqa: E402, F401
from sqlalchemy import Column, ForeignKey, Integer, create_engine  # noqa: E402
from sqlalchemy.orm import declarative_base, relationship, sessionmaker  # noqa: E402
from wand.image import Image as WandImage  # noqa: E402

from sqlalchemy_imageattach.context import store_context  # noqa: E402
from sqlalchemy_imageattach.entity import Image, image_attachment  # noqa: E402
from sqlalchemy_imageattach.stores.fs import FileSystemStore  # noqa: E402

Base = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    picture = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id = Column(Integer, ForeignKey("user.id"), primary_key=True)
    user = relationship(User)


engine = create_engine(database)
session = sessionmaker(engine)()
with store_context(FileSystemStore(folder, "http://images.example/")):
    if action == "write":
        Base.metadata.create_all(engine)
        for number, format in enumerate(["jpeg", "png", "gif", "webp", "tiff", "bmp"], 1):
            user = User(id=number)
            session.add(user)
            with WandImage(width=64, height=48, pseudo="gradient:red-blue") as picture:
                user.picture.from_blob(picture.make_blob(format))
            session.flush()
            for width in (32, 16):
                user.picture.generate_thumbnail(width=width)
        session.commit()
    for image in session.query(UserPicture).order_by(UserPicture.user_id, UserPicture.width):
        digest = hashlib.sha256(image.make_blob()).hexdigest()
        print(json.dumps([image.user_id, image.width, image.height, image.locate(), digest]))
