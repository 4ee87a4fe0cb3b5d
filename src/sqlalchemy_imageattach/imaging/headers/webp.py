"""Headers of WebP.

`RFC 9649 <https://www.rfc-editor.org/rfc/rfc9649>`_, `RFC 6386 <https://www.rfc-editor.org/rfc/rfc6386>`_ (lossy
pictures)
"""

from __future__ import annotations

from . import colors
from .header import Header, budget, check_metadata, damaged, truncated, unpack
from .tiff import read_orientation

__all__ = ("HAS_EXIF", "HAS_XMP", "chunks", "read")

#: What the first chunk of an extended file says that there is; what it does not name is not read.
HAS_ANIMATION, HAS_XMP, HAS_EXIF, HAS_PROFILE = 0x02, 0x04, 0x08, 0x20


def chunks(data: memoryview) -> list[tuple[bytes, int, int]]:
    """List the chunks, as (type, start, end); the payload is 8 after the start."""
    (size,) = unpack("<I", data, 4)
    if size + 8 > len(data):
        raise truncated(f"the WebP declares {size + 8} bytes, and has {len(data)}")
    listed: list[tuple[bytes, int, int]] = []
    at = 12
    for _ in budget(data):
        if at + 8 > size + 8:
            return listed
        name, length = unpack("<4sI", data, at)
        end = at + 8 + length
        if end > size + 8:
            raise truncated(f"the WebP declares a chunk up to byte {end}, and has {size + 8}")
        listed.append((name, at, end))
        at = end + (length & 1)
    raise damaged("the WebP has too many chunks")


_PICTURES = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANMF"))


def read(data: memoryview) -> Header:
    listed = chunks(data)
    if not listed:
        raise damaged("the WebP has no picture")
    name, start, _ = listed[0]
    if name == b"VP8X":
        flags, *sides = unpack("<B3xHBHB", data, start + 8)
        width, height = sides[0] + (sides[1] << 16) + 1, sides[2] + (sides[3] << 16) + 1
    elif name in (b"VP8 ", b"VP8L"):
        flags = 0
        width, height = _bitstream_size(data, name, start)
    else:
        raise damaged(f"the WebP begins with a chunk of type {name!r}")
    names = [name for name, _, _ in listed]
    frames = names.count(b"ANMF") if flags & HAS_ANIMATION else 1
    if frames == 0 or not (flags & HAS_ANIMATION or b"VP8 " in names or b"VP8L" in names):
        raise damaged("the WebP has no picture")
    check_metadata(sum(end - start for name, start, end in listed if name not in _PICTURES))
    first = {name: data[start + 8 : end] for name, start, end in reversed(listed)}
    orientation, profile = 1, None
    if flags & HAS_EXIF and b"EXIF" in first:
        exif = first[b"EXIF"]
        # Some writers keep the introduction that JPEG wants.
        orientation = read_orientation(exif[6:] if bytes(exif[:6]) == b"Exif\0\0" else exif)
    # Of animations, browsers leave the profile aside.
    if flags & HAS_PROFILE and not flags & HAS_ANIMATION and b"ICCP" in first:
        profile = colors.of_profile(bytes(first[b"ICCP"]), 3)
    picture = _first_picture(first)
    return Header(
        "image/webp",
        width,
        height,
        frames,
        orientation,
        profile=profile,
        # Nothing is converted that the flags don't name, and libvips does not ask them.
        unusual=bool(b"ICCP" in first and not flags & HAS_PROFILE) or not colors.is_simple(profile),
        quality=_quality(picture[1]) if picture[0] == b"VP8 " else None,
        lossless=picture[0] == b"VP8L",
        tables=_tables(data, listed, width * height),
        plays=unpack("<4xH", first[b"ANIM"])[0] if flags & HAS_ANIMATION and b"ANIM" in first else 0,
    )


# What is coded without loss: in parts of at least 16 pixels, each of which may have codes of its own.  Those take 20
# bits of the file at least, and 5,800 bytes of memory; there are 65,536 of them at most.
_LOSSLESS = frozenset((b"VP8L", b"ALPH", b"ANMF"))
_PART, _BITS_OF_CODES, _BYTES_OF_CODES, _MAX_CODES = 16, 20, 5_800, 65_536


def _tables(data: memoryview, listed: list[tuple[bytes, int, int]], pixels: int) -> int:
    """Tell how many bytes the tables of codes take at most, of one picture at a time."""
    longest = 0
    for name, start, end in listed:
        # A frame begins with its place and its time.
        if name in _LOSSLESS and not (name == b"ANMF" and bytes(data[start + 24 : start + 28]) == b"VP8 "):
            longest = max(longest, end - start)
    return min(_MAX_CODES, pixels // _PART, 8 * longest // _BITS_OF_CODES) * _BYTES_OF_CODES


def _bitstream_size(data: memoryview, name: bytes, start: int) -> tuple[int, int]:
    if name == b"VP8L":
        signature, bits = unpack("<BI", data, start + 8)
        if signature != 0x2F:
            raise damaged("the WebP has no lossless picture where it says so")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    code, width, height = unpack("<3sHH", data, start + 11)
    if code != b"\x9d\x01\x2a":
        raise damaged("the WebP has no key frame where it says so")
    return width & 0x3FFF, height & 0x3FFF


def _first_picture(first: dict[bytes, memoryview]) -> tuple[bytes, memoryview]:
    """Find the type and the payload of the first picture, in the first frame of an animation."""
    if b"ANMF" in first:
        frame, at = first[b"ANMF"], 16
        while at + 8 <= len(frame):
            name, length = unpack("<4sI", frame, at)
            if name in (b"VP8 ", b"VP8L"):
                return name, frame[at + 8 : at + 8 + length]
            at += 8 + length + (length & 1)
    for name in (b"VP8 ", b"VP8L"):
        if name in first:
            return name, first[name]
    return b"", memoryview(b"")


def _quality(picture: memoryview) -> int | None:
    """Estimate the quality that an encoder was asked for: the quantiser's index is its inverse, see libwebp."""
    try:
        share = 1 - _quantizer(_Bits(picture[10:])) / 127
    except IndexError:
        return None
    linear = share**3
    return max(1, min(100, round(100 * (linear * 1.5 if linear < 0.5 else (linear + 1) / 2))))


def _quantizer(bits: _Bits) -> int:
    """Read a lossy header up to the index of the quantiser: RFC 6386, 9.2 to 9.6."""
    bits.read(2)
    segments: list[int] = []
    is_absolute = False
    if bits.read(1):
        updates_map, updates_data = bits.read(1), bits.read(1)
        if updates_data:
            is_absolute = bool(bits.read(1))
            segments = [bits.signed(7) for _ in range(4)]
            for _ in range(4):
                bits.signed(6)
        if updates_map:
            for _ in range(3):
                if bits.read(1):
                    bits.read(8)
    bits.read(1 + 6 + 3)
    if bits.read(1) and bits.read(1):
        for _ in range(8):
            bits.signed(6)
    bits.read(2)
    index = bits.read(7)
    if segments:
        # Encoders spread it over parts of the picture.
        index = sum(segments) // 4 + (0 if is_absolute else index)
    return max(0, min(127, index))


class _Bits:
    """Bits of equal probability, as a lossy picture codes them: RFC 6386, 7.3."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 2
        self._value = data[0] << 8 | data[1]
        self._range = 255
        self._shift = 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._bit()
        return value

    def signed(self, count: int) -> int:
        if not self.read(1):
            return 0
        value = self.read(count)
        return -value if self.read(1) else value

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) >> 1)
        bit = int(self._value >= split << 8)
        if bit:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value <<= 1
            self._range <<= 1
            self._shift += 1
            if self._shift == 8:
                self._shift = 0
                self._value |= self._data[self._at]
                self._at += 1
        return bit
