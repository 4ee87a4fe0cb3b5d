"""What is attached, from what, into which store, and with which values beside it."""

from __future__ import annotations

import datetime
import io
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import Column, ForeignKey, Integer, Unicode, select
from sqlalchemy.orm import Session, declarative_base, selectinload
from starlette.datastructures import UploadFile
from werkzeug.datastructures import FileStorage

from models import Album, User, UserPicture, picture, stored
from sqlalchemy_imageattach.context import current_store, pop_store_context, push_store_context, store_context
from sqlalchemy_imageattach.entity import Image, image_attachment
from sqlalchemy_imageattach.exc import ContextError, InvalidImageError
from sqlalchemy_imageattach.imaging import ImagePolicy
from sqlalchemy_imageattach.stores.memory import MemoryStore

RED, GREEN, BLUE = picture(color=255), picture(color=255 << 8), picture(color=255 << 16)
LARGE = picture(1200, 900, format="BMP")  # past what is kept in memory


# Each method of the guide, with store= and in a context


@pytest.mark.parametrize("how", ["store=", "context", "pushed context", "session's default"])
def test_each_method_takes_its_store_from_the_argument_or_from_the_context(session, user, store, how):
    given = {"store": store} if how == "store=" else {}
    if how == "context":
        context = store_context(store)
        context.__enter__()
    elif how == "pushed context":
        push_store_context(store)
    elif how == "session's default":
        session.info["image_store"] = store
    try:
        user.picture.from_file(io.BytesIO(RED), **given)
        session.commit()
        user.picture.from_blob(GREEN, **given)
        session.commit()
        user.picture.from_raw_file(io.BytesIO(BLUE), **given)
        session.commit()
        assert user.picture.locate(**given).startswith("https://example.com/user-picture/")
        with user.picture.open_file(**given) as file:
            assert file.read() == BLUE
        assert user.picture.make_blob(**given) == BLUE
        thumbnail = user.picture.generate_thumbnail(width=8, **given)
        assert user.picture.find_thumbnail(width=8, **given) is thumbnail
        session.commit()
        assert thumbnail.locate(**given).startswith("https://example.com/user-picture/")
        assert thumbnail.make_blob(**given)
        with thumbnail.open_file(use_seek=True, **given) as file:
            assert file.seek(0, io.SEEK_END) == len(thumbnail.make_blob(**given))
        if how != "store=":
            assert user.picture.locate() in user.picture.__html__()
            assert thumbnail.locate() in thumbnail.__html__()
    finally:
        if how == "context":
            context.__exit__(None, None, None)
        elif how == "pushed context":
            pop_store_context()
    assert {key.size for key in store.list_files()} == {len(BLUE), len(thumbnail.make_blob(store))}


def test_the_store_may_be_passed_by_position(session, user, store):
    user.picture.from_file(io.BytesIO(RED), store)
    session.commit()
    assert user.picture.make_blob(store) == RED
    assert user.picture.find_thumbnail(64, 48, store) is user.picture.original
    assert user.picture.locate(store) == user.picture.original.locate(store)
    with user.picture.open_file(store, True) as file:
        assert file.read() == RED


def test_the_current_store_may_be_passed_on(session, user, store):
    with store_context(store):
        user.picture.from_blob(RED, current_store)
        user.picture.from_blob(GREEN, store=current_store)
    session.commit()
    assert user.picture.make_blob(store) == GREEN


def attempts(user: User) -> Iterator[object]:
    yield lambda **store: user.picture.from_file(io.BytesIO(GREEN), **store)
    yield lambda **store: user.picture.from_blob(GREEN, **store)
    yield lambda **store: user.picture.from_raw_file(io.BytesIO(GREEN), **store)
    yield lambda **store: user.picture.locate(**store)
    yield lambda **store: user.picture.open_file(**store)
    yield lambda **store: user.picture.make_blob(**store)
    yield lambda **store: user.picture.generate_thumbnail(width=8, **store)
    yield lambda **store: user.picture.original.locate(**store)


def test_without_any_store_there_is_a_context_error_that_says_what_to_do(make_session, session, user, store):
    user.picture.from_blob(RED, store)
    session.commit()
    identity = user.id
    session.close()
    user = make_session().get(User, identity)
    for attempt in attempts(user):
        with pytest.raises(ContextError, match=r"pass store=.*store_context.*sessionmaker"):
            attempt()
    assert user.picture.make_blob(store) == RED


def test_what_is_no_store_is_refused(user, store):
    user.picture.from_blob(RED, store)
    for attempt in attempts(user):
        with pytest.raises(TypeError, match="expected an instance of"):
            attempt(store="the disk")
    assert user.picture.make_blob() == RED


def test_the_argument_goes_before_the_context(session, user, store):
    other = MemoryStore()
    with store_context(other):
        user.picture.from_blob(RED, store)
        user.picture.generate_thumbnail(width=8, store=store)
        session.commit()
    assert list(other.list_files()) == []
    assert len(list(store.list_files())) == 2


def test_an_attachment_may_have_a_store_of_its_own(engine, make_session, store):
    Base = declarative_base()

    class Person(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("PersonPicture", store=store)
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        person_id = Column(Integer, ForeignKey("person.id"), primary_key=True)
        __tablename__ = "person_picture"

    Base.metadata.create_all(engine)
    session = make_session()
    session.add(person := Person())
    person.picture.from_blob(RED)
    session.commit()
    session.expunge_all()
    assert session.query(PersonPicture).one().make_blob() == RED
    other = MemoryStore()
    with store_context(other):
        session.query(Person).one().picture.from_blob(GREEN)
        session.commit()
    assert len(list(other.list_files())) == 1


# Files


class Unseekable(io.RawIOBase):
    """A binary file that gives a few bytes at a time, and only once."""

    def __init__(self, content: bytes) -> None:
        self.file = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self.file.readinto(memoryview(buffer)[:1000])


class OnlyRead:
    """An object with nothing but ``read``."""

    def __init__(self, content: bytes) -> None:
        self.read = io.BytesIO(content).read


class Chunks:
    """A response of an HTTP library: what comes is what it gives, whatever it is asked for."""

    def __init__(self, content: bytes) -> None:
        self.chunks = (content[start : start + 700] for start in range(0, len(content), 700))

    def read(self, size: int = -1) -> bytes:
        return next(self.chunks, b"")


class Field:
    """What the standard library's ``cgi.FieldStorage`` is: no ``read``, but a ``file``."""

    def __init__(self, content: bytes) -> None:
        self.filename = "picture.png"
        self.file = io.BytesIO(content)


class Mutable(OnlyRead):
    """A file that gives bytearrays."""

    def __init__(self, content: bytes) -> None:
        file = io.BytesIO(content)
        self.read = lambda size=-1: bytearray(file.read(size))


KINDS = [io.BytesIO, Unseekable, OnlyRead, Chunks, Field, Mutable, lambda content: FileStorage(io.BytesIO(content))]


@pytest.mark.parametrize("content", [RED, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_binary_file_can_be_attached(session, user, context, kind, content):
    image = user.picture.from_file(kind(content))
    assert image.make_blob() == content
    session.commit()
    assert image.make_blob() == content


def test_a_file_on_disk_can_be_attached_and_stays_open(session, user, context, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(RED)
    with path.open("rb") as file:
        user.picture.from_file(file)
        assert not file.closed
    session.commit()
    assert user.picture.make_blob() == RED


def test_a_file_opened_as_text_is_attached_by_its_bytes(session, user, context, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(RED)
    with path.open(encoding="utf-8") as file:  # the guide opens one like this
        user.picture.from_file(file)
        assert not file.closed
    session.commit()
    assert user.picture.make_blob() == RED


@pytest.mark.parametrize("content", [RED, LARGE], ids=["small", "large"])
def test_a_pipe_can_be_attached(session, user, context, tmp_path, content):
    path = tmp_path / "picture"
    path.write_bytes(content)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        user.picture.from_file(process.stdout)
    session.commit()
    assert user.picture.make_blob() == content


def test_an_upload_of_a_form_can_be_attached(session, user, context):
    from werkzeug.test import EnvironBuilder
    from werkzeug.wrappers import Request

    form = EnvironBuilder(method="POST", data={"picture": (io.BytesIO(RED), "picture.png")})
    with Request(form.get_environ()) as request:
        user.picture.from_file(request.files["picture"])
    form.close()
    session.commit()
    assert user.picture.make_blob() == RED


@pytest.fixture
def picture_url() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(LARGE)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/picture.bmp"
        thread.join()


def test_a_picture_from_the_web_can_be_attached(session, user, context, picture_url):
    with urllib.request.urlopen(picture_url) as response:
        user.picture.from_file(response)
        assert not response.closed
    session.commit()
    assert user.picture.make_blob() == LARGE


def test_a_file_is_read_from_where_it_stands(session, user, context):
    file = io.BytesIO(b"before" + RED)
    file.seek(6)
    user.picture.from_file(file)
    assert user.picture.make_blob() == RED


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_anything_of_bytes_is_a_blob(user, context, kind):
    assert user.picture.from_blob(kind(RED)).make_blob() == RED


def test_a_blob_that_the_caller_changes_afterwards_stays_as_it_was(session, user, context):
    blob = bytearray(RED)
    user.picture.from_blob(blob)
    blob[:] = b"changed"
    session.commit()
    assert user.picture.make_blob() == RED


def test_a_file_that_the_caller_closes_before_the_commit_is_no_loss(session, user, context):
    with io.BytesIO(LARGE) as file:
        user.picture.from_raw_file(file)
    session.commit()
    assert user.picture.make_blob() == LARGE


# Raw files


def test_a_raw_file_is_read_from_its_beginning_and_left_where_it_stood(user, context):
    file = io.BytesIO(RED)
    file.seek(10)
    assert user.picture.from_raw_file(file).make_blob() == RED
    assert file.tell() == 10
    with pytest.raises(InvalidImageError):
        user.picture.from_raw_file(file, policy=ImagePolicy(max_pixels=1))
    assert file.tell() == 10


def test_a_raw_file_of_known_size_and_type_is_not_looked_into(session, user, context):
    image = user.picture.from_raw_file(io.BytesIO(b"whatever"), size=(3, 2), mimetype="image/vnd.djvu")
    session.commit()
    assert (image.size, image.mimetype, image.original) == ((3, 2), "image/vnd.djvu", True)
    assert user.picture.make_blob() == b"whatever"


@pytest.mark.parametrize(
    ("known", "size", "mimetype"),
    [
        ({}, (64, 48), "image/png"),
        ({"size": (3, 2)}, (3, 2), "image/png"),
        ({"mimetype": "image/x-icon"}, (64, 48), "image/x-icon"),
        ({"mimetype": "image/x-jls"}, (64, 48), "image/jls"),
        ({"mimetype": "image/x-bmp"}, (64, 48), "image/bmp"),
        ({"size": [3, 2]}, (3, 2), "image/png"),
    ],
)
def test_what_is_not_known_of_a_raw_file_is_told_by_its_bytes(user, context, known, size, mimetype):
    image = user.picture.from_raw_file(io.BytesIO(RED), **known)
    assert (image.size, image.mimetype) == (size, mimetype)


def test_a_raw_file_may_be_a_thumbnail(session, user, context):
    user.picture.from_blob(RED)
    small = picture(8, 6)
    image = user.picture.from_raw_file(io.BytesIO(small), original=False)
    session.commit()
    assert not image.original
    assert user.picture.find_thumbnail(width=8) is image
    assert (user.picture.make_blob(), image.make_blob()) == (RED, small)


def test_a_thumbnail_replaces_the_one_of_its_size(session, user, context, store):
    user.picture.from_blob(RED)
    for color in (1, 2):
        user.picture.from_raw_file(io.BytesIO(picture(8, 6, color)), original=False)
        session.commit()
    assert user.picture.count() == 2
    assert user.picture.find_thumbnail(width=8).make_blob() == picture(8, 6, 2)
    assert len(list(store.list_files())) == 2


def test_a_thumbnail_of_the_originals_own_size_is_refused(session, user, context):
    user.picture.from_blob(RED)
    session.commit()
    with pytest.raises(ValueError, match="another size than the original, not 64x48"):
        user.picture.from_raw_file(io.BytesIO(GREEN), original=False)
    assert user.picture.make_blob() == RED


@pytest.mark.parametrize("lacks", ["read", "seek", "tell"])
def test_a_raw_file_has_to_be_readable_and_seekable(user, context, lacks):
    methods = {name: getattr(io.BytesIO(RED), name) for name in ("read", "seek", "tell") if name != lacks}
    with pytest.raises(TypeError, match=rf"has no {lacks}\(\)"):
        user.picture.from_raw_file(type("File", (), methods)())


@pytest.mark.parametrize(
    ("known", "error"),
    [
        ({"size": (0, 5)}, ValueError),
        ({"size": (5, -1)}, ValueError),
        ({"size": (5.0, 5)}, TypeError),
        ({"size": (True, 5)}, TypeError),
        ({"size": ("5", "5")}, TypeError),
        ({"size": (5,)}, ValueError),
        ({"size": 5}, TypeError),
        ({"mimetype": b"image/png"}, TypeError),
        ({"mimetype": 5}, TypeError),
    ],
)
def test_a_size_or_a_type_that_cannot_be_is_refused(session, user, context, known, error):
    user.picture.from_blob(RED)
    session.commit()
    with pytest.raises(error):
        user.picture.from_raw_file(io.BytesIO(GREEN), **{"size": (5, 5), "mimetype": "image/png", **known})
    session.commit()
    assert user.picture.make_blob() == RED


# Values beside the image


def test_arguments_for_the_constructor_are_passed_on_and_left_alone(session, user, context):
    extra_args: list[object] = []
    extra_kwargs = {"caption": "red"}
    for attach in (
        lambda **extra: user.picture.from_blob(RED, **extra),
        lambda **extra: user.picture.from_file(io.BytesIO(RED), **extra),
        lambda **extra: user.picture.from_raw_file(io.BytesIO(RED), **extra),
    ):
        assert attach(extra_args=extra_args, extra_kwargs=extra_kwargs).caption == "red"
        session.commit()
        assert user.picture.original.caption == "red"
    assert (extra_args, extra_kwargs) == ([], {"caption": "red"})


def test_positional_arguments_reach_a_constructor_that_takes_them(engine, make_session, store):
    Base = declarative_base()

    class Person(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("PersonPicture")
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        person_id = Column(Integer, ForeignKey("person.id"), primary_key=True)
        caption = Column(Unicode(50), nullable=False)
        __tablename__ = "person_picture"

        def __init__(self, caption: str = "nothing", *, name: str = "") -> None:
            self.caption = f"{caption} of {name}"

    Base.metadata.create_all(engine)
    session = make_session(info={"image_store": store})
    session.add(person := Person())
    person.picture.from_blob(RED, extra_args=["picture"], extra_kwargs={"name": "somebody"})
    thumbnail = person.picture.generate_thumbnail(width=8)
    session.commit()
    assert person.picture.original.caption == thumbnail.caption == "picture of somebody"


def test_an_owner_among_the_arguments_is_no_second_owner(session, user, context):
    user.picture.from_blob(RED, extra_kwargs={"user": user})
    user.picture.from_blob(GREEN, extra_kwargs={"user": user, "user_id": user.id})
    assert user.picture.count() == 1
    session.commit()
    assert user.picture.make_blob() == GREEN
    assert session.query(UserPicture).count() == 1


@pytest.mark.parametrize("extra", [{"extra_kwargs": {"nonsense": 1}}, {"extra_args": [1, 2, 3]}])
def test_arguments_that_the_constructor_does_not_take_are_refused(session, user, context, extra):
    user.picture.from_blob(RED)
    session.commit()
    with pytest.raises(TypeError):
        user.picture.from_blob(GREEN, **extra)
    session.commit()
    assert user.picture.make_blob() == RED


def test_what_the_image_is_cannot_be_overridden_by_arguments(session, user, context):
    extra = {"width": 1, "height": 1, "mimetype": "image/gif", "original": False, "user_id": user.id + 1}
    image = user.picture.from_blob(RED, extra_kwargs=extra)
    session.commit()
    assert (*image.size, image.mimetype, image.original, image.user_id) == (64, 48, "image/png", True, user.id)


def test_the_time_of_an_image_is_now_or_what_the_caller_says(session, user, context):
    before = datetime.datetime.now(datetime.UTC)
    assert before <= user.picture.from_blob(RED).created_at <= datetime.datetime.now(datetime.UTC)
    then = datetime.datetime(2013, 5, 31, 12, tzinfo=datetime.UTC)
    user.picture.from_blob(GREEN, extra_kwargs={"created_at": then})
    session.commit()
    assert user.picture.original.created_at.replace(tzinfo=datetime.UTC) == then
    assert user.picture.locate().endswith("?_ts=20130531120000000000")


# Policies


def test_a_policy_of_the_call_or_of_the_attribute_says_what_is_accepted(engine, make_session, store):
    Base = declarative_base()
    policy = ImagePolicy(types=frozenset({"image/png"}), min_side=48, max_aspect_ratio=1.5)

    class Person(Base):
        id = Column(Integer, primary_key=True)
        picture = image_attachment("PersonPicture", policy=policy)
        __tablename__ = "person"

    class PersonPicture(Base, Image):
        person_id = Column(Integer, ForeignKey("person.id"), primary_key=True)
        __tablename__ = "person_picture"

    Base.metadata.create_all(engine)
    session: Session = make_session(info={"image_store": store})
    session.add(person := Person())
    person.picture.from_blob(RED)
    for refused in (picture(format="JPEG"), picture(64, 47), picture(80, 50)):
        with pytest.raises(InvalidImageError):
            person.picture.from_blob(refused)
    with pytest.raises(InvalidImageError):
        person.picture.from_blob(GREEN, policy=ImagePolicy(max_bytes=10))
    assert person.picture.make_blob() == RED
    # What a policy wishes is asked once: thumbnails may be as small as one likes, of any original.
    person.picture.from_blob(picture(30, 10, format="JPEG"), policy=ImagePolicy())
    assert person.picture.generate_thumbnail(width=3).size == (3, 1)
    session.commit()
    assert person.picture.original.mimetype == "image/jpeg"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_pictures_of_many_users_are_replaced_without_a_query_for_each(session, context, store, statements):
    session.add_all(users := [User() for _ in range(60)])
    for user in users:
        user.picture.from_blob(picture(color=1))
    session.commit()
    counts = []
    for some in (users[:20], users):
        for user in session.scalars(select(User).options(selectinload(User.picture))).unique():
            if user in some:
                user.picture.from_blob(picture(color=2))
        with statements() as seen:
            session.flush()
        counts.append(len(seen))
    session.commit()
    assert counts[0] == counts[1] < 10
    assert list(stored(store).values()) == [picture(color=2)] * 60


def test_photos_are_added_to_an_album_without_a_query_for_each(session, context, statements):
    session.add(album := Album())
    session.commit()
    counts = []
    for positions in (range(10), range(10, 60)):
        for position in positions:
            album.photos.get_image_set(position=position).from_blob(picture(color=position))
        with statements() as seen:
            session.flush()
        counts.append(len(seen))
    assert counts[0] == counts[1] < 10


def test_an_upload_whose_read_is_awaited_is_read_as_it_is(session, user, store):
    user.picture.from_file(UploadFile(io.BytesIO(RED), filename="red.png"), store=store)
    session.commit()
    assert user.picture.make_blob(store) == RED


def test_the_time_of_an_image_is_of_a_plain_function_that_other_tools_call():
    default = UserPicture.__table__.c.created_at.default
    assert default.is_callable
    assert default.arg(None).tzinfo is datetime.UTC
