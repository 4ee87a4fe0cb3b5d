"""The application whose workers workers.py starts."""

import json
import os

from celery import Celery
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.tasks import ImageTasks

broker, database, folder = json.loads(os.environ["IMAGEATTACH_BENCHMARK"])


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)


app = Celery("benchmark", broker=broker, backend=broker)
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
engine = create_engine(database)
store = FileSystemStore(folder, "http://127.0.0.1/", sync=False)
make_session = sessionmaker(engine, info={"image_store": store})
images = ImageTasks(app, Base, make_session, {"one": store, "other": MemoryStore()})
