"""Bytes on their way to a cloud and back, a piece at a time.

It must always be true that

- what is held in memory does not grow with the file;
- an error that the caller's own file raised is not taken for one of the cloud.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import IO, Any

from ...file import BLOCK_SIZE

__all__ = ("Body", "Parts", "read_up_to")


def read_up_to(file: IO[bytes], size: int) -> bytes:
    """Read from a file that may return less than it is asked for.

    :param file: a readable binary file
    :param size: how many bytes to read, at the most
    :returns: fewer bytes than that only at the end of the file
    :raises TypeError: when the file was opened in text mode

    >>> read_up_to(io.BytesIO(b"bytes"), 4)
    b'byte'
    """
    blocks: list[bytes] = []
    wanted = size
    while wanted > 0 and (block := file.read(wanted)):
        blocks.append(block)
        wanted -= len(block)
    return b"".join(blocks)


class Parts(Iterator[bytes]):
    """The bytes of a file of which some were read already; it knows afterwards how that went.

    :param start: what was read, not empty
    :param rest: where the rest is

    >>> list(Parts(b"start", io.BytesIO(b"rest")))
    [b'start', b'rest']
    """

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start, self._rest = start, rest
        #: How many bytes were read.
        self.size = 0
        #: Whether all of them were.
        self.is_complete = False
        #: What the file raised.
        self.error: BaseException | None = None

    def __next__(self) -> bytes:
        block, self._start = self._start, b""
        if not block:
            try:
                block = self._rest.read(BLOCK_SIZE)
            except BaseException as error:
                self.error = error
                raise
        if not block:
            self.is_complete = True
            raise StopIteration
        self.size += len(block)
        return block


class Body(io.RawIOBase):
    """A file that is fetched as it is read.

    :param fetch: returns the next piece, or nothing at the end

    >>> pieces = iter([b"one\\n", b"two\\n", b""])
    >>> io.BufferedReader(Body(lambda: next(pieces))).readlines()
    [b'one\\n', b'two\\n']
    """

    def __init__(self, fetch: Callable[[], bytes]) -> None:
        self._fetch: Callable[[], bytes] | None = fetch
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._piece and self._fetch is not None:
            self._piece = memoryview(self._fetch())
        taken = min(len(buffer), len(self._piece))
        buffer[:taken], self._piece = self._piece[:taken], self._piece[taken:]
        return taken

    def close(self) -> None:
        self._fetch = None  # lets the connection go
        super().close()
