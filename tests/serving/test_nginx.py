"""Behind a real nginx, which sends the files that the application has found."""

from __future__ import annotations

import itertools
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving import application
from serving.application import LARGE, LARGE_NAME, SECRET, SMALL_NAME
from serving.servers import COMMANDS, Server, running

CONFIGURATION = """
worker_processes 1; daemon off; pid {run}/pid; error_log {run}/error.log;
events {{}}
http {{
    access_log off; types {{ image/png png; image/svg+xml svg; }}
    client_body_temp_path {run}; proxy_temp_path {run}; fastcgi_temp_path {run}; uwsgi_temp_path {run};
    scgi_temp_path {run};
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_set_header Host $host:$server_port;
        }}
        location /protected/ {{
            internal;
            alias {images}/;
            add_header Content-Security-Policy "sandbox; default-src 'none'; style-src 'unsafe-inline'" always;
            add_header X-Content-Type-Options nosniff always;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Server]:
    command = program("nginx")
    run = tmp_path_factory.mktemp("nginx")
    for folder in itertools.takewhile(Path(tempfile.gettempdir()).__ne__, (run, *run.parents)):
        folder.chmod(0o755)  # its workers run as another user when the tests run as root
    images = run / "images"
    application.fill(images)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(COMMANDS["wsgi"], images) as behind:
        configuration = run / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(run=run, port=port, behind=behind.port, images=images))
        process = subprocess.Popen([command, "-e", str(run / "error.log"), "-c", str(configuration)])
        try:
            _wait_until_it_listens(process, port)
            yield Server(port, process.pid, images)
        finally:
            process.terminate()
            process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("nginx ended instead of listening")


def test_nginx_sends_the_file(nginx: Server) -> None:
    status, headers, body = nginx.get(f"/accel/{LARGE_NAME}")
    assert (status, body) == (200, LARGE)
    assert headers["content-type"] == "image/png"
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox")
    assert "x-accel-redirect" not in headers


def test_nginx_sends_a_file_whose_name_is_quoted(nginx: Server) -> None:
    assert nginx.get("/accel/%C3%BC%20name+%26/5/0/5.640x480.k3v9q2.png").body == application.SMALL


def test_nginx_answers_ranges_and_conditions(nginx: Server) -> None:
    etag = nginx.get(f"/accel/{LARGE_NAME}").headers["etag"]
    status, headers, body = nginx.get(f"/accel/{LARGE_NAME}", Range="bytes=5-9")
    assert (status, body, headers["content-range"]) == (206, LARGE[5:10], f"bytes 5-9/{len(LARGE)}")
    assert nginx.get(f"/accel/{LARGE_NAME}", If_None_Match=etag).status == 304
    assert nginx.get(f"/accel/{LARGE_NAME}", "HEAD").headers["content-length"] == str(len(LARGE))


@pytest.mark.parametrize(
    "path", ["/protected/link", f"/protected/{SMALL_NAME}", "/accel/link", "/accel/%2e%2e/secret", "/accel/up/secret"]
)
def test_what_the_application_does_not_serve_nginx_does_not_either(nginx: Server, path: str) -> None:
    status, _, body = nginx.get(path)
    assert (status, SECRET in body) == (404, False)


def test_urls_are_for_the_host_that_nginx_was_asked_for(nginx: Server) -> None:
    assert nginx.get("/").body.decode().strip() == f"http://127.0.0.1:{nginx.port}/images/{SMALL_NAME}"
