"""What an application hides from its sessions is seen by whatever decides about files."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, Update, create_engine, event, insert, select, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, reconstructor, with_loader_criteria

from models import picture, stored
from sqlalchemy_imageattach.audit import sweep, verify
from sqlalchemy_imageattach.bulk import KeyRange, key_ranges
from sqlalchemy_imageattach.bulk.arguments import image_mapper
from sqlalchemy_imageattach.bulk.batches import count
from sqlalchemy_imageattach.bulk.thumbnails import drop_thumbnails, make_thumbnails
from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.migration import migrate, migrate_class
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore

NO_TIME = datetime.timedelta(0)


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"

    id: Mapped[int] = mapped_column(primary_key=True)
    is_deleted: Mapped[bool] = mapped_column(default=False)
    logo: Mapped[ImageSet[Logo]] = image_attachment("Logo")


class Logo(Base, Image):
    __tablename__ = "logo"

    owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"), primary_key=True)
    is_deleted: Mapped[bool] = mapped_column(default=False)


def hide(state: Any) -> None:
    """What SQLAlchemy's documentation has for soft deletion."""
    if state.is_select and not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(
            with_loader_criteria(Logo, Logo.is_deleted.is_(False), include_aliases=True),
            with_loader_criteria(Owner, Owner.is_deleted.is_(False), include_aliases=True),
        )


class FilteredSession(Session):
    """A session that filters whatever is executed."""

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        return super().execute(statement.where(Logo.is_deleted.is_(False)), *args, **kwargs)

    def scalars(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        return super().scalars(statement.where(Logo.is_deleted.is_(False)), *args, **kwargs)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["listener", "subclass"])
def session(request: pytest.FixtureRequest, engine: Engine, store: MemoryStore) -> Iterator[Session]:
    """A session that sees one of two logos; both have a thumbnail."""
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        for number in (1, 2):
            session.add(owner := Owner(id=number))
            owner.logo.from_blob(picture(color=number))
            owner.logo.generate_thumbnail(width=32)
        session.flush()
        session.execute(text("UPDATE owner SET is_deleted = true WHERE id = 2"))
        session.execute(text("UPDATE logo SET is_deleted = true WHERE owner_id = 2"))
        session.commit()
    made = Session(engine) if request.param == "listener" else FilteredSession(engine)
    if request.param == "listener":
        event.listen(Session, "do_orm_execute", hide)
    with made as session:
        assert len(session.scalars(select(Logo)).all()) == 2
        session.rollback()
        yield session
    if request.param == "listener":
        event.remove(Session, "do_orm_execute", hide)


def test_the_files_of_hidden_rows_are_not_swept(session: Session, store: MemoryStore) -> None:
    swept = sweep(session, Base, store, NO_TIME, dry_run=False)
    assert (swept, swept.rows) == ((0, 0), 4)
    assert len(stored(store)) == 4


def test_the_file_that_a_hidden_row_lacks_is_found_and_its_row_can_be_deleted(
    session: Session, store: MemoryStore
) -> None:
    lost = next(key for key in stored(store) if key and key.object_id == 2 and key.width == 32)
    store.delete_key(lost)
    (finding,) = verify(session, Base, store)
    assert (finding.kind, finding.key) == ("missing", lost)
    assert not session.in_transaction()
    image = session.get(*finding.row)
    assert image is finding.image
    session.info["image_store"] = store
    session.delete(image)
    session.commit()
    assert list(verify(session, Base, store)) == []


def test_hidden_rows_are_copied(session: Session, store: MemoryStore) -> None:
    new = MemoryStore()
    images = list(migrate(session, Base, store, new))
    assert stored(new) == stored(store)
    assert [image.is_deleted for image in images] == [False, False, True, True]


def test_sizes_of_hidden_originals_are_made_and_dropped(session: Session, store: MemoryStore) -> None:
    made = list(make_thumbnails(session, Base, store, widths=[16]))
    assert [len(each.thumbnails) for each in made] == [1, 1]
    assert len(stored(store)) == 6
    assert drop_thumbnails(session, Base, store, widths=[16]) == 2
    assert len(stored(store)) == 4


def test_hidden_rows_are_counted_and_split(session: Session) -> None:
    assert count(session, image_mapper(Logo)) == 4
    assert len(list(key_ranges(session, Logo, 1))) == 4


class Queried(DeclarativeBase):
    pass


class Gate(Queried):
    __tablename__ = "gate"

    id: Mapped[int] = mapped_column(primary_key=True)
    view: Mapped[ImageSet[View]] = image_attachment("View", lazy="dynamic")


class View(Queried, Image):
    __tablename__ = "view"

    gate_id: Mapped[int] = mapped_column(ForeignKey("gate.id"), primary_key=True)


def test_sizes_of_hidden_originals_are_made_anew_where_an_attribute_is_a_query(
    engine: Engine, store: MemoryStore
) -> None:
    Queried.metadata.create_all(engine)
    with Session(engine, info={"image_store": store}) as session:
        session.add(gate := Gate(id=1))
        session.flush()
        gate.view.from_blob(picture())
        session.commit()

    def hide_all(state: Any) -> None:
        state.statement = state.statement.options(with_loader_criteria(View, View.gate_id < 0))

    event.listen(Session, "do_orm_execute", hide_all)
    try:
        with Session(engine) as session:
            for _ in range(2):
                (made,) = make_thumbnails(session, Queried, store, widths=[16])
                assert len(made.thumbnails) == 1
            assert list(verify(session, Queried, store)) == []
    finally:
        event.remove(Session, "do_orm_execute", hide_all)
    assert len(stored(store)) == 2


def test_rows_are_read_from_the_leader_and_not_from_a_follower_that_lags(
    sqlite_url: URL, tmp_path: Path, store: MemoryStore
) -> None:
    leader, follower = create_engine(sqlite_url), create_engine(f"sqlite:///{tmp_path / 'follower.sqlite'}")

    class Routing(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **_: Any) -> Engine:
            return leader if self._flushing or isinstance(clause, Update) else follower

    for engine in (leader, follower):
        Queried.metadata.create_all(engine)
    with Session(leader, info={"image_store": store}) as session:
        session.add(gate := Gate(id=1))
        session.flush()
        gate.view.from_blob(picture())
        session.commit()
    with Routing() as session:
        assert list(verify(session, Queried, store)) == []
        assert sweep(session, Queried, store, NO_TIME, dry_run=False) == (0, 0)
        assert len(list(migrate(session, Queried, store, MemoryStore()))) == 1
        assert [len(made.thumbnails) for made in make_thumbnails(session, Queried, store, widths=[16])] == [1]
        assert list(verify(session, Queried, store)) == []
    for engine in (leader, follower):
        engine.dispose()


# What classes are loaded from


class Polymorphic(DeclarativeBase):
    pass


class Stamp(Polymorphic, Image):
    __tablename__ = "stamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))

    @reconstructor
    def remember(self) -> None:
        self.offset = 100

    @property
    def object_id(self) -> int:
        return self.id + self.offset


# Neither class sees what is of no kind.
_shown = select(Stamp.__table__).where(Stamp.__table__.c.kind != "hidden").subquery()
Stamp.__mapper__.with_polymorphic = ("*", _shown)


class Shown(Polymorphic, Image):
    """A class that is mapped to a query, and has rows of another class's table."""

    __table__ = _shown
    __mapper_args__ = {"primary_key": [_shown.c.id, _shown.c.width, _shown.c.height]}
    width = _shown.c.width
    height = _shown.c.height
    mimetype = _shown.c.mimetype
    original = _shown.c.original
    created_at = _shown.c.created_at
    revision = _shown.c.revision


class Concrete(DeclarativeBase):
    pass


class Card(ConcreteBase, Concrete, Image):
    __tablename__ = "card"
    __mapper_args__ = {"polymorphic_identity": "card", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)


class BigCard(Card):
    __tablename__ = "big_card"
    __mapper_args__ = {"polymorphic_identity": "big", "concrete": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    width = Column(Integer, primary_key=True)
    height = Column(Integer, primary_key=True)
    mimetype = Column(String(20))
    original = Column(Integer)
    created_at = Column(String(20))
    revision = Column(String(16))


def fill(engine: Engine, store: MemoryStore, keys: dict[Any, list[FileKey]]) -> None:
    with engine.begin() as connection:
        for table, files in keys.items():
            for number, key in enumerate(files):
                values = {"width": key.width, "height": key.height, "mimetype": key.mimetype, "original": True}
                more = {"kind": "hidden" if number else "shown"} if table is Stamp.__table__ else {}
                connection.execute(insert(table).values(id=number, **values, **more))
                store.put_key(io.BytesIO(picture(color=number)), key, False)


def test_a_selectable_that_a_class_is_loaded_from_hides_no_row(engine: Engine, store: MemoryStore) -> None:
    Polymorphic.metadata.create_all(engine, tables=[Stamp.__table__])
    files = [FileKey("stamp", 100 + number, 64, 48, "image/png") for number in range(2)]
    fill(engine, store, {Stamp.__table__: files})
    with Session(engine) as session:
        assert list(verify(session, Polymorphic, store)) == []
        assert len(list(migrate(session, Polymorphic, store, MemoryStore()))) == 2
        with pytest.raises(NotImplementedError, match="mapped to a table"):
            migrate_class(session, Shown, store, MemoryStore()).execute()


def test_each_class_of_concrete_inheritance_is_read_by_itself(engine: Engine, store: MemoryStore) -> None:
    Concrete.metadata.create_all(engine)
    keys = {
        cls.__table__: [FileKey(name, 0, 64, 48, "image/png")] for cls, name in ((Card, "card"), (BigCard, "big-card"))
    }
    fill(engine, store, keys)
    with Session(engine) as session:
        assert list(verify(session, Concrete, store)) == []
        assert [type(image) for image in migrate(session, Concrete, store, MemoryStore())] == [BigCard, Card]


# One session that sees a part


@pytest.mark.parametrize("operation", ["sweep", "verify", "migrate", "thumbnails"])
def test_a_session_that_sees_a_part_of_the_rows_is_refused(engine: Engine, store: MemoryStore, operation: str) -> None:
    def run(session: Any) -> object:
        match operation:
            case "sweep":
                return sweep(session, Base, store)
            case "verify":
                return verify(session, Base, store)
            case "migrate":
                return migrate(session, Base, store, MemoryStore())
        return make_thumbnails(session, Base, store, widths=[16])

    tenant = engine.execution_options(schema_translate_map={None: "tenant"})
    with Session(tenant) as session, pytest.raises(ValueError, match="pass a list of sessions"):
        run(session)
    with Session(engine) as session:
        session.connection(execution_options={"schema_translate_map": {None: "tenant"}})
        with pytest.raises(ValueError, match="schema_translate_map"):
            run(session)
    sharded = ShardedSession(
        shards={"a": engine},
        shard_chooser=lambda *_, **__: "a",
        identity_chooser=lambda *_, **__: ["a"],
        execute_chooser=lambda _: ["a"],
    )
    with sharded, pytest.raises(ValueError, match="one for each shard"):
        run(sharded)
    with pytest.raises(ValueError, match="empty list"):
        run([])


@pytest.fixture
def tenants(postgresql_url: Any, store: MemoryStore) -> Iterator[list[Session]]:
    """Two schemas of one database, and a session of each; their files share a store."""
    engine = create_engine(postgresql_url)
    sessions = []
    for number, schema in enumerate(("one", "two")):
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        bind = engine.execution_options(schema_translate_map={None: schema})
        Base.metadata.create_all(bind)
        with Session(bind, info={"image_store": store}) as session:
            session.add(owner := Owner(id=10 + number))
            owner.logo.from_blob(picture(color=number))
            session.commit()
        sessions.append(Session(bind))
    yield sessions
    for session in sessions:
        session.close()
    engine.dispose()


def test_sessions_of_all_tenants_see_all_rows(tenants: list[Session], store: MemoryStore) -> None:
    store.put_key(io.BytesIO(b"bytes"), FileKey("logo", 12, 1, 1, "image/png"), False)
    assert [finding.kind for finding in verify(tenants, Base, store)] == ["orphan"]
    assert sweep(tenants, Base, store, NO_TIME, dry_run=False, limit=0.5) == (1, 5)
    new = MemoryStore()
    images = list(migrate(tenants, Base, store, new))
    assert stored(new) == stored(store)
    assert [image.owner_id for image in images] == [10, 11]
    made = list(make_thumbnails(tenants, Base, store, widths=[16]))
    assert [len(each.thumbnails) for each in made] == [1, 1]
    assert list(verify(tenants, Base, store, probe=True)) == []


def test_each_database_has_a_place_of_its_own_in_a_checkpoint(tenants: list[Session], store: MemoryStore) -> None:
    new, checkpoint = MemoryStore(), dict[str, Any]()
    copies = iter(migrate(tenants, Base, store, new, checkpoint=checkpoint))
    next(copies)
    copies.close()  # type: ignore[attr-defined]
    assert [image.owner_id for image in migrate(tenants, Base, store, new, checkpoint=checkpoint)] == [11]
    with pytest.raises(ValueError, match="one session with keys"):
        verify(tenants, Logo, store, keys=KeyRange(after=(1, 1, 1)))
