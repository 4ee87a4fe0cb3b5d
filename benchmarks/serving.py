"""Serving images, against others who serve files: requests a second, by wrk on loopback.

Each pair of sides is measured in one run, a second of one and a second of the other in turn, the order reversed from
turn to turn, and what is printed is the median of the ratios.  Through gunicorn: whitenoise, and the middleware of the
original library, which checks nothing.  Through uvicorn: Starlette's StaticFiles.  nginx is the ceiling, with no Python
in the way.  wrk takes one core and a server another: on a machine that is busy, or has one, the figures are noise.

Needs wrk, and nginx for the ceiling (both are packages of Debian's).
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

SIZES = {"5 KB": 5_000, "50 KB": 50_000}
OURS = "images/user/1/0/1.640x480.k3v9q2.jpe"

GUNICORN = ["-m", "gunicorn", "--bind=127.0.0.1:{port}", "--log-level=critical"]
UVICORN = ["-m", "uvicorn", "--port={port}", "--log-level=critical", "--no-access-log"]

APPLICATIONS = {
    "ours, WSGI": """
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
application = HttpExposedFileSystemStore({folder!r}, "images").wsgi_middleware(None)
""",
    "whitenoise": """
from whitenoise import WhiteNoise
application = WhiteNoise(None, {folder!r}, prefix="images", max_age=31536000)
""",
    "the original": """
import collections, collections.abc, sys
collections.Iterator = collections.abc.Iterator  # gone since Python 3.10
sys.path.insert(0, {original!r})
from sqlalchemy_imageattach.stores.fs import StaticServerMiddleware
application = StaticServerMiddleware(None, "images", {folder!r})
""",
    "ours, ASGI": """
from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
application = HttpExposedFileSystemStore({folder!r}, "images").asgi_middleware()
""",
    "Starlette": """
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
application = Starlette(routes=[Mount("/images", StaticFiles(directory={folder!r}))])
""",
}

#: Ours, another, and at least how many times as fast ours is to be.
PAIRS = [
    ("ours, WSGI", "whitenoise", 1.0),
    ("ours, WSGI", "the original", 1.0),
    ("ours, ASGI", "Starlette", 1.2),
]

NGINX = """
worker_processes 1; daemon off; pid {run}/pid; error_log {run}/error.log;
events {{}}
http {{
    access_log off; sendfile on; types {{ image/jpeg jpe; }}
    client_body_temp_path {run}; proxy_temp_path {run}; fastcgi_temp_path {run}; uwsgi_temp_path {run};
    scgi_temp_path {run};
    server {{ listen 127.0.0.1:{port}; location /images/ {{ alias {folder}/; }} }}
}}
"""


def store(folder: Path, size: int) -> None:
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    FileSystemStore(folder, "http://localhost/").put_file(
        io.BytesIO(os.urandom(size)), "user", 1, 640, 480, "image/jpeg", False, "k3v9q2"
    )


@contextmanager
def running(name: str, folder: Path, run: Path, python: str | None = None) -> Iterator[str]:
    """Run one side, by the interpreter of its environment; yields its URL."""
    module = re.sub(r"\W", "_", f"side {name}")
    (run / f"{module}.py").write_text(APPLICATIONS[name].format(folder=str(folder), original=str(run / "original.whl")))
    server = UVICORN if name in {"ours, ASGI", "Starlette"} else GUNICORN
    port = free_port()
    with listening(
        [python or sys.executable, *(part.format(port=port) for part in server), f"{module}:application"], port, run
    ):
        yield f"http://127.0.0.1:{port}/{OURS}"


@contextmanager
def nginx(folder: Path, run: Path) -> Iterator[str]:
    port = free_port()
    (run / "nginx.conf").write_text(NGINX.format(folder=folder, run=run, port=port))
    with listening(["nginx", "-e", str(run / "error.log"), "-c", str(run / "nginx.conf")], port, run):
        yield f"http://127.0.0.1:{port}/{OURS}"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def listening(command: list[str], port: int, run: Path) -> Iterator[None]:
    """Run a server for a block, which begins when it listens."""
    process = subprocess.Popen(command, cwd=run)
    _listening.append(process.pid)
    try:
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit(f"{command} ended instead of listening")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait()


_listening: list[int] = []


def listening_process() -> int:
    """The server that was started last."""
    return _listening[-1]


def requests_a_second(url: str, seconds: int = 1) -> float:
    output = subprocess.run(
        ["wrk", "-t1", "-c8", f"-d{seconds}s", url], check=True, capture_output=True, text=True
    ).stdout
    if "Non-2xx" in output:
        raise SystemExit(f"{url}: {output}")
    match = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert match, output
    return float(match[1])


def compare(ours: str, other: str, least: float, folder: Path, run: Path, rounds: int) -> bool:
    with running(ours, folder, run) as our_url, running(other, folder, run) as other_url:
        for url in (our_url, other_url):
            requests_a_second(url)
        rates: list[tuple[float, float]] = []
        for turn in range(rounds):
            order = (our_url, other_url) if turn % 2 else (other_url, our_url)
            rate = {url: requests_a_second(url) for url in order}
            rates.append((rate[our_url], rate[other_url]))
    ratio = statistics.median(one / two for one, two in rates)
    one, two = (statistics.median(side) for side in zip(*rates, strict=True))
    good = ratio >= least
    print(
        f"  {ours}: {one:6.0f}/s   {other}: {two:6.0f}/s   x{ratio:.2f}, at least x{least}: {'yes' if good else 'NO'}"
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    if shutil.which("wrk") is None:
        raise SystemExit("this benchmark needs wrk: apt-get install wrk")
    if missing := [name for name in ("gunicorn", "uvicorn", "starlette", "whitenoise") if find_spec(name) is None]:
        raise SystemExit(f"this benchmark needs {', '.join(missing)}: pip install {' '.join(missing)}")
    good = True
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run.chmod(0o755)  # nginx' workers run as another user when this runs as root
        pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--dest", str(run)]
        subprocess.run([*pip, "SQLAlchemy-ImageAttach==1.1.0"], check=True, stderr=subprocess.DEVNULL)
        next(run.glob("*.whl")).rename(run / "original.whl")
        for label, size in SIZES.items():
            folder = run / str(size)
            store(folder, size)
            print(f"{label}:")
            for pair in PAIRS:
                good &= compare(*pair, folder, run, rounds)
            if shutil.which("nginx") is not None:
                with nginx(folder, run) as url:
                    print(f"  nginx, the ceiling: {requests_a_second(url):6.0f}/s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
