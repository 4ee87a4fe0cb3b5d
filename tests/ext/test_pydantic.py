"""Images in the answers of APIs."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy.orm import Session

from databases import make_engine
from ext.application import Base, User
from models import picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.ext.pydantic import ImageOut, ImagesOut
from sqlalchemy_imageattach.stores.memory import MemoryStore


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str
    picture: ImageOut | None
    photos: ImagesOut


@pytest.fixture
def user():
    engine, store = make_engine("sqlite://"), MemoryStore("https://images.example/")
    Base.metadata.create_all(engine)
    with Session(engine) as session, store_context(store):
        session.add(user := User())
        session.flush()
        yield user
    engine.dispose()


def test_a_picture_is_described_with_its_thumbnails_the_narrowest_first(user):
    user.picture.from_blob(picture(640, 480))
    thumbnails = [user.picture.generate_thumbnail(width=width) for width in (320, 32)]
    answer = UserOut.model_validate(user).picture
    assert answer is not None
    assert (answer.url, answer.width, answer.height, answer.type) == (user.picture.locate(), 640, 480, "image/png")
    assert [(each.url, each.width, each.height) for each in answer.thumbnails] == [
        (image.locate(), *image.size) for image in reversed(thumbnails)
    ]


def test_no_picture_is_null(user):
    assert UserOut.model_validate(user).model_dump() == {"name": "Ada", "picture": None, "photos": []}


def test_each_photo_of_many_is_described(user):
    for number in (1, 2):
        photo = user.photos.get_image_set(id=number)
        photo.from_blob(picture(64, 48, number))
        photo.generate_thumbnail(width=8)
    answer = UserOut.model_validate(user).photos
    assert [each.url for each in answer] == [photo.locate() for photo in user.photos.image_sets]
    assert [len(each.thumbnails) for each in answer] == [1, 1]


def test_what_was_described_is_read_back(user):
    user.picture.from_blob(picture())
    answer = UserOut.model_validate(user)
    assert UserOut.model_validate_json(answer.model_dump_json()) == answer


def test_the_schema_says_that_a_picture_may_be_null():
    schema = UserOut.model_json_schema(mode="serialization")
    assert schema["properties"]["picture"] == {"anyOf": [{"$ref": "#/$defs/ImageOut"}, {"type": "null"}]}
    assert schema["$defs"]["ImageOut"]["required"] == ["url", "width", "height", "type", "thumbnails"]
    assert TypeAdapter(ImagesOut).json_schema()["items"] == {"$ref": "#/$defs/ImageOut"}
