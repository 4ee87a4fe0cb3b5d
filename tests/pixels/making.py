"""What the makers of pictures share: a picture that any mistake shows in, and the pieces that files are built of.

A maker is a function without arguments that returns the bytes of a file.  Each module of makers has a
:class:`Collection`, in which they stand by name.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from PIL import Image, ImageDraw

from sqlalchemy_imageattach.imaging.headers import colors

__all__ = (
    "HEIGHT",
    "WIDTH",
    "Collection",
    "chunk",
    "curves_profile",
    "exif",
    "matrix_profile",
    "png_of",
    "sample",
    "saved",
    "table_profile",
    "turned",
)

WIDTH, HEIGHT = 192, 128

Maker = Callable[[], bytes]


class Collection(dict[str, Maker]):
    """Makers by the names of what they make."""

    def __init__(self, mimetype: str) -> None:
        super().__init__()
        self.mimetype = mimetype

    def add(self, name: str, make: Callable[..., bytes], *arguments: Any, **options: Any) -> None:
        assert name not in self
        self[name] = functools.partial(make, *arguments, **options)

    def __call__(self, make: Maker) -> Maker:
        self.add(make.__name__.replace("_", " "), make)
        return make


def sample(mode: str = "RGB", width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Ramps of all three colours, and a rectangle off the middle: no turn, shift or exchange of colours is unseen."""
    ramp = Image.linear_gradient("L").resize((height, width), Image.Resampling.BOX).transpose(Image.Transpose.ROTATE_90)
    down = Image.linear_gradient("L").resize((width, height), Image.Resampling.BOX)
    image = Image.merge("RGB", (ramp, down, ramp.point(lambda value: 255 - value // 2)))
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 8, height // 8, width * 3 // 8 - 1, height // 2 - 1), fill=(200, 60, 50))
    draw.rectangle((width // 2, height * 5 // 8, width * 7 // 8 - 1, height * 7 // 8 - 1), fill=(60, 180, 90))
    if "A" in mode:
        image.putalpha(ramp.point(lambda value: min(255, value * 2)))
    return image.convert(mode)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# What undoes each orientation, by number of a transposition.
_UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}


def turned(orientation: int, mode: str = "RGB") -> Image.Image:
    """The sample as it lies in a file that has to be shown by an orientation."""
    image = sample(mode)
    return image.transpose(Image.Transpose(_UNDO[orientation])) if orientation in _UNDO else image


def exif(
    orientation: int, kind: int = 3, count: int = 1, order: str = "<", code: str = "H", tag: int = 0x0112
) -> bytes:
    """An EXIF block with an orientation of any type."""
    mark = b"II" if order == "<" else b"MM"
    value = struct.pack(order + code * min(count, 2), *[orientation] * min(count, 2))[:4].ljust(4, b"\0")
    return mark + struct.pack(order + "HIHHHI", 42, 8, 1, tag, kind, count) + value + bytes(4)


def chunk(name: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png_of(
    rows: Iterable[bytes],
    width: int,
    height: int,
    depth: int,
    color: int,
    before: Iterable[bytes] = (),
    after: Iterable[bytes] = (),
    interlace: int = 0,
) -> bytes:
    """A PNG of rows of packed samples, none of them filtered."""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", pixels), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# Profiles.  ICC.1:2001, 6

_PRIMARIES = {
    "srgb": ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)),
    "p3": ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "adobe": ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
}


def _tag_xyz(values: Iterable[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _tag_curve(gamma: float | None) -> bytes:
    if gamma is None:
        table = [_srgb_curve(index / 1023) for index in range(1024)]
        return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *(round(65535 * value) for value in table))
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _srgb_curve(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _profile(tags: dict[bytes, bytes], colors: bytes, kind: bytes = b"mntr", version: int = 0x02100000) -> bytes:
    table, body = b"", b""
    at = 128 + 4 + 12 * len(tags)
    for name, payload in tags.items():
        payload += bytes(-len(payload) % 4)
        table += name + struct.pack(">II", at + len(body), len(payload))
        body += payload
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", version, kind, colors, b"XYZ ") + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _description(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67)


def matrix_profile(primaries: str = "srgb", gamma: float | None = None, name: str = "made", **options: Any) -> bytes:
    """A profile of RGB by three primaries and one curve, which is sRGB's unless a gamma is given."""
    red, green, blue = _PRIMARIES[primaries]
    curve = _tag_curve(gamma)
    tags = {
        b"desc": _description(name),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _tag_xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": _tag_xyz(red),
        b"gXYZ": _tag_xyz(green),
        b"bXYZ": _tag_xyz(blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _profile(tags, b"RGB ", **options)


def curves_profile(gamma: float | None = None, name: str = "gray") -> bytes:
    """A profile of gray."""
    tags = {
        b"desc": _description(name),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _tag_xyz((0.9642, 1.0, 0.8249)),
        b"kTRC": _tag_curve(gamma),
    }
    return _profile(tags, b"GRAY")


def table_profile(kind: bytes = b"mntr", steps: int | None = None) -> bytes:
    """A profile that is a table, of a kind of device, and with a number of steps that may be wrong."""
    made = bytearray(colors.of_cicp(9, 16) or b"")
    made[12:16] = kind
    if steps is not None:
        made[made.index(b"mft2") + 10] = steps
    return bytes(made)
