"""Putting the frames of an animation together, each from a part of the canvas and what was there before.

Decoders differ in what becomes of the area of a former frame, and of what no frame covers.  Here it is as in browsers:

- a canvas is transparent where nothing was drawn;
- what is cleared becomes transparent, whatever the file calls its background;
- what is put back is what was there before the frame, though it was put back itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from PIL import Image

from ..headers.header import CLEARED, PUT_BACK, Frame

__all__ = ("composed",)

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
