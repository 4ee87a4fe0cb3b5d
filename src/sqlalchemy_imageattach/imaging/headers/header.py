"""What the modules that read headers share; each has one family of formats, and :mod:`.formats` chooses.

No engine takes part: decoders are large, and what they tell of damaged files differs.  What must always be true:

- No pixel is decoded, and the work is bounded: every loop over parts of a file has a budget by :func:`budget`, so
  that a file made of millions of tiny parts costs a second and not a minute.  Where a loop is within another, or parts
  may lie on top of each other, both spend from one :class:`Budget`, or a small file would be many parts many times.
- A file that ends before its end marker or a length that it declares is refused as ``truncated``.
- Lengths and offsets in the bytes are never trusted: reading past the end is an error here (:data:`PAST_THE_END`),
  which :func:`.formats.read_header` turns into ``truncated``.

The bytes come as a :class:`memoryview`, over memory or over a mapped file, so that only the pages that are looked at
are read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ...exc import InvalidImageError
from ..policy import ImageInfo

__all__ = (
    "CLEARED",
    "HELD_BYTES",
    "KEPT",
    "MORE",
    "PAST_THE_END",
    "PUT_BACK",
    "Budget",
    "Frame",
    "Header",
    "budget",
    "check_metadata",
    "damaged",
    "too_costly",
    "truncated",
    "unpack",
    "unsupported",
)

unpack = struct.unpack_from

#: What reading past the end of the bytes raises, and reading where a machine cannot count to.
PAST_THE_END = (struct.error, IndexError, OverflowError)

# Decoders hold it, several times.
_MAX_METADATA = 32 * 1024 * 1024

#: The bytes that may be held for each pixel of the limit.
HELD_BYTES = 2.5

#: How many times as much a process of its own may hold, of what is isolated.
MORE = 4


@dataclass(frozen=True, slots=True)
class Header:
    """What a header tells; sizes are as stored, before the orientation is applied."""

    mimetype: str
    #: Pixels, as stored.
    width: int
    #: Pixels, as stored.
    height: int
    frames: int = 1
    #: As EXIF counts, 1 to 8; from 5 on width and height change places.
    orientation: int = 1
    #: How many pixels each pixel counts for against the limit: above 1 where a decoder holds the whole picture, at so
    #: many times
    #: :data:`HELD_BYTES`, instead of going through it row by row.
    weight: float = 1.0
    #: Whether it takes so much memory that it is decoded in a process of its own, which may have :data:`MORE` times as
    #: much; it counts for as much less then.
    isolated: bool = False
    #: The colour profile that the samples have, to convert from; ``None`` for sRGB.
    profile: bytes | None = None
    #: Whether it has what libvips decodes in another way than browsers do.
    unusual: bool = False
    #: Whether its frames are parts of a canvas, which are put together one upon the other.
    composed: bool = False
    #: How many colours it has at most, or 0 where every pixel has its own.
    palette: int = 0
    #: By which quality it was encoded, 1 to 100, as an estimate; ``None`` where that is not known.
    quality: int | None = None
    #: How often an animation is played, or 0 for without end.
    plays: int = 0
    #: Whether the end of the file is missing, and a part of the picture with it.
    partial: bool = False
    #: Whether it is of a type that loses something, and has lost nothing.
    lossless: bool = False
    #: Bytes that a decoder may need beside the pixels, whatever their number is.
    tables: int = 0

    @property
    def info(self) -> ImageInfo:
        """The same as a browser shows it."""
        width, height = (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
        return ImageInfo(width, height, self.mimetype, self.frames)


#: What becomes of the area of a frame before the next one is drawn: it stays, becomes transparent, or what it was.
KEPT, CLEARED, PUT_BACK = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of an animation, as it lies in a file."""

    #: Pixels, on the canvas.
    left: int
    top: int
    width: int
    height: int
    #: Milliseconds.
    duration: int
    #: One of :data:`KEPT`, :data:`CLEARED` and :data:`PUT_BACK`.
    disposal: int
    #: Whether it takes the place of what is there, instead of being laid over it.
    replaces: bool
    #: A file that has this picture and nothing else.
    file: bytes


def truncated(what: str) -> InvalidImageError:
    return InvalidImageError(
        f"expected a whole image, got a part of one: {what}; send the file again", reason="truncated"
    )


def damaged(what: str) -> InvalidImageError:
    return InvalidImageError(f"expected a well-formed image, got a damaged one: {what}", reason="damaged")


def too_costly(what: str) -> InvalidImageError:
    return InvalidImageError(
        f"expected an image that costs no more than others of its size, got one that does: {what}; simplify it",
        reason="too_costly",
    )


def unsupported(mimetype: str, package: str) -> InvalidImageError:
    """The error for a type whose reader is not installed.

    :param mimetype: the type
    :param package: what to install, as pip takes it
    """
    return InvalidImageError(
        f"expected an image of a type that is read here, got {mimetype}, whose reader is not installed: "
        f"pip install '{package}'",
        reason="unsupported_type",
    )


def check_metadata(size: int) -> None:
    """Check how many bytes of a file are not the picture.

    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if they are too many
    """
    if size > _MAX_METADATA:
        raise InvalidImageError(
            f"expected at most {_MAX_METADATA} bytes of metadata, got {size}; remove it", reason="too_many_bytes"
        )


def budget(data: memoryview, least: int = 1024) -> range:
    """Bound a loop over the parts of a file; their mean length is at least so many bytes, but in small files."""
    return range(10_000 + len(data) // least)


class Budget:
    """How many parts may be looked at, by several loops together.

    :param parts: how many
    :param what: what they are parts of
    """

    def __init__(self, parts: int, what: str) -> None:
        self._left = parts
        self._what = what

    def spend(self, parts: int = 1) -> None:
        """Take some away.

        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if there are not so many left
        """
        self._left -= parts
        if self._left < 0:
            raise damaged(f"{self._what} has too many parts")
