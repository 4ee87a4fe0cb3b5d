"""Frameworks serve what they mount, at any path, behind any proxy."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from serving.application import KEY, SMALL, SMALL_NAME, fill
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of advanced-alchemy, which it imports where it is installed
    from litestar import Litestar, asgi

App = Any


@pytest.fixture
def store(tmp_path: Path) -> HttpExposedFileSystemStore:
    fill(tmp_path / "images")
    return HttpExposedFileSystemStore(tmp_path / "images", "images/")


def fastapi(path: str, app: App) -> App:
    outer = FastAPI()
    outer.mount(path, app)
    return outer


def starlette(path: str, app: App) -> App:
    return Starlette(routes=[Mount(path, app=app)])


def litestar(path: str, app: App) -> App:
    return Litestar([asgi(path, is_mount=True, copy_scope=True)(app)])


def get(app: App, path: str, root_path: str = "") -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://example.com") as client:
            return await client.get(path)

    return asyncio.run(get())


@pytest.mark.parametrize("framework", [fastapi, starlette, litestar])
# "user" is an object type as well, and what is at "/" has to have the store's prefix.
@pytest.mark.parametrize("path", ["/images", "/media", "/user", "/static/images"])
@pytest.mark.parametrize(("root_path", "start"), [("", ""), ("/api", "/api"), ("/api", ""), ("/a/b", "/a/b")])
def test_mounted_at_any_path_and_below_any_root_path(
    store: HttpExposedFileSystemStore, framework: Callable[[str, App], App], path: str, root_path: str, start: str
) -> None:
    app = framework(path, store.asgi_middleware())
    answer = get(app, f"{start}{path}/{SMALL_NAME}", root_path)
    assert (answer.status_code, answer.content) == (200, SMALL)
    for name in (f"{SMALL_NAME}/", "user/1/0/9.640x480.png", "../secret", "%2e%2e/secret", "link", ".hidden", ""):
        assert get(app, f"{start}{path}/{name}", root_path).status_code == 404


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_mounted_in_what_is_mounted(store: HttpExposedFileSystemStore, root_path: str) -> None:
    app = starlette("/outer", fastapi("/media", store.asgi_middleware()))
    assert get(app, f"{root_path}/outer/media/{SMALL_NAME}", root_path).content == SMALL


@pytest.mark.parametrize("framework", [fastapi, starlette])
def test_mounted_at_the_root_it_serves_its_prefix(
    store: HttpExposedFileSystemStore, framework: Callable[[str, App], App]
) -> None:
    app = framework("/", store.asgi_middleware())
    assert get(app, f"/images/{SMALL_NAME}").content == SMALL
    assert get(app, "/").status_code == 404


@pytest.mark.parametrize("prefix", ["user", "images"])
def test_object_type_may_be_called_as_the_prefix(tmp_path: Path, prefix: str) -> None:
    fill(tmp_path / "images")
    app = HttpExposedFileSystemStore(tmp_path / "images", prefix).asgi_middleware()
    assert get(app, f"/{prefix}/{SMALL_NAME}").content == SMALL
    assert get(fastapi("/media", app), f"/media/{SMALL_NAME}").content == SMALL


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_wrapped_around_an_application_urls_of_its_pages_are_served(
    store: HttpExposedFileSystemStore, root_path: str
) -> None:
    inner = FastAPI()

    @inner.get("/url")
    async def url() -> str:
        return store.url_of_key(KEY)

    app = store.asgi_middleware(inner)
    made = get(app, f"{root_path}/url", root_path).json()
    assert made == f"http://example.com{root_path}/images/{SMALL_NAME}"
    assert get(app, made, root_path).content == SMALL
    assert get(app, f"{root_path}/media/{SMALL_NAME}", root_path).status_code == 404
