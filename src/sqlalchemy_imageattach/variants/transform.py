"""What an application asks for: a size, a shape, a type.

A :class:`Transform` says nothing about any one picture.  :mod:`.geometry` finds out what it comes to for an original,
and :mod:`.recipe` what is left to do then.  It must always be true that

- a wrong value is refused when the transform is made, in words, and not when a page is rendered;
- a transform is immutable and hashable, so that a preset can be shared by all threads.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from ..imaging import ImagePolicy

__all__ = ("COMPASS", "FORMATS", "QUALITIES", "Fit", "Source", "Transform", "has_own_shape")

Fit = Literal["inside", "cover", "contain", "fill"]

#: The types that may be asked for by name.
FORMATS: Final = MappingProxyType(
    {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
)

#: What ``"low"``, ``"medium"`` and ``"high"`` are for each type; 30 photographs suggest the middle ones: see
#: ``benchmarks/qualities.py``.
QUALITIES: Final = MappingProxyType(
    {
        "image/jpeg": MappingProxyType({"low": 60, "medium": 80, "high": 90}),
        "image/webp": MappingProxyType({"low": 62, "medium": 82, "high": 92}),
        "image/avif": MappingProxyType({"low": 45, "medium": 65, "high": 80}),
    }
)

#: Where each compass point is: how much of the space that is left over lies to its left and above it, in halves.
COMPASS: Final = MappingProxyType(
    {
        "center": (1, 1),
        "north": (1, 0),
        "northeast": (2, 0),
        "east": (2, 1),
        "southeast": (2, 2),
        "south": (1, 2),
        "southwest": (0, 2),
        "west": (0, 1),
        "northwest": (0, 0),
    }
)

_FITS = ("inside", "cover", "contain", "fill")
_RATIO = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})")
_COLOUR = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})")
# Every format's limit is below it.
_MAX_SIDE = 65_535
_MAX_PIXELS = ImagePolicy().max_target_pixels


@dataclass(frozen=True, slots=True)
class Transform:
    """What a variant is like: its size, its shape, its type.

    :param width: pixels, at the most
    :param height: pixels, at the most
    :param ratio: a shape such as ``"16/9"``, instead of one of width and height or of both
    :param fit: ``"inside"`` keeps the original's shape; ``"cover"`` crops to the shape that is asked for, ``"contain"``
        pads to it, and ``"fill"`` stretches to it
    :param upscale: whether small originals are enlarged; without it, ``"cover"`` and ``"contain"`` keep their shape and
        shrink to what the original has
    :param gravity: what a crop keeps: ``"center"``, a compass point such as ``"northwest"``, ``"attention"`` for what
        catches the eye, or a point ``(x, y)`` of the original, each from 0 to 1; by default the row's own point (see
        ``Focal``), else the centre
    :param crop: the part of the original to begin with: left, top, width and height in pixels, as it is displayed
    :param format: ``"jpeg"``, ``"png"``, ``"webp"`` or ``"avif"``; by default the type that a thumbnail would have
    :param quality: ``"low"``, ``"medium"`` or ``"high"``, which mean about the same for each type, or a number from 1
        to 100; by default ``"medium"``
    :param background: a colour such as ``"#ffffff"``, for what is transparent and what is padded; by default that stays
        transparent where the type can be, and is white where it cannot
    :param first_frame: whether of an animation only its first frame is shown
    :param preprocessed: of a preset, whether it is made soon after the commit, by a task: see
        :class:`~sqlalchemy_imageattach.tasks.ImageTasks`
    :raises TypeError: when nothing is asked for, or a value is of another type
    :raises ValueError: when a value is none of these, or the size is beyond every limit

    >>> Transform(width=320, height=200, fit="cover", format="webp").fit
    'cover'
    >>> Transform(width=320, fit="crop")
    Traceback (most recent call last):
    ValueError: expected fit to be 'inside', 'cover', 'contain' or 'fill', got 'crop'
    """

    width: int | None = None
    height: int | None = None
    ratio: str | None = None
    fit: Fit = "inside"
    upscale: bool = False
    gravity: str | tuple[float, float] | None = None
    crop: tuple[int, int, int, int] | None = None
    format: str | None = None
    quality: Literal["low", "medium", "high"] | int | None = None
    background: str | None = None
    first_frame: bool = False
    preprocessed: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        _check_size(self)
        _one_of("fit", self.fit, _FITS)
        for name in ("upscale", "first_frame", "preprocessed"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"expected {name} to be True or False, got {getattr(self, name)!r}")
        _check_ratio(self)
        if self.gravity is not None:
            object.__setattr__(self, "gravity", _checked_gravity(self.gravity))
        if self.crop is not None:
            object.__setattr__(self, "crop", _checked_crop(self.crop))
        if self.format is not None:
            _one_of("format", self.format, tuple(FORMATS))
        _check_quality(self.quality)
        if self.background is not None:
            object.__setattr__(self, "background", _checked_colour(self.background))
        asked = (self.width, self.height, self.ratio, self.crop, self.format, self.quality, self.background)
        if all(value is None for value in asked) and not self.first_frame:
            raise TypeError(
                "expected at least one of width, height, ratio, crop, format, quality, background and first_frame, got "
                "none: that would be the original"
            )


@dataclass(frozen=True, slots=True)
class Source:
    """Another shape for some screens: art direction, one ``<source>`` of a ``<picture>``.

    :param media: a media query such as ``"(max-width: 600px)"``
    :param ratio: the shape, such as ``"1/1"``; by default the original's
    :param fit: how it gets that shape
    :param gravity: what a crop keeps; as in :class:`Transform`
    :param crop: the part of the original to begin with; as in :class:`Transform`
    :param sizes: how wide the picture is shown on these screens, where that differs
    :raises TypeError: when a value is of another type
    :raises ValueError: when a value is refused by :class:`Transform`, or ``media`` is empty

    >>> Source(media="(max-width: 600px)", ratio="1/1").transform.fit
    'cover'
    """

    media: str
    ratio: str | None = None
    fit: Fit = "cover"
    gravity: str | tuple[float, float] | None = None
    crop: tuple[int, int, int, int] | None = None
    sizes: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.media, str):
            raise TypeError(f"expected media to be a media query, got {self.media!r}")
        if not self.media.strip():
            raise ValueError('expected media to be a media query such as "(max-width: 600px)", got an empty text')
        if self.ratio is None and self.crop is None:
            raise TypeError("expected a ratio or a crop, got neither: the source would be as all others are")
        self.transform  # noqa: B018  # to have wrong values refused now

    @property
    def transform(self) -> Transform:
        """The same as a transform, of any size."""
        return Transform(ratio=self.ratio, fit=self.fit, gravity=self.gravity, crop=self.crop)


def has_own_shape(transform: Transform) -> bool:
    """Tell whether a transform asks for a shape of its own.

    :param transform: any
    :returns: false where the result has the shape of the original, or of the part that is cropped

    >>> has_own_shape(Transform(width=320)), has_own_shape(Transform(ratio="1/1", fit="cover"))
    (False, True)
    """
    sides = transform.width is not None and transform.height is not None
    return transform.fit != "inside" and (sides or transform.ratio is not None)


def _check_size(transform: Transform) -> None:
    for name in ("width", "height"):
        value = getattr(transform, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"expected {name} to be a number of pixels, an integer, got {value!r}")
        if not 1 <= value <= _MAX_SIDE:
            raise ValueError(f"expected {name} to be from 1 to {_MAX_SIDE} pixels, got {value!r}")
    if (transform.width or 1) * (transform.height or 1) > _MAX_PIXELS:
        raise ValueError(
            f"expected at most {_MAX_PIXELS} pixels, got {transform.width}x{transform.height}; ask for a smaller size"
        )


def _check_ratio(transform: Transform) -> None:
    if transform.ratio is None:
        return
    if not isinstance(transform.ratio, str):
        raise TypeError(f"expected ratio to be a text such as '16/9', got {transform.ratio!r}")
    if not _RATIO.fullmatch(transform.ratio):
        raise ValueError(f"expected ratio to be two positive integers such as '16/9', got {transform.ratio!r}")
    if transform.width is not None and transform.height is not None:
        raise TypeError("expected at most two of width, height and ratio, got all three; leave the ratio out")
    if transform.fit == "inside":
        raise ValueError(
            "expected fit to be 'cover', 'contain' or 'fill' with a ratio, got 'inside', which keeps the shape of the "
            "original"
        )


def _checked_gravity(gravity: Any) -> str | tuple[float, float]:
    if isinstance(gravity, str):
        if gravity not in COMPASS and gravity != "attention":
            names = ", ".join(repr(name) for name in COMPASS)
            raise ValueError(f"expected gravity to be {names}, 'attention' or a point (x, y), got {gravity!r}")
        return gravity
    try:
        x, y = gravity
    except (TypeError, ValueError):
        raise TypeError(f"expected gravity to be a name or a point (x, y), got {gravity!r}") from None
    for value in (x, y):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"expected gravity to be a point of two numbers, got {gravity!r}")
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"expected gravity to be a point from (0, 0) to (1, 1), got {gravity!r}")
    return float(x), float(y)


def _checked_crop(crop: Any) -> tuple[int, int, int, int]:
    try:
        left, top, width, height = crop
    except (TypeError, ValueError):
        raise TypeError(f"expected crop to be left, top, width and height, got {crop!r}") from None
    for value in (left, top, width, height):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"expected crop to be four integers, in pixels, got {crop!r}")
    if left < 0 or top < 0 or width < 1 or height < 1:
        raise ValueError(f"expected crop to begin at 0 or later and to be at least 1 pixel wide and high, got {crop!r}")
    return left, top, width, height


def _check_quality(quality: Any) -> None:
    if quality is None or quality in ("low", "medium", "high"):
        return
    if isinstance(quality, str):
        raise ValueError(f"expected quality to be 'low', 'medium', 'high' or a number from 1 to 100, got {quality!r}")
    if isinstance(quality, bool) or not isinstance(quality, int):
        raise TypeError(f"expected quality to be a name or an integer, got {quality!r}")
    if not 1 <= quality <= 100:
        raise ValueError(f"expected quality to be from 1 to 100, got {quality!r}")


def _checked_colour(background: Any) -> str:
    if not isinstance(background, str):
        raise TypeError(f"expected background to be a colour such as '#ffffff', got {background!r}")
    match = _COLOUR.fullmatch(background.lower())
    if match is None:
        raise ValueError(f"expected background to be a colour such as '#ffffff' or '#fff', got {background!r}")
    digits = match[1]
    return f"#{digits if len(digits) == 6 else ''.join(2 * digit for digit in digits)}"


def _one_of(name: str, value: Any, values: tuple[str, ...]) -> None:
    if value not in values:
        *most, last = (repr(each) for each in values)
        raise ValueError(f"expected {name} to be {', '.join(most)} or {last}, got {value!r}")
