"""SQLAdmin: pictures in lists, and a field that shows, replaces and removes one.

uvicorn with_sqladmin:app       # and then http://127.0.0.1:8000/admin/
"""

import os
from pathlib import Path

from sqladmin import Admin
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker
from starlette.applications import Starlette

from sqlalchemy_imageattach import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.ext.sqladmin import ImageView
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet["UserPicture"]] = image_attachment("UserPicture")


class UserPicture(Base, Image):
    __tablename__ = "user_picture"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    user: Mapped[User] = relationship(back_populates="picture")


class UserAdmin(ImageView, model=User):
    column_list = [User.id, User.name, User.picture]


store = HttpExposedFileSystemStore(HERE / "images", prefix="images")
engine = create_engine(f"sqlite:///{HERE}/example.sqlite")
Base.metadata.create_all(engine)

app = Starlette()
app.add_middleware(store.asgi_middleware)
admin = Admin(app, session_maker=sessionmaker(engine, info={"image_store": store}))
admin.add_view(UserAdmin)
