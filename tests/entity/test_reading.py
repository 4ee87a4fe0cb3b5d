"""An image is read, located and shown before its row is flushed, after that, detached, and outside of any context."""

from __future__ import annotations

import datetime
import io
import re

import pytest
from markupsafe import escape
from sqlalchemy.orm import Session

from models import Album, User, UserPicture, picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.exc import ImageNotFoundError
from sqlalchemy_imageattach.stores.memory import MemoryStore

RED, GREEN = picture(color=255), picture(color=255 << 8)
LARGE = picture(1200, 900, format="BMP")

every_database = pytest.mark.parametrize("database_url", ["sqlite", "postgresql", "mariadb"], indirect=True)


# When


@pytest.mark.parametrize("content", [RED, LARGE], ids=["small", "large"])
def test_an_image_can_be_read_at_any_time(session, user, store, content):
    image = user.picture.from_blob(content, store)
    assert image.make_blob() == user.picture.make_blob() == content  # before the flush
    session.flush()
    assert image.make_blob() == content
    session.commit()
    assert image.make_blob() == content
    session.refresh(image)
    session.expunge(image)
    assert image.make_blob(store) == content


def test_a_transient_image_can_be_read(store):
    user = User()
    user.picture.from_blob(RED, store)
    assert user.picture.make_blob() == user.picture.original.make_blob(store) == RED
    assert (user.picture.width, user.picture.height) == (64, 48)


def test_an_image_is_read_in_the_session_that_stored_it_without_any_context(session, user, store):
    user.picture.from_blob(RED, store)
    user.picture.generate_thumbnail(width=8, store=store)
    session.commit()
    session.expunge_all()
    user = session.query(User).one()
    assert user.picture.make_blob() == RED
    assert user.picture.find_thumbnail(width=8).locate().startswith("https://example.com/")
    assert user.picture.generate_thumbnail(width=4).make_blob()


def test_a_new_owners_picture_is_never_another_ones(session, user, context):
    user.picture.from_blob(RED)
    session.commit()
    for owner in (User(), User(id=user.id), User(id=None)):
        assert owner.picture.original is None
        assert not owner.picture
        with pytest.raises(ImageNotFoundError, match="there is no original image yet"):
            owner.picture.locate()


def test_a_pending_owners_picture_is_never_another_ones(session, user, context):
    user.picture.from_blob(RED)
    session.add(newcomer := User())
    assert newcomer.picture.original is None
    newcomer.picture.from_blob(GREEN)
    assert newcomer.picture.make_blob() == GREEN
    assert user.picture.make_blob() == RED


def test_an_image_that_is_not_in_the_store_that_is_asked_is_not_found(session, user, store):
    image = user.picture.from_blob(RED, store)
    session.commit()
    with pytest.raises(OSError, match="no such file"):
        image.make_blob(MemoryStore())
    with pytest.raises(OSError, match="no such file"):
        user.picture.generate_thumbnail(width=8, store=MemoryStore())
    assert user.picture.count() == 1


def test_reading_what_has_lost_its_file_is_the_only_thing_that_fails(session, user, context, store):
    image = user.picture.from_blob(RED)
    session.commit()
    store.delete(image)
    assert session.query(UserPicture).one().size == (64, 48)
    assert user.picture.locate()
    with pytest.raises(ImageNotFoundError):
        user.picture.make_blob()
    user.picture.from_blob(GREEN)
    session.commit()
    assert user.picture.make_blob() == GREEN


def test_a_thumbnail_is_made_of_an_original_that_is_not_stored_yet(user, context):
    user.picture.from_blob(RED)
    assert user.picture.generate_thumbnail(width=8).make_blob()


# How


@pytest.mark.parametrize("content", [RED, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("is_stored", [False, True], ids=["pending", "stored"])
def test_an_open_file_is_a_context_manager_an_iterator_and_seekable_if_wanted(
    session, user, context, content, is_stored
):
    image = user.picture.from_blob(content)
    if is_stored:
        session.commit()
    for opened in (user.picture, image):
        with opened.open_file() as file:
            assert b"".join(file) == content
        with opened.open_file(use_seek=True) as file:
            file.seek(3)
            assert file.tell() == 3
            assert file.read(4) == content[3:7]


def test_two_readers_of_a_pending_image_do_not_disturb_each_other(user, context):
    user.picture.from_blob(LARGE)
    with user.picture.open_file() as one, user.picture.open_file() as other:
        assert one.read(10) == other.read(10) == LARGE[:10]
        assert one.read() == other.read() == LARGE[10:]
    assert user.picture.make_blob() == LARGE


def test_a_file_that_is_being_read_survives_the_commit(session, user, context):
    user.picture.from_blob(LARGE)
    with user.picture.open_file() as file:
        file.read(10)
        session.commit()
        assert file.read() == LARGE[10:]


# Where


def test_a_url_names_the_image_its_size_its_revision_and_its_time(session, user, context):
    image = user.picture.from_blob(RED)
    session.commit()
    pattern = rf"https://example\.com/user-picture/{user.id}/0/{user.id}\.64x48\.{image.revision}\.png\?_ts=\d{{20}}"
    assert re.fullmatch(pattern, image.locate())
    assert user.picture.locate() == image.locate()


@every_database
def test_a_url_stays_what_it_was_when_it_is_committed_and_loaded_again(session, user, context):
    image = user.picture.from_blob(RED)
    before = image.locate()
    session.commit()
    assert image.locate() == before
    session.expunge_all()
    assert session.query(UserPicture).one().locate() == before


@every_database
def test_an_image_that_is_replaced_at_once_has_another_url(session, user, context, own_store):
    urls = []
    for blob in (RED, GREEN):
        user.picture.from_blob(blob, own_store)
        session.commit()
        session.expire_all()
        urls.append(user.picture.locate(own_store))
    assert len(set(urls)) == 2


def test_the_time_in_a_url_is_in_utc_and_follows_a_query(own_store):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    image = UserPicture(user_id=1, width=2, height=3, mimetype="image/png")
    image.created_at = datetime.datetime(2013, 8, 26, 1, 2, 3, 4, zone)
    assert image.locate(own_store) == (
        "https://own.example.com/user-picture/1/2x3?type=image/png&_ts=20130825230203000004"
    )


@pytest.mark.parametrize("is_new", [False, True], ids=["persistent", "pending"])
def test_a_thumbnail_can_be_located_as_soon_as_it_is_made(session, user, context, is_new):
    if is_new:
        session.add(user := User(name="new"))
    user.picture.from_blob(RED)
    for wanted in ({"width": 32}, {"height": 12}, {"ratio": 0.5}):
        thumbnail = user.picture.generate_thumbnail(**wanted)
        url = thumbnail.locate()
        session.commit()
        assert thumbnail.locate() == url


def test_locating_needs_no_flush_where_the_owners_key_is_known(session, user, context, statements):
    assert not user.picture
    with statements() as seen, session.no_autoflush:
        url = user.picture.from_blob(RED).locate()
        assert user.picture.generate_thumbnail(width=8).locate()
    assert seen == []
    session.commit()
    assert user.picture.locate() == url


def test_locating_what_has_no_key_yet_says_what_to_do(session, context):
    owner = User()
    owner.picture.from_blob(RED)
    thumbnail = owner.picture.generate_thumbnail(width=8)
    for image in (owner.picture, thumbnail):
        with pytest.raises(ValueError, match=r"user_id is not known yet.*add the entity to a session and flush\(\)"):
            image.locate()
    session.add(owner)
    assert thumbnail.locate()


def test_without_autoflush_locating_what_has_no_key_yet_says_what_to_do(make_session, session, context):
    with Session(session.get_bind(), autoflush=False) as session:
        session.add(owner := User())
        owner.picture.from_blob(RED)
        with pytest.raises(ValueError, match="is not known yet"):
            owner.picture.locate()
        session.flush()
        assert owner.picture.locate()


def test_an_object_id_of_the_models_own_may_need_a_key_that_is_not_known_yet(session, context):
    album = Album()
    photo = album.photos.get_image_set(position=1).from_blob(RED)
    with pytest.raises(ValueError, match="album_id is not known yet"):
        photo.locate()
    session.add(album)
    url = photo.locate()
    assert f"/{album.id * 1000 + 1}." in url


# In HTML


def test_an_image_is_html_as_the_guide_expands_it(session, user, context):
    user.picture.from_blob(RED)
    thumbnail = user.picture.generate_thumbnail(width=8)
    session.commit()
    for image in (user.picture, thumbnail):
        expected = f'<img src="{image.locate()}" width="{image.width}" height="{image.height}">'
        assert image.__html__() == escape(image) == expected


def test_what_is_html_is_escaped(user, store):
    store.base_url = 'https://example.com/?a="><script>&b='
    with store_context(store):
        user.picture.from_blob(RED)
        user.picture.original.revision = None
        assert user.picture.__html__().startswith(
            '<img src="https://example.com/?a=&#34;&gt;&lt;script&gt;&amp;b=user-picture/'
        )
        assert "<script>" not in user.picture.img(alt='"><script>')


def test_no_image_is_no_html(user):
    assert user.picture.__html__() == user.picture.img(alt="nobody") == escape(user.picture) == ""
    assert not user.picture


def test_an_image_makes_its_own_element(session, user, context):
    user.picture.from_blob(RED)
    url = user.picture.locate()
    expected = f'<img src="{url}" width="64" height="48" alt="A cat" loading="lazy" decoding="async" class="round">'
    assert user.picture.img(alt="A cat", class_="round") == user.picture.original.img(alt="A cat", class_="round")
    assert user.picture.img(alt="A cat", class_="round") == expected


def test_templates_render_sets_and_images(session, user, context):
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(autoescape=True)
    template = environment.from_string(
        '{{ user.picture }}|{{ user.picture.find_thumbnail(8) }}|<img src="{{ user.picture.locate() }}" '
        'width="{{ user.picture.width }}" height="{{ user.picture.height }}">|{% if not empty.picture %}none{% endif %}'
    )
    user.picture.from_blob(RED)
    thumbnail = user.picture.generate_thumbnail(width=8)
    original = user.picture.__html__()
    rendered = template.render(user=user, empty=User())
    assert rendered == f"{original}|{thumbnail.__html__()}|{original}|none"


def test_a_copy_can_be_made_with_the_guides_two_lines(session, user, context):
    from shutil import copyfileobj

    user.picture.from_blob(RED)
    destination = io.BytesIO()
    with user.picture.open_file() as file:
        copyfileobj(file, destination)
    assert destination.getvalue() == RED
