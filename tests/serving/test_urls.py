"""The URLs that a store makes are for the host of the request in which it makes them."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.application import SMALL_NAME, fill
from serving.servers import COMMANDS, Server, running
from sqlalchemy_imageattach.serving.hosts import Hosts, current_base_url, set_base_url
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore

PATH = f"/images/{SMALL_NAME}"


def url(server: Server, path: str = "/", **headers: str) -> str:
    return server.get(path, **headers).body.decode().strip()


def test_url_is_for_the_host_of_each_request(server: Server) -> None:
    for host in ("one.example", "two.example:8080", "[::1]:8000", "my_container:80"):
        assert url(server, Host=host) == f"http://{host}{PATH}"


def test_request_without_a_host_is_for_the_server_itself(server: Server) -> None:
    answer = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert f"http://127.0.0.1:{server.port}{PATH}\n".encode() in answer


@pytest.mark.parametrize(
    "host", ['evil"><script>', "user@evil.example", "evil.example/path", "a b", "evil.example:x", "é"]
)
def test_host_that_has_not_the_form_of_one_is_left_out(server: Server, host: str) -> None:
    answer = server.raw(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host.encode())
    assert b"evil" not in answer
    assert answer.split(b" ")[1] == b"400" or PATH.encode() in answer


def test_forwarded_headers_are_not_believed_unless_told(server: Server) -> None:
    forwarded = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https", "X_Forwarded_Prefix": "/evil"}
    assert url(server, Host="good.example", **forwarded) == f"http://good.example{PATH}"


def test_url_made_while_the_response_is_sent_is_for_the_same_host(server: Server) -> None:
    lines = url(server, "/?lazy&parts=3", Host="one.example").splitlines()
    assert lines == [f"http://one.example{PATH}"] * 3


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def behind_proxies(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("proxied") / "images"
    fill(folder)
    with running(COMMANDS[request.param], folder, PROXIES="1", TRUSTED="good.example .wild.example") as server:
        yield server


def test_nearest_proxy_is_believed_when_told(behind_proxies: Server) -> None:
    forwarded = {
        "X_Forwarded_Host": "evil.example, good.example",
        "X_Forwarded_Proto": "http, https",
        "X_Forwarded_Prefix": "/evil, /app",
    }
    assert url(behind_proxies, Host="inner", **forwarded) == f"https://good.example/app{PATH}"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_Forwarded_Host": "evil.example"}, PATH),
        ({"X_Forwarded_Host": "good.example.evil.example"}, PATH),
        ({"X_Forwarded_Host": "evilgood.example"}, PATH),
        ({"X_Forwarded_Host": "a.wild.example"}, f"http://a.wild.example{PATH}"),
        ({"X_Forwarded_Host": "good.example", "X_Forwarded_Proto": "javascript"}, f"http://good.example{PATH}"),
        ({"X_Forwarded_Host": "good.example", "X_Forwarded_Prefix": "//evil.example"}, f"http://good.example{PATH}"),
        ({"Host": "good.example:8443"}, f"http://good.example:8443{PATH}"),
        ({"Host": "evil.example"}, PATH),
    ],
)
def test_only_trusted_hosts_are_in_urls(behind_proxies: Server, headers: dict[str, str], expected: str) -> None:
    assert url(behind_proxies, **{"Host": "inner", **headers}) == expected


def test_url_has_the_path_that_a_wsgi_application_is_at(tmp_path: Path) -> None:
    fill(tmp_path / "images")
    with running(COMMANDS["wsgi"], tmp_path / "images", SCRIPT_NAME="/app") as server:
        assert url(server, "/app/", Host="a") == f"http://a/app{PATH}"
        assert server.get(f"/app{PATH}").status == 200


def test_url_has_the_path_that_an_asgi_application_is_at(tmp_path: Path) -> None:
    fill(tmp_path / "images")
    with running([*COMMANDS["asgi"], "--root-path=/app"], tmp_path / "images") as server:
        assert url(server, "/", Host="a") == f"http://a/app{PATH}"
        assert server.get(PATH).status == 200


def test_host_url_getter_comes_before_the_request(tmp_path: Path) -> None:
    store = HttpExposedFileSystemStore(tmp_path, host_url_getter=lambda: "https://cdn.example/")
    with set_base_url("http://request.example/"):
        assert store.base_url == "https://cdn.example/__images__/"


def test_nothing_is_remembered_after_a_block() -> None:
    with pytest.raises(KeyError), set_base_url("http://request.example/"):  # noqa: PT012
        assert current_base_url() == "http://request.example/"
        raise KeyError
    assert current_base_url() == "/"


def test_wrong_hosts_are_refused() -> None:
    with pytest.raises(ValueError, match="proxies must be 0 or more"):
        Hosts(proxies=-1)
    with pytest.raises(TypeError, match="must be a list of hosts"):
        Hosts("example.com")


def test_an_empty_list_trusts_no_host() -> None:
    assert Hosts(trusted=[]).base_url("https", "evil.example", "/app", {}.get) == "/app/"


def test_a_response_that_ends_in_another_request_leaves_the_url_of_that_one() -> None:
    former = set_base_url("https://former.example/")
    contextvars.Context().run(former.__enter__)
    with set_base_url("https://current.example/"):
        former.__exit__(None, None, None)
        assert current_base_url() == "https://current.example/"
