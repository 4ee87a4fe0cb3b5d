"""Writing what Pillow made, by Pillow; GIF by libvips where it may work, whose palettes are better by far.

A result is of the kind of its original: few colours stay few, what is lossless stays so, and no quality is above the
original's.
"""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from PIL import Image

from ..headers import gif
from . import bitmaps
from .fork_guard import vips_may_work
from .job import PIXELS_IN_MEMORY, Job

__all__ = ("encoded",)

_SAVERS: dict[str, dict[str, Any]] = {
    "image/avif": {"format": "AVIF", "quality": 60, "speed": 8},
    "image/bmp": {"format": "BMP"},
    "image/jpeg": {"format": "JPEG"},
    "image/png": {"format": "PNG"},
    "image/tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "image/webp": {"format": "WEBP", "method": 2},
}
_OF_QUALITY = frozenset({"image/jpeg", "image/webp"})

# One colour of 256 is for what is transparent.
_GIF_COLORS = 255
_HALF = 128


def encoded(job: Job, frames: list[Image.Image], durations: list[float]) -> tuple[IO[bytes], int, int]:
    """Encode the frames of a result.

    :param job: says what it was made of, and what it is to be
    :param frames: in gray or sRGB, with alpha or without
    :param durations: how long each is shown, in milliseconds
    :returns: a file at its position 0, and its width and height, in pixels
    """
    width, height = frames[0].size
    for frame in frames:
        # Whatever was read with it would be written with it.
        frame.info = {}
    with contextlib.ExitStack() as stack:
        pixels = len(frames) * width * height
        file = stack.enter_context(io.BytesIO() if pixels <= PIXELS_IN_MEMORY else _on_disk())
        _write(job, file, frames, durations)
        file.seek(0)
        stack.pop_all()
    return file, width, height


def _on_disk() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _write(job: Job, file: IO[bytes], frames: list[Image.Image], durations: list[float]) -> None:
    if job.mimetype == "image/gif" and vips_may_work():
        from . import libvips

        mode = "RGBA" if "A" in frames[0].mode else "RGB"
        pixels = b"".join(frame.convert(mode).tobytes() for frame in frames)
        file.write(libvips.gif(pixels, *frames[0].size, [round(duration) for duration in durations], job.header.plays))
        return
    if job.mimetype == "image/bmp" and "A" in frames[0].mode:
        file.write(bitmaps.with_alpha(frames[0].convert("RGBA")))
        return
    if job.mimetype == "image/gif":
        file.writelines(_gif(frames, durations, job.header.plays))
        return
    options = dict(_SAVERS[job.mimetype])
    if job.mimetype in _OF_QUALITY:
        options["quality"] = job.quality
    if job.asked_quality is not None:
        options |= _asked(job, frames[0])
    if job.mimetype == "image/webp" and job.is_lossless:
        options |= {"lossless": True, "quality": _LOSSLESS_EFFORT}
    if job.mimetype == "image/jpeg":
        frames = [_flattened(frames[0])]
    elif job.mimetype == "image/png" and job.colors and len(frames) == 1:
        frames[0].save(file, **options)
        if file.tell() <= job.most_bytes:
            return
        file.seek(0)
        file.truncate()
        frames = [_as_few_colors(frames[0], job.colors)]
        options["compress_level"] = 9
    if len(frames) > 1:
        options |= {"save_all": True, "append_images": frames[1:], "duration": durations} | _plays(job)
    frames[0].save(file, **options)


def _asked(job: Job, frame: Image.Image) -> dict[str, Any]:
    """Say how to encode what is made once, by a quality that was asked for."""
    if job.mimetype == "image/avif":
        if job.is_thorough:
            return {"quality": job.quality, "speed": 6}
        # Above half a megapixel, the next speed saves two thirds of the time, and costs 3 % of the size.
        return {"quality": job.quality, "speed": 8 if frame.width * frame.height <= _HALF_A_MEGAPIXEL else 9}
    return {"optimize": True} if job.mimetype == "image/jpeg" else {}


_HALF_A_MEGAPIXEL = 500_000

# Of a lossless WebP, quality is how hard the encoder tries.
_LOSSLESS_EFFORT = 50


def _plays(job: Job) -> dict[str, int]:
    """Say how often an animation is played, in the words of its type."""
    return {} if job.mimetype == "image/avif" else {"loop": job.header.plays}


def _flattened(image: Image.Image) -> Image.Image:
    if "A" not in image.mode:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def _of_few_colors(image: Image.Image) -> Image.Image:
    made = image.convert("RGB").quantize(_GIF_COLORS, dither=Image.Dither.NONE)
    clear = image.convert("RGBA").getchannel("A").point([255 if value < _HALF else 0 for value in range(256)])
    if clear.getbbox() is not None:
        made.paste(_GIF_COLORS, mask=clear)
        made.info["transparency"] = _GIF_COLORS
    return made


def _gif(frames: list[Image.Image], durations: list[float], plays: int) -> Iterator[bytes]:
    """Encode frames one by one, each whole: what Pillow leaves out of later ones is not always there."""
    yield b"GIF89a" + struct.pack("<HHBBB", *frames[0].size, 0, 0, 0)
    if len(frames) > 1 and plays != 1:
        yield b"\x21\xff\x0bNETSCAPE2.0\3\1" + struct.pack("<H", max(0, plays - 1)) + b"\0"
    of_few_colors = [_of_few_colors(frame) for frame in frames]
    # What is transparent shows nothing of the frame before; and a decoder may only clear what has a transparent colour.
    flags = gif.CLEARS | gif.HAS_CLEAR if any("transparency" in made.info for made in of_few_colors) else 0
    for made, duration in zip(of_few_colors, durations, strict=True):
        alone = io.BytesIO()
        made.save(alone, "GIF", optimize=False, interlace=0)
        data = alone.getbuffer()
        yield b"\x21\xf9\4" + struct.pack("<BHBB", flags, round(duration / 10), _GIF_COLORS, 0)
        (start, end) = next((start, end) for kind, start, end in gif.blocks(data) if kind == gif.IMAGE)
        table = data[13 : gif.screen_end(data)]
        # The flags of the screen say how long the table is, and here it is the frame's own.
        yield bytes(data[start : start + 9]) + bytes((data[10] & 0x87,)) + bytes(table) + bytes(data[start + 10 : end])
    yield b";"


def _as_few_colors(image: Image.Image, colors: int) -> Image.Image:
    # What Pillow has for alpha makes other colours of what is half transparent.
    return image.quantize(colors, dither=Image.Dither.NONE) if image.mode in ("L", "RGB") else image
