"""Moving to another store while the application writes, as docs/operations.md tells to do it."""

from __future__ import annotations

import datetime
import itertools
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session, sessionmaker

import databases
from models import Base, User, UserPicture, picture
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.stores.fallback import FallbackStore
from sqlalchemy_imageattach.stores.fs import FileSystemStore

USERS = 60

MOVER = """
    import sys
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session
    from models import Base
    from sqlalchemy_imageattach.migration import migrate
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    url, old, new, checkpoint = sys.argv[1:]
    stores = [FileSystemStore(path, "/", sync=False) for path in (old, new)]
    with Session(create_engine(url)) as session:
        plan = migrate(session, Base, *stores, workers=4, skip_existing=True, verify=True, checkpoint=checkpoint)
        for image in plan:
            print(image.object_id, flush=True)
"""


class Writer(threading.Thread):
    """A part of the application, which works on its own users' pictures until it is told to stop."""

    def __init__(self, make_session: sessionmaker[Session], users: list[int]) -> None:
        super().__init__()
        self.make_session = make_session
        self.users = users
        #: What each user's picture has to be.
        self.pictures: dict[int, bytes] = {user: picture(color=user) for user in users}
        self.error: BaseException | None = None
        self.has_to_stop = threading.Event()

    def run(self) -> None:
        choice = random.Random(self.users[0])
        try:
            for color in itertools.count(1000):
                if self.has_to_stop.is_set():
                    break
                self.work(choice.choice(self.users), color, choice.random())
        except BaseException as error:
            self.error = error

    def work(self, number: int, color: int, which: float) -> None:
        with self.make_session() as session:
            user = session.get_one(User, number)
            if which < 0.5 or not user.picture:
                user.picture.from_blob(picture(color=color))
                self.pictures[number] = picture(color=color)
            elif which < 0.9:
                user.picture.generate_thumbnail(width=8 + color % 20)
            else:
                for image in list(user.picture):
                    session.delete(image)
                self.pictures.pop(number)
            session.commit()
            if number in self.pictures:
                assert user.picture.make_blob() == self.pictures[number]


@pytest.fixture
def postgresql(postgresql_url: URL) -> Iterator[Engine]:
    engine = databases.make_engine(postgresql_url)
    yield engine
    engine.dispose()


@pytest.mark.timeout(180)
def test_no_image_is_lost_or_stale_when_files_move_under_writes_and_the_mover_is_killed(
    postgresql: Engine, tmp_path: Path
) -> None:
    old = FileSystemStore(tmp_path / "old", "http://old.example.com/", sync=False)
    new = FileSystemStore(tmp_path / "new", "http://new.example.com/", sync=False)
    Base.metadata.create_all(postgresql)
    with Session(postgresql, info={"image_store": old}) as session:
        for number in range(1, USERS + 1):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(color=number))
            user.picture.generate_thumbnail(width=32)
        session.commit()
    make_session = sessionmaker(postgresql, info={"image_store": FallbackStore(new, old)})
    writers = [Writer(make_session, list(range(first, USERS + 1, 2))) for first in (1, 2)]
    url = postgresql.url.render_as_string(hide_password=False)
    arguments = [url, tmp_path / "old", tmp_path / "new", tmp_path / "checkpoint"]
    for writer in writers:
        writer.start()
    try:
        for last in (20, 20, None):
            command = [sys.executable, "-c", textwrap.dedent(MOVER), *map(str, arguments)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent) as mover:
                assert mover.stdout
                copied = len(list(itertools.islice(mover.stdout, last)))
                if last is not None:
                    mover.kill()
            assert copied == last or mover.returncode == 0
    finally:
        for writer in writers:
            writer.has_to_stop.set()
            writer.join()
    assert [writer.error for writer in writers] == [None, None]

    with Session(postgresql, info={"image_store": new}) as session:
        assert [finding for finding in verify(session, Base, new, probe=True) if finding.row is not None] == []
        session.rollback()
        sweep(session, Base, new, older_than=datetime.timedelta(0), dry_run=False, limit=1)
        assert list(verify(session, Base, new, probe=True)) == []
        pictures = {image.user_id: image.make_blob() for image in session.query(UserPicture).filter_by(original=True)}
    assert pictures == writers[0].pictures | writers[1].pictures
