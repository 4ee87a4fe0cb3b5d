"""The size of the frames in an AV1 bitstream: what a decoder allocates, whatever the boxes around it say.

`AV1, 5.3 to 5.5 <https://aomediacodec.github.io/av1-spec/>`_
"""

from __future__ import annotations

from collections.abc import Iterator

from .header import Budget, damaged, truncated

__all__ = ("frame_sizes",)

_SEQUENCE_HEADER = 1
# The header of a frame, by itself or with its pixels.
_FRAMES = frozenset((3, 6))


class _Bits:
    def __init__(self, data: memoryview) -> None:
        # A sequence header is far shorter; what is missing reads as zero, and is found out by its size.
        self._value = int.from_bytes(bytes(data[:256]).ljust(256, b"\0"))
        self._left = 256 * 8

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise truncated("an AV1 sequence header ends too soon")
        return self._value >> self._left & ((1 << count) - 1)


def frame_sizes(data: memoryview, units: Budget, frames: Budget) -> Iterator[tuple[int, int]]:
    """Yield the largest width and height that each sequence header in a bitstream allows.

    :param data: the bitstream of one sample
    :param units: has a part for each unit
    :param frames: has a part for each frame, be it shown or not
    """
    at = 0
    while at < len(data):
        units.spend()
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size, at = _leb128(data, at)
        if at + size > len(data):
            raise truncated("an AV1 bitstream ends within a unit")
        kind = header >> 3 & 15
        if kind in _FRAMES:
            frames.spend()
        elif kind == _SEQUENCE_HEADER:
            yield _sequence_size(_Bits(data[at : at + size]))
        at += size


def _leb128(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise damaged("an AV1 bitstream has an endless length")


def _sequence_size(bits: _Bits) -> tuple[int, int]:
    """Read a sequence header up to the size: AV1, 5.5.1."""
    bits.read(3 + 1)
    if bits.read(1):
        bits.read(5)
    else:
        delay_length = 0
        if bits.read(1):
            bits.read(32 + 32)
            if bits.read(1):
                _skip_uvlc(bits)
            if bits.read(1):
                delay_length = bits.read(5) + 1
                bits.read(32 + 5 + 5)
        initial_delays = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delay_length and bits.read(1):
                bits.read(2 * delay_length + 1)
            if initial_delays and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _skip_uvlc(bits: _Bits) -> None:
    zeros = 0
    while not bits.read(1):
        zeros += 1
    if zeros < 32:
        bits.read(zeros)
