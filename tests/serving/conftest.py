"""The servers of :mod:`serving.servers` as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serving import application
from serving.servers import COMMANDS, Server, running


@pytest.fixture(scope="session", params=COMMANDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each kind of server in turn, with the files of :func:`application.fill`."""
    folder = tmp_path_factory.mktemp("served") / "images"
    application.fill(folder)
    with running(COMMANDS[request.param], folder) as server:
        yield server
