"""What the door to ASGI does that no client sees."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from typing import Any

import pytest

from serving.application import LARGE, LARGE_NAME, SMALL, SMALL_NAME, fill
from sqlalchemy_imageattach.serving.asgi import ImageServer
from sqlalchemy_imageattach.serving.hosts import current_base_url
from sqlalchemy_imageattach.serving.resources import Folder, Found
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore


@pytest.fixture
def store(tmp_path: Path) -> HttpExposedFileSystemStore:
    fill(tmp_path / "images")
    return HttpExposedFileSystemStore(tmp_path / "images", "images/")


def call(app: Any, path: str, received: list[dict[str, Any]] | None = None, **scope: Any) -> list[dict[str, Any]]:
    """What an application sends; the client stays as long as it is sent to, unless something else was received."""
    sent: list[dict[str, Any]] = []
    messages = iter(received or [])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", **scope}
    asyncio.run(app(scope, receive, send))
    return sent


def body(sent: list[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


def test_image_server_alone_answers_everything_else_with_404(store: HttpExposedFileSystemStore) -> None:
    app = store.asgi_middleware()
    assert isinstance(app, ImageServer)
    assert body(call(app, f"/images/{SMALL_NAME}")) == SMALL
    assert call(app, "/")[0]["status"] == 404


@pytest.mark.parametrize("outer", ["", "/app"])
@pytest.mark.parametrize("mounted_at", ["/images", "/pictures"])
def test_image_server_alone_serves_wherever_it_is_mounted(store, outer, mounted_at) -> None:
    path = f"{outer}{mounted_at}/{SMALL_NAME}"
    assert body(call(store.asgi_middleware(), path, root_path=f"{outer}{mounted_at}")) == SMALL


def test_image_server_alone_takes_part_in_the_lifespan(store: HttpExposedFileSystemStore) -> None:
    received = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = call(store.asgi_middleware(), "/", received, type="lifespan")
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_image_server_alone_closes_web_sockets(store: HttpExposedFileSystemStore) -> None:
    sent = call(store.asgi_middleware(), "/", [{"type": "websocket.connect"}], type="websocket")
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, "/"),
        ({"headers": [(b"host", b"a.example")]}, "http://a.example/"),
        ({"headers": [(b"host", b"a.example")], "scheme": "https", "root_path": "/app/"}, "https://a.example/app/"),
        ({"headers": [(b"host", b"a.example")], "type": "websocket", "scheme": "wss"}, "https://a.example/"),
        ({"headers": [(b"host", b"a.example"), (b"host", b"b.example")]}, "/"),
        ({"server": ("::1", 8000)}, "http://[::1]:8000/"),
        ({"server": ("/run/socket", None)}, "/"),
        ({"root_path": "//evil.example"}, "/"),
    ],
)
def test_application_sees_its_own_url(store: HttpExposedFileSystemStore, scope: dict[str, Any], expected: str) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await asyncio.to_thread(current_base_url))

    call(store.asgi_middleware(app), "/", **scope)
    assert seen == [expected]


def test_lifespan_is_left_to_the_application(store: HttpExposedFileSystemStore) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    call(store.asgi_middleware(app), "", type="lifespan")
    assert seen == ["lifespan"]


@pytest.mark.parametrize("path", [f"/app/images/{SMALL_NAME}", f"/images/{SMALL_NAME}"])
def test_path_may_begin_with_the_root_path_or_not(store: HttpExposedFileSystemStore, path: str) -> None:
    assert body(call(store.asgi_middleware(), path, root_path="/app")) == SMALL


def test_several_lines_of_a_header_are_one_list(store: HttpExposedFileSystemStore) -> None:
    headers = [(b"if-none-match", b'"other"'), (b"if-none-match", b'"k3v9q2"')]
    assert call(store.asgi_middleware(), f"/images/{SMALL_NAME}", headers=headers)[0]["status"] == 304


def test_server_that_can_send_files_is_told_the_path(store: HttpExposedFileSystemStore) -> None:
    extensions = {"http.response.pathsend": {}}
    sent = call(store.asgi_middleware(), f"/images/{LARGE_NAME}", extensions=extensions)
    assert sent[1] == {"type": "http.response.pathsend", "path": f"{store.path}/{LARGE_NAME}"}
    sent = call(store.asgi_middleware(), f"/images/{SMALL_NAME}", extensions=extensions)
    assert sent[1] == {"type": "http.response.pathsend", "path": f"{store.path}/{SMALL_NAME}"}
    headers = [(b"range", b"bytes=5-9")]
    sent = call(store.asgi_middleware(), f"/images/{LARGE_NAME}", extensions=extensions, headers=headers)
    assert body(sent) == LARGE[5:10]


def test_large_file_is_sent_in_parts(store: HttpExposedFileSystemStore) -> None:
    sent = call(store.asgi_middleware(), f"/images/{LARGE_NAME}")
    assert body(sent) == LARGE
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]


def test_nothing_more_is_read_for_a_client_that_is_gone(store: HttpExposedFileSystemStore) -> None:
    received: list[dict[str, Any]] = [{"type": "http.request"}, {"type": "http.disconnect"}]
    sent = call(store.asgi_middleware(), f"/images/{LARGE_NAME}", received)
    assert len(body(sent)) < len(LARGE)


def test_files_are_opened_outside_of_the_loops_thread(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []

    class Watched(Folder):
        def find(self, name: str) -> Found | None:
            threads.append(threading.current_thread())
            return super().find(name)

    call(ImageServer(None, "/images/", Watched(tmp_path)), "/images/x")
    assert threads
    assert threads[0] is not threading.main_thread()


class Slow(io.BytesIO):
    """A file of a slow disk, which knows whether it was closed while a thread was reading it."""

    def __init__(self, release: threading.Event, started: threading.Event) -> None:
        super().__init__(LARGE)
        self._release, self._started = release, started
        self.is_read = self.was_closed_while_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_read = True
        self._started.set()
        self._release.wait()
        self.is_read = False
        return super().read(size)

    def close(self) -> None:
        self.was_closed_while_read |= self.is_read
        super().close()


@pytest.mark.parametrize("slow", ["find", "read"])
def test_request_that_is_cancelled_closes_its_file_when_no_thread_uses_it_any_more(slow: str) -> None:
    release, started = threading.Event(), threading.Event()
    file = Slow(release, started)

    class Source(Folder):
        def find(self, name: str) -> Found | None:
            if slow == "find":
                started.set()
                release.wait()
            return Found(file, None, None, None, None, name)

    async def cancelled() -> None:
        scope = {"type": "http", "method": "GET", "path": f"/{SMALL_NAME}", "headers": []}
        app: Any = ImageServer(None, "/", Source("images"))

        async def receive() -> None:
            await asyncio.Event().wait()

        async def send(message: dict[str, Any]) -> None:
            pass

        task = asyncio.create_task(app(scope, receive, send))
        await asyncio.to_thread(started.wait)
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, release.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert file.closed
        assert not file.was_closed_while_read

    asyncio.run(cancelled())
