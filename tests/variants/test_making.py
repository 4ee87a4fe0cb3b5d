from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageCms

from sqlalchemy_imageattach.imaging import ImagePolicy, probe
from sqlalchemy_imageattach.variants.making import make
from sqlalchemy_imageattach.variants.recipe import Recipe

NOISE = Image.effect_noise((120, 80), 60).convert("RGB")


def jpeg(quality: int = 40, **options: Any) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def made(content: bytes, recipe: Recipe, size: tuple[int, int] = (120, 80)) -> bytes:
    with make(io.BytesIO(content), recipe, size, ImagePolicy()) as file:
        return file.read()


SAME = Recipe(120, 80, "image/jpeg", quality=80)


def test_the_original_s_own_bytes_are_taken_where_nothing_is_lost_or_told() -> None:
    assert made(jpeg(), SAME) == jpeg()


@pytest.mark.parametrize(
    "recipe",
    [
        SAME._replace(width=60, height=40),
        SAME._replace(window=(0, 0, 119, 80)),
        SAME._replace(mimetype="image/webp"),
        SAME._replace(background="ffffff"),
    ],
)
def test_another_size_part_or_type_is_made(recipe: Recipe) -> None:
    assert made(jpeg(), recipe) != jpeg()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112 if orientation > 1 else 0x010F] = orientation if orientation > 1 else "camera"
    return exif


@pytest.mark.parametrize(
    "content",
    [
        jpeg(exif=_exif(3)),
        jpeg(exif=_exif(1)),
        jpeg(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()),
        jpeg(comment=b"told"),
        jpeg(quality=98),
    ],
    ids=["turned", "camera", "profile", "comment", "heavier"],
)
def test_what_is_turned_coloured_told_or_heavier_is_made_anew(content: bytes) -> None:
    anew = made(content, SAME)
    assert anew != content
    assert b"Exif" not in anew


def test_a_row_that_says_another_size_than_its_file_gets_no_squashed_picture() -> None:
    content = io.BytesIO()
    image = Image.new("RGB", (80, 120), "white")
    image.paste("red", (0, 40, 80, 80))
    image.save(content, "PNG")
    blob = made(content.getvalue(), Recipe(60, 40, "image/png"), (120, 80))
    with Image.open(io.BytesIO(blob)) as shown:
        assert shown.size == (60, 40)
        assert shown.convert("RGB").getpixel((30, 20)) == (255, 0, 0)
    assert probe(io.BytesIO(blob)).width == 60
