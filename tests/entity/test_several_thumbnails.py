"""Several sizes of an original at once."""

from __future__ import annotations

import pytest

from models import UserPicture, picture
from sqlalchemy_imageattach.exc import InvalidImageError


@pytest.fixture
def user(session, user, context):
    """A user with a picture of 64 x 48 pixels."""
    user.picture.from_blob(picture(color=255))
    session.commit()
    return user


def test_images_come_in_the_order_of_the_sizes(session, user):
    made = user.picture.generate_thumbnails([{"width": 8}, {"ratio": 1}, {"height": 24}])
    session.commit()
    assert [image.size for image in made] == [(8, 6), (64, 48), (32, 24)]


def test_equal_sizes_are_one_row(session, user):
    one, same, other_name = user.picture.generate_thumbnails([{"width": 32}, {"width": 32}, {"ratio": 0.5}])
    session.commit()
    assert one is same is other_name
    assert session.query(UserPicture).count() == 2


def test_what_is_there_is_found(session, user):
    small = user.picture.generate_thumbnail(width=8)
    session.commit()
    assert user.picture.generate_thumbnails([{"height": 24}, {"width": 8}])[1] is small


def test_no_sizes_are_no_images(user):
    assert user.picture.generate_thumbnails([]) == []


def test_each_is_what_is_made_alone(session, user):
    together = [image.make_blob() for image in user.picture.generate_thumbnails([{"width": 8}, {"width": 32}])]
    session.rollback()
    assert together == [user.picture.generate_thumbnail(width=width).make_blob() for width in (8, 32)]


@pytest.mark.parametrize("size", [{}, {"width": 8, "height": 6}, {"size": 8}, 8, {"width": 8.5}])
def test_what_is_no_size_is_refused_before_any_is_made(session, user, size):
    with pytest.raises(TypeError):
        user.picture.generate_thumbnails([{"width": 8}, size])
    assert not session.new


def test_a_size_that_cannot_be_made_leaves_the_others_unmade(session, user):
    with pytest.raises(InvalidImageError):
        user.picture.generate_thumbnails([{"width": 8}, {"width": 1_000_000}])
    assert not session.new


def test_the_original_is_opened_once(monkeypatch, user):
    opened = []
    open_file = UserPicture.open_file
    monkeypatch.setattr(UserPicture, "open_file", lambda *args, **named: opened.append(1) or open_file(*args, **named))
    user.picture.generate_thumbnails([{"width": 8}, {"width": 16}, {"width": 32}])
    assert len(opened) == 1
