"""Headers of JPEG, PNG, GIF, WebP and BMP."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...exc import InvalidImageError
from .header import HELD_BYTES, Header, budget, check_metadata, damaged, truncated, unpack
from .tiff import read_orientation

__all__ = (
    "GIF_EXTENSION",
    "GIF_IMAGE",
    "GIF_TRAILER",
    "JPEG_APP1",
    "JPEG_EOI",
    "JPEG_SCAN",
    "JPEG_SOS",
    "gif_blocks",
    "gif_screen_end",
    "jpeg_segments",
    "png_chunks",
    "read_bmp",
    "read_gif",
    "read_jpeg",
    "read_png",
    "read_webp",
    "riff_chunks",
)

# Bytes a pixel: the decoded picture, and another form of it.
_WHOLE_CANVAS = 5.5 / HELD_BYTES

# Pillow decodes runs in Python, three megabytes in a second.
_MAX_RUNS_BYTES = 4 * 1024 * 1024

GIF_EXTENSION, GIF_IMAGE, GIF_TRAILER = 0x21, 0x2C, 0x3B

# Markers without a length: TEM, the restart markers and SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
# Start of frame; C4, C8 and CC are other things.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
JPEG_SCAN, JPEG_EOI, JPEG_SOS, JPEG_APP1 = 0x00, 0xD9, 0xDA, 0xE1

# A marker may have any number of fill bytes before it.
_FILL = re.compile(rb"\xff+")
# In entropy-coded data every FF is followed by 00 or by a restart marker, so these are what they seem to be.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END_OF_IMAGE = re.compile(rb"\xff\xd9")
_START_OF_SCAN = re.compile(rb"\xff\xda\x00")


def jpeg_segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yields the segments of a JPEG as (marker, start, end) of the payload, and entropy-coded data as ``JPEG_SCAN``.

    `ITU T.81, B.1 <https://www.w3.org/Graphics/JPEG/itu-t81.pdf>`_
    """
    at = 2
    for _ in budget(data):
        if not (found := _FILL.match(data, at)):
            raise damaged(f"there is no marker at byte {at} of the JPEG")
        marker = data[found.end()]
        at = found.end() + 1
        if marker in _BARE:
            continue
        if marker == JPEG_EOI:
            yield marker, at, at
            return
        (length,) = unpack(">H", data, at)
        if length < 2:
            raise damaged(f"the segment at byte {at} of the JPEG has a length of {length}")
        end = at + length
        if end > len(data):
            raise truncated(f"the JPEG declares a segment up to byte {end}, and has {len(data)}")
        yield marker, at + 2, end
        at = end
        if marker == JPEG_SOS:
            if not (found := _END_OF_SCAN.search(data, at)):
                raise truncated("the JPEG has no end marker")
            yield JPEG_SCAN, at, found.start()
            at = found.start()
    raise damaged("the JPEG has too many segments")


def read_jpeg(data: memoryview) -> Header:
    width = height = scans = 0
    orientation, weight = 0, 1.0
    components, frame = data[:0], None
    metadata = 0
    for marker, start, end in jpeg_segments(data):
        metadata += end - start
        if marker in _SOF:
            if frame is not None:
                raise damaged("the JPEG has two frame headers")
            frame = marker
            height, width = unpack(">HH", data, start + 1)
            components = data[start + 5 : end]
        elif marker == JPEG_APP1 and not orientation and bytes(data[start : start + 6]) == b"Exif\0\0":
            orientation = read_orientation(data[start + 6 : end])
        elif marker == JPEG_SOS:
            scans = start
            break
    if frame is None or not scans:
        raise damaged("the JPEG has no picture")
    check_metadata(metadata)
    if frame in _PROGRESSIVE or data[scans] < components[0]:
        # The picture is in several scans: all coefficients are held, and each scan goes over them again; twenty take as
        # long as decoding does.
        weight = max(_jpeg_weight(components), sum(1 for _ in _START_OF_SCAN.finditer(data, scans - 4)) / 20)
    # Cameras append previews and videos after the end marker, so it need not be last; but mostly it is.
    if bytes(data[-2:]) != b"\xff\xd9" and not _END_OF_IMAGE.search(data, scans):
        raise truncated("the JPEG has no end marker")
    return Header("image/jpeg", width, height, orientation=orientation or 1, weight=weight)


def _jpeg_weight(components: memoryview) -> float:
    """Weighs a JPEG all of whose coefficients are held, two bytes each, at each component's own rate."""
    count = components[0]
    samplings = [components[2 + 3 * index] for index in range(count)]
    areas = [(sampling >> 4) * (sampling & 15) for sampling in samplings]
    if not areas or 0 in areas:
        raise damaged("the JPEG has a component without samples")
    return max(1.0, 2 * sum(areas) / max(areas) / HELD_BYTES)


def png_chunks(data: memoryview) -> list[tuple[bytes, int, int]]:
    """Lists the chunks of a PNG, as (type, start, end); the payload is 8 after the start and 4 before the end.

    `PNG, 5.3 <https://www.w3.org/TR/png-3/#5Chunk-layout>`_
    """
    chunks: list[tuple[bytes, int, int]] = []
    at = 8
    for _ in budget(data):
        if at + 12 > len(data):
            raise truncated("the PNG ends before its IEND chunk")
        length, name = unpack(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise truncated(f"the PNG declares a chunk up to byte {end}, and has {len(data)}")
        chunks.append((name, at, end))
        if name == b"IEND":
            return chunks
        at = end
    raise damaged("the PNG has too many chunks")


_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def read_png(data: memoryview) -> Header:
    chunks = png_chunks(data)
    if chunks[0][0] != b"IHDR" or chunks[0][2] != 33:
        raise damaged("the PNG does not begin with an IHDR chunk of 13 bytes")
    width, height, depth, color, interlaced = unpack(">IIBBxxB", data, 16)
    names = [name for name, _, _ in chunks]
    if b"IDAT" not in names:
        raise damaged("the PNG has no IDAT chunk")
    pixels_from = names.index(b"IDAT")
    frames, orientation = 1, 0
    for name, start, _ in chunks[:pixels_from]:
        if name == b"acTL":
            (frames,) = unpack(">I", data, start + 8)
            # A frame costs time whether it was announced or not.
            if frames != names.count(b"fcTL") or frames == 0:
                raise damaged(f"the PNG announces {frames} frames and has {names.count(b'fcTL')}")
    for name, start, end in chunks:
        if name == b"eXIf" and not orientation:
            orientation = read_orientation(data[start + 8 : end - 4])
    check_metadata(sum(end - start for name, start, end in chunks if name not in (b"IDAT", b"fdAT")))
    # The rows of an interlaced picture are complete only at its end.
    held = _PNG_CHANNELS.get(color, 4) * (2 if depth == 16 else 1) + 1 if interlaced or frames > 1 else 0
    return Header("image/png", width, height, frames, orientation or 1, max(1.0, held / HELD_BYTES))


def gif_blocks(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yields the blocks of a GIF after its global colour table, as (kind, start, end), the trailer last.

    `GIF89a <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>`_
    """
    at = gif_screen_end(data)
    # Blocks consist of blocks of 256 bytes at most, so there are many of them.
    parts = iter(budget(data, 64))
    for _ in parts:
        if at >= len(data):
            raise truncated("the GIF has no trailer")
        start, kind = at, data[at]
        if kind == GIF_TRAILER:
            yield kind, start, start + 1
            return
        if kind == GIF_IMAGE:
            at += 11 + _color_table(data[at + 9])
        elif kind == GIF_EXTENSION:
            at += 2
        elif kind == 0:
            # Some writers put one block terminator too many.
            at += 1
            continue
        else:
            raise damaged(f"the GIF has an unknown block at byte {at}")
        for _ in parts:
            if at >= len(data):
                raise truncated("the GIF ends within a block")
            length = data[at]
            at += length + 1
            if length == 0:
                break
        yield kind, start, at
    raise damaged("the GIF has too many blocks")


def gif_screen_end(data: memoryview) -> int:
    """Tells where the first block of a GIF is."""
    return 13 + _color_table(data[10])


def read_gif(data: memoryview) -> Header:
    width, height = unpack("<HH", data, 6)
    frames = 0
    for kind, start, _ in gif_blocks(data):
        if kind == GIF_IMAGE:
            frames += 1
            left, top, frame_width, frame_height = unpack("<HHHH", data, start + 1)
            # Browsers grow the canvas for the first frame, and cut the others.
            if frames == 1:
                width, height = max(width, left + frame_width), max(height, top + frame_height)
    if frames == 0:
        raise damaged("the GIF has no picture")
    return Header("image/gif", width, height, frames, weight=_WHOLE_CANVAS)


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def riff_chunks(data: memoryview) -> list[tuple[bytes, int, int]]:
    """Lists the chunks of a WebP, as (type, start, end); the payload is 8 after the start.

    `RFC 9649, 2.3 <https://www.rfc-editor.org/rfc/rfc9649#section-2.3>`_
    """
    (size,) = unpack("<I", data, 4)
    if size + 8 > len(data):
        raise truncated(f"the WebP declares {size + 8} bytes, and has {len(data)}")
    chunks: list[tuple[bytes, int, int]] = []
    at = 12
    for _ in budget(data):
        if at + 8 > size + 8:
            return chunks
        name, length = unpack("<4sI", data, at)
        end = at + 8 + length
        if end > size + 8:
            raise truncated(f"the WebP declares a chunk up to byte {end}, and has {size + 8}")
        chunks.append((name, at, end))
        at = end + (length & 1)
    raise damaged("the WebP has too many chunks")


_WEBP_PICTURES = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANMF"))


def read_webp(data: memoryview) -> Header:
    chunks = riff_chunks(data)
    if not chunks:
        raise damaged("the WebP has no picture")
    name, start, _ = chunks[0]
    if name == b"VP8X":
        flags, *sides = unpack("<B3xHBHB", data, start + 8)
        width, height = sides[0] + (sides[1] << 16) + 1, sides[2] + (sides[3] << 16) + 1
    elif name in (b"VP8 ", b"VP8L"):
        flags = 0
        width, height = _webp_bitstream(data, name, start)
    else:
        raise damaged(f"the WebP begins with a chunk of type {name!r}")
    names = [name for name, _, _ in chunks]
    frames = names.count(b"ANMF") if flags & 2 else 1
    if frames == 0 or not (flags & 2 or b"VP8 " in names or b"VP8L" in names):
        raise damaged("the WebP has no picture")
    check_metadata(sum(end - start for name, start, end in chunks if name not in _WEBP_PICTURES))
    orientation = 0
    for name, start, end in chunks:
        if name == b"EXIF" and not orientation:
            payload = data[start + 8 : end]
            # Some writers keep the introduction that JPEG wants.
            orientation = read_orientation(payload[6:] if bytes(payload[:6]) == b"Exif\0\0" else payload)
    return Header("image/webp", width, height, frames, orientation or 1)


def _webp_bitstream(data: memoryview, name: bytes, start: int) -> tuple[int, int]:
    if name == b"VP8L":
        signature, bits = unpack("<BI", data, start + 8)
        if signature != 0x2F:
            raise damaged("the WebP has no lossless picture where it says so")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    code, width, height = unpack("<3sHH", data, start + 11)
    if code != b"\x9d\x01\x2a":
        raise damaged("the WebP has no key frame where it says so")
    return width & 0x3FFF, height & 0x3FFF


def read_bmp(data: memoryview) -> Header:
    """`Bitmap storage <https://learn.microsoft.com/windows/win32/gdi/bitmap-storage>`_"""
    offset, header_size = unpack("<II", data, 10)
    size = 0
    if header_size == 12:
        width, height, bits = unpack("<HHxxH", data, 18)
        compression = 0
    else:
        width, height, bits, compression, size = unpack("<iixxHII", data, 18)
    height = abs(height)
    if compression in (0, 3, 6):
        # The declared length is zero or wrong in many files; that of the rows is known.
        size = (width * bits + 31) // 32 * 4 * height
    if offset + size > len(data):
        raise truncated(f"the BMP needs {offset + size} bytes, and has {len(data)}")
    if compression in (1, 2) and len(data) - offset > _MAX_RUNS_BYTES:
        raise InvalidImageError(
            f"expected at most {_MAX_RUNS_BYTES} bytes in a compressed BMP, got {len(data) - offset}; "
            "save it without compression, or as PNG",
            reason="too_many_bytes",
        )
    # The file, which is as large as the picture, is in memory while it is read.
    return Header("image/bmp", width, height, weight=_WHOLE_CANVAS + bits / 8 / HELD_BYTES)
