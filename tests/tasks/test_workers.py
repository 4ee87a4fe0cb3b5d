"""Real workers on real brokers: what is killed in the middle is done by another, and nothing twice."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy.orm import Session
from worker_app import SETTINGS, application

import databases
from models import Base, User, UserPicture, picture, stored
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.tasks import enqueue

USERS = 12
PATIENCE = 60


@contextlib.contextmanager
def worker(settings: dict[str, str], *, decodes_before_fork: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of two processes, beside the one that they are forked from."""
    environment = os.environ | {SETTINGS: json.dumps(settings), "VIPS_CONCURRENCY": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if decodes_before_fork:
        environment["IMAGEATTACH_DECODES_BEFORE_FORK"] = "yes"
    options = ["--pool=prefork", "--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    command = [sys.executable, "-m", "celery", "-A", "worker_app", "worker", "-n", secrets.token_hex(4), *options]
    with (Path(settings["folder"]) / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(condition: Callable[[], object], settings: dict[str, str]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            log = (Path(settings["folder"]) / "log").read_text(errors="replace")
            raise AssertionError(f"it has not come to that within {PATIENCE} seconds:\n{log[-8000:]}")
        time.sleep(0.02)


@pytest.fixture(params=["redis", "rabbitmq"])
def settings(request, postgresql_url, tmp_path) -> dict[str, str]:
    broker = request.getfixturevalue(f"{request.param}_url")
    return {
        "broker": broker,
        "backend": broker if request.param == "redis" else "rpc://",
        "queue": f"imageattach-{secrets.token_hex(6)}",
        "database": postgresql_url.render_as_string(hide_password=False),
        "folder": str(tmp_path),
    }


@pytest.mark.long
@pytest.mark.timeout(3 * PATIENCE)
def test_workers_that_are_killed_in_the_middle_leave_nothing_undone_nothing_twice_and_no_orphan(settings):
    folder = Path(settings["folder"])
    app, images = application(**settings)
    engine = databases.make_engine(settings["database"])
    old, new = (FileSystemStore(folder / name, "http://example.com/", sync=False) for name in ("old", "new"))
    Base.metadata.create_all(engine)

    def have_one_hang() -> Callable[[], psutil.Process]:
        (folder / "hang").touch()

        def hung() -> psutil.Process:
            wait_until((folder / "hung").exists, settings)
            pid = int((folder / "hung").read_text())
            (folder / "hung").unlink()
            return psutil.Process(pid)

        return hung

    def done(results: list[Any]) -> list[Any]:
        wait_until(lambda: all(result.ready() for result in results), settings)
        return [result.get() for result in results]

    with (
        worker(settings),
        worker(settings, decodes_before_fork=True),
        Session(engine, info={"image_store": old}) as session,
    ):
        # Thumbnails: one process is killed, and later a whole worker.
        results = []
        hung = have_one_hang()
        for number in range(1, USERS + 1):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(64, 48, color=number, format="JPEG"))
            task = images.thumbnails(user.picture, widths=[32, 16])
            results.append(task.freeze())
            enqueue(session, task)
        session.commit()
        hung().kill()
        hung = have_one_hang()
        os.killpg(hung().ppid(), signal.SIGKILL)
        assert done(results) == [[[32, 24], [16, 12]]] * USERS
        sizes = sorted((image.user_id, image.width) for image in session.query(UserPicture))
        assert sizes == [(user, width) for user in range(1, USERS + 1) for width in (16, 32, 64)]
        session.rollback()
        assert {finding.kind for finding in verify(session, Base, old, probe=True)} <= {"orphan"}
        assert sweep(session, Base, old, datetime.timedelta(0), dry_run=False, limit=1).files == 2  # one for each kill
        assert list(verify(session, Base, old, probe=True)) == []

        # A migration and its audit: the one process that is left besides is killed.
        hung = have_one_hang()
        parts = [part.apply_async() for part in images.migration("old", "new", UserPicture, size=5, verify=True)]
        hung().kill()
        assert [result["failed"] for result in done(parts)] == [[]] * len(parts)
        audits = [part.apply_async() for part in images.audit("new", UserPicture, size=5, probe=True)]
        assert done(audits) == [[]] * len(audits)
        assert list(verify(session, Base, new, probe=True)) == []
        assert stored(new) == stored(old)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(settings["queue"])
    app.close()
    engine.dispose()
