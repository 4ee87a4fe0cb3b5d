"""What a process that has images decoded and its workers say to each other: a length, then JSON.

The first byte that a worker sends says that it is ready.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import socket
import struct
from typing import Any

from ...headers.header import Header

__all__ = ("LENGTH", "MEGABYTE", "READY", "packed", "receive", "unpacked")

READY = b"!"
LENGTH = struct.Struct("<I")
MEGABYTE = 1024 * 1024


def receive(connection: socket.socket, size: int) -> bytes:
    parts = io.BytesIO()
    while parts.tell() < size:
        part = connection.recv(min(size - parts.tell(), MEGABYTE))
        if not part:
            raise EOFError
        parts.write(part)
    return parts.getvalue()


def packed(header: Header) -> dict[str, Any]:
    """Make of a header what JSON has room for."""
    fields = dataclasses.asdict(header)
    return fields | {"profile": base64.b64encode(header.profile).decode() if header.profile else None}


def unpacked(fields: dict[str, Any]) -> Header:
    """Make the header again that was :func:`packed`."""
    profile = base64.b64decode(fields["profile"]) if fields["profile"] else None
    return Header(**{**fields, "profile": profile})
