"""The gallery of ``examples/``, seen from outside by plain requests, and from below by its database and its files."""

from __future__ import annotations

import io
import random
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import PIL.Image
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from gallery.models import Album, Person, attach  # noqa: E402


def jpeg(seed: int = 0, size: tuple[int, int] = (300, 200), quality: int = 85) -> bytes:
    """An image that no other seed makes, and that does not compress well."""
    width, height = size
    noise = random.Random(seed).randbytes(width * height * 3)
    file = io.BytesIO()
    PIL.Image.frombytes("RGB", size, noise).save(file, "JPEG", quality=quality)
    return file.getvalue()


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Gallery:
    """A running gallery, seen from outside and from below."""

    url: str
    app: Flask
    engine: Engine
    store: HttpExposedFileSystemStore

    def ask(self, path: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Answer:
        """A plain request, whose redirect is not followed; a POST when there is a form."""
        return self._send(path, None if form is None else urlencode(form).encode(), headers or {})

    def _send(self, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        url = path if path.startswith("http:") else self.url + path
        try:
            with build_opener(_NoRedirects).open(Request(url, data, headers), timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def upload(self, path: str, form: dict[str, str], files: dict[str, bytes]) -> Answer:
        """Send a form with files, as a browser does."""
        parts = [(f'name="{name}"', value.encode()) for name, value in form.items()]
        parts += [(f'name="file"; filename="{name}"', content) for name, content in files.items()]
        body = b"".join(
            b"--limit\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (about.encode(), content)
            for about, content in parts
        )
        return self._send(path, body + b"--limit--\r\n", {"Content-Type": "multipart/form-data; boundary=limit"})

    def add_person(self, name: str, *pictures: bytes) -> int:
        with store_context(self.store), Session(self.engine) as session:
            session.add(person := Person(name=name))
            for picture in pictures:
                attach(person.picture, io.BytesIO(picture), name)
            session.commit()
            return person.id

    def add_album(self, title: str, *photos: bytes) -> int:
        with store_context(self.store), Session(self.engine) as session:
            session.add(album := Album(title=title))
            for number, photo in enumerate(photos):
                attach(album.photos.get_image_set(key=uuid.uuid4()), io.BytesIO(photo), f"Photo {number}")
            session.commit()
            return album.id

    def picture_of(self, key: int) -> str | None:
        """The URL of somebody's picture, as far as the database knows, and without the host."""
        with store_context(self.store), Session(self.engine) as session:
            person = session.get_one(Person, key)
            return person.picture.locate() if person.picture else None

    def files(self) -> dict[str, int]:
        return {file.name: file.size for file in self.store.list_files()}
