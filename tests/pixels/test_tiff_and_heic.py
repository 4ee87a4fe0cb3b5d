"""TIFF and HEIC, which browsers don't show: a thumbnail shows the picture that the file was made of."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image, ImageCms

from pixels.comparing import difference, frames_of
from pixels.making import HEIGHT, WIDTH, curves_profile, matrix_profile, sample, saved, turned
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe, resize
from sqlalchemy_imageattach.imaging.engines import fork_guard


@pytest.fixture(params=["libvips", "pillow"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pillow":
        monkeypatch.setattr(fork_guard, "_has_vips", lambda: False)
    return str(request.param)


def made(data: bytes) -> Image.Image:
    info = probe(io.BytesIO(data))
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    return frames_of(resize(io.BytesIO(data), info, WIDTH // 2, HEIGHT // 2).file)[0]


def tiff(image: Image.Image | None = None, **options: Any) -> bytes:
    return saved(image or sample(), "TIFF", **options)


def raw_tiff(pixels: bytes, tags: dict[int, int | tuple[int, ...]]) -> bytes:
    """A TIFF of one strip, with whatever tags."""
    tags = {256: WIDTH, 257: HEIGHT, 259: 1, 278: HEIGHT, **tags, 273: 8, 279: len(pixels)}
    body, entries = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels, b""
    more, at = b"", 8 + len(pixels) + 2 + 12 * len(tags) + 4
    for tag in sorted(tags):
        value = tags[tag]
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(packed) > 4:
            more, packed = more + packed, struct.pack("<I", at + len(more))
        entries += struct.pack("<HHI", tag, 4, len(values)) + packed
    return body + struct.pack("<H", len(tags)) + entries + bytes(4) + more


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_a_tiff_of_any_compression_shows_what_it_was_made_of(compression: str, mode: str, by: str) -> None:
    image = sample("RGB") if (mode, compression) == ("RGBA", "jpeg") else sample(mode)
    assert difference(made(tiff(image, compression=compression)), image.convert("RGBA")) < 3


@pytest.mark.parametrize("compression", ["raw", "group4", "tiff_lzw"])
def test_a_scanned_page_is_black_on_white(compression: str, by: str) -> None:
    page = sample("L").convert("1", dither=Image.Dither.NONE)
    assert difference(made(tiff(page, compression=compression)), page.convert("RGBA")) < 3


def test_samples_of_white_is_zero_are_turned_round(by: str) -> None:
    gray = sample("L").point(lambda value: 255 - value).tobytes()
    assert difference(made(raw_tiff(gray, {258: 8, 262: 0, 277: 1})), sample("L").convert("RGBA")) < 3


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_are_eight_whichever_comes_first(order: str, by: str) -> None:
    values = [257 * value for value in sample("L").tobytes()]
    data = raw_tiff(struct.pack(f"<{len(values)}H", *values), {258: 16, 262: 1, 277: 1})
    if order == ">":
        image = Image.frombytes("I;16B", (WIDTH, HEIGHT), struct.pack(f">{len(values)}H", *values))
        data = tiff(image)
    assert difference(made(data), sample("L").convert("RGBA")) < 3


def test_luminance_and_chroma_are_not_taken_for_red_green_and_blue(by: str) -> None:
    pixels = sample("YCbCr").tobytes()
    data = raw_tiff(pixels, {258: (8, 8, 8), 262: 6, 277: 3, 530: (1, 1)})
    assert difference(made(data), sample().convert("RGBA")) < 3


def test_lab_becomes_srgb(by: str) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(sample(), srgb, lab, outputMode="LAB")
    assert image is not None
    assert difference(made(tiff(image)), sample().convert("RGBA")) < 3


def test_colours_that_are_apart_are_put_together(by: str) -> None:
    red, green, blue = (channel.tobytes() for channel in sample().split())
    pixels, size = red + green + blue, WIDTH * HEIGHT
    data = bytearray(raw_tiff(pixels, {258: (8, 8, 8), 262: 2, 277: 3, 284: 2}))
    # One strip for each colour: the single one that there is becomes three.
    for tag, values in ((273, (8, 8 + size, 8 + 2 * size)), (279, (size,) * 3)):
        at = data.index(struct.pack("<HHI", tag, 4, 1), 8 + len(pixels))
        data[at : at + 12] = struct.pack("<HHII", tag, 4, 3, len(data))
        data += struct.pack("<3I", *values)
    assert difference(made(bytes(data)), sample().convert("RGBA")) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_by_a_number_of_any_length(orientation: int, by: str) -> None:
    image = turned(orientation)
    tags = {256: image.width, 257: image.height, 278: image.height, 258: (8, 8, 8), 262: 2, 277: 3, 274: orientation}
    assert difference(made(raw_tiff(image.tobytes(), tags)), sample().convert("RGBA")) < 3


@pytest.mark.parametrize(
    "profile", [matrix_profile(gamma=1.0, name="sRGB"), matrix_profile("p3"), matrix_profile("adobe", 2.2)]
)
def test_the_profile_of_a_tiff_is_judged_by_what_it_does(profile: bytes, by: str) -> None:
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(sample(), embedded, ImageCms.createProfile("sRGB"))
    assert expected is not None
    assert difference(made(tiff(icc_profile=profile)), expected.convert("RGBA")) < 3


def test_a_tiff_of_gray_keeps_to_its_profile(by: str) -> None:
    expected = sample("L").point(
        lambda value: round(255 * (1.055 * (value / 255) ** (1 / 2.4) - 0.055)) if value else 0
    )
    assert difference(made(tiff(sample("L"), icc_profile=curves_profile(1.0))), expected.convert("RGBA")) < 3


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({258: 32, 262: 1, 277: 1, 339: 3}, "measured"),
        ({258: 32, 262: 1, 277: 1}, "measured"),
        ({258: (8, 8, 8), 262: 2, 277: 3, 259: 34887}, "compressed in a way"),
        ({258: (8, 8, 8), 262: 10, 277: 3}, "colours of a kind"),
    ],
)
def test_what_nothing_reads_is_refused_for_what_it_is(tags: dict[int, int | tuple[int, ...]], words: str) -> None:
    with pytest.raises(InvalidImageError, match=words):
        probe(io.BytesIO(raw_tiff(bytes(WIDTH * HEIGHT * 4), tags)))


@pytest.mark.parametrize("compression", ["zstd", "lzma", "tiff_lzw", "tiff_adobe_deflate"])
def test_a_damaged_strip_is_an_error_and_not_black(compression: str, by: str) -> None:
    data = bytearray(tiff(Image.effect_noise((WIDTH, HEIGHT), 60).convert("RGB"), compression=compression))
    # The first strip begins behind the header.
    data[8:40] = b"\xff" * 32
    with pytest.raises(InvalidImageError):
        made(bytes(data))


# HEIC


def heic(image: Image.Image, **options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95, chroma=444, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_heic_shows_what_it_was_made_of_on_white(mode: str) -> None:
    white = Image.new("RGBA", (WIDTH, HEIGHT), "white")
    white.alpha_composite(sample(mode).convert("RGBA"))
    assert difference(made(heic(sample(mode))), white) < 4


def test_the_profile_of_a_heic_is_judged_by_what_it_does() -> None:
    profile = matrix_profile(gamma=1.0, name="sRGB")
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(sample(), embedded, ImageCms.createProfile("sRGB"))
    assert expected is not None
    image = sample()
    image.info["icc_profile"] = profile
    assert difference(made(heic(image)), expected.convert("RGBA")) < 4
