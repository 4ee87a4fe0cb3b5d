from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models import Base, User
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.migration import migrate
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.fs import FileSystemStore
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.variants import Variants
from variants.conftest import SECRET, files

AT_ONCE = datetime.timedelta(0)


@pytest.fixture
def made(session: Session, user: User, store: Any) -> FileKey:
    for width in (10, 20):
        user.picture.variant(width=width).make_blob(store)
    key = FileKey.of(user.picture.original)
    session.commit()
    return key


@pytest.mark.usefixtures("made")
def test_a_variant_of_a_living_original_is_no_orphan(session: Session, store: Any, folder: Path) -> None:
    before = files(folder)
    assert list(verify(session, Base, store)) == []
    session.rollback()
    assert sweep(session, Base, store, AT_ONCE, dry_run=False).files == 0
    assert files(folder) == before


def test_a_variant_of_no_original_is_one(session: Session, user: User, store: Any, made: FileKey, folder: Path) -> None:
    store.variants = None  # a process that does not know of variants
    session.delete(user)
    session.commit()
    assert [finding.kind for finding in verify(session, Base, store)] == ["orphan", "orphan"]
    session.rollback()
    assert sweep(session, Base, store, dry_run=False, limit=1).files == 0
    assert sweep(session, Base, store, AT_ONCE, dry_run=False, limit=1).files == 2
    assert files(folder) == set()


def test_a_variant_is_kept_for_a_while_after_its_original(
    session: Session, user: User, store: Any, made: FileKey, folder: Path
) -> None:
    store.variants = Variants(SECRET, keep_for=datetime.timedelta(days=7))
    for path in folder.rglob("*.jpg"):
        os.utime(path, (0, 0))
    session.delete(user)
    session.commit()
    swept = [sweep(session, Base, store, AT_ONCE, False, limit=1).files]
    for path in folder.rglob("*.jpg"):
        os.utime(path, (0, 0))
    swept.append(sweep(session, Base, store, AT_ONCE, False, limit=1).files)
    assert (swept, files(folder)) == ([0, 2], set())


@pytest.mark.usefixtures("made")
def test_old_variants_are_swept_when_that_is_asked_for(session: Session, store: Any, folder: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)
    assert sweep(session, Base, store, AT_ONCE, False, variants_made_before=now - hour).files == 0
    assert sweep(session, Base, store, AT_ONCE, False, variants_made_before=now + hour).files == 2
    assert len(files(folder)) == 1
    with pytest.raises(TypeError, match="aware"):
        sweep(session, Base, store, variants_made_before=now.replace(tzinfo=None))


@pytest.mark.usefixtures("made")
def test_a_migration_leaves_variants_behind(session: Session, store: Any) -> None:
    other = MemoryStore()
    migrate(session, Base, store, other).execute()
    assert len(list(other.list_files())) == 1


@pytest.mark.usefixtures("made")
def test_a_migration_takes_variants_along_when_that_is_asked_for(session: Session, store: Any, folder: Path) -> None:
    other = FileSystemStore(folder.with_name("other"), "https://example.com/")
    migrate(session, Base, store, other, variants=True, verify=True).execute()
    assert files(folder.with_name("other")) == files(folder)
    migrate(session, Base, store, other, variants=True, skip_existing=True).execute()
    (variant, *_) = other.list_variants(FileKey.of(session.get_one(User, 1).picture.require_original()))
    variant.remove()
    # The original is there, and its variants are looked at all the same.
    assert list(migrate(session, Base, store, other, variants=True, skip_existing=True)) == []
    assert files(folder.with_name("other")) == files(folder)
    plain = FileSystemStore(folder.with_name("plain"), "https://example.com/")
    plain.takes_revision = lambda: False  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="whose methods take revision, which variants need"):
        migrate(session, Base, store, plain, variants=True)
