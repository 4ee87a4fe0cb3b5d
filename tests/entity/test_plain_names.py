"""A store with just the guide's methods and a model without a revision keep the promise too: old bytes are put back."""

from __future__ import annotations

import io

import pytest
from sqlalchemy.orm import Session

from models import User, UserCover, UserPicture, picture
from sqlalchemy_imageattach.store import Store
from sqlalchemy_imageattach.stores.fs import FileSystemStore

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)
SMALL = picture(32, 24)

every_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


class Place:
    """A set whose files have plain names, and what its store holds."""

    def __init__(self, session: Session, user: User, attribute: str, store: Store) -> None:
        self.session, self.user, self.attribute, self.store = session, user, attribute, store
        session.info["image_store"] = store

    @property
    def images(self):
        return getattr(self.user, self.attribute)

    @property
    def image_class(self):
        return UserPicture if self.attribute == "picture" else UserCover

    def blobs(self) -> list[bytes]:
        """What the rows name; it has to be all that the store holds."""
        self.session.expire_all()
        blobs = sorted(image.make_blob() for image in self.session.query(self.image_class))
        if isinstance(self.store, FileSystemStore):
            assert len(list(self.store.list_files())) == len(blobs)
        else:
            assert sorted(self.store.files.values()) == blobs
        return blobs


@pytest.fixture(params=["own store", "own store, no revision", "no revision"])
def place(request, session, user, own_store, tmp_path):
    attribute = "picture" if request.param == "own store" else "cover"
    store = (
        FileSystemStore(str(tmp_path / "images"), "https://example.com/") if request.param == "no revision" else None
    )
    return Place(session, user, attribute, store or own_store)


@pytest.fixture
def images(place):
    """The set, with a red picture that is committed."""
    place.images.from_blob(RED)
    place.session.commit()
    return place.images


def test_what_is_attached_has_a_plain_name(place, images):
    image = images.original
    assert image.revision is None
    assert image.make_blob() == images.make_blob() == RED
    identity = place.user.id
    path = f"user-{place.attribute}/{identity}/64x48?type=image/png&_ts="
    if isinstance(place.store, FileSystemStore):
        path = f"user-{place.attribute}/{identity}/0/{identity}.64x48.png?_ts="
    assert path in images.locate()


@every_database
def test_a_commit_replaces_in_place(place, images):
    images.from_blob(GREEN)
    place.session.commit()
    assert place.blobs() == [GREEN]
    images.from_blob(SMALL)
    place.session.commit()
    assert place.blobs() == [SMALL]


@every_database
@pytest.mark.parametrize("new", [GREEN, SMALL], ids=["same size", "other size"])
def test_a_rollback_puts_the_old_bytes_back(place, images, new):
    images.from_blob(new)
    place.session.flush()
    assert images.make_blob() == new
    place.session.rollback()
    assert place.blobs() == [RED]


def test_a_close_puts_the_old_bytes_back(place, images):
    images.from_blob(GREEN)
    place.session.flush()
    place.session.close()
    assert place.blobs() == [RED]


def test_what_was_replaced_twice_is_put_back_to_what_it_was_first(place, images):
    for blob in (GREEN, BLUE):
        images.from_blob(blob)
        place.session.flush()
    place.session.rollback()
    assert place.blobs() == [RED]


@every_database
def test_a_savepoint_that_is_rolled_back_puts_back_what_was_there_before_it(place, images):
    images.from_blob(GREEN)
    place.session.flush()
    with place.session.begin_nested() as savepoint:
        images.from_blob(BLUE)
        place.session.flush()
        savepoint.rollback()
    assert images.make_blob() == GREEN
    place.session.commit()
    assert place.blobs() == [GREEN]


@every_database
def test_a_savepoint_that_is_released_is_put_back_by_the_rollback_around_it(place, images):
    with place.session.begin_nested():
        images.from_blob(GREEN)
    assert images.make_blob() == GREEN
    place.session.rollback()
    assert place.blobs() == [RED]


def test_a_deletion_waits_for_the_commit(place, images):
    for image in images:
        images.remove(image)
    place.session.flush()
    assert len(_held(place.store)) == 1
    place.session.rollback()
    assert place.blobs() == [RED]
    place.session.delete(place.user)
    place.session.commit()
    assert _held(place.store) == []


def test_deleting_and_attaching_again_in_one_transaction_keeps_the_new_bytes(place, images):
    for image in images:
        images.remove(image)
    place.session.flush()
    images.from_blob(GREEN)
    place.session.commit()
    assert place.blobs() == [GREEN]


def test_attaching_and_deleting_in_one_transaction_leaves_nothing(place):
    place.images.from_blob(RED)
    place.session.flush()
    for image in place.images:
        place.images.remove(image)
    place.session.commit()
    assert _held(place.store) == []


def test_thumbnails_come_and_go_with_their_original(place, images):
    thumbnail = images.generate_thumbnail(width=8)
    place.session.commit()
    assert len(place.blobs()) == 2
    assert images.generate_thumbnail(width=8) is thumbnail
    images.from_blob(GREEN)
    place.session.commit()
    assert place.blobs() == [GREEN]


def test_a_thumbnail_that_is_rolled_back_is_gone(place, images):
    images.generate_thumbnail(width=8)
    place.session.flush()
    place.session.rollback()
    assert place.blobs() == [RED]
    assert images.generate_thumbnail(width=8).make_blob()


def test_a_store_that_cannot_delete_does_not_undo_the_commit(place, images, monkeypatch, caplog):
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is read-only")

    with monkeypatch.context() as patch:
        patch.setattr(place.store, "delete_file", refuse)
        images.from_blob(SMALL)
        place.session.commit()
    assert images.make_blob() == SMALL
    assert "could not delete" in caplog.text


def _held(store: Store) -> list[object]:
    return list(store.list_files()) if isinstance(store, FileSystemStore) else list(store.files)


def test_a_model_changes_over_to_revisions_with_its_next_picture(session, user, store):
    session.info["image_store"] = store
    user.picture.from_raw_file(io.BytesIO(RED))
    user.picture.original.revision = None
    session.commit()
    assert [file.key.revision for file in store.list_files()] == [None]
    user.picture.from_blob(GREEN)
    session.commit()
    assert [file.key.revision for file in store.list_files()] == [user.picture.original.revision] != [None]
    assert user.picture.make_blob() == GREEN
