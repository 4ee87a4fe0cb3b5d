"""JPEG: what cameras, telephones and Photoshop write, and what lies between segments in the wild."""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from .making import (
    HEIGHT,
    WIDTH,
    Collection,
    curves_profile,
    exif,
    matrix_profile,
    sample,
    saved,
    table_profile,
    turned,
)

PICTURES = Collection("image/jpeg")


def _jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    return saved(image or sample(), "JPEG", **{"quality": 92, "subsampling": 0, **options})


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def _inserted(data: bytes, piece: bytes, before: bytes = b"\xff\xdb") -> bytes:
    """Puts bytes before the first segment of a kind."""
    at = data.index(before)
    return data[:at] + piece + data[at:]


def _with_exif(block: bytes, orientation: int, introduction: bytes = b"Exif\0\0") -> bytes:
    data = _jpeg(turned(orientation))
    return data[:2] + _segment(0xE1, introduction + block) + data[2:]


PICTURES.add("plain", _jpeg)
PICTURES.add("progressive", _jpeg, progressive=True)
PICTURES.add("gray", lambda: _jpeg(sample("L")))
PICTURES.add("subsampled 4:2:0", _jpeg, subsampling=2)
PICTURES.add("subsampled 4:2:2", _jpeg, subsampling=1)
PICTURES.add("kept as RGB", _jpeg, keep_rgb=True)
PICTURES.add("restart markers", _jpeg, restart_marker_rows=1)

for _orientation in range(1, 9):
    PICTURES.add(f"orientation {_orientation}", lambda turn: _with_exif(exif(turn), turn), _orientation)
for _name, _options in {
    "big-endian": {"order": ">"},
    "as LONG": {"kind": 4, "code": "I"},
    "as LONG, big-endian": {"kind": 4, "code": "I", "order": ">"},
    "as BYTE": {"kind": 1, "code": "B"},
    "as SSHORT": {"kind": 8},
    "as ASCII": {"kind": 2, "code": "B"},
    "of two values": {"count": 2},
    "of no value": {"count": 0},
}.items():
    PICTURES.add(
        f"orientation {_name}",
        lambda options: _jpeg(exif=b"Exif\0\0" + exif(6, **options)),
        _options,
    )
PICTURES.add("orientation 9", lambda: _jpeg(exif=b"Exif\0\0" + exif(9)))
PICTURES.add("orientation 0", lambda: _jpeg(exif=b"Exif\0\0" + exif(0)))
PICTURES.add("EXIF without its second zero", lambda: _with_exif(exif(6), 1, b"Exif\0\xff"))
PICTURES.add("EXIF without a byte order", lambda: _jpeg(exif=b"Exif\0\0" + b"XX" + exif(6)[2:]))
PICTURES.add("EXIF cut within the directory", lambda: _jpeg(exif=b"Exif\0\0" + exif(6)[:20]))
PICTURES.add("EXIF without the next directory", lambda: _jpeg(exif=b"Exif\0\0" + exif(6)[:-4]))


@PICTURES
def EXIF_that_counts_more_fields_than_it_has() -> bytes:
    block = bytearray(exif(6))
    block[8:10] = struct.pack("<H", 3)
    return _jpeg(exif=b"Exif\0\0" + bytes(block))


@PICTURES
def EXIF_with_the_orientation_twice() -> bytes:
    block = exif(6)
    return _jpeg(exif=b"Exif\0\0" + block[:8] + b"\2\0" + block[10:22] + exif(3)[10:])


@PICTURES
def EXIF_twice() -> bytes:
    data = _with_exif(exif(6), 1)
    return data[:2] + _segment(0xE1, b"Exif\0\0" + exif(3)) + data[2:]


@PICTURES
def EXIF_after_XMP() -> bytes:
    data = _with_exif(exif(6), 6)
    return data[:2] + _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>") + data[2:]


@PICTURES
def EXIF_after_the_frame_header() -> bytes:
    return _inserted(_jpeg(), _segment(0xE1, b"Exif\0\0" + exif(6)), b"\xff\xda")


@PICTURES
def EXIF_with_the_orientation_in_the_second_directory() -> bytes:
    block = exif(6)
    first = block[:8] + struct.pack("<HHHII", 1, 0x0128, 3, 1, 2) + struct.pack("<I", 26)
    return _jpeg(exif=b"Exif\0\0" + first + block[8:])


@PICTURES
def orientation_in_XMP_only() -> bytes:
    xmp = (
        b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
        b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
        b"tiff:Orientation='6'/></rdf:RDF></x:xmpmeta>"
    )
    return _inserted(_jpeg(), _segment(0xE1, xmp))


# What lies between segments
PICTURES.add("a zero between segments", lambda: _inserted(_jpeg(), b"\0"))
PICTURES.add("FF 00 between segments", lambda: _inserted(_jpeg(), b"\xff\0"))
PICTURES.add("junk between segments", lambda: _inserted(_jpeg(), b"junk and\x00more"))
PICTURES.add("junk before the scan", lambda: _inserted(_jpeg(), b"\x12\x34\x56", b"\xff\xda"))
PICTURES.add("fill bytes before a marker", lambda: _inserted(_jpeg(), b"\xff" * 9))
PICTURES.add("an APP1 that says too little", lambda: _inserted(_jpeg(), b"\xff\xe1\0\x04" + b"Exif\0\0II*\0"))
PICTURES.add("an empty APP1", lambda: _inserted(_jpeg(), b"\xff\xe1\0\x02"))
PICTURES.add("rubbish after the end", lambda: _jpeg() + b"rubbish" * 10)
PICTURES.add("a picture after the end", lambda: _jpeg() + _jpeg(Image.new("RGB", (500, 10))))
PICTURES.add("a long comment", lambda: _inserted(_jpeg(), _segment(0xFE, b"c" * 65533)))


@PICTURES
def a_preview_in_EXIF() -> bytes:
    preview = _jpeg(Image.new("RGB", (32, 32), "yellow"))
    return _jpeg(exif=b"Exif\0\0" + exif(1) + preview)


@PICTURES
def several_pictures_as_MPO() -> bytes:
    return saved(
        sample(), "MPO", quality=92, save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT), "yellow")]
    )


@PICTURES
def a_gain_map() -> bytes:
    xmp = (
        b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf="
        b"'http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' "
        b"hdrgm:Version='1.0' hdrgm:GainMapMax='2.5' hdrgm:HDRCapacityMax='2.5'/></rdf:RDF></x:xmpmeta>"
    )
    return _inserted(several_pictures_as_MPO(), _segment(0xE1, xmp))


# Colours
PICTURES.add("Adobe CMYK", lambda: _jpeg(sample("CMYK")))
PICTURES.add("Adobe YCCK", lambda: _of_transform(_jpeg(sample("CMYK")), 2))
PICTURES.add("Adobe CMYK with a profile", lambda: _jpeg(sample("CMYK"), icc_profile=_cmyk_profile()))
PICTURES.add(
    "Adobe CMYK with a profile of RGB", lambda: _jpeg(sample("CMYK"), icc_profile=matrix_profile("adobe", 2.2))
)
PICTURES.add("a profile of sRGB", _jpeg, icc_profile=matrix_profile())
PICTURES.add("a profile of Display P3", _jpeg, icc_profile=matrix_profile("p3", name="Display P3"))
PICTURES.add("a profile of Adobe RGB", _jpeg, icc_profile=matrix_profile("adobe", 2.2, name="Adobe RGB (1998)"))
PICTURES.add("a linear profile", _jpeg, icc_profile=matrix_profile(gamma=1.0, name="linear"))
PICTURES.add("a linear profile that says sRGB", _jpeg, icc_profile=matrix_profile(gamma=1.0, name="sRGB linear"))
PICTURES.add("P3 that says sRGB", _jpeg, icc_profile=matrix_profile("p3", name="sRGB IEC61966-2.1"))
PICTURES.add("a profile of gray", lambda: _jpeg(sample("L"), icc_profile=curves_profile(1.0)))
PICTURES.add("a profile of gray on colours", lambda: _jpeg(icc_profile=curves_profile(1.0)))
PICTURES.add("a profile of RGB on gray", lambda: _jpeg(sample("L"), icc_profile=matrix_profile("p3", 1.0)))
PICTURES.add("a profile that is junk", _jpeg, icc_profile=b"junk" * 100)
PICTURES.add("a profile that is cut", _jpeg, icc_profile=matrix_profile("p3")[:300])
PICTURES.add("a profile of a scanner", _jpeg, icc_profile=matrix_profile("p3", kind=b"scnr"))
PICTURES.add("JFIF colours under an Adobe marker", lambda: _inserted(_jpeg(), _segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")))
PICTURES.add("an Adobe marker of RGB over YCbCr", lambda: _adobe_alone(0))
PICTURES.add("an Adobe marker of YCbCr alone", lambda: _adobe_alone(1))


def _of_transform(data: bytes, transform: int) -> bytes:
    at = data.index(b"Adobe") + 11
    return data[:at] + bytes([transform]) + data[at + 1 :]


def _cmyk_profile() -> bytes:
    """A profile that libvips has in it."""
    import pyvips

    return bytes(pyvips.Operation.call("profile_load", "cmyk"))


def _adobe_alone(transform: int) -> bytes:
    data = _jpeg()
    jfif = 2 + 2 + struct.unpack(">H", data[4:6])[0]
    return data[:2] + _segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) + data[jfif:]


@PICTURES
def CMYK_without_an_Adobe_marker() -> bytes:
    data = _jpeg(sample("CMYK"))
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + 14 :]


@PICTURES
def components_named_R_G_B() -> bytes:
    # Without any marker, decoders take the names for the colours.
    data = bytearray(_jpeg(keep_rgb=True))
    at = data.find(b"\xff\xee")
    if at >= 0:
        del data[at : at + 16]
    return bytes(data)


@PICTURES
def without_JFIF() -> bytes:
    data = _jpeg()
    return data[:2] + data[4 + struct.unpack(">H", data[4:6])[0] :]


@PICTURES
def a_profile_in_two_pieces_out_of_order() -> bytes:
    profile = matrix_profile("p3", 1.0)
    half = len(profile) // 2
    pieces = [(2, profile[half:]), (1, profile[:half])]
    segments = b"".join(_segment(0xE2, b"ICC_PROFILE\0" + bytes([index, 2]) + piece) for index, piece in pieces)
    return _inserted(_jpeg(), segments)


def _piece(number: int, count: int, profile: bytes) -> bytes:
    return _segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + profile)


_LINEAR = matrix_profile(gamma=1.0)
PICTURES.add("a profile without its other pieces", lambda: _inserted(_jpeg(), _piece(1, 3, _LINEAR)))
PICTURES.add("a profile in piece number 0", lambda: _inserted(_jpeg(), _piece(0, 0, _LINEAR)))
PICTURES.add("two profiles", lambda: _inserted(_jpeg(), _piece(1, 1, _LINEAR) + _piece(1, 1, matrix_profile())))
PICTURES.add("a table for a profile", lambda: _jpeg(icc_profile=table_profile()))
PICTURES.add("a table that links devices", lambda: _jpeg(icc_profile=table_profile(kind=b"link")))
PICTURES.add("a table that is damaged", lambda: _jpeg(icc_profile=table_profile(steps=255)))


@PICTURES
def one_pixel() -> bytes:
    return _jpeg(Image.new("RGB", (1, 1), (200, 120, 60)))


@PICTURES
def two_bytes_of_end_missing_then_zeros() -> bytes:
    return _jpeg() + bytes(100)
