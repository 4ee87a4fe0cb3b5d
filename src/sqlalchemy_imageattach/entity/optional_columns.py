"""Mixins beside :class:`~.image.Image`, for columns that not every application needs.

::

    class UserPicture(Base, Image, Focal, Frames, Placeholder):
        ...

A model that has one of them gets its values when an image is attached, but for the focal point, which somebody sets.
All columns are nullable: rows that were there before have nothing in them, and are treated with care.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from markupsafe import Markup
from sqlalchemy import Column, Float, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped

from ..exc import InvalidImageError
from ..variants.html import element

if TYPE_CHECKING:
    from ..imaging import ImagePolicy

__all__ = ("Focal", "Frames", "Placeholder", "facts_of")

# The longer side of a placeholder, in pixels, and how well it is kept: the first that is small enough is taken.
_ATTEMPTS = ((16, 20), (16, 5), (8, 5))
_MAX_BYTES = 200


class Focal:
    """A mixin for images with a point that crops keep.  Columns that it adds: ``focal_x`` and ``focal_y``."""

    if TYPE_CHECKING:
        #: From 0, the left, to 1, the right; ``None`` for the middle.
        focal_x: Mapped[float | None]
        #: From 0, the top, to 1, the bottom; ``None`` for the middle.
        focal_y: Mapped[float | None]
    else:
        focal_x = Column("focal_x", Float, nullable=True)
        focal_y = Column("focal_y", Float, nullable=True)

    @property
    def focal_point(self) -> tuple[float, float] | None:
        """The point that crops keep, each coordinate from 0 to 1; ``None`` for the middle.

        :raises TypeError: when it is set to something else than two numbers
        :raises ValueError: when it is set to a point outside of the image
        """
        return None if self.focal_x is None or self.focal_y is None else (self.focal_x, self.focal_y)

    @focal_point.setter
    def focal_point(self, point: tuple[float, float] | None) -> None:
        x, y = (None, None) if point is None else point
        for value in (x, y):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"expected a point of two numbers, got {point!r}")
            if not 0 <= value <= 1:
                raise ValueError(f"expected a point from (0, 0) to (1, 1), got {point!r}")
        self.focal_x, self.focal_y = x, y


class Frames:
    """A mixin for images that know how many frames they have, so that a still may be offered as AVIF.

    The column that it adds: ``frames``.
    """

    if TYPE_CHECKING:
        #: More than 1 for an animation; ``None`` where it is not known.
        frames: Mapped[int | None]
    else:
        frames = Column("frames", Integer, nullable=True)


class Placeholder:
    """A mixin for images with something to show until they are loaded.

    Columns that it adds: ``placeholder``, a WebP of less than 200 bytes, and ``average_color``.  Images with
    transparency have neither, since it would shine through.
    """

    if TYPE_CHECKING:
        #: A WebP of up to 16 pixels a side.
        placeholder: Mapped[bytes | None]
        #: Such as ``"#3060c0"``.
        average_color: Mapped[str | None]
    else:
        placeholder = Column("placeholder", LargeBinary(_MAX_BYTES), nullable=True)
        average_color = Column("average_color", String(7), nullable=True)

    @property
    def placeholder_url(self) -> str | None:
        """The placeholder as a ``data:`` URL; ``None`` where there is none."""
        if self.placeholder is None:
            return None
        return f"data:image/webp;base64,{base64.b64encode(self.placeholder).decode()}"

    @property
    def placeholder_style(self) -> str | None:
        """The placeholder as the value of an attribute ``style``; ``None`` where there is none."""
        url = self.placeholder_url
        return None if url is None else f"background:{self.average_color} url({url}) center/cover no-repeat"

    def placeholder_img(self, **attributes: Any) -> Markup:
        """The placeholder as an ``<img>`` of its own, for pages whose policy allows no inline styles.

        A style sheet lays it under the picture.

        :param attributes: HTML attributes
        :returns: the element, escaped; nothing where there is no placeholder
        """
        url = self.placeholder_url
        if url is None:
            return Markup()
        return element("img", {"src": url, "alt": "", "aria-hidden": "true", "class": "placeholder", **attributes})


def facts_of(cls: type[Any], open_file: Callable[[], IO[bytes]], policy: ImagePolicy) -> dict[str, Any]:
    """Find out what the mixins of an image class want to know of an image.

    :param cls: the image class
    :param open_file: opens the image
    :param policy: what is accepted
    :returns: values, by attribute names; fewer of an image that does not decode
    """
    facts: dict[str, Any] = {}
    if not issubclass(cls, Frames | Placeholder):
        return facts
    from ..imaging import open_picture
    from ..imaging.engines.choice import summary
    from ..imaging.policy import limits_of

    limits = limits_of(policy)
    # Whether it is accepted is decided elsewhere, and by its header alone.
    with contextlib.suppress(InvalidImageError), open_file() as file, open_picture(file, limits) as picture:
        info = picture.info
        if issubclass(cls, Frames):
            facts["frames"] = info.frames
        if issubclass(cls, Placeholder):
            size = _within(info.width, info.height, _ATTEMPTS[0][0])
            with picture.resize(*size, mimetype="image/png", first_frame=True).file as small:
                color = summary(small)
                if color is not None:
                    facts |= {"average_color": color, "placeholder": _placeholder(small)}
    return facts


def _within(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _placeholder(small: IO[bytes]) -> bytes | None:
    from ..imaging import ImagePolicy, open_picture

    with open_picture(small, ImagePolicy()) as picture:
        for side, quality in _ATTEMPTS:
            size = _within(picture.info.width, picture.info.height, side)
            with picture.resize(*size, mimetype="image/webp", quality=quality).file as made:
                content = made.read()
            if len(content) < _MAX_BYTES:
                return content
    return None
