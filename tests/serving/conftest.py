"""The servers of :mod:`serving.servers` as a fixture."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from serving import application
from serving.servers import COMMANDS, Server, running

# Some tests replace it.
readlink = os.readlink


@pytest.fixture(scope="session", params=COMMANDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each kind of server in turn, with the files of :func:`application.fill`."""
    folder = tmp_path_factory.mktemp("served") / "images"
    application.fill(folder)
    with running(COMMANDS[request.param], folder) as server:
        yield server


@pytest.fixture(autouse=True)
def no_file_stays_open(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Fails a test that leaves a served file open; of a descriptor kept as a number Python would not warn."""
    yield
    processes, folders = [os.getpid()], [tmp_path]
    if "server" in request.fixturenames:
        server: Server = request.getfixturevalue("server")
        processes += server.processes()
        folders.append(server.folder)
    # A server may close a file a moment after it has sent its last byte.
    end = time.monotonic() + 10
    while (files := list(open_files(processes, folders))) and time.monotonic() < end:
        time.sleep(0.001)
    assert files == []


def open_files(processes: Iterable[int], folders: Iterable[Path]) -> Iterator[str]:
    """The files in some folders that some processes have open."""
    starts = tuple(f"{folder.resolve()}/" for folder in folders)
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):
                path = readlink(descriptor)
                if path.startswith(starts):
                    yield path
