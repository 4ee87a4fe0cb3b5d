from __future__ import annotations

import io
import struct
from typing import Any

import pictures
import pytest
from PIL import Image, PngImagePlugin

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import probe
from sqlalchemy_imageattach.imaging.privacy import strip_metadata

SECRET = b"52.5200 N 13.4050 E by Jane Doe"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"


def _exif(orientation: int) -> bytes:
    return b"Exif\0\0" + pictures.exif(orientation) + SECRET


def _with_everything(mimetype: str, orientation: int = 6) -> io.BytesIO:
    options: dict[str, Any] = {"exif": _exif(orientation), "icc_profile": pictures.profile(swap=True)}
    if mimetype == "image/png":
        options["pnginfo"] = text = PngImagePlugin.PngInfo()
        text.add_text("Author", SECRET.decode())
        text.add_text("Comment", SECRET.decode() * 10, zip=True)
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        text.add(b"tIME", b"\x07\xea\x01\x01\x01\x01\x01")
        text.add(b"prVt", SECRET)
    elif mimetype != "image/gif":
        options["xmp"] = XMP
    if mimetype in ("image/jpeg", "image/gif"):
        options["comment"] = SECRET
    return pictures.saved(pictures.noise(64, 48), mimetype, **options)


def _stripped(file: io.BytesIO) -> bytes:
    with strip_metadata(file, probe(file)) as stripped:
        assert stripped.tell() == 0
        return stripped.read()


TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"]


@pytest.mark.parametrize("mimetype", [*TYPES, "image/avif"])
def test_nothing_that_tells_of_anybody_is_left(mimetype: str) -> None:
    file = _with_everything(mimetype)
    assert SECRET in file.getvalue()
    stripped = _stripped(file)
    assert SECRET not in stripped
    assert b"xmpmeta" not in stripped
    with Image.open(io.BytesIO(stripped)) as image:
        assert image.getexif().keys() <= {274}
        assert not {"comment", "Author", "Comment", "XML:com.adobe.xmp"} & image.info.keys()
        # Boxes of AVIF stay where they are, with nothing in them.
        assert ("xmp" in image.info) == (mimetype == "image/avif")


@pytest.mark.parametrize("mimetype", [*TYPES, "image/avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_image_looks_the_same(mimetype: str, orientation: int) -> None:
    file = _with_everything(mimetype, orientation)
    stripped = io.BytesIO(_stripped(file))
    assert probe(stripped) == probe(file)
    file.seek(0)
    with Image.open(file) as before, Image.open(stripped) as after:
        assert after.tobytes() == before.tobytes()
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        if mimetype != "image/gif":
            assert after.getexif().get(274, 1) == before.getexif().get(274, 1)


@pytest.mark.parametrize("mimetype", ["image/gif", "image/webp", "image/png"])
def test_an_animation_stays_one(mimetype: str) -> None:
    options = {"comment": SECRET} if mimetype == "image/gif" else {"exif": _exif(1)}
    file = pictures.animation(mimetype, 4, **options)
    stripped = io.BytesIO(_stripped(file))
    assert probe(stripped) == probe(file)
    file.seek(0)
    with Image.open(file) as before, Image.open(stripped) as after:
        assert SECRET not in stripped.getvalue()
        assert after.info.get("loop") == before.info.get("loop")
        for index in range(4):
            before.seek(index)
            after.seek(index)
            assert after.convert("RGB").tobytes() == before.convert("RGB").tobytes()
            assert after.info["duration"] == before.info["duration"]


def test_every_scan_of_a_progressive_jpeg_is_kept() -> None:
    file = pictures.saved(pictures.noise(64, 48), "image/jpeg", progressive=True, comment=SECRET)
    stripped = _stripped(file)
    with Image.open(file) as before, Image.open(io.BytesIO(stripped)) as after:
        assert after.tobytes() == before.tobytes()


def test_what_telephones_append_goes() -> None:
    for mimetype in TYPES:
        file = io.BytesIO(pictures.picture(mimetype).getvalue() + b"MotionPhoto" + SECRET)
        assert SECRET not in _stripped(file)


def test_previews_inside_go() -> None:
    jpeg = pictures.picture("image/jpeg").getvalue()
    jfif = b"\xff\xe0" + struct.pack(">H", 16 + 12) + b"JFIF\0\1\1\0\0\1\0\1\2\2" + b"PREVIEW-HERE"
    index = b"\xff\xe2" + struct.pack(">H", 2 + 4 + 7) + b"MPF\0" + b"PREVIEW"
    at = jpeg.index(b"\xff\xdb")
    stripped = _stripped(io.BytesIO(jpeg[:2] + jfif + index + jpeg[at:]))
    assert b"PREVIEW" not in stripped
    assert probe(io.BytesIO(stripped)).width == 80


@pytest.mark.parametrize("options", [{"mode": "CMYK"}, {"keep_rgb": True}])
def test_colours_that_are_coded_in_other_ways_stay_what_they_are(options: dict[str, Any]) -> None:
    mode = options.pop("mode", "RGB")
    file = pictures.saved(pictures.corners(mode=mode), "image/jpeg", comment=SECRET, **options)
    stripped = _stripped(file)
    assert (b"Adobe" in stripped) == (b"Adobe" in file.getvalue()), "the segment that tells how colours are coded"
    with Image.open(file) as before, Image.open(io.BytesIO(stripped)) as after:
        assert after.tobytes() == before.tobytes()


def test_metadata_that_is_named_twice_is_refused_as_a_copy_would_grow() -> None:
    whole = bytearray(_with_everything("image/avif").getvalue())
    # Three items of 14 bytes, the last eight of which tell where it is: the picture, EXIF and XMP.
    exif, xmp = (whole.index(b"iloc") + 12 + 14 * item for item in (1, 2))
    whole[xmp + 6 : xmp + 14] = whole[exif + 6 : exif + 14]
    file = io.BytesIO(whole)
    with pytest.raises(InvalidImageError, match="in one place"):
        strip_metadata(file, probe(file))


def test_heic_loses_its_place() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(pictures.noise(64, 64)).save(file, exif=_exif(1), xmp=XMP)
    assert SECRET in file.getvalue()
    stripped = _stripped(file)
    assert SECRET not in stripped
    opened = pillow_heif.open_heif(io.BytesIO(stripped))
    assert opened.to_pillow().tobytes() == pillow_heif.open_heif(file).to_pillow().tobytes()


def test_a_large_copy_is_on_disk(tmp_path: Any) -> None:
    file = pictures.saved(pictures.noise(1000, 800), "image/png")
    with strip_metadata(file, probe(file)) as stripped:
        assert stripped.name is not None
        assert file.tell() == 0


def test_a_type_whose_metadata_cannot_be_told_apart_is_refused() -> None:
    for file in (pictures.picture("image/tiff"), pictures.svg(""), pictures.animation("image/avif")):
        with pytest.raises(InvalidImageError):
            strip_metadata(file, probe(file))


@pytest.mark.parametrize("mimetype", [*TYPES, "image/avif"])
def test_a_truncated_image_is_refused(mimetype: str) -> None:
    file = _with_everything(mimetype)
    info = probe(file)
    with pytest.raises(InvalidImageError):
        strip_metadata(io.BytesIO(file.getvalue()[:-20]), info)
