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

    @property
    def frames(self) -> int:
        """How many frames are read."""
        return 1 if self.first_frame else self.header.frames

    @property
    def quality(self) -> int:
        """By which quality to encode a JPEG or a WebP: no more than the original has, for it has nothing to gain."""
        return min(_QUALITY, self.header.quality or _QUALITY)

    @property
    def colors(self) -> int:
        """How many colours a PNG is to have at most, or 0 for as many as there are.

        Between those of the original there are others, but a smaller picture of as many bits a pixel has room for them.
        """
        return 0 if not self.header.palette else 16 if self.header.palette <= 4 else 256

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
