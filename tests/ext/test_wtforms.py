"""A file field that knows what its attribute accepts."""

from __future__ import annotations

import io

import pytest
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile
from werkzeug.datastructures import FileStorage, MultiDict
from wtforms import Form
from wtforms.validators import InputRequired

from databases import make_engine
from ext.application import Base, User
from models import picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.ext.wtforms import ImageField
from sqlalchemy_imageattach.stores.memory import MemoryStore


class ProfileForm(Form):
    picture = ImageField("Picture", attribute=User.picture)


class StrictForm(Form):
    picture = ImageField("Picture", [InputRequired()], attribute=User.picture)


@pytest.fixture
def user():
    engine = make_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session, store_context(MemoryStore()):
        session.add(user := User())
        user.picture.from_blob(picture())
        session.commit()
        yield user
    engine.dispose()


def filled(content=None, filename="a.png", **others):
    files = {} if content is None else {"picture": FileStorage(io.BytesIO(content), filename)}
    return MultiDict({**files, **others})


def test_the_chooser_offers_what_the_policy_accepts():
    assert 'accept="image/jpeg,image/png"' in ProfileForm().picture()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "This file is not an image."),
        (b"", "This file is empty."),
        (picture(format="GIF"), "Images of this type are not accepted."),
        (picture(format="PNG")[:-20], "This image is incomplete."),
        (picture(format="PNG") + bytes(20_000), "This file is too large."),
    ],
)
def test_what_the_attribute_would_refuse_is_refused_with_a_sentence(content, message):
    form = ProfileForm(filled(content))
    assert not form.validate()
    assert form.errors == {"picture": [message]}


def test_there_is_a_sentence_for_every_reason_that_an_upload_may_have():
    assert ImageField.messages.keys() == InvalidImageError.REASONS - {"target_too_large"}


@pytest.mark.parametrize("make", [FileStorage, UploadFile])
def test_what_was_accepted_is_attached_whole(user, make):
    upload = make(io.BytesIO(picture(color=1)), filename="a")
    form = ProfileForm(MultiDict({"picture": upload}), obj=user)
    assert form.validate()
    form.populate_obj(user)
    assert user.picture.make_blob() == picture(color=1)


@pytest.mark.parametrize("sent", [filled(), filled(b"", ""), MultiDict({"picture": "a.png"})])
def test_a_form_without_a_file_leaves_the_picture(user, sent):
    form = ProfileForm(sent, obj=user)
    assert form.validate()
    form.populate_obj(user)
    assert user.picture.make_blob() == picture()


def test_a_picture_is_shown_and_removed_where_that_was_asked_for(user):
    shown = ProfileForm(obj=user).picture()
    assert (user.picture.locate().replace("&", "&amp;") in shown, 'name="picture-remove"' in shown) == (True, True)
    ProfileForm(MultiDict({"picture-remove": "y"}), obj=user).populate_obj(user)
    assert not user.picture


def test_an_upload_counts_more_than_the_removal(user):
    form = ProfileForm(filled(picture(color=1), **{"picture-remove": "y"}), obj=user)
    form.populate_obj(user)
    assert user.picture.make_blob() == picture(color=1)


def test_a_required_picture_may_be_there_already_and_is_not_removed(user):
    assert not StrictForm(filled()).validate()
    assert StrictForm(filled(picture())).validate()
    form = StrictForm(MultiDict({"picture-remove": "y"}), obj=user)
    assert form.validate()
    form.populate_obj(user)
    assert user.picture
    assert "required" in StrictForm().picture()
    assert "required" not in form.picture()
