"""Starlette, with a store that is mounted: a page of photographs.

uvicorn with_starlette:app
"""

import os
from pathlib import Path

from markupsafe import Markup
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload, sessionmaker
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from sqlalchemy_imageattach import Image, ImageSet, InvalidImageError, image_attachment
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

HERE = Path(os.environ.get("EXAMPLE_FOLDER", ".")).resolve()


class Base(DeclarativeBase): ...


class Photo(Base):
    __tablename__ = "photo"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    image: Mapped[ImageSet["PhotoImage"]] = image_attachment("PhotoImage")


class PhotoImage(Base, Image):
    __tablename__ = "photo_image"
    photo_id: Mapped[int] = mapped_column(ForeignKey("photo.id"), primary_key=True)
    photo: Mapped[Photo] = relationship(back_populates="image")


store = HttpExposedFileSystemStore(HERE / "images", prefix="images")
engine = create_engine(f"sqlite:///{HERE}/example.sqlite")
make_session = sessionmaker(engine, info={"image_store": store})
Base.metadata.create_all(engine)

PAGE = Markup("""<!doctype html><html lang="en"><meta charset="utf-8"><title>Photographs</title>{photos}
<form method="post" enctype="multipart/form-data"><p><label>Title <input name="title" required></label>
<label>Photograph <input type="file" name="file" accept="image/*" required></label>
<button>Add</button></form></html>""")


# Endpoints that are no coroutines run in threads, so that a database or a decoder never holds up the event loop.
def show(request: Request) -> Response:
    with make_session() as session:
        photos = session.scalars(select(Photo).options(selectinload(Photo.image)).order_by(Photo.id))
        shown = [photo.image.find_thumbnail(width=240).img(alt=photo.title) for photo in photos]
    return HTMLResponse(PAGE.format(photos=Markup("\n").join(shown)))


async def add(request: Request) -> Response:
    async with request.form() as form:
        title, upload = form.get("title"), form.get("file")
        if not isinstance(title, str) or not isinstance(upload, UploadFile):
            return PlainTextResponse("Please send a title and a photograph.", 400)
        return await run_in_threadpool(attach, title, upload)


def attach(title: str, upload: UploadFile) -> Response:
    with make_session() as session:
        session.add(photo := Photo(title=title))
        try:
            photo.image.from_file(upload)
        except InvalidImageError as error:
            return PlainTextResponse(str(error), 503 if error.reason == "busy" else 422)
        photo.image.generate_thumbnail(width=240)
        session.commit()
    return RedirectResponse("/", 303)


app = Starlette(
    routes=[
        Route("/", show),
        Route("/", add, methods=["POST"]),
        # The path is the store's prefix, which its URLs begin with.
        Mount("/images", store.asgi_middleware()),
    ]
)
