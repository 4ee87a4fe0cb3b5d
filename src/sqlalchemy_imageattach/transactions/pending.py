"""The bytes of an image that are not in a store yet, and the store that they are for.

An :class:`PendingFile` accompanies an :class:`~sqlalchemy_imageattach.entity.Image` from the call that attached it.  It
must always be true that

- the caller's file is the caller's: it is read once, during the call, and neither kept nor closed;
- the bytes stay until the root transaction committed, so that a flush that failed can be tried again;
- no more than :data:`SPOOL_SIZE` bytes of one image are in memory because of us, and no more than
  :data:`MEMORY_SIZE` of all that wait in this process: the others are on disk;
- the store is a store, never a proxy: it is resolved when the image is attached.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import tempfile
import threading
import weakref
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, ClassVar, cast

from sqlalchemy.orm import Session, SessionTransaction

from ..exc import InvalidImageError
from ..file import SPOOL_SIZE, SealedFile, create_file, debris_name, is_on_disk, send
from ..store import Store
from .info_keys import LET_GO_KEY
from .rows.place import ImageSetRef
from .spools import spool_folder

__all__ = ("ATTRIBUTE", "PendingFile", "attach", "attach_copy", "collect_let_go", "pending_file_of", "watch_let_go")

#: Under which name an image has its attachment.
ATTRIBUTE = "_attachment"
#: How many bytes are copied at once.
CHUNK_SIZE = 256 * 1024
#: How many bytes of images that wait for a commit are in memory, of all sessions of the process.
MEMORY_SIZE = 64 << 20


#: By the revision of the image: of what an image is, ``Session.merge()`` copies its columns alone.
_attachments: weakref.WeakValueDictionary[str, PendingFile] = weakref.WeakValueDictionary()


class PendingFile:
    """The bytes of one image, until they are committed, and its store.

    :param store: the store that the bytes are for
    :param content: the bytes, or a file of ours that has them; nothing where the store has them already
    """

    __slots__ = ("__weakref__", "_content", "has_been_put", "place", "store")

    def __init__(self, store: Store, content: bytes | _TemporaryFile | None) -> None:
        self._content: bytes | _TemporaryFile | None = None
        if isinstance(content, bytes) and not _memory.take(len(content)):
            spool = _TemporaryFile(store)
            spool.file.write(content)
            spool.seal()
            content = spool
        self.store = store
        #: Whether a store has got these bytes before, under the revision that the image has now.
        self.has_been_put = False
        #: The image set that it was attached to.
        self.place: ImageSetRef | None = None
        self._content = content

    @classmethod
    def of_blob(cls, store: Store, blob: bytes, max_bytes: int) -> PendingFile:
        """Take a byte string as it is.

        :param store: the store that the bytes are for
        :param blob: the bytes
        :param max_bytes: how many bytes are accepted
        :raises InvalidImageError: when there are more
        """
        if len(blob) > max_bytes:
            raise _too_many_bytes(max_bytes)
        return cls(store, blob)

    @classmethod
    def of_file(cls, store: Store, file: IO[bytes], max_bytes: int) -> PendingFile:
        """Read a file to its end.

        :param store: the store that the bytes are for
        :param file: a readable file; it is read from where it stands, and stays open
        :param max_bytes: how many bytes are accepted; one more is not read
        :raises InvalidImageError: when there are more
        :raises TypeError: when the file gives text
        """
        expected = os.fstat(file.fileno()).st_size - file.tell() if is_on_disk(file) else 0
        if expected > SPOOL_SIZE:
            return cls._of_file_on_disk(store, file, max_bytes)
        # Of a file on disk, that is all of it.
        chunk = file.read(min(max(expected, CHUNK_SIZE), max_bytes + 1))
        if not isinstance(chunk, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(chunk).__name__
            raise TypeError(f"expected a file opened in binary mode, whose read() gives bytes, not {kind}")
        chunks: list[bytes] = []
        size, spool = 0, None
        while chunk:
            size += len(chunk)
            if size > max_bytes:
                raise _too_many_bytes(max_bytes)
            if spool is None and size > SPOOL_SIZE:
                spool = _TemporaryFile(store)
                spool.file.writelines(chunks)
                chunks.clear()
            if spool is None:
                chunks.append(bytes(chunk))
            else:
                spool.file.write(chunk)
            chunk = file.read(CHUNK_SIZE)
        if spool is None:
            return cls(store, b"".join(chunks))
        spool.seal()
        return cls(store, spool)

    @classmethod
    def _of_file_on_disk(cls, store: Store, file: IO[bytes], max_bytes: int) -> PendingFile:
        if os.fstat(file.fileno()).st_size - file.tell() > max_bytes:
            raise _too_many_bytes(max_bytes)
        spool = _TemporaryFile(store)
        send(file, spool.file.fileno())
        spool.seal()
        return cls(store, spool)

    @property
    def is_pending(self) -> bool:
        """Whether the bytes are still here."""
        return self._content is not None

    def open(self) -> IO[bytes]:
        """Open the bytes for reading, with a position of their own.

        :returns: a seekable file
        :raises ValueError: when the bytes were released
        """
        if self._content is None:
            raise ValueError("the bytes of this image are in its store, and no longer here")
        return io.BytesIO(self._content) if isinstance(self._content, bytes) else self._content.open()

    def release(self) -> None:
        """Let the bytes go: the store has them, and the transaction committed."""
        content, self._content, self.place = self._content, None, None
        if isinstance(content, bytes):
            _memory.give(len(content))

    def __del__(self) -> None:
        self.release()


class _Memory:
    """How many of :data:`MEMORY_SIZE` bytes are left to this process."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._left = MEMORY_SIZE
        # Python collects garbage in the middle of anything, also while the lock is held.
        self._given: SimpleQueue[int] = SimpleQueue()

    def take(self, size: int) -> bool:
        if self._process != (process := os.getpid()):
            # Another thread of the parent may have held the lock during the fork.  What waited there waits here, too.
            self._process, self._lock = process, threading.Lock()
        with self._lock:
            with contextlib.suppress(Empty):
                while True:
                    self._left += self._given.get_nowait()
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        self._given.put(size)


_memory = _Memory()


class _TemporaryFile:
    """A file on disk that is ours alone, gone with the last that holds it, and opened by many.

    The first ones have a descriptor and no name, so that even a killed process leaves nothing.  A session may hold
    thousands, and a process only so many descriptors: later ones are closed and have a name in this process' folder.

    :param store: the store that its bytes are for, on whose file system it should be
    """

    _open: ClassVar[weakref.WeakSet[_TemporaryFile]] = weakref.WeakSet()

    def __init__(self, store: Store) -> None:
        self._path: Path | None = None
        if _DESCRIPTORS.is_dir() and not self.are_many():
            self.file: IO[bytes] = _without_name(store.spool_folder())
            weakref.finalize(self, self.file.close)
            self._open.add(self)
        else:
            self._path = Path(spool_folder(), debris_name())
            self.file = os.fdopen(create_file(str(self._path)), "wb")
            weakref.finalize(self, _remove, self.file, self._path, os.getpid())

    @classmethod
    def are_many(cls) -> bool:
        """Whether more wait than keep their descriptors."""
        return len(cls._open) >= _MOST_OPEN

    def seal(self) -> None:
        """Say that all is written."""
        if self._path is None:
            self.file.flush()
        else:
            self.file.close()

    def open(self) -> IO[bytes]:
        if self._path is not None:
            return io.BufferedReader(SealedFile(str(self._path), names=1))
        return io.BufferedReader(SealedFile(str(_DESCRIPTORS / str(self.file.fileno())), names=0))


def _without_name(folder: str | None) -> IO[bytes]:
    """Make a file that has no name yet, in a folder where it may get one, or else wherever there is room."""
    if folder is not None and hasattr(os, "O_TMPFILE"):
        with contextlib.suppress(OSError):
            # 0o666 less the umask, as a store makes its files.
            return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666), "w+b")
    return cast("IO[bytes]", tempfile.TemporaryFile())


def watch_let_go(session: Session, entity: Any) -> None:
    """Notice that a session lets an image go whose bytes wait, when so many wait that there are files with names.

    :param session: the session
    :param entity: what it lets go
    """
    if _TemporaryFile.are_many() and pending_file_of(entity) is not None:
        session.info[LET_GO_KEY] = True


def collect_let_go(session: Session, transaction: SessionTransaction) -> None:
    """Free the files of images that a session has let go, and that nothing but themselves refers to any more.

    Entities and their images refer to each other, so that Python would collect them only by and by.

    :param session: the session
    :param transaction: what has ended
    """
    if transaction.parent is None and session.info.pop(LET_GO_KEY, False):
        gc.collect()


def _remove(file: IO[bytes], path: Path, process: int) -> None:
    file.close()
    # A forked child has copies of what its parent still needs.
    if process == os.getpid():
        path.unlink(missing_ok=True)


#: How many temporary files keep their descriptors.
_MOST_OPEN = 64

_DESCRIPTORS = Path("/proc/self/fd")


def _too_many_bytes(max_bytes: int) -> InvalidImageError:
    return InvalidImageError(
        f"expected at most {max_bytes} bytes, and there are more; send a smaller file, or raise ImagePolicy.max_bytes",
        reason="too_many_bytes",
    )


def attach(image: Any, attachment: PendingFile) -> None:
    """Give an image its attachment.

    :param image: an image, which has its revision
    :param attachment: its bytes, and its store
    """
    image.__dict__[ATTRIBUTE] = attachment
    if (revision := getattr(image, "revision", None)) is not None:
        _attachments[revision] = attachment


def attach_copy(image: Any) -> bool:
    """Give an image that ``Session.merge()`` has made, or has changed, the attachment of the one that it is a copy of.

    :param image: an image
    :returns: whether there is one with bytes that wait to be put
    """
    attachment = _attachments.get(getattr(image, "revision", None) or "")
    if attachment is None or not attachment.is_pending:
        return False
    attach(image, attachment)
    return True


def pending_file_of(image: Any) -> PendingFile | None:
    """The attachment of an image, if it was attached in this process.

    :param image: an image, or ``None``
    :returns: its attachment, or ``None``
    """
    attachment: PendingFile | None = getattr(image, "__dict__", {}).get(ATTRIBUTE)
    return attachment
