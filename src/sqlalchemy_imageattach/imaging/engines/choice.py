"""The one place that chooses between the engines.

libvips is the engine, as it is the fastest and needs the least memory.  Pillow does

- AVIF and BMP, the one because it is three times faster there, the other because libvips does not read it; HEIC, with
  pillow-heif;
- animated PNG and AVIF, of which libvips reads and writes one frame only, and WebP, of which it holds all at once;
- everything on platforms without libvips, and in forked children.

SVG and PDF are programs, not pictures: no header tells what they cost.  They are rendered in a process of its own, by
:mod:`.worker`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import IO

from ...exc import MissingDependencyError
from ..headers.header import Header
from ..source import opened
from . import pool
from .fork_guard import vips_may_work
from .job import Job, OtherEngine

__all__ = ("resize", "resize_here")


_PILLOW_TYPES = frozenset({"application/pdf", "image/avif", "image/bmp", "image/heic"})


_PILLOW_ANIMATIONS = frozenset({"image/avif", "image/png", "image/webp"})


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
        dataclasses.replace(job, width=width, height=height, mimetype=mimetype, preprocess=None, postprocess=None)
    )
    with opened(file) as data:
        return resize_here(dataclasses.replace(job, data=data, header=Header(mimetype, width, height, job.frames)))


def resize_here(job: Job) -> tuple[IO[bytes], int, int]:
    """Make the image of a job in this process.

    :param job: the image to make
    :returns: as :func:`resize`
    :raises ~sqlalchemy_imageattach.exc.InvalidImageError: as :func:`resize`
    """
    # Engines are heavy, and loaded when they are first needed.
    types = _PILLOW_ANIMATIONS if job.frames > 1 else _PILLOW_TYPES
    if job.header.mimetype not in types and vips_may_work():
        from . import vips

        with contextlib.suppress(OtherEngine):
            return vips.resize(job)
    if job.header.mimetype == "image/svg+xml":
        raise MissingDependencyError("SVG needs libvips: pip install 'pyvips[binary]'")
    from . import pillow

    return pillow.resize(job)
