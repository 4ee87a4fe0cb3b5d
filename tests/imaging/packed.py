"""Zeros, many in a few bytes."""

from __future__ import annotations

import functools
import struct
import zlib

_MEBIBYTE = 1 << 20


@functools.cache
def _deflated_mebibyte() -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(bytes(_MEBIBYTE)) + packer.flush(zlib.Z_FULL_FLUSH)


def zeros(count: int) -> bytes:
    """So many zeros, as zlib packs them; all but the last part is a copy of one that was packed once."""
    packer = zlib.compressobj(9, wbits=-15)
    rest = packer.compress(bytes(count % _MEBIBYTE)) + packer.flush()
    check = struct.pack(">HH", count % 65_521, 1)
    return b"\x78\xda" + _deflated_mebibyte() * (count // _MEBIBYTE) + rest + check
