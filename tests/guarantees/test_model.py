"""Rows and files agree, whatever programs one to three sessions run: tried with programs that Hypothesis makes up.

A *world* is what a transaction sees: by user, by size, what is attached.  The model of a session is a list of changes
for each of its transactions, savepoints included; a commit applies them to the committed world.  Each caption is of one
picture, so that a row tells which bytes are its own.  After every step it must be true that

- the committed rows are those of the model;
- each committed row reads back just its bytes;
- once no transaction is open that changed anything, the store holds nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import logging
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import PIL.Image
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import create_engine, delete, event, false, insert, inspect, null, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, SAWarning, StatementError
from sqlalchemy.orm import ORMExecuteState, Session, selectinload, with_loader_criteria
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

import databases
from models import Base, User, UserCover, UserPicture, picture
from sqlalchemy_imageattach.exc import ImageNotFoundError, StoreError
from sqlalchemy_imageattach.naming import FileKey
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.transactions.pending import pending_file_of

IS_SOAKED = settings().max_examples >= 100_000
#: How many programs are tried in all.
PROGRAMS = 100_000 if IS_SOAKED else 2_000 if os.environ.get("CI") == "true" else 200
#: Those on a server cost three times as much; the others are shared by the four ways to work on SQLite.
PROGRAMS_ON_A_SERVER = PROGRAMS // 20
PROGRAMS_ON_SQLITE = (PROGRAMS - 2 * PROGRAMS_ON_A_SERVER) // 4
TIMEOUT = 0 if IS_SOAKED else 600

SIZES = [(12, 8), (18, 12), (8, 12)]
USERS = [1, 2]
HIDDEN_WIDTH = 4

Pictures = dict[tuple[int, int], tuple[str, bool]]
World = dict[int, Pictures]
Change = Callable[[World], None]


class Faults:
    """Makes a store fail, before or after it did what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.workers = 2
        self.faults: dict[str, str] = {}
        #: What was not put the last time that it was to be.
        self.missed: set[FileKey] = set()

    def put_key(self, file, key, reproducible):
        self.missed.add(key)
        with failing(self.faults.pop("put", ""), "the disk is full"):
            super().put_key(file, key, reproducible)
        self.missed.discard(key)

    def delete_key(self, key):
        with failing(self.faults.pop("delete", ""), "the disk is read-only"):
            super().delete_key(key)


@contextlib.contextmanager
def failing(fault: str, message: str) -> Iterator[None]:
    if fault == "before":
        raise StoreError(message)
    yield
    if fault == "after":
        raise StoreError(message)


class RevisionStore(Faults, MemoryStore):
    pass


class PlainStore(RevisionStore):
    """Its files are overwritten in place."""

    def takes_revision(self) -> bool:
        return False


@cache
def color_of(blob: bytes) -> tuple[tuple[int, int], str]:
    """The size of a picture, and its color, which is what captions are made of."""
    with PIL.Image.open(io.BytesIO(blob)) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))
        return image.size, str(red + 256 * green + 65536 * blue)


def hide_thumbnails(state: ORMExecuteState) -> None:
    """An application's filter: it never sees the smaller thumbnails."""
    if state.is_select:
        state.statement = state.statement.options(with_loader_criteria(UserPicture, UserPicture.width != HIDDEN_WIDTH))


class Actor:
    """A session, and the model of it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.frames: list[list[Change]] = [[]]
        #: What was attached, to be attached again after a rollback.
        self.attached: list[UserPicture] = []

    def change(self, change: Change) -> None:
        self.frames[-1].append(change)

    @property
    def changes(self) -> list[Change]:
        return list(itertools.chain(*self.frames))

    def user(self, user_id: int) -> User | None:
        pending = (user for user in self.session.new if isinstance(user, User) and user.id == user_id)
        user = next(pending, None) or self.session.get(User, user_id)
        return None if user is None or user in self.session.deleted else user


class Programs(RuleBasedStateMachine):
    """The rules; :func:`run` gives the engine and the store."""

    engine: Engine
    onlooker_engine: Engine
    store_class: type[RevisionStore]
    #: Whether a transaction sees one state of the database all along.
    has_snapshots: bool

    def __init__(self) -> None:
        super().__init__()
        # What Hypothesis keeps of earlier programs would be looked through for garbage each time.
        gc.collect()
        gc.freeze()
        self.store = self.store_class()
        self.has_revisions = self.store.takes_revision()
        #: Whose failed deletion was reported; the errors would keep sessions alive by their tracebacks.
        self.reported: set[FileKey] = set()
        self.committed: World = {user_id: {} for user_id in USERS}
        self.labels = itertools.count(1)
        #: Users that belong to no session any more.
        self.detached: list[User] = []
        self.onlooker = self.onlooker_engine.connect()
        self.onlooker.execute(insert(User), [{"id": user_id, "name": ""} for user_id in USERS])

    @initialize(
        sessions=st.integers(1, 3),
        autoflush=st.booleans(),
        expires=st.booleans(),
        inside=st.booleans(),
        has_binds=st.booleans(),
        hides=st.booleans(),
    )
    def start(self, sessions: int, autoflush: bool, expires: bool, inside: bool, has_binds: bool, hides: bool) -> None:
        # What a session keeps beyond a commit is out of date when there are others.
        self.options = {"autoflush": autoflush, "expire_on_commit": expires or sessions > 1}
        self.is_recovered_inside = inside
        binds = (
            {"binds": dict.fromkeys((User, UserPicture, UserCover), self.engine)}
            if has_binds
            else {"bind": self.engine}
        )
        self.options |= binds
        self.hides = hides
        self.actors = [Actor(self.make_session()) for _ in range(sessions)]

    def make_session(self) -> Session:
        info = {"image_store": self.store, "image_delete_failed": lambda failure: self.reported.add(failure.key)}
        session = Session(info=info, **self.options)
        if self.hides:
            event.listen(session, "do_orm_execute", hide_thumbnails)
        return session

    def teardown(self) -> None:
        for actor in getattr(self, "actors", ()):
            actor.session.close()
        self.onlooker.execute(delete(UserPicture))
        self.onlooker.execute(delete(User))
        self.onlooker.close()

    # What the model says.

    def view(self, actor: Actor) -> World:
        """What a session's transaction should see, as far as it is alone."""
        world = {user_id: dict(pictures) for user_id, pictures in self.committed.items()}
        for change in actor.changes:
            change(world)
        return world

    def attempt(self, actor: Actor, action: Callable[[], object], *refusals: type[Exception]) -> bool:
        """Do something that locks, faults and what has happened meanwhile may prevent; then roll back."""
        try:
            action()
        except (StoreError, *refusals):
            pass
        except (StatementError, StaleDataError, InvalidRequestError, SAWarning) as error:
            if not self.is_refused(error):
                raise
        else:
            return True
        self.recover(actor)
        return False

    def is_refused(self, error: Exception) -> bool:
        """Whether the database, or SQLAlchemy, may say that: because of what another session did, or of a merge."""
        said = str(getattr(error, "orig", error))
        if "lock timeout" in said or "Lock wait timeout" in said:
            # A server holds the locks of a connection that was invalidated until it has noticed that.
            return True
        if isinstance(error, InvalidRequestError) and not isinstance(error, ObjectDeletedError):
            return "expunged before a rollback" in said or (
                len(self.actors) > 1 and said.startswith("Could not refresh instance")
            )
        is_duplicate = isinstance(error, IntegrityError) and any(
            word in said for word in ("UNIQUE", "_pkey", "PRIMARY")
        )
        is_about_pictures = " user_picture " in str(getattr(error, "statement", ""))
        if len(self.actors) > 1 and not self.has_snapshots:
            # What another session has committed is seen at once, and what was loaded before may be gone.
            return not (is_duplicate and is_about_pictures)
        # A user that was merged is inserted beside one that was added.
        return (len(self.actors) > 1 and "locked" in said) or (is_duplicate and not is_about_pictures)

    def recover(self, actor: Actor) -> None:
        savepoint = actor.session.get_nested_transaction()
        if savepoint is not None and self.is_recovered_inside:
            savepoint.rollback()
            actor.frames.pop()
        else:
            actor.session.rollback()
            actor.frames = [[]]

    def resynchronize(self, actor: Actor, *refusals: type[Exception]) -> None:
        """Take over what a session made of something that the model does not know enough about."""

        def write() -> None:
            actor.session.flush()
            # Whoever may write sees what is committed now.
            connection = actor.session.connection(bind_arguments={"mapper": User})
            connection.execute(update(User).where(false()).values(name=""))

        if not self.attempt(actor, write, *refusals):
            return
        seen = self.read(actor.session.connection(bind_arguments={"mapper": User}))
        view = self.view(actor)
        for user_id in USERS:
            if seen.get(user_id) != view.get(user_id):
                actor.change(lambda world, user_id=user_id: replace(world, user_id, seen.get(user_id)))

    @staticmethod
    def read(connection: Any, rows: Sequence[Any] | None = None) -> World:
        world: World = {user_id: {} for user_id in connection.scalars(select(User.id))}
        for row in connection.execute(select(UserPicture.__table__)) if rows is None else rows:
            world[row.user_id][row.width, row.height] = (row.caption, row.original)
        return world

    # Rules.  Of those that could do nothing, some are made useful: programs should be short.

    who = st.integers(0, 2)
    whose = st.sampled_from([1, 1, 2])

    def actor(self, who: int) -> Actor:
        return self.actors[who % len(self.actors)]

    @rule(who=who, user_id=whose, size=st.sampled_from(SIZES), is_expired=st.booleans())
    def attach(self, who: int, user_id: int, size: tuple[int, int], is_expired: bool) -> None:
        actor, color = self.actor(who), next(self.labels)

        def attach() -> None:
            user = actor.user(user_id)
            is_new = user is None
            if user is None:
                if not self.has_snapshots:
                    # Another session may have attached something to the user that this one is about to delete.
                    actor.session.flush()
                user = User(id=user_id)
                actor.session.add(user)
            elif is_expired:
                # What was attached before is pending still, and the collection has forgotten it.
                actor.session.flush()
                user.picture.from_blob(picture(8, 8))
                actor.session.expire_all()
            image = user.picture.from_blob(picture(*size, color=color), extra_kwargs={"caption": str(color)})
            actor.attached.append(image)
            if is_expired:
                actor.session.flush()
            actor.change(lambda world: attach_to(world, user_id, {size: (str(color), True)}, is_new=is_new))

        self.attempt(actor, attach)

    @rule(who=who, index=st.integers(0, 3))
    def attach_again(self, who: int, index: int) -> None:
        actor = self.actor(who)

        def attach_again() -> None:
            lost = [image for image in actor.attached if inspect(image).transient]
            lost = [image for image in lost if not inspect(image).expired_attributes]
            # A copy that was merged may have committed the bytes.
            lost = [image for image in lost if pending_file_of(image).is_pending]
            if not lost:
                return
            image = lost[index % len(lost)]
            user = actor.user(image.user_id)
            if user is not None and image.__dict__.get("user") in (None, user):
                user_id, size, caption = image.user_id, image.size, image.caption
                user.picture.append(image)
                actor.change(lambda world: attach_to(world, user_id, {size: (caption, True)}))

        self.attempt(actor, attach_again)

    @rule(who=who, user_id=whose, width=st.sampled_from([6, 4]))
    def make_thumbnail(self, who: int, user_id: int, width: int) -> None:
        actor = self.actor(who)

        def make_thumbnail() -> None:
            user = actor.user(user_id)
            if user is None or user.picture.original is None:
                return
            before, caption = list(user.picture), user.picture.original.caption
            thumbnail = user.picture.generate_thumbnail(width=width)
            if thumbnail in before:
                return
            # One that another session has made, or that this one has removed, has its caption.
            if not thumbnail.caption:
                thumbnail.caption = caption
                if inspect(thumbnail).persistent:
                    # It would lose its caption if it was expired.
                    actor.session.flush()
            size, caption = thumbnail.size, thumbnail.caption
            actor.change(lambda world: world.get(user_id, {}).setdefault(size, (caption, False)))

        self.attempt(actor, make_thumbnail, ImageNotFoundError)

    @rule(who=who, user_id=whose, index=st.integers(0, 3))
    def remove(self, who: int, user_id: int, index: int) -> None:
        actor = self.actor(who)

        is_pending = False

        def remove() -> None:
            nonlocal is_pending
            user = actor.user(user_id)
            if user is not None and user.picture:
                image = list(user.picture)[index % len(user.picture)]
                size, is_pending, is_original = image.size, inspect(image).pending, image.original
                user.picture.remove(image)
                if is_original and not is_pending:
                    # It takes the thumbnails along with the next flush.
                    actor.session.flush()
                    actor.change(lambda world: world.get(user_id, {}).clear())
                else:
                    actor.change(lambda world: world.get(user_id, {}).pop(size, None))

        if self.attempt(actor, remove) and is_pending:
            # It may have replaced nothing yet, or not be the only one of its size.
            self.resynchronize(actor)

    @rule(who=who, user_id=whose, how=st.sampled_from(["delete", "None", "clear", "query"]))
    def remove_all(self, who: int, user_id: int, how: str) -> None:
        actor = self.actor(who)

        def remove_all() -> None:
            # What was attached and not flushed may have replaced nothing yet.
            actor.session.flush()
            user = actor.user(user_id)
            if user is None or user.picture.original is None:
                return
            if how == "delete":
                user.picture.delete()
            elif how == "query":
                user.picture.filter_by(original=True).delete()
            elif how == "clear":
                user.picture.clear()
            else:
                user.picture = None
            actor.session.flush()
            actor.change(lambda world: world.get(user_id, {}).clear())

        self.attempt(actor, remove_all)

    @rule(user_id=whose)
    def read_detached(self, user_id: int) -> None:
        with self.make_session() as session:
            user = session.get(User, user_id, options=[selectinload(User.picture)])
        if user is not None and self.has_revisions:
            for image in user.picture:
                assert color_of(image.make_blob()) == (image.size, image.caption)

    @rule(who=who, user_id=whose)
    def delete_owner(self, who: int, user_id: int) -> None:
        actor = self.actor(who)

        def delete_owner() -> None:
            user = actor.user(user_id)
            if user is not None:
                actor.session.delete(user)
                actor.change(lambda world: world.pop(user_id, None))

        self.attempt(actor, delete_owner)

    @rule(who=who, user_id=whose, by_key=st.booleans())
    def move(self, who: int, user_id: int, by_key: bool) -> None:
        actor = self.actor(who)
        other_id = next(other for other in USERS if other != user_id)

        def move() -> None:
            actor.session.flush()
            user, other = actor.user(user_id), actor.user(other_id)
            if user is None or other is None or user.picture.original is None:
                return
            image = user.picture.original
            size = image.size
            if any(present.original or present.size == size for present in other.picture):
                return
            if by_key:
                image.user_id = other_id
            else:
                other.picture.append(image)
            actor.session.flush()
            # What was removed from a collection that was expired then is an orphan still, and deleted when it changes.
            is_deleted = image not in actor.session
            actor.session.expire_all()

            def change(world: World) -> None:
                moved = world.get(user_id, {}).pop(size, None)
                world.get(user_id, {}).clear()
                if moved is not None and not is_deleted:
                    world.get(other_id, {})[size] = moved

            actor.change(change)

        # Unless it sees one state all along, another session may have attached something to the other user meanwhile.
        self.attempt(actor, move, *(() if self.has_snapshots else (IntegrityError,)))

    @rule(who=who, is_refused=st.booleans())
    def flush(self, who: int, is_refused: bool) -> None:
        actor = self.actor(who)
        if not is_refused:
            self.attempt(actor, actor.session.flush)
            return
        actor.session.add(User(id=100, name=null()))
        with pytest.raises((DBAPIError, StaleDataError, SAWarning, StoreError)):
            actor.session.flush()
        self.recover(actor)

    @rule(who=who, end=st.sampled_from(["release", "rollback", ""]))
    def savepoint(self, who: int, end: str) -> None:
        actor = self.actor(who)
        savepoint = actor.session.get_nested_transaction()
        if savepoint is None or not end:
            if self.attempt(actor, actor.session.begin_nested):
                actor.frames.append([])
        elif end == "rollback":
            savepoint.rollback()
            actor.frames.pop()
        elif self.attempt(actor, savepoint.commit):
            changes = actor.frames.pop()
            actor.frames[-1] += changes

    @rule(who=who)
    def commit(self, who: int) -> None:
        actor = self.actor(who)
        if self.attempt(actor, actor.session.commit):
            self.committed = self.view(actor)
            actor.frames = [[]]

    @rule(who=who, how=st.sampled_from(["rollback", "close", "reset", "invalidate"]))
    def end(self, who: int, how: str) -> None:
        actor = self.actor(who)
        getattr(actor.session, how)()
        actor.frames = [[]]

    @rule(who=who)
    def forget_session(self, who: int) -> None:
        index = who % len(self.actors)
        forgotten = weakref.ref(self.actors[index].session)
        del self.actors[index]
        # A session is a part of cycles.
        gc.collect()
        assert forgotten() is None
        self.actors.insert(index, Actor(self.make_session()))
        # What it put is taken back when the next transaction ends.
        with self.make_session() as another:
            another.begin()

    @rule(who=who, user_id=whose, how=st.sampled_from(["expire", "refresh", "expire_all", "expunge"]))
    def let_go(self, who: int, user_id: int, how: str) -> None:
        actor = self.actor(who)

        def let_go() -> None:
            user = actor.user(user_id)
            if user is None or not inspect(user).persistent:
                return
            if how == "expire_all":
                actor.session.expire_all()
            elif how == "expunge":
                actor.session.flush()
                len(user.picture)
                actor.session.expunge(user)
                self.detached.append(user)
            else:
                getattr(actor.session, how)(user)

        if self.attempt(actor, let_go):
            self.resynchronize(actor)

    @rule(who=who, user_id=whose, index=st.integers(0, 3))
    def merge(self, who: int, user_id: int, index: int) -> None:
        """Merge a user that was read earlier, or read one to be merged later."""
        actor = self.actor(who)
        if index >= len(self.detached):
            with self.make_session() as session:
                user = session.get(User, user_id, options=[selectinload(User.picture)])
                session.expunge_all()
            if user is not None:
                self.detached.append(user)
        # What was replaced or deleted since is refused; of rows without revisions nobody can tell.
        elif self.has_revisions:
            refusals = TypeError, StaleDataError, ObjectDeletedError
            if self.attempt(actor, lambda: actor.session.merge(self.detached[index]), *refusals):
                self.resynchronize(actor, *refusals)

    @rule(fault=st.sampled_from(["before", "after"]), method=st.sampled_from(["put", "delete"]))
    def fail_the_next_time(self, fault: str, method: str) -> None:
        self.store.faults[method] = fault

    # What must always be true.

    @invariant()
    def rows_and_files_agree(self) -> None:
        if not hasattr(self, "actors"):
            return
        for actor in self.actors:
            nested, depth = actor.session.get_nested_transaction(), 0
            while nested is not None:
                nested, depth = (nested.parent if nested.parent.nested else None), depth + 1
            assert depth == len(actor.frames) - 1
        rows = self.onlooker.execute(select(UserPicture.__table__)).all()
        assert self.read(self.onlooker, rows) == self.committed
        is_settled = not any(actor.changes for actor in self.actors)
        files = {file.key: file for file in self.store.list_files()}
        for row in rows:
            key = FileKey("user-picture", row.user_id, row.width, row.height, row.mimetype, row.revision)
            if not self.has_revisions and key in self.store.missed:
                # It may have been for it to be put back.
                files.pop(key, None)
            elif is_settled or self.has_revisions:
                assert files.pop(key, None) is not None, f"{key} has lost its file"
                with self.store.get_key(key) as file:
                    assert color_of(file.read()) == ((row.width, row.height), row.caption), f"{key} has other bytes"
        if is_settled:
            assert not set(files) - self.reported


def attach_to(world: World, user_id: int, pictures: Pictures, *, is_new: bool = False) -> None:
    # A user that another session has deleted does not come back, if what was attached is taken away before any flush.
    if is_new or user_id in world:
        world[user_id] = pictures


def replace(world: World, user_id: int, pictures: Pictures | None) -> None:
    if pictures is None:
        world.pop(user_id, None)
    else:
        world[user_id] = dict(pictures)


def run(programs: int, engine: Engine, store_class: type[RevisionStore], has_snapshots: bool) -> None:
    onlooker_engine = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    attributes = {"engine": engine, "onlooker_engine": onlooker_engine, "store_class": store_class}
    attributes["has_snapshots"] = has_snapshots
    Base.metadata.create_all(onlooker_engine)
    try:
        run_state_machine_as_test(
            type("Programs", (Programs,), attributes),
            settings=settings(
                max_examples=programs, stateful_step_count=30, suppress_health_check=list(HealthCheck), database=None
            ),
        )
    finally:
        gc.unfreeze()
        onlooker_engine.dispose()
        engine.dispose()


@pytest.fixture(autouse=True)
def _no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    # The tracebacks of what is logged would keep sessions alive.
    for name in ("sqlalchemy_imageattach", "psycopg"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)


def plain_engine(url: str, **options: Any) -> Engine:
    """An engine as most people make it."""
    engine = create_engine(url, **options)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON").close())
    return engine


@pytest.mark.soak
@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("store_class", [RevisionStore, PlainStore])
@pytest.mark.parametrize("make_engine", [databases.make_engine, plain_engine], ids=["BEGIN recipe", "no recipe"])
def test_rows_and_files_agree_whatever_program_is_run_on_sqlite(memory_folder, make_engine, store_class):
    engine = make_engine(f"sqlite:///{memory_folder}/database.sqlite", connect_args={"timeout": 0})
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    run(PROGRAMS_ON_SQLITE, engine, store_class, has_snapshots=make_engine is databases.make_engine)


# On the servers, whoever waits for a lock would wait for ever: all sessions are in one thread.


@pytest.mark.soak
@pytest.mark.timeout(TIMEOUT)
def test_rows_and_files_agree_whatever_program_is_run_on_postgresql(postgresql_url):
    engine = databases.make_engine(postgresql_url, connect_args={"options": "-c lock_timeout=1"})
    run(PROGRAMS_ON_A_SERVER, engine, RevisionStore, has_snapshots=False)


@pytest.mark.soak
@pytest.mark.timeout(TIMEOUT)
def test_rows_and_files_agree_whatever_program_is_run_on_mariadb(mariadb_url):
    impatient = {"init_command": "SET SESSION innodb_lock_wait_timeout = 0"}
    engine = databases.make_engine(mariadb_url, isolation_level="READ COMMITTED", connect_args=impatient)
    run(PROGRAMS_ON_A_SERVER, engine, RevisionStore, has_snapshots=False)
