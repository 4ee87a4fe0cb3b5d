"""Images for the tests: made on the spot, none is stored."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from PIL import Image, ImageCms

#: What each corner of :func:`corners` is coloured, clockwise from the upper left.
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)

FORMATS = {
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}


def corners(width: int = 80, height: int = 60, mode: str = "RGB") -> Image.Image:
    """An image whose quarters are red, green, white and blue, so that any turn shows."""
    image = Image.new("RGB", (width, height), WHITE)
    for color, box in (
        (RED, (0, 0, width // 2, height // 2)),
        (GREEN, (width // 2, 0, width, height // 2)),
        (BLUE, (0, height // 2, width // 2, height)),
    ):
        image.paste(color, box)
    return image.convert(mode)


def saved(image: Image.Image, mimetype: str, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, FORMATS[mimetype], **options)
    return file


def picture(mimetype: str, width: int = 80, height: int = 60, **options: Any) -> io.BytesIO:
    return saved(corners(width, height), mimetype, **options)


def noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


def animation(mimetype: str, frames: int = 4, width: int = 80, height: int = 60, **options: Any) -> io.BytesIO:
    images = [
        Image.new("RGB", (width, height), (60 * index % 256, 90, 255 - 60 * index % 256)) for index in range(frames)
    ]
    return saved(images[0], mimetype, save_all=True, append_images=images[1:], duration=120, loop=0, **options)


def svg(attributes: str, content: str = '<rect width="10" height="10" fill="red"/>') -> io.BytesIO:
    return io.BytesIO(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{content}</svg>'.encode())


def pdf(width: int = 200, height: int = 100) -> io.BytesIO:
    """The least PDF: one page with a red rectangle over its left half."""
    drawing = f"1 0 0 rg 0 0 {width // 2} {height} re f".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
    ]
    body = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    return io.BytesIO(body + b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table) + trailer)


def exif(orientation: int, byte_order: str = "<") -> bytes:
    """An EXIF block that tells an orientation and a place."""
    mark = b"II" if byte_order == "<" else b"MM"
    gps = struct.pack(byte_order + "HHHI4sI", 1, 1, 2, 2, b"N\0\0\0", 0)
    fields = struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    fields += struct.pack(byte_order + "HHII", 0x8825, 4, 1, 8 + 2 + 24 + 4)
    return mark + struct.pack(byte_order + "HIH", 42, 8, 2) + fields + struct.pack(byte_order + "I", 0) + gps


def png_chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(
    width: int, height: int, chunks: Iterable[bytes] = (), depth: int = 8, color: int = 2, interlace: int = 0
) -> bytes:
    """A PNG of any declared size, with zeros for pixels as far as a few kilobytes of them go."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    pixels = zlib.compress(bytes(min(height * (width * channels * depth // 8 + 1), 2_000_000)), 9)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    parts = [png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def profile(swap: bool = False) -> bytes:
    """A colour profile: sRGB, or one that takes red for green, so that a conversion shows."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if swap:
        made = bytearray(bytes(made).replace(b"rXYZ", b"~~~~").replace(b"gXYZ", b"rXYZ").replace(b"~~~~", b"gXYZ"))
        made = bytearray(bytes(made).replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be")))
    return bytes(made)


def pixel(file: Any, at: tuple[float, float], mode: str = "RGB") -> tuple[int, ...]:
    """The colour at a place, given in parts of the width and height."""
    file.seek(0)
    with Image.open(file) as image:
        value = image.convert(mode).getpixel((int(at[0] * image.width), int(at[1] * image.height)))
    file.seek(0)
    assert isinstance(value, tuple)
    return value


def near(color: tuple[int, ...], expected: tuple[int, ...], by: int = 24) -> bool:
    return all(abs(one - other) <= by for one, other in zip(color, expected, strict=True))
