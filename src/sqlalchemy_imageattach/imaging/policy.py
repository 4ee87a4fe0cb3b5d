"""What is accepted: the limits that keep a server alive, and the wishes of an application.

Both are one class, :class:`ImagePolicy`, as both are questions about the header of an image, asked before a pixel is
decoded. Every limit is on by default.  The defaults leave room for what cameras and scanners make, and keep one
hostile file from costing more than a few seconds and a few hundred megabytes:

``max_bytes``, 256 MiB
    Scanned TIFF files of 100 MB are real.  Bytes are the cheapest of the four: files are read from disk, not held in
    memory.
``max_pixels``, 100 million
    Telephones make pictures of 50 million.  Most formats are decoded row by row; those that are not need up to 18
    bytes for each pixel, and count more by a weight: 28 million pixels of a HEIC, or 19 million of an AVIF, are as many
    as 100 million of a JPEG.  That keeps memory below 300 MB.  Larger ones, up to 100 million pixels of a HEIC and 55
    million of an AVIF, are decoded in a process of their own, which may have 1 GB, if the file has a megabyte at least.
``max_frame_pixels``, 200 million
    Frames x width x height: an animation costs time by this product, about a second for each 100 million.
``max_target_pixels``, 25 million
    The size that is asked for, all frames together.  A picture 10 pixels wide and 2 million high is small, but not at a
    width of 150: that takes 30 million rows.  GIF and AVIF count twice, as their encoders need more time and memory.

What must always be true: no code path decodes before :meth:`ImagePolicy.check` and :meth:`ImagePolicy.check_target`
have passed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import IO, Literal

from ..exc import InvalidImageError
from .types import ALL_TYPES

__all__ = ("ANYTHING", "ImageInfo", "ImagePolicy", "Resized", "limits_of")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What the header of an image tells.

    >>> ImageInfo(width=640, height=480, mimetype="image/jpeg").frames
    1
    """

    #: Pixels, as a browser shows them: with the orientation applied.
    width: int
    #: Pixels, as a browser shows them.
    height: int
    #: Decided by the bytes, never by a declared type or a file name.
    mimetype: str
    #: More than 1 for an animation.
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Resized:
    """An image that :func:`~sqlalchemy_imageattach.imaging.resize` made."""

    #: Readable and seekable, at its position 0; on disk when larger than a megabyte.
    file: IO[bytes]
    #: Pixels, of what was really made.
    width: int
    #: Pixels, of what was really made.
    height: int
    #: Differs from the original's where that is a vector image, or HEIC.
    mimetype: str


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """The images that are accepted; every limit has a safe default.

    :param max_bytes: the largest file, in bytes
    :param max_pixels: the largest width x height, in pixels
    :param max_frame_pixels: the largest frames x width x height, in pixels
    :param max_target_pixels: the largest frames x width x height that may be asked for, in pixels
    :param types: the accepted types; ``None`` for every type that this library reads
    :param min_side: the least length of the shorter side, in pixels
    :param max_side: the greatest length of the longer side, in pixels
    :param min_aspect_ratio: the least width / height
    :param max_aspect_ratio: the greatest width / height
    :param strip_metadata: whether originals are stored without what tells of places, people and devices, their pixels
        untouched; types of which that cannot be removed are refused then
    :param truncated: what becomes of a JPEG, PNG or GIF whose end is missing: ``"refuse"``, for an upload that was cut
        off can be sent again as long as its sender is there; or ``"accept"``, and it is shown as far as it goes, as
        browsers do.  Other types are refused in any case, as browsers do not agree on them
    :raises TypeError: if a limit is not a number, or ``types`` not a set of strings
    :raises ValueError: if a limit is not positive, a least is above its greatest, or a type is none that this library
        reads

    >>> portrait = ImagePolicy(types=frozenset({"image/jpeg", "image/png"}), min_side=200, max_aspect_ratio=1.0)
    >>> portrait.check(ImageInfo(640, 480, "image/jpeg"))
    Traceback (most recent call last):
    sqlalchemy_imageattach.exc.InvalidImageError: expected an image at most 1.0 times as wide as high, got 640x480
    pixels; crop it first
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_frame_pixels: int = 200_000_000
    max_target_pixels: int = 25_000_000
    types: frozenset[str] | None = None
    min_side: int | None = None
    max_side: int | None = None
    min_aspect_ratio: float | None = None
    max_aspect_ratio: float | None = None
    strip_metadata: bool = False
    truncated: Literal["refuse", "accept"] = "refuse"

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "max_frame_pixels", "max_target_pixels", "min_side", "max_side"):
            value = getattr(self, name)
            if value is None and name.endswith("side"):
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        for name in ("min_aspect_ratio", "max_aspect_ratio"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number, not {value!r}")
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, not {value!r}")
        for least, greatest in (("min_side", "max_side"), ("min_aspect_ratio", "max_aspect_ratio")):
            low, high = getattr(self, least), getattr(self, greatest)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} ({low!r}) is above {greatest} ({high!r}): no image would be accepted")
        if not isinstance(self.strip_metadata, bool):
            raise TypeError(f"strip_metadata must be a bool, not {self.strip_metadata!r}")
        if self.truncated not in ("refuse", "accept"):
            raise ValueError(f"truncated must be 'refuse' or 'accept', not {self.truncated!r}")
        if self.types is not None:
            if isinstance(self.types, str) or not all(isinstance(each, str) for each in self.types):
                raise TypeError(f"types must be a set of mimetypes, not {self.types!r}")
            object.__setattr__(self, "types", frozenset(self.types))
            if unknown := self.types - ALL_TYPES:
                raise ValueError(f"types has {sorted(unknown)!r}; this library reads {sorted(ALL_TYPES)!r}")

    @property
    def accept(self) -> str:
        """What ``<input type="file" accept=...>`` says, so that a browser offers files of the accepted types.

        >>> ImagePolicy(types=frozenset({"image/png", "image/jpeg"})).accept
        'image/jpeg,image/png'
        """
        return ",".join(sorted(ALL_TYPES if self.types is None else self.types))

    def check_bytes(self, size: int) -> None:
        """Check the length of a file; to be called while reading it as well, with what was read so far.

        :param size: bytes
        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if there are too many, or none

        >>> ImagePolicy(max_bytes=1000).check_bytes(1000)
        """
        if size == 0:
            raise InvalidImageError("expected an image, got an empty file", reason="empty")
        if size > self.max_bytes:
            raise InvalidImageError(
                f"expected at most {self.max_bytes} bytes, got {size} or more; send a smaller file, or raise max_bytes",
                reason="too_many_bytes",
            )

    def check_type(self, mimetype: str) -> None:
        """Check the type of an image.

        :param mimetype: the type that the bytes are of
        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if it is not wanted

        >>> ImagePolicy(types=frozenset({"image/png"})).check_type("image/png")
        """
        if self.types is not None and mimetype not in self.types:
            raise InvalidImageError(
                f"expected one of {sorted(self.types)!r}, got {mimetype}", reason="type_not_allowed"
            )

    def check(self, info: ImageInfo, weight: float = 1.0) -> None:
        """Check an image by its header.

        :param info: what its header tells
        :param weight: how many pixels each pixel counts for against ``max_pixels``
        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if it exceeds a limit, or is not as wished

        >>> ImagePolicy().check(ImageInfo(4032, 3024, "image/jpeg"))
        """
        self.check_type(info.mimetype)
        size = f"{info.width}x{info.height} pixels"
        pixels = info.width * info.height
        if pixels * weight > self.max_pixels:
            raise InvalidImageError(
                f"expected at most {int(self.max_pixels / weight)} pixels in such an {info.mimetype}, got {size}; "
                "send a smaller image, or raise max_pixels",
                reason="too_many_pixels",
            )
        if pixels * info.frames > self.max_frame_pixels:
            raise InvalidImageError(
                f"expected at most {self.max_frame_pixels} pixels in all frames, got {info.frames} frames of {size}; "
                "send a smaller or shorter animation, or raise max_frame_pixels",
                reason="too_many_frames",
            )
        if self.min_side is not None and min(info.width, info.height) < self.min_side:
            raise InvalidImageError(
                f"expected sides of at least {self.min_side} pixels, got {size}", reason="side_too_short"
            )
        if self.max_side is not None and max(info.width, info.height) > self.max_side:
            raise InvalidImageError(
                f"expected sides of at most {self.max_side} pixels, got {size}", reason="side_too_long"
            )
        ratio = info.width / info.height
        if self.min_aspect_ratio is not None and ratio < self.min_aspect_ratio:
            raise InvalidImageError(
                f"expected an image at least {self.min_aspect_ratio} times as wide as high, got {size}; crop it",
                reason="aspect_ratio",
            )
        if self.max_aspect_ratio is not None and ratio > self.max_aspect_ratio:
            raise InvalidImageError(
                f"expected an image at most {self.max_aspect_ratio} times as wide as high, got {size}; crop it",
                reason="aspect_ratio",
            )

    def check_target(self, width: int, height: int, frames: int = 1, weight: float = 1.0) -> None:
        """Check a size that is asked for.

        :param width: pixels
        :param height: pixels
        :param frames: how many of them
        :param weight: how many pixels each pixel counts for
        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if they are more than ``max_target_pixels``

        >>> ImagePolicy().check_target(150, 30_000_000)
        Traceback (most recent call last):
        sqlalchemy_imageattach.exc.InvalidImageError: expected at most 25000000 pixels to be asked for, ...
        """
        if width * height * frames > self.max_target_pixels / weight:
            wanted = f"{width}x{height}" if frames == 1 else f"{frames} frames of {width}x{height}"
            raise InvalidImageError(
                f"expected at most {int(self.max_target_pixels / weight)} pixels to be asked for, got {wanted}; "
                "ask for a smaller size, or raise max_target_pixels",
                reason="target_too_large",
            )


#: For what was accepted once, and is just asked what it is.
ANYTHING = ImagePolicy(max_bytes=2**63, max_pixels=2**63, max_frame_pixels=2**63, max_target_pixels=2**63)


def limits_of(policy: ImagePolicy) -> ImagePolicy:
    """Leave of a policy what keeps a server alive.

    :param policy: what is accepted of uploads
    :returns: the same, without wishes

    >>> limits_of(ImagePolicy(min_side=200)).min_side
    """
    return dataclasses.replace(
        policy, types=None, min_side=None, max_side=None, min_aspect_ratio=None, max_aspect_ratio=None
    )
