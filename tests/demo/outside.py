"""The gallery of ``examples/``, seen from outside by plain requests, and from below by its database and its files."""

from __future__ import annotations

import io
import random
import re
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, OpenerDirector, Request, build_opener

import PIL.Image
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.naming import original_of
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from gallery.models import Album, Person  # noqa: E402


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
    opener: OpenerDirector = field(default_factory=lambda: build_opener(_NoRedirects, HTTPCookieProcessor()))

    def token(self) -> dict[str, str]:
        """What every form of the gallery sends along."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.ask("/").text)
        assert found
        return {"csrf_token": found[1]}

    def ask(self, path: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Answer:
        """A plain request, whose redirect is not followed; a POST when there is a form."""
        data = None if form is None else urlencode(self.token() | form).encode()
        return self._send(path, data, headers or {})

    def _send(self, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        url = path if path.startswith("http:") else self.url + path
        try:
            with self.opener.open(Request(url, data, headers), timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def upload(self, path: str, form: dict[str, str], files: dict[str, bytes]) -> Answer:
        """Send a form with files, as a browser does."""
        parts = [(f'name="{name}"', value.encode()) for name, value in (self.token() | form).items()]
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
                person.picture.from_blob(picture, extra_kwargs={"caption": name})
            session.commit()
            return person.id

    def add_album(self, title: str, *photos: bytes) -> int:
        with store_context(self.store), Session(self.engine) as session:
            session.add(album := Album(title=title))
            for number, photo in enumerate(photos):
                images = album.photos.get_image_set(key=uuid.uuid4())
                images.from_blob(photo, extra_kwargs={"caption": f"Photo {number}"})
            session.commit()
            return album.id

    def picture_of(self, key: int) -> str | None:
        """The URL of somebody's picture, as far as the database knows, and without the host."""
        with store_context(self.store), Session(self.engine) as session:
            person = session.get_one(Person, key)
            return person.picture.locate() if person.picture else None

    def focal_point_of(self, key: int) -> tuple[float, float] | None:
        with Session(self.engine) as session:
            original = session.get_one(Person, key).picture.original
            return original and original.focal_point

    def files(self) -> dict[str, int]:
        """The originals that the gallery has, and their sizes; browsers have more made at any time."""
        return {
            each.name: each.size for each in self.store.list_files() if each.key is None or not original_of(each.key)
        }
