"""Copying a file from one store to another, and making sure that it arrived.

It knows stores, and no rows.  It must always be true that

- nothing is ever deleted, and nothing is written to the source;
- a file is streamed: no more than a block of it is in memory because of us;
- what is there already is no error, since an earlier run may have put it, or another process just now.
"""

from __future__ import annotations

import errno
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, cast

from ..exc import InvalidImageError, StoreError
from ..file import BLOCK_SIZE, FileProxy, is_seekable, spooled
from ..imaging import probe
from ..imaging.policy import ANYTHING
from ..naming import FileKey
from ..store import Store, check_store, holds, is_missing
from ..transactions.which_store import find_store

__all__ = ("Copier",)


# A JPEG or a PNG of one block, to its end marker: with that, most files need no closer look, which takes as long as all
# the rest.
_WHOLE = re.compile(rb"\xff\xd8\xff.{,65000}\xff\xd9|\x89PNG\r\n\x1a\n.{,65000}IEND\xaeB`\x82", re.DOTALL)


class Copier:
    """Copies one file at a time, in any thread.

    :param source: the store to copy from
    :param destination: the store to copy to
    :param verify: whether to read each file back, and compare
    :param skip_existing: whether to leave out what the destination has; with ``verify`` only if it is the same
    :param dry_run: whether to write nothing
    :param max_bytes_per_second: how much is read from the source, of all threads together
    :raises TypeError: when an argument is of another type
    :raises ValueError: when the rate is not positive, or both stores are one
    """

    def __init__(
        self,
        source: Store,
        destination: Store,
        verify: bool,
        skip_existing: bool,
        dry_run: bool,
        max_bytes_per_second: float | None,
    ) -> None:
        self.source = _resolved("source", source)
        self.destination = _resolved("destination", destination)
        if self.source is self.destination:
            raise ValueError(f"source and destination must be two stores, and both are {self.source!r}")
        self.verify = verify
        self.skip_existing = skip_existing
        self.dry_run = dry_run
        self._throttle = None if max_bytes_per_second is None else _Throttle(max_bytes_per_second)

    def __call__(self, key: FileKey, reproducible: bool, *, may_be_there: bool = False) -> bool:
        """Copy a file.

        :param key: its identifiers
        :param reproducible: whether it could be made again from another
        :param may_be_there: whether to leave it out if the destination has it, though others are copied again
        :returns: whether that had to be done
        :raises OSError: when it could not be
        """
        if (self.skip_existing or may_be_there) and self._is_there(key):
            return False
        file = self.source.get_key(key)
        with FileProxy(file):
            if not self.verify:
                return self._put(file if self._throttle is None else _Metered(file, self._throttle), key, reproducible)
            head = getattr(file, "read1", file.read)(BLOCK_SIZE)
            if _WHOLE.fullmatch(head):
                return self._put(_Metered(file, self._throttle, head), key, reproducible)
            with _rewound(file, head) as whole:
                self._check_whole(whole)
                return self._put(_Metered(whole, self._throttle), key, reproducible)

    def copy_variants(self, original: FileKey) -> None:
        """Copy what was made of an original, and the destination does not have.

        :param original: its key
        :raises NotImplementedError: when the source cannot list it
        :raises OSError: when one could not be copied
        """
        for file in self.source.list_variants(original):
            if file.key is not None and not self.dry_run:
                try:
                    self(file.key, True, may_be_there=True)
                except OSError as error:
                    # Variants go at any time.
                    if not is_missing(error):
                        raise

    def _put(self, file: IO[bytes] | _Metered, key: FileKey, reproducible: bool) -> bool:
        if self.dry_run:
            return True
        try:
            self.destination.put_key(cast("IO[bytes]", file), key, reproducible)
        except OSError:
            # A store that never overwrites refuses what an earlier run has put.
            if not self._is_same(key):
                raise
            return True
        if self.verify and isinstance(file, _Metered):
            self._compare(file.contents(), key)
        return True

    def _check_whole(self, file: IO[bytes]) -> None:
        """Refuse what was cut off in the source already; what is wrong otherwise is there to be moved."""
        try:
            probe(file, ANYTHING)
        except InvalidImageError as error:
            if error.reason in {"empty", "truncated"}:
                raise StoreError(errno.EIO, f"what {self.source!r} has is no whole image: {error}") from error

    def _is_there(self, key: FileKey) -> bool:
        return self._is_same(key) if self.verify else holds(self.destination, self._name(key))

    def _is_same(self, key: FileKey) -> bool:
        if not holds(self.destination, self._name(key)):
            return False
        try:
            expected = self._contents(self.source, key)
        except OSError as error:
            # What an application puts while its files move is in the destination alone.
            if is_missing(error):
                return True
            raise
        return self._contents(self.destination, key) == expected

    def _name(self, key: FileKey) -> FileKey:
        """What the destination calls a file: it may keep no revisions."""
        return key if self.destination.takes_revision() else key._replace(revision=None)

    def _compare(self, sent: _Contents, key: FileKey) -> None:
        arrived = self._contents(self.destination, key)
        if arrived != sent:
            raise StoreError(
                errno.EIO,
                f"expected {self.destination!r} to give back what it was given, {sent}, and it gave {arrived};"
                " copy it again, with skip_existing and verify",
            )

    def _contents(self, store: Store, key: FileKey) -> _Contents:
        file = store.get_key(key)
        with FileProxy(file):
            return _Metered(file, self._throttle if store is self.source else None).contents()


class _Contents(NamedTuple):
    """What tells two files apart."""

    length: int
    sha256: bytes

    def __str__(self) -> str:
        return f"{self.length} bytes of SHA-256 {self.sha256.hex()}"


class _Metered:
    """A file to read once, which takes note of what is read.

    :param file: the file
    :param throttle: the rate to keep
    :param ahead: what was read of the file already
    """

    def __init__(self, file: IO[bytes], throttle: _Throttle | None, ahead: bytes = b"") -> None:
        self._file = file
        self._ahead = ahead
        self._throttle = throttle
        self._length = 0
        # Made of the second block: of a small file there is none, and to digest one block at once takes half the time.
        self._digest: Any = None
        self._first = b""
        self._is_at_end = False

    def read(self, size: int = -1, /) -> bytes:
        if self._ahead and size:
            block, self._ahead = (self._ahead, b"") if size < 0 else (self._ahead[:size], self._ahead[size:])
            if size < 0:
                block += self._file.read()
        else:
            block = self._file.read(size)
        if block:
            self._note(block)
        else:
            self._is_at_end = size != 0
        return block

    def contents(self) -> _Contents:
        """Tell what was read, and what is left."""
        if self._ahead:
            self._note(self._ahead)
            self._ahead = b""
        # Files of the system read twice at their end to fill a whole block, unless they need not.
        read = getattr(self._file, "read1", self._file.read)
        while not self._is_at_end:
            if block := read(BLOCK_SIZE):
                self._note(block)
            else:
                self._is_at_end = True
        return _Contents(self._length, (self._digest or hashlib.sha256(self._first)).digest())

    def _note(self, block: bytes) -> None:
        if self._digest is not None:
            self._digest.update(block)
        elif self._length:
            self._digest = hashlib.sha256(self._first)
            self._digest.update(block)
        else:
            self._first = block
        self._length += len(block)
        if self._throttle is not None:
            self._throttle.spend(len(block))


class _Throttle:
    """A rate that several threads keep together: each waits for as long as what it has read may take."""

    def __init__(self, bytes_per_second: float) -> None:
        if isinstance(bytes_per_second, bool) or not isinstance(bytes_per_second, int | float):
            raise TypeError(f"max_bytes_per_second must be a number of bytes, not {bytes_per_second!r}")
        if not bytes_per_second > 0:
            raise ValueError(f"max_bytes_per_second must be positive, not {bytes_per_second!r}")
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def spend(self, size: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / self._bytes_per_second
            wait = self._free_at - now
        time.sleep(wait)


@contextmanager
def _rewound(file: IO[bytes], head: bytes) -> Iterator[IO[bytes]]:
    """A seekable file at its beginning, of which a part was read already."""
    if is_seekable(file):
        file.seek(0)
        yield file
        return
    with spooled(cast("IO[bytes]", _Metered(file, None, head))) as copy:
        yield copy


def _resolved(name: str, store: Store) -> Store:
    check_store(name, store)
    # A plan may be executed in another context than it was made in.
    return find_store(store)
