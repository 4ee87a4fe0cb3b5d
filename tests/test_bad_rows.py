"""A row that cannot be understood is a finding, or an error of its own, and ends nothing."""

from __future__ import annotations

import contextlib
import datetime
import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Float, ForeignKey, String, create_engine, event, insert, text, update
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DataError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from models import picture, stored
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.bulk import batches, key_ranges
from sqlalchemy_imageattach.bulk.thumbnails import make_thumbnails
from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.migration import migrate
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore

NO_TIME = datetime.timedelta(0)
asked = itertools.count()
#: What object_id refuses.
refused: set[int] = set()


class Base(DeclarativeBase):
    pass


class Shop(Base):
    __tablename__ = "shop"

    id: Mapped[int] = mapped_column(primary_key=True)
    sign: Mapped[ImageSet[Sign]] = image_attachment("Sign")


class Sign(Base, Image):
    __tablename__ = "sign"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "sign"}

    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    shop: Mapped[Shop] = relationship(back_populates="sign")

    @property
    def object_id(self) -> int:
        if self.shop_id in refused:
            # In other words each time, as with the address of an object.
            raise LookupError(f"no such shop, asked {next(asked)} times")
        return self.shop_id


class Neon(Sign):
    __mapper_args__ = {"polymorphic_identity": "neon"}


class Poster(Base, Image):
    """A model whose ``object_id`` asks the database for more."""

    __tablename__ = "poster"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shop.id"), primary_key=True)
    shop: Mapped[Shop] = relationship()

    @property
    def object_id(self) -> int:
        return self.shop.id


def odd_revision(session: Session) -> None:
    session.execute(update(Sign.__table__).where(Sign.__table__.c.shop_id == 2).values(revision="ABC-1"))


def empty_revision(session: Session) -> None:
    session.execute(update(Sign.__table__).where(Sign.__table__.c.shop_id == 2).values(revision=""))


def odd_mimetype(session: Session) -> None:
    session.execute(update(Sign.__table__).where(Sign.__table__.c.shop_id == 2).values(mimetype="image/x-nobody"))


def odd_kind(session: Session) -> None:
    session.execute(update(Sign.__table__).where(Sign.__table__.c.shop_id == 2).values(kind="painted"))


def refused_id(session: Session) -> None:
    refused.add(2)


def odd_date(session: Session) -> None:
    date = "'infinity'" if session.get_bind().dialect.name == "postgresql" else "'yesterday'"
    session.execute(text(f"UPDATE sign SET created_at = {date} WHERE shop_id = 2"))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def session(sqlite_url: URL, store: MemoryStore) -> Iterator[Session]:
    engine = create_engine(sqlite_url)
    with filled(engine, store) as session:
        yield session
    engine.dispose()


@contextlib.contextmanager
def filled(engine: Engine, store: MemoryStore) -> Iterator[Session]:
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        for number in (1, 2, 3):
            session.add(shop := Shop(id=number))
            shop.sign.from_blob(picture(color=number))
        session.commit()
        yield session
    refused.clear()


ODD = [odd_revision, empty_revision, odd_mimetype, odd_kind, refused_id, odd_date]


@pytest.mark.parametrize("spoil", ODD)
def test_a_row_that_cannot_be_understood_is_one_finding(
    session: Session, store: MemoryStore, spoil: Callable[[Session], None]
) -> None:
    spoil(session)
    session.commit()
    found = [each for each in verify(session, Base, store) if each.row is not None]
    assert [each.row for each in found] == [(Sign, (2, 64, 48))]
    assert found[0].kind == "unreadable" or spoil in (odd_revision, empty_revision, odd_mimetype)
    (one,) = verify(session, Sign, store, keys=next(key_ranges(session, Sign, 100)))
    assert one.row == (Sign, (2, 64, 48))
    assert "2" in str(one)
    assert session.get(*one.row) is one.image


@pytest.mark.parametrize("spoil", ODD)
@pytest.mark.parametrize("operation", ["migrate", "thumbnails"])
def test_a_row_that_cannot_be_understood_keeps_no_other_from_what_is_done(
    session: Session, store: MemoryStore, spoil: Callable[[Session], None], operation: str
) -> None:
    spoil(session)
    session.commit()
    failed: list[Any] = []

    def on_error(image: Image, error: Exception) -> None:
        assert isinstance(image, Sign)
        failed.append(image.shop_id)

    if operation == "migrate":
        done = [image.shop_id for image in migrate(session, Base, store, MemoryStore(), on_error=on_error)]
        run: Any = migrate(session, Base, store, MemoryStore())
    else:
        made = make_thumbnails(session, Base, store, widths=[16], on_error=on_error)
        done = [each.original.shop_id for each in made if each.thumbnails]
        run = make_thumbnails(session, Base, store, widths=[16])
    assert (done, failed) == ([1, 3], [2])
    with pytest.raises((OSError, ValueError, LookupError)) as raised:
        list(run)
    assert "2, 64, 48" in raised.value.__notes__[0]


@pytest.mark.parametrize("spoil", [odd_kind, refused_id, odd_date])
def test_a_row_that_does_not_tell_its_file_keeps_the_files_of_its_type_from_a_sweep(
    session: Session, store: MemoryStore, spoil: Callable[[Session], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(session)
    session.commit()
    before = stored(store)
    swept = sweep(session, Base, store, NO_TIME, dry_run=False, limit=1)
    assert swept == (0, 0)
    assert stored(store) == before
    if spoil is refused_id:
        assert swept.unread_types == {"sign": 3}
        assert "a row does not tell its own" in caplog.text


def test_a_date_that_the_driver_cannot_read_is_one_finding(postgresql_url: URL, store: MemoryStore) -> None:
    engine = create_engine(postgresql_url)
    with filled(engine, store) as session:
        odd_date(session)
        session.commit()
        (finding,) = verify(session, Base, store)
        assert (finding.kind, finding.row) == ("unreadable", (Sign, (2, 64, 48)))
        assert "created_at" in finding.reason
        # It is not taken for None.
        with pytest.raises(DataError):
            finding.image.created_at  # type: ignore[union-attr]  # noqa: B018
    engine.dispose()


def test_an_object_id_that_needs_a_relationship_is_a_finding(session: Session, store: MemoryStore) -> None:
    session.execute(insert(Poster.__table__).values(shop_id=1, width=9, height=9, mimetype="image/png", original=True))
    session.commit()
    (finding,) = verify(session, Base, store)
    assert (finding.kind, finding.row, finding.key) == ("unreadable", (Poster, (1, 9, 9)), None)
    assert "shop" in finding.reason
    assert str(finding).startswith("unreadable: Poster 1, 9, 9: ")


def test_a_bad_row_costs_no_query_for_each_of_the_others(session: Session, store: MemoryStore) -> None:
    session.execute(insert(Shop), [{"id": number} for number in range(10, 210)])
    row = {"width": 1, "height": 1, "mimetype": "image/png", "original": True, "kind": "sign"}
    session.execute(insert(Sign.__table__), [row | {"shop_id": number} for number in range(10, 210)])
    session.execute(text("UPDATE sign SET created_at = 'yesterday' WHERE shop_id = 105"))
    session.commit()
    statements: list[str] = []
    event.listen(
        session.get_bind(), "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement)
    )
    failed: list[Exception] = []
    plan = migrate(session, Base, store, MemoryStore(), on_error=lambda _, error: failed.append(error))
    assert len(list(plan)) == 3
    assert len(failed) == 200
    # Each whose file is missing is read once more; the rest is what it takes to find the bad one.
    assert len(statements) < 199 + 60


# Keys that are not equal to themselves


class Inexact(DeclarativeBase):
    pass


class Measured(Inexact, Image):
    __tablename__ = "measured"

    weight: Mapped[float] = mapped_column(Float(24), primary_key=True)
    object_id = 1


@pytest.fixture
def measured(engine: Engine, store: MemoryStore) -> Iterator[Session]:
    Inexact.metadata.create_all(engine)
    with Session(engine) as session:
        row = {"width": 1, "height": 1, "mimetype": "image/png", "original": True}
        session.execute(insert(Measured.__table__), [row | {"weight": number / 10} for number in range(10)])
        session.commit()
        store.put_key(io.BytesIO(picture()), FileKey("measured", 1, 1, 1, "image/png"), False)
        yield session


def test_keys_that_do_not_advance_end_a_run_with_their_type(
    measured: Session, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_SIZE", 3)
    plan = migrate(measured, Inexact, store, MemoryStore())
    if measured.get_bind().dialect.name == "sqlite":
        # Its numbers are as exact as Python's.
        assert len(list(plan)) == 10
        return
    with pytest.raises(NotImplementedError, match=r"measured\.weight is FLOAT"):
        list(plan)
    with pytest.raises(NotImplementedError, match="exact"):
        list(key_ranges(measured, Measured, 1))
