"""No path leads out of the folder, however it is spelled."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from serving.application import SECRET, SMALL, SMALL_NAME
from serving.servers import Server
from sqlalchemy_imageattach.serving import Request, Rules, respond
from sqlalchemy_imageattach.serving.resources import Folder, Found

PATHS = [
    "/images/../secret",
    "/images/%2e%2e/secret",
    "/images/%2E%2E%2Fsecret",
    "/images/..%2fsecret",
    "/images/..%5csecret",
    "/images/..\\secret",
    "/images/%252e%252e/secret",
    "/images/user/../../secret",
    "/images/user/1/../../../secret",
    "/images/./secret",
    "/images/..;/secret",
    "/images/.../secret",
    "/images/%c0%ae%c0%ae/secret",
    "/images/%uff0e%uff0e/secret",
    "/images//etc/passwd",
    "/images///etc/passwd",
    "/images/%2fetc/passwd",
    "/images/%2Fetc%2Fpasswd",
    "/images/file:///etc/passwd",
    "/images/C:/secret",
    "/images/user/1/0/1.640x480.k3v9q2.png%00",
    "/images/%00",
    "/images/secret%00.png",
    "/images/user%00/1/0/1.640x480.k3v9q2.png",
    "/images/link",
    "/images/up/secret",
    "/images/up/images/../secret",
    "/images/.hidden",
    "/images/%2ehidden",
    "/images/.0123456789abcdef.tmp",
    "/images/",
    "/images/user",
    "/images/user/",
    "/images/user/1/0",
    "/images/pipe.png",
    "/images/user/1/0/1.640x480.k3v9q2.png/",
    "/images/user/1/0/1.640x480.k3v9q2.png/x",
    "/images/user//1/0/1.640x480.k3v9q2.png",
    "/images/%ff%fe",
    "/images/%ed%a0%80",
    "/images/" + "a" * 300,
    "/images/" + "a/" * 1500 + "b",
]


@pytest.mark.parametrize("path", PATHS)
def test_path_that_leads_elsewhere_is_404(server: Server, path: str) -> None:
    answer = server.raw(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode("latin-1"))
    assert answer.split(b" ")[1] in {b"404", b"400"}, answer
    assert SECRET not in answer
    assert b"root:" not in answer


def test_path_beside_the_prefix_is_the_applications(server: Server) -> None:
    for path in ("/images", "/imagesx/y", "/x/images/y", "/", "/IMAGES/x"):
        assert server.get(path).body.startswith(b"http://"), path


def test_folder_that_is_a_link_may_be_turned_to_another_folder(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(name.encode())
    current = tmp_path / "current"
    current.symlink_to("old")
    folder = Folder(current)
    assert respond(Request("GET", "1.png", {}), folder).body == b"old"
    current.unlink()
    current.symlink_to("new")
    assert respond(Request("GET", "1.png", {}), folder).body == b"new"


def test_file_that_was_served_is_not_when_a_link_is_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "images" / "user").mkdir(parents=True)
    (tmp_path / "images" / "user" / "1.png").write_bytes(SMALL)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(SECRET)
    folder = Folder(tmp_path / "images")
    get = Request("GET", "user/1.png", {})
    assert [respond(get, folder).body for _ in range(2)] == [SMALL, SMALL]
    (tmp_path / "images" / "user").rename(tmp_path / "moved")
    (tmp_path / "images" / "user").symlink_to(tmp_path / "elsewhere")
    assert respond(get, folder).status == 404
    (tmp_path / "images" / "user").unlink()
    (tmp_path / "moved").rename(tmp_path / "images" / "user")
    assert respond(get, folder).body == SMALL


def test_folder_remembers_no_more_than_some_thousand_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlalchemy_imageattach.serving.resources._REMEMBERED", 3)
    folder = Folder(tmp_path)
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(SMALL)
        assert respond(Request("GET", f"{number}.png", {}), folder).status == 200
        assert len(folder._within) <= 3


def test_server_in_front_is_told_the_name_that_the_original_library_gave(tmp_path: Path) -> None:
    (tmp_path / "user/1/0").mkdir(parents=True)
    (tmp_path / "user/1/0/1.640x480None").write_bytes(SMALL)
    get = Request("GET", "user/1/0/1.640x480.webp", {})
    headers = dict(respond(get, Folder(tmp_path), Rules(accel_redirect="/protected/")).headers)
    assert headers["X-Accel-Redirect"] == "/protected/user/1/0/1.640x480None"
    assert headers["Content-Type"] == "image/webp"


def test_file_that_cannot_be_opened_now_is_503() -> None:
    class Exhausted:
        def find(self, name: str) -> Found | None:
            raise OSError(errno.EMFILE, "Too many open files")

        def url(self, name: str) -> str | None:
            return None

    assert respond(Request("GET", "1.png", {}), Exhausted()).status == 503


def test_folder_need_not_be_there(tmp_path: Path) -> None:
    assert respond(Request("GET", "1.png", {}), Folder(tmp_path / "missing")).status == 404


def test_sibling_with_a_longer_name_is_outside(tmp_path: Path) -> None:
    for name in ("images", "images-private"):
        (tmp_path / name).mkdir()
    (tmp_path / "images-private" / "1.png").write_bytes(SECRET)
    (tmp_path / "images" / "link").symlink_to(tmp_path / "images-private")
    assert respond(Request("GET", "link/1.png", {}), Folder(tmp_path / "images")).status == 404


def test_where_a_file_is_is_known_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readlink = os.readlink

    def no_proc(path: str, **options: int) -> str:
        if path.startswith("/proc/"):
            raise FileNotFoundError(path)
        return readlink(path, **options)

    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(SMALL)
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "images" / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr("os.readlink", no_proc)
    assert respond(Request("GET", "link", {}), Folder(tmp_path / "images")).status == 404
    assert respond(Request("GET", "1.png", {}), Folder(tmp_path / "images")).status == 200


def test_name_of_a_file_outside_is_not_told_apart_from_one_that_is_not_there(server: Server) -> None:
    outside, missing = server.get("/images/link"), server.get("/images/missing")
    assert {**outside.headers, "date": ""} == {**missing.headers, "date": ""}
    assert outside.body == missing.body
    assert server.get(f"/images/{SMALL_NAME}").status == 200
