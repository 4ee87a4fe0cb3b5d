"""Making thumbnails of all originals that there are."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.engine import URL, Engine
from sqlalchemy.orm import Session

import databases
from models import Album, AlbumPhoto, Base, User, UserCover, UserPicture, picture, rows, stored
from sqlalchemy_imageattach.bulk.thumbnails import drop_thumbnails, make_thumbnails, maker, making
from sqlalchemy_imageattach.exc import ImageNotFoundError, InvalidImageError, StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore

USERS = 4
PHOTOS = 3


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def sqlite(sqlite_url: URL) -> Iterator[Engine]:
    """The database of tests that are not about databases."""
    engine = databases.make_engine(sqlite_url)
    yield engine
    engine.dispose()


def fill(engine: Engine, store: MemoryStore) -> None:
    """Users with a picture each, and an album of photos."""
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        for number in range(1, USERS + 1):
            session.add(user := User(id=number))
            user.picture.from_blob(picture(color=number))
        session.add(album := Album(id=1))
        for position in range(PHOTOS):
            album.photos.get_image_set(position=position).from_blob(picture(80, 40, color=position))
        session.commit()


@pytest.fixture
def session(sqlite: Engine, store: MemoryStore) -> Iterator[Session]:
    fill(sqlite, store)
    with Session(sqlite) as session:
        yield session


def sizes(session: Session) -> dict[tuple[str, int], set[tuple[int, int]]]:
    """Which sizes there are of each original, after checking that rows and files agree."""
    session.rollback()
    found: dict[tuple[str, int], set[tuple[int, int]]] = {}
    for key in rows(session):
        found.setdefault((key.object_type, key.object_id), set()).add((key.width, key.height))
    session.rollback()
    return found


def test_every_original_of_every_class_gets_every_size(engine: Engine, store: MemoryStore) -> None:
    fill(engine, store)
    with Session(engine) as session:
        made = list(make_thumbnails(session, Base, store, widths=[32], heights=[12], ratios=[2], workers=2))
        assert [len(thumbnails) for _, thumbnails in made] == [3] * (USERS + PHOTOS)
        assert [type(original) for original, _ in made] == [AlbumPhoto] * PHOTOS + [UserPicture] * USERS
        pictures = {
            ("user-picture", number): {(64, 48), (32, 24), (16, 12), (128, 96)} for number in range(1, USERS + 1)
        }
        photos = {("album-photo", 1000 + n): {(80, 40), (32, 16), (24, 12), (160, 80)} for n in range(PHOTOS)}
        assert sizes(session) == pictures | photos
        assert rows(session) == set(stored(store))


def test_thumbnails_are_those_that_an_application_makes(session: Session, store: MemoryStore) -> None:
    list(make_thumbnails(session, Base, store, widths=[32]))
    session.info["image_store"] = store
    user = session.get_one(User, 1)
    made = user.picture.find_thumbnail(width=32)
    photo = session.get_one(Album, 1).photos.get_image_set(position=2).find_thumbnail(width=32)
    assert (photo.size, photo.original, photo.mimetype) == ((32, 16), False, "image/png")
    blob = made.make_blob()
    session.delete(made)
    session.commit()
    assert session.get_one(User, 1).picture.generate_thumbnail(width=32).make_blob() == blob


def test_one_class_is_made(session: Session, store: MemoryStore) -> None:
    made = list(make_thumbnails(session, UserPicture, store, widths=[32]))
    assert {type(original) for original, _ in made} == {UserPicture}
    assert len(made) == USERS


@pytest.mark.parametrize("only_missing", [True, False])
def test_what_is_there_is_left_alone_or_made_anew(engine: Engine, store: MemoryStore, only_missing: bool) -> None:
    fill(engine, store)
    with Session(engine, info={"image_store": store}) as session:
        session.get_one(User, 2).picture.generate_thumbnail(width=32)
        session.commit()
        before = rows(session)
        session.commit()
        made = list(make_thumbnails(session, UserPicture, store, widths=[32], only_missing=only_missing))
        assert [len(thumbnails) for _, thumbnails in made] == [1, 0 if only_missing else 1, 1, 1]
        # What is made anew has another name, and the former file is gone.
        gone = before - rows(session)
        assert {key.object_id for key in gone} == (set() if only_missing else {2})
        assert rows(session) == set(stored(store))


def test_a_size_that_is_the_originals_is_not_made(session: Session, store: MemoryStore) -> None:
    assert [thumbnails for _, thumbnails in make_thumbnails(session, UserPicture, store, widths=[64], ratios=[1])] == [
        []
    ] * USERS
    assert sizes(session)["user-picture", 1] == {(64, 48)}


def test_two_wishes_of_one_size_are_made_once(session: Session, store: MemoryStore) -> None:
    made = make_thumbnails(session, UserPicture, store, widths=[32], heights=[24], ratios=[0.5])
    assert [len(thumbnails) for _, thumbnails in made] == [1] * USERS


def test_what_the_original_library_made_a_pixel_smaller_is_replaced(session: Session, store: MemoryStore) -> None:
    with Session(session.get_bind(), info={"image_store": store}) as other:
        user = other.get_one(User, 1)
        user.picture.from_raw_file(io.BytesIO(picture(30, 22)), original=False)
        other.commit()
        # Stored by the original library, it and its original have no revision.
        for image in list(user.picture):
            key = FileKey.of(image)
            with store.get_key(key) as file:
                store.put_key(file, key._replace(revision=None), not image.original)
            store.delete_key(key)
        other.execute(update(UserPicture).where(UserPicture.user_id == 1).values(revision=None))
        other.commit()
    first, *_ = make_thumbnails(session, UserPicture, store, widths=[30], only_missing=True)
    assert first.thumbnails == []
    list(make_thumbnails(session, UserPicture, store, widths=[30]))
    assert sizes(session)["user-picture", 1] == {(64, 48), (30, 23)}
    assert rows(session) == set(stored(store))


# Queries, locks and memory


@pytest.fixture
def statements(sqlite: Engine) -> list[str]:
    executed: list[str] = []
    event.listen(sqlite, "before_cursor_execute", lambda _, __, statement, *___: executed.append(statement))
    return executed


def test_images_that_have_all_sizes_cost_no_query_each(
    session: Session, store: MemoryStore, statements: list[str]
) -> None:
    list(make_thumbnails(session, Base, store, widths=[32]))
    statements.clear()
    list(make_thumbnails(session, Base, store, widths=[32], only_missing=True))
    # Of each class that has images, a batch and the end of it, the keys of owners, these, and the other images; one
    # class is empty.
    queries = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(queries) == 2 * 5 + 1


def test_an_album_is_not_loaded_for_some_of_its_photos(
    session: Session, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maker, "LOOK_AT", 1)
    loaded: list[int] = []

    def listen(photo: AlbumPhoto, _: object) -> None:
        loaded.append(photo.position)

    event.listen(AlbumPhoto, "load", listen)
    try:
        list(make_thumbnails(session, AlbumPhoto, store, widths=[32], only_missing=True))
    finally:
        event.remove(AlbumPhoto, "load", listen)
    # As one of a batch, to see what it has, and to be given its thumbnail.
    assert sorted(loaded) == sorted([*range(PHOTOS)] * 3)


def test_nothing_is_locked_while_an_original_is_decoded(sqlite: Engine) -> None:
    class Watching(MemoryStore):
        """A store that writes to the database while it is read, as who would have to wait for a lock."""

        is_watching = False

        def get_key(self, key: FileKey) -> IO[bytes]:
            if self.is_watching:
                with Session(sqlite) as other:
                    other.execute(update(User).values(name="written"))
                    other.commit()
            return super().get_key(key)

    fill(sqlite, store := Watching())
    store.is_watching = True
    with Session(sqlite) as session:
        made = list(make_thumbnails(session, UserPicture, store, widths=[32]))
    assert [len(thumbnails) for _, thumbnails in made] == [1] * USERS


# What goes wrong


def test_errors_are_reported_and_the_others_made(session: Session, store: MemoryStore) -> None:
    with Session(session.get_bind()) as other:
        lost, damaged = (FileKey.of(other.get_one(UserPicture, (number, 64, 48))) for number in (1, 3))
    store.delete_key(lost)
    store.put_key(io.BytesIO(picture()[:-20]), damaged, False)
    failures: list[tuple[FileKey, type[Exception]]] = []
    made = make_thumbnails(
        session,
        UserPicture,
        store,
        widths=[32, 16],
        workers=2,
        on_error=lambda image, error: failures.append((FileKey.of(image), type(error))),
    )
    assert [len(thumbnails) for _, thumbnails in made] == [0, 2, 0, 2]
    assert failures == [(lost, ImageNotFoundError), (damaged, InvalidImageError)]


def test_one_size_that_is_too_large_keeps_no_other_from_being_made(session: Session, store: MemoryStore) -> None:
    failures: list[Exception] = []
    made = make_thumbnails(
        session, UserPicture, store, widths=[100_000, 32], on_error=lambda _, error: failures.append(error)
    )
    assert [[thumbnail.size for thumbnail in thumbnails] for _, thumbnails in made] == [[(32, 24)]] * USERS
    assert len(failures) == USERS


def test_without_a_callback_the_first_error_is_raised_and_names_the_image(session: Session, store: MemoryStore) -> None:
    with Session(session.get_bind()) as other:
        lost = FileKey.of(other.get_one(UserPicture, (2, 64, 48)))
    store.delete_key(lost)
    with pytest.raises(ImageNotFoundError) as caught:
        list(make_thumbnails(session, UserPicture, store, widths=[32]))
    assert str(tuple(lost)) in caught.value.__notes__[0]


class Refusing(MemoryStore):
    """A store that does not take what belongs to one user."""

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        if reproducible and key.object_id == 3:
            raise StoreError("refused")
        super().put_key(file, key, reproducible)


def test_a_thumbnail_that_cannot_be_stored_keeps_no_other_from_it(engine: Engine) -> None:
    fill(engine, store := Refusing())
    failures: list[int] = []
    with Session(engine) as session:
        made = make_thumbnails(
            session, UserPicture, store, widths=[32], on_error=lambda image, _: failures.append(image.object_id)
        )
        assert [len(thumbnails) for _, thumbnails in made] == [1, 1, 0, 1]
        assert failures == [3]
        assert rows(session) == set(stored(store))


def replace(session: Session) -> None:
    session.get_one(User, 2).picture.from_blob(picture(color=99))


def remove(session: Session) -> None:
    session.delete(session.get_one(User, 2))


@pytest.mark.parametrize("change", [replace, remove])
def test_an_original_that_is_replaced_or_removed_while_it_is_decoded_is_no_error(
    engine: Engine, change: Callable[[Session], None]
) -> None:
    class Meanwhile(MemoryStore):
        happens: Any = None

        def get_key(self, key: FileKey) -> IO[bytes]:
            file = super().get_key(key)
            if self.happens is not None and key.object_id == 2:
                happens, self.happens = self.happens, None
                happens()
            return file

    fill(engine, store := Meanwhile())

    def happens() -> None:
        with Session(engine, info={"image_store": store}) as other:
            change(other)
            other.commit()

    store.happens = happens
    with Session(engine) as session:
        made = list(make_thumbnails(session, UserPicture, store, widths=[32]))
        assert [len(thumbnails) for _, thumbnails in made] == [1, 0, 1, 1]
        assert rows(session) == set(stored(store))


def test_two_at_once_make_each_size_once(engine: Engine, store: MemoryStore) -> None:
    fill(engine, store)
    with Session(engine) as session, Session(engine) as other:
        first = make_thumbnails(session, UserPicture, store, widths=[32], only_missing=True)
        next(first)
        assert sum(len(made.thumbnails) for made in make_thumbnails(other, UserPicture, store, widths=[32])) == USERS
        list(first)
        assert rows(session) == set(stored(store))
        session.rollback()
        assert session.query(UserPicture).filter_by(original=False).count() == USERS


# Going on


def test_it_goes_on_from_its_checkpoint(session: Session, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_COMMIT_AT", 1)
    places: dict[str, Any] = {}
    begun = make_thumbnails(session, Base, store, widths=[32], checkpoint=places)
    first = [FileKey.of(next(begun).original) for _ in range(4)]
    begun.close()  # type: ignore[attr-defined]
    places = json.loads(json.dumps(places))
    rest = [FileKey.of(made.original) for made in make_thumbnails(session, Base, store, widths=[32], checkpoint=places)]
    assert len({*first, *rest}) == len(first) + len(rest) == USERS + PHOTOS


def test_wrong_arguments_are_refused_at_once(session: Session, store: MemoryStore) -> None:
    for arguments, options in [
        ((None, Base, store), {"widths": [32]}),
        ((session, User, store), {"widths": [32]}),
        ((session, Base, None), {"widths": [32]}),
        ((session, Base, store), {"widths": ["32"]}),
        ((session, Base, store), {"widths": [32], "workers": "2"}),
        ((session, Base, store), {"widths": [32], "on_error": []}),
        ((session, Base, store), {"widths": [32], "checkpoint": 1}),
    ]:
        with pytest.raises(TypeError):
            make_thumbnails(*arguments, **options)  # type: ignore[arg-type]
    for options in ({}, {"widths": [0]}, {"ratios": [-1.0]}, {"widths": [32], "workers": 0}):
        with pytest.raises(ValueError, match=r"expected|must be"):
            make_thumbnails(session, Base, store, **options)  # type: ignore[arg-type]
    session.begin()
    with pytest.raises(ValueError, match="without a transaction"):
        make_thumbnails(session, Base, store, widths=[32])


def test_a_model_without_revisions_has_its_thumbnails_overwritten(engine: Engine, store: MemoryStore) -> None:
    fill(engine, store)
    with Session(engine, info={"image_store": store}) as session:
        session.get_one(User, 1).cover.from_blob(picture(100, 50))
        session.commit()
        for _ in range(2):
            (made,) = make_thumbnails(session, UserCover, store, widths=[50])
            assert [image.size for image in made.thumbnails] == [(50, 25)]
        assert rows(session) == set(stored(store))


# Dropping a size


def test_a_size_that_is_dropped_is_gone_with_its_files_and_originals_stay(engine: Engine, store: MemoryStore) -> None:
    fill(engine, store)
    with Session(engine) as session:
        originals = stored(store)
        list(make_thumbnails(session, Base, store, widths=[16, 24], heights=[20]))
        left = {key: content for key, content in stored(store).items() if key and key.width == 24}
        # Originals are as wide as 64 and 80.
        dropped = drop_thumbnails(session, Base, store, widths=[16, 64, 80], heights=[20])
        assert dropped == 2 * (USERS + PHOTOS)
        assert stored(store) == originals | left
        assert rows(session) == set(stored(store))


def test_what_is_no_size_to_drop_is_refused(session: Session, store: MemoryStore) -> None:
    for sizes, error in (({}, ValueError), ({"widths": [0]}, ValueError), ({"heights": ["80"]}, TypeError)):
        with pytest.raises(error):
            drop_thumbnails(session, Base, store, **sizes)  # type: ignore[arg-type]
    session.connection()
    with pytest.raises(ValueError, match="without a transaction"):
        drop_thumbnails(session, Base, store, widths=[80])
