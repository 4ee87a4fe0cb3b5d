"""The protocol of the two engines, and the one place that chooses between them.

libvips is the engine, as it is the fastest and needs the least memory.  Pillow does

- AVIF and BMP, the one because it is three times faster there, the other because libvips does not read it; HEIC, with
  pillow-heif;
- animated PNG and AVIF, of which libvips reads and writes one frame only, and WebP, of which it holds all at once;
- everything on platforms without libvips, and in forked children.

What must always be true: **libvips does no work in a child that was forked after it had done some.**  Its threads are
not there, and it would wait for them for ever (gunicorn's ``--preload``, the fork of :mod:`multiprocessing`, Celery's
prefork pool).  So the process that works first is remembered, before it does.  That only this library's own work is
known here is why an application that uses pyvips in a parent has to start its children by spawning them.

SVG and PDF are programs, not pictures: no header tells what they cost.  They are rendered by :mod:`.worker` in a
process of its own.
"""

from __future__ import annotations

import functools
import importlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from ..exc import InvalidImageError, MissingDependencyError
from .filters import DEFAULT_FILTER, FILTERS, Kernel
from .header import Header, unpack

if TYPE_CHECKING:
    import pyvips

__all__ = (
    "PIXELS_IN_MEMORY",
    "Change",
    "Engine",
    "Job",
    "choose",
    "choose_here",
    "disagreeing",
    "is_srgb",
    "undecodable",
    "vips_may_work",
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


class Engine(Protocol):
    """What an engine does; :mod:`.vips` and :mod:`.pillow` do it, and :mod:`.worker` has it done by one of them."""

    def resize(self, job: Job) -> tuple[IO[bytes], int, int]:
        """Makes the image of a job.

        :returns: a file at its position 0, and the width and height of what was made, in pixels
        :raises ~sqlalchemy_imageattach.exc.InvalidImageError: if the original cannot be decoded, or is not what its
            header said
        """
        ...


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


_PILLOW_TYPES = frozenset({"application/pdf", "image/avif", "image/bmp", "image/heic"})
_PILLOW_ANIMATIONS = frozenset({"image/avif", "image/png", "image/webp"})

# The process in which libvips worked first, or None.
_vips_process: int | None = None


@functools.cache
def _has_vips() -> bool:
    try:
        importlib.import_module("pyvips")
    except Exception:  # whatever a missing or unfit shared library raises, which is not only ImportError
        return False
    return True


def vips_may_work() -> bool:
    """Tells whether libvips may work in this process, and takes it to do so from now on."""
    global _vips_process
    if not _has_vips():
        return False
    if _vips_process is None:
        _vips_process = os.getpid()
    return _vips_process == os.getpid()


def choose(job: Job) -> Engine:
    """Chooses who does a job."""
    from . import worker

    return worker if worker.wanted(job) else choose_here(job)


def choose_here(job: Job) -> Engine:
    """Chooses who does a job in this process."""
    from . import pillow

    types = _PILLOW_ANIMATIONS if job.frames > 1 else _PILLOW_TYPES
    if job.header.mimetype in types or not vips_may_work():
        if job.header.mimetype == "image/svg+xml":
            raise MissingDependencyError("SVG needs libvips: pip install 'pyvips[binary]'")
        return pillow
    from . import vips

    return vips
