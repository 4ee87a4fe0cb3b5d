"""What every test may ask for: databases that are fresh and empty, servers that are real, a browser.

A test that asks for a part that this machine does not have is skipped, and says why; where everything has to be there
(``CI`` or ``IMAGEATTACH_REQUIRE_ALL`` is set), that is a failure.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import URL, Engine, make_url

import databases
import parts
import processes
from parts import Parts, has_to_be_complete, missing
from processes import Started, Unavailable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Programs for the type checkers, which are read, not run; and what needs an environment of its own.
collect_ignore = ["typing", "mutants.py"]

#: Where the processes of one run find each other's parts; the first one sets it.
RUN = "IMAGEATTACH_TEST_RUN"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="imageattach-"))
        folder.chmod(0o755)  # PostgreSQL runs as another user when the tests run as root
        os.environ[RUN] = str(folder)
        # Being told to end is an interruption, after which what was started is stopped.
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    databases.drop_idle_databases()
    running = Parts(Path(os.environ.pop(RUN)))
    if hasattr(config, "workerinput"):
        processes.leave()
    else:
        running.stop()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("long") and not has_to_be_complete():
        pytest.skip("it is long: it runs in CI, and where IMAGEATTACH_REQUIRE_ALL is set")


@pytest.fixture(scope="session")
def have() -> Callable[[Callable[[Path], Started]], str]:
    """Gives the address of a part of :mod:`parts` or :mod:`databases`, or ends the test."""
    running = Parts(Path(os.environ[RUN]))

    def have(part: Callable[[Path], Started]) -> str:
        try:
            return running.get(part)
        except Unavailable as error:
            missing(f"{part.__name__}: {error}")

    return have


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Gives the path of a program that Debian has in a package of the same name, or ends the test."""

    def program(name: str) -> str:
        return processes.program(name) or missing(f"{name}: install it (Debian: {name})")

    return program


# Databases


@pytest.fixture
def sqlite_url(tmp_path: Path) -> URL:
    """A database file that does not exist yet."""
    return make_url(f"sqlite:///{tmp_path / 'database.sqlite'}")


@pytest.fixture
def postgresql_url(have: Callable[..., str]) -> Iterator[URL]:
    """An empty PostgreSQL database of the test's own, for psycopg; ``.set(drivername=...)`` for another driver."""
    with databases.fresh_database(have(databases.postgresql)) as url:
        yield url


@pytest.fixture
def mariadb_url(have: Callable[..., str]) -> Iterator[URL]:
    """An empty MariaDB database of the test's own, for PyMySQL."""
    with databases.fresh_database(have(databases.mariadb)) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> URL:
    """An empty database of the test's own, once on each kind."""
    url: URL = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: URL) -> Iterator[Engine]:
    """An engine on :func:`database_url`, disposed of after the test."""
    engine = databases.make_engine(database_url)
    yield engine
    engine.dispose()


# Object stores and brokers


@dataclass(frozen=True, slots=True)
class S3Server:
    """A real S3 server; a test takes a prefix of its own."""

    endpoint_url: str
    bucket: str = parts.S3_BUCKET
    region: str = parts.S3_REGION
    access_key: str = parts.S3_ACCESS_KEY
    secret_key: str = parts.S3_SECRET_KEY


@dataclass(frozen=True, slots=True)
class AzureServer:
    """A real blob storage; a test takes a prefix of its own."""

    endpoint_url: str
    account: str = parts.AZURE_ACCOUNT
    key: str = parts.AZURE_KEY
    container: str = parts.AZURE_CONTAINER


@pytest.fixture(scope="session")
def s3_server(have: Callable[..., str]) -> S3Server:
    return S3Server(have(parts.s3))


@pytest.fixture(scope="session")
def azure_server(have: Callable[..., str]) -> AzureServer:
    return AzureServer(have(parts.azure))


@pytest.fixture
def redis_url(have: Callable[..., str], worker_id: str) -> str:
    """A database of a Redis server that no other worker process uses, empty."""
    import redis

    url = f"{have(parts.redis)}/{worker_id.removeprefix('gw') if worker_id != 'master' else 0}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def rabbitmq_url(have: Callable[..., str]) -> str:
    """The broker's address; a test takes queues with names of its own."""
    return have(parts.rabbitmq)


# A browser


@pytest.fixture
def chromium(have: Callable[..., str]) -> Iterator[Browser]:
    """A headless Chromium, driven by Playwright.

    It is connected to for one test and no longer: as long as it is, the process can run no other event loop.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(have(parts.chromium))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A blank page, with cookies and a cache of its own."""
    with chromium.new_context() as context:
        yield context.new_page()
