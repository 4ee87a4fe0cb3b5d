"""Where variants are found that are served: in their store, and if they are not there, they are made.

It must always be true that

- a path that is not signed is answered without a look at the store;
- a variant that is there costs one opening, and nothing else.
"""

from __future__ import annotations

from ..serving.resources import Found, Source
from ..store import Store
from .maker import Variants

__all__ = ("with_variants",)

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
