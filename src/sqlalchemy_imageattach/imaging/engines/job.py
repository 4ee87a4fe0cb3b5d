"""One image to make, and what the engines share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...exc import InvalidImageError
from ..headers.header import Header
from .filters import DEFAULT_FILTER, FILTERS, Kernel

if TYPE_CHECKING:
    import pyvips

__all__ = (
    "PIXELS_IN_MEMORY",
    "Change",
    "Job",
    "disagreeing",
    "undecodable",
)

#: Results of more pixels are written to disk, with no copy in memory.
PIXELS_IN_MEMORY = 1_000_000

# By how many colours an original has at most.
_COLORS = ((0, 0), (4, 16), (64, 96))

# What is gained beyond costs many times its worth.
_QUALITY = 85

Change = Callable[["pyvips.Image"], "pyvips.Image"]


@dataclass(frozen=True, slots=True)
class Job:
    """One image to make."""

    #: The whole original.
    data: memoryview
    header: Header
    #: Pixels, of each frame of the result.
    width: int
    height: int
    #: The type of the result.
    mimetype: str
    #: Bytes that a worker may use for it.
    memory: int
    filter: str = DEFAULT_FILTER
    first_frame: bool = False
    preprocess: Change | None = None
    postprocess: Change | None = None
    #: The part that is shown, as it is displayed: left, top, width and height in pixels; ``None`` for all of it.
    window: tuple[int, int, int, int] | None = None
    #: The width and height that the result is padded to, in pixels.
    canvas: tuple[int, int] | None = None
    #: The colour of what is transparent and of what is padded, as six hexadecimal digits.
    background: str | None = None
    #: From 1 to 100, for types that have one; ``None`` for that of thumbnails.
    asked_quality: int | None = None
    #: Whether nobody waits for it, and time may be spent on fewer bytes.
    is_thorough: bool = False

    @property
    def stored_window(self) -> tuple[int, int, int, int]:
        """The same part, before the orientation is applied."""
        width, height = self.header.width, self.header.height
        if self.window is None:
            return 0, 0, width, height
        x, y, w, h = self.window
        return {
            2: (width - x - w, y, w, h),
            3: (width - x - w, height - y - h, w, h),
            4: (x, height - y - h, w, h),
            5: (y, x, h, w),
            6: (y, height - x - w, h, w),
            7: (width - y - h, height - x - w, h, w),
            8: (width - y - h, x, h, w),
        }.get(self.header.orientation, (x, y, w, h))

    @property
    def rendered(self) -> tuple[int, int, int, int]:
        """For a vector image: the size to render all of it at, and where the window begins in that, in pixels."""
        if self.window is None:
            return self.width, self.height, 0, 0
        info, (x, y, w, h) = self.header.info, self.window
        width = max(self.width, round(info.width * self.width / w))
        height = max(self.height, round(info.height * self.height / h))
        left, top = round(x * self.width / w), round(y * self.height / h)
        return width, height, min(left, width - self.width), min(top, height - self.height)

    @property
    def shade(self) -> tuple[int, int, int]:
        """The background as red, green and blue; white where none is given."""
        red, green, blue = bytes.fromhex(self.background or "ffffff")
        return red, green, blue

    @property
    def frames(self) -> int:
        """How many frames are read."""
        return 1 if self.first_frame else self.header.frames

    @property
    def quality(self) -> int:
        """By which quality to encode a JPEG or a WebP: no more than the original has, for it has nothing to gain."""
        return self.asked_quality or min(_QUALITY, self.header.quality or _QUALITY)

    @property
    def is_lossless(self) -> bool:
        """Whether to encode a WebP without loss, as its original was."""
        return self.header.lossless and self.asked_quality is None

    @property
    def colors(self) -> int:
        """How many colours a PNG is to have at most, or 0 for as many as there are.

        Between those of the original there are others.
        """
        return next((colors for most, colors in _COLORS if self.header.palette <= most), 256)

    @property
    def most_bytes(self) -> int:
        """How many bytes a PNG of an original of few colours may have without having few colours itself."""
        return len(self.data) * 13 // 10

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the result before it is turned upright, in pixels."""
        return (self.height, self.width) if self.header.orientation >= 5 else (self.width, self.height)

    @property
    def kernel(self) -> Kernel:
        return FILTERS[self.filter]


def disagreeing(header: Header, width: int, height: int) -> InvalidImageError:
    """The error for an original whose decoder sees another size than the one that was checked against the limits."""
    return InvalidImageError(
        f"expected {header.width}x{header.height} pixels, as the {header.mimetype} says in one place, "
        f"got {width}x{height} in another; it contradicts itself",
        reason="damaged",
    )


def undecodable(header: Header, why: object) -> InvalidImageError:
    text = " ".join(str(why).split())
    return InvalidImageError(
        f"expected a whole {header.mimetype} of {header.width}x{header.height} pixels, "
        f"got one that cannot be decoded: {text}",
        reason="truncated" if "truncat" in text.lower() or "premature" in text.lower() else "damaged",
    )
