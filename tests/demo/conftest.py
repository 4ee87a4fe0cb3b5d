"""A gallery on a server of its own for each test, with nobody in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside import Gallery
from sqlalchemy import create_engine
from werkzeug.serving import make_server

from sqlalchemy_imageattach.stores.fs import HttpExposedFileSystemStore
from sqlalchemy_imageattach.variants import Variants


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    # Found in the folder of examples, which `outside` makes known.
    from gallery import create_app
    from gallery.models import Base

    engine = create_engine(f"sqlite:///{tmp_path / 'gallery.sqlite'}")
    Base.metadata.create_all(engine)
    secret = "a secret of the gallery"
    store = HttpExposedFileSystemStore(tmp_path / "images", sync=False, variants=Variants(secret))
    app = create_app(engine, store, secret)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Gallery(f"http://127.0.0.1:{server.server_port}", app, engine, store)
    server.shutdown()
    thread.join()
    server.server_close()
    engine.dispose()
