"""A result is of the kind of its original, and weighs accordingly."""

from __future__ import annotations

import io

import pictures
import pytest
from PIL import Image, ImageDraw

from sqlalchemy_imageattach.imaging import probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard
from sqlalchemy_imageattach.imaging.formats import read_header


@pytest.fixture(params=["libvips", "pillow"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pillow":
        monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
    return str(request.param)


def drawing() -> Image.Image:
    """Lines and letters, as of a chart or a scanned page."""
    image = Image.new("RGB", (600, 400), "white")
    draw = ImageDraw.Draw(image)
    for index in range(30):
        draw.line((0, index * 17, 600, index * 13), fill=(index * 8, 100, 200))
        draw.text((10 + index * 15, index * 13), "The quick brown fox", fill="black")
    return image


def made(data: bytes, scale: int = 2) -> io.BytesIO:
    info = probe(io.BytesIO(data))
    return io.BytesIO(resize(io.BytesIO(data), info, info.width // scale, info.height // scale).file.read())


@pytest.mark.parametrize("colors", [2, 16, 64, 256])
def test_few_colours_stay_few_at_half_the_size(colors: int, by: str) -> None:
    image = drawing().convert("1", dither=Image.Dither.NONE) if colors == 2 else drawing().quantize(colors)
    original = pictures.saved(image, "image/png", optimize=True).getvalue()
    half = made(original)
    # Pillow needs more colours to come as near.
    assert len(half.getvalue()) < (1.5 if by == "libvips" else 1.8) * len(original)
    with Image.open(half) as result:
        assert result.mode == "P"


def test_a_page_of_one_bit_is_of_few_bits_at_its_own_size(by: str) -> None:
    original = pictures.saved(drawing().convert("1"), "image/png").getvalue()
    assert len(made(original, 1).getvalue()) < 1.5 * len(original)


def test_what_has_lost_nothing_loses_nothing(by: str) -> None:
    image = drawing()
    original = pictures.saved(image, "image/webp", lossless=True)
    with Image.open(made(original.getvalue(), 1)) as result:
        assert result.convert("RGB").tobytes() == image.tobytes()


@pytest.mark.parametrize(("quality", "most"), [(30, 30), (75, 75), (98, 85)])
def test_quality_is_that_of_the_original_and_85_at_most(quality: int, most: int, by: str) -> None:
    original = pictures.saved(drawing(), "image/jpeg", quality=quality).getvalue()
    assert read_header(memoryview(made(original).getvalue()), "image/jpeg").quality == pytest.approx(most, abs=1)


def test_the_quality_of_a_webp_is_kept_as_well(by: str) -> None:
    image = drawing()
    # Parts of a picture have qualities of their own, and so this is an estimate.
    weights = [
        len(made(pictures.saved(image, "image/webp", quality=quality).getvalue()).getvalue())
        for quality in (20, 75, 100)
    ]
    assert weights[0] < 0.8 * weights[1] < weights[1] < weights[2]
    exact = pictures.saved(image.resize((300, 200), Image.Resampling.LANCZOS), "image/webp", quality=100, method=2)
    assert weights[2] < 0.8 * len(exact.getvalue())


def test_colours_are_made_few_only_where_the_result_is_heavy_otherwise(by: str) -> None:
    original = pictures.saved(pictures.noise(256, 256).quantize(256), "image/png").getvalue()
    half = made(original)
    assert len(half.getvalue()) < 1.3 * len(original)
    with Image.open(half) as result:
        assert result.mode == "RGB"
