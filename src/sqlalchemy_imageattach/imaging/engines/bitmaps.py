"""What Pillow does not do of BMP: pictures of runs that leave pixels out, and alpha.

`Bitmap storage <https://learn.microsoft.com/windows/win32/gdi/bitmap-storage>`_
"""

from __future__ import annotations

import struct

from PIL import Image

__all__ = ("opened", "with_alpha")


_ALPHA = 0xFF000000


def opened(data: memoryview) -> Image.Image | None:
    """Decode a BMP where Pillow would not see all of it.

    :param data: the whole file
    :returns: the picture; ``None`` where Pillow is to decode it
    """
    offset, head = struct.unpack_from("<II", data, 10)
    if head < 40:
        return None
    width, height, bits, compression = struct.unpack_from("<ii2xHI", data, 18)
    if compression in (1, 2):
        image = _of_runs(data, width, abs(height), bits)
    elif compression == 0 and bits == 32 and head >= 108 and struct.unpack_from("<I", data, 66)[0] == _ALPHA:
        # Only a file that is compressed is asked for masks by others, but browsers ask this one too.
        size = (width, abs(height))
        image = Image.frombytes("RGBA", size, data[offset : offset + 4 * width * abs(height)], "raw", "BGRA")
    else:
        return None
    return image if height < 0 else image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def _of_runs(data: memoryview, width: int, height: int, bits: int) -> Image.Image:
    """Decode a picture of runs; what they leave out is black, as in browsers."""
    offset, head, used = struct.unpack_from("<II28xI", data, 10)
    palette = bytes(data[14 + head : 14 + head + 4 * min(used or 1 << bits, 256)])
    pixels, drawn = _pixels(bytes(data[offset:]), width, height, bits)
    image = Image.frombytes("P", (width, height), pixels)
    image.putpalette(palette, "BGRX")
    made = Image.new("RGB", image.size)
    made.paste(image.convert("RGB"), mask=Image.frombytes("L", image.size, drawn))
    return made


def _pixels(runs: bytes, width: int, height: int, bits: int) -> tuple[bytes, bytes]:
    """Decode runs to indices, and to a mask of what they drew."""
    pixels, drawn = bytearray(width * height), bytearray(width * height)
    x = y = at = 0
    while y < height and at + 1 < len(runs):
        count, value = runs[at], runs[at + 1]
        at += 2
        row = y * width
        if count:
            # Of four bits, two colours take turns.
            run = bytes((value,)) * count if bits == 8 else (bytes((value >> 4, value & 15)) * 128)[:count]
        elif value == 0:
            x, y = 0, y + 1
            continue
        elif value == 1:
            break
        elif value == 2:
            if at + 1 >= len(runs):
                raise ValueError("the data is truncated")
            x, y = x + runs[at], y + runs[at + 1]
            at += 2
            continue
        else:
            size = value if bits == 8 else (value + 1) // 2
            run = runs[at : at + size]
            at += size + (size & 1)
            if bits == 4:
                run = bytes(part for pair in run for part in (pair >> 4, pair & 15))[:value]
        run = run[: max(0, width - x)]
        pixels[row + x : row + x + len(run)] = run
        drawn[row + x : row + x + len(run)] = b"\xff" * len(run)
        x += len(run)
    return bytes(pixels), bytes(drawn)


def with_alpha(image: Image.Image) -> bytes:
    """Encode a BMP under a header of version 4, the first that can say which bits are alpha.

    :param image: RGBA
    """
    rows = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(rows), 2835, 2835, 0, 0)
    body = head + masks + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(body) + len(rows), 0, 0, 14 + len(body)) + body + rows
