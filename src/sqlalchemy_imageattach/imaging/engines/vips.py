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

__all__ = ("pixels", "resize")

# Measured at 800x600 pixels: what is gained beyond these settings costs many times its worth.
_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    # To scatter pixels costs more than it gains, and what is above the least effort is not seen.
    "image/gif": (".gif", {"effort": 1, "dither": 0}),
    "image/jpeg": (".jpg", {}),
    "image/png": (".png", {"compression": 6, "filter": 0xF8}),
    "image/tiff": (".tif", {"compression": "deflate", "predictor": "horizontal"}),
    "image/webp": (".webp", {"effort": 2}),
}

# With a better quality, a drawing at half its size would weigh twice as much as the original.
_OF_A_PALETTE = {"palette": True, "Q": 60, "dither": 0, "effort": 1, "compression": 6, "filter": 0x08}

# What a decoder does not let pass.  It says "truncated" of less in a TIFF than in other types.
_FAILS_ON = {"image/tiff": "error"}

# How an image of each orientation is turned, and then mirrored.
_TURNS = {2: (0, True), 3: (180, False), 4: (180, True), 5: (90, True), 6: (90, False), 7: (270, True), 8: (270, False)}


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    image, held = _decoded(job)
    image = _finished(job, image)
    with _translating(job):
        made = _encoded(job, image)
    del held
    return made


def pixels(job: Job) -> tuple[bytes, int, int, int]:
    """Make an image without encoding it.

    :param job: the image to make
    :returns: its pixels, of 8 bits each band, and its width, height and number of bands
    """
    image, held = _decoded(job)
    image = _finished(job, image)
    with _translating(job):
        image = image.colourspace("b-w" if image.bands < 3 else "srgb").cast("uchar")
        made = image.write_to_memory(), image.width, image.height, image.bands
    del held
    return made


def _decoded(job: Job) -> tuple[pyvips.Image, object]:
    """Decode and resize, later: what comes with the image has to live until its pixels were asked for."""
    if job.header.mimetype == "image/svg+xml":
        return _rendered(job)
    data = png.essential(job.data, job.header) if job.header.mimetype == "image/png" else job.data
    source = pyvips.Source.new_from_memory(data)
    options = f"fail_on={_FAILS_ON.get(job.header.mimetype, 'truncated')}"
    with _translating(job):
        image = pyvips.Image.new_from_source(source, f"[{options}]")
        if (image.width, image.height) != (job.header.width, job.header.height):
            raise disagreeing(job.header, image.width, image.height)
        if job.preprocess is None and job.filter == DEFAULT_FILTER and job.window is None:
            width, height = job.stored_size
            # To ask for sRGB without need takes longer than all the rest.
            profile = {"output_profile": "srgb"} if job.header.profile else {}
            image = pyvips.Image.thumbnail_source(
                source,
                width,
                height=height,
                size="force",
                no_rotate=True,
                option_string=options,
                **profile,  # pyright: ignore[reportArgumentType]
            )
            image = _upright(job, image)
        else:
            image = _upright(job, _srgb(job, _windowed(job, image, source, options)))
    if job.preprocess is not None:
        image = changed(image, job.preprocess)
    if job.preprocess is not None or job.filter != DEFAULT_FILTER or job.window is not None:
        with _translating(job):
            image = _resampled(image, job)
    return image, (source, data)


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


def _rendered(job: Job) -> tuple[pyvips.Image, object]:
    """Render an SVG at the size of the result, or at its own for a callback to see."""
    width, height, left, top = job.rendered
    size = (width, height) if job.preprocess is None else (job.header.width, job.header.height)
    source = pyvips.Source.new_from_memory(svg.sized(job.data, *size))
    with _translating(job):
        # Not by `new_from_source`, which looks for the type in the first bytes only, and as ASCII.
        image: pyvips.Image = pyvips.Image.svgload_source(source, dpi=96, scale=0.75)
        if (image.width, image.height) != size:
            raise undecodable(job.header, f"it is drawn at {image.width}x{image.height} where {size} was asked for")
    if job.preprocess is not None:
        image = changed(image, job.preprocess)
        with _translating(job):
            return _resampled(image, job), source
    return image if job.window is None else image.crop(left, top, job.width, job.height), source


def _finished(job: Job, image: pyvips.Image) -> pyvips.Image:
    if job.postprocess is not None:
        image = changed(image, job.postprocess)
    return image if job.canvas is None and job.background is None else _padded(job, image)


def _windowed(job: Job, image: pyvips.Image, source: pyvips.Source, options: str) -> pyvips.Image:
    """Cut out the part that is shown; of a JPEG at a half, a quarter or an eighth, where that is more than enough."""
    if job.window is None:
        return image
    left, top, width, height = job.stored_window
    shrink = 1
    if job.header.mimetype == "image/jpeg":
        least = min(job.window[2] / job.width, job.window[3] / job.height)
        shrink = next((each for each in (8, 4, 2) if least >= 2 * each), 1)
    if shrink > 1:
        image = pyvips.Image.new_from_source(source, f"[{options},shrink={shrink}]")
    right, bottom = min(-(-(left + width) // shrink), image.width), min(-(-(top + height) // shrink), image.height)
    left, top = left // shrink, top // shrink
    return image.crop(left, top, right - left, bottom - top)


def _padded(job: Job, image: pyvips.Image) -> pyvips.Image:
    """Put the image on a canvas, and what is transparent on the background."""
    image = image.colourspace("srgb").cast("uchar")
    if job.background is not None and image.hasalpha():
        image = image.flatten(background=[*job.shade])
    if job.canvas is None:
        return image
    colour: list[float] = [*job.shade]
    if job.background is None:
        image = image if image.hasalpha() else image.addalpha()
        colour.append(0)
    width, height = job.canvas
    left, top = (width - image.width) // 2, (height - image.height) // 2
    return image.embed(left, top, width, height, extend="background", background=colour)


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
    if job.asked_quality is not None and job.mimetype == "image/jpeg":
        # Of what is made once, a smaller file is worth some time.
        options = options | {"optimize_coding": True}
    lossless = job.mimetype == "image/webp" and job.is_lossless
    if job.mimetype in ("image/jpeg", "image/webp"):
        options = options | ({"lossless": True} if lossless else {"Q": job.quality})
    elif job.mimetype == "image/png" and job.colors:
        options = _OF_A_PALETTE | {"bitdepth": 4 if job.colors <= 16 else 8}
    width, height = image.width, image.height
    if width * height <= PIXELS_IN_MEMORY:
        if options.get("palette"):
            image = image.copy_memory()
            exact = image.write_to_buffer(suffix, keep="none", **_SAVERS[job.mimetype][1])
            if len(exact) <= job.most_bytes:
                return io.BytesIO(exact), width, height
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
