"""What a store is, and what everybody else may ask of it.

A *store* keeps image files and knows their URLs.  To write one, inherit :class:`Store` and implement four methods:
:meth:`~Store.put_file`, :meth:`~Store.get_file`, :meth:`~Store.get_url` and :meth:`~Store.delete_file`.  Applications
call the four templates over them: :meth:`~Store.store`, :meth:`~Store.open`, :meth:`~Store.locate` and
:meth:`~Store.delete`.

A file is named by its :class:`FileKey`: the documented identifiers, and a *revision*.  The revision is a short random
text that makes each file's name its own, so that a file is never overwritten.  It must always be true that

- a store whose methods take ``revision`` keeps two revisions of one image side by side;
- a store whose methods do not (just the documented arguments) is never handed one: see :func:`takes_revision`;
- ``delete_file`` of a file that is not there is silent, ``get_file`` of it is an :exc:`OSError`;
- each of the four documented methods is on the way of every file, so that a subclass may override it.

The layers above work with keys, and call :meth:`~Store.put_key`, :meth:`~Store.get_key` and :meth:`~Store.delete_key`,
which :mod:`~sqlalchemy_imageattach.instrumentation` measures.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Self, TypedDict, cast

from .exc import ImageNotFoundError
from .file import FileProxy, SeekableFileProxy, is_seekable, spooled
from .instrumentation import measured
from .naming import FileKey, StorableImage

__all__ = ("FileKey", "Store", "StoredFile", "check_store", "holds", "is_missing", "may_hold", "takes_revision")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file that :meth:`Store.list_files` found."""

    #: The store's own name of it: a relative path, an object's key.
    name: str
    #: Its size in bytes.
    size: int
    #: When it was written, aware.
    modified: datetime.datetime
    #: Its identifiers, or ``None`` for debris of an interrupted write, which no row can name, and for what is foreign.
    key: FileKey | None
    #: Deletes just this file; silent when it is gone already.  It does nothing to what is foreign.
    remove: Callable[[], None] = field(repr=False, compare=False)
    #: Whether something else than this library has put it there.  A name with a slash at its end is a whole folder.
    is_foreign: bool = False

    @classmethod
    def foreign(cls, name: str, size: int, modified: datetime.datetime) -> Self:
        """Describe something that is not the store's: it is counted, and left alone.

        :param name: the store's name of it
        :param size: bytes
        :param modified: when it was written, aware
        :returns: the description
        """
        return cls(name, size, modified, None, _leave_alone, True)


def takes_revision(store: Store) -> bool:
    """Tell whether a store keeps the revisions of an image apart.

    :param store: any store
    :returns: false for a store whose methods have just the documented arguments

    >>> class Documented(Store):
    ...     def put_file(self, file, object_type, object_id, width, height, mimetype, reproducible): ...
    ...     def get_file(self, *args, **kwargs): ...
    ...     def get_url(self, *args, **kwargs): ...
    ...     def delete_file(self, *args, **kwargs): ...
    >>> takes_revision(Documented())
    False
    """
    return store.takes_revision()


def _methods_take_revision(cls: type[Store]) -> bool:
    kinds = [_revision_kind(getattr(cls, name)) for name in ("put_file", "get_file", "get_url", "delete_file")]
    return "no" not in kinds and "named" in kinds


def _revision_kind(method: Callable[..., object]) -> str:
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # a callable whose signature Python does not know
        return "no"
    for parameter in parameters:
        if parameter.name == "revision" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            return "named"
    return "any" if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) else "no"


class Store:
    """The interface of every store: four methods to implement, and the templates over them."""

    #: How many files are put, or deleted, side by side: by one flush, after one commit.  Set it on the class or on a
    #: store.
    workers: int = 16

    #: What stands behind the URLs of variants of this store's files: a
    #: :class:`~sqlalchemy_imageattach.variants.Variants`, or nothing.
    variants: object | None = None

    _takes_revision: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._takes_revision = _methods_take_revision(cls)

    def takes_revision(self) -> bool:
        """Tell whether the four methods take ``revision``; a store that wraps others answers for them.

        :returns: by default what the signatures say: each method accepts the keyword, and at least one names it.
            (``**kwargs`` alone says nothing about what the arguments are passed on to.)
        """
        return self._takes_revision

    def takes_type(self, mimetype: str) -> bool:
        """Tell whether the store has a name for files of a type; images of another are not attached.

        :param mimetype: e.g. ``'image/jpeg'``
        :returns: by default true; a store that wraps others answers for them
        """
        return True

    # What a store implements. Those of this library take `revision: str | None = None` as the last argument.

    def put_file(
        self,
        file: IO[bytes],
        object_type: str,
        object_id: int,
        width: int,
        height: int,
        mimetype: str,
        reproducible: bool,
    ) -> None:
        """Put the file of an image: all of it, or nothing when it raises.

        :param file: the bytes, from its position to its end; the caller closes it
        :param object_type: e.g. ``'user-picture'``
        :param object_id: any integer, negative and very long ones too
        :param width: pixels
        :param height: pixels
        :param mimetype: e.g. ``'image/jpeg'``
        :param reproducible: true for what can be computed again, such as a thumbnail; false for an original
        :raises OSError: when it could not be stored
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement put_file()")

    def delete_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> None:
        """Delete the file of an image; silent when there is no such file.

        :param object_type: e.g. ``'user-picture'``
        :param object_id: any integer
        :param width: pixels
        :param height: pixels
        :param mimetype: e.g. ``'image/jpeg'``
        :raises OSError: when the file is there, and stays
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement delete_file()")

    def get_file(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> IO[bytes]:
        """Open the file of an image; applications call :meth:`open`.

        :param object_type: e.g. ``'user-picture'``
        :param object_id: any integer
        :param width: pixels
        :param height: pixels
        :param mimetype: e.g. ``'image/jpeg'``
        :returns: a readable binary file, which the caller closes
        :raises OSError: when there is no such file
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement get_file()")

    def get_url(self, object_type: str, object_id: int, width: int, height: int, mimetype: str) -> str:
        """Make the URL of an image's file, without asking whether it is there; applications call :meth:`locate`.

        :param object_type: e.g. ``'user-picture'``
        :param object_id: any integer
        :param width: pixels
        :param height: pixels
        :param mimetype: e.g. ``'image/jpeg'``
        :returns: the URL, quoted
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to implement get_url()")

    def list_files(self) -> Iterator[StoredFile]:
        """List what the store holds, in any order and without holding it all in memory; optional.

        :returns: an iterator over every file that the store has written, debris included; what else is there may be
            among them as :attr:`StoredFile.is_foreign`
        :raises NotImplementedError: when the store has no such method; it cannot be audited then
        """
        raise NotImplementedError(f"{type(self).__qualname__} cannot list its files; it has to implement list_files()")

    # What a store may implement for variants: files that are made of others, and have no rows.

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        """List the variants of an original that the store holds; optional.

        :param original: the key of the original, which need not be there any more
        :returns: an iterator over their files
        :raises NotImplementedError: when the store has no such method
        """
        raise NotImplementedError(f"{type(self).__qualname__} cannot list variants; it needs list_variants()")

    def delete_variants(self, original: FileKey) -> None:
        """Delete the variants of an original; a store that cannot list them keeps them until an audit sweeps it.

        :param original: the key of the original
        :raises OSError: when one is there, and stays
        """
        try:
            for file in self.list_variants(original):
                file.remove()
        except NotImplementedError:
            pass

    def rename_key(self, former: FileKey, key: FileKey) -> None:
        """Give a file another name; a store that can do it without reading the file should.

        :param former: the name that it has
        :param key: the name that it gets, of the same type
        :raises OSError: when it is not there, or could not be renamed
        """
        with closing(self.get_key(former)) as file:
            self.put_key(file, key, True)
        self.delete_key(former)

    def alone(self, key: FileKey) -> AbstractContextManager[None]:
        """Keep other processes from making the same file; by default they may.

        :param key: the key of the file
        :returns: a context manager; its block may have to wait
        """
        return nullcontext()

    def now(self) -> datetime.datetime:
        """Tell the time by the clock that dates the files that are stored; optional.

        :returns: by default what this machine's clock says, which then has to agree
        """
        return datetime.datetime.now(datetime.UTC)

    def spool_folder(self) -> str | None:
        """Tell where large files should wait for :meth:`put_file`; optional.

        :returns: by default ``None``, for the system's temporary folder; a folder on the file system of the store, so
            that a file can be linked into it instead of written again
        """
        return None

    # The same by key, for the layers above.

    def put_key(self, file: IO[bytes], key: FileKey, reproducible: bool) -> None:
        """Put a file: :meth:`put_file`, with the revision if the store takes it.

        :param file: the bytes, from its position to its end; the caller closes it
        :param key: the name
        :param reproducible: whether it can be computed again
        :raises OSError: when it could not be stored
        """
        with measured("put", key.mimetype, file=file, store=self, key=key):
            self.put_file(file, *key[:5], reproducible, **self._revision(key))

    def get_key(self, key: FileKey) -> IO[bytes]:
        """Open a file: :meth:`get_file`, with the revision if the store takes it.

        :param key: the name
        :returns: a readable binary file, which the caller closes
        :raises OSError: when there is no such file
        """
        with measured("get", key.mimetype, store=self, key=key) as measurement:
            file = self.get_file(*key[:5], **self._revision(key))
            measurement.opened(file)
        return file

    def delete_key(self, key: FileKey) -> None:
        """Delete a file: :meth:`delete_file`, with the revision if the store takes it.

        :param key: the name
        :raises OSError: when the file is there, and stays
        """
        with measured("delete", key.mimetype, store=self, key=key):
            self.delete_file(*key[:5], **self._revision(key))

    def url_of_key(self, key: FileKey) -> str:
        """Make a file's URL: :meth:`get_url`, with the revision if the store takes it.

        :param key: the name
        :returns: the URL, without the timestamp that :meth:`locate` appends
        """
        return self.get_url(*key[:5], **self._revision(key))

    def _revision(self, key: FileKey) -> Any:
        # Typed as Any since the documented signatures, which are those of this class, have no such argument.
        return {} if key.revision is None or not self.takes_revision() else _Revision(revision=key.revision)

    # What applications call.

    def store(self, image: StorableImage, file: IO[bytes]) -> None:
        """Store the file of an image.

        :param image: the image whose file it is
        :param file: a readable binary file; the caller closes it
        :raises TypeError: when ``image`` is no image or has no identifier yet, or ``file`` cannot be read
        :raises OSError: when it could not be stored
        """
        key = FileKey.of(image)
        if not callable(getattr(file, "read", None)):
            raise TypeError(f"file must be a readable binary file with a read() method, not {file!r}")
        self.put_key(file, key, not image.original)

    def delete(self, image: StorableImage) -> None:
        """Delete the file of an image; silent when there is no such file.

        :param image: the image whose file to delete
        :raises TypeError: when ``image`` is no image or has no identifier yet
        :raises OSError: when the file is there, and stays
        """
        self.delete_key(FileKey.of(image))

    def open(self, image: StorableImage, use_seek: bool = False) -> IO[bytes]:
        """Open the file of an image, as a context manager and an iterator over lines.

        :param image: the image whose file to open
        :param use_seek: whether it has to have ``seek()`` and ``tell()``; a file without is copied, to disk past 1 MB
        :returns: a readable binary file, which the caller closes; best in a ``with`` block
        :raises TypeError: when ``image`` is no image or has no identifier yet, or the store returns no file
        :raises OSError: when there is no such file
        """
        file = self.get_key(FileKey.of(image))
        for name in ("read", "readline", "readlines"):
            if not callable(getattr(file, name, None)):
                raise TypeError(
                    f"{type(self).__qualname__}.get_file() must return a readable file; {file!r} has no {name}() method"
                )
        seekable = is_seekable(file)
        if use_seek and not seekable:
            with FileProxy(file):
                return spooled(file)
        if all(callable(getattr(file, name, None)) for name in ("__enter__", "__exit__", "__iter__", "__next__")):
            return file
        return cast("IO[bytes]", SeekableFileProxy(file) if seekable else FileProxy(file))

    def locate(self, image: StorableImage) -> str:
        """Make the URL of an image, with the time of its making as ``_ts``, so that caches notice a new one.

        :param image: the image whose URL to make
        :returns: the URL; nothing is asked about whether the file is there
        :raises TypeError: when ``image`` is no image or has no identifier yet
        """
        url = self.url_of_key(FileKey.of(image))
        created_at: object = image.created_at
        # Not known until the flush, unless the application has set it.
        if not isinstance(created_at, datetime.datetime):
            return url
        if created_at.tzinfo is not None:
            created_at = created_at.astimezone(datetime.UTC)
        return f"{url}{'&' if '?' in url else '?'}_ts={_digits_of(created_at)}"


def _leave_alone() -> None:
    pass


def _digits_of(time: datetime.datetime) -> str:
    """A time as ``20260729120000000000``; by ``strftime()`` it would be a quarter of what a URL costs."""
    date = (time.year * 100 + time.month) * 100 + time.day
    clock = ((time.hour * 100 + time.minute) * 100 + time.second) * 1_000_000 + time.microsecond
    return f"{date:08}{clock:012}"


class _Revision(TypedDict):
    revision: str


def _reads_otherwise(cls: type[Store]) -> bool:
    """Whether a class has overridden ``get_file()``, and not the ``has_key()`` that it inherits."""
    nearest = next(each for each in cls.__mro__ if not vars(each).keys().isdisjoint({"get_file", "has_key"}))
    return "has_key" not in vars(nearest) and hasattr(cls, "has_key")


def check_store(name: str, value: object) -> None:
    """Refuse what is no store.

    :param name: what the caller calls it
    :param value: what the caller gave
    :raises TypeError: when it is no :class:`Store`

    >>> check_store("store", "images/")
    Traceback (most recent call last):
    TypeError: expected an instance of sqlalchemy_imageattach.store.Store as store, got 'images/'
    """
    if not isinstance(value, Store):
        raise TypeError(f"expected an instance of sqlalchemy_imageattach.store.Store as {name}, got {value!r}")


def may_hold(store: Store, key: FileKey) -> bool:
    """Tell whether a store can have a file at all.

    :param store: any store
    :param key: the file's name
    :returns: false when the file has a revision, and the store keeps none
    """
    return key.revision is None or store.takes_revision()


def holds(store: Store, key: FileKey) -> bool:
    """Tell whether a store has a file.

    :param store: any store; its method ``has_key()`` is called if it has one, else the file is opened
    :param key: the file's name
    :returns: whether it is there
    :raises OSError: when the store cannot be reached

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> holds(MemoryStore(), FileKey('user-picture', 1, 640, 480, 'image/png'))
    False
    """
    if not may_hold(store, key):
        return False
    has_key: Callable[[FileKey], bool] | None = getattr(store, "has_key", None)
    if has_key is not None and not _reads_otherwise(type(store)):
        return has_key(key)
    try:
        with closing(store.get_key(key)):
            return True
    except OSError as error:
        if is_missing(error):
            return False
        raise


def is_missing(error: OSError) -> bool:
    """Tell whether an error of ``get_file()`` says that there is no such file.

    :param error: the error
    :returns: false for every other failure: then the file may be there or not

    >>> is_missing(FileNotFoundError()), is_missing(OSError('not found')), is_missing(TimeoutError())
    (True, True, False)
    """
    if isinstance(error, ImageNotFoundError | FileNotFoundError):
        return True
    # As the guide says; what the system or a library raises is a subclass, or has a number.
    return type(error) is OSError and error.errno is None
