"""Making the bytes of a variant.

It must always be true that what is asked of uploads is not asked again of an original that is stored: only the limits
of decoding hold, and they are checked before anything is decoded.
"""

from __future__ import annotations

import io
from typing import IO

from ..file import spooled
from ..imaging import ImagePolicy, open_picture
from ..imaging.types import ANIMATED_TYPES
from .geometry import Window, inside
from .recipe import Recipe

__all__ = ("make",)


def make(
    file: IO[bytes], recipe: Recipe, original: tuple[int, int], policy: ImagePolicy, *, thorough: bool = False
) -> IO[bytes]:
    """Make the bytes of a variant.

    :param file: the original: readable, seekable and binary
    :param recipe: what is to be done
    :param original: width and height of the original, as its row has them, in pixels
    :param policy: the limits
    :param thorough: whether nobody waits for it
    :returns: a readable binary file, at its position 0, which the caller closes
    :raises InvalidImageError: when the original cannot be decoded, or is beyond a limit
    """
    with open_picture(file, policy) as picture:
        info = picture.info
        window = recipe.window
        size = (info.width, info.height)
        if size != original:
            # The original library did not turn what a camera held upright, and its rows have the size before that.
            window = _centred(inside(recipe[:2], size), size)
        elif recipe.attention:
            area = window or (0, 0, *size)
            shape = inside(recipe[:2], area[2:])
            window = *picture.attention(area, shape), *shape
        width, height = inside(window[2:] if window else size, recipe[:2]) if recipe.padded else recipe[:2]
        made = picture.resize(
            width,
            height,
            window=window,
            canvas=recipe[:2] if recipe.padded else None,
            background=recipe.background,
            mimetype=recipe.mimetype,
            quality=recipe.quality or None,
            first_frame=recipe.first_frame or recipe.mimetype not in ANIMATED_TYPES,
            thorough=thorough,
        ).file
        is_whole = window is None and not recipe.padded and not recipe.first_frame
        is_same = is_whole and recipe.background is None and recipe[:3] == (*size, info.mimetype)
        if not is_same or _bytes_of(file) > _bytes_of(made) or not picture.is_plain():
            return made
    # Nothing is gained by encoding it anew, and some quality lost.
    made.close()
    return spooled(file)


def _bytes_of(file: IO[bytes]) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


def _centred(size: tuple[int, int], area: tuple[int, int]) -> Window:
    return (area[0] - size[0]) // 2, (area[1] - size[1]) // 2, *size
