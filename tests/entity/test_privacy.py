"""Originals are stored as they came, or without what they tell of people and places."""

from __future__ import annotations

import io

import PIL.Image
import pytest

from models import User
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import ImagePolicy
from sqlalchemy_imageattach.stores.memory import MemoryStore

PRIVATE = ImagePolicy(strip_metadata=True)


def photograph(format: str = "JPEG") -> bytes:
    """A picture that tells who made it."""
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x013B] = "somebody"
    PIL.Image.new("RGB", (64, 48)).save(file, format, exif=exif)
    return file.getvalue()


def test_an_original_is_stored_byte_for_byte():
    user, blob = User(), photograph()
    user.picture.from_blob(blob, store=MemoryStore())
    assert user.picture.make_blob() == blob


@pytest.mark.parametrize("known", [{}, {"size": (64, 48), "mimetype": "image/jpeg"}], ids=["probed", "as told"])
def test_an_original_is_stored_without_metadata_where_that_is_wanted(known):
    user = User()
    user.picture.from_raw_file(io.BytesIO(photograph()), MemoryStore(), policy=PRIVATE, **known)
    assert b"somebody" not in user.picture.make_blob()
    assert user.picture.original.size == (64, 48)


def test_a_type_of_which_metadata_cannot_be_removed_is_refused_then():
    user = User()
    with pytest.raises(InvalidImageError, match="image/tiff"):
        user.picture.from_blob(photograph("TIFF"), store=MemoryStore(), policy=PRIVATE)
    assert not user.picture
