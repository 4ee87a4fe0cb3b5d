"""An album finds each of its photos in an index, which says just what a look at every image would."""

from __future__ import annotations

import io
import pickle
import unicodedata

import pytest
from sqlalchemy import ForeignKey, String, create_engine, event, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    make_transient,
    mapped_column,
    object_session,
)

from models import Album, AlbumPhoto, picture
from sqlalchemy_imageattach.entity import Image, image_attachment

RED, GREEN, TINY = picture(color=255), picture(color=255 << 8), picture(8, 6)


@pytest.fixture
def album(session, context):
    """An album of four photos with a thumbnail each, all of them looked up before."""
    session.add(album := Album())
    for position in range(4):
        photo = album.photos.get_image_set(position=position)
        photo.from_blob(RED)
        photo.from_raw_file(io.BytesIO(TINY), size=(8, 6), mimetype="image/png", original=False)
    session.commit()
    look_up(album.photos)
    return album


def look_up(photos):
    """What the index says: the images by position."""
    return {position: list(photos.get_image_set(position=position)) for position in range(8)}


def look_at_each(photos):
    """What is so."""
    images = list(photos)
    return {position: [image for image in images if image.position == position] for position in range(8)}


def at(album, position, width=64):
    return next(image for image in album.photos if (image.position, image.width) == (position, width))


def attach(session, album):
    album.photos.get_image_set(position=5).from_blob(GREEN)


def replace(session, album):
    album.photos.get_image_set(position=2).from_blob(GREEN)


def remove(session, album):
    album.photos.remove(at(album, 2))


def delete(session, album):
    session.delete(at(album, 2))
    session.commit()


def move_to_another_album(session, album):
    session.add(other := Album())
    other.photos.append(at(album, 2))
    album.photos.remove(at(album, 2))


def empty(session, album):
    album.photos = []


def change_a_key(session, album):
    at(album, 2).position = 5


def change_a_key_to_a_position_that_is_taken(session, album):
    at(album, 2, width=8).position = 3


def change_a_key_and_flush(session, album):
    change_a_key(session, album)
    session.flush()


def change_a_key_and_refresh(session, album):
    change_a_key(session, album)
    look_up(album.photos)
    with session.no_autoflush:
        session.refresh(at(album, 5))


def change_a_key_and_load_it_anew(session, album):
    change_a_key(session, album)
    look_up(album.photos)
    with session.no_autoflush:
        session.query(AlbumPhoto).populate_existing().all()


def change_a_key_and_roll_back(session, album):
    change_a_key(session, album)
    look_up(album.photos)
    session.rollback()


def change_a_key_and_roll_back_to_a_savepoint(session, album):
    savepoint = session.begin_nested()
    change_a_key(session, album)
    session.flush()
    look_up(album.photos)
    savepoint.rollback()


def change_a_key_in_sql(session, album):
    session.execute(update(AlbumPhoto).where(AlbumPhoto.position == 2).values(position=6))


def delete_a_key_and_set_another(session, album):
    image = at(album, 2)
    make_transient(image)
    del image.position
    look_up(album.photos)
    image.position = 5


def set_a_key_that_was_not_known(session, album):
    album.photos.append(image := AlbumPhoto(album_id=album.id, width=1, height=1))
    look_up(album.photos)
    image.position = 5


def expire(session, album):
    session.expire_all()


def commit(session, album):
    replace(session, album)
    session.commit()


@pytest.mark.parametrize(
    "change",
    [
        attach,
        replace,
        remove,
        delete,
        move_to_another_album,
        empty,
        change_a_key,
        change_a_key_to_a_position_that_is_taken,
        change_a_key_and_flush,
        change_a_key_and_refresh,
        change_a_key_and_load_it_anew,
        change_a_key_and_roll_back,
        change_a_key_and_roll_back_to_a_savepoint,
        change_a_key_in_sql,
        delete_a_key_and_set_another,
        set_a_key_that_was_not_known,
        expire,
        commit,
    ],
)
def test_the_index_follows_every_change(session, album, change):
    photos = album.photos
    change(session, album)
    with session.no_autoflush:
        assert look_up(album.photos) == look_at_each(album.photos)
        assert look_up(photos) == look_at_each(album.photos), "the album's former collection is not its own any more"


def test_the_index_follows_a_change_of_a_copy_that_was_pickled(album):
    copied = pickle.loads(pickle.dumps(album))
    copied.photos.get_image_set(position=2).require_original().position = 5
    assert look_up(copied.photos) == look_at_each(copied.photos)
    assert copied.photos.get_image_set(position=5).original is not None


@pytest.mark.parametrize("value", [[2], None, "2", 2.0])
def test_a_value_that_no_key_can_have_is_refused(album, value):
    with pytest.raises(TypeError, match="expected an integer as position"):
        album.photos.get_image_set(position=value)


class Counted(int):
    """A number that counts how often it is compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_images_of_other_sets_are_not_looked_at(album, monkeypatch):
    monkeypatch.setattr(Counted, "comparisons", 0)
    assert len(list(album.photos.get_image_set(position=Counted(2)))) == 2
    assert Counted.comparisons < len(album.photos)


def compare_letters(one: str, other: str) -> int:
    """As servers compare texts that neither mind case nor accents."""
    first, second = ("".join(filter(str.isalpha, unicodedata.normalize("NFKD", text))).lower() for text in (one, other))
    return (first > second) - (first < second)


@pytest.fixture
def page(store):
    """An entity whose images are told apart by names of which the database sees the letters; there are many of them."""

    class Base(DeclarativeBase):
        pass

    class Page(Base):
        __tablename__ = "page"
        id: Mapped[int] = mapped_column(primary_key=True)
        sides = image_attachment("Side", uselist=True)

    class Side(Base, Image):
        __tablename__ = "side"
        page_id: Mapped[int] = mapped_column(ForeignKey("page.id"), primary_key=True)
        name: Mapped[str] = mapped_column(String(20, collation="LETTERS"), primary_key=True)
        code: Mapped[str] = mapped_column(String(20), primary_key=True)

        @property
        def object_id(self):
            return int.from_bytes(f"{self.name} {self.code}".encode())

    engine = create_engine("sqlite://")
    event.listen(engine, "connect", lambda connection, _: connection.create_collation("LETTERS", compare_letters))
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        page = Page()
        session.add(page)
        for number in range(6):
            page.sides.get_image_set(name="front", code=f"a{number}").from_blob(picture())
        session.commit()
        yield page
    engine.dispose()


@pytest.mark.parametrize("name", ["FRONT", "front ", "frönt"])
def test_a_key_that_is_the_same_to_the_database_names_the_same_image_set(page, store, name):
    same = page.sides.get_image_set(name=name, code="a3")
    assert same.original is page.sides.get_image_set(name="front", code="a3").original
    same.from_blob(picture(color=5))
    object_session(page).commit()
    assert len(list(page.sides.image_sets)) == len(list(store.list_files())) == 6


def test_a_key_in_which_the_database_minds_case_names_another_image_set(page):
    assert page.sides.get_image_set(name="front", code="A3").original is None
