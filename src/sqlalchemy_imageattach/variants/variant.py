"""A variant: a picture that was made of another, or will be when it is first asked for.

A :class:`Variant` is computed from the row of its original, and has what an
:class:`~sqlalchemy_imageattach.entity.Image` has.  It must always be true that

- nothing but its bytes costs a look at a store, a database or a decoder;
- its size is that of its file, to the pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, Protocol, cast

from markupsafe import Markup

from ..concurrency import call, run
from ..context import current_store
from ..file import seekable
from ..imaging import ImagePolicy
from ..imaging.policy import limits_of
from ..imaging.types import VECTOR_TYPES
from ..naming import FileKey
from ..store import Store
from .geometry import fitted
from .html import img
from .making import make
from .recipe import Recipe, recipe_of, type_of
from .transform import Transform

__all__ = ("Original", "Variant", "VariantUrls", "makes_none", "urls_of", "variant_of")

#: What an image further down the page should have.
_IMG_ATTRIBUTES = {"alt": "", "loading": "lazy", "decoding": "async"}


class VariantUrls(Protocol):
    """What stands behind the URLs of variants: :class:`.Variants`, or another engine.

    A store has one as its attribute ``variants``.
    """

    @property
    def presets_only(self) -> bool:
        """Whether only presets have URLs."""
        ...

    def urls(self, store: Store, original: FileKey, recipes: Sequence[Recipe]) -> list[str]:
        """Make the URLs of some variants of one original; nothing is asked about whether they are there.

        :param store: the store of the original
        :param original: the key of the original
        :param recipes: how each is made
        :returns: the URL of each
        :raises ValueError: when there cannot be such a variant
        """
        ...


@dataclass(frozen=True, slots=True)
class Original:
    """What the row of an image says of it."""

    key: FileKey
    #: How many frames it has; ``None`` where the row does not say.
    frames: int | None = None
    #: The point that crops keep, each coordinate from 0 to 1.
    focal: tuple[float, float] | None = None
    #: When the row was made, for rows without a revision.
    stamp: str | None = None
    #: Finds the store itself behind what a caller passed.
    find_store: Callable[[Store], Store] = field(default=lambda store: store, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Variant:
    """A picture of another size, shape or type than its original, made when it is first asked for.

    It is what ``user.picture.variant(…)`` returns.
    """

    original: Original
    recipe: Recipe
    #: The name of the preset that it is.
    preset: str | None = None

    @property
    def width(self) -> int:
        """The width in pixels."""
        return self.recipe.width

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.recipe.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.recipe.width, self.recipe.height

    @property
    def mimetype(self) -> str:
        """The type, such as ``'image/webp'``."""
        return self.recipe.mimetype

    def locate(self, store: Store = current_store) -> str:
        """The variant's URL.  No store is asked for it, nor the database.

        :param store: the store of the original; by default the current one, else the one that it was attached with
        :returns: the URL
        :raises ContextError: when there is no store
        :raises ValueError: when the store makes no variants
        """
        return urls_of(self.original, [self.recipe], store, self.preset)[0]

    def open_file(self, store: Store = current_store) -> IO[bytes]:
        """Open the variant's bytes, which are made first where the store does not have them.

        A store without ``variants=`` keeps nothing of them, nor one with presets only, but for presets.

        :param store: the store of the original; by default the current one, else the one that it was attached with
        :returns: a readable binary file, which the caller closes; also a context manager
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have the original
        :raises InvalidImageError: when the original cannot be decoded
        :raises ContextError: when there is no store
        """
        store = self.original.find_store(store)
        opener = getattr(store.variants, "open", None)
        if opener is not None and self._may_be_kept(store):
            return cast("IO[bytes]", call(opener, store, self.original.key, self.recipe))
        return call(_made, store, self.original.key, self.recipe)

    def make_blob(self, store: Store = current_store) -> bytes:
        """Read the variant's bytes, which are made first where the store does not have them.

        :param store: the store of the original; by default the current one, else the one that it was attached with
        :returns: its bytes
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have the original
        :raises InvalidImageError: when the original cannot be decoded
        :raises ContextError: when there is no store
        """
        with self.open_file(store) as file:
            return call(file.read)

    def prepare(self, store: Store = current_store) -> bool:
        """Make the variant before it is asked for, unless the store has it: for workers, which have more time.

        :param store: the store of the original; by default the current one, else the one that it was attached with
        :returns: whether it was made
        :raises ImageNotFoundError: (an :exc:`OSError`) when the store does not have the original
        :raises InvalidImageError: when the original cannot be decoded
        :raises ContextError: when there is no store
        :raises ValueError: when the store makes no variants
        """
        store = self.original.find_store(store)
        prepare = getattr(store.variants, "prepare", None)
        if prepare is None:
            raise makes_none(store)
        if not self._may_be_kept(store):
            raise _makes_presets_only(store)
        return cast("bool", call(prepare, store, self.original.key, self.recipe))

    async def aprepare(self, store: Store = current_store) -> bool:
        """Await :meth:`prepare`."""
        return await run(self.prepare, store)

    async def aopen_file(self, store: Store = current_store) -> IO[bytes]:
        """Await :meth:`open_file`."""
        return await run(self.open_file, store)

    async def amake_blob(self, store: Store = current_store) -> bytes:
        """Await :meth:`make_blob`."""
        return await run(self.make_blob, store)

    def _may_be_kept(self, store: Store) -> bool:
        return self.preset is not None or not cast("VariantUrls", store.variants).presets_only

    def img(self, **attributes: object) -> Markup:
        """The variant as an ``<img>`` element, loaded lazily and with its size, for templates.

        :param attributes: HTML attributes, such as ``alt``; one named like a Python keyword with ``_`` behind it
        :returns: the element, escaped
        :raises ContextError: when there is no store
        :raises ValueError: when the store makes no variants
        """
        return img(self.locate(), self.width, self.height, **_IMG_ATTRIBUTES | attributes)

    def __html__(self) -> str:
        return img(self.locate(), self.width, self.height)


def variant_of(original: Original, transform: Transform, max_pixels: int, preset: str | None) -> Variant:
    """Make a variant of what a row says.

    :param original: what the row says
    :param transform: what is asked for
    :param max_pixels: how many pixels it may have
    :param preset: the name of the preset that it is
    :returns: the variant
    :raises ValueError: when it would have more pixels, or cannot be made of such an original
    """
    key = original.key
    fit = fitted(transform, key[2:4], original.focal, key.mimetype in VECTOR_TYPES)
    if fit.width * fit.height > max_pixels:
        raise ValueError(f"expected at most {max_pixels} pixels, got {fit.width}x{fit.height}; ask for a smaller size")
    recipe = recipe_of(transform, fit, key.mimetype, type_of(transform, key.mimetype), original.stamp)
    return Variant(original, recipe, preset)


def urls_of(original: Original, recipes: Sequence[Recipe], store: Store, preset: str | None) -> list[str]:
    """Make the URLs of some variants of one original.

    :param original: the original
    :param recipes: how each is made
    :param store: what the caller gave as the store of the original
    :param preset: the name of the preset that they are
    :returns: the URL of each
    :raises ValueError: when the store makes no variants, or none but presets
    """
    store = original.find_store(store)
    variants = cast("VariantUrls | None", store.variants)
    if variants is None:
        raise makes_none(store)
    if preset is None and variants.presets_only:
        raise _makes_presets_only(store)
    return variants.urls(store, original.key, recipes)


def makes_none(store: Store) -> ValueError:
    """The error for a store that makes no variants.

    :param store: the store
    """
    return ValueError(
        f"expected a store that makes variants, got {store!r}; make it with variants=Variants(secret=...)"
    )


def _makes_presets_only(store: Store) -> ValueError:
    return ValueError(f"expected a preset, got another variant; {store!r} makes presets only (presets_only=True)")


def _made(store: Store, original: FileKey, recipe: Recipe) -> IO[bytes]:
    with closing(store.get_key(original)) as opened, closing(seekable(opened)) as file:
        return make(file, recipe, original[2:4], limits_of(ImagePolicy()))
