from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models import User, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.exc import StoreError
from sqlalchemy_imageattach.transactions import FAILED_DELETE_KEY
from sqlalchemy_imageattach.variants import Variants
from variants.conftest import SECRET, files


@pytest.fixture
def made(user: User, store: Any) -> None:
    for width in (10, 20):
        user.picture.variant(width=width).make_blob(store)


@pytest.mark.usefixtures("made")
def test_a_delete_takes_the_variants_along_after_the_commit(session: Session, user: User, folder: Path) -> None:
    before = files(folder)
    session.delete(user)
    session.flush()
    assert files(folder) == before
    session.commit()
    assert files(folder) == set()
    assert list(folder.rglob("*-jpe")) == []


@pytest.mark.usefixtures("made")
def test_a_replacement_takes_the_variants_along(session: Session, user: User, store: Any, folder: Path) -> None:
    user.picture.from_blob(picture(64, 48, 7), store)
    session.commit()
    assert files(folder) == {user.picture.original.locate().removeprefix("/images/").partition("?")[0]}


@pytest.mark.usefixtures("made")
def test_a_rollback_touches_none(session: Session, user: User, folder: Path) -> None:
    before = files(folder)
    session.delete(user)
    session.flush()
    session.rollback()
    assert files(folder) == before


def test_what_was_made_of_a_picture_that_was_rolled_back_goes_with_it(
    session: Session, user: User, store: Any, folder: Path
) -> None:
    before = files(folder)
    user.picture.from_blob(picture(64, 48, 7), store)
    session.flush()
    user.picture.variant(width=10).make_blob(store)
    session.rollback()
    assert files(folder) == before


def test_what_is_overwritten_in_place_has_no_old_variants(session: Session, store: Any, folder: Path) -> None:
    user = User(name="Ann")
    session.add(user)
    for color in (1, 2):
        user.cover.from_blob(picture(64, 48, color), store)
        session.commit()
        if color == 1:
            user.cover.variant(width=10).make_blob(store)
    assert len(files(folder)) == 1


@pytest.mark.usefixtures("made")
def test_variants_are_kept_for_a_while_when_that_is_asked_for(
    session: Session, user: User, store: Any, folder: Path
) -> None:
    store.variants = Variants(SECRET, keep_for=datetime.timedelta(days=1))
    session.delete(user)
    session.commit()
    assert len(files(folder)) == 2


@pytest.mark.usefixtures("made")
def test_a_variant_that_cannot_be_deleted_is_reported(
    session: Session, user: User, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(original: Any) -> None:
        raise StoreError("unreachable")

    failures: list[Any] = []
    monkeypatch.setattr(store, "delete_variants", fail)
    user_id = user.id
    session.rollback()
    with Session(session.get_bind(), info={FAILED_DELETE_KEY: failures.append}) as other, store_context(store):
        other.delete(other.get_one(User, user_id))
        other.commit()
    assert [failure.error.args for failure in failures] == [("unreachable",)]
