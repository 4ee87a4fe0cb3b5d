"""The pictures of other projects' tests, which nobody here made: the archives of Pillow's and pillow-heif's sources.

Each is refused with a reason, or shows what Pillow decodes, made upright, sRGB, and laid on white.  ``make corpus``
fetches the archives, by their hashes; nothing of them is in this repository.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from parts import missing
from pixels.comparing import difference, frames_of
from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe, resize

FOLDER = Path(__file__).parents[2] / ".corpus"
#: The archives, and where their pictures are.
ARCHIVES = {"pillow-13.0.0.tar.gz": "Tests/images/", "pillow_heif-1.8.1.tar.gz": "tests/images/"}

# Of 255, what two decoders and two ways to make a picture smaller may differ by.
_TOLERANCE = 6

_COLORS = "Pillow does not convert by gamma, chromaticities or numbers for colours, and browsers do"
_WORDS = "Pillow turns by what XMP or a text says, and browsers by EXIF alone"
_CANVAS = "where no frame draws, Pillow has the background and browsers have nothing"
#: Where Pillow is not followed, by the name of the file, and why.
EXCEPTIONS: dict[str, str] = {
    "xmp_tags_orientation.png": _WORDS,
    "xmp_tags_orientation_exiftool.png": _WORDS,
    "avif/xmp_tags_orientation.avif": _WORDS,
    "exif_imagemagick_orientation.png": _WORDS,
    "bmp/b/badrle.bmp": "what damaged runs leave out is black in browsers",
    "missing_background.gif": _CANVAS,
    "transparent_dispose.gif": _CANVAS,
    "apng/chunk_multi_actl.png": "browsers go by the first that announces frames, and Pillow by none",
    "app13.jpg": "four pixels, whose colours are half as many",
    "pil123p.png": _COLORS,
    "pil123rgba.png": _COLORS,
}


@pytest.fixture(params=ARCHIVES)
def archive(request: pytest.FixtureRequest) -> Iterator[tuple[tarfile.TarFile, str]]:
    if not (FOLDER / request.param).exists():
        missing(f"{request.param}: run `make corpus`")
    with tarfile.open(FOLDER / request.param) as archive:
        yield archive, ARCHIVES[request.param]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_each_picture_is_refused_with_a_reason_or_shows_what_pillow_shows(
    archive: tuple[tarfile.TarFile, str],
) -> None:
    file, folder = archive
    differing, compared = {}, 0
    for member in file:
        if not member.isfile() or folder not in member.name:
            continue
        content = file.extractfile(member)
        assert content is not None
        data = content.read()
        name = member.name.partition(folder)[2]
        try:
            info = probe(io.BytesIO(data))
            # What is small shows no more when it is smaller.
            scale = 2 if max(info.width, info.height) > 256 else 1
            size = info.width // scale, info.height // scale
            made = frames_of(resize(io.BytesIO(data), info, *size, first_frame=True).file)[0]
        except InvalidImageError as error:
            if not error.reason:
                differing[name] = f"refused without a reason: {error}"
            continue
        assert made.size == size
        expected = _by_pillow(data, info.mimetype)
        if expected is None:
            continue
        compared += 1
        if expected.size != (info.width, info.height):
            differing[name] = f"{expected.size} and {info}"
        elif (by := difference(_on_white(made), expected)) >= _TOLERANCE:
            differing[name] = f"{by:.1f}"
    assert compared
    assert {name: why for name, why in differing.items() if name not in EXCEPTIONS} == {}


def _by_pillow(data: bytes, mimetype: str) -> Image.Image | None:
    """Decode with Pillow, upright, in sRGB and on white; ``None`` where it can't."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        with _opened(data, mimetype) as image:
            if image.info.get("default_image"):
                # Of an animation, it is shown only where animations are not.
                image.seek(1)
            image.load()
            profile = image.info.get("icc_profile")
            # A TIFF is turned while it is loaded.
            made = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
            if made.mode.startswith("I"):
                key = made.info.pop("transparency", None)
                values = list(made.convert("I").getdata())
                made = Image.new("LA", made.size)
                made.putdata([(value >> 8, 255 * (value != key)) for value in values])
            if made.mode in ("P", "PA", "1") or "transparency" in made.info:
                made = made.convert("RGBA")
            if profile and made.mode in ("L", "RGB", "RGBA", "CMYK"):
                with contextlib.suppress(ImageCms.PyCMSError):
                    made = _in_srgb(made, profile)
            if made.mode == "LAB":
                lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
                made = ImageCms.profileToProfile(made, lab, srgb, outputMode="RGB") or made
            return _on_white(made.convert("RGBA"))
    return None


def _opened(data: bytes, mimetype: str) -> Image.Image:
    if mimetype != "image/heic":
        return Image.open(io.BytesIO(data))
    from pillow_heif import open_heif

    # It is turned while it is loaded.
    image = open_heif(io.BytesIO(data)).to_pillow()
    image.getexif().pop(ExifTags.Base.Orientation, None)
    image.info.pop("exif", None)
    return image


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    opaque = image.convert("RGB") if alpha else image
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    made = ImageCms.profileToProfile(opaque, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert made is not None
    if alpha:
        made.putalpha(alpha)
    return made


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white
