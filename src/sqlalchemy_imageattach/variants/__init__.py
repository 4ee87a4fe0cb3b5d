"""Every size by URL: variants of images, made when they are first asked for.

::

    __init__    the face
    transform   what an application asks for
    geometry    which part of an original that is, and how large
    recipe      what is left to do, and how it is written in a name
    signing     the whole name, signed
    variant     a picture that was made of another, or will be
    markup      srcset, <picture>, <link>
    html        elements, escaped
    making      the bytes
    line        who makes them, one at a time
    maker       URLs, the making when they are asked for, and where a server finds them
    deleting    a file goes, and what was made of it
    thumbor     another engine behind the same templates

It must always be true that a page costs no query, no look at a store and no decoding: a name says all that is to be
done, and the first request for it has that done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util import import_late

if TYPE_CHECKING:
    from .maker import Variants
    from .thumbor import ThumborVariants
    from .transform import Source, Transform
    from .variant import Variant
else:
    __getattr__, __dir__ = import_late(
        __name__,
        {
            "Source": ".transform",
            "ThumborVariants": ".thumbor",
            "Transform": ".transform",
            "Variant": ".variant",
            "Variants": ".maker",
        },
    )

__all__ = ("Source", "ThumborVariants", "Transform", "Variant", "Variants")
