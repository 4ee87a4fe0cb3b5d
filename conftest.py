"""What holds for every test, whether it stands in tests/ or in a docstring."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import sqlalchemy.orm

import databases
import parts

# No deadlines: on a machine that does other things as well, they are wrong now and then.  Whether a change may land
# must not depend on chance, so that there the same examples are tried each time; `make soak` looks for new ones.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=200, print_blob=True, derandomize=True)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=100_000, print_blob=True)
hypothesis.settings.load_profile("ci" if parts.has_to_be_complete() else "default")

# A shell starts what runs in the background with Ctrl-C ignored, nohup with the end of its terminal ignored, and the
# programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(getattr(signal, "SIGHUP", signal.SIGINT)) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _requests_end_with_their_test() -> Iterator[None]:
    """An answer of a framework's test client that a test does not close is of no concern to the next test."""
    from sqlalchemy_imageattach.serving.hosts import set_base_url

    with set_base_url("/"):
        yield


@pytest.fixture(autouse=True)
def _doctest_names(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A docstring's example may take these for granted, beside a folder of its own.

    ``user``, flushed into ``session``; ``store``, with ``store_context``; ``photograph``, a JPEG of 640 x 480 pixels.
    """
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    monkeypatch.chdir(request.getfixturevalue("tmp_path"))
    import models
    from sqlalchemy_imageattach.context import store_context
    from sqlalchemy_imageattach.stores.memory import MemoryStore

    engine = databases.make_engine("sqlite://")
    models.Base.metadata.create_all(engine)
    with sqlalchemy.orm.Session(engine) as session:
        session.add(user := models.User(name="name"))
        session.flush()
        names = request.getfixturevalue("doctest_namespace")
        names |= {"session": session, "user": user, "store": MemoryStore(), "store_context": store_context}
        names["photograph"] = io.BytesIO(models.picture(640, 480, format="JPEG"))
        yield
        names.clear()
    engine.dispose()
