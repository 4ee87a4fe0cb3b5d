"""One image to make, and what the engines share."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...exc import InvalidImageError
from ..headers.header import Header, unpack
from .filters import DEFAULT_FILTER, FILTERS, Kernel

if TYPE_CHECKING:
    import pyvips

__all__ = (
    "PIXELS_IN_MEMORY",
    "Change",
    "Job",
    "OtherEngine",
    "disagreeing",
    "is_srgb",
    "undecodable",
)

#: Results of more pixels are written to disk, with no copy in memory.
PIXELS_IN_MEMORY = 1_000_000

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
    def kernel(self) -> Kernel:
        return FILTERS[self.filter]


class OtherEngine(Exception):
    """Raised by an engine that leaves an image to the other one."""


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


def is_srgb(profile: bytes) -> bool:
    """Tells by its description whether a colour profile is sRGB, so that nothing has to be converted.

    `ICC.1, 7.3 and 9.2 <https://www.color.org/specification/ICC.1-2022-05.pdf>`_
    """
    try:
        (count,) = unpack(">I", profile, 128)
        for index in range(min(count, 100)):
            name, offset, size = unpack(">4sII", profile, 132 + 12 * index)
            if name == b"desc":
                # Plain text, or UTF-16 in later versions.
                return b"sRGB" in profile[offset : offset + size].replace(b"\0", b"")
    except struct.error:
        pass
    return False
