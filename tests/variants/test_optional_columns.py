from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import PIL.Image
import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

import databases
from models import picture
from sqlalchemy_imageattach.context import store_context
from sqlalchemy_imageattach.entity import Focal, Frames, Image, ImageSet, Placeholder, image_attachment


class Base(DeclarativeBase):
    pass


class ImageSetRef(Base):
    __tablename__ = "place"

    id: Mapped[int] = mapped_column(primary_key=True)
    view: Mapped[ImageSet[View]] = image_attachment("View")


class View(Base, Image, Focal, Frames, Placeholder):
    __tablename__ = "view"

    place_id: Mapped[int] = mapped_column(ForeignKey("place.id"), primary_key=True)
    place: Mapped[ImageSetRef] = relationship(back_populates="view")


@pytest.fixture
def place(store: Any) -> Iterator[ImageSetRef]:
    engine = databases.make_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session, store_context(store):
        session.add(place := ImageSetRef())
        session.flush()
        yield place
        session.rollback()
    engine.dispose()


def noise(mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    PIL.Image.effect_noise((300, 200), 90).convert(mode).save(file, "PNG")
    return file.getvalue()


def test_a_placeholder_is_made_when_attaching(place: ImageSetRef) -> None:
    view = place.view.from_blob(picture(640, 480, 0xC06030, "JPEG"))
    assert view.placeholder
    with PIL.Image.open(io.BytesIO(view.placeholder)) as image:
        assert (image.format, image.size) == ("WEBP", (16, 12))
    assert re.fullmatch("#3[0-2][56].c[0-2]", view.average_color or "")


def test_a_placeholder_has_less_than_200_bytes(place: ImageSetRef) -> None:
    assert 0 < len(place.view.from_blob(noise()).placeholder or b"") < 200


def test_what_is_transparent_has_no_placeholder(place: ImageSetRef) -> None:
    file = io.BytesIO()
    PIL.Image.new("RGBA", (60, 60), (255, 0, 0, 254)).save(file, "PNG")
    view = place.view.from_blob(file.getvalue())
    assert (view.placeholder, view.average_color, view.placeholder_url, view.placeholder_style) == 4 * (None,)
    assert view.placeholder_img() == ""


def test_a_placeholder_is_shown_with_and_without_a_style(place: ImageSetRef) -> None:
    view = place.view.from_blob(picture(640, 480, 0xC06030, "JPEG"))
    assert f"{view.average_color} url({view.placeholder_url})" in place.view.responsive(alt="", placeholder=True)
    assert "style" not in place.view.responsive(alt="")
    assert view.placeholder_img() == (
        f'<img src="{view.placeholder_url}" alt="" aria-hidden="true" class="placeholder">'
    )


def test_a_still_that_is_known_to_be_one_is_offered_as_avif(place: ImageSetRef) -> None:
    assert place.view.from_blob(picture(64, 48, 1, "PNG")).frames == 1
    place.view.from_blob(picture(64, 48, 1, "PNG"))
    assert "image/avif" in place.view.responsive(alt="")
    file = io.BytesIO()
    frames = [PIL.Image.new("RGB", (64, 48), (40 * number, 0, 0)) for number in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert place.view.from_blob(file.getvalue()).frames == 3
    assert "image/avif" not in place.view.responsive(alt="")


def test_a_crop_keeps_the_focal_point_and_a_moved_point_is_another_url(place: ImageSetRef) -> None:
    view = place.view.from_blob(picture(640, 480))
    place.view  # noqa: B018
    square: dict[str, Any] = {"ratio": "1/1", "fit": "cover"}
    before = place.view.variant(**square)
    view.focal_point = (0.9, 0.5)
    after = place.view.variant(**square)
    assert (before.recipe.window, after.recipe.window) == ((80, 0, 480, 480), (160, 0, 480, 480))
    assert before.locate() != after.locate()
    view.focal_point = None
    assert place.view.variant(**square) == before


@pytest.mark.parametrize(("point", "error"), [((2, 0), ValueError), (("a", "b"), TypeError), ((True, 0), TypeError)])
def test_a_wrong_focal_point_is_refused(point: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        View().focal_point = point


def test_alembic_sees_plain_columns() -> None:
    columns = View.__table__.columns
    added = ["focal_x", "focal_y", "frames", "placeholder", "average_color"]
    assert all(columns[name].nullable and columns[name].default is None for name in added)
