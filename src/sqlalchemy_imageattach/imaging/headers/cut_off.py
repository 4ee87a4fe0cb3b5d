"""Files that were cut off: what came of them, as a file that ends as it should.

Every browser shows a JPEG, a PNG or a GIF as far as it goes.  What must always be true:

- Nothing is made up: what is missing stays missing, and only ends are added.
- What would be nothing but a header stays refused, and so does every other type.
"""

from __future__ import annotations

from ...exc import InvalidImageError
from . import gif, jpeg, png
from .header import PAST_THE_END, budget, unpack

__all__ = ("completed",)


def completed(data: memoryview, mimetype: str) -> memoryview | None:
    """Give a file that was cut off its end.

    :param data: the whole file, as far as there is one
    :param mimetype: its type
    :returns: ``None`` where it is whole, or nothing would be seen of it
    """
    complete = _COMPLETE.get(mimetype)
    try:
        pieces = complete(data) if complete is not None else None
    except (InvalidImageError, *PAST_THE_END):
        # It is worse than cut off.
        return None
    return None if pieces is None else memoryview(b"".join(pieces))


def _jpeg(data: memoryview) -> list[memoryview | bytes] | None:
    last, end, has_scan = 0, 2, False
    try:
        for marker, _, stop in jpeg.segments(data):
            last, end = marker, stop
            has_scan |= marker == jpeg.SOS
        return None
    except (InvalidImageError, *PAST_THE_END):
        if not has_scan:
            return None
    # The scan goes as far as the file does; a half marker at its end is none.
    end = len(data) if last == jpeg.SOS else end
    return [data[: end - (data[end - 1] == 0xFF)], b"\xff\xd9"]


def _png(data: memoryview) -> list[memoryview | bytes] | None:
    at, has_pixels = 8, False
    for _ in budget(data):
        if at + 8 > len(data):
            break
        length, name = unpack(">I4s", data, at)
        has_pixels |= name == b"IDAT"
        if at + 12 + length > len(data):
            break
        at += 12 + length
        if name == b"IEND":
            return None
    if not has_pixels:
        return None
    pieces: list[memoryview | bytes] = [data[:at]]
    if at + 12 < len(data) and (name := bytes(data[at + 4 : at + 8])) in (b"IDAT", b"fdAT"):
        (length,) = unpack(">I", data, at)
        pieces.append(png.chunk(name, bytes(data[at + 8 : at + 8 + length])))
    return [*pieces, png.chunk(b"IEND")]


def _gif(data: memoryview) -> list[memoryview | bytes] | None:
    at, has_picture = gif.screen_end(data), False
    try:
        for kind, _, stop in gif.blocks(data):
            at = stop
            has_picture |= kind == gif.IMAGE
        return None
    except (InvalidImageError, *PAST_THE_END):
        pieces: list[memoryview | bytes] = [data[:at]]
    if at < len(data) and data[at] == gif.IMAGE and (start := gif.pixels_start(data, at)) < len(data):
        pieces.append(data[at:start])
        at = start
        for _ in budget(data, 64):
            block = data[at + 1 : at + 1 + data[at]]
            if not block:
                break
            pieces += (bytes((len(block),)), block)
            at += 1 + len(block)
            if at >= len(data):
                break
        pieces.append(b"\0")
    elif not has_picture:
        return None
    return [*pieces, b";"]


_COMPLETE = {"image/gif": _gif, "image/jpeg": _jpeg, "image/png": _png}
