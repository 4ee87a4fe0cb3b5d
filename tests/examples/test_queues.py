"""The examples with queues run with a real broker: what was sent after a commit is done by a worker."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import pytest

from models import picture


@pytest.fixture
def example(request, redis_url, tmp_path, monkeypatch):
    """An example, imported as an application and its worker import it."""
    monkeypatch.setenv("EXAMPLE_FOLDER", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    module = importlib.import_module(request.param)
    module.Base.metadata.create_all(module.engine)
    with module.make_session.begin() as session:
        session.add(module.User(id=1))
    yield module
    module.engine.dispose()
    del sys.modules[request.param]


def sizes(example):
    with example.make_session() as session:
        return sorted(image.width for image in session.query(example.UserPicture))


@pytest.mark.parametrize("example", ["with_rq"], indirect=True)
def test_rq_makes_the_sizes_after_the_commit(example):
    from rq import SimpleWorker

    with pytest.raises(ValueError, match="expected an image"):
        example.replace_picture(1, io.BytesIO(b""))
    assert len(example.queue) == 0
    example.replace_picture(1, io.BytesIO(picture(640, 480)))
    assert sizes(example) == [640]
    SimpleWorker([example.queue], connection=example.queue.connection).work(burst=True, logging_level="ERROR")
    assert sizes(example) == [96, 320, 640, 960]
    example.queue.connection.close()


@pytest.mark.parametrize("example", ["with_dramatiq"], indirect=True)
def test_dramatiq_makes_the_sizes_after_the_commit(example):
    import dramatiq

    broker = dramatiq.get_broker()
    example.replace_picture(1, io.BytesIO(picture(640, 480)))
    assert sizes(example) == [640]
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    worker.start()
    try:
        broker.join("default", timeout=30_000)
        worker.join()
    finally:
        worker.stop()
        broker.close()
    assert sizes(example) == [96, 320, 640, 960]
