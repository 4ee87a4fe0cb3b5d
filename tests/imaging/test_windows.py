from __future__ import annotations

import pictures
import pytest
from PIL import Image

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import ImagePolicy, attention, probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard


@pytest.fixture(params=["libvips", "pillow"], autouse=True)
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each rule holds whichever engine does the work; without libvips it is Pillow."""
    if request.param == "pillow":
        monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
    return str(request.param)


def colour(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    return tuple(255 * round(band / 255) for band in image.convert("RGB").getpixel((x, y)))


@pytest.mark.parametrize("mimetype", pictures.FORMATS)
def test_a_window_is_that_part_of_the_image(mimetype: str) -> None:
    file = pictures.picture(mimetype)
    made = resize(file, probe(file), 20, 30, window=(60, 0, 20, 60), mimetype="image/png")
    with Image.open(made.file) as image:
        assert image.size == (20, 30)
        assert (colour(image, 10, 5), colour(image, 10, 25)) == (pictures.GREEN, pictures.WHITE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_window_is_a_part_of_what_is_displayed(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = pictures.picture("image/jpeg", 160, 120, exif=exif, quality=95)
    info = probe(file)
    whole = Image.open(resize(file, info, info.width, info.height, mimetype="image/png").file)
    left, top = info.width // 4, info.height // 2
    window = (left, top, info.width // 2, info.height // 4)
    part = Image.open(resize(file, info, *window[2:], window=window, mimetype="image/png").file)
    for x, y in ((5, 5), (window[2] - 5, 5), (5, window[3] - 5)):
        assert colour(part, x, y) == colour(whole, left + x, top + y)


def test_a_small_window_of_a_large_jpeg_is_as_sharp_as_the_original() -> None:
    file = pictures.saved(pictures.noise(800, 600), "image/jpeg", quality=98)
    expected = Image.open(file).crop((100, 100, 200, 200)).convert("L")
    made = Image.open(resize(file, probe(file), 100, 100, window=(100, 100, 100, 100), mimetype="image/png").file)
    differences = zip(made.convert("L").tobytes(), expected.tobytes(), strict=True)
    assert sum(abs(one - other) for one, other in differences) / 10_000 < 2


def test_each_frame_of_an_animation_is_cropped() -> None:
    file = pictures.animation("image/gif")
    made = resize(file, probe(file), 20, 20, window=(10, 10, 40, 40), mimetype="image/webp")
    assert probe(made.file).frames == 4
    with Image.open(made.file) as image:
        for frame in range(4):
            image.seek(frame)
            assert abs(image.convert("RGB").getpixel((0, 0))[0] - 60 * frame) < 12


@pytest.mark.parametrize("mimetype", ["image/svg+xml", "application/pdf"])
def test_a_window_of_a_vector_image_is_drawn_at_its_size(mimetype: str, by: str) -> None:
    if mimetype == "application/pdf":
        file = pictures.pdf(200, 100)
    elif by == "pillow":
        pytest.skip("only libvips draws SVG")
    else:
        file = pictures.svg('width="20" height="10"', '<rect x="10" width="10" height="10" fill="blue"/>')
    info = probe(file)
    window = (info.width // 2, 0, info.width // 2, info.height)
    made = resize(file, info, 300, 300, window=window)
    with Image.open(made.file) as image:
        assert image.size == (300, 300)
        if mimetype == "image/svg+xml":
            assert image.convert("RGBA").getpixel((2, 2)) == (0, 0, 255, 255)


def test_a_window_outside_is_refused() -> None:
    file = pictures.picture("image/png")
    with pytest.raises(ValueError, match="window within 80x60"):
        resize(file, probe(file), 10, 10, window=(75, 0, 10, 10))


@pytest.mark.parametrize("mimetype", ["image/png", "image/webp", "image/avif", "image/jpeg"])
def test_what_is_padded_is_transparent_where_it_can_be(mimetype: str) -> None:
    file = pictures.picture("image/jpeg")
    made = resize(file, probe(file), 80, 60, canvas=(80, 80), mimetype=mimetype)
    with Image.open(made.file) as image:
        assert image.size == (80, 80)
        corner = image.convert("RGBA").getpixel((40, 2))
        assert min(corner[:3]) > 240
        assert corner[3] == (255 if mimetype == "image/jpeg" else 0)


@pytest.mark.parametrize("mimetype", ["image/png", "image/webp", "image/avif", "image/jpeg"])
def test_a_background_is_below_what_is_transparent_and_padded(mimetype: str) -> None:
    file = pictures.saved(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), "image/png")
    made = resize(file, probe(file), 40, 40, canvas=(60, 40), background="00ff00", mimetype=mimetype)
    with Image.open(made.file) as image:
        assert {colour(image, 2, 20), colour(image, 30, 20)} == {(0, 255, 0)}


def test_quality_is_asked_for_by_number() -> None:
    file = pictures.saved(pictures.noise(200, 200), "image/png")
    for mimetype in ("image/jpeg", "image/webp", "image/avif"):
        sizes = []
        for quality in (30, 90):
            with resize(file, probe(file), 200, 200, mimetype=mimetype, quality=quality).file as made:
                sizes.append(len(made.read()))
        assert sizes[0] * 1.5 < sizes[1]


def test_a_canvas_counts_as_what_is_asked_for() -> None:
    file = pictures.picture("image/png")
    with pytest.raises(InvalidImageError, match="pixels to be asked for"):
        resize(file, probe(file), 8, 6, canvas=(200, 200), policy=ImagePolicy(max_target_pixels=30_000))


def test_attention_is_where_something_is_to_be_seen() -> None:
    image = Image.new("RGB", (300, 100), (200, 200, 200))
    image.paste((255, 0, 0), (230, 30, 270, 70))
    file = pictures.saved(image, "image/png")
    left, top = attention(file, probe(file), (0, 0, 300, 100), (100, 100))
    assert top == 0
    assert left <= 230 <= 270 <= left + 100


def test_attention_to_nothing_is_the_middle() -> None:
    file = pictures.saved(Image.new("RGB", (300, 100)), "image/png")
    assert abs(attention(file, probe(file), (0, 0, 300, 100), (100, 100))[0] - 100) <= 2
