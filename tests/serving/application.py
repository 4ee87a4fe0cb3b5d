"""An application that serves images in every way there is, as WSGI and as ASGI."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.serving import Rules
from sqlalchemy_imageattach.serving.hosts import Hosts
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import FileSystemStore, HttpExposedFileSystemStore
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore

SECRET = b"the secret outside of the folder"
SMALL = bytes(range(256)) * 4
LARGE = SMALL * 1200

KEY = FileKey("user", 1, 640, 480, "image/png", "k3v9q2")
SMALL_NAME = "user/1/0/1.640x480.k3v9q2.png"
LARGE_NAME = "user/2/0/2.640x480.k3v9q2.png"
PLAIN_NAME = "user/3/0/3.640x480.png"
SVG_NAME = "user/4/0/4.10x10.k3v9q2.svg"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><script>document.title="run"</script></svg>'


def fill(folder: Path) -> None:
    """Put the files above into a folder, and what must never be served around it."""
    store = FileSystemStore(folder, "http://host/", sync=False)
    for key, content in [
        (KEY, SMALL),
        (KEY._replace(object_id=2), LARGE),
        (KEY._replace(object_id=3, revision=None), SMALL),
        (KEY._replace(object_id=4, width=10, height=10, mimetype="image/svg+xml"), SVG),
        (KEY._replace(object_type="ü name+&", object_id=5), SMALL),
        (KEY._replace(object_id=-(2**159)), SMALL),
    ]:
        store.put_key(io.BytesIO(content), key, False)
    (folder.parent / "secret").write_bytes(SECRET)
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "up").symlink_to(folder.parent)
    (folder / "inside").symlink_to(folder / "user")
    (folder / ".hidden").write_bytes(SECRET)
    (folder / ".0123456789abcdef.tmp").write_bytes(SECRET)
    (folder / "page.html").write_bytes(b"<script>alert(1)</script>")
    (folder / "empty.png").write_bytes(b"")
    os.mkfifo(folder / "pipe.png")


class Streaming(MemoryStore):
    """A store whose files come from far away: they can be read, once, and nothing else."""

    def get_file(self, *args: Any, **kwargs: Any) -> Any:
        file = super().get_file(*args, **kwargs)

        class Stream:
            read, close = file.read, file.close

        return Stream()


class Down(MemoryStore):
    def get_file(self, *args: Any, **kwargs: Any) -> IO[bytes]:
        raise StoreError("asked for")


class OfTheGuide(Store):
    """It has just the documented arguments, and so no revisions."""

    def get_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> IO[bytes]:
        if object_id != 1:
            raise OSError("no such file")
        return io.BytesIO(SMALL)


def filled(store: Store) -> Store:
    store.put_key(io.BytesIO(SMALL), KEY, False)
    store.put_key(io.BytesIO(LARGE), KEY._replace(object_id=2), False)
    return store


def hosts() -> Hosts:
    return Hosts(os.environ.get("TRUSTED", "").split() or None, int(os.environ.get("PROXIES", "0")))


folder = os.environ.get("IMAGES", "images")
store = HttpExposedFileSystemStore(folder, "images/", hosts=hosts())
stores: list[HttpExposedFileSystemStore | HttpExposedStore] = [
    store,
    HttpExposedFileSystemStore(folder, "cors/", cors=True),
    HttpExposedFileSystemStore(folder, "cors-list/", cors=["https://friend.example"]),
    HttpExposedFileSystemStore(folder, "download/", rules=Rules(download=True)),
    HttpExposedFileSystemStore(folder, "accel/", rules=Rules(accel_redirect="/protected/")),
    HttpExposedFileSystemStore(folder, "sendfile/", rules=Rules(x_sendfile=True)),
    HttpExposedStore(filled(MemoryStore()), "memory/"),
    HttpExposedStore(filled(Streaming()), "streaming/"),
    HttpExposedStore(Down(), "down/"),
    HttpExposedStore(OfTheGuide(), "guide/"),
    HttpExposedStore(MemoryStore("https://elsewhere.example/"), "redirect/", rules=Rules(redirect=True)),
]


def urls(query: str) -> Iterator[bytes]:
    """The URL of a picture, in as many parts as were asked for, each made when it is sent."""
    for _ in range(int(parse_qs(query).get("parts", ["1"])[0])):
        yield store.url_of_key(KEY).encode() + b"\n"


def wsgi(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    parts = urls(environ["QUERY_STRING"])
    return parts if "lazy" in environ["QUERY_STRING"] else list(parts)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for part in urls(scope["query_string"].decode()):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


for each in stores:
    wsgi = each.wsgi_middleware(wsgi)  # type: ignore[assignment]
    asgi = each.asgi_middleware(asgi)  # type: ignore[assignment]
