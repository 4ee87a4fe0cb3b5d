"""The real thumbor behind the same templates.

It needs an older Pillow than this library's tests, and so an environment of its own: ``IMAGEATTACH_THUMBOR`` names its
program.
"""

from __future__ import annotations

import functools
import http.server
import io
import os
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from models import User
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.variants import ThumborVariants

KEY = "a key that both of them know"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileSystemStore]:
    program = os.environ.get("IMAGEATTACH_THUMBOR") or shutil.which("thumbor")
    if program is None:
        pytest.skip("thumbor is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = tmp_path / "thumbor.conf"
    configuration.write_text(
        f"SECURITY_KEY = {KEY!r}\nALLOW_UNSAFE_URL = False\nSTORAGE = 'thumbor.storages.no_storage'\n"
        "UPLOAD_ENABLED = False\n"
    )
    handler = functools.partial(Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        variants = ThumborVariants(f"http://127.0.0.1:{port}", KEY)
        base_url = f"http://127.0.0.1:{files.server_port}/images/"
        process = subprocess.Popen(
            [program, "-i", "127.0.0.1", "-p", str(port), "-c", str(configuration), "-l", "error"]
        )
        try:
            while True:
                assert process.poll() is None
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
            yield FileSystemStore(tmp_path / "images", base_url, False, variants=variants)
        finally:
            process.terminate()
            process.wait()
            files.shutdown()


@pytest.mark.parametrize(
    ("transform", "format"),
    [
        ({"width": 320}, "JPEG"),
        ({"width": 101, "height": 99, "fit": "cover", "gravity": "northwest", "format": "webp"}, "WEBP"),
        ({"width": 100, "height": 100, "fit": "cover", "gravity": "attention", "format": "png"}, "PNG"),
        ({"width": 100, "height": 100, "fit": "contain", "background": "#ff0000", "format": "png"}, "PNG"),
        ({"width": 100, "height": 20, "fit": "fill"}, "JPEG"),
        ({"crop": (10, 10, 50, 40), "quality": "low"}, "JPEG"),
    ],
)
def test_thumbor_makes_what_the_row_says(user: User, transform: Any, format: str) -> None:
    variant = user.picture.variant(**transform)
    with urllib.request.urlopen(variant.locate()) as response, Image.open(io.BytesIO(response.read())) as image:
        assert (image.size, image.format) == (variant.size, format)


def test_thumbor_makes_nothing_that_is_not_signed(user: User) -> None:
    url = user.picture.variant(width=64).locate()
    with pytest.raises(urllib.error.HTTPError, match="40"):
        urllib.request.urlopen(url.replace("64x48", "65x48"))


def test_a_picture_offers_what_thumbor_makes(user: User) -> None:
    assert "format(avif)/http" in user.picture.responsive(sizes="50vw", alt="")
