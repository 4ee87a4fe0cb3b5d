"""Deleting a file together with what was made of it.

It must always be true that a file goes before its variants: a maker that puts one meanwhile looks for the original
after that, and takes it back.
"""

from __future__ import annotations

from ..naming import FileKey
from ..store import Store
from .maker import Variants

__all__ = ("delete_variants", "delete_with_variants")


def delete_with_variants(store: Store, key: FileKey) -> None:
    """Delete a file, and then its variants.

    :param store: the store that has it
    :param key: the file's key
    :raises OSError: when something is there, and stays
    """
    store.delete_key(key)
    delete_variants(store, key)


def delete_variants(store: Store, key: FileKey) -> None:
    """Delete the variants of a file, unless they are kept for a while, or not made by the store at all.

    :param store: the store that has them
    :param key: the key of their original
    :raises OSError: when one is there, and stays
    """
    if isinstance(store.variants, Variants) and store.variants.keep_for is None:
        store.delete_variants(key)
