from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from models import User
from sqlalchemy_imageattach.instrumentation import subscribe, unsubscribe
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.variants import Variants
from sqlalchemy_imageattach.variants.line import Full, Line
from variants.conftest import SECRET, files


async def asked(app: Any, path: str) -> tuple[int, bytes]:
    messages: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages[1:])


@pytest.fixture
def decodes() -> Any:
    events: list[Any] = []
    subscriber = subscribe(lambda event: events.append(event) if event.name == "decode" else None)
    yield events
    unsubscribe(subscriber)


def test_tasks_wait_for_one_making(user: User, store: Any, decodes: list[Any]) -> None:
    url = user.picture.variant(width=64).locate()

    async def many() -> list[tuple[int, bytes]]:
        app = store.asgi_middleware()
        return await asyncio.gather(*[asked(app, url) for _ in range(200)])

    answers = asyncio.run(many())
    assert {status for status, _ in answers} == {200}
    assert len({content for _, content in answers}) == 1
    assert len(decodes) == 1


def test_those_who_wait_leave_threads_to_those_who_need_not(user: User, store: Any, monkeypatch: Any) -> None:
    store.variants = Variants(SECRET, workers=1)
    urls = [user.picture.variant(width=width).locate() for width in range(100, 180)]
    go_on, get_file, revision = threading.Event(), store.get_file, FileKey.of(user.picture.original).revision

    def waiting(*args: Any, **options: Any) -> Any:
        if options.get("revision") == revision:
            go_on.wait(30)
        return get_file(*args, **options)

    monkeypatch.setattr(store, "get_file", waiting)

    async def many() -> None:
        app = store.asgi_middleware()
        cold = [asyncio.create_task(asked(app, url)) for url in urls]
        # The original itself is asked for after all of them, and answered before any.
        original = user.picture.original.locate().partition("?")[0]
        status, _ = await asked(app, original)
        assert status == 200
        assert not any(task.done() for task in cold)
        go_on.set()
        assert {status for status, _ in await asyncio.gather(*cold)} == {200}

    asyncio.run(many())


def test_a_client_that_goes_away_harms_no_other(user: User, store: Any, decodes: list[Any]) -> None:
    url = user.picture.variant(width=64).locate()

    async def some() -> tuple[int, bytes]:
        app = store.asgi_middleware()
        gone, stays = (asyncio.create_task(asked(app, url)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(some())[0] == 200
    assert len(decodes) <= 1


_PROCESS = """
import sys
from sqlalchemy_imageattach.instrumentation import subscribe
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
from sqlalchemy_imageattach.variants import Variants
from werkzeug.test import Client
folder, secret, *urls = sys.argv[1:]
decodes = []
subscribe(lambda event: decodes.append(event) if event.name == "decode" else None)
client = Client(HttpExposedFileSystemStore(folder, "images", variants=Variants(secret)).wsgi_middleware(None))
print("ready", flush=True)
sys.stdin.readline()
for url in urls:
    with client.get(url) as response:
        assert response.status_code == 200, response.status
print(len(decodes), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_processes_wait_for_one_making(user: User, store: Any, folder: Path) -> None:
    urls = [user.picture.variant(width=width, format="webp").locate() for width in range(400, 420)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(folder), SECRET, *urls],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    decodes = 0
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        decodes += int(process.communicate()[0])
        assert process.returncode == 0
    assert decodes == len(urls)
    assert len(files(folder)) == 1 + len(urls)


def test_a_line_takes_what_fits_and_a_large_picture_alone() -> None:
    line, go_on, running = Line(workers=3, max_pixels=100, max_waiting=10), threading.Event(), []

    def wait() -> None:
        running.append(1)
        go_on.wait(10)

    futures = [line.enter(name, pixels, wait) for name, pixels in (("a", 60), ("b", 60), ("c", 1000))]
    assert sum(running) <= 1
    go_on.set()
    for future in futures:
        future.result(10)
    assert len(running) == 3


def test_a_full_line_takes_no_more_but_those_who_wait_for_the_same() -> None:
    line, go_on = Line(workers=1, max_pixels=100, max_waiting=1), threading.Event()
    first, second = (line.enter(name, 1, lambda: bool(go_on.wait(10)) and None) for name in "ab")
    with pytest.raises(Full):
        line.enter("c", 1, lambda: None)
    assert line.enter("b", 1, lambda: None) is second
    go_on.set()
    assert (first.result(10), second.result(10)) == (None, None)


def test_what_fails_fails_all_who_wait_and_may_be_tried_again() -> None:
    line, go_on = Line(workers=1, max_pixels=100, max_waiting=10), threading.Event()

    def fail() -> None:
        go_on.wait(10)
        raise ValueError("no")

    first, second = line.enter("a", 1, fail), line.enter("a", 1, fail)
    go_on.set()
    for future in (first, second):
        with pytest.raises(ValueError, match="no"):
            future.result(10)
    line.enter("a", 1, lambda: None).result(10)
