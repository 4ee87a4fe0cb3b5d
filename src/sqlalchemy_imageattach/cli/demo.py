"""A page with pictures in several sizes, on this machine: the library at work, with nothing else installed.

Where this is a checkout, with Flask beside it, the example application of the project is run instead.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import click
from markupsafe import Markup
from sqlalchemy import Engine, ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from ..context import store_context
from ..entity import Image, ImageSet
from ..entity.declaring import image_attachment
from ..exc import InvalidImageError
from ..stores.fs import HttpExposedFileSystemStore

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ("serve",)

#: Pixels.
_WIDTHS = (64, 160, 320)
_EXAMPLE = Path(__file__).parents[3] / "examples" / "demo.py"

_PAGE = Markup("""<!doctype html><html lang="en"><meta charset="utf-8"><title>SQLAlchemy-ImageAttach</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 60rem; margin: 2rem auto }} img {{ margin-right: 1rem }}</style>
<h1>SQLAlchemy-ImageAttach</h1><p>{count} originals, each with its thumbnails: one query for all of them, and each URL
is made without asking anybody.</p>{figures}</html>""")
_FIGURE = Markup('<figure><figcaption><a href="{url}">{name}</a>, {width}×{height}</figcaption>{images}</figure>')
_DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{height}" viewBox="0 0 64 48">
<rect width="64" height="48" fill="hsl({hue},60%,80%)"/><circle cx="{x}" cy="20" r="12" fill="hsl({hue},70%,45%)"/>
<path d="M0 48 L20 24 L34 40 L46 28 L64 48 Z" fill="hsl({hue},40%,30%)"/></svg>"""


class _Base(DeclarativeBase):
    pass


class _Exhibit(_Base):
    __tablename__ = "exhibit"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    picture: Mapped[ImageSet[_Picture]] = image_attachment("_Picture")


class _Picture(_Base, Image):
    __tablename__ = "exhibit_picture"
    exhibit_id: Mapped[int] = mapped_column(ForeignKey("exhibit.id"), primary_key=True)
    exhibit: Mapped[_Exhibit] = relationship(back_populates="picture")


def serve(photos: Sequence[Path], port: int) -> None:
    """Show pictures until Ctrl-C.

    :param photos: image files; drawings are shown where there are none
    :param port: the port on 127.0.0.1; 0 for any
    """
    if not photos and _EXAMPLE.is_file() and find_spec("flask") and find_spec("flask_wtf"):
        sys.argv = [str(_EXAMPLE), f"--port={port}"]
        runpy.run_path(str(_EXAMPLE), run_name="__main__")
        return
    with tempfile.TemporaryDirectory(prefix="imageattach-demo-") as folder:
        engine = create_engine(f"sqlite:///{folder}/database.sqlite")
        store = HttpExposedFileSystemStore(Path(folder) / "images", prefix="images/")
        _Base.metadata.create_all(engine)
        _fill(engine, store, photos)
        application = store.wsgi_middleware(_application(engine, store))
        with make_server("127.0.0.1", port, application, _Server, _Quiet) as server:
            click.echo(f"On http://127.0.0.1:{server.server_port}, until Ctrl-C")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                click.echo(err=True)
            finally:
                engine.dispose()


def _fill(engine: Engine, store: HttpExposedFileSystemStore, photos: Sequence[Path]) -> None:
    with Session(engine) as session, store_context(store):
        for name, content in _files(photos) if photos else _drawings():
            try:
                with session.begin_nested():
                    session.add(exhibit := _Exhibit(name=name))
                    exhibit.picture.from_blob(content)
                    for width in _WIDTHS:
                        exhibit.picture.generate_thumbnail(width=width)
            except InvalidImageError as error:
                click.echo(f"Without {name}: {error}", err=True)
        session.commit()


def _files(photos: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in photos:
        yield path.name, path.read_bytes()


def _drawings() -> Iterator[tuple[str, bytes]]:
    for number in range(4):
        drawing = _DRAWING.format(hue=number * 85 + 20, x=14 + number * 12, height=480 + number * 80)
        yield f"Drawing {number + 1}", drawing.encode()


def _application(engine: Engine, store: HttpExposedFileSystemStore) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        with Session(engine) as session, store_context(store):
            exhibits = session.scalars(select(_Exhibit).options(selectinload(_Exhibit.picture))).all()
            page = _PAGE.format(count=len(exhibits), figures=Markup().join(map(_figure, exhibits))).encode()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))]
        start_response("200 OK", headers)
        return [page]

    return answer


def _figure(exhibit: _Exhibit) -> Markup:
    original = exhibit.picture.require_original()
    made = sorted((image for image in exhibit.picture if not image.original), key=lambda image: image.width)
    images = Markup().join(image.img(alt=f"{exhibit.name}, {image.width} pixels wide") for image in made)
    return _FIGURE.format(
        url=original.locate(), name=exhibit.name, width=original.width, height=original.height, images=images
    )


class _Server(ThreadingMixIn, WSGIServer):
    # Requests are none of the main thread's business, as their handlers would swallow a Ctrl-C.
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass
