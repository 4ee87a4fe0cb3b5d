"""The header of a picture is read once, whatever is made of it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from models import Base, User, UserPicture, picture
from sqlalchemy_imageattach.bulk.thumbnails import make_thumbnails
from sqlalchemy_imageattach.imaging import ImagePolicy, formats
from sqlalchemy_imageattach.stores.memory import MemoryStore
from sqlalchemy_imageattach.variants import making
from sqlalchemy_imageattach.variants.recipe import Recipe

STORE = MemoryStore()


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine, info={"image_store": STORE}) as session:
        yield session
    engine.dispose()


@pytest.fixture
def user(session: Session) -> User:
    """A user whose picture is stored, and as another process would find it."""
    session.add(user := User(id=1))
    user.picture.from_blob(picture())
    session.commit()
    return user


@pytest.fixture
def reads(user: User, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many headers of each type were read since the picture was stored."""
    counter: Counter[str] = Counter()

    def counting(mimetype: str, read):
        def counted(data: memoryview):
            counter[mimetype] += 1
            return read(data)

        return counted

    for mimetype, read in list(formats._READERS.items()):
        monkeypatch.setitem(formats._READERS, mimetype, counting(mimetype, read))
    return counter


def test_an_upload_s_header_is_read_once(user: User, reads: Counter[str]) -> None:
    user.picture.from_blob(picture(color=1))
    assert reads == {"image/png": 1}


def test_a_thumbnail_reads_the_header_of_its_original_once(user: User, session: Session, reads: Counter[str]) -> None:
    user.picture.generate_thumbnail(width=32)
    session.commit()
    assert reads == {"image/png": 1}


def test_thumbnails_of_all_originals_read_each_header_once_for_all_sizes(session: Session, reads: Counter[str]) -> None:
    made = list(make_thumbnails(session, UserPicture, STORE, widths=[8, 16, 32]))
    assert [len(thumbnails) for _, thumbnails in made] == [3]
    assert reads == {"image/png": 1}


def test_a_variant_reads_the_header_of_its_original_once(reads: Counter[str]) -> None:
    recipe = Recipe(16, 16, "image/webp", quality=80, attention=True)
    making.make(io.BytesIO(picture()), recipe, (64, 48), ImagePolicy()).close()
    assert reads == {"image/png": 1}
