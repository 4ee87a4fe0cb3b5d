"""Rows and files agree, however a transaction ends."""

from __future__ import annotations

import gc
import io
import logging
import os
import threading

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

from models import Album, User, UserPicture, picture, stored
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity.sqlalchemy_internals import savepoints_of
from sqlalchemy_imageattach.exc import ContextError, InvalidImageError, StoreError
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.transactions import FailedDelete
from sqlalchemy_imageattach.transactions.entries import undo_abandoned
from sqlalchemy_imageattach.transactions.ledger import ledger_of

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)
SMALL, JPEG = picture(8, 6), picture(format="JPEG")

# SQLite lets nobody commit while another transaction reads.
on_servers = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)


@pytest.fixture
def user(session: Session, user: User) -> User:
    """A user with a red picture, committed."""
    user.picture.from_blob(RED)
    session.commit()
    return user


@pytest.fixture
def user_id(session: Session, user: User) -> int:
    """The key of that user, whose session is out of the way."""
    identity = user.id
    session.close()
    return identity


# Replacing


def test_a_commit_keeps_the_new_file_and_deletes_the_old_one(session, user, agree):
    user.picture.from_blob(GREEN)
    session.commit()
    agree(GREEN)


@pytest.mark.parametrize("new", [GREEN, SMALL], ids=["of the same size", "of another size"])
def test_a_replacement_that_is_rolled_back_leaves_the_old_row_and_its_bytes(session, user, agree, new):
    user.picture.from_blob(new)
    session.flush()
    session.rollback()
    agree(RED)
    assert user.picture.make_blob() == RED


def test_nothing_is_deleted_before_the_commit(session, user, store):
    user.picture.from_blob(GREEN)
    session.flush()
    assert sorted(stored(store).values()) == sorted([RED, GREEN])


def test_what_was_not_loaded_is_replaced_too_of_two_users_at_once(make_session, agree):
    session = make_session(expire_on_commit=False)
    session.add_all(users := [User(name="one"), User(name="another")])
    for user in users:
        user.picture.from_blob(RED)
    session.commit()
    for user in users:
        session.expire(user)
        assert len(user.picture) == 1
    session.commit()
    with make_session() as another:
        another.get(User, users[0].id).picture.generate_thumbnail(width=8)
        another.commit()
    for user, new in zip(users, (GREEN, BLUE), strict=True):
        user.picture.from_blob(new)
    session.commit()
    agree(GREEN, BLUE)


def test_a_replacement_takes_the_thumbnails_along(session, user, agree):
    user.picture.generate_thumbnail(width=8)
    session.commit()
    user.picture.from_blob(GREEN)
    session.commit()
    agree(GREEN)


def test_a_size_of_before_can_be_made_again_after_a_replacement_in_the_same_transaction(session, user, store):
    user.picture.generate_thumbnail(width=8)
    session.commit()
    user.picture.from_blob(GREEN)
    session.flush()
    user.picture.generate_thumbnail(width=8)
    session.commit()
    assert len(stored(store)) == session.query(UserPicture).count() == 2


def test_what_is_attached_twice_before_the_first_flush_is_stored_once(session, agree):
    user = User()
    session.add(user)
    user.picture.from_blob(RED)
    user.picture.from_blob(GREEN)
    session.commit()
    agree(GREEN)


@pytest.mark.parametrize("new", [BLUE, SMALL], ids=["of the same size", "of another size"])
def test_of_two_pictures_that_are_attached_around_an_expiration_the_last_one_stays(session, user, agree, new):
    with session.no_autoflush:
        user.picture.from_blob(GREEN)
        user.picture.generate_thumbnail(width=4)
        session.expire_all()
        user.picture.from_blob(new)
    session.commit()
    agree(new)


def test_a_picture_replaced_over_and_over_in_one_transaction_leaves_one_file(session, user, agree):
    for color in range(5):
        user.picture.from_blob(picture(color=color))
        session.flush()
    session.commit()
    agree(picture(color=4))


def test_an_image_replaces_the_picture_of_its_owner_though_that_is_another_object_now(session, user, agree):
    image = user.picture.from_blob(GREEN)
    session.expunge(user)
    again = session.get(User, user.id)
    again.picture.append(image)
    session.commit()
    agree(GREEN)


def test_an_image_replaces_the_picture_of_the_owner_that_it_was_handed_to(session, user, agree):
    other = User()
    session.add(other)
    other.picture.from_blob(BLUE)
    session.commit()
    image = user.picture.from_blob(SMALL)
    user.picture.remove(image)
    other.picture.append(image)
    session.commit()
    agree(SMALL)


def test_what_an_image_replaced_is_out_of_the_attribute_after_the_flush(session, user):
    image = user.picture.from_blob(GREEN)
    session.rollback()
    assert user.picture.original
    user.picture.append(image)
    session.flush()
    assert list(user.picture) == [image]


def test_removing_an_image_deletes_its_file_after_the_commit(session, user, agree):
    user.picture.remove(user.picture.original)
    session.flush()
    agree(RED)
    session.commit()
    agree()


def test_deleting_the_owner_deletes_the_files(session, user, agree):
    user.picture.generate_thumbnail(width=8)
    session.commit()
    session.delete(user)
    session.commit()
    agree()


def test_what_is_attached_flushed_and_deleted_in_one_transaction_leaves_nothing(session, agree):
    user = User()
    session.add(user)
    user.picture.from_blob(RED)
    session.flush()
    session.delete(user)
    session.commit()
    agree()


def test_deleting_a_picture_and_attaching_another_of_its_size_in_one_transaction(session, user, agree):
    session.delete(user.picture.original)
    session.flush()
    session.expire(user)
    user.picture.from_blob(GREEN)
    session.commit()
    agree(GREEN)


def test_each_row_has_a_file_of_its_own_though_the_bytes_are_the_same(session, user, agree):
    other = User()
    session.add(other)
    other.picture.from_blob(RED)
    session.commit()
    session.delete(user)
    session.commit()
    agree(RED)


def test_image_sets_of_one_attribute_are_replaced_one_by_one(session, agree):
    album = Album()
    session.add(album)
    for position, blob in enumerate([RED, GREEN]):
        album.photos.get_image_set(position=position).from_blob(blob)
    session.commit()
    album.photos.get_image_set(position=0).from_blob(BLUE)
    session.commit()
    agree(GREEN, BLUE)


# Ends


@pytest.mark.parametrize("end", ["rollback", "close", "reset", "invalidate"])
def test_every_end_but_a_commit_is_a_rollback(session, user, agree, end):
    user.picture.from_blob(GREEN)
    session.flush()
    getattr(session, end)()
    agree(RED)


def test_an_exception_in_a_with_block_is_a_rollback(session, user, agree):
    session.rollback()
    with pytest.raises(ZeroDivisionError), session.begin():  # noqa: PT012
        user.picture.from_blob(GREEN)
        session.flush()
        raise ZeroDivisionError
    agree(RED)


def test_a_session_that_is_garbage_collected_has_not_committed(make_session, user_id, agree):
    another = make_session.unmanaged()
    another.get(User, user_id).picture.from_blob(GREEN)
    another.flush()
    del another
    gc.collect()
    agree(RED)


def test_an_entity_that_was_never_added_stores_nothing(session, store):
    user = User()
    user.picture.from_blob(RED, store=store)
    user.picture.generate_thumbnail(width=8)
    session.commit()
    del user
    gc.collect()
    assert stored(store) == {}


def test_the_end_of_another_session_touches_no_file_of_this_one(make_session, session, user, agree):
    other_user = User()
    other = make_session()
    other.add(other_user)
    other_user.picture.from_blob(BLUE)
    if session.get_bind().dialect.name != "sqlite":
        # SQLite has one writer at a time.
        user.picture.from_blob(GREEN)
        session.flush()
        other.flush()
        other.rollback()
        session.commit()
        agree(GREEN)
    else:
        other.flush()
        other.rollback()
        user.picture.from_blob(GREEN)
        session.commit()
        agree(GREEN)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_end_of_a_forked_process_touches_no_file_of_a_transaction_of_its_parents(session, user, agree):
    user.picture.from_blob(GREEN)
    session.flush()
    child = os.fork()
    if child == 0:
        try:
            ledger_of(session).end(session, session.get_transaction(), savepoints_of)
            ledger_of(session).abandon()
            undo_abandoned()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    session.commit()
    agree(GREEN)


# Savepoints


def test_a_savepoint_that_is_rolled_back_takes_only_its_own_file_along(session, user, agree):
    user.picture.from_blob(GREEN)
    session.flush()
    with session.begin_nested() as savepoint:
        user.picture.from_blob(BLUE)
        session.flush()
        savepoint.rollback()
    session.commit()
    agree(GREEN)


def test_a_deletion_in_a_released_savepoint_waits_for_the_commit_outside(session, user, agree):
    with session.begin_nested():
        session.delete(user)
    session.rollback()
    agree(RED)


def test_a_file_of_a_released_savepoint_is_undone_with_the_outer_transaction(session, user, agree):
    with session.begin_nested():
        user.picture.from_blob(GREEN)
    session.rollback()
    agree(RED)


@pytest.mark.parametrize("depth", [0, 1, 2], ids="rolled back at depth {}".format)
def test_savepoints_three_deep(session, user, agree, depth):
    blobs = [GREEN, BLUE, SMALL]
    savepoints = []
    for blob in blobs:
        savepoints.append(session.begin_nested())
        user.picture.from_blob(blob)
        session.flush()
    savepoints[depth].rollback()
    session.commit()
    agree([RED, GREEN, BLUE][depth])


def test_savepoints_three_deep_are_all_released(session, user, agree):
    with session.begin_nested():
        user.picture.from_blob(GREEN)
        with session.begin_nested():
            user.picture.from_blob(BLUE)
            with session.begin_nested():
                user.picture.from_blob(SMALL)
    session.commit()
    agree(SMALL)


# Failures


@pytest.mark.parametrize("puts", [0, 1], ids="after {} puts".format)
def test_a_put_that_fails_fails_the_flush_and_leaves_nothing(session, user, agree, store, puts):
    store.fails_to_put_after = puts
    user.picture.from_blob(GREEN)
    other = User()
    session.add(other)
    other.picture.from_blob(BLUE)
    with pytest.raises(StoreError):
        session.flush()
    session.rollback()
    agree(RED)


def test_no_more_files_are_put_after_one_that_could_not_be_put(session, store):
    store.workers = 2
    puts = []
    store.put_file = lambda *args, **kwargs: puts.append(args) or 1 // 0
    for _ in range(10):
        user = User()
        session.add(user)
        user.picture.from_blob(RED)
    with pytest.raises(ZeroDivisionError):
        session.flush()
    assert len(puts) <= 2


@pytest.mark.parametrize("method", ["put_file", "delete_file"])
def test_as_many_files_are_put_or_deleted_side_by_side_as_the_store_wants(session, store, monkeypatch, method):
    store.workers = 3
    users = [User() for _ in range(9)]
    session.add_all(users)
    for user in users:
        user.picture.from_blob(RED)
    if method == "delete_file":
        session.commit()
        for user in users:
            session.delete(user)
    original, threads = getattr(store, method), []
    together = threading.Barrier(3, timeout=30)

    def call(*args, **kwargs):
        threads.append(threading.get_ident())
        together.wait()
        return original(*args, **kwargs)

    monkeypatch.setattr(store, method, call)
    session.commit()
    assert (len(threads), len(set(threads))) == (9, 3)


def test_a_flush_that_failed_can_be_tried_again_with_the_same_objects(session, agree, store):
    user = User()
    session.add(user)
    user.picture.from_blob(RED)
    store.fails_to_put = True
    with pytest.raises(StoreError):
        session.commit()
    session.rollback()
    store.fails_to_put = False
    session.add(user)
    session.commit()
    agree(RED)


def test_what_was_rolled_back_can_be_attached_again_in_place_of_an_image_of_its_size(session, user, agree):
    image = user.picture.from_blob(JPEG)
    session.flush()
    session.rollback()
    user.picture.append(image)
    session.commit()
    agree(JPEG)


def test_a_flush_that_the_database_refused_leaves_nothing(session, user, agree):
    user.picture.from_blob(GREEN)
    session.add(User(id=user.id))
    with pytest.warns(match="conflicts with persistent instance"), pytest.raises(IntegrityError):
        session.flush()
    session.rollback()
    agree(RED)


def test_a_file_that_cannot_be_deleted_is_reported_and_the_commit_stands(
    session, user, agree, store, failures: list[FailedDelete], caplog
):
    store.fails_to_delete = True
    user.picture.from_blob(GREEN)
    with caplog.at_level(logging.ERROR, "sqlalchemy_imageattach"):
        session.commit()
    store.fails_to_delete = False
    (failure,) = failures
    assert caplog.records[0].image_key == failure.key
    failure.store.delete_key(failure.key)
    agree(GREEN)


def test_a_file_that_a_rollback_cannot_take_back_is_reported_too(session, user, store, failures, agree):
    user.picture.from_blob(GREEN)
    session.flush()
    store.fails_to_delete = True
    session.rollback()
    store.fails_to_delete = False
    (failure,) = failures
    failure.store.delete_key(failure.key)
    agree(RED)


def test_after_a_failed_deletion_transactions_go_on(session, user, agree, store, failures):
    store.fails_to_delete = True
    user.picture.from_blob(GREEN)
    session.commit()
    store.fails_to_delete = False
    user.picture.from_blob(BLUE)
    session.commit()
    agree_but_one = stored(store)
    assert sorted(agree_but_one.values()) == sorted([RED, BLUE])


def test_a_callback_that_fails_does_not_fail_the_commit(engine, store, user_id, caplog, agree):
    with Session(engine, info={"image_store": store, "image_delete_failed": lambda failure: 1 // 0}) as another:
        store.fails_to_delete = True
        another.get(User, user_id).picture.from_blob(GREEN)
        another.commit()
    assert "callback" in caplog.text


def test_garbage_is_refused_before_the_picture_is_touched(session, user, agree):
    with pytest.raises(InvalidImageError):
        user.picture.from_blob(b"garbage")
    session.commit()
    agree(RED)


# The caller's file


def test_the_callers_file_stays_open_where_it_was(session, user):
    file = io.BytesIO(GREEN)
    file.seek(3)
    user.picture.from_raw_file(file)
    assert (file.closed, file.tell()) == (False, 3)


def test_the_callers_file_may_be_closed_before_the_commit(session, user, agree):
    with io.BytesIO(GREEN) as file:
        user.picture.from_file(file)
    session.commit()
    agree(GREEN)


# Stores


def test_the_store_is_the_one_of_the_call(engine, user_id, agree, store):
    with Session(engine) as another:
        entity = another.get(User, user_id)
        with store_context(store):
            entity.picture.from_blob(GREEN)
        with store_context(MemoryStore()) as wrong:
            another.commit()
    agree(GREEN)
    assert stored(wrong) == {}


def test_what_was_attached_by_an_explicit_store_is_deleted_from_it_under_another_context(engine, user_id, agree, store):
    with Session(engine) as another:
        entity = another.get(User, user_id)
        entity.picture.from_blob(GREEN, store=store)
        another.commit()
        with store_context(MemoryStore()):
            another.delete(entity)
            another.commit()
    agree()


def test_without_any_store_a_deletion_is_refused_by_the_flush(engine, user_id, agree):
    with Session(engine) as another:
        another.delete(another.get(User, user_id))
        with pytest.raises(ContextError, match="image_store"):
            another.flush()
    agree(RED)


# Keys


def test_a_file_is_found_after_its_key_was_changed(session, user, agree):
    if session.get_bind().dialect.name == "mysql":
        session.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
    other = User()
    session.add(other)
    session.flush()
    image = user.picture.original
    image.user_id = other.id
    session.commit()
    session.expire_all()
    agree(RED)
    assert other.picture.make_blob() == RED


def test_a_key_that_was_changed_and_rolled_back(session, user, agree):
    other = User()
    session.add(other)
    session.flush()
    user.picture.original.user_id = other.id
    session.flush()
    session.rollback()
    agree(RED)


def test_a_key_that_is_changed_unseen_is_changed_in_the_files_name_too(session, user, agree):
    image = user.picture.original
    session.expire(image)
    image.mimetype = "image/webp"
    session.commit()
    agree(RED)
    assert user.picture.make_blob() == RED


@on_servers
@pytest.mark.parametrize("fails_to_delete", [False, True], ids=["and deleted", "and not deleted yet"])
def test_a_picture_that_another_transaction_replaced_does_not_move(
    make_session, session, user, store, failures, fails_to_delete
):
    other = User()
    session.add(other)
    session.commit()
    image = user.picture.original
    other.picture.append(image)
    with session.no_autoflush, make_session() as another:
        store.fails_to_delete = fails_to_delete
        another.get(User, user.id).picture.from_blob(GREEN)
        another.commit()
    with pytest.raises(StaleDataError):
        session.commit()
    session.rollback()
    assert user.picture.make_blob() == GREEN
    assert not other.picture


@on_servers
def test_an_image_takes_the_place_of_one_that_another_transaction_has_removed(make_session, session, user, agree):
    assert user.picture.original
    with make_session() as another:
        another.get(User, user.id).picture.from_blob(SMALL)
        another.commit()
    user.picture.from_blob(GREEN)
    session.commit()
    agree(GREEN)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_deletion_spares_the_row_that_another_transaction_put_in_the_place_of_one_that_is_gone(
    make_session, session, user, agree
):
    user.picture.remove(user.picture.original)
    with session.no_autoflush, make_session() as another:
        another.delete(another.get(User, user.id).picture.original)
        another.commit()

    def attach_in_between(mapper, connection, image) -> None:
        with make_session() as another:
            another.get(User, user.id).picture.from_blob(GREEN)
            another.commit()

    event.listen(UserPicture, "before_delete", attach_in_between, once=True)
    session.commit()
    agree(GREEN)


def test_a_merge_of_what_was_replaced_since_is_refused(make_session, session, user, agree):
    with make_session() as another:
        out_of_date = another.get(User, user.id, options=[selectinload(User.picture)])
    user.picture.from_blob(JPEG)
    session.commit()
    session.merge(out_of_date)
    with pytest.raises(StaleDataError, match="merged"):
        session.flush()
    session.rollback()
    agree(JPEG)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_picture_moves_to_another_owner_and_back_in_one_transaction(session, user, agree, end):
    other = User()
    session.add(other)
    session.commit()
    image = user.picture.original
    for owner in (other, user):
        image.user_id = owner.id
        session.flush()
    getattr(session, end)()
    agree(RED)


def test_a_picture_moves_to_another_owner(session, user, agree):
    other = User()
    session.add(other)
    session.commit()
    image = user.picture.original
    other.picture.append(image)
    session.commit()
    agree(RED)
    assert other.picture.make_blob() == RED


@pytest.mark.parametrize("is_new", [True, False], ids=["a new user", "a detached user"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_picture_that_was_attached_outside_of_the_session_is_merged_with_its_bytes(
    make_session, session, user, store, agree, is_new, end
):
    if is_new:
        merged = User()
        merged.picture.from_blob(JPEG, store=store)
    else:
        with make_session() as another:
            merged = another.get(User, user.id)
            len(merged.picture)
        merged.picture.from_blob(JPEG, store=store)
    session.merge(merged)
    session.flush()
    getattr(session, end)()
    agree(*([RED] if is_new else []), JPEG) if end == "commit" else agree(RED)


@on_servers
def test_each_session_that_a_picture_is_merged_into_has_a_file_of_its_own(make_session, store, agree):
    new = User()
    new.picture.from_blob(JPEG, store=store)
    with make_session() as first, make_session() as second:
        first.merge(new)
        first.flush()
        second.merge(new)
        second.commit()
        first.rollback()
    agree(JPEG)


def test_an_image_without_bytes_is_refused(session, user, agree):
    session.add(UserPicture(user_id=user.id, width=1, height=1, mimetype="image/png"))
    with pytest.raises(TypeError, match="from_file"):
        session.flush()
    session.rollback()
    agree(RED)


def test_what_a_rollback_brings_back_though_it_was_expunged_is_refused(session, user, agree):
    session.add(other := User(name="other"))
    session.flush()
    image = user.picture.original
    with session.begin_nested() as savepoint:
        image.user_id = other.id
        session.flush()
        session.expunge(image)
        savepoint.rollback()
    session.merge(image).caption = "changed"
    with pytest.raises(InvalidRequestError, match="expunged before a rollback"):
        session.flush()
    session.close()
    agree(RED)
