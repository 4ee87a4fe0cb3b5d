"""What the door to WSGI does that no client sees."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from serving.application import KEY, LARGE, LARGE_NAME, SMALL, SMALL_NAME, SVG_NAME, fill
from sqlalchemy_imageattach.serving import Rules
from sqlalchemy_imageattach.serving.hosts import current_base_url
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore, StaticServerMiddleware
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "images")
    return tmp_path / "images"


def inner(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"inner"]


def call(app: Any, path: str, **environ: Any) -> tuple[str, dict[str, str], Any]:
    environ = {"SCRIPT_NAME": "", "PATH_INFO": path, **environ}
    setup_testing_defaults(environ)
    started: list[Any] = []
    result = app(environ, lambda *arguments: started.extend(arguments))
    return started[0], dict(started[1]), result


def test_middleware_is_made_by_position_as_documented(folder: Path) -> None:
    app = StaticServerMiddleware(inner, "/static/", str(folder), 4096)
    assert (app.app, app.url_path, app.dir_path, app.block_size) == (inner, "/static/", str(folder), 4096)
    assert call(app, f"/static/{SMALL_NAME}")[2] == [SMALL]
    assert call(app, "/static")[2] == [b"inner"]


@pytest.mark.parametrize("url_path", ["static", "/static", "static/", "/static/"])
def test_slashes_around_the_path_do_not_matter(folder: Path, url_path: str) -> None:
    assert call(StaticServerMiddleware(inner, url_path, folder), f"/static/{SMALL_NAME}")[2] == [SMALL]


def test_store_makes_a_static_server_middleware(folder: Path) -> None:
    store = HttpExposedFileSystemStore(folder, "images/", cors=True)
    app = store.wsgi_middleware(inner)
    assert isinstance(app, StaticServerMiddleware)
    assert call(app, f"/images/{SMALL_NAME}")[1]["Access-Control-Allow-Origin"] == "*"


def test_cors_can_be_told_to_the_middleware(folder: Path) -> None:
    app = StaticServerMiddleware(inner, "/static/", folder, cors=True)
    assert call(app, f"/static/{SMALL_NAME}")[1]["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("over_a_store", [False, True])
def test_cors_can_be_told_where_the_store_makes_its_middleware(folder: Path, over_a_store: bool) -> None:
    files = HttpExposedFileSystemStore(folder, "images/")
    store = HttpExposedStore(files, "images/") if over_a_store else files
    for app, allowed in (
        (store.wsgi_middleware(inner), None),
        (store.wsgi_middleware(inner, cors=True), "*"),
        (store.wsgi_middleware(inner, True), "*"),
        (store.wsgi_middleware(inner, cors=["https://a.example"]), "https://a.example"),
    ):
        _, headers, result = call(app, f"/images/{SMALL_NAME}", HTTP_ORIGIN="https://a.example")
        assert headers.get("Access-Control-Allow-Origin") == allowed
        with contextlib.closing(result) if hasattr(result, "close") else contextlib.nullcontext(result):
            assert b"".join(result) == SMALL


def test_file_wrapper_of_the_server_gets_a_whole_file(folder: Path) -> None:
    wrapped: list[tuple[Any, int]] = []

    def wrapper(file: Any, block_size: int) -> FileWrapper:
        wrapped.append((file.fileno(), block_size))
        return FileWrapper(file, block_size)

    app = StaticServerMiddleware(inner, "/static/", folder)
    _, headers, result = call(app, f"/static/{LARGE_NAME}", **{"wsgi.file_wrapper": wrapper})
    assert b"".join(result) == LARGE
    assert wrapped[0][1] == 8192
    result.close()
    # Servers send what is left of a wrapped file, so that one is not to be had for a part in the middle.
    _, headers, result = call(app, f"/static/{LARGE_NAME}", HTTP_RANGE="bytes=5-9", **{"wsgi.file_wrapper": wrapper})
    assert (b"".join(result), headers["Content-Length"]) == (LARGE[5:10], "5")
    result.close()
    assert len(wrapped) == 1


def test_file_wrapper_of_the_server_gets_a_small_file_and_nothing_else(folder: Path) -> None:
    wrapped: list[tuple[bytes, int]] = []

    def wrapper(file: Any, block_size: int) -> FileWrapper:
        wrapped.append((file.read(), block_size))
        file.seek(0)
        return FileWrapper(file, block_size)

    app = StaticServerMiddleware(inner, "/static/", folder, block_size=100)
    _, headers, result = call(app, f"/static/{SMALL_NAME}", **{"wsgi.file_wrapper": wrapper})
    assert (b"".join(result), headers["Content-Length"]) == (SMALL, "1024")
    result.close()
    for environ in ({"REQUEST_METHOD": "HEAD"}, {"REQUEST_METHOD": "POST"}, {"HTTP_IF_NONE_MATCH": "*"}):
        call(app, f"/static/{SMALL_NAME}", **environ, **{"wsgi.file_wrapper": wrapper})
    call(app, "/static/missing", **{"wsgi.file_wrapper": wrapper})
    assert wrapped == [(SMALL, 100)]


def test_no_block_is_larger_than_was_said(folder: Path) -> None:
    app = StaticServerMiddleware(inner, "/static/", folder, block_size=1000)
    with contextlib.closing(call(app, f"/static/{SMALL_NAME}")[2]) as result:
        assert list(result) == [SMALL[:1000], SMALL[1000:]]


@pytest.mark.parametrize("block_size", [0, -1])
def test_a_block_has_a_byte_at_least(folder: Path, block_size: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        StaticServerMiddleware(inner, "/static/", folder, block_size)


def test_file_is_closed_with_the_response(folder: Path) -> None:
    _, _, result = call(StaticServerMiddleware(inner, "/static/", folder), f"/static/{LARGE_NAME}")
    assert next(iter(result)) == LARGE[:8192]
    result.close()
    with pytest.raises(ValueError, match="closed file"):
        next(iter(result))


@pytest.mark.parametrize("headers", [{}, {"HTTP_RANGE": "bytes=5-"}, {"HTTP_IF_NONE_MATCH": "*"}])
@pytest.mark.parametrize("name", [SMALL_NAME, LARGE_NAME, SVG_NAME, "missing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_validator_of_the_standard_library_has_nothing_to_say(
    folder: Path, method: str, name: str, headers: dict[str, str]
) -> None:
    app = validator(StaticServerMiddleware(inner, "/static/", folder, cors=True))  # type: ignore[arg-type]
    result = call(app, f"/static/{name}", REQUEST_METHOD=method, QUERY_STRING="", **headers)[2]
    list(result)
    result.close()


def test_application_sees_its_own_url_until_its_response_is_closed() -> None:
    seen: list[str] = []

    class Response:
        def __iter__(self) -> Iterator[bytes]:
            seen.append(current_base_url())
            yield b""

        def close(self) -> None:
            seen.append(current_base_url())

    def app(environ: Any, start_response: Any) -> Response:
        seen.append(current_base_url())
        return Response()

    store = HttpExposedStore(MemoryStore())
    environ: dict[str, Any] = {
        "PATH_INFO": "/",
        "SCRIPT_NAME": "/ä b".encode().decode("latin-1"),
        "HTTP_HOST": "a.example",
    }
    setup_testing_defaults(environ)
    result: Any = store.wsgi_middleware(app)(environ, lambda *arguments: None)  # type: ignore[arg-type]
    list(result)
    result.close()
    assert seen == ["http://a.example/%C3%A4%20b/"] * 3
    assert current_base_url() == "/"


def test_nothing_is_remembered_of_a_request_that_failed() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        raise KeyError(current_base_url())

    store = HttpExposedStore(MemoryStore())
    with pytest.raises(KeyError, match="http://127"):
        call(store.wsgi_middleware(app), "/")
    assert current_base_url() == "/"


def test_file_wrapper_of_the_application_is_left_to_the_server() -> None:
    wrapper = FileWrapper(io.BytesIO(b"bytes"))
    store = HttpExposedStore(MemoryStore())
    app = store.wsgi_middleware(lambda environ, start_response: start_response("200 OK", []) or wrapper)
    assert call(app, "/", **{"wsgi.file_wrapper": FileWrapper})[2] is wrapper


def test_store_of_any_kind_is_served_below_its_prefix() -> None:
    store = HttpExposedStore(MemoryStore(), "/my images/", rules=Rules(download=True))
    store.put_key(io.BytesIO(SMALL), KEY, False)
    assert store.url_of_key(KEY) == f"/my%20images/{SMALL_NAME}"
    _, headers, result = call(store.wsgi_middleware(inner), f"/my images/{SMALL_NAME}")
    assert b"".join(result) == SMALL
    assert headers["Content-Disposition"] == "attachment"
    result.close()
