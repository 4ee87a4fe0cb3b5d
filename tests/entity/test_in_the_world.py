"""Sessions, rows and habits of other people: what public reports of other projects led to."""

import asyncio
import datetime
import functools
import gc
import io
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import PIL.Image
import pytest
from sqlalchemy import Column, ForeignKey, String, create_engine, delete, event, inspect, select, text, update
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    Session,
    WriteOnlyMapped,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
    with_loader_criteria,
)

from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity import Image, ImageSet, image_attachment
from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.version import SQLA_COMPAT_VERSION, SQLA_COMPAT_VERSION_INFO


@functools.cache
def pic(w=64, h=48, color=0, format="PNG"):
    f = io.BytesIO()
    PIL.Image.new("RGB", (w, h), (color, 7, 9)).save(f, format)
    return f.getvalue()


def models(**kw):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50), default="")
        deleted: Mapped[bool] = mapped_column(default=False)
        picture = image_attachment("UserPicture", back_populates="user")

    class UserPicture(Base, Image):
        __tablename__ = "user_picture"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        deleted: Mapped[bool] = mapped_column(default=False)
        user = relationship("User", back_populates="picture")

    class Album(Base):
        __tablename__ = "album"
        id: Mapped[int] = mapped_column(primary_key=True)
        photos = image_attachment("Photo", uselist=True)

    class Photo(Base, Image):
        __tablename__ = "photo"
        album_id: Mapped[int] = mapped_column(ForeignKey("album.id"), primary_key=True)
        position: Mapped[int] = mapped_column(primary_key=True)
        caption: Mapped[str] = mapped_column(default="")

        @property
        def object_id(self):
            return self.album_id * 1000 + self.position

    Base.User, Base.UserPicture, Base.Album, Base.Photo = User, UserPicture, Album, Photo
    return Base


@pytest.fixture
def B():
    return models()


@pytest.fixture
def engine(tmp_path, B):
    e = create_engine(f"sqlite:///{tmp_path}/db.sqlite")
    event.listen(e, "connect", lambda c, _: c.execute("PRAGMA foreign_keys=ON").close())
    B.metadata.create_all(e)
    yield e
    e.dispose()


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def factory(engine, store):
    return sessionmaker(engine, info={"image_store": store})


@pytest.fixture
def session(factory):
    with factory() as s:
        yield s


def files(store):
    return {f.key for f in store.list_files()}


def raw_rows(engine, table):
    with engine.connect() as c:
        return c.execute(select(table)).all()


def agree(engine, store, B):
    named = set()
    with Session(engine) as s:
        for cls in (B.UserPicture, B.Photo):
            for i in s.scalars(select(cls)):
                named.add(FileKey.of(i))
    assert files(store) == named
    return named


@pytest.fixture
def ada(session, B):
    user = B.User()
    session.add(user)
    user.picture.from_blob(pic())
    session.flush()
    user.picture.generate_thumbnail(width=32)
    session.commit()
    return user


def soft_delete(cls_session, target):
    def hook(state):
        if state.is_select:
            state.statement = state.statement.options(
                with_loader_criteria(target, lambda cls: cls.deleted.is_(False), include_aliases=True)
            )

    event.listen(cls_session, "do_orm_execute", hook)


@pytest.mark.parametrize("size", [(64, 48), (20, 20)])
def test_a_row_that_the_application_hides_is_replaced(session, factory, engine, store, B, ada, size):
    soft_delete(factory, B.UserPicture)
    session.execute(update(B.UserPicture.__table__).values(deleted=True))
    session.commit()
    session.close()
    with factory() as s:
        user = s.get(B.User, 1)
        assert not user.picture
        user.picture.from_blob(pic(*size, color=9))
        s.commit()
    assert len(agree(engine, store, B)) == 1


def test_a_row_that_a_session_of_the_applications_own_hides_is_replaced(engine, store, B, ada, session):
    session.execute(update(B.UserPicture.__table__).values(deleted=True))
    session.commit()
    session.close()

    class Filtering(Session):
        def execute(self, statement, *a, **k):
            if statement.is_select:
                statement = statement.options(with_loader_criteria(B.UserPicture, B.UserPicture.deleted.is_(False)))
            return super().execute(statement, *a, **k)

        def scalars(self, statement, *a, **k):
            return self.execute(statement, *a, **k).scalars()

    with Filtering(engine, info={"image_store": store}) as s:
        user = s.get(B.User, 1)
        user.picture.from_blob(pic(color=9))
        s.commit()
    assert len(agree(engine, store, B)) == 1


def test_a_thumbnail_that_the_application_hides_is_not_made_twice(session, factory, engine, store, B, ada):
    soft_delete(factory, B.UserPicture)
    t = B.UserPicture.__table__
    session.execute(update(t).where(t.c.width == 32).values(deleted=True))
    session.commit()
    session.close()
    with factory() as s:
        user = s.get(B.User, 1)
        user.picture.generate_thumbnail(width=32)
        s.commit()
    assert len(agree(engine, store, B)) == 2


def test_a_filter_of_every_statement_does_not_keep_an_original_from_being_locked(
    session, factory, engine, store, B, ada
):
    def hook(state):
        state.statement = state.statement.options(
            with_loader_criteria(B.UserPicture, lambda cls: cls.deleted.is_(False))
        )

    event.listen(factory, "do_orm_execute", hook)
    with factory() as s:
        user = s.get(B.User, 1)
        assert user.picture
        s.execute(update(B.UserPicture.__table__).values(deleted=True))
        user.picture.generate_thumbnail(width=16)
        s.commit()
    agree(engine, store, B)


def test_a_row_that_a_hook_on_statements_hides_is_replaced(session, factory, engine, store, B, ada):
    # SQLAlchemy docs' tenant recipe, by criteria on every mapper
    def hook(state):
        if state.is_select and not state.is_column_load:
            state.statement = (
                state.statement.execution_options(populate_existing=False).where(B.UserPicture.deleted.is_(False))
                if state.bind_mapper and state.bind_mapper.class_ is B.UserPicture and hasattr(state.statement, "where")
                else state.statement
            )

    event.listen(factory, "do_orm_execute", hook)
    session.execute(update(B.UserPicture.__table__).values(deleted=True))
    session.commit()
    session.close()
    with factory() as s:
        user = s.get(B.User, 1)
        user.picture.from_blob(pic(color=9))
        s.commit()
    assert len(agree(engine, store, B)) == 1


def test_an_owner_takes_along_what_the_application_hides(session, factory, engine, store, B, ada):
    soft_delete(factory, B.UserPicture)
    session.execute(update(B.UserPicture.__table__).values(deleted=True))
    session.commit()
    session.close()
    with factory() as s:
        s.delete(s.get(B.User, 1))
        s.commit()
    assert len(agree(engine, store, B)) == 0


def test_a_row_that_a_polymorphic_selectable_hides_is_replaced(engine, store):
    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("Pic")

    class Pic(Base, Image):
        __tablename__ = "pic"
        user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
        kind: Mapped[str] = mapped_column(default="pic")
        hidden: Mapped[bool] = mapped_column(default=False)
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "pic"}

    class Drawn(Pic):
        __mapper_args__ = {"polymorphic_identity": "drawn"}

    t = Pic.__table__
    visible = select(t).where(~t.c.hidden).subquery("visible")
    inspect(Pic).with_polymorphic = ("*", visible)
    e = create_engine("sqlite://")
    Base.metadata.create_all(e)
    with Session(e, info={"image_store": store}) as s:
        user = User()
        s.add(user)
        user.picture.from_blob(pic())
        s.commit()
        s.execute(update(t).values(hidden=True))
        s.commit()
    with Session(e, info={"image_store": store}) as s:
        user = s.get(User, 1)
        user.picture.from_blob(pic(color=3))
        s.commit()
    assert len(files(store)) == 1


def test_a_file_that_was_swept_before_its_commit_fails_the_commit(session, factory, engine, store, B, monkeypatch):
    import time

    user = B.User()
    session.add(user)
    user.picture.from_blob(pic())
    session.flush()
    for f in list(store.list_files()):
        f.remove()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 13 * 3600)
    with pytest.raises(ImageNotFoundError, match="sweep"):
        session.commit()
    session.rollback()
    assert not raw_rows(engine, B.UserPicture.__table__)


def test_delete_removes_rows_now_and_files_with_the_commit(session, engine, store, B, ada):
    assert ada.picture.delete() == 2
    assert not ada.picture
    session.commit()
    assert not agree(engine, store, B)


def test_deleting_an_original_by_a_query_takes_its_thumbnails_along(session, engine, store, B, ada):
    assert ada.picture.filter_by(original=True).delete() == 1
    session.commit()
    assert not agree(engine, store, B)


def test_a_plain_query_deletes_files_too(session, engine, store, B, ada):
    assert ImageSet([B.UserPicture], session).filter_by(original=False).delete() == 1
    session.commit()
    assert len(agree(engine, store, B)) == 1


def test_what_was_deleted_is_back_after_a_rollback(session, engine, store, B, ada):
    ada.picture.delete()
    session.rollback()
    assert len(agree(engine, store, B)) == 2
    assert ada.picture


def test_one_set_of_an_album_is_deleted_by_itself_and_all_of_them_together(session, engine, store, B):
    album = B.Album()
    session.add(album)
    for p in (1, 2):
        s = album.photos.get_image_set(position=p)
        s.from_blob(pic())
        session.flush()
        s.generate_thumbnail(width=32)
    session.commit()
    assert album.photos.get_image_set(position=1).delete() == 2
    session.commit()
    assert len(agree(engine, store, B)) == 2
    album.photos.delete()
    session.commit()
    assert not agree(engine, store, B)


def test_what_was_never_flushed_is_deleted_too(engine, store, B):
    with Session(engine, autoflush=False, info={"image_store": store}) as session:
        user = B.User()
        session.add(user)
        session.commit()
        user.picture.from_blob(pic())
        user.picture.delete()
        session.commit()
    assert not agree(engine, store, B)


def test_a_query_in_a_scoped_session_deletes_files_too(engine, store, B, ada, session):
    session.close()
    scoped = scoped_session(sessionmaker(engine, info={"image_store": store}))
    assert ImageSet([B.UserPicture], scoped).delete() == 2
    scoped.commit()
    scoped.remove()
    assert not agree(engine, store, B)


def test_an_update_by_sql_leaves_alone_what_files_are_named_by(session, B, ada, engine, store):
    for values in (
        {"mimetype": "image/gif"},
        {B.UserPicture.revision: "x"},
        {B.UserPicture.width: 3},
        {"user_id": 5},
        {B.UserPicture.__table__.c.original: False},
        {"size": (1, 2)},
        {B.UserPicture.size: (1, 2)},
    ):
        with pytest.raises(ValueError, match="expected columns"):
            ada.picture.update(values)
        with pytest.raises(ValueError, match="expected columns"):
            ada.picture.filter_by(original=True).update(values)
        assert not session.dirty
    assert ada.picture.update({"deleted": True}) == 2
    agree(engine, store, B)


@pytest.mark.parametrize("how", ["None", "[]", "clear", "init"])
def test_an_attribute_without_a_picture(session, engine, store, B, ada, how):
    if how == "None":
        ada.picture = None
    elif how == "[]":
        ada.picture = []
    elif how == "init":
        user = B.User(picture=None)
        session.add(user)
        assert not user.picture
        ada.picture.clear()
    else:
        ada.picture.clear()
    assert not ada.picture
    session.commit()
    assert not agree(engine, store, B)


def test_none_removes_what_was_not_loaded_too(session, engine, store, B, ada):
    session.expire_all()
    ada.picture = None
    session.commit()
    assert not agree(engine, store, B)


@pytest.mark.parametrize("expire", [True, False])
def test_thumbnails_go_with_an_original_that_is_deleted(engine, store, B, ada, session, expire):
    session.close()
    with Session(engine, expire_on_commit=expire, info={"image_store": store}) as session:
        user = session.get(B.User, 1)
        assert user.picture
        session.delete(user.picture.original)
        session.commit()
        assert not user.picture
        assert str(user.picture.__html__()) == ""
    assert not agree(engine, store, B)


def test_thumbnails_go_with_an_original_that_is_taken_out(engine, store, B, ada, session):
    ada.picture.remove(ada.picture.original)
    session.commit()
    assert not agree(engine, store, B)


def test_thumbnails_go_when_an_original_moves_to_another_owner(engine, store, B, ada, session):
    other = B.User()
    session.add(other)
    session.flush()
    other.picture.append(ada.picture.original)
    session.commit()
    assert len(agree(engine, store, B)) == 1
    assert not ada.picture
    assert other.picture


def test_thumbnails_go_when_the_key_of_an_original_changes(engine, store, B, ada, session):
    other = B.User()
    session.add(other)
    session.flush()
    ada.picture.original.user_id = other.id
    session.commit()
    assert len(agree(engine, store, B)) == 1


def test_thumbnails_alone_are_no_picture(engine, store, B, ada, session):
    session.execute(delete(B.UserPicture.__table__).where(B.UserPicture.__table__.c.original))
    session.commit()
    assert not ada.picture
    assert len(ada.picture) == 1


def test_many_large_files_need_few_descriptors(session, B, engine, tmp_path):
    from sqlalchemy_imageattach.stores.fs import FileSystemStore
    from sqlalchemy_imageattach.transactions.spools import spool_folder

    (tmp_path / "s").mkdir()
    st = FileSystemStore(str(tmp_path / "s"), "http://x/")
    big = io.BytesIO()
    PIL.Image.effect_noise((1200, 1000), 100).save(big, "PNG")
    blob = big.getvalue()
    assert len(blob) > 1 << 20
    path = tmp_path / "big.png"
    path.write_bytes(blob)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _n in range(300):
        user = B.User()
        session.add(user)
        with path.open("rb") as f:
            user.picture.from_file(f, store=st)
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 100
    del user, blob, big
    gc.disable()
    try:
        session.rollback()
        assert len(list(Path("/proc/self/fd").iterdir())) - before < 10
        assert [path.name for path in Path(spool_folder()).iterdir()] == ["lock"]
    finally:
        gc.enable()


def test_many_small_files_need_little_memory(session, B, store):
    blob = pic() + bytes(200_000)
    tracemalloc.start()
    try:
        for _ in range(600):
            user = B.User()
            session.add(user)
            user.picture.from_file(io.BytesIO(blob), store=store)
        waiting, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert waiting < 80_000_000
    assert user.picture.make_blob() == blob
    session.rollback()
    session.add(again := B.User())
    again.picture.from_file(io.BytesIO(blob), store=store)
    session.commit()
    assert again.picture.make_blob() == blob


def test_classes_may_have_engines_of_their_own(tmp_path, store, B):
    e1 = create_engine(f"sqlite:///{tmp_path}/1.sqlite")
    e2 = create_engine(f"sqlite:///{tmp_path}/2.sqlite")
    B.User.__table__.create(e1)
    B.UserPicture.__table__.create(e2)
    with Session(binds={B.User: e1, B.UserPicture: e2}, info={"image_store": store}) as s:
        user = B.User()
        s.add(user)
        user.picture.from_blob(pic())
        s.commit()
        user.picture.generate_thumbnail(width=32)
        s.commit()
        user.picture.from_blob(pic(color=2))
        s.commit()
        s.delete(user.picture.original)
        s.commit()
    assert not files(store)


def test_tables_may_have_engines_of_their_own(tmp_path, store, B):
    e1 = create_engine(f"sqlite:///{tmp_path}/1.sqlite")
    e2 = create_engine(f"sqlite:///{tmp_path}/2.sqlite")
    B.User.__table__.create(e1)
    B.UserPicture.__table__.create(e2)
    with Session(e1, binds={B.UserPicture.__table__: e2}, info={"image_store": store}) as s:
        user = B.User()
        s.add(user)
        user.picture.from_blob(pic())
        s.commit()
        user.picture.generate_thumbnail(width=32)
        s.commit()
        user.picture.from_blob(pic(color=2))
        s.commit()
        s.delete(user)
        s.commit()
    assert not files(store)


def routing(leader, follower):
    class Routing(Session):
        def get_bind(self, mapper=None, clause=None):
            if self._flushing or (clause is not None and (clause.is_dml)):
                return leader
            return follower

    return Routing


def test_a_follower_that_lags_is_not_asked(tmp_path, store, B):
    leader = create_engine(f"sqlite:///{tmp_path}/1.sqlite")
    follower = create_engine(f"sqlite:///{tmp_path}/2.sqlite")
    B.metadata.create_all(leader)
    B.metadata.create_all(follower)
    import shutil

    with Session(leader, info={"image_store": store}) as s:
        user = B.User()
        s.add(user)
        user.picture.from_blob(pic())
        s.commit()
    shutil.copy(tmp_path / "1.sqlite", tmp_path / "2.sqlite")
    with Session(leader, info={"image_store": store}) as s:
        s.get(B.User, 1).picture.generate_thumbnail(width=32)
        s.commit()
    with routing(leader, follower)(info={"image_store": store}) as s:
        s.get(B.User, 1).picture.generate_thumbnail(width=32)
        s.commit()
    agree(leader, store, B)
    with routing(leader, follower)(info={"image_store": store}) as s:
        s.get(B.User, 1).picture.from_blob(pic(color=2))
        s.commit()
    assert len(agree(leader, store, B)) == 1


def test_sharded_sessions_keep_rows_and_files_together(tmp_path, store, B):
    from sqlalchemy.ext.horizontal_shard import ShardedSession

    engines = {n: create_engine(f"sqlite:///{tmp_path}/{n}.sqlite") for n in ("odd", "even")}
    for e in engines.values():
        B.metadata.create_all(e)

    def shard_chooser(mapper, instance, clause=None):
        if isinstance(instance, B.User):
            return ("even", "odd")[instance.id % 2]
        if instance.user is not None:
            return shard_chooser(mapper, instance.user)
        return ("even", "odd")[instance.user_id % 2]

    with ShardedSession(
        shards=engines,
        shard_chooser=shard_chooser,
        identity_chooser=lambda *a, **k: list(engines),
        execute_chooser=lambda c: list(engines),
        info={"image_store": store},
    ) as s:
        for n in (1, 2):
            u = B.User(id=n)
            s.add(u)
            u.picture.from_blob(pic())
        s.commit()
        for u in s.scalars(select(B.User)).all():
            u.picture.generate_thumbnail(width=32)
        s.commit()
        for u in s.scalars(select(B.User)).all():
            u.picture.from_blob(pic(color=3))
        s.commit()
        assert len(files(store)) == 2
        for u in s.scalars(select(B.User)).all():
            u.picture.delete()
        s.commit()
    assert not files(store)


def test_a_session_forgets_the_stores_of_files_that_are_gone(engine, B, store):
    with Session(engine) as s:
        user = B.User()
        s.add(user)
        s.commit()
        sizes = []
        for n in range(12):
            user.picture.from_blob(pic(color=n), store=store)
            s.commit()
            sizes.append(sum(len(v) for v in s.info.values() if isinstance(v, dict)))
        assert sizes[-1] <= sizes[2]
        s.add(u2 := B.User())
        u2.picture.from_blob(pic(), store=store)
        s.flush()
        s.rollback()
        assert sum(len(v) for v in s.info.values() if isinstance(v, dict)) <= sizes[2]


def test_what_left_a_session_knows_the_store_of_the_session(factory, B, ada, session):
    session.close()
    with factory() as s:
        user = s.get(B.User, 1, options=[selectinload(B.User.picture)])
    assert user.picture.locate()
    assert user.picture.find_thumbnail(width=32).locate()
    user.picture.make_blob()
    with factory() as s:
        user = s.get(B.User, 1, options=[selectinload(B.User.picture)])
        s.expunge_all()
    user.picture.from_blob(pic())


def declare(**options):
    class Base(DeclarativeBase):
        pass

    return Base


def test_many_to_one_is_refused():
    Base = declare()

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture_id = Column(ForeignKey("pic.id"))
        picture = image_attachment("Pic", single_parent=True)

    class Pic(Base, Image):
        __tablename__ = "pic"
        id: Mapped[int] = mapped_column(primary_key=True, unique=True)

    with pytest.raises(ArgumentError, match="picture"):
        Base.registry.configure()


@pytest.mark.parametrize(
    "options",
    [
        {"viewonly": True, "cascade": ""},
    ],
)
def test_viewonly_is_refused(options):
    Base = declare()

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("Pic", **options)

    class Pic(Base, Image):
        __tablename__ = "pic"
        user_id = Column(ForeignKey("user.id"), primary_key=True)

    with pytest.raises(ArgumentError, match=r"picture.*viewonly"):
        Base.registry.configure()


@pytest.mark.parametrize("kind", [DynamicMapped, WriteOnlyMapped])
def test_an_annotation_that_lacks_its_lazy_is_refused(kind):
    Base = declare()
    with pytest.raises(ArgumentError, match="lazy"):  # noqa: PT012

        class User(Base):
            __tablename__ = "user"
            id: Mapped[int] = mapped_column(primary_key=True)
            picture: kind["Pic"] = image_attachment("Pic")

        class Pic(Base, Image):
            __tablename__ = "pic"
            user_id = Column(ForeignKey("user.id"), primary_key=True)

        Base.registry.configure()


def test_a_text_as_key_is_refused_without_an_object_id():
    Base = declare()

    class User(Base):
        __tablename__ = "user"
        id: Mapped[str] = mapped_column(primary_key=True)
        picture = image_attachment("Pic")

    class Pic(Base, Image):
        __tablename__ = "pic"
        user_id = Column(ForeignKey("user.id"), primary_key=True)

    with pytest.raises(ArgumentError, match="object_id"):
        Base.registry.configure()


def test_secondary_is_refused():
    from sqlalchemy import Table

    Base = declare()

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("Pic", secondary="link", single_parent=True)

    class Pic(Base, Image):
        __tablename__ = "pic"
        id: Mapped[int] = mapped_column(primary_key=True, unique=True)

    Table("link", Base.metadata, Column("u", ForeignKey("user.id")), Column("p", ForeignKey("pic.id")))
    with pytest.raises(ArgumentError, match=r"picture.*secondary"):
        Base.registry.configure()


def test_passive_deletes_warns():
    Base = declare()

    class User(Base):
        __tablename__ = "user"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("Pic", passive_deletes=True)

    class Pic(Base, Image):
        __tablename__ = "pic"
        user_id = Column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)

    with pytest.warns(Warning, match="passive_deletes"):
        Base.registry.configure()


def upload():
    from starlette.datastructures import UploadFile

    return UploadFile(io.BytesIO(pic()), filename="x.png")


def test_an_upload_of_starlette_is_read(B, store):
    user = B.User(id=1)
    user.picture.from_file(upload(), store=store)
    asyncio.run(user.picture.afrom_file(upload(), store=store))
    user.picture.from_raw_file(upload(), store=store)


def test_what_is_no_file_is_answered_with_what_to_pass(B, store):
    user = B.User(id=1)
    for wrong, words in (("a/path.png", "open"), (pic(), "from_blob"), (None, "file")):
        with pytest.raises(TypeError, match=words):
            user.picture.from_file(wrong, store=store)

    class Async:
        async def read(self, size=-1):
            return pic()

    with pytest.raises(TypeError, match="await"):
        user.picture.from_file(Async(), store=store)


def test_the_hooks_of_the_guide_leave_the_answer_of_an_earlier_hook_alone(store):
    from flask import Flask

    from sqlalchemy_imageattach.context import pop_store_context, push_store_context

    app = Flask(__name__)
    app.testing = True

    @app.before_request
    def auth():
        return "no", 401

    @app.before_request
    def start():
        push_store_context(store)

    @app.teardown_request
    def stop(exception=None):
        pop_store_context()

    assert app.test_client().get("/").status_code == 401
    with store_context(store):
        assert app.test_client().get("/").status_code == 401
        from sqlalchemy_imageattach.context import get_current_store

        assert get_current_store() is store


def test_the_size_in_a_page_may_be_another(ada):
    assert 'width="60" height="40"' in ada.picture.img(width=60, height=40)


def test_a_representation_names_class_key_and_sizes_and_loads_nothing(ada, session):
    assert "User.picture" in repr(ada.picture)
    assert "SELECT" not in str(ada.picture)
    assert "SELECT" in str(ada.picture.filter_by(original=True))
    assert "64x48" in repr(ada.picture.original)
    assert "UserPicture" in repr(ada.picture.original)
    image = ada.picture.original
    session.expire_all()
    n = []
    event.listen(session.bind, "before_cursor_execute", lambda *a: n.append(a))
    repr(image)
    assert not n


def test_a_thumbnail_that_is_a_pixel_off_is_found(session, B, engine, store):
    user = B.User()
    session.add(user)
    user.picture.from_blob(pic(405, 640))
    session.flush()
    a = user.picture.generate_thumbnail(height=320)
    assert a.size == (203, 320)
    assert user.picture.generate_thumbnail(width=203) is a


def test_a_store_that_raises_a_lookup_error_is_named(engine, B):
    class Old(MemoryStore):
        def put_file(self, file, object_type, object_id, width, height, mimetype, reproducible):
            self.d[object_type, object_id, width, height, mimetype] = file.read()

        d = {}

        def get_file(self, object_type, object_id, width, height, mimetype):
            return io.BytesIO(self.d[object_type, object_id, width, height, mimetype])

        def delete_file(self, object_type, object_id, width, height, mimetype):
            self.d.pop((object_type, object_id, width, height, mimetype), None)

        def get_url(self, object_type, object_id, width, height, mimetype):
            return "x"

    with Session(engine, info={"image_store": Old()}) as s:
        user = B.User()
        s.add(user)
        user.picture.from_blob(pic())
        with pytest.raises(TypeError, match="get_file"):
            s.commit()


def test_a_name_that_a_store_refuses_is_not_taken_back(session, B, caplog, tmp_path):
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    st = FileSystemStore(str(tmp_path), "http://x/")
    user = B.User()
    session.add(user)
    user.picture.from_blob(pic(), store=st)
    user.picture.original.revision = "UPPER-1"
    with pytest.raises(ValueError, match="revision"):
        session.commit()
    session.rollback()
    assert not caplog.records


def test_the_files_and_the_version_are_as_the_original_had_them():
    from sqlalchemy_imageattach.file import FileProxy, ReusableFileProxy

    class Two:
        def __init__(self, b):
            self.f = io.BytesIO(b)

        def read(self, n=-1):
            return self.f.read(n)

        def readline(self, n=-1):
            return self.f.readline(n)

    assert FileProxy(Two(b"a\nb\nc")).readlines() == [b"a\n", b"b\n", b"c"]
    assert FileProxy(Two(b"a\nb\nc")).readlines(3) == [b"a\n", b"b\n"]
    f = io.BytesIO(b"again")
    f.read(2)
    with ReusableFileProxy(f) as g:
        assert g.read() == b"again"
    assert f.tell() == 2

    assert ".".join(map(str, SQLA_COMPAT_VERSION_INFO)) == SQLA_COMPAT_VERSION


@pytest.mark.parametrize(
    "mimetype",
    [
        "image/bmp3",
        "image/pcx",
        "image/xpixmap",
        "image/portable-pixmap",
        "image/tiff64",
        "image/x-pcx",
        "image/vnd.adobe.photoshop",
    ],
)
def test_types_that_imagemagick_named_are_found(engine, B, tmp_path, mimetype):
    from sqlalchemy_imageattach.stores.fs import FileSystemStore

    st = FileSystemStore(str(tmp_path / "s"), "http://x/")
    (tmp_path / "s/user-picture/1/0").mkdir(parents=True)
    (tmp_path / "s/user-picture/1/0/1.64x48None").write_bytes(pic(64, 48, 0, "BMP"))
    with engine.begin() as c:
        c.execute(B.User.__table__.insert(), {"id": 1, "name": "", "deleted": False})
        c.execute(
            B.UserPicture.__table__.insert(),
            {
                "user_id": 1,
                "width": 64,
                "height": 48,
                "mimetype": mimetype,
                "original": True,
                "created_at": datetime.datetime.now(datetime.UTC),
                "deleted": False,
            },
        )
    with Session(engine, info={"image_store": st}) as s:
        user = s.get(B.User, 1)
        assert user.picture.make_blob()
        user.picture.locate()
        user.picture.from_blob(pic())
        s.commit()
    assert not (tmp_path / "s/user-picture/1/0/1.64x48None").exists()


def test_what_alters_data_says_so_to_templates(ada, B):
    for name in (
        "delete",
        "adelete",
        "clear",
        "update",
        "from_file",
        "from_blob",
        "from_raw_file",
        "generate_thumbnail",
        "append",
        "remove",
        "afrom_file",
        "afrom_blob",
        "agenerate_thumbnail",
    ):
        assert getattr(getattr(ada.picture, name), "alters_data", False), name


def test_a_key_of_another_type_is_refused(session, B):
    album = B.Album()
    session.add(album)
    with pytest.raises(TypeError, match="position"):
        album.photos.get_image_set(position="1")


def test_a_date_that_is_none_is_read(session, B, ada, engine):
    session.execute(text("update user_picture set created_at = '2020-01-01'"))
    session.commit()
    for i in ada.picture:
        i.__dict__["created_at"] = None
    assert ada.picture.original


@pytest.mark.parametrize(
    "value",
    ["", "x", b"bytes", 5, io.BytesIO(b"bytes"), object(), [5], [b"bytes"], {"picture": 5}],
    ids=["empty text", "text", "bytes", "number", "file", "object", "numbers", "list of bytes", "dictionary"],
)
def test_what_is_assigned_and_is_no_image_is_answered_with_what_to_call(session, engine, store, B, ada, value):
    with pytest.raises(TypeError, match=r"from_file\(\).*delete\(\)"):
        ada.picture = value
    session.commit()
    assert len(agree(engine, store, B)) == 2


@pytest.mark.parametrize("hash_of", [lambda image: hash(image.caption), lambda image: (lambda: hash(image.caption))()])
def test_an_update_is_refused_where_nobody_can_tell_what_the_object_id_reads(session, hash_of):
    class Base(DeclarativeBase):
        pass

    class Page(Base):
        __tablename__ = "page"
        id: Mapped[int] = mapped_column(primary_key=True)
        picture = image_attachment("Picture")

    class Picture(Base, Image):
        __tablename__ = "picture"
        page_id: Mapped[int] = mapped_column(ForeignKey("page.id"), primary_key=True)
        caption: Mapped[str]

        @property
        def object_id(self):
            return hash_of(self)

    with pytest.raises(ValueError, match="caption"):
        ImageSet([Picture], session).update({"caption": "another"})


def test_a_forked_child_that_ends_leaves_what_its_parent_has_not_flushed(tmp_path):
    script = """
        import os, pathlib, sys
        from sqlalchemy_imageattach.transactions.spools import spool_folder
        file = pathlib.Path(spool_folder(), "bytes")
        file.touch()
        child = os.fork()
        if child == 0:
            sys.exit()
        os.waitpid(child, 0)
        assert file.exists()
        """
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=True)
    assert not list(tmp_path.iterdir())
