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

from ..headers import svg
from .filters import DEFAULT_FILTER
from .job import PIXELS_IN_MEMORY, Job, OtherEngine, disagreeing, is_srgb, undecodable
from .libvips import changed, pyvips

__all__ = ("resize",)

# Measured at 800x600 pixels: what is gained beyond these settings costs many times its worth.
_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "image/gif": (".gif", {"effort": 3}),
    "image/jpeg": (".jpg", {"Q": 85}),
    "image/png": (".png", {"compression": 6, "filter": 0xF8}),
    "image/tiff": (".tif", {"compression": "deflate", "predictor": "horizontal"}),
    "image/webp": (".webp", {"Q": 80, "effort": 2}),
}


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    if job.header.mimetype == "image/svg+xml":
        return _rendered(job)
    source = pyvips.Source.new_from_memory(job.data)
    options = "fail_on=truncated" + (",n=-1" if job.frames > 1 else "")
    with _translating(job):
        header = pyvips.Image.new_from_source(source, f"[{options}]")
        if not _agrees(job, header):
            # It takes the canvas of some GIFs for a mistake, and cuts it to its frames; Pillow does as browsers do.
            raise OtherEngine
        profiles = _profiles(header)
        if job.preprocess is None and job.filter == DEFAULT_FILTER:
            image = pyvips.Image.thumbnail_source(
                source, job.width, height=job.height, size="force", option_string=options, **profiles
            )
        else:
            image = pyvips.Image.new_from_source(source, f"[{options}]").autorot()
    if job.preprocess is not None:
        image = changed(image, job.preprocess)
    if job.preprocess is not None or job.filter != DEFAULT_FILTER:
        with _translating(job):
            image = _resampled(image, job, profiles)
    # Pixels are decoded here: `source` and `job.data` have to live until then.
    return _finished(job, image)


def _rendered(job: Job) -> tuple[IO[bytes], int, int]:
    """Renders an SVG at the size of the result, or at its own for a callback to see."""
    size = (job.width, job.height) if job.preprocess is None else (job.header.width, job.header.height)
    source = pyvips.Source.new_from_memory(svg.framed(job.data, job.header, *size))
    with _translating(job):
        # Not by `new_from_source`, which looks for the type in the first bytes only, and as ASCII.
        image: pyvips.Image = pyvips.Image.svgload_source(source)
    if job.preprocess is not None:
        image = changed(image, job.preprocess)
        with _translating(job):
            image = _resampled(image, job, {})
    return _finished(job, image)


def _finished(job: Job, image: pyvips.Image) -> tuple[IO[bytes], int, int]:
    if job.postprocess is not None:
        image = changed(image, job.postprocess)
    with _translating(job):
        return _encoded(image, job.mimetype)


def _agrees(job: Job, image: pyvips.Image) -> bool:
    """Checks that libvips sees what was checked against the limits."""
    height = image.get_page_height() if job.frames > 1 else image.height
    if (image.width, height) != (job.header.width, job.header.height):
        if job.header.mimetype == "image/gif" and image.width <= job.header.width and height <= job.header.height:
            return False
        raise disagreeing(job.header, image.width, height)
    if image.height // height > job.frames:
        raise undecodable(job.header, f"it has {image.height // height} frames instead of {job.frames}")
    return True


def _profiles(image: pyvips.Image) -> dict[str, Any]:
    """Tells how to get to sRGB.  To ask for that without need takes longer than all the rest."""
    if image.get_typeof("icc-profile-data"):
        profile: Any = image.get("icc-profile-data")
        if not is_srgb(profile):
            return {"output_profile": "srgb"}
    return {}


def _resampled(image: pyvips.Image, job: Job, profiles: dict[str, Any]) -> pyvips.Image:
    """Resizes with a kernel: frame by frame, for it would mix the last rows of one with the first of the next."""
    pages = image.pagesplit() if image.get_n_pages() > 1 and image.get_page_height() < image.height else [image]
    made = []
    for page in pages:
        page = page.icc_transform(**profiles, embedded=True) if profiles else page.colourspace("srgb")
        alpha = page.hasalpha()
        format_before = page.format
        if alpha:
            page = page.premultiply()
        page = page.resize(job.width / page.width, vscale=job.height / page.height, kernel=job.kernel.vips)
        if alpha:
            page = page.unpremultiply().cast(format_before)
        made.append(page.gravity("centre", job.width, job.height, extend="copy"))
    return made[0] if len(made) == 1 else made[0].pagejoin(made[1:])


def _encoded(image: pyvips.Image, mimetype: str) -> tuple[IO[bytes], int, int]:
    suffix, options = _SAVERS[mimetype]
    if mimetype == "image/jpeg" and image.hasalpha():
        image = image.flatten(background=[255])
    width, height = image.width, image.get_page_height()
    if image.width * image.height <= PIXELS_IN_MEMORY:
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
