"""What a canvas shows: the frames of an animation, put together, and as much as there is of a picture that was cut off.

Decoders differ in what becomes of the area of a former frame, and of what no frame covers.  Here it is as in browsers:

- a canvas is transparent where nothing was drawn;
- what is cleared becomes transparent, whatever the file calls its background;
- what is put back is what was there before the frame, though it was put back itself;
- what is missing at the end of a picture is transparent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from PIL import Image, ImageChops, ImageFile

from ..headers.header import CLEARED, PUT_BACK, Frame

__all__ = ("as_far_as_it_goes", "composed")

_CLEAR = (0, 0, 0, 0)


def composed(
    frames: Iterable[Frame], width: int, height: int, decode: Callable[[bytes], Image.Image]
) -> Iterator[tuple[Image.Image, int]]:
    """Yield whole frames, each with its duration in milliseconds.

    :param frames: as they lie in the file
    :param width: of the canvas, in pixels
    :param height: of the canvas, in pixels
    :param decode: decodes the file of a frame
    :returns: the canvas, which is drawn on again afterwards, or a copy of it without alpha
    """
    canvas = Image.new("RGBA", (width, height), _CLEAR)
    for frame in frames:
        box = (frame.left, frame.top, min(width, frame.left + frame.width), min(height, frame.top + frame.height))
        # What is beyond the edge is not seen.
        size = (max(0, box[2] - box[0]), max(0, box[3] - box[1]))
        before = canvas.crop(box) if frame.disposal == PUT_BACK and all(size) else None
        picture = decode(frame.file)
        if all(size):
            part = picture.convert("RGBA").crop((0, 0, *size))
            if frame.replaces or picture.mode in ("L", "RGB"):
                canvas.paste(part, box)
            else:
                canvas.alpha_composite(part, box[:2])
        is_opaque = canvas.getchannel("A").getextrema() == (255, 255)
        yield canvas.convert("RGB") if is_opaque else canvas, frame.duration
        if before is not None:
            canvas.paste(before, box)
        elif frame.disposal == CLEARED and all(size):
            canvas.paste(_CLEAR, box)


def as_far_as_it_goes(
    image: Image.Image, again: Image.Image, plain: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Decode a picture whose end is missing.

    A decoder does not tell how far it came.  So it decodes into a canvas of zeros and into one of the highest values:
    where both are the same afterwards, it has drawn.

    :param image: the picture, opened
    :param again: the same, opened once more
    :param plain: brings an image into a mode that can be resized
    :returns: the picture, transparent where it is missing
    """
    drawn = ImageChops.invert(ImageChops.difference(_values(image, 0), _values(again, 0xFF)))
    mask = Image.new("L", image.size, 255)
    for band in drawn.split():
        mask = ImageChops.darker(mask, band.point(lambda value: 255 if value == 255 else 0))
    made = plain(image)
    if made.mode == "CMYK" or mask.getextrema() == (255, 255):
        return made
    # A row that is missing above one that is there is of a later pass.
    if ImageChops.subtract(mask, _shifted(mask, 0, 1)).crop((0, 1, *mask.size)).getbbox():
        made, mask = _filled(made, mask)
    if "A" in made.mode:
        mask = ImageChops.darker(mask, made.getchannel("A"))
    made = made.convert({"L": "LA", "RGB": "RGBA"}.get(made.mode, made.mode))
    made.putalpha(mask)
    return made


def _values(image: Image.Image, value: int) -> Image.Image:
    """Decode into a canvas of one value, and give what the samples are then."""
    bands = len(image.getbands())
    wide = image.mode.startswith("I")
    image.im = Image.new(image.mode, image.size, (value,) * bands if bands > 1 else value * (257 if wide else 1)).im
    with contextlib.suppress(OSError):
        image.load()
    if isinstance(image, ImageFile.ImageFile):
        # It is loaded now, as far as it will ever be.
        image.tile = []
    if wide:
        return image.convert("I").point(lambda sample: sample * (1 / 256)).convert("L")
    if image.mode == "P":
        return Image.frombytes("L", image.size, image.tobytes())
    # Of one bit, there are no differences.
    return image.convert("L" if image.mode == "1" else image.mode)


def _filled(image: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Draw the pixels of the first passes of an interlaced picture as large as they stand for."""
    for right, down in ((1, 0), (2, 0), (4, 0), (0, 1), (0, 2), (0, 4)):
        image = Image.composite(image, _shifted(image, right, down), mask)
        mask = ImageChops.lighter(mask, _shifted(mask, right, down))
    return image, mask


def _shifted(image: Image.Image, right: int, down: int) -> Image.Image:
    made = Image.new(image.mode, image.size)
    made.paste(image, (right, down))
    return made
