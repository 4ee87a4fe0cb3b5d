"""The Pillow engine; no other module imports pillow_heif.

What must always be true:

- A file is opened by the plugin of the type that its bytes were found to be of, and by no other.  That also leaves
  Pillow's own limit out, which is a warning or an error by a setting of the process: ours were checked before.
- Orientation and colours are those that the header reader found; Pillow's own reading would differ, and decodes a whole
  PNG for it.
- Frames of animations are held in memory at the size of the result; so are, one at a time, frames at their own size.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Iterator
from typing import IO, cast

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageCms,
    ImageFile,
    ImageFilter,
    ImageMath,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ...exc import ImageAttachError, InvalidImageError
from ..headers import colors, gif, jpeg, png
from ..headers.header import Frame, unsupported
from ..source import ViewReader
from ..types import READERS, VECTOR_TYPES
from . import bitmaps, pdfium
from .composing import as_far_as_it_goes, composed
from .encoding import encoded
from .filters import DEFAULT_FILTER
from .fork_guard import vips_may_work
from .job import Change, Job, disagreeing, undecodable

__all__ = ("encode", "interest", "profile_name", "resize", "summary")

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "image/avif": AvifImagePlugin.AvifImageFile,
    "image/bmp": BmpImagePlugin.BmpImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/png": PngImagePlugin.PngImageFile,
    "image/tiff": TiffImagePlugin.TiffImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
}

# What has to be done to show an image of each orientation upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Decoders of these turn it themselves, by the very same words.
_TURNS_ITSELF = frozenset({"image/heic", "image/tiff"})

# By how much an image may stay larger than the result when it is shrunk cheaply first.
_GAP = 2.0


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    size = (job.width, job.height)
    _check_held(job)
    with _translating(job):
        frames, durations = _frames(job, None if job.preprocess else size)
    if job.preprocess is not None:
        frames = _changed(frames, job.preprocess)
        frames = [_resampled(frame, size, job) for frame in frames]
    if job.postprocess is not None:
        frames = _changed(frames, job.postprocess)
    if job.canvas is not None or job.background is not None:
        frames = [_padded(job, frame) for frame in frames]
    return encoded(job, frames, durations)


def encode(job: Job, pixels: bytes, width: int, height: int, bands: int) -> tuple[IO[bytes], int, int]:
    """Encode what another engine has made.

    :param job: the image to make
    :param pixels: what was made of it
    :param width: pixels
    :param height: pixels
    :param bands: from one, grey, to four, colours with transparency
    :returns: as :func:`resize`
    """
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[bands]
    frame = Image.frombytes(mode, (width, height), pixels)
    return encoded(job, [frame.convert("RGBA") if mode == "LA" else frame], [0])


def summary(file: IO[bytes]) -> str | None:
    """Tell the average colour of a small picture.

    :param file: a PNG that this library has made
    :returns: the colour, such as ``"#3060c0"``; ``None`` when some of it is transparent
    """
    with PngImagePlugin.PngImageFile(file) as image:
        pixel = image.convert("RGBA").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    red, green, blue, alpha = cast("tuple[int, int, int, int]", pixel)
    return f"#{red:02x}{green:02x}{blue:02x}" if alpha == 255 else None


def interest(file: IO[bytes]) -> tuple[list[int], list[int]]:
    """Tell where in a small picture there is something to see: edges, and colours.

    :param file: a PNG that this library has made
    :returns: how much in each column, and in each row
    """
    with PngImagePlugin.PngImageFile(file) as image:
        picture = image.convert("RGBA")
    alpha = picture.getchannel("A")
    picture = picture.convert("RGB")
    edges = picture.convert("L").filter(ImageFilter.FIND_EDGES)
    saturation = picture.convert("HSV").getchannel("S")
    interesting = ImageChops.multiply(ImageChops.add(edges, saturation, scale=2), alpha)
    # The edge of the picture is none in it.
    border = Image.new("L", picture.size)
    inner = (1, 1, max(2, picture.width - 1), max(2, picture.height - 1))
    border.paste(interesting.crop(inner), inner)
    # Thousandths, for a mean of bytes would be too coarse.
    across = border.convert("F").resize((picture.width, 1), Image.Resampling.BOX)
    down = border.convert("F").resize((1, picture.height), Image.Resampling.BOX)
    columns = [round(1000 * cast(float, across.getpixel((x, 0)))) for x in range(picture.width)]
    rows = [round(1000 * cast(float, down.getpixel((0, y)))) for y in range(picture.height)]
    return columns, rows


def profile_name(data: memoryview, mimetype: str) -> str | None:
    """Tell the name of the colour profile that is embedded in an image, by its header.

    :param data: the whole file, of an image whose header was read and accepted
    :param mimetype: its type
    :returns: the name that the profile has for itself; ``None`` where there is none
    """
    if mimetype in VECTOR_TYPES:
        return None
    try:
        image = _opened_by_type(io.BufferedReader(ViewReader(data)), mimetype)
        profile = image.info.get("icc_profile")
        return ImageCms.getProfileDescription(io.BytesIO(profile)).strip() if profile else None
    except Exception:  # nearly anything, on bad bytes
        return "unreadable"


def _check_held(job: Job) -> None:
    """Refuse what would have to be held at its own size: the frames that a callback is to see."""
    pixels = job.frames * job.header.width * job.header.height
    if job.preprocess is not None and job.frames > 1 and 4 * pixels > job.memory:
        raise InvalidImageError(
            f"expected at most {job.memory // 4} pixels in all frames of an {job.header.mimetype} for preprocess, "
            f"got {pixels}; ask for the first frame, or raise max_pixels",
            reason="too_many_frames",
        )


def _opened(job: Job) -> Image.Image:
    """Open an image, without decoding it."""
    mimetype, data = job.header.mimetype, job.data
    if mimetype == "application/pdf":
        width, height, left, top = job.rendered
        page = pdfium.render(data, width, height)
        return page if job.window is None else page.crop((left, top, left + job.width, top + job.height))
    if mimetype == "image/bmp" and (bitmap := bitmaps.opened(data)) is not None:
        return bitmap
    if mimetype == "image/png":
        data = png.essential(data, job.header)
    elif mimetype == "image/jpeg":
        data = memoryview(jpeg.essential(data, partial=job.header.partial))
    image = _opened_by_type(io.BufferedReader(ViewReader(data)), mimetype)
    header = job.header.info if mimetype in _TURNS_ITSELF else job.header
    if image.size != (header.width, header.height):
        raise disagreeing(job.header, *image.size)
    return image


def _opened_by_type(file: IO[bytes], mimetype: str) -> Image.Image:
    if mimetype != "image/heic":
        return _PLUGINS[mimetype](file)
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise unsupported(mimetype, READERS[mimetype][1]) from None
    image: Image.Image = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


def _frames(job: Job, size: tuple[int, int] | None) -> tuple[list[Image.Image], list[float]]:
    """Decode frame by frame, and resize each if a size is given.

    :returns: the frames, upright and in sRGB, and how long each is shown, in milliseconds
    """
    made: list[Image.Image] = []
    durations: list[float] = []
    for image, duration in _decoded(job):
        made.append(_finished(job, image, size))
        durations.append(duration)
        if len(made) == job.frames:
            mode = "RGBA" if any("A" in frame.mode for frame in made) else None
            return [frame.convert(mode) for frame in made] if mode and len(made) > 1 else made, durations
    raise undecodable(job.header, f"it has {len(made)} frames, and says {job.frames}")


def _decoded(job: Job) -> Iterator[tuple[Image.Image, float]]:
    if parts := _parts(job):
        yield from composed(parts, job.header.width, job.header.height, lambda file: _part(job, file))
        return
    image = _opened(job)
    if job.header.partial:
        image = as_far_as_it_goes(image, _opened(job), _plain)
    if job.header.frames == 1:
        yield image, 0
        return
    for index in itertools.count():
        try:
            image.seek(index)
        except EOFError:
            return
        image.load()
        yield image, image.info.get("duration", 0)


def _parts(job: Job) -> Iterator[Frame] | None:
    """Yield the frames of which it consists, where they are put together here."""
    if not job.header.composed:
        return None
    return gif.frames(job.data) if job.header.mimetype == "image/gif" else png.frames(job.data)


def _part(job: Job, file: bytes) -> Image.Image:
    plugin = _PLUGINS[job.header.mimetype]
    if job.header.partial:
        return as_far_as_it_goes(plugin(io.BytesIO(file)), plugin(io.BytesIO(file)), _plain)
    return _plain(plugin(io.BytesIO(file)))


def _finished(job: Job, image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    left, top, width, height = _window(job, image)
    box: tuple[float, float, float, float] = (left, top, left + width, top + height)
    upright = None if job.header.mimetype in _TURNS_ITSELF else _UPRIGHT.get(job.header.orientation)
    if size is not None:
        size = job.stored_size if upright is not None else size
        if job.filter == DEFAULT_FILTER:
            # JPEG can be decoded at an eighth, a quarter or a half of its size.
            full = image.size
            scale = _GAP * max(size[0] / width, size[1] / height)
            drafted = image.draft(None, (round(full[0] * scale), round(full[1] * scale)))
            if drafted is not None:
                across, down = drafted[1][2] / full[0], drafted[1][3] / full[1]
                box = (left * across, top * down, (left + width) * across, (top + height) * down)
    made = _plain(image)
    if size is not None:
        made = made.resize(size, _resample(job), box=box, reducing_gap=_GAP)
    made = _srgb(made, job.header.profile)
    if upright is not None:
        return made.transpose(upright)
    # The next frame is decoded into the same object.
    return made.copy() if made is image else made


def _window(job: Job, image: Image.Image) -> tuple[int, int, int, int]:
    """The part to show of what a decoder gives, as left, top, width and height."""
    if job.window is None or job.header.mimetype == "application/pdf":
        return 0, 0, *image.size
    return job.window if job.header.mimetype in _TURNS_ITSELF else job.stored_window


def _padded(job: Job, image: Image.Image) -> Image.Image:
    """Put a frame on a canvas, and what is transparent on the background."""
    width, height = job.canvas or image.size
    opacity = 0 if job.background is None else 255
    canvas = Image.new("RGBA", (width, height), (*job.shade, opacity))
    canvas.alpha_composite(image.convert("RGBA"), ((width - image.width) // 2, (height - image.height) // 2))
    return canvas.convert("RGB") if opacity else canvas


def _resampled(image: Image.Image, size: tuple[int, int], job: Job) -> Image.Image:
    return image.resize(size, _resample(job), reducing_gap=_GAP)


def _resample(job: Job) -> Image.Resampling:
    return Image.Resampling[job.kernel.pillow]


def _plain(image: Image.Image) -> Image.Image:
    """Bring an image into a mode that can be resized: no palette, eight bits."""
    image.load()
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        # Sixteen bits; to convert would cut them off at 255.
        wide = image if image.mode in ("I", "I;16") else image.convert("I")
        gray = wide.point(lambda value: value * (1 / 256)).convert("L")
        if isinstance(key, int):
            wide = image.convert("I")
            gray.putalpha(
                ImageMath.lambda_eval(lambda names: names["convert"](255 * (names["image"] != key), "L"), image=wide)
            )
        return gray
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if key is not None or image.mode == "PA" else "RGB")
    if image.mode == "RGB" and isinstance(key, tuple):
        if max(key) > 255:
            # Of sixteen bits, the upper eight are left.
            image.info["transparency"] = tuple(value >> 8 for value in key)
        return image.convert("RGBA")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return cast(Image.Image, ImageCms.profileToProfile(image, lab, _SRGB, outputMode="RGB"))
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert({"1": "L", "RGBa": "RGBA", "La": "LA"}.get(image.mode, "RGB"))


def _unlike(image: Image.Image, key: int) -> Image.Image:
    """A mask of the pixels that are of another value."""
    mask = ImageMath.lambda_eval(lambda names: names["convert"](255 * (names["image"] != key), "L"), image=image)
    return cast(Image.Image, mask)


_SRGB = ImageCms.ImageCmsProfile(io.BytesIO(colors.SRGB))


@functools.lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, mode, "RGB")


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
        opaque = image.convert(image.mode[:-1]) if alpha else image
        if opaque.mode == "L" and profile[16:20] == b"RGB ":
            opaque = opaque.convert("RGB")
        # What is whole may yet be of a kind that the converter does not know; browsers go on without it.
        with contextlib.suppress(ImageCms.PyCMSError):
            image = cast(Image.Image, ImageCms.applyTransform(opaque, _transform(profile, opaque.mode)))
            if alpha:
                image.putalpha(alpha)
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def _changed(frames: list[Image.Image], change: Change) -> list[Image.Image]:
    """Hand the frames to a callback as the one pyvips image that it wants."""
    if not vips_may_work():
        raise ImageAttachError(
            "preprocess and postprocess take images of libvips, which is not there or, as this process was forked from "
            "one in which it had worked, cannot be used; start such processes by spawning them"
        )
    from .libvips import changed_pixels

    mode = "RGBA" if any("A" in frame.mode for frame in frames) else "RGB"
    width, height = frames[0].size
    pixels, width, height, bands = changed_pixels(
        b"".join(frame.convert(mode).tobytes() for frame in frames), width, height, len(mode), change
    )
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[bands]
    step = width * height * bands
    images = [Image.frombytes(mode, (width, height), pixels[at : at + step]) for at in range(0, len(pixels), step)]
    # Not every type has grey with transparency.
    return [image.convert("RGBA") for image in images] if mode == "LA" else images


@contextlib.contextmanager
def _translating(job: Job) -> Iterator[None]:
    """Turn what decoders raise on bad bytes, which is nearly anything, into one error."""
    try:
        yield
    except (InvalidImageError, MemoryError):
        raise
    except Exception as error:
        raise undecodable(job.header, error) from error
