"""Thumbnails, and parts of a migration and of an audit, as tasks: what is sent, and what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Retry, SoftTimeLimitExceeded
from sqlalchemy import ForeignKeyConstraint, String, Uuid
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

import databases
from models import Album, Base, User, UserPicture, picture, stored
from sqlalchemy_imageattach.audit import verify
from sqlalchemy_imageattach.concurrency import outcome_of
from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.exc import InvalidImageError, StoreError
from sqlalchemy_imageattach.imaging.engines.isolation import pool
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.tasks import ImageTasks, enqueue


class Faulty(MemoryStore):
    """A store that fails as often as it is told to."""

    faults = 0

    def get_file(self, *args: Any) -> Any:
        self._fail()
        return super().get_file(*args)

    def put_file(self, *args: Any, **kwargs: Any) -> None:
        self._fail()
        super().put_file(*args, **kwargs)

    def _fail(self) -> None:
        if self.faults:
            self.faults -= 1
            raise StoreError("it is being restarted")


@pytest.fixture
def engine(sqlite_url) -> Iterator[Engine]:
    engine = databases.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store() -> Faulty:
    return Faulty()


@pytest.fixture
def new_store() -> Faulty:
    return Faulty()


@pytest.fixture
def make_session(engine, store) -> sessionmaker[Session]:
    return sessionmaker(engine, info={"image_store": store})


@pytest.fixture
def session(make_session) -> Iterator[Session]:
    with make_session() as session:
        yield session


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("test", broker="memory://", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def images(app, make_session, store, new_store) -> ImageTasks:
    return ImageTasks(app, Base, make_session, {"old": store, "new": new_store})


@pytest.fixture
def run(app, session) -> Callable[..., Any]:
    """Does what a worker does with a task that comes as JSON, while the test's own session is out of its way."""

    def run(signature: Any, retries: int = 0) -> Any:
        session.rollback()
        told = json.loads(json.dumps(signature))
        return app.tasks[told["task"]].apply(kwargs=told["kwargs"], retries=retries, throw=True).get()

    return run


@pytest.fixture
def user(session) -> User:
    session.add(user := User())
    user.picture.from_blob(picture(64, 48))
    session.commit()
    return user


# Thumbnails


def test_thumbnails_are_made_of_each_size(images, run, session, user, store):
    made = run(images.thumbnails(user.picture, widths=[16, 8], heights=[24], ratios=[2]))
    assert made == [[16, 12], [8, 6], [32, 24], [128, 96]]
    assert sorted(image.size for image in user.picture) == [(8, 6), (16, 12), (32, 24), (64, 48), (128, 96)]
    assert len(stored(store)) == 5


def test_the_log_of_a_task_is_quiet_at_the_level_info(images, run, session, user, caplog):
    with caplog.at_level(logging.INFO):
        run(images.thumbnails(user.picture, widths=[16, 32]))
    assert [record.name for record in caplog.records if record.name.startswith("pyvips")] == []


def test_a_task_that_is_delivered_twice_makes_nothing_twice(images, run, session, user, store):
    task = images.thumbnails(user.picture, widths=[16])
    assert run(task) == run(task) == [[16, 12]]
    assert len(stored(store)) == session.query(UserPicture).count() == 2


def test_a_new_entity_is_flushed_for_its_key(images, run, session):
    session.add(user := User())
    user.picture.from_blob(picture(64, 48))
    task = images.thumbnails(user.picture, widths=[16])
    session.commit()
    assert run(task) == [[16, 12]]


def test_a_new_entity_of_an_async_session_has_to_be_flushed_before(images, sqlite_url):
    async def attach() -> None:
        engine = databases.make_async_engine(sqlite_url.set(drivername="sqlite+aiosqlite"))
        async with AsyncSession(engine, info={"image_store": MemoryStore()}) as session:
            session.add(user := User())
            user.picture.from_blob(picture())
            with pytest.raises(ValueError, match=r"await flush\(\) of its AsyncSession"):
                images.thumbnails(user.picture, widths=[16])
            await session.flush()
            assert images.thumbnails(user.picture, widths=[16]).kwargs["key"] == [user.id]
        await engine.dispose()

    asyncio.run(attach())


def test_of_several_image_sets_one_is_told(images, run, session):
    session.add(album := Album())
    for position in (1, 2):
        photo = album.photos.get_image_set(position=position)
        photo.from_blob(picture(64, 48 * position), extra_kwargs={"position": position})
    session.commit()
    assert run(images.thumbnails(album.photos.get_image_set(position=2), widths=[16])) == [[16, 24]]


def test_an_entity_that_is_gone_by_then_is_no_error(images, run, session, user):
    task = images.thumbnails(user.picture, widths=[16])
    session.delete(user)
    session.commit()
    assert run(task) == []


def test_an_original_that_is_gone_by_then_is_no_error(images, run, session):
    session.add(user := User())
    session.commit()
    assert run(images.thumbnails(user.picture, widths=[16])) == []


def test_a_fault_that_passes_is_tried_again_and_one_that_does_not_is_not(images, run, session, user, store):
    task = images.thumbnails(user.picture, widths=[16])
    store.faults = 1
    with pytest.raises(Retry) as raised:
        run(task)
    assert isinstance(raised.value.exc, StoreError)
    damaged = images.thumbnails(user.picture, ratios=[10**6])
    with pytest.raises(InvalidImageError):
        run(damaged)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All processes that decode costly images are taken."""
    monkeypatch.setattr(pool, "_PATIENCE", 0.01)
    with contextlib.ExitStack() as stack:
        for _ in range(pool._pool._size):
            stack.enter_context(pool._pool.place())
        yield


@pytest.fixture
def drawing(session, store) -> User:
    session.add(user := User())
    user.picture.from_blob(b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>', store=store)
    session.commit()
    return user


@pytest.mark.usefixtures("busy")
def test_an_image_that_finds_no_place_to_be_decoded_is_tried_again(images, run, drawing):
    task = images.thumbnails(drawing.picture, widths=[16])
    with pytest.raises(Retry) as raised:
        run(task)
    assert raised.value.exc.reason == "busy"
    assert 1 <= raised.value.when <= 600
    with pytest.raises(InvalidImageError, match="free place"):
        run(task, retries=10)


@pytest.mark.usefixtures("busy", "drawing")
def test_a_part_with_an_image_that_finds_no_place_is_tried_again_and_says_so_at_last(images, run):
    (part,) = images.make_thumbnails("old", UserPicture, widths=[16])
    with pytest.raises(Retry):
        run(part)
    assert "free place" in run(part, retries=10)["failed"][0]["error"]


class Keys(DeclarativeBase):
    pass


class Document(Keys):
    __tablename__ = "document"
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    language: Mapped[str] = mapped_column(String(5), primary_key=True)
    scan: Mapped[ImageSet[Scan]] = image_attachment("Scan")


class Scan(Keys, Image):
    __tablename__ = "scan"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    language: Mapped[str] = mapped_column(String(5), primary_key=True)
    __table_args__ = (ForeignKeyConstraint(["id", "language"], [Document.id, Document.language]),)

    @property
    def object_id(self) -> int:
        return self.id.int


def test_keys_of_uuids_and_strings_are_told(engine, app, make_session, run, store, new_store):
    Keys.metadata.create_all(engine)
    images = ImageTasks(app, Keys, make_session, {"old": store, "new": new_store})
    with make_session() as session:
        for language in ("en", "fr"):
            session.add(document := Document(language=language))
            document.scan.from_blob(picture(64, 48))
        task = images.thumbnails(document.scan, widths=[16])
        session.commit()
    assert run(task) == [[16, 12]]
    assert sum(run(each)["copied"] for each in images.migration("old", "new", size=1)) == 3


@pytest.mark.parametrize(
    ("sizes", "error"),
    [({}, TypeError), ({"widths": [0]}, ValueError), ({"heights": [1.5]}, TypeError), ({"ratios": [-1]}, ValueError)],
)
def test_sizes_that_are_none_are_refused_before_anything_is_sent(images, user, sizes, error):
    with pytest.raises(error):
        images.thumbnails(user.picture, **sizes)


def test_what_is_no_image_set_of_an_entity_is_refused(images, session):
    with pytest.raises(TypeError, match="get_image_set"):
        images.thumbnails(Album().photos, widths=[16])
    with pytest.raises(ValueError, match="in a session"):
        images.thumbnails(User().picture, widths=[16])
    with pytest.raises(ValueError, match="a class of"):
        images.thumbnails(Document().scan, widths=[16])


def test_the_task_is_sent_with_the_commit(images, app, session, user, store):
    app.conf.task_always_eager = True
    enqueue(session, images.thumbnails(user.picture, widths=[16]))
    assert len(stored(store)) == 1
    session.commit()
    assert len(stored(store)) == 2


# Parts of making a size of everything


@pytest.mark.usefixtures("users")
def test_parts_make_the_thumbnails_that_are_missing_and_none_twice(images, run, session, user, store):
    user.picture.generate_thumbnail(width=16)
    session.commit()
    parts = list(images.make_thumbnails("old", UserPicture, widths=[16], heights=[24], size=3))
    assert sum(run(part)["made"] for part in parts) == 15
    assert [run(part) for part in parts] == [{"made": 0, "failed": []}] * 3
    assert len(stored(store)) == 8 * 3


@pytest.mark.usefixtures("users")
def test_a_store_that_fails_for_a_while_has_the_thumbnails_tried_again(images, run, session, store):
    (part,) = images.make_thumbnails("old", UserPicture, widths=[16])
    store.faults = 1
    with pytest.raises(Retry):
        run(part)
    assert run(part) == {"made": 7, "failed": []}


@pytest.mark.usefixtures("users")
def test_an_original_that_is_missing_is_told_and_does_not_keep_the_others(images, run, session, store):
    store.delete(session.get_one(UserPicture, (2, 64, 48)))
    (part,) = images.make_thumbnails("old", UserPicture, widths=[16])
    result = run(part)
    assert (result["made"], [failure["key"] for failure in result["failed"]]) == (6, [[2, 64, 48]])


# Parts of a migration


@pytest.fixture
def users(session) -> None:
    for number in range(1, 8):
        session.add(user := User(id=number))
        user.picture.from_blob(picture(color=number))
    session.commit()


@pytest.mark.usefixtures("users")
def test_the_parts_of_a_migration_copy_everything_and_twice_nothing(images, run, store, new_store):
    parts = list(images.migration("old", "new", UserPicture, size=3, verify=True, workers=2))
    assert [run(part)["copied"] for part in parts + parts] == [3, 3, 1, 0, 0, 0]
    assert stored(new_store) == stored(store)


@pytest.mark.usefixtures("users")
def test_without_a_class_all_of_them_are_split(images):
    names = {part.kwargs["image_class"] for part in images.migration("old", "new")}
    assert names == {"models.UserPicture", "models.UserCover", "models.AlbumPhoto"}


@pytest.mark.usefixtures("users")
def test_a_file_that_is_missing_is_told_and_does_not_keep_the_others(images, run, session, store, new_store):
    store.delete(session.get_one(UserPicture, (2, 64, 48)))
    (part,) = images.migration("old", "new", UserPicture)
    result = run(part)
    assert (result["copied"], [failure["key"] for failure in result["failed"]]) == (6, [[2, 64, 48]])
    assert "ImageNotFoundError" in result["failed"][0]["error"]


@pytest.mark.usefixtures("users")
def test_a_store_that_fails_for_a_while_has_the_part_tried_again(images, run, new_store):
    (part,) = images.migration("old", "new", UserPicture)
    new_store.faults = 1
    with pytest.raises(Retry):
        run(part)
    assert run(part) == {"copied": 7, "failed": []}


@pytest.mark.usefixtures("users")
def test_a_file_that_fails_to_the_last_is_told_and_does_not_keep_the_others(images, run, new_store):
    (part,) = images.migration("old", "new", UserPicture)
    new_store.faults = 1
    result = run(part, retries=10)
    assert (result["copied"], [failure["key"] for failure in result["failed"]]) == (6, [[1, 64, 48]])


@pytest.fixture
def time_limit(monkeypatch) -> Iterator[Callable[[], None]]:
    """Has the soft time limit run out, as Celery does it: by a signal, in the middle of whatever the task does."""

    def run_out(*_: object) -> None:
        raise SoftTimeLimitExceeded

    former = signal.signal(signal.SIGUSR1, run_out)
    yield lambda: signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, former)


def test_the_soft_time_limit_is_no_outcome_of_what_it_interrupts():
    def interrupted() -> None:
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        outcome_of(interrupted)


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("part_of", ["migration", "thumbnails"])
def test_the_soft_time_limit_ends_a_task_which_is_tried_again_and_fails_no_image(
    images, run, store, new_store, session, time_limit, monkeypatch, part_of
):
    destination = new_store if part_of == "migration" else store
    (part,) = (
        images.migration("old", "new", UserPicture)
        if part_of == "migration"
        else images.make_thumbnails("old", UserPicture, widths=[16])
    )
    put_file, puts = destination.put_file, []

    def put(*args: Any, **kwargs: Any) -> None:
        puts.append(args)
        if len(puts) == 3:
            time_limit()
        put_file(*args, **kwargs)

    monkeypatch.setattr(destination, "put_file", put)
    with pytest.raises(Retry):
        run(part)
    assert run(part)["failed"] == []
    assert list(verify(session, UserPicture, destination)) == []


def test_a_database_that_is_away_for_a_while_has_the_task_tried_again(app, run, store, new_store, make_session):
    def away() -> Session:
        raise OperationalError("SELECT", None, Exception("it is being restarted"))

    images = ImageTasks(app, Base, away, {"store": store})
    part = app.tasks["sqlalchemy_imageattach.audit"]
    with pytest.raises(Retry):
        run(part.si(image_class="models.UserPicture", after=None, upto=None, store="store", probe=False))
    assert images


# Parts of an audit


@pytest.mark.usefixtures("users")
def test_the_parts_of_an_audit_tell_the_rows_that_do_not_agree(images, run, session, store):
    assert [run(part) for part in images.audit("old", UserPicture, size=3, probe=True)] == [[], [], []]
    store.delete(session.get_one(UserPicture, (5, 64, 48)))
    findings = [run(part) for part in images.audit("old", UserPicture, size=3)]
    assert [[(each["kind"], each["key"]) for each in part] for part in findings] == [[], [("missing", [5, 64, 48])], []]


# What is refused


def test_a_store_that_has_no_name_is_refused_before_anything_is_sent(images):
    with pytest.raises(KeyError, match="old, new"):
        images.migration("old", "elsewhere")
    with pytest.raises(KeyError, match="old, new"):
        images.audit("elsewhere")
    with pytest.raises(KeyError, match="old, new"):
        images.make_thumbnails("elsewhere", widths=[16])
    with pytest.raises(ValueError, match="at least one"):
        images.make_thumbnails("old")
    with pytest.raises(ValueError, match="two stores"):
        images.migration("old", "old")
    with pytest.raises(ValueError, match="size"):
        images.audit("old", size=0)
    with pytest.raises(TypeError, match="workers"):
        images.migration("old", "new", workers="2")


@pytest.mark.parametrize(
    "arguments", [(None, Base, Session), ("app", None, Session), ("app", Base, None), ("app", Base, Session, {"a": 1})]
)
def test_what_the_tasks_cannot_be_made_of_is_refused(app, arguments):
    with pytest.raises(TypeError):
        ImageTasks(app if arguments[0] else None, *arguments[1:])


def test_an_app_has_the_tasks_once(images, app):
    with pytest.raises(ValueError, match="already"):
        ImageTasks(app, Base, Session)


def test_a_worker_with_other_models_says_so(images, run, app):
    part = app.tasks["sqlalchemy_imageattach.audit"]
    with pytest.raises(LookupError, match=r"yourapp\.Picture"):
        run(part.si(image_class="yourapp.Picture", after=None, upto=None, store="old", probe=False))


def test_programs_that_ask_for_a_rebuilding_get_the_same_task(images):
    (part,) = images.rebuilding("old", UserPicture, widths=[16])
    (same,) = images.make_thumbnails("old", UserPicture, widths=[16])
    assert (part.task, part.kwargs) == (same.task, same.kwargs)
    assert part.task == "sqlalchemy_imageattach.rebuilding"
