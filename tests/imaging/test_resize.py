from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import IO, Any

import pictures
import pytest
import pyvips
from PIL import Image

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import FILTERS, ImagePolicy, Resized, check_filter, probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard
from sqlalchemy_imageattach.imaging.formats import read_header


@pytest.fixture(params=["libvips", "pillow"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each rule holds whichever engine does the work; without libvips it is Pillow."""
    if request.param == "pillow":
        monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
    return str(request.param)


def made(file: IO[bytes], width: int, height: int, **options: Any) -> Resized:
    return resize(file, probe(file), width, height, **options)


@pytest.mark.parametrize("mimetype", pictures.FORMATS)
@pytest.mark.parametrize("size", [(40, 30), (160, 120), (31, 77), (1, 1)])
def test_the_size_is_just_what_was_asked_for(mimetype: str, size: tuple[int, int], by: str) -> None:
    result = made(pictures.picture(mimetype), *size)
    assert (result.width, result.height, result.mimetype) == (*size, mimetype)
    assert result.file.tell() == 0
    info = probe(result.file)
    assert (info.width, info.height, info.mimetype) == (*size, mimetype)


@pytest.mark.parametrize("mimetype", pictures.FORMATS)
def test_what_is_seen_stays(mimetype: str, by: str) -> None:
    file = made(pictures.picture(mimetype, 160, 120), 80, 60).file
    for at, color in (
        ((0.2, 0.2), pictures.RED),
        ((0.8, 0.2), pictures.GREEN),
        ((0.2, 0.8), pictures.BLUE),
        ((0.8, 0.8), pictures.WHITE),
    ):
        assert pictures.near(pictures.pixel(file, at), color)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/avif"])
@pytest.mark.parametrize("filter", ["undefined", "triangle"])
def test_the_result_is_upright(mimetype: str, orientation: int, filter: str, by: str) -> None:
    options: dict[str, Any] = {"exif": b"Exif\0\0" + pictures.exif(orientation)}
    if mimetype == "image/tiff":
        options = {"tiffinfo": {274: orientation}}
    # Stored so that to turn it by its orientation makes it upright.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = pictures.corners(160, 120)
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    file = made(pictures.saved(stored, mimetype, **options), 80, 60, filter=filter).file
    assert pictures.near(pictures.pixel(file, (0.2, 0.2)), pictures.RED)
    assert pictures.near(pictures.pixel(file, (0.8, 0.2)), pictures.GREEN)
    assert probe(file).width == 80, "an orientation is left, and would be applied again"


@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/avif"])
def test_colours_become_srgb(mimetype: str, by: str) -> None:
    swapped = pictures.picture(mimetype, icc_profile=pictures.profile(swap=True))
    color = pictures.pixel(made(swapped, 40, 30).file, (0.2, 0.2))
    assert pictures.near(color, pictures.GREEN, 40), "red is green by this profile"


@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/tiff"])
def test_cmyk_without_a_profile_becomes_rgb(mimetype: str, by: str) -> None:
    file = made(pictures.saved(pictures.corners(mode="CMYK"), mimetype), 40, 30).file
    with Image.open(file) as image:
        assert image.mode == "RGB"
    red, green, blue = pictures.pixel(file, (0.2, 0.2))
    assert red > 150 > max(green, blue)
    assert min(pictures.pixel(file, (0.8, 0.8))) > 240


def test_a_profile_that_is_junk_or_of_another_colour_space_is_ignored(by: str) -> None:
    for junk in (b"junk" * 100, pictures.profile().replace(b"RGB XYZ ", b"CMYKXYZ ")):
        file = made(pictures.picture("image/jpeg", icc_profile=junk), 40, 30).file
        assert pictures.near(pictures.pixel(file, (0.2, 0.2)), pictures.RED, 60)


@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/avif"])
def test_no_metadata_is_left(mimetype: str, by: str) -> None:
    options = {"icc_profile": pictures.profile()}
    if mimetype != "image/tiff":
        options |= {"exif": b"Exif\0\0" + pictures.exif(1)}
    with Image.open(made(pictures.picture(mimetype, **options), 40, 30).file) as image:
        assert not {"exif", "icc_profile", "xmp", "comment"} & image.info.keys()


@pytest.mark.parametrize("mimetype", ["image/png", "image/webp", "image/gif", "image/tiff", "image/avif"])
def test_transparency_stays(mimetype: str, by: str) -> None:
    image = Image.new("RGBA", (80, 60), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (40, 0, 80, 60))
    file = made(pictures.saved(image, mimetype), 40, 30).file
    assert pictures.pixel(file, (0.9, 0.5), "RGBA")[3] == 0
    assert pictures.pixel(file, (0.1, 0.5), "RGBA")[3] == 255
    assert pictures.near(pictures.pixel(file, (0.1, 0.5)), pictures.RED), "the colour of what is transparent bled in"


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "I;16", "RGBA"])
def test_every_kind_of_png_is_read(mode: str, by: str) -> None:
    image = Image.new("I;16", (80, 60), 0xFFFF) if mode == "I;16" else Image.new("L", (80, 60), 255).convert(mode)
    file = made(pictures.saved(image, "image/png"), 40, 30).file
    assert pictures.near(pictures.pixel(file, (0.5, 0.5)), pictures.WHITE)


@pytest.mark.parametrize("mimetype", ["image/gif", "image/webp", "image/png", "image/avif"])
def test_an_animation_stays_one(mimetype: str, by: str) -> None:
    file = made(pictures.animation(mimetype, 4), 40, 30).file
    assert probe(file).frames == 4
    with Image.open(file) as image:
        assert image.size == (40, 30)
        image.seek(2)
        image.load()
        assert image.info["duration"] == pytest.approx(120)
        color = image.convert("RGB").getpixel((20, 15))
    assert isinstance(color, tuple)
    assert pictures.near(color, (120, 90, 135))


@pytest.mark.parametrize("mimetype", ["image/gif", "image/webp", "image/png", "image/avif"])
def test_just_the_first_frame_if_that_is_wanted(mimetype: str, by: str) -> None:
    file = made(pictures.animation(mimetype, 4), 40, 30, first_frame=True).file
    assert probe(file).frames == 1
    assert pictures.near(pictures.pixel(file, (0.5, 0.5)), (0, 90, 255))


def test_frames_do_not_bleed_into_each_other() -> None:
    frames = [Image.new("RGB", (80, 60), color) for color in ((0, 0, 0), (255, 255, 255))]
    file = pictures.saved(frames[0], "image/gif", save_all=True, append_images=frames[1:])
    for filter in ("undefined", "lanczos2"):
        with Image.open(made(file, 40, 30, filter=filter).file) as image:
            assert max(image.convert("RGB").getpixel((20, 29))) < 30  # type: ignore[arg-type]


def test_svg_becomes_a_sharp_png() -> None:
    result = made(pictures.svg('viewBox="0 0 4 3"', '<rect width="2" height="3" fill="red"/>'), 800, 600)
    assert (result.width, result.height, result.mimetype) == (800, 600, "image/png")
    with Image.open(result.file) as image:
        assert image.convert("RGBA").getpixel((398, 300)) == (255, 0, 0, 255)
        assert image.convert("RGBA").getpixel((402, 300)) == (0, 0, 0, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
@pytest.mark.parametrize(
    "attributes",
    [
        "",
        'width="300"',
        'width="100%" height="100%"',
        'width="300" height="150"',
        'viewBox="0 0 300 150"',
        'width="600" viewBox="0 0 300 150"',
        'width="600" height="300" viewBox="0 0 300 150"',
    ],
)
def test_svg_is_drawn_as_a_browser_draws_it_whatever_tells_its_size(attributes: str, encoding: str) -> None:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><!-- \xe9 --><svg xmlns="http://www.w3.org/2000/svg" {attributes}>'
        '<rect width="150" height="75" fill="red"/><circle cx="300" cy="150" r="5" fill="blue"/></svg><!-- end -->\n'
    )
    file = made(io.BytesIO(text.encode(encoding)), 300, 150).file
    assert pictures.pixel(file, (0.49, 0.49), "RGBA") == (255, 0, 0, 255)
    assert pictures.pixel(file, (0.51, 0.51), "RGBA")[3] == 0
    assert pictures.pixel(file, (0.999, 0.999), "RGBA")[2] == 255


def test_an_svg_without_any_drawing_is_empty() -> None:
    assert pictures.pixel(made(pictures.svg("", ""), 30, 15).file, (0.5, 0.5), "RGBA")[3] == 0


def test_pdf_becomes_a_png_of_its_first_page() -> None:
    result = made(pictures.pdf(), 400, 200)
    assert (result.width, result.height, result.mimetype) == (400, 200, "image/png")
    assert pictures.pixel(result.file, (0.25, 0.5)) == pictures.RED
    assert pictures.pixel(result.file, (0.75, 0.5)) == pictures.WHITE


def test_heic_becomes_jpeg() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(pictures.corners(160, 120)).save(file, quality=95)
    result = made(file, 80, 60)
    assert (result.width, result.height, result.mimetype) == (80, 60, "image/jpeg")
    assert pictures.near(pictures.pixel(result.file, (0.2, 0.8)), pictures.BLUE)


@pytest.mark.parametrize("filter", [*FILTERS, 0, len(FILTERS) - 1])
def test_every_filter_works(filter: str | int, by: str) -> None:
    check_filter(filter)
    result = made(pictures.picture("image/jpeg"), 41, 31, filter=filter)
    assert (result.width, result.height) == (41, 31)
    assert pictures.near(pictures.pixel(result.file, (0.2, 0.2)), pictures.RED)


def test_a_filter_that_is_none_is_refused_before_the_file_is_read() -> None:
    for wrong, error in (
        ("sharpest", ValueError),
        (99, ValueError),
        (-1, ValueError),
        (None, TypeError),
        (True, TypeError),
        (1.0, TypeError),
    ):
        with pytest.raises(error):
            resize(None, None, 10, 10, filter=wrong)  # type: ignore[arg-type]


def test_a_size_that_is_none_is_refused_before_the_file_is_read() -> None:
    for wrong, error in (
        (0, ValueError),
        (-1, ValueError),
        (True, TypeError),
        (1.5, TypeError),
        (None, TypeError),
        (float("nan"), TypeError),
    ):
        with pytest.raises(error):
            resize(None, None, wrong, 10)  # type: ignore[arg-type]
        with pytest.raises(error):
            resize(None, None, 10, wrong)  # type: ignore[arg-type]


def test_the_target_is_limited_before_anything_is_decoded() -> None:
    thin = pictures.saved(Image.new("1", (10, 20_000)), "image/png")
    for size, policy in (
        ((150, 30_000_000), ImagePolicy()),
        ((1000, 1000), ImagePolicy(max_target_pixels=999_999)),
    ):
        with pytest.raises(InvalidImageError) as error:
            made(thin, *size, policy=policy)
        assert error.value.reason == "target_too_large"
    with pytest.raises(InvalidImageError) as error:
        made(pictures.animation("image/gif", 4), 40, 30, policy=ImagePolicy(max_frame_pixels=80 * 60 * 4 - 1))
    assert error.value.reason == "too_many_frames"
    for mimetype, width in (("image/webp", 17_000), ("image/avif", 70_000)):
        with pytest.raises(InvalidImageError) as error:
            made(pictures.picture(mimetype), width, 10)
        assert error.value.reason == "target_too_large"


@pytest.mark.parametrize(
    "mimetype", ["image/jpeg", "image/png", "image/gif", "image/webp", "image/tiff", "image/avif", "image/bmp"]
)
def test_damage_that_is_not_noticed_or_an_invalid_image_is_all_there_is(mimetype: str, by: str) -> None:
    data = bytearray(pictures.saved(pictures.noise(64, 48), mimetype).getvalue())
    middle = len(data) // 2
    # Cut out of the middle, with the end in its place; all lengths are as declared.
    damaged = data[:middle] + bytes(len(data) - middle - 40) + data[-40:]
    with contextlib.suppress(InvalidImageError):
        made(io.BytesIO(damaged), 32, 24)


def test_a_decoder_that_sees_another_size_than_the_header_is_not_believed(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy_imageattach.imaging import picture
    from sqlalchemy_imageattach.imaging.headers.header import Header

    monkeypatch.setattr(picture, "read_header", lambda data, mimetype: Header(mimetype, 10, 10))
    # A GIF is drawn on the canvas that the header reader saw.
    for mimetype in ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp", "image/avif"):
        with pytest.raises(InvalidImageError, match="contradicts itself"):
            made(pictures.picture(mimetype), 5, 5)


@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/png", "image/gif", "image/webp"])
def test_a_decoder_does_not_take_half_an_image_for_a_whole_one(
    mimetype: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy_imageattach.imaging import picture

    data = pictures.saved(pictures.noise(640, 480), mimetype).getvalue()
    header = read_header(memoryview(data), mimetype)
    monkeypatch.setattr(picture, "read_header", lambda data, mimetype: header)
    with pytest.raises(InvalidImageError) as error:
        resize(io.BytesIO(data[: len(data) // 2]), header.info, 320, 240)
    assert error.value.reason in ("truncated", "damaged")


def test_the_callers_file_is_left_as_it_was(tmp_path: Path, by: str) -> None:
    data = pictures.picture("image/jpeg").getvalue()
    (tmp_path / "a.jpg").write_bytes(data)
    with (
        (tmp_path / "a.jpg").open("rb") as on_disk,
        tempfile.SpooledTemporaryFile(100) as spooled,
        io.BytesIO(data) as memory,
    ):
        spooled.write(data)
        for file in (on_disk, spooled, memory):
            made(file, 40, 30)  # type: ignore[arg-type]
            assert file.tell() == 0
            assert file.read() == data
        memory.write(b"more")


def test_large_results_are_on_disk_and_small_ones_in_memory() -> None:
    assert isinstance(made(pictures.picture("image/jpeg"), 40, 30).file, io.BytesIO)
    result = made(pictures.saved(pictures.noise(640, 480), "image/png"), 1600, 1200)
    result.file.fileno()
    assert probe(result.file).width == 1600
    result.file.close()


def test_text_that_libvips_could_load_is_not_loaded() -> None:
    made(pictures.picture("image/jpeg"), 40, 30)
    with pytest.raises(pyvips.Error, match="operation is blocked"):
        pyvips.Image.matrixload_source(pyvips.Source.new_from_memory(b"1 1\n7\n"))
    with pytest.raises(pyvips.Error, match="not in a known format"):
        pyvips.Image.new_from_buffer(pictures.picture("image/avif").getvalue(), "")


def test_a_gif_whose_frames_do_not_fill_its_canvas_keeps_the_canvas(by: str) -> None:
    # Of these sizes libvips thinks that they are the screen of whoever made the GIF.
    for width, height in ((800, 600), (2100, 60)):
        data = bytearray(pictures.picture("image/gif", 80, 60).getvalue())
        data[6:10] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
        file = io.BytesIO(data)
        assert probe(file).width == width
        small = made(file, width // 2, height // 2).file
        assert pictures.near(pictures.pixel(small, (20 / width, 15 / height)), pictures.RED, 60)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_upright(orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    image = pillow_heif.from_pillow(pictures.corners(160, 120))
    image.save(file, quality=95, exif=b"Exif\0\0" + pictures.exif(orientation))
    file.seek(0)
    expected = pillow_heif.open_heif(file).to_pillow()
    info = probe(file)
    assert (info.width, info.height) == expected.size
    small = made(file, info.width // 2, info.height // 2).file
    for at in ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8)):
        wanted = expected.getpixel((int(at[0] * info.width), int(at[1] * info.height)))
        assert pictures.near(pictures.pixel(small, at), wanted, 40)


def test_what_comes_next_to_an_animation_is_not_bound_to_it() -> None:
    file = pictures.animation("image/gif", 3)
    first = made(file, 40, 30)
    second = made(file, 20, 15)
    assert probe(first.file).frames == probe(second.file).frames == 3


def test_a_result_of_another_size_than_was_asked_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy_imageattach.imaging.engines import choice

    monkeypatch.setattr(choice, "resize", lambda job: (io.BytesIO(), job.width + 1, job.height))
    with pytest.raises(InvalidImageError, match="expected a result of 40x30 pixels, got 41x30"):
        made(pictures.picture("image/png"), 40, 30)


def test_libvips_keeps_nothing_of_what_it_has_decoded() -> None:
    made(pictures.picture("image/jpeg", progressive=True), 40, 30)
    assert pyvips.vips_lib.vips_cache_get_size() == 0


@pytest.mark.parametrize("mimetype", ["image/gif", "image/png", "image/webp"])
@pytest.mark.parametrize("loop", [0, 4])
def test_an_animation_is_played_as_often_as_before(mimetype: str, loop: int, by: str) -> None:
    images = [Image.new("RGB", (80, 60), (60 * index, 90, 0)) for index in range(3)]
    options = {"save_all": True, "append_images": images[1:], "duration": 120, "loop": loop}
    file = pictures.saved(images[0], mimetype, **options)
    small = made(file, 40, 30).file
    plays = [read_header(memoryview(each.read()), mimetype).plays for each in (file, small) if each.seek(0) == 0]
    # A GIF counts how often it is played again.
    assert plays == [loop + (mimetype == "image/gif" and loop > 0)] * 2
