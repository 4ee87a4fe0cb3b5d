"""Stores that keep files in a folder.

:class:`FileSystemStore` leaves it to a web server to serve the folder.  :class:`HttpExposedFileSystemStore` serves it
itself, through WSGI or ASGI, and makes URLs for the host that the current request names.

It must always be true that

- a file is whole or not there: it is written aside under a name of its own, synced, renamed, and its folder synced;
- an interrupted write leaves a file of a name that no row can have;
- nothing outside of the folder is listed or removed: links are never followed;
- any number of processes may write, read and delete at once, and may remove empty folders.
"""

# The functions of `os`, since pathlib objects would be a third of the cost of storing a small file.
# ruff: noqa: PTH100, PTH102, PTH106, PTH107, PTH112, PTH116, PTH120, PTH123

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

try:
    import fcntl
except ImportError:  # on Windows, where several processes may make the same file, and each a whole one
    fcntl = None  # type: ignore[assignment]

from ..exc import ImageNotFoundError, StoreError
from ..file import DEBRIS, create_file, debris_name, is_sealed, link_file, send, write_aside
from ..naming import (
    FileKey,
    folder_of_variants,
    former_names_of,
    guess_extension,
    key_of,
    name_of,
    path_of,
    url_path_of,
)
from ..store import StoredFile
from ..util import import_late
from .http import HttpExposure
from .key_store import KeyStore, check_base_url

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from ..serving.asgi import ASGIApplication, ImageServer
    from ..serving.hosts import Hosts
    from ..serving.resources import Source
    from ..serving.responses import Rules
    from ..serving.wsgi import ServerMiddleware, StaticServerMiddleware
    from ..variants.variant import VariantUrls
else:
    # What serves is loaded by what is served: a worker only stores, and nginx may serve.
    __getattr__, __dir__ = import_late(
        __name__, {"StaticServerMiddleware": f"{__package__.rpartition('.')[0]}.serving.wsgi"}
    )

__all__ = (
    "BaseFileSystemStore",
    "FileSystemStore",
    "HttpExposedFileSystemStore",
    "StaticServerMiddleware",
    "guess_extension",
)

# What the folders above a file are called: object type, object id % 1000, object id // 1000, and above a variant its
# original.
_FOLDERS = (
    re.compile(r"[^.].*", re.DOTALL),
    re.compile(r"[0-9]{1,3}"),
    re.compile(r"-?[0-9]{1,200}"),
    re.compile(r"-?[0-9]{1,200}\.[0-9]{1,20}x[0-9]{1,20}(\.[0-9a-z]+)?-[0-9a-z]+"),
)
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
_CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# How often another process may remove a folder that has just been made.
_ATTEMPTS = 100


class BaseFileSystemStore(KeyStore):
    """What the stores of this module share: everything but URLs, for which a subclass has ``base_url``.

    :param path: the folder; it is made when the first file is stored
    :param sync: whether what is stored survives a power cut from then on; false is faster
    """

    def __init__(self, path: str | os.PathLike[str], sync: bool = True) -> None:
        #: The folder, as it was given.
        self.path = os.fspath(path)
        self.sync = sync
        if not sync:
            # Several at once is faster only where each waits for the disk.
            self.workers = 1
        # Taken now, so that a process may change its working directory.
        self._folder = os.path.abspath(self.path)

    @property
    def base_url(self) -> str:
        """What URLs begin with, a slash at its end."""
        raise NotImplementedError(f"{type(self).__qualname__} has to have an attribute base_url")

    def write(self, key: FileKey, file: IO[bytes], reproducible: bool) -> None:
        path = self._path(name_of(key))
        changed: list[str] = []
        try:
            if not self._link(path, file, changed):
                write_aside(path, partial(send, file), sync=self.sync, create=partial(_create, changed, create_file))
            if self.sync:
                for each in (_parent(path), *changed):
                    _sync_folder(each)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            reason = error.strerror or str(error)
            raise StoreError(error.errno or errno.EIO, f"{self!r} could not store a file: {reason}", path) from error

    def _link(self, path: str, file: IO[bytes], changed: list[str]) -> bool:
        """Store a temporary file of this file system: it lacks a name, and the time at which it was stored."""
        if is_sealed(file):
            with contextlib.suppress(OSError):
                create = partial(_create, changed, partial(link_file, file))
                write_aside(path, os.utime, sync=self.sync, create=create)
                return True
        return False

    def read(self, key: FileKey) -> IO[bytes]:
        path = self._path(name_of(key))
        try:
            return open(path, "rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            pass
        for name in former_names_of(key):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return open(self._path(name), "rb")
        raise ImageNotFoundError(errno.ENOENT, f"{self!r} has no such file", path)

    def remove(self, key: FileKey) -> None:
        for name in (name_of(key), *former_names_of(key)):
            _remove(self._path(name))

    def url(self, key: FileKey) -> str:
        return self.base_url + url_path_of(key)

    def list_files(self) -> Iterator[StoredFile]:
        """List the files of this store, a folder at a time.

        What is not of its making is foreign: other names, links, and folders at the top that cannot be read, such as
        ``lost+found``.

        :returns: an iterator; files that come or go meanwhile may be in it or not
        :raises OSError: when another folder cannot be read
        """
        return self._list_folder(self._folder, "", 0)

    def list_variants(self, original: FileKey) -> Iterator[StoredFile]:
        folder = folder_of_variants(original)
        return self._list_folder(self._path(folder), f"{folder}/", len(_FOLDERS))

    def delete_variants(self, original: FileKey) -> None:
        super().delete_variants(original)
        with contextlib.suppress(OSError):
            os.rmdir(self._path(folder_of_variants(original)))

    def rename_key(self, former: FileKey, key: FileKey) -> None:
        path = self._path(name_of(key))
        try:
            os.replace(self._path(name_of(former)), path)  # noqa: PTH105  # it is a text
        except (FileNotFoundError, NotADirectoryError):
            raise ImageNotFoundError(errno.ENOENT, f"{self!r} has no such file", str(former)) from None
        if self.sync:
            _sync_folder(_parent(path))

    @contextlib.contextmanager
    def alone(self, key: FileKey) -> Iterator[None]:
        """Keep other processes from making the same file, by a lock that ends with the process that holds it.

        :param key: the key of the file
        :returns: a context manager; its block may have to wait
        """
        path = self._path(name_of(key))
        folder = _parent(path)
        # Named as what an interrupted write leaves, since it stays there when the process is killed.
        lock = f"{folder}/.{hashlib.sha256(path.encode()).hexdigest()[:16]}.tmp"
        descriptor = _locked(lock)
        try:
            yield
        finally:
            _remove(lock)
            os.close(descriptor)
            with contextlib.suppress(OSError):
                # Only if nothing was put.
                os.rmdir(folder)

    def spool_folder(self) -> str | None:
        folder = self._folder
        # The folder of a store is made with its first file.
        while not os.path.isdir(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        return folder

    def now(self) -> datetime.datetime:
        """Tell the time by the clock that dates the files: of a folder on another machine, that of the machine.

        :returns: when a file was made just now; what this machine's clock says where none can be made
        """
        aside = f"{self._folder}/{debris_name()}"
        try:
            os.close(create_file(aside))
            try:
                return datetime.datetime.fromtimestamp(os.stat(aside).st_mtime, datetime.UTC)
            finally:
                _remove(aside)
        except OSError:
            return super().now()

    def _list_folder(self, folder: str, prefix: str, depth: int) -> Iterator[StoredFile]:
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            return
        except PermissionError:
            # If it is one of the store's, each file in it is found to be unreadable when it is asked for.
            if depth != 1:
                raise
            yield StoredFile.foreign(prefix, 0, _EPOCH)
            return
        with entries:
            for entry in entries:
                name = prefix + entry.name
                is_folder = depth < len(_FOLDERS) and entry.is_dir(follow_symlinks=False)
                if is_folder and _FOLDERS[depth].fullmatch(entry.name):
                    yield from self._list_folder(entry.path, f"{name}/", depth + 1)
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                modified = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
                key = key_of(name)
                if stat.S_ISREG(status.st_mode) and (key is not None or DEBRIS.fullmatch(entry.name)):
                    yield StoredFile(name, status.st_size, modified, key, partial(_remove, entry.path))
                else:
                    yield StoredFile.foreign(
                        f"{name}/" if stat.S_ISDIR(status.st_mode) else name, status.st_size, modified
                    )

    def _path(self, name: str) -> str:
        path = path_of(self._folder, name)
        assert path is not None  # name_of() refuses what is no name
        return path

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.path!r})"


class FileSystemStore(BaseFileSystemStore):
    """A folder that a web server serves under a fixed URL.

    :param path: the folder; it is made when the first file is stored
    :param base_url: the URL of the folder
    :param sync: whether what is stored survives a power cut from then on; false is faster
    :param variants: makes variants of the images when they are first asked for: the web server has to hand requests for
        files that are not there to :meth:`wsgi_middleware` or :meth:`asgi_middleware`

    >>> store = FileSystemStore(path='/var/local/yourapp/images', base_url='http://images.yourapp.com/')
    >>> store.get_url('user-picture', 1, 640, 480, 'image/png')
    'http://images.yourapp.com/user-picture/1/0/1.640x480.png'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        base_url: str,
        sync: bool = True,
        *,
        variants: VariantUrls | None = None,
    ) -> None:
        super().__init__(path, sync)
        self._base_url = f"{check_base_url('base_url', base_url).removesuffix('/')}/"
        self.variants = variants

    @property
    def base_url(self) -> str:
        """The URL of the folder, a slash at its end."""
        return self._base_url

    def wsgi_middleware(self, app: WSGIApplication) -> ServerMiddleware:
        """Make a WSGI application that serves what the web server did not find, and leaves all else to another one.

        :param app: the other application
        :returns: the application
        """
        from ..serving.wsgi import ServerMiddleware

        return ServerMiddleware(app, self._url_path, self.source())

    def asgi_middleware(self, app: ASGIApplication | None = None) -> ImageServer:
        """Make an ASGI application that serves what the web server did not find, and leaves all else to another one.

        :param app: the other application; without, all other requests are answered with 404
        :returns: the application
        """
        from ..serving.asgi import ImageServer

        return ImageServer(app, self._url_path, self.source())

    @property
    def _url_path(self) -> str:
        return unquote(urlsplit(self._base_url).path)

    def source(self) -> Source:
        """Find where the files are that are served.

        :returns: the folder, and what makes variants
        """
        return _source_of(self, self._folder)


class HttpExposedFileSystemStore(HttpExposure, BaseFileSystemStore):
    """A folder that the application serves itself.

    :param path: the folder; it is made when the first file is stored
    :param prefix: what the paths of URLs begin with
    :param host_url_getter: returns the URL of the host, such as ``'https://example.com/'``, for every URL that is made
    :param cors: whether pages of other origins may read the images: true for any origin, or a list of them
    :param sync: whether what is stored survives a power cut from then on; false is faster
    :param rules: how images are served, if not as browsers want it by default
    :param hosts: what to believe about the host of a request; by default any
    :param variants: makes variants of the images when they are first asked for
    :raises TypeError: when ``host_url_getter`` cannot be called

    >>> store = HttpExposedFileSystemStore('userimages', 'images/', host_url_getter=lambda: 'https://example.com/')
    >>> store.get_url('user-picture', 1, 640, 480, 'image/png')
    'https://example.com/images/user-picture/1/0/1.640x480.png'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        prefix: str = "__images__",
        host_url_getter: Callable[[], str] | None = None,
        cors: bool | Collection[str] = False,
        *,
        sync: bool = True,
        rules: Rules | None = None,
        hosts: Hosts | None = None,
        variants: VariantUrls | None = None,
    ) -> None:
        HttpExposure.__init__(self, prefix, host_url_getter, cors, rules, hosts, variants)
        BaseFileSystemStore.__init__(self, path, sync)

    def wsgi_middleware(self, app: WSGIApplication, cors: bool | Collection[str] = False) -> StaticServerMiddleware:
        """Make a WSGI application that serves the images, and leaves all other requests to another one.

        :param app: the other application
        :param cors: whether pages of other origins may read the images; by default what the store's ``cors`` says
        :returns: the application

        >>> from wsgiref.simple_server import demo_app
        >>> store = HttpExposedFileSystemStore('userimages', 'images/')
        >>> app = store.wsgi_middleware(demo_app)
        """
        rules = self.rules_with(cors)
        from ..serving.responses import SMALL
        from ..serving.wsgi import StaticServerMiddleware

        made = StaticServerMiddleware(app, self.prefix, self._folder, SMALL, rules=rules, hosts=self.hosts)
        made.source = self.source()
        return made

    def source(self) -> Source:
        return _source_of(self, self._folder)


def _parent(path: str) -> str:
    # As long as it is in a store's folder, only slashes separate its parts; above, that is the system's own business.
    return path.rpartition("/")[0] or os.path.dirname(path)


def _create(changed: list[str], create: Callable[[str], int], path: str) -> int:
    """Make a new file, and the folders above it; add the folders that got a new entry."""
    for _ in range(_ATTEMPTS):
        try:
            return create(path)
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                changed += _make_folders(_parent(path))
    raise FileNotFoundError(errno.ENOENT, "folders were removed as fast as they were made", path)


def _source_of(store: BaseFileSystemStore, folder: str) -> Source:
    from ..serving.resources import Folder
    from ..variants.maker import with_variants

    return with_variants(Folder(folder), store)


def _locked(path: str) -> int:
    """Open a file that no other process has opened by this function, and make the folders above it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                _make_folders(_parent(path))
            continue
        try:
            if fcntl is None:
                return descriptor
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The one that had it has removed it.
        os.close(descriptor)


def _make_folders(folder: str) -> list[str]:
    parent = _parent(folder)
    changed: list[str] = []
    try:
        os.mkdir(folder)
    except FileExistsError:
        return changed
    except FileNotFoundError:
        changed += _make_folders(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
    return [parent, *changed]


def _sync_folder(folder: str) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        # Removed since, or on a system where folders cannot be opened.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems, mostly those of a network, know no such thing.  A failing disk has another number.
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.remove(path)
