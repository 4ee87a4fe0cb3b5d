"""The one place that chooses between the engines.

libvips is the engine, as it is the fastest and needs the least memory.  Pillow does

- AVIF and BMP, the one because it is three times faster there, the other because libvips does not read it; HEIC, with
  pillow-heif;
- GIF, whose frames libvips puts together otherwise than browsers do, and lets bleed into each other;
- animated PNG and AVIF, of which libvips reads and writes one frame only, and WebP, of which it holds all at once;
- what was cut off, of which it can be told how far a decoder came;
- what header readers call unusual: colours and layouts that libvips reads otherwise than browsers do;
- everything on platforms without libvips, and in forked children.

SVG and PDF are programs, not pictures: no header tells what they cost.  They are rendered in a process of its own, by
:mod:`.worker`.
"""

from __future__ import annotations

import dataclasses
from typing import IO

from ..headers.header import unsupported
from ..source import opened
from ..types import READERS
from .fork_guard import vips_may_work
from .isolation import pool
from .job import Job

__all__ = ("interest", "load_engines", "resize", "resize_here", "summary")


_PILLOW_TYPES = frozenset({"application/pdf", "image/avif", "image/bmp", "image/heic"})
_PILLOW_ANIMATIONS = _PILLOW_TYPES | {"image/png", "image/webp"}
# What libvips does not write, or three times slower.
_ENCODED_BY_PILLOW = frozenset({"image/avif", "image/bmp", "image/gif"})


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    """Make the image of a job, in this process or in another.

    :param job: the image to make
    :returns: a file at its position 0, and the width and height of what was made, in pixels
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: when the original cannot be decoded, or is not what its
        header says
    """
    if not pool.handles(job):
        return resize_here(job)
    if job.preprocess is None and job.postprocess is None:
        return pool.resize(job)
    # Decoded there, as an image that is harmless, and handed to the callbacks here.
    mimetype = job.mimetype if job.frames > 1 else "image/png"
    width, height = job.width, job.height
    if job.preprocess is not None:
        width, height = job.header.info.width, job.header.info.height
    file, width, height = pool.resize(
        dataclasses.replace(
            job, width=width, height=height, mimetype=mimetype, preprocess=None, postprocess=None, canvas=None
        )
    )
    header = dataclasses.replace(
        job.header,
        mimetype=mimetype,
        width=width,
        height=height,
        frames=job.frames,
        orientation=1,
        weight=1.0,
        isolated=False,
        profile=None,
        unusual=False,
        partial=False,
        composed=job.header.composed and job.frames > 1,
    )
    with opened(file) as data:
        return resize_here(dataclasses.replace(job, data=data, header=header, window=None))


def resize_here(job: Job) -> tuple[IO[bytes], int, int]:
    """Make the image of a job in this process.

    :param job: the image to make
    :returns: as :func:`resize`
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: as :func:`resize`
    """
    # Engines are heavy, and loaded when they are first needed.
    types = _PILLOW_ANIMATIONS if job.frames > 1 else _PILLOW_TYPES
    header = job.header
    is_for_pillow = header.mimetype in types or header.unusual or header.composed or header.partial
    if not is_for_pillow and vips_may_work():
        from . import vips

        if job.mimetype not in _ENCODED_BY_PILLOW:
            return vips.resize(job)
        from . import pillow

        return pillow.encode(job, *vips.pixels(job))
    if job.header.mimetype == "image/svg+xml":
        raise unsupported(job.header.mimetype, READERS[job.header.mimetype][1])
    from . import pillow

    return pillow.resize(job)


def interest(file: IO[bytes]) -> tuple[list[int], list[int]]:
    """Tell where in a small picture there is something to see.

    :param file: a PNG that this library has made
    :returns: how much in each column, and in each row
    """
    from . import pillow

    return pillow.interest(file)


def summary(file: IO[bytes]) -> str | None:
    """Tell the average colour of a small picture.

    :param file: a PNG that this library has made
    :returns: the colour, such as ``"#3060c0"``; ``None`` when some of it is transparent
    """
    from . import pillow

    return pillow.summary(file)


def load_engines() -> None:
    """Load both engines before there is anything to do."""
    if vips_may_work():
        from . import vips  # noqa: F401
    from . import pillow  # noqa: F401
