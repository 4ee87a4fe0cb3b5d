"""The bytes of an image that are not in a store yet, and the store that they are for.

An :class:`Attachment` accompanies an :class:`~sqlalchemy_imageattach.entity.Image` from the call that attached it.  It
must always be true that

- the caller's file is the caller's: it is read once, during the call, and neither kept nor closed;
- the bytes stay until the root transaction committed, so that a flush that failed can be tried again;
- no more than :data:`SPOOL_SIZE` bytes of one image are in memory because of us: larger ones are on disk;
- the store is a store, never a proxy: it is resolved when the image is attached.
"""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, Session, object_session

from .context import LocalProxyStore
from .exc import ContextError, InvalidImageError
from .file import SPOOL_SIZE, is_on_disk, send
from .store import FileKey, Store

if TYPE_CHECKING:
    from .rows import Place

__all__ = (
    "ATTRIBUTE",
    "CHUNK_SIZE",
    "INFO_KEY",
    "SPOOL_SIZE",
    "Attachment",
    "attach",
    "attach_copy",
    "attachment_of",
    "find_store",
    "remember_store",
    "remember_store_of_file",
)

#: Under which name an image has its attachment.
ATTRIBUTE = "_attachment"
#: How many bytes are copied at once.
CHUNK_SIZE = 256 * 1024
#: The key in ``Session.info``, and in the ``info`` of a relationship, under which a default store may be given.
INFO_KEY = "image_store"

_STORES_KEY = "_sqlalchemy_imageattach_stores"

#: By the revision of the image: of what an image is, ``Session.merge()`` copies its columns alone.
_attachments: weakref.WeakValueDictionary[str, Attachment] = weakref.WeakValueDictionary()


class Attachment:
    """The bytes of one image, until they are committed, and its store.

    :param store: the store that the bytes are for
    :param content: the bytes, or a file of ours that has them; nothing where the store has them already
    """

    __slots__ = ("__weakref__", "_content", "has_been_put", "place", "store")

    def __init__(self, store: Store, content: bytes | _TemporaryFile | None) -> None:
        self.store = store
        #: Whether a store has got these bytes before, under the revision that the image has now.
        self.has_been_put = False
        #: The image set that it was attached to.
        self.place: Place | None = None
        self._content = content

    @classmethod
    def of_blob(cls, store: Store, blob: bytes, max_bytes: int) -> Attachment:
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
    def of_file(cls, store: Store, file: IO[bytes], max_bytes: int) -> Attachment:
        """Read a file to its end.

        :param store: the store that the bytes are for
        :param file: a readable file; it is read from where it stands, and stays open
        :param max_bytes: how many bytes are accepted; one more is not read
        :raises InvalidImageError: when there are more
        :raises TypeError: when the file gives text
        """
        if is_on_disk(file) and os.fstat(file.fileno()).st_size - file.tell() > SPOOL_SIZE:
            return cls._of_file_on_disk(store, file, max_bytes)
        chunk = file.read(min(CHUNK_SIZE, max_bytes + 1))
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
                spool = _TemporaryFile()
                spool.file.writelines(chunks)
                chunks.clear()
            if spool is None:
                chunks.append(bytes(chunk))
            else:
                spool.file.write(chunk)
            chunk = file.read(CHUNK_SIZE)
        if spool is None:
            return cls(store, b"".join(chunks))
        spool.file.flush()
        return cls(store, spool)

    @classmethod
    def _of_file_on_disk(cls, store: Store, file: IO[bytes], max_bytes: int) -> Attachment:
        if os.fstat(file.fileno()).st_size - file.tell() > max_bytes:
            raise _too_many_bytes(max_bytes)
        spool = _TemporaryFile()
        send(file, spool.file.fileno())
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
        self._content = self.place = None


class _TemporaryFile:
    """A file on disk that is ours alone, gone with the last that holds it, and opened by many."""

    def __init__(self) -> None:
        # Where a descriptor can be opened anew, the file needs no name, and even a killed process leaves nothing.
        self.file = tempfile.TemporaryFile() if _DESCRIPTORS.is_dir() else tempfile.NamedTemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self.file.close)

    def open(self) -> IO[bytes]:
        path = _DESCRIPTORS / str(self.file.fileno()) if _DESCRIPTORS.is_dir() else Path(self.file.name)
        return path.open("rb")


_DESCRIPTORS = Path("/proc/self/fd")


def _too_many_bytes(max_bytes: int) -> InvalidImageError:
    return InvalidImageError(
        f"expected at most {max_bytes} bytes, and there are more; send a smaller file, or raise ImagePolicy.max_bytes",
        reason="too_many_bytes",
    )


def find_store(
    store: Store,
    image: Any = None,
    *,
    owner: Any = None,
    mapper: Mapper[Any] | None = None,
    prefer_known: bool = False,
) -> Store:
    """Find the store itself behind what a caller passed, which is mostly the proxy of the current one.

    :param store: a store, or :data:`~sqlalchemy_imageattach.context.current_store`
    :param image: the image that it is about, if there is one yet
    :param owner: the entity that the image belongs to
    :param mapper: the mapper of the image, where there is no image yet
    :param prefer_known: whether the store that the image was attached with goes before the current one
    :returns: the store given; else the current one; else the one that the image was attached with; else the session's
        default; else the default of :func:`~sqlalchemy_imageattach.entity.image_attachment`
    :raises ContextError: when there is none
    :raises TypeError: when it is no store
    """
    if not isinstance(store, Store):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers need not be typed
        raise TypeError(f"expected an instance of sqlalchemy_imageattach.store.Store as store, not {store!r}")
    if not isinstance(store, LocalProxyStore):
        return store
    known = _known_store(image)
    if prefer_known and known is not None:
        return known
    try:
        while isinstance(store, LocalProxyStore):
            store = store.get_current_object()
        return store
    except ContextError as error:
        default = known or _default_store(image, owner, mapper)
        if default is None:
            raise ContextError(
                "no store is known; pass store=..., wrap the code in store_context(store), or give a default: "
                f"sessionmaker(info={{{INFO_KEY!r}: store}}) or image_attachment(..., store=store)"
            ) from error
        return default


def attach(image: Any, attachment: Attachment) -> None:
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


def attachment_of(image: Any) -> Attachment | None:
    """The attachment of an image, if it was attached in this process.

    :param image: an image, or ``None``
    :returns: its attachment, or ``None``
    """
    attachment: Attachment | None = getattr(image, "__dict__", {}).get(ATTRIBUTE)
    return attachment


def remember_store(image: Any, store: Store) -> None:
    """Remember which store an image is in that was loaded from the database.

    :param image: an image; if it was attached in this process, nothing changes
    :param store: the store that it is in
    """
    if attachment_of(image) is None:
        image.__dict__[ATTRIBUTE] = Attachment(store, None)


def remember_store_of_file(session: Session, key: FileKey, store: Store) -> None:
    """Remember which store a session put a file into, for when it loads the row again.

    :param session: the session
    :param key: the file's name
    :param store: the store
    """
    if session.info.get(INFO_KEY) is not store:
        session.info.setdefault(_STORES_KEY, {})[key] = store


def _known_store(image: Any) -> Store | None:
    attachment = attachment_of(image)
    if attachment is not None:
        return attachment.store
    if image is None:
        return None
    session = object_session(image)
    stores: dict[FileKey, Store] = {} if session is None else session.info.get(_STORES_KEY, {})
    return stores.get(FileKey.of(image)) if stores else None


def _default_store(image: Any, owner: Any, mapper: Mapper[Any] | None) -> Store | None:
    for entity in (image, owner):
        session = None if entity is None else object_session(entity)
        if session is not None and INFO_KEY in session.info:
            return cast("Store", session.info[INFO_KEY])
    if image is not None:
        mapper = inspect(image).mapper
    return None if mapper is None else _default_store_of(mapper)


def _default_store_of(mapper: Mapper[Any]) -> Store | None:
    targets = set(mapper.iterate_to_root())
    for other in mapper.registry.mappers:
        for relationship in other.relationships:
            if relationship.mapper in targets and INFO_KEY in relationship.info:
                return cast("Store", relationship.info[INFO_KEY])
    return None
