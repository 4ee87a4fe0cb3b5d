"""Removing metadata from originals: where a photograph was taken and by whom, with what, previews of what was cut away.

Pixels are not touched: what is kept of a file is copied byte for byte.  What must always be true:

- Only what is known to be needed to show the image is kept, so that metadata of an unknown kind goes too.
- The image looks the same: its orientation and its colour profile stay.
- What follows the end of the image goes: videos and previews of telephones, which have metadata of their own.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

from ..exc import InvalidImageError
from .formats import read_header
from .headers import gif, jpeg, png, webp
from .headers.header import PAST_THE_END, damaged, truncated
from .headers.isobmff import metadata_extents
from .policy import ImageInfo
from .source import opened

__all__ = ("strip_metadata",)

_MAX_IN_MEMORY = 1024 * 1024

Pieces = Iterator[memoryview | bytes]


def strip_metadata(file: IO[bytes], info: ImageInfo) -> IO[bytes]:
    """Make a copy of an image without its metadata, and without decoding it.

    :param file: the image: readable, seekable and binary; its position is 0 afterwards
    :param info: what :func:`~sqlalchemy_imageattach.imaging.probe` says of it
    :returns: the copy, at its position 0; on disk when larger than a megabyte, and to be closed by the caller
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the file is damaged, or of a type whose metadata cannot be
        told from its picture, which is every one but JPEG, PNG, GIF, WebP, and HEIC and AVIF that do not move

    >>> import io
    >>> from sqlalchemy_imageattach.imaging import probe
    >>> original = io.BytesIO(photograph.getvalue())
    >>> with strip_metadata(original, probe(original)) as stripped:
    ...     probe(stripped) == probe(original)
    True
    """
    if info.mimetype not in _STRIPPERS:
        raise InvalidImageError(
            f"expected a type whose metadata can be removed ({', '.join(_STRIPPERS)}), got {info.mimetype}",
            reason="type_not_allowed",
        )
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(opened(file))
        stripped = cast(IO[bytes], stack.enter_context(tempfile.SpooledTemporaryFile(_MAX_IN_MEMORY)))
        orientation = read_header(data, info.mimetype).orientation
        try:
            for piece in _STRIPPERS[info.mimetype](data, orientation):
                stripped.write(piece)
        except PAST_THE_END:
            raise truncated("it ends within its metadata") from None
        stripped.seek(0)
        # It is the caller's from here on.
        stack.pop_all()
        file.seek(0)
    return stripped


def _exif(orientation: int) -> bytes:
    """An EXIF block that tells an orientation and nothing else."""
    return b"MM\0\x2a" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


# APP14 tells how colours are coded; APP0 and APP2 have their own rules below.
_JPEG_METADATA = frozenset(range(0xE0, 0xF0)) - {0xEE} | {0xFE}


def _jpeg(data: memoryview, orientation: int) -> Pieces:
    yield b"\xff\xd8"
    if orientation != 1:
        payload = b"Exif\0\0" + _exif(orientation)
        yield b"\xff" + bytes([jpeg.APP1]) + struct.pack(">H", len(payload) + 2) + payload
    for marker, start, end in jpeg.segments(data):
        if marker == jpeg.SCAN:
            yield data[start:end]
        elif marker == jpeg.EOI:
            yield b"\xff\xd9"
        elif marker == 0xE0 and bytes(data[start : start + 5]) == b"JFIF\0" and end - start >= 14:
            # The resolution, without the preview that may come after it.
            yield b"\xff\xe0\0\x10" + bytes(data[start : start + 12]) + b"\0\0"
        elif marker not in _JPEG_METADATA or (marker == 0xE2 and bytes(data[start : start + 12]) == b"ICC_PROFILE\0"):
            yield b"\xff" + bytes([marker])
            yield data[start - 2 : end]


_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)


def _png(data: memoryview, orientation: int) -> Pieces:
    yield data[:8]
    for name, start, end in png.chunks(data):
        if name in _PNG_KEPT:
            yield data[start:end]
        if name == b"IHDR" and orientation != 1:
            payload = b"eXIf" + _exif(orientation)
            yield struct.pack(">I", len(payload) - 4) + payload + struct.pack(">I", zlib.crc32(payload))


_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))


def _webp(data: memoryview, orientation: int) -> Pieces:
    pieces: list[memoryview | bytes] = []
    for name, start, end in webp.chunks(data):
        if name == b"VP8X":
            flags = data[start + 8] & ~(webp.HAS_XMP | webp.HAS_EXIF) | (webp.HAS_EXIF if orientation != 1 else 0)
            pieces += [data[start : start + 8], bytes([flags]), data[start + 9 : end]]
        elif name in _WEBP_KEPT:
            pieces += [data[start:end], bytes(end - start & 1)]
    if orientation != 1:
        exif = _exif(orientation)
        pieces.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif)
    yield b"RIFF" + struct.pack("<I", 4 + sum(map(len, pieces))) + b"WEBP"
    yield from pieces


# Extensions by their label, and applications' by their name: graphic control, plain text; loops and colours.
_GIF_KEPT = frozenset((0xF9, 0x01))
_GIF_APPLICATION = 0xFF
_GIF_APPLICATIONS_KEPT = frozenset((b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"))


def _gif(data: memoryview, orientation: int) -> Pieces:
    yield data[: gif.screen_end(data)]
    for kind, start, end in gif.blocks(data):
        label = data[start + 1] if kind == gif.EXTENSION else None
        application = bytes(data[start + 3 : start + 14]) if label == _GIF_APPLICATION else None
        if kind == gif.TRAILER:
            yield b";"
        elif label is None or label in _GIF_KEPT or application in _GIF_APPLICATIONS_KEPT:
            yield data[start:end]


def _isobmff(data: memoryview, orientation: int) -> Pieces:
    """Overwrites EXIF and XMP where they are, for offsets of other things would change; a turn is not in EXIF here."""
    at = 0
    for start, end in sorted(metadata_extents(data)):
        if start < at:
            raise damaged("two pieces of its metadata are in one place")
        yield data[at:start]
        # As EXIF, it is one without a field; as XMP, it is none.
        yield (b"\0\0\0\0MM\0\x2a\0\0\0\x08" + bytes(end - start))[: end - start]
        at = end
    yield data[at:]


_STRIPPERS: dict[str, Callable[[memoryview, int], Pieces]] = {
    "image/avif": _isobmff,
    "image/gif": _gif,
    "image/heic": _isobmff,
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
}
