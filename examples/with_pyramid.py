"""Pyramid, with a tween that gives each request a session and the store.

gunicorn with_pyramid:app
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther, HTTPUnprocessableEntity
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload, sessionmaker

from sqlalchemy_imageattach import Image, ImageSet, InvalidImageError, image_attachment, store_context
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


store = HttpExposedFileSystemStore(HERE / "images", prefix="images")
engine = create_engine(f"sqlite:///{HERE}/example.sqlite")
make_session = sessionmaker(engine)
Base.metadata.create_all(engine)


def database_and_store(handler: Callable[[Request], Response], registry: Any) -> Callable[[Request], Response]:
    """The tween: whatever a view raises, the session and the context end with the request."""

    def handle(request: Request) -> Response:
        with store_context(store), make_session() as request.db:
            return handler(request)

    return handle


def people(request: Request) -> Response:
    users = request.db.scalars(select(User).options(selectinload(User.picture)).order_by(User.id))
    shown = "".join(user.picture.find_thumbnail(width=150).img(alt=user.name) for user in users)
    return Response(f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>People</title>{shown}
    <form method="post" enctype="multipart/form-data"><p><label>Name <input name="name" required></label>
    <label>Picture <input type="file" name="file" accept="image/*" required></label>
    <button>Add</button></form></html>""")


def add(request: Request) -> Response:
    request.db.add(user := User(name=request.POST["name"]))
    try:
        user.picture.from_file(request.POST["file"].file)
    except InvalidImageError as error:
        raise HTTPUnprocessableEntity(str(error)) from error
    user.picture.generate_thumbnail(width=150)
    request.db.commit()
    return HTTPSeeOther(request.route_url("people"))


with Configurator() as config:
    config.add_tween("with_pyramid.database_and_store")
    config.add_route("people", "/")
    config.add_view(people, route_name="people", request_method="GET")
    config.add_view(add, route_name="people", request_method="POST")
    app = store.wsgi_middleware(config.make_wsgi_app())
