"""Presets of variants that are made soon after the commit, by a task."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import PIL.Image
import pytest
from celery import Celery
from sqlalchemy import ForeignKey
from sqlalchemy.engine import URL, Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

import databases
from models import picture
from sqlalchemy_imageattach.bulk.thumbnails import make_thumbnails
from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.naming import original_of
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.http import HttpExposedStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.tasks import ImageTasks, enqueue
from sqlalchemy_imageattach.variants import Transform, Variants


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    portrait: Mapped[ImageSet[Portrait]] = image_attachment(
        "Portrait",
        variants={
            "card": Transform(width=32, height=20, fit="cover", preprocessed=True),
            "wide": Transform(width=48, format="webp"),
        },
    )


class Portrait(Base, Image):
    __tablename__ = "portrait"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    person: Mapped[Person] = relationship(back_populates="portrait")


@pytest.fixture
def engine(sqlite_url: URL) -> Iterator[Engine]:
    engine = databases.make_engine(sqlite_url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def files() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def store(files: MemoryStore) -> Store:
    return HttpExposedStore(files, "images", variants=Variants("a secret of the application"))


@pytest.fixture
def make_session(engine: Engine, store: Store) -> sessionmaker[Session]:
    return sessionmaker(engine, info={"image_store": store})


@pytest.fixture
def images(make_session: sessionmaker[Session], store: Store) -> Iterator[ImageTasks]:
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    yield ImageTasks(app, Base, make_session, {"store": store})
    app.close()


def sizes(files: MemoryStore) -> list[tuple[int, int, str]]:
    """Width, height and type of each variant that is there."""
    found = (file.key for file in files.list_files())
    return sorted((key.width, key.height, key.mimetype) for key in found if key is not None and original_of(key))


def attached(make_session: sessionmaker[Session]) -> int:
    with make_session() as session:
        session.add(person := Person())
        person.portrait.from_blob(picture(64, 48))
        session.commit()
        return person.id


def test_a_preprocessed_preset_is_made_after_the_commit_and_not_before(
    make_session: sessionmaker[Session], images: ImageTasks, files: MemoryStore
) -> None:
    with make_session() as session:
        session.add(person := Person())
        person.portrait.from_blob(picture(64, 48))
        session.flush()
        assert sizes(files) == []
        session.commit()
        assert sizes(files) == [(32, 20, "image/png")]
        card = person.portrait.variant("card")
        assert not card.prepare()
        with PIL.Image.open(io.BytesIO(card.make_blob())) as made:
            assert made.size == (32, 20)


def test_nothing_is_made_of_what_was_rolled_back(
    make_session: sessionmaker[Session], images: ImageTasks, files: MemoryStore
) -> None:
    with make_session() as session:
        session.add(person := Person())
        person.portrait.from_blob(picture(64, 48))
        session.flush()
        session.rollback()
    assert list(files.list_files()) == []


def test_a_replacement_has_its_presets_made(
    make_session: sessionmaker[Session], images: ImageTasks, files: MemoryStore
) -> None:
    key = attached(make_session)
    with make_session() as session:
        person = session.get_one(Person, key)
        # Of the same size, it takes over the row.
        person.portrait.from_blob(picture(64, 48, color=7))
        session.commit()
        assert sizes(files) == [(32, 20, "image/png")]
        assert not person.portrait.variant("card").prepare()


def test_a_thumbnail_has_no_presets(
    make_session: sessionmaker[Session], images: ImageTasks, files: MemoryStore
) -> None:
    key = attached(make_session)
    with make_session() as session:
        session.get_one(Person, key).portrait.generate_thumbnail(width=40)
        session.commit()
    assert sizes(files) == [(32, 20, "image/png")]


async def attach_and_commit(url: URL, store: Store) -> None:
    engine = databases.make_async_engine(url)
    async with AsyncSession(engine, info={"image_store": store}) as session:
        session.add(person := Person())
        await person.portrait.afrom_blob(picture(64, 48))
        await session.commit()
    await engine.dispose()


def test_what_an_async_session_commits_is_preprocessed(
    engine: Engine, sqlite_url: URL, store: Store, images: ImageTasks, files: MemoryStore
) -> None:
    asyncio.run(attach_and_commit(sqlite_url.set(drivername="sqlite+aiosqlite"), store))
    assert sizes(files) == [(32, 20, "image/png")]


def test_presets_may_be_asked_for_by_name(
    make_session: sessionmaker[Session], images: ImageTasks, files: MemoryStore
) -> None:
    key = attached(make_session)
    with make_session() as session:
        original = session.get_one(Person, key).portrait.require_original()
        enqueue(session, images.variants(original, ["wide"]))
        session.commit()
        assert sizes(files) == [(32, 20, "image/png"), (48, 36, "image/webp")]
        assert images.variants(original).delay().get() == []
        assert images.variants(original, ["card", "wide"]).delay().get() == []
        with pytest.raises(ValueError, match="expected the name of a preset, got 'large'; there are card, wide"):
            images.variants(original, ["large"])
        with pytest.raises(TypeError, match="expected a list of names"):
            images.variants(original, "card")
        with pytest.raises(ValueError, match="flush its session before"):
            images.variants(Portrait(), ["card"])
        late = images.variants(original, ["card"])
        session.delete(original)
        session.commit()
    assert late.delay().get() == []


def test_presets_are_made_of_all_rows(make_session: sessionmaker[Session], store: Store, files: MemoryStore) -> None:
    for _ in range(3):
        attached(make_session)
    with make_session() as session:
        made = list(make_thumbnails(session, Base, store, presets=["card", "wide"], workers=2))
        assert [len(each.variants) for each in made] == [2, 2, 2]
        assert [each.thumbnails for each in made] == [[], [], []]
        assert len(sizes(files)) == 6
        (_, thumbnails), *_ = again = list(make_thumbnails(session, Base, store, widths=[16], presets=["card"]))
        assert [image.size for image in thumbnails] == [(16, 12)]
        assert [list(each.variants) for each in again] == [[], [], []]


def test_an_original_that_does_not_decode_keeps_no_other_from_its_presets(
    make_session: sessionmaker[Session], store: Store, files: MemoryStore
) -> None:
    attached(make_session)
    with make_session() as session:
        session.add(person := Person())
        person.portrait.from_raw_file(io.BytesIO(b"no image"), size=(64, 48), mimetype="image/png")
        session.commit()
    attached(make_session)
    failed: list[Exception] = []
    with make_session() as session:
        for _ in make_thumbnails(session, Base, store, presets=["card"], on_error=lambda _, why: failed.append(why)):
            pass
    assert [type(error) for error in failed] == [InvalidImageError]
    assert sizes(files) == [(32, 20, "image/png")] * 2


def test_the_tasks_of_a_rebuilding_take_presets(
    make_session: sessionmaker[Session], images: ImageTasks, files: MemoryStore
) -> None:
    for _ in range(3):
        attached(make_session)
    parts = list(images.make_thumbnails("store", presets=["wide"], size=2))
    assert [part.delay().get() for part in parts] == [{"made": 2, "failed": []}, {"made": 1, "failed": []}]
    assert [size for size in sizes(files) if size[0] == 48] == [(48, 36, "image/webp")] * 3


def test_presets_that_cannot_be_made_are_refused_at_once(
    make_session: sessionmaker[Session], images: ImageTasks, store: Store, files: MemoryStore
) -> None:
    with make_session() as session:
        with pytest.raises(
            ValueError, match=r"got 'large'; image_attachment\(variants=\.\.\.\) declares 'card', 'wide'"
        ):
            make_thumbnails(session, Base, store, presets=["large"])
        with pytest.raises(ValueError, match="expected a store that makes variants"):
            make_thumbnails(session, Base, files, presets=["card"])
        with pytest.raises(TypeError, match="expected presets to be a list of names"):
            make_thumbnails(session, Base, store, presets="card")
    with pytest.raises(ValueError, match="got 'large'"):
        images.make_thumbnails("store", presets=["large"])
