"""File objects around other file objects.

A store may hand out anything that can be read.  These proxies give such a file what Python's own files have, a context
manager and an iterator over lines, and :func:`spooled` gives it random access.  It must always be true that

- a proxy adds nothing between the caller and the bytes: no buffer, no copy;
- only :func:`spooled` copies, and past :data:`SPOOL_SIZE` it copies to disk, never into memory;
- a :class:`SealedFile` never changes, so that a store may give it a name instead of writing its bytes a second time;
- a file that :func:`write_aside` writes is whole, or is what it was.
"""

# The functions of `os`, since pathlib objects would be a third of the cost of storing a small file.
# ruff: noqa: PTH105, PTH107, PTH112, PTH118, PTH120

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self, cast

__all__ = (
    "BLOCK_SIZE",
    "DEBRIS",
    "SPOOL_SIZE",
    "FileProxy",
    "ReusableFileProxy",
    "SealedFile",
    "SeekableFileProxy",
    "bytes_left",
    "create_file",
    "debris_name",
    "is_on_disk",
    "is_sealed",
    "is_seekable",
    "link_file",
    "seekable",
    "send",
    "spooled",
    "write_aside",
)

#: A copy of a file is kept in memory up to this size, in bytes; a larger one goes to a temporary file.
SPOOL_SIZE = 1 << 20

#: How many bytes of a file are read and written at once.
BLOCK_SIZE = 1 << 18

#: What :func:`write_aside` calls a file until it is whole; an interrupted process leaves files of such names.
DEBRIS = re.compile(r"\.[0-9a-f]{16}\.tmp")


def spooled(file: IO[bytes]) -> IO[bytes]:
    """Copy the rest of a file into a new one that is seekable.

    :param file: a readable binary file; it is left open, and at its end
    :returns: a seekable file at position 0, in memory up to :data:`SPOOL_SIZE` and on disk past it
    :raises OSError: when ``file`` cannot be read, or the disk is full

    >>> import io
    >>> with spooled(io.BytesIO(b"bytes")) as copy:
    ...     copy.read()
    b'bytes'
    """
    copy = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=SPOOL_SIZE))  # noqa: SIM115  # the caller's to close
    try:
        shutil.copyfileobj(file, copy, BLOCK_SIZE)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def is_seekable(file: IO[bytes]) -> bool:
    """Tell whether a file can be read again from its beginning.

    :param file: any file
    :returns: whether it has ``seek()`` and ``tell()``, and they work

    >>> import io
    >>> is_seekable(io.BytesIO())
    True
    """
    # Files of the io module have seek() even when it only raises: pipes, sockets, HTTP responses.
    if not (callable(getattr(file, "seek", None)) and callable(getattr(file, "tell", None))):
        return False
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if callable(seekable) else True


def seekable(file: IO[bytes]) -> IO[bytes]:
    """Give a file that can be read again from its beginning.

    :param file: a readable binary file
    :returns: the file itself, or a copy of what is left of it, which the caller closes as well
    :raises OSError: when it cannot be read, or the disk is full

    >>> import io
    >>> file = io.BytesIO()
    >>> seekable(file) is file
    True
    """
    return file if is_seekable(file) else spooled(file)


def send(file: IO[bytes], descriptor: int) -> int:
    """Write the rest of a file to a descriptor; from one file on disk to another, within the kernel.

    :param file: a readable binary file; it is left open, and at its end
    :param descriptor: an open file's
    :returns: how many bytes that were
    :raises OSError: when one cannot be read or the other not written
    :raises TypeError: when ``file`` gives text

    >>> import io, os
    >>> reader, writer = os.pipe()
    >>> send(io.BytesIO(b"bytes"), writer), os.read(reader, 9)
    (5, b'bytes')
    """
    sent = _send_within_kernel(file, descriptor) if is_on_disk(file) else 0
    while block := memoryview(file.read(BLOCK_SIZE)):
        sent += len(block)
        while block:
            block = block[os.write(descriptor, block) :]
    return sent


def write_aside(
    path: str, write: Callable[[int], object], *, sync: bool = True, create: Callable[[str], int] | None = None
) -> None:
    """Write a file under another name, a :data:`DEBRIS` one in the same folder, and rename it when it is whole.

    :param path: the file, which is replaced if it is there
    :param write: writes to a descriptor
    :param sync: whether the bytes are on the disk before the file has its name
    :param create: opens the new file; by default :func:`create_file`
    :raises OSError: when the file cannot be written

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_aside(f"{folder}/file", lambda descriptor: os.write(descriptor, b"bytes"))
    ...     os.listdir(folder)
    ['file']
    """
    aside = os.path.join(os.path.dirname(path), debris_name())
    descriptor = (create or create_file)(aside)
    try:
        try:
            write(descriptor)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(aside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(aside)
        raise


def debris_name() -> str:
    """Make up a name for a file that is not whole yet.

    :returns: a name that :data:`DEBRIS` matches

    >>> DEBRIS.fullmatch(debris_name()) is not None
    True
    """
    return f".{os.urandom(8).hex()}.tmp"


def create_file(path: str) -> int:
    """Open a new file for writing.

    :param path: the file, which must not be there
    :returns: a descriptor
    :raises OSError: when it cannot be made
    """
    # 0o666 less the umask, as for any other file, so that a web server of another user may read it.
    return os.open(path, _CREATE_FLAGS, 0o666)


class SealedFile(io.FileIO):
    """A temporary file that has all of its bytes, opened for reading.

    :param path: the file
    :param names: how many names it has on the disk: none, or the one of a temporary file
    """

    def __init__(self, path: str, names: int) -> None:
        super().__init__(path, "rb")
        self.names = names


def is_sealed(file: IO[bytes]) -> bool:
    """Whether a file may be given a name, instead of being copied.

    What a store has already may not: each file of a store is damaged and mended alone.

    :param file: any file
    :returns: true for a :class:`SealedFile` that no store has, and of which nothing was read
    """
    raw = getattr(file, "raw", None)
    if type(raw) is not SealedFile or os.link not in os.supports_dir_fd:  # on Windows
        return False
    return file.tell() == 0 and os.fstat(raw.fileno()).st_nlink == raw.names


def link_file(file: IO[bytes], path: str) -> int:
    """Give a sealed file another name, by which it stays.

    :param file: a file for which :func:`is_sealed` is true
    :param path: the name, which must not be there
    :returns: a descriptor of it, for reading
    :raises FileNotFoundError: when the folder of ``path`` is not there
    :raises OSError: when the bytes have to be copied: it is on another file system, or that knows no such thing
    """
    try:
        # What has no name is reached by its descriptor. With src_dir_fd, Python follows that link.
        os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=file.fileno())
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(path)):
            raise OSError(errno.EXDEV, "it had a name before, and may have no other", path) from None
        raise
    return os.dup(file.fileno())


def is_on_disk(file: IO[bytes]) -> bool:
    """Whether a file is just what its descriptor is, and not a pipe, or, say, the uncompressed content of it.

    :param file: any file
    :returns: true for what ``open(path, "rb")`` returns
    """
    if not (type(file) is io.BufferedReader and type(file.raw) in (io.FileIO, SealedFile)):
        return False
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def bytes_left(file: IO[bytes]) -> int | None:
    """Tell how many bytes a file has from its position to its end, without reading any.

    :param file: any file
    :returns: the number; ``None`` for what is neither on disk nor in memory

    >>> import io
    >>> bytes_left(io.BytesIO(b"bytes"))
    5
    """
    if is_on_disk(file):
        return os.fstat(file.fileno()).st_size - file.tell()
    return file.getbuffer().nbytes - file.tell() if type(file) is io.BytesIO else None


def _send_within_kernel(file: IO[bytes], descriptor: int) -> int:
    begin = at = file.tell()
    # The first shares the blocks of the disk where the file system can.
    for send_some in (_copy_range, _send_some):
        try:
            while count := send_some(file.fileno(), descriptor, at):
                at += count
        except (AttributeError, OSError) as error:
            # Not on this system, or not between these two.
            if at != begin or (isinstance(error, OSError) and error.errno not in _CANNOT_SEND):
                raise
    file.seek(at)
    return at - begin


def _copy_range(source: int, destination: int, offset: int) -> int:
    return os.copy_file_range(source, destination, 1 << 30, offset)


def _send_some(source: int, destination: int, offset: int) -> int:
    return os.sendfile(destination, source, offset, 1 << 30)


_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_CANNOT_SEND = {errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK, errno.EOPNOTSUPP, errno.EXDEV}


class FileProxy(Iterator[bytes]):
    """The complete proxy for a file-like object, with the context manager and the iterator that it may lack.

    :param wrapped: the file to wrap; it needs ``read()``, and ``readline()`` for lines

    >>> import io
    >>> with FileProxy(io.BytesIO(b"one\\ntwo\\n")) as file:
    ...     list(file)
    [b'one\\n', b'two\\n']
    """

    #: The file that is wrapped.
    wrapped: Any

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def next(self) -> bytes:
        """Return the next line; the same as :func:`next`.

        :returns: a line with its newline character
        :raises StopIteration: at the end of the file
        """
        return self.__next__()

    def xreadlines(self) -> Iterator[bytes]:
        """Iterate over the lines; the same as :func:`iter`, which is to be preferred.

        :returns: an iterator over the lines
        """
        return iter(self)

    def read(self, size: int = -1) -> bytes:
        """Read bytes; fewer than asked for only at the end of the file.

        :param size: how many bytes; negative for all that are left
        :returns: the bytes, empty at the end of the file
        """
        return cast(bytes, self.wrapped.read(size))

    def readline(self, size: int | None = None) -> bytes:
        """Read one line, with its newline character.

        :param size: if present and not negative, the most bytes to read: the line may then be incomplete
        :returns: the line, empty at the end of the file
        """
        return cast(bytes, self.wrapped.readline() if size is None else self.wrapped.readline(size))

    def readlines(self, sizehint: int | None = None) -> list[bytes]:
        """Read all lines that are left.

        :param sizehint: if present, stop after the line that reaches this number of bytes
        :returns: the lines
        """
        lines, size = [], 0
        for line in self:
            lines.append(line)
            size += len(line)
            if sizehint is not None and 0 < sizehint <= size:
                break
        return lines

    def close(self) -> None:
        """Close the wrapped file, if it has something to close."""
        close = getattr(self.wrapped, "close", None)
        if close is not None:
            close()


class SeekableFileProxy(FileProxy):
    """A :class:`FileProxy` for a file that can also be positioned."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position.

        :param offset: bytes, counted from where ``whence`` says
        :param whence: :data:`os.SEEK_SET`, :data:`os.SEEK_CUR` or :data:`os.SEEK_END`
        :returns: the new position
        """
        position = self.wrapped.seek(offset, whence)
        # Files that are not from the io module may return nothing.
        return self.tell() if position is None else cast(int, position)

    def tell(self) -> int:
        """Tell the position.

        :returns: bytes from the start
        """
        return cast(int, self.wrapped.tell())

    def seekable(self) -> bool:
        """Tell that :meth:`seek` works.

        :returns: always true
        """
        return True


class ReusableFileProxy(SeekableFileProxy):
    """A file that a ``with`` block reads from its beginning, and leaves open at the position that it had before.

    >>> import io
    >>> file = io.BytesIO(b"again")
    >>> with ReusableFileProxy(file) as once:
    ...     once.read()
    b'again'
    >>> file.read()
    b'again'
    """

    #: The position when the block was entered, in bytes.
    initial_offset: int

    def __enter__(self) -> Self:
        self.initial_offset = self.tell()
        self.seek(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seek(self.initial_offset)
