"""What a store that fails must not do to an application.

Each method of the store is made to fail, before or after the store did its part, while a session uses it.  It must
always be true that

- a row that was committed has its bytes, and what was not committed leaves none;
- what has failed can be tried again.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import IO, Any

import pytest
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from ..entity import Image, ImageSet, image_attachment
from ..exc import StoreError
from ..naming import FileKey, StorableImage
from ..store import Store
from ..stores.layered import LayeredStore
from ..transactions import FAILED_DELETE_KEY

__all__ = ("FaultContract",)


class FaultContract:
    """The tests; a subclass has a fixture ``store``."""

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_put_that_fails_fails_the_flush_which_can_be_tried_again(self, store: Store, moment: str) -> None:
        with _faulty(store) as faulty, _session() as session:
            user = _User(id=secrets.randbits(62))
            user.picture.from_blob(_gif(1), store=faulty)
            session.add(user)
            faulty.fail("put_key", moment)
            with pytest.raises(StoreError, match="put_key"):
                session.commit()
            session.rollback()
            assert len(faulty.keys) == 1
            assert all(_is_missing(store, key) for key in faulty.keys)
            faulty.fail(None)
            session.add(user)
            session.commit()
            assert user.picture.make_blob(store=store) == _gif(1)

    @pytest.mark.parametrize("method", ["get_key", "locate"])
    def test_read_that_fails_is_an_error_and_harms_nothing(self, store: Store, method: str) -> None:
        with _faulty(store) as faulty, _session() as session:
            user = _User.with_picture(session, faulty)
            read = user.picture.make_blob if method == "get_key" else user.picture.locate
            faulty.fail(method)
            with pytest.raises(StoreError, match=method):
                read(store=faulty)
            faulty.fail(None)
            assert user.picture.make_blob(store=store) == _gif(1)

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_delete_that_fails_leaves_the_commit_and_can_be_tried_again(self, store: Store, moment: str) -> None:
        failures: list[Any] = []
        with _faulty(store) as faulty, _session() as session:
            session.info[FAILED_DELETE_KEY] = failures.append
            user = _User.with_picture(session, faulty)
            user.picture.from_blob(_gif(2), store=faulty)
            faulty.fail("delete_key", moment)
            session.commit()
            faulty.fail(None)
            assert user.picture.make_blob(store=store) == _gif(2)
            (failure,) = failures
            failure.store.delete_key(failure.key)
            assert _is_missing(store, failure.key)

    @pytest.mark.parametrize("width", [1, 2])
    def test_replacement_that_is_rolled_back_leaves_the_old_file(self, store: Store, width: int) -> None:
        with _faulty(store) as faulty, _session() as session:
            user = _User.with_picture(session, faulty)
            user.picture.from_blob(_gif(width, color=b"\xff"), store=faulty)
            session.flush()
            session.rollback()
            assert user.picture.make_blob(store=store) == _gif(1)


class _Base(DeclarativeBase):
    pass


class _User(_Base):
    __tablename__ = "contract_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    picture: Mapped[ImageSet[_Picture]] = image_attachment("_Picture")

    @classmethod
    def with_picture(cls, session: Session, store: Store) -> _User:
        user = cls(id=secrets.randbits(62))
        user.picture.from_blob(_gif(1), store=store)
        session.add(user)
        session.commit()
        return user


class _Picture(_Base, Image):
    __tablename__ = "contract_picture"

    user_id: Mapped[int] = mapped_column(ForeignKey("contract_user.id"), primary_key=True)


class _Faulty(LayeredStore):
    """A store that passes everything on, until one of its methods is made to fail."""

    def __init__(self, store: Store) -> None:
        self.under_test = store
        self.workers = store.workers
        self.fault: tuple[str | None, str] = (None, "")
        #: Where files were put.
        self.keys: set[FileKey] = set()

    def fail(self, method: str | None, moment: str = "before") -> None:
        self.fault = (method, moment)

    @contextlib.contextmanager
    def at_risk(self, method: str) -> Iterator[None]:
        if self.fault == (method, "before"):
            raise StoreError(f"{method}() was made to fail")
        yield
        if self.fault == (method, "after"):
            raise StoreError(f"{method}() was made to fail")

    def store_of(self, key: FileKey) -> Store:
        return self.under_test

    def takes_revision(self) -> bool:
        return self.under_test.takes_revision()

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        self.keys.add(key)
        with self.at_risk("put_key"):
            self.under_test.put_key(file, key, reproducible)

    def get_key(self, key: FileKey) -> IO[bytes]:
        with self.at_risk("get_key"):
            return self.under_test.get_key(key)

    def delete_key(self, key: FileKey) -> None:
        with self.at_risk("delete_key"):
            self.under_test.delete_key(key)

    def locate(self, image: StorableImage) -> str:
        with self.at_risk("locate"):
            return super().locate(image)


@contextlib.contextmanager
def _faulty(store: Store) -> Iterator[_Faulty]:
    faulty = _Faulty(store)
    try:
        yield faulty
    finally:
        for key in faulty.keys:
            store.delete_key(key)


@contextlib.contextmanager
def _session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    try:
        _Base.metadata.create_all(engine)
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def _gif(width: int, color: bytes = b"\x00") -> bytes:
    # A screen of that width and the height 1, two colors, and a frame of one pixel: https://www.w3.org/Graphics/GIF/
    return b"GIF89a%c\0\1\0\x80\0\0%b," % (width, color * 6) + bytes.fromhex("0000000001000100000202440100") + b";"


def _is_missing(store: Store, key: FileKey) -> bool:
    try:
        with contextlib.closing(store.get_key(key)):
            return False
    except OSError:
        return True
