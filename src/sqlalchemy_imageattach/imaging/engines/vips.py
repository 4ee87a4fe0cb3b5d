"""The libvips engine.

It must always be true that

- A source, and the bytes under it, are held until the result is encoded: libvips does not hold them.
- A decoder stops at truncated data, by ``fail_on``; else half an image would pass for a whole one.
- What belongs to the process is left to the application: the number of threads (``VIPS_CONCURRENCY``), and how much the
  C library keeps for them.  With ``MALLOC_ARENA_MAX=2`` a server with many threads stays a quarter smaller.
- An SVG comes from bytes, never by a path or a descriptor: with a path, the renderer reads files beside it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from ..headers import png, svg
from .filters import DEFAULT_FILTER
from .job import PIXELS_IN_MEMORY, Job, disagreeing, undecodable
from .libvips import changed, pyvips

__all__ = ("resize",)

# Measured at 800x600 pixels: what is gained beyond these settings costs many times its worth.
_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "image/jpeg": (".jpg", {}),
    "image/png": (".png", {"compression": 6, "filter": 0xF8}),
    "image/tiff": (".tif", {"compression": "deflate", "predictor": "horizontal"}),
    "image/webp": (".webp", {"effort": 2}),
}

# What a decoder does not let pass.  It says "truncated" of less in a TIFF than in other types.
_FAILS_ON = {"image/tiff": "error"}

# How an image of each orientation is turned, and then mirrored.
_TURNS = {2: (0, True), 3: (180, False), 4: (180, True), 5: (90, True), 6: (90, False), 7: (270, True), 8: (270, False)}


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    if job.header.mimetype == "image/svg+xml":
        return _rendered(job)
    data = png.essential(job.data, job.header) if job.header.mimetype == "image/png" else job.data
    source = pyvips.Source.new_from_memory(data)
    options = f"fail_on={_FAILS_ON.get(job.header.mimetype, 'truncated')}"
    with _translating(job):
        image = pyvips.Image.new_from_source(source, f"[{options}]")
        if (image.width, image.height) != (job.header.width, job.header.height):
            raise disagreeing(job.header, image.width, image.height)
        if job.preprocess is None and job.filter == DEFAULT_FILTER:
            width, height = job.stored_size
            # To ask for sRGB without need takes longer than all the rest.
            profile = {"output_profile": "srgb"} if job.header.profile else {}
            image = pyvips.Image.thumbnail_source(
                source, width, height=height, size="force", no_rotate=True, option_string=options, **profile
            )
            image = _upright(job, image)
        else:
            image = _upright(job, _srgb(job, image))
    if job.preprocess is not None:
        image = changed(image, job.preprocess)
    if job.preprocess is not None or job.filter != DEFAULT_FILTER:
        with _translating(job):
            image = _resampled(image, job)
    # Pixels are decoded here: `source` and `data` have to live until then.
    return _finished(job, image)


def _upright(job: Job, image: pyvips.Image) -> pyvips.Image:
    if job.header.orientation == 1:
        return image
    angle, is_mirrored = _TURNS[job.header.orientation]
    # What is turned is read from all sides, and so it has to be there.
    image = image.copy_memory().rot(f"d{angle}")
    if image.get_typeof("orientation"):
        # It would be written with the result, be it the only thing.
        image.remove("orientation")
    return image.fliphor() if is_mirrored else image


def _srgb(job: Job, image: pyvips.Image) -> pyvips.Image:
    return image.icc_transform("srgb", embedded=True) if job.header.profile else image.colourspace("srgb")


def _rendered(job: Job) -> tuple[IO[bytes], int, int]:
    """Render an SVG at the size of the result, or at its own for a callback to see."""
    size = (job.width, job.height) if job.preprocess is None else (job.header.width, job.header.height)
    source = pyvips.Source.new_from_memory(svg.sized(job.data, *size))
    with _translating(job):
        # Not by `new_from_source`, which looks for the type in the first bytes only, and as ASCII.
        image: pyvips.Image = pyvips.Image.svgload_source(source, dpi=96, scale=0.75)
        if (image.width, image.height) != size:
            raise undecodable(job.header, f"it is drawn at {image.width}x{image.height} where {size} was asked for")
    if job.preprocess is not None:
        image = changed(image, job.preprocess)
        with _translating(job):
            image = _resampled(image, job)
    return _finished(job, image)


def _finished(job: Job, image: pyvips.Image) -> tuple[IO[bytes], int, int]:
    if job.postprocess is not None:
        image = changed(image, job.postprocess)
    with _translating(job):
        return _encoded(job, image)


def _resampled(image: pyvips.Image, job: Job) -> pyvips.Image:
    alpha = image.hasalpha()
    format_before = image.format
    if alpha:
        image = image.premultiply()
    image = image.resize(job.width / image.width, vscale=job.height / image.height, kernel=job.kernel.vips)
    if alpha:
        image = image.unpremultiply().cast(format_before)
    return image.gravity("centre", job.width, job.height, extend="copy")


def _encoded(job: Job, image: pyvips.Image) -> tuple[IO[bytes], int, int]:
    suffix, options = _SAVERS[job.mimetype]
    if job.mimetype == "image/jpeg" and image.hasalpha():
        image = image.flatten(background=[255])
    if job.mimetype in ("image/jpeg", "image/webp"):
        options = options | ({"lossless": True} if job.header.lossless else {"Q": job.quality})
    elif job.mimetype == "image/png" and job.colors:
        bits = 4 if job.colors <= 16 else 8
        options = options | {"palette": True, "bitdepth": bits, "dither": 0, "effort": 1, "filter": 0x08}
    width, height = image.width, image.height
    if width * height <= PIXELS_IN_MEMORY:
        return io.BytesIO(image.write_to_buffer(suffix, keep="none", **options)), width, height
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        image.write_to_target(pyvips.Target.new_to_descriptor(file.fileno()), suffix, keep="none", **options)
        file.seek(0)
        stack.pop_all()
    return file, width, height


@contextlib.contextmanager
def _translating(job: Job) -> Iterator[None]:
    # What is left in its buffer are warnings about other images.
    pyvips.vips_lib.vips_error_clear()
    try:
        yield
    except (pyvips.Error, UnicodeDecodeError) as error:
        # An error may quote the image, and pyvips can only read it if that is text; then it is still in the buffer.
        text = str(error) if isinstance(error, pyvips.Error) else "its decoder quotes bytes that are no text"
        if "write error" in text:
            raise OSError(errno.ENOSPC, f"the result could not be written: {text}") from None
        raise undecodable(job.header, text) from None
