"""Millions of rows: what audit, migration and thumbnails share, and thumbnails of all originals.

::

    arguments     sessions, image classes, workers and callbacks, checked
    batches       reading all images, a few at a time
    image_sets    originals with their image sets and owners
    keys          ranges of primary keys, and how they are written down
    stretches     which rows a run goes over, and from where
    checkpoint    how far a run came, in a file
    copying       one file from store to store
    comparison    rows against files, in a bounded part of memory
    selection     which rows and which files an audit compares
    orphans       files without a row, and removing them
    thumbnails/   making thumbnails of all originals, and deleting them
"""

from __future__ import annotations

from .batches import key_ranges
from .keys import KeyRange

__all__ = ("KeyRange", "key_ranges")
