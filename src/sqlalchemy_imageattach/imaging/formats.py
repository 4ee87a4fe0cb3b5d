"""Telling the type of an image by its bytes, and reading its header.

That is its size as a browser shows it, and whether it is all there.  Declared types and file names are not asked.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable

from ..exc import InvalidImageError
from . import pdf
from .headers import bmp, gif, isobmff, jpeg, png, svg, tiff, webp
from .headers.header import PAST_THE_END, Header, damaged, truncated, unsupported
from .types import READERS

__all__ = ("read_header", "sniff")

# What a file of each type begins with.  The root element says that a text is SVG, and brands say what ISO files are.
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), mimetype)
    for pattern, mimetype in (
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]", "image/tiff"),
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "image/bmp"),
        (rb"%PDF-\d", "application/pdf"),
    )
)


def sniff(data: memoryview) -> str:
    """Tell the type of an image by its first bytes.

    :param data: the whole file
    :returns: a mimetype, one of :data:`~.types.ALL_TYPES`
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if it is none of them

    >>> sniff(memoryview(b"GIF89a..."))
    'image/gif'
    """
    for signature, mimetype in _SIGNATURES:
        if signature.match(data):
            return mimetype
    if bytes(data[4:8]) == b"ftyp" and (brand := isobmff.sniff(data)):
        return brand
    if svg.sniff(data):
        return "image/svg+xml"
    raise InvalidImageError(
        f"expected an image, got bytes of no known type, which begin with {bytes(data[:16])!r}; "
        "JPEG, PNG, GIF, WebP, AVIF, HEIC, TIFF, BMP, SVG and PDF are read",
        reason="unknown_type",
    )


def read_header(data: memoryview, mimetype: str) -> Header:
    """Read the header of an image, and check that the image is whole.

    :param data: the whole file
    :param mimetype: what :func:`sniff` has found
    :returns: what the header tells
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the file is truncated or damaged, or what reads its type
        is not installed
    """
    module, package = READERS.get(mimetype, (None, ""))
    if module is not None and not _is_installed(module):
        raise unsupported(mimetype, package)
    try:
        header = _READERS[mimetype](data)
    except PAST_THE_END:
        raise truncated("it ends within its header") from None
    if header.width < 1 or header.height < 1:
        raise damaged(f"its size is {header.width}x{header.height} pixels")
    return header


@functools.cache
def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


_READERS: dict[str, Callable[[memoryview], Header]] = {
    "application/pdf": pdf.read,
    "image/avif": isobmff.read_avif,
    "image/bmp": bmp.read,
    "image/gif": gif.read,
    "image/heic": isobmff.read_heic,
    "image/jpeg": jpeg.read,
    "image/png": png.read,
    "image/svg+xml": svg.read,
    "image/tiff": tiff.read,
    "image/webp": webp.read,
}
