"""Variants of what a store has: their URLs, and their making when they are first asked for.

::

    store = HttpExposedFileSystemStore("userimages", variants=Variants(secret=os.environ["VARIANTS_SECRET"]))

It must always be true that

- nothing is made that this application has not signed;
- a file is made once, however many ask for it: over threads, tasks and, in a folder, processes;
- what fails leaves nothing behind, and fails at once for all who wait for it;
- only the file counts: nothing else remembers that it was made, and one that is gone or empty is made again;
- no variant outlives its original: a maker looks for that after its put.
"""

from __future__ import annotations

import datetime
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import lru_cache, partial
from typing import IO, Final
from urllib.parse import quote

from ..exc import ImageNotFoundError, InvalidImageError
from ..file import seekable
from ..imaging import ImagePolicy
from ..imaging.policy import limits_of
from ..naming import FileKey, folder_of_variants, name_of
from ..serving.resources import Found, NotServed, Pending, Source
from ..store import Store, holds, is_missing
from .line import Full, Line
from .making import make
from .recipe import Recipe, written
from .signing import SignedName, Signer

__all__ = ("Variants", "with_variants")

_log = logging.getLogger(__name__)

# How long it is remembered that an original does not decode, in seconds, and of how many variants.
_SECONDS_REFUSED = 600.0
_REFUSED = 1024

# What is said of an image that may be decoded in a minute, or elsewhere.
_NO_FAULT_OF_THE_IMAGE = frozenset({"busy", "unsupported_type"})

# What was signed while others than presets had URLs, too, is not signed for one that has presets only.
_PRESETS_ONLY = b"presets only"

_NO_STORE: Final = ("Cache-Control", "no-store")


class Variants:
    """Makes variants, and signs their URLs; given to a store as ``variants=``.

    :param secret: what URLs are signed with: a text or bytes of at least 16 bytes, or several, newest first: URLs that
        were signed with an older one stay good.  It has to be the same in all processes
    :param presets_only: whether only presets have URLs: see ``image_attachment(variants=…)``.  Presets have other URLs
        then than without it, so that none of another variant stays good
    :param policy: the limits of what is decoded and made
    :param workers: how many are made at once; by default as many as there are processors
    :param max_pixels: how many pixels are made at once, all of them together; a larger variant is made alone
    :param max_waiting: how many may wait to be made; more requests are answered with 503
    :param patience: how long a request waits for its variant before it is answered with 503, in seconds
    :param max_variants: how many variants one original may have; more are not made
    :param keep_for: how long the variants of an original that was deleted are kept for pages in caches; they are left
        to the sweep of an audit then
    :raises TypeError: when ``secret`` is neither a text, nor bytes, nor several of them
    :raises ValueError: when a secret is missing or too short, or a number is not positive

    >>> Variants(secret="a secret of the application").presets_only
    False
    >>> Variants(secret="")
    Traceback (most recent call last):
    ValueError: expected a secret of at least 16 bytes, got 0; make one by ...
    """

    def __init__(
        self,
        secret: str | bytes | Sequence[str | bytes],
        *,
        presets_only: bool = False,
        policy: ImagePolicy | None = None,
        workers: int | None = None,
        max_pixels: int = 25_000_000,
        max_waiting: int = 100,
        patience: float = 10.0,
        max_variants: int = 200,
        keep_for: datetime.timedelta | None = None,
    ) -> None:
        workers = workers or os.cpu_count() or 1
        for name, value in (
            ("workers", workers),
            ("max_pixels", max_pixels),
            ("max_waiting", max_waiting),
            ("patience", patience),
            ("max_variants", max_variants),
        ):
            if value <= 0:
                raise ValueError(f"expected {name} to be positive, got {value!r}")
        secrets = [secret] if isinstance(secret, str | bytes) else secret
        self._signer = Signer(secrets, _PRESETS_ONLY if presets_only else b"")
        #: Whether only presets have URLs.
        self.presets_only = presets_only
        #: How long the variants of an original that was deleted are kept.
        self.keep_for = keep_for
        self.policy = limits_of(policy or ImagePolicy())
        self._patience = patience
        self._max_variants = max_variants
        self._line = Line(workers, max_pixels, max_waiting)
        self._refused: OrderedDict[FileKey, float] = OrderedDict()
        self._lock = threading.Lock()
        #: Reads the path of a variant: see :meth:`.Signer.read`.
        self.read = lru_cache(maxsize=4096)(self._signer.read)

    def urls(self, store: Store, original: FileKey, recipes: Sequence[Recipe]) -> list[str]:
        """Make the URLs of some variants of one original; nothing is asked about whether they are there.

        :param store: the store of the original
        :param original: the key of the original
        :param recipes: how each is made
        :returns: the URL of each
        :raises ValueError: when a URL would be too long
        """
        folder = folder_of_variants(original)
        base: str = store.base_url  # type: ignore[attr-defined]  # every store that takes variants= has it
        before, sign, at = base + quote(folder), self._signer.sign, len(folder)
        # After the folder there is nothing to quote.
        return [before + sign(folder, *written(recipe))[at:] for recipe in recipes]

    def open(self, store: Store, original: FileKey, recipe: Recipe) -> IO[bytes]:
        """Open a variant, which is made first where the store does not have it.

        :param store: the store of the original
        :param original: the key of the original
        :param recipe: how it is made
        :returns: a readable binary file, which the caller closes
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have the original
        :raises InvalidImageError: when the original cannot be decoded
        :raises OSError: when the store fails, or too many wait
        """
        path = self._signer.sign(folder_of_variants(original), *written(recipe))
        signed = self.read(path)
        assert signed is not None
        file = _opened(store, signed.key)
        if file is None:
            try:
                self.start(store, signed).result(self._patience)
            except NotServed as error:
                raise _reason_of(error) from error
            file = _opened(store, signed.key)
        if file is None:
            raise ImageNotFoundError(f"{store!r} has no such file: {name_of(original)!r}")
        return file

    def prepare(self, store: Store, original: FileKey, recipe: Recipe) -> bool:
        """Make a variant before it is asked for, in this thread, unless the store has it.

        :param store: the store of the original
        :param original: the key of the original
        :param recipe: how it is made
        :returns: whether it was made
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have the original
        :raises InvalidImageError: when the original cannot be decoded
        :raises OSError: when the store fails
        """
        signed = self.read(self._signer.sign(folder_of_variants(original), *written(recipe)))
        assert signed is not None
        try:
            return self._make(store, signed, thorough=True)
        except NotServed as error:
            raise _reason_of(error) from error

    def pending(self, store: Store, signed: SignedName) -> Pending:
        """Have a variant made for a request.

        :param store: the store of the original
        :param signed: its name
        :returns: what the request waits for
        :raises NotServed: when it is not made
        """
        return Pending(self.start(store, signed), self._patience)

    def start(self, store: Store, signed: SignedName) -> Future[None]:
        """Have a variant made, unless it is being made already.

        :param store: the store of the original
        :param signed: its name
        :returns: what ends when it is there, or with :exc:`.NotServed`
        :raises NotServed: when it is not made
        """
        if self._refused.get(signed.key, 0.0) > time.monotonic():
            raise _undecodable()
        try:
            return self._line.enter(
                (id(store), signed.key), signed.key.width * signed.key.height, partial(self._make, store, signed)
            )
        except Full:
            raise NotServed(503, [("Retry-After", "2"), _NO_STORE]) from None

    def _make(self, store: Store, signed: SignedName, *, thorough: bool = False) -> bool:
        try:
            with store.alone(signed.key):
                # It may have been made since it was looked for.
                if _has(store, signed.key) or self._adopted(store, signed):
                    return False
                self._put(store, signed, thorough)
                return True
        except InvalidImageError as error:
            if error.reason in _NO_FAULT_OF_THE_IMAGE:
                _log.warning("%r is not made: %s", name_of(signed.key), error)
                raise NotServed(503, [("Retry-After", "5"), _NO_STORE]) from error
            with self._lock:
                self._refused[signed.key] = time.monotonic() + _SECONDS_REFUSED
                while len(self._refused) > _REFUSED:
                    self._refused.popitem(last=False)
            raise _undecodable() from error
        except OSError as error:
            if is_missing(error):
                raise NotServed(404, [_NO_STORE]) from error
            _log.exception("%r cannot be made", name_of(signed.key))
            raise NotServed(503, [("Retry-After", "5"), _NO_STORE]) from error

    def _put(self, store: Store, signed: SignedName, thorough: bool) -> None:
        key, original = signed.key, signed.original
        with closing(store.get_key(original)) as opened, closing(seekable(opened)) as file:
            made = make(file, signed.recipe, original[2:4], self.policy, thorough=thorough)
        with closing(made):
            if self._are_too_many(store, original):
                _log.warning("%r has %d variants, and gets no more", name_of(original), self._max_variants)
                raise NotServed(404, [_NO_STORE])
            store.put_key(made, key, True)
        if not _has(store, original):
            # It was deleted meanwhile, and its variants with it.
            store.delete_key(key)
            raise NotServed(404, [_NO_STORE])

    def _adopted(self, store: Store, signed: SignedName) -> bool:
        """Take over what was made under an older secret."""
        for former in signed.former_keys:
            if holds(store, former):
                store.rename_key(former, signed.key)
                return _has(store, signed.key)
        return False

    def _are_too_many(self, store: Store, original: FileKey) -> bool:
        try:
            return sum(1 for file in store.list_variants(original) if file.key is not None) >= self._max_variants
        except NotImplementedError:
            return False


def _opened(store: Store, key: FileKey) -> IO[bytes] | None:
    """Open a file that is there, and not empty."""
    try:
        file = store.get_key(key)
    except OSError as error:
        if is_missing(error):
            return None
        raise
    try:
        file = seekable(file)
        if file.read(1):
            file.seek(0)
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _has(store: Store, key: FileKey) -> bool:
    file = _opened(store, key)
    if file is None:
        return False
    file.close()
    return True


def _reason_of(error: NotServed) -> BaseException:
    return error.__cause__ or OSError(str(error))


def _undecodable() -> NotServed:
    return NotServed(422, [("Cache-Control", f"public, max-age={int(_SECONDS_REFUSED)}")])


# object type / object id % 1000 / object id // 1000 / file: what lies deeper is a variant.
_DEPTH = 3


def with_variants(source: Source, store: Store) -> Source:
    """Have the variants of a store's files found where its files are.

    :param source: where the files of the store are found
    :param store: the store
    :returns: the same source when the store makes no variants, or another engine does
    """
    return _VariantSource(source, store, store.variants) if isinstance(store.variants, Variants) else source


class _VariantSource:
    """The files of a store, and their variants."""

    def __init__(self, source: Source, store: Store, variants: Variants) -> None:
        self._source = source
        self._store = store
        self._variants = variants

    def find(self, name: str) -> Found | None:
        if name.count("/") <= _DEPTH:
            return self._source.find(name)
        signed = self._variants.read(name)
        if signed is None:
            return None
        # Under whichever secret it was signed, there is one file.
        found = self._source.find(signed.name)
        if found is not None:
            if found.size != 0:
                return found
            found.close()
        raise self._variants.pending(self._store, signed)

    def url(self, name: str) -> str | None:
        # The store's own URL would be answered with 404 until the variant was made.
        return None if name.count("/") > _DEPTH else self._source.url(name)
