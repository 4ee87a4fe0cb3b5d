"""How the gallery starts, as ``make demo`` starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from outside import EXAMPLES, jpeg


@contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[str]:
    """The address of a gallery, whose files are in a folder, and what it prints beside it; ended as by a keyboard."""
    command = [sys.executable, "-X", "dev", str(EXAMPLES / "demo.py"), *arguments]
    variables = os.environ | {"DEMO_FOLDER": str(folder), "DEMO_PORT": "0"} | environment
    said = folder.with_name("said").open("wb")
    with said, subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, stdout=said) as process:
        assert process.stderr is not None
        complaints = []
        try:
            for line in process.stderr:
                complaints.append(line.decode())
                if found := re.search(rb"Running on (http://127\.0\.0\.1:\d+)", line):
                    yield found[1].decode()
                    return
            raise AssertionError("".join(complaints))
        finally:
            process.send_signal(signal.SIGINT)


def read(url: str) -> str:
    with urlopen(url, timeout=30) as response:
        return str(response.read().decode())


def test_the_first_start_fills_it_with_photographs_and_the_second_finds_them_there(tmp_path: Path) -> None:
    with started(tmp_path / "demo") as url:
        people, albums = read(url), read(f"{url}/albums")
    assert len(re.findall('alt="Picture of', people)) == 12
    assert re.findall(r"(\d+) photos", albums) == ["4", "6", "5"]
    assert "Filling" in (tmp_path / "said").read_text()
    with started(tmp_path / "demo") as url:
        again = read(url)
    assert "Filling" not in (tmp_path / "said").read_text()
    assert re.findall("/__images__/[^ ]+", again) == re.findall("/__images__/[^ ]+", people)


def test_it_may_be_filled_from_a_folder(tmp_path: Path) -> None:
    photos = tmp_path / "Holiday"
    (photos / "day two").mkdir(parents=True)
    (photos / "one.jpg").write_bytes(jpeg(1))
    (photos / "day two/two.JPEG").write_bytes(jpeg(2))
    (photos / "broken.png").write_bytes(b"nothing")
    (photos / "notes.txt").write_bytes(b"nothing")
    with started(tmp_path / "demo", PHOTOS=str(photos)) as url:
        assert set(re.findall('alt="Picture of (.*?)"', read(url))) == {"one", "two"}
        album = read(f"{url}/albums/1")
    assert "Holiday" in album
    assert set(re.findall('<img[^>]* alt="(.*?)"', album)) == {"one", "two"}


def test_it_says_what_it_can_be_told() -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(option in answer.stdout for option in ("--port", "--photos", "--folder"))


def test_it_listens_on_the_port_that_it_is_told(tmp_path: Path) -> None:
    with started(tmp_path / "demo", "--port=0", "--photos", str(tmp_path)) as url:
        assert "People" in read(url)


def test_it_is_short_enough_to_be_read() -> None:
    programs = [EXAMPLES / "demo.py", *EXAMPLES.glob("gallery/*.py")]
    lines = sum(len(path.read_text().splitlines()) for path in programs)
    assert lines < 360
