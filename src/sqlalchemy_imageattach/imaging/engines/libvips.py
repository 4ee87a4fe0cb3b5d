"""libvips itself, with the loaders closed that are not for strangers' files; no other module imports pyvips.

Only the loaders of the types that the engine reads are open.  libvips has many more, some of which read any text, or
other files.  That is a setting of the process: an application that loads other types with pyvips itself has to open
them again, by ``pyvips.operation_block_set``.  So is the cache of finished operations, which is off: nothing is decoded
twice here, and twenty progressive photographs of 24 megapixels would stay in it as 1.1 GB.
"""

from __future__ import annotations

import logging

import pyvips

from .job import Change

__all__ = ("changed", "changed_pixels", "gif", "pyvips")

# The class of loaders of each type.
_LOADERS = {
    "image/gif": "VipsForeignLoadNsgif",
    "image/jpeg": "VipsForeignLoadJpeg",
    "image/png": "VipsForeignLoadPng",
    "image/svg+xml": "VipsForeignLoadSvg",
    "image/tiff": "VipsForeignLoadTiff",
    "image/webp": "VipsForeignLoadWebp",
}
# It logs a dozen lines for each image at INFO; an application that wants them sets the level first.
if logging.getLogger("pyvips").level == logging.NOTSET:
    logging.getLogger("pyvips").setLevel(logging.WARNING)

pyvips.operation_block_set("VipsForeignLoad", True)
for _loader in _LOADERS.values():
    pyvips.operation_block_set(_loader, False)
pyvips.cache_set_max(0)


def changed(image: pyvips.Image, change: Change) -> pyvips.Image:
    changed = change(image)
    if not isinstance(changed, pyvips.Image):
        raise TypeError(f"expected {change!r} to return a pyvips.Image, got {changed!r}")
    return changed


def changed_pixels(pixels: bytes, width: int, height: int, bands: int, change: Change) -> tuple[bytes, int, int, int]:
    """Hand frames that another engine decoded, one below the other, to a callback.

    :returns: the pixels, and the width, height and number of bands of each frame
    """
    frames = len(pixels) // (width * height * bands)
    image = pyvips.Image.new_from_memory(pixels, width, height * frames, bands, "uchar")
    image = image.copy(interpretation="srgb" if bands >= 3 else "b-w")
    if frames > 1:
        image.set_type(pyvips.GValue.gint_type, "page-height", height)
        image.set_type(pyvips.GValue.gint_type, "n-pages", frames)
    image = changed(image, change).colourspace("srgb").cast("uchar")
    return image.write_to_memory(), image.width, image.get_page_height(), image.bands


def gif(pixels: bytes, width: int, height: int, durations: list[int], plays: int) -> bytes:
    """Encode a GIF.

    :param pixels: red, green, blue and perhaps alpha of all frames, one below the other
    :param width: of each frame, in pixels
    :param height: of each frame, in pixels
    :param durations: how long each frame is shown, in milliseconds
    :param plays: how often all are, or 0 for without end
    """
    rows = height * len(durations)
    image = pyvips.Image.new_from_memory(pixels, width, rows, len(pixels) // (width * rows), "uchar")
    image = image.copy(interpretation="srgb")
    if len(durations) > 1:
        image.set_type(pyvips.GValue.gint_type, "page-height", height)
        image.set_type(pyvips.GValue.array_int_type, "delay", durations)
        image.set_type(pyvips.GValue.gint_type, "loop", plays)
    # To scatter pixels costs more than it gains, and what is above the least effort is not seen.
    return bytes(image.gifsave_buffer(keep="none", effort=1, dither=0))  # pyright: ignore[reportArgumentType]
