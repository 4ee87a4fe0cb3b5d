"""An application whose workers the tests start, by ``python -m celery -A worker_app worker``.

In its stores, who finds the file ``hang`` after it has put a file takes it away, writes its process id to ``hung``, and
goes no further: that is the worst moment to be killed, for the file is there, and its row is not committed.
"""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool

from models import Base, picture
from sqlalchemy_imageattach import imaging
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.tasks import ImageTasks

#: The environment variable with the settings of :func:`application`, as JSON.
SETTINGS = "IMAGEATTACH_WORKER_APP"


class HangingStore(FileSystemStore):
    def put_file(self, *args: Any, **kwargs: Any) -> None:
        super().put_file(*args, **kwargs)
        folder = Path(self.path).parent
        try:
            (folder / "hang").rename(folder / f"hang.{os.getpid()}")
        except FileNotFoundError:
            return
        (folder / f"hang.{os.getpid()}").write_text(str(os.getpid()))
        (folder / f"hang.{os.getpid()}").rename(folder / "hung")
        signal.pause()


def application(broker: str, backend: str, queue: str, database: str, folder: str) -> tuple[Celery, ImageTasks]:
    app = Celery("worker_app", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_default_queue=queue,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        result_expires=60,
    )
    if broker.startswith("redis"):
        app.conf.broker_transport_options = {
            "visibility_timeout": 3,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
    stores = {name: HangingStore(f"{folder}/{name}", "http://example.com/", sync=False) for name in ("old", "new")}
    engine = create_engine(database, poolclass=NullPool)
    return app, ImageTasks(app, Base, sessionmaker(engine, info={"image_store": stores["old"]}), stores)


if SETTINGS in os.environ:
    app, images = application(**json.loads(os.environ[SETTINGS]))
    if "IMAGEATTACH_DECODES_BEFORE_FORK" in os.environ:
        # After that, libvips would hang in a forked child.
        source = io.BytesIO(picture(64, 48, format="JPEG"))
        imaging.resize(source, imaging.probe(source), 32, 24).file.close()
