"""The Pillow engine; no other module imports PIL, nor pillow_heif.

What must always be true:

- A file is opened by the plugin of the type that its bytes were found to be of, and by no other.  That also leaves
  Pillow's own limit out, which is a warning or an error by a setting of the process: ours were checked before.
- Orientation is what our own reading of the header told: Pillow's decodes a whole PNG to find it.
- Frames of animations are held in memory at the size of the result; so are, one at a time, frames at their own size.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from typing import IO, Any, cast

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from ...exc import ImageAttachError, InvalidImageError, MissingDependencyError
from ..source import ViewReader
from ..types import VECTOR_TYPES
from . import pdfium
from .filters import DEFAULT_FILTER
from .fork_guard import vips_may_work
from .job import PIXELS_IN_MEMORY, Change, Job, disagreeing, is_srgb, undecodable

__all__ = ("profile_name", "resize")

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "image/avif": AvifImagePlugin.AvifImageFile,
    "image/bmp": BmpImagePlugin.BmpImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/png": PngImagePlugin.PngImageFile,
    "image/tiff": TiffImagePlugin.TiffImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
}

_SAVERS: dict[str, dict[str, Any]] = {
    "image/avif": {"format": "AVIF", "quality": 60, "speed": 8},
    "image/bmp": {"format": "BMP"},
    "image/gif": {"format": "GIF"},
    "image/jpeg": {"format": "JPEG", "quality": 85},
    "image/png": {"format": "PNG"},
    "image/tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "image/webp": {"format": "WEBP", "quality": 80, "method": 2},
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

# By how much an image may stay larger than the result when it is shrunk cheaply first.
_GAP = 2.0


def resize(job: Job) -> tuple[IO[bytes], int, int]:
    size = (job.width, job.height)
    _check_held(job)
    with _translating(job):
        image, upright = _opened(job)
        frames, timing = _frames(job, image, upright, None if job.preprocess else size)
        # Not needed any more, while the encoder needs memory of its own.
        del image
    if job.preprocess is not None:
        frames = _changed(frames, job.preprocess)
        frames = [frame.resize(size, _resample(job), reducing_gap=_GAP) for frame in frames]
    if job.postprocess is not None:
        frames = _changed(frames, job.postprocess)
    return _encoded(frames, timing, job.mimetype)


def profile_name(data: memoryview, mimetype: str) -> str | None:
    """Tells the name of the colour profile that is embedded in an image, by its header.

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
    except MissingDependencyError:
        raise
    except Exception:  # nearly anything, on bad bytes
        return "unreadable"


def _check_held(job: Job) -> None:
    """Refuses what would have to be held at its own size: the frames that a callback is to see."""
    pixels = job.frames * job.header.width * job.header.height
    if job.preprocess is not None and job.frames > 1 and 4 * pixels > job.memory:
        raise InvalidImageError(
            f"expected at most {job.memory // 4} pixels in all frames of an {job.header.mimetype} for preprocess, "
            f"got {pixels}; ask for the first frame, or raise max_pixels",
            reason="too_many_frames",
        )


def _opened(job: Job) -> tuple[Image.Image, Image.Transpose | None]:
    """Opens an image, without decoding it, and tells how it has to be turned."""
    file = io.BufferedReader(ViewReader(job.data))
    mimetype = job.header.mimetype
    if mimetype == "application/pdf":
        return pdfium.render(job.data, job.width, job.height), None
    image = _opened_by_type(file, mimetype)
    # These two turn it themselves.
    is_upright = mimetype in ("image/heic", "image/tiff")
    header = job.header.info if is_upright else job.header
    if image.size != (header.width, header.height):
        raise disagreeing(job.header, *image.size)
    return image, None if is_upright else _UPRIGHT.get(job.header.orientation)


def _opened_by_type(file: IO[bytes], mimetype: str) -> Image.Image:
    if mimetype != "image/heic":
        return _PLUGINS[mimetype](file)
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise MissingDependencyError("HEIC needs an extra: pip install 'SQLAlchemy-ImageAttach[heif]'") from None
    image: Image.Image = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


def _frames(
    job: Job, image: Image.Image, upright: Image.Transpose | None, size: tuple[int, int] | None
) -> tuple[list[Image.Image], dict[str, Any]]:
    """Decodes frame by frame, and resizes each if a size is given."""
    if job.frames == 1:
        return [_decoded(job, image, upright, size)], {}
    made: list[Image.Image] = []
    durations: list[float] = []
    index = 0
    while len(made) < job.frames:
        try:
            image.seek(index)
        except EOFError:
            break
        image.load()
        index += 1
        if index == 1 and image.info.get("default_image"):
            # Shown only where animations are not.
            continue
        made.append(_decoded(job, image, upright, size))
        durations.append(image.info.get("duration", 0))
    if not made:
        raise undecodable(job.header, "it has no frame")
    # A GIF that does not say how often is shown once.
    loop = image.info.get("loop", None if job.header.mimetype == "image/gif" else 0)
    return made, {"duration": durations} if loop is None else {"duration": durations, "loop": loop}


def _decoded(
    job: Job, image: Image.Image, upright: Image.Transpose | None, size: tuple[int, int] | None
) -> Image.Image:
    opened = image
    profile = image.info.get("icc_profile")
    if size is not None:
        if upright is not None and job.header.orientation >= 5:
            size = (size[1], size[0])
        box = None
        if job.filter == DEFAULT_FILTER:
            # JPEG can be decoded at an eighth, a quarter or a half of its size.
            drafted = image.draft(None, (round(size[0] * _GAP), round(size[1] * _GAP)))
            box = drafted[1] if drafted else None
        image = _plain(image).resize(size, _resample(job), box=box, reducing_gap=_GAP)
    image = _srgb(_plain(image), profile)
    if upright is not None:
        return image.transpose(upright)
    # The next frame is decoded into the same object.
    return image.copy() if image is opened else image


def _resample(job: Job) -> Image.Resampling:
    return Image.Resampling[job.kernel.pillow]


def _plain(image: Image.Image) -> Image.Image:
    """Brings an image into a mode that can be resized: no palette, eight bits."""
    image.load()
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        # Transparency by a colour is transparency too.
        return image.convert("RGBA") if "transparency" in image.info and image.mode in ("L", "RGB") else image
    if image.mode.startswith("I"):
        # Sixteen bits; to convert would cut them off at 255.
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("1", "F"):
        return image.convert("L")
    return image.convert(
        "RGBA" if image.mode in ("P", "PA") and ("transparency" in image.info or image.mode == "PA") else "RGB"
    )


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and not is_srgb(profile):
        alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
        opaque = image.convert(image.mode[:-1]) if alpha else image
        # A profile that is damaged, or of another colour space, is as good as none.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.profileToProfile(
                opaque, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            image = cast(Image.Image, converted)
            if alpha:
                image.putalpha(alpha)
    return image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGB")


def _changed(frames: list[Image.Image], change: Change) -> list[Image.Image]:
    """Hands the frames to a callback as the one pyvips image that it wants."""
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


def _encoded(frames: list[Image.Image], timing: dict[str, Any], mimetype: str) -> tuple[IO[bytes], int, int]:
    options = dict(_SAVERS[mimetype])
    if len(frames) > 1:
        options |= {
            "save_all": True,
            "append_images": frames[1:],
            **timing,
        }
        if mimetype == "image/gif" and any("A" in frame.mode for frame in frames):
            options["disposal"] = 2
    if mimetype == "image/jpeg":
        frames = [_flattened(frames[0])]
    for frame in frames:
        # Whatever was read with it would be written with it.
        frame.info = {}
    with contextlib.ExitStack() as stack:
        pixels = len(frames) * frames[0].width * frames[0].height
        file = stack.enter_context(io.BytesIO() if pixels <= PIXELS_IN_MEMORY else _on_disk())
        frames[0].save(file, **options)
        file.seek(0)
        stack.pop_all()
    return file, frames[0].width, frames[0].height


def _on_disk() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _flattened(image: Image.Image) -> Image.Image:
    if "A" not in image.mode:
        return image
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


@contextlib.contextmanager
def _translating(job: Job) -> Iterator[None]:
    """Turns what decoders raise on bad bytes, which is nearly anything, into one error."""
    try:
        yield
    except (InvalidImageError, MissingDependencyError, MemoryError):
        raise
    except Exception as error:
        raise undecodable(job.header, error) from error
