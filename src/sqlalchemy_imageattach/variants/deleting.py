"""Deleting a file together with what was made of it.

It must always be true that a file goes before its variants: a maker that puts one meanwhile looks for the original
after that, and takes it back.
"""

from __future__ import annotations

import contextlib
import datetime
from contextlib import closing

from ..naming import FileKey
from ..store import Store

__all__ = ("delete_variants", "delete_with_variants", "kept_for")


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
    makes, keep_for = _kept_for(store)
    if not makes:
        return
    if keep_for is None:
        store.delete_variants(key)
        return
    with contextlib.suppress(NotImplementedError):
        for variant in store.list_variants(key):
            if variant.key is not None:
                # Put again, so that they are as old as the deletion of their original: the audit counts from there.
                with closing(store.get_key(variant.key)) as file:
                    store.put_key(file, variant.key, True)


def kept_for(store: Store) -> datetime.timedelta:
    """Tell how long the variants of what was deleted are kept.

    :param store: a store
    :returns: no time at all for a store that deletes them with their original

    >>> from sqlalchemy_imageattach.stores.memory import MemoryStore
    >>> kept_for(MemoryStore())
    datetime.timedelta(0)
    """
    return _kept_for(store)[1] or datetime.timedelta(0)


def _kept_for(store: Store) -> tuple[bool, datetime.timedelta | None]:
    """Whether a store makes variants, and how long it keeps those of what was deleted."""
    if store.variants is None:
        return False, None
    from .maker import Variants  # with all that decodes, which a store without variants can do without

    return (True, store.variants.keep_for) if isinstance(store.variants, Variants) else (False, None)
