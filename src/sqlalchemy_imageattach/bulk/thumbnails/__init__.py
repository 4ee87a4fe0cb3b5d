"""Making thumbnails of all originals, and deleting those of a size.

::

    for original, thumbnails in make_thumbnails(session, Base, store, widths=[150, 600], only_missing=True):
        print(original.object_id, [thumbnail.size for thumbnail in thumbnails])

Presets of variants may be among the sizes: files without rows, which a page would have made when it is first seen.
Originals are read in the order of their keys; they are decoded in threads, with no transaction open; then some at once
are attached and committed.  It must always be true that

- memory does not grow with the number of images, nor the number of queries with that of images that have all sizes;
- rows are locked for no longer than it takes to store what was made: decoding is over by then;
- what was made of an original that was replaced meanwhile is thrown away;
- an image that cannot be decoded or stored keeps no other from being made;
- a checkpoint never says more than what was committed.
"""

from __future__ import annotations

from .dropping import drop_thumbnails
from .making import Made, make_thumbnails, thumbnails_job

__all__ = ("Made", "drop_thumbnails", "make_thumbnails", "thumbnails_job")
