"""The bytes of a caller's file as one :class:`memoryview`, without reading them where that can be avoided.

A file on disk is mapped, so that a hundred megabytes cost what is looked at; a :class:`io.BytesIO` lends its
bytes.  What must always be true:

- The caller's file is the caller's: it is never closed, and its position is 0 when it is given back.
- A spooled file that is still in memory stays there: to ask it for a descriptor would write it to disk.
- Nothing is unmapped by hand: an engine, or the traceback of its error, may still hold the view, and it goes with the
  last of them.
- A descriptor is only believed where the file surely is what it describes: that of a :class:`gzip.GzipFile` is of the
  compressed file.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO

__all__ = ("ViewReader", "opened")


@contextlib.contextmanager
def opened(file: IO[bytes], check_size: Callable[[int], None] | None = None) -> Iterator[memoryview]:
    """Lend the bytes of a file, from its beginning.

    :param file: readable and seekable, binary
    :param check_size: is called with the number of bytes before any of them is read, and raises if they are too many
    :raises TypeError: if the file is not as it has to be
    """
    for method in ("read", "seek", "tell"):
        if not callable(getattr(file, method, None)):
            raise TypeError(
                f"expected a readable and seekable binary file, got {file!r}, which has no method {method}()"
            )
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    try:
        if check_size is not None:
            check_size(size)
        if (descriptor := _descriptor(file)) is not None:
            yield memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        elif isinstance(file, io.BytesIO):
            # Its value is no copy but the very bytes, and the file can still be closed, unlike with its buffer.
            yield memoryview(file.getvalue())
        else:
            data = file.read()
            if not isinstance(data, bytes):
                raise TypeError(f"expected a binary file, got {file!r}, which reads {type(data).__name__}")
            yield memoryview(data)
    finally:
        file.seek(0)


def _descriptor(file: IO[bytes]) -> int | None:
    """Tell the descriptor of a file on disk that is not empty, for an empty one cannot be mapped."""
    if isinstance(file, SpooledTemporaryFile):
        # It has a name, of whatever kind, when it was rolled over to disk.
        if file.name is None:
            return None
    elif not isinstance(getattr(file, "raw", file), io.FileIO):
        return None
    file.flush()
    status = os.fstat(file.fileno())
    return file.fileno() if stat.S_ISREG(status.st_mode) and status.st_size else None


class ViewReader(io.RawIOBase):
    """A file over a :class:`memoryview`, without a copy of it.

    >>> ViewReader(memoryview(b"abc")).read()
    b'abc'
    """

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._view[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = max(0, offset + (0, self._at, len(self._view))[whence])
        return self._at

    def tell(self) -> int:
        return self._at
