from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import picture


@contextlib.contextmanager
def demo(*arguments: object) -> Iterator[str]:
    """The demonstration as it is for somebody without Flask: its address."""
    program = "import sys; sys.modules['flask'] = None; from sqlalchemy_imageattach.cli import main; main()"
    command = [sys.executable, "-c", program, "demo", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield re.findall(r"http://[\d.:]+", process.stdout.readline())[0]
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.parametrize("count", [0, 2])
def test_pictures_are_shown_in_several_sizes(tmp_path: Path, count: int) -> None:
    photos = [tmp_path / f"{number}.png" for number in range(count)]
    for number, photo in enumerate(photos):
        photo.write_bytes(picture(640, 480, color=number))
    with demo(*photos) as address:
        page = fetch(address).decode()
        images = re.findall(r'src="([^"]+)"', page)
        assert len(images) == 3 * (count or 4)
        for image in images:
            assert fetch(image.replace("&amp;", "&")).startswith(b"\x89PNG")
    assert f"{count or 4} originals" in page
