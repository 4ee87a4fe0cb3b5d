from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import pictures
import pytest

from sqlalchemy_imageattach.exc import InvalidImageError
from sqlalchemy_imageattach.imaging import ImageInfo, ImagePolicy, probe


def test_importing_loads_no_engine() -> None:
    code = (
        "import sys, sqlalchemy_imageattach.imaging as imaging, io; imaging.probe(io.BytesIO(sys.stdin.buffer.read()));"
        "print([name for name in sys.modules if name in ('pyvips', 'PIL', '_libvips', 'pypdfium2')])"
    )
    data = pictures.picture("image/jpeg").getvalue()
    output = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True).stdout
    assert output.strip() == b"[]"


@pytest.mark.parametrize("mimetype", pictures.FORMATS)
def test_the_bytes_tell_type_and_size(mimetype: str) -> None:
    file = pictures.picture(mimetype, 83, 61)
    assert probe(file) == ImageInfo(83, 61, mimetype, 1)
    assert file.tell() == 0
    assert not file.closed


def test_pdf_has_the_size_of_its_first_page_in_points() -> None:
    assert probe(pictures.pdf(200, 100)) == ImageInfo(200, 100, "application/pdf", 1)


def test_heic_is_told_by_its_brand() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(pictures.corners(80, 64)).save(file)
    assert probe(file) == ImageInfo(80, 64, "image/heic", 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("mimetype", ["image/jpeg", "image/png", "image/webp"])
def test_the_size_is_that_of_the_upright_image(mimetype: str, byte_order: str, orientation: int) -> None:
    file = pictures.picture(mimetype, 80, 60, exif=b"Exif\0\0" + pictures.exif(orientation, byte_order))
    info = probe(file)
    assert (info.width, info.height) == ((60, 80) if orientation >= 5 else (80, 60))


def test_tiff_keeps_the_orientation_in_its_own_directory() -> None:
    info = probe(pictures.picture("image/tiff", 80, 60, tiffinfo={274: 6}))
    assert (info.width, info.height) == (60, 80)


@pytest.mark.parametrize("mimetype", ["image/gif", "image/png", "image/webp", "image/avif"])
def test_frames_of_an_animation_are_counted(mimetype: str) -> None:
    assert probe(pictures.animation(mimetype, 5)).frames == 5


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('width="120" height="80"', (120, 80)),
        ('width="2in" height="1in"', (192, 96)),
        ('width="10mm" height="1cm"', (38, 38)),
        ('width="30pt" height="1pc"', (40, 16)),
        ('width="200" viewBox="0 0 4 3"', (200, 150)),
        ('height="90" viewBox="0,0,4,3"', (120, 90)),
        ('viewBox="0 0 24 24"', (150, 150)),
        ('viewBox="0 0 400 100"', (300, 75)),
        ('width="100%" height="100%" viewBox="0 0 1 3"', (50, 150)),
        ('width="100%" height="100%"', (300, 150)),
        ('width="40"', (40, 150)),
        ("", (300, 150)),
        ('width="-1" height="nonsense"', (300, 150)),
        ('width="1e2" height=".5e2"', (100, 50)),
        ('width="0.1" height="0.1"', (1, 1)),
    ],
)
def test_svg_has_the_size_that_css_gives_it(attributes: str, size: tuple[int, int]) -> None:
    info = probe(pictures.svg(attributes))
    assert (info.width, info.height) == size


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_svg_may_have_any_encoding_and_a_prologue(encoding: str) -> None:
    name = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    text = (
        f'<?xml version="1.0" encoding="{name}"?>\n<!-- made by hand -->\n'
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
        '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"><title>\xe9</title></svg>'
    )
    assert probe(io.BytesIO(text.encode(encoding))) == ImageInfo(7, 5, "image/svg+xml", 1)


@pytest.mark.parametrize("encoding", ["utf-7", "ebcdic", "shift_jis", "idna", "punycode", "zip", "undefined"])
def test_svg_in_an_encoding_that_is_not_read_is_refused(encoding: str) -> None:
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>'
    with pytest.raises(InvalidImageError) as refused:
        probe(io.BytesIO(declaration.encode() + pictures.svg('width="7" height="5"').getvalue()))
    assert refused.value.reason == "damaged"


@pytest.mark.parametrize(
    "style",
    [
        "@font-face { src: url(font.woff) }",
        "@import url('https://fonts.example.com/css?family=Roboto');",
        "@namespace svg url(http://www.w3.org/2000/svg);",
    ],
)
def test_a_font_that_is_not_there_is_no_reason_to_refuse(style: str) -> None:
    assert probe(pictures.svg('width="7" height="5"', f"<style>{style}</style>")).width == 7


@pytest.mark.parametrize(
    "content",
    [
        '<image href="/etc/passwd"/>',
        '<image xmlns:x="http://www.w3.org/1999/xlink" x:href="file:///etc/passwd"/>',
        '<image href="photo.png"/>',
        '<use href="other.svg#part"/>',
        '<rect style="fill: url(http://example.com/x.svg#a)"/>',
        "<rect filter=\"url('other.svg#f')\"/>",
        "<style>@import 'http://example.com/x.css';</style>",
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>',
    ],
)
def test_svg_that_names_anything_outside_itself_is_refused(content: str) -> None:
    with pytest.raises(InvalidImageError, match="nothing outside is loaded") as error:
        probe(pictures.svg('width="9" height="9"', content))
    assert error.value.reason == "unsafe"


def test_svg_with_an_external_entity_or_stylesheet_is_refused() -> None:
    for prologue in ('<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]>', '<?xml-stylesheet href="x.css"?>'):
        with pytest.raises(InvalidImageError, match="nothing outside is loaded"):
            probe(io.BytesIO(prologue.encode() + pictures.svg("").getvalue()))


def test_svg_may_refer_to_itself_and_link_elsewhere() -> None:
    content = (
        '<a href="https://example.com/"><use href="#r"/></a><rect id="r" style="fill:url( #g )" width="3" height="3"/>'
        '<image href="data:image/png;base64,AAAA"/>'
    )
    assert probe(pictures.svg('width="9" height="9"', content)).width == 9


def test_html_is_not_an_image_whatever_it_contains() -> None:
    for text in (b"<!DOCTYPE html><html><svg xmlns='http://www.w3.org/2000/svg'/></html>", b"<html></html>", b"<svg/>"):
        with pytest.raises(InvalidImageError) as error:
            probe(io.BytesIO(text))
        assert error.value.reason == "unknown_type"


@pytest.mark.parametrize(
    "data", [b"garbage" * 100, b"\0" * 1000, b"P6 1 1 255 abc", b"BM but not a bitmap, just text", b"1"]
)
def test_garbage_is_of_unknown_type(data: bytes) -> None:
    with pytest.raises(InvalidImageError) as error:
        probe(io.BytesIO(data))
    assert error.value.reason == "unknown_type"


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as on_disk:
        for file in (io.BytesIO(), on_disk):
            with pytest.raises(InvalidImageError) as error:
                probe(file)
            assert error.value.reason == "empty"


@pytest.mark.parametrize("file", [object(), "name.png", b"bytes", io.StringIO("text")])
def test_what_is_no_binary_file_is_a_type_error(file: object) -> None:
    with pytest.raises(TypeError, match="expected a"):
        probe(file)  # type: ignore[arg-type]


def test_any_kind_of_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    data = pictures.picture("image/png").getvalue()
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    zipped = tmp_path / "picture.gz"
    zipped.write_bytes(gzip.compress(data))
    with (
        path.open("rb") as buffered,
        path.open("rb", buffering=0) as raw,
        gzip.open(zipped) as decompressing,
        tempfile.NamedTemporaryFile() as named,
        tempfile.SpooledTemporaryFile(10_000_000) as in_memory,
        tempfile.SpooledTemporaryFile(10) as on_disk,
    ):
        for written in (named, in_memory, on_disk):
            written.write(data)
        for file in (buffered, raw, decompressing, named, in_memory, on_disk):
            assert probe(file).mimetype == "image/png"  # type: ignore[arg-type]
            assert file.tell() == 0
            assert file.read() == data
        assert in_memory.name is None, "it was written to disk"


def test_a_hundred_megabytes_on_disk_are_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "scan.tiff"
    pictures.corners(6000, 5600).save(path)
    code = (
        "import sys, resource; from sqlalchemy_imageattach.imaging import probe;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; probe(open(sys.argv[1], 'rb'));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    output = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True).stdout
    assert path.stat().st_size > 100_000_000
    assert int(output) < 2_000, "kilobytes"


def test_bombs_are_refused_by_their_header() -> None:
    for data, reason in (
        (pictures.png(30_000, 30_000), "too_many_pixels"),
        (pictures.svg('width="30000" height="30000"').getvalue(), "too_many_pixels"),
        (pictures.svg('width="1e9" viewBox="0 0 1 1"').getvalue(), "too_many_pixels"),
        (_long_animation(3000, 3000, 1001), "too_many_frames"),
    ):
        assert len(data) < 100_000
        with pytest.raises(InvalidImageError) as error:
            probe(io.BytesIO(data))
        assert error.value.reason == reason


def _long_animation(width: int, height: int, frames: int) -> bytes:
    side = lambda number: number.to_bytes(2, "little")  # noqa: E731
    start = b"GIF89a" + side(width) + side(height) + b"\x80\0\0" + bytes(6)
    frame = b"\x2c" + bytes(4) + side(width) + side(height) + b"\0\x02\x02\x4c\x01\0"
    return start + frame * frames + b";"


def test_types_that_must_be_held_whole_have_a_lower_limit() -> None:
    policy = ImagePolicy(max_pixels=6_000)
    probe(pictures.picture("image/jpeg"), policy)
    for mimetype, options in (("image/bmp", {}), ("image/gif", {}), ("image/avif", {})):
        with pytest.raises(InvalidImageError) as error:
            probe(pictures.picture(mimetype, **options), policy)
        assert error.value.reason == "too_many_pixels"
