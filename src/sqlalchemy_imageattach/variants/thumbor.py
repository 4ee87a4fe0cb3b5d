"""Another engine behind the same templates: `thumbor <https://www.thumbor.org/>`_, a server of its own.

::

    store.variants = ThumborVariants("https://thumbor.example.com", key="thumbor's SECURITY_KEY")

It fetches originals by their URLs, and caches what it makes where it is configured to.  Nothing of a variant is in the
store then.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from urllib.parse import quote

from ..naming import FileKey
from ..store import Store
from .recipe import Recipe

__all__ = ("ThumborVariants",)

_FORMATS = {
    "image/avif": "avif",
    "image/gif": "gif",
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
}


class ThumborVariants:
    """Makes URLs of a thumbor server; given to a store as ``variants=``.

    :param server: the server's URL
    :param key: its ``SECURITY_KEY``
    :raises ValueError: when the key is empty

    >>> from sqlalchemy_imageattach.stores.fs import FileSystemStore
    >>> thumbor = ThumborVariants("https://thumbor.example.com", "secret")
    >>> store = FileSystemStore("userimages", "https://example.com/images/", variants=thumbor)
    >>> original = FileKey("user", 1, 640, 480, "image/png", "k3v9q2")
    >>> thumbor.urls(store, original, [Recipe(64, 48, "image/webp", quality=82)])
    ['https://thumbor.example.com/.../64x48/filters:stretch():quality(82):format(webp)/https://example.com/images/user/1/0/...']
    """

    presets_only = False

    def __init__(self, server: str, key: str) -> None:
        if not key:
            raise ValueError("expected thumbor's SECURITY_KEY, got an empty text; without it, everybody has it work")
        self._server = server.rstrip("/")
        self._key = key.encode()

    def urls(self, store: Store, original: FileKey, recipes: Sequence[Recipe]) -> list[str]:
        """Make the URLs of some variants of one original; nothing is asked about whether they are there.

        :param store: the store of the original, whose URLs thumbor can open
        :param original: the key of the original
        :param recipes: how each is made
        :returns: the URL of each
        :raises ValueError: for a type that thumbor does not make
        """
        # A question mark would begin the query of thumbor's own URL.
        source = quote(store.url_of_key(original), safe=":/%")
        return [self._signed(f"{_path_of(recipe)}/{source}") for recipe in recipes]

    def _signed(self, path: str) -> str:
        signature = base64.urlsafe_b64encode(hmac.digest(self._key, path.encode(), "sha1")).decode()
        return f"{self._server}/{signature}/{path}"


def _path_of(recipe: Recipe) -> str:
    """The part of a path that says what to do; `its order`__ is fixed.

    __ https://thumbor.readthedocs.io/en/latest/usage.html
    """
    if recipe.mimetype not in _FORMATS:
        raise ValueError(f"expected a type that thumbor makes, got {recipe.mimetype!r}; give a format")
    parts = []
    if recipe.window is not None:
        left, top, width, height = recipe.window
        parts.append(f"{left}x{top}:{left + width}x{top + height}")
    if recipe.padded:
        parts.append("fit-in")
    parts.append(f"{recipe.width}x{recipe.height}")
    if recipe.attention:
        parts.append("smart")
    filters = []
    if recipe.padded:
        filters.append(f"fill({recipe.background or 'ffffff'},1)")
    elif recipe.background is not None:
        filters.append(f"background_color({recipe.background})")
    if not (recipe.padded or recipe.attention):
        # Its size has the shape of its window but for a part of a pixel, or is meant to be stretched.
        filters.append("stretch()")
    if recipe.quality:
        filters.append(f"quality({recipe.quality})")
    if recipe.first_frame:
        filters.append("cover()")
    filters.append(f"format({_FORMATS[recipe.mimetype]})")
    return "/".join([*parts, "filters:" + ":".join(filters)])
