"""What a process that has images decoded and its workers say to each other: a length, then JSON.

The first byte that a worker sends says that it is ready.
"""

from __future__ import annotations

import io
import socket
import struct

__all__ = ("LENGTH", "MEGABYTE", "READY", "receive")

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
