"""Headers of JPEG.

`ITU T.81, B.1 <https://www.w3.org/Graphics/JPEG/itu-t81.pdf>`_
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import colors
from .header import HELD_BYTES, Header, budget, check_metadata, damaged, truncated, unpack
from .tiff import read_orientation

__all__ = ("APP1", "EOI", "SCAN", "SOS", "essential", "read", "segments")

# Markers without a length: TEM, the restart markers and SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
# Start of frame; C4, C8 and CC are other things.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
#: Entropy-coded data, which has no marker.
SCAN = 0x00
EOI, SOS, _DQT, _COM, _APP0, APP1, _APP2, _APP14 = 0xD9, 0xDA, 0xDB, 0xFE, 0xE0, 0xE1, 0xE2, 0xEE

# Decoders look for the next marker as long as it takes: some writers leave rubbish between segments.  A marker may have
# any number of fill bytes before it.
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
# In entropy-coded data every FF is followed by 00 or by a restart marker, so these are what they seem to be.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END_OF_IMAGE = re.compile(rb"\xff\xd9")
_START_OF_SCAN = re.compile(rb"\xff\xda\x00")

_PROFILE = b"ICC_PROFILE\0"


def segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield the segments as (marker, start, end) of the payload, and entropy-coded data as :data:`SCAN`."""
    at = 2
    for _ in budget(data):
        if not (found := _MARKER.search(data, at)):
            raise truncated(f"there is no marker after byte {at} of the JPEG")
        at = found.end()
        marker = data[at - 1]
        if marker in _BARE:
            continue
        if marker == EOI:
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
        if marker == SOS:
            if not (found := _END_OF_SCAN.search(data, at)):
                raise truncated("the JPEG has no end marker")
            yield SCAN, at, found.start()
            at = found.start()
    raise damaged("the JPEG has too many segments")


def read(data: memoryview) -> Header:
    width = height = scans = metadata = 0
    orientation, weight = 0, 1.0
    components, frame = data[:0], None
    pieces: list[memoryview] = []
    luminance = data[:0]
    for marker, start, end in segments(data):
        metadata += end - start
        if marker in _SOF:
            if frame is not None:
                raise damaged("the JPEG has two frame headers")
            frame = marker
            if marker in _LOSSLESS or data[start] != 8:
                raise damaged("the JPEG is lossless or of more than 8 bits, as medical devices write it")
            height, width = unpack(">HH", data, start + 1)
            components = data[start + 5 : end]
        elif marker == APP1 and not orientation and bytes(data[start : start + 5]) == b"Exif\0":
            orientation = read_orientation(data[start + 6 : end])
        elif marker == _APP2 and bytes(data[start : start + 12]) == _PROFILE and end - start > 14:
            pieces.append(data[start + 12 : end])
        elif marker == _DQT and not luminance and end - start >= 65 and data[start] == 0:
            luminance = data[start + 1 : start + 65]
        elif marker == SOS:
            scans = start
            break
    if frame is None or not scans:
        raise damaged("the JPEG has no picture")
    check_metadata(metadata)
    if frame in _PROGRESSIVE or data[scans] < components[0]:
        # The picture is in several scans: all coefficients are held, and each scan goes over them again; twenty take as
        # long as decoding does.
        weight = max(_weight(components), sum(1 for _ in _START_OF_SCAN.finditer(data, scans - 4)) / 20)
    # Cameras append previews and videos after the end marker, so it need not be last; but mostly it is.
    if bytes(data[-2:]) != b"\xff\xd9" and not _END_OF_IMAGE.search(data, scans):
        raise truncated("the JPEG has no end marker")
    channels = components[0]
    profile = colors.of_profile(_joined(pieces), channels)
    return Header(
        "image/jpeg",
        width,
        height,
        orientation=orientation or 1,
        weight=weight,
        profile=profile,
        unusual=channels not in (1, 3)
        or (channels == 1 and profile is not None)
        or not colors.is_simple(profile)
        or any(piece[1] != len(pieces) for piece in pieces),
        quality=_quality(luminance),
    )


def _joined(pieces: list[memoryview]) -> bytes:
    """Join the pieces of a profile, each of which begins with its number and their count, unless one is missing."""
    numbered = {piece[0]: piece[2:] for piece in reversed(pieces)}
    if sorted(numbered) != list(range(1, pieces[0][1] + 1 if pieces else 1)):
        return b""
    return b"".join(numbered[number] for number in sorted(numbered))


def _weight(components: memoryview) -> float:
    """Weigh a JPEG all of whose coefficients are held, two bytes each, at each component's own rate."""
    count = components[0]
    samplings = [components[2 + 3 * index] for index in range(count)]
    areas = [(sampling >> 4) * (sampling & 15) for sampling in samplings]
    if not areas or 0 in areas:
        raise damaged("the JPEG has a component without samples")
    return max(1.0, 2 * sum(areas) / max(areas) / HELD_BYTES)


# The sum of the table for luminance at a quality of 50: T.81, K.1.
_SUM_AT_50 = 3688


def _quality(luminance: memoryview) -> int | None:
    """Estimate the quality by which an encoder scaled its tables, 1 to 100."""
    if not luminance:
        return None
    percent = 100 * sum(luminance) / _SUM_AT_50
    return max(1, min(100, round((200 - percent) / 2 if percent <= 100 else 5000 / percent)))


def essential(data: memoryview, *, partial: bool = False) -> bytes:
    """Copy what decoders need, so that none stumbles over the rest: all but metadata, and rubbish between segments.

    :param data: the whole file
    :param partial: whether a decoder is to stop where the picture does, and to make no end up; in several scans, all of
        it is there from the first on
    """
    pieces: list[memoryview | bytes] = [b"\xff\xd8"]
    is_progressive = False
    for marker, start, end in segments(data):
        is_progressive |= marker in _PROGRESSIVE
        if marker == SCAN:
            pieces.append(data[start:end])
        elif marker == EOI:
            pieces.append(b"" if partial and not is_progressive else b"\xff\xd9")
        elif marker in (_APP0, _APP14) or not (_APP0 <= marker <= 0xEF or marker == _COM):
            pieces += (bytes((0xFF, marker)), data[start - 2 : end])
    return b"".join(pieces)
