"""What curl makes of it, as it is used in scripts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.application import LARGE, LARGE_NAME, SECRET
from serving.servers import Server


@pytest.fixture
def curl(program: Callable[[str], str]) -> Callable[..., bytes]:
    def curl(*arguments: str) -> bytes:
        command = [program("curl"), "--silent", "--show-error", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return curl


def test_download_that_was_cut_off_goes_on(curl: Callable[..., bytes], server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(LARGE[:1000])
    curl(
        "--continue-at", "-", "--output", str(tmp_path / "part"), f"http://127.0.0.1:{server.port}/images/{LARGE_NAME}"
    )
    assert (tmp_path / "part").read_bytes() == LARGE


def test_file_that_did_not_change_is_not_sent_again(curl: Callable[..., bytes], server: Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}/images/{LARGE_NAME}"
    etag = str(tmp_path / "etag")
    assert curl("--etag-save", etag, url) == LARGE
    status = curl("--etag-compare", etag, "--write-out", "%{http_code}", "--output", str(tmp_path / "again"), url)
    assert status == b"304"


def test_path_is_sent_as_it_is(curl: Callable[..., bytes], server: Server) -> None:
    for path in ("../secret", "%2e%2e/secret", "/etc/passwd"):
        url = f"http://127.0.0.1:{server.port}/images/{path}"
        answer = curl("--path-as-is", "--write-out", "%{http_code}", url)
        assert answer.endswith(b"404")
        assert SECRET not in answer
