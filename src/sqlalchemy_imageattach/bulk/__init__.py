"""Millions of rows: what audit, migration and rebuilding share.

::

    batches       reading all images, a few at a time
    keys          ranges of primary keys, and how they are written down
    checkpoint    how far a run came, in a file
    copying       one file from store to store
    comparison    rows against files, in a bounded part of memory
    selection     which rows and which files an audit compares
"""

from __future__ import annotations

from .batches import key_ranges
from .keys import KeyRange

__all__ = ("KeyRange", "key_ranges")
