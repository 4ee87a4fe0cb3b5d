"""Behind a real nginx, which sends what is there, and asks the application for what is not: the recipe of the guide."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from models import User
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.variants import Variants
from variants.conftest import SECRET

GUIDE = Path(__file__).parents[2] / "docs" / "variants.md"

AROUND = """
worker_processes 1; daemon off; pid {run}/pid; error_log {run}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {run}; proxy_temp_path {run}; fastcgi_temp_path {run}; uwsgi_temp_path {run};
    scgi_temp_path {run};
    {server}
}}
"""


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in itertools.takewhile(Path(tempfile.gettempdir()).__ne__, (tmp_path, *tmp_path.parents)):
        folder.chmod(0o755)  # nginx's workers run as another user when the tests run as root
    return tmp_path


@pytest.fixture
def asked() -> list[str]:
    """The paths that the application was asked for."""
    return []


@pytest.fixture
def store(root: Path, asked: list[str], program: Callable[[str], str]) -> Iterator[FileSystemStore]:
    command = program("nginx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = FileSystemStore(root / "images", f"http://127.0.0.1:{port}/images/", False, variants=Variants(SECRET))
    middleware = store.wsgi_middleware(lambda environ, start_response: [])

    def application(environ: Any, start_response: Any) -> Any:
        asked.append(environ["PATH_INFO"])
        return middleware(environ, start_response)

    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        (recipe,) = re.findall(r"```nginx\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        for said, meant in (
            ("listen 80;", f"listen 127.0.0.1:{port};"),
            ("root /var/www;", f"root {root};"),
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{behind.server_port}"),
        ):
            assert said in recipe
            recipe = recipe.replace(said, meant)
        configuration = root / "nginx.conf"
        configuration.write_text(AROUND.format(run=root, server=recipe))
        process = subprocess.Popen([command, "-e", str(root / "error.log"), "-c", str(configuration)])
        try:
            while True:
                assert process.poll() is None, (root / "error.log").read_text()
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
            yield store
        finally:
            process.terminate()
            process.wait()
            behind.shutdown()


def got(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize(
    ("format", "mimetype"),
    [("jpeg", "image/jpeg"), ("webp", "image/webp"), ("avif", "image/avif"), ("png", "image/png")],
)
def test_the_first_request_reaches_the_application_and_the_next_does_not(
    user: User, asked: list[str], format: str, mimetype: str
) -> None:
    url = user.picture.variant(width=64, format=format).locate()
    first, second = got(url), got(url)
    assert (first[0], second[0], len(asked)) == (200, 200, 1)
    assert first[2] == second[2]
    for _, headers, _ in (first, second):
        assert headers["Content-Type"] == mimetype
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox")


def test_the_original_is_sent_as_what_it_is(user: User, asked: list[str]) -> None:
    status, headers, _ = got(user.picture.locate())
    assert (status, headers["Content-Type"], asked) == (200, "image/jpeg", [])


def test_what_is_not_signed_is_not_found(user: User) -> None:
    url = user.picture.variant(width=64).locate()
    assert got(url.replace("64x48", "65x48"))[0] == 404
