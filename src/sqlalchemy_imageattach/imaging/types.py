"""Which types of images there are, and what each is called.

The suffix of each type is in :mod:`sqlalchemy_imageattach.naming`, for stores name files by it.

Nothing here imports an engine.
"""

from __future__ import annotations

__all__ = (
    "ALL_TYPES",
    "ANIMATED_TYPES",
    "READERS",
    "VECTOR_TYPES",
    "thumbnail_type",
)


#: Every type that this library reads, two of them with an extra: ``image/heic`` (``heif``) and ``application/pdf``
#: (``pdf``).
ALL_TYPES = frozenset(
    {
        "application/pdf",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/heic",
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "image/tiff",
        "image/webp",
    }
)

#: The module that reads a type that not every installation reads, and what to install for it.
READERS = {
    "application/pdf": ("pypdfium2", "SQLAlchemy-ImageAttach[pdf]"),
    "image/heic": ("pillow_heif", "SQLAlchemy-ImageAttach[heif]"),
    "image/svg+xml": ("pyvips", "pyvips[binary]"),
}

#: Types without pixels of their own.
VECTOR_TYPES = frozenset({"application/pdf", "image/svg+xml"})

#: Types whose thumbnails may have several frames.
ANIMATED_TYPES = frozenset({"image/avif", "image/gif", "image/png", "image/webp"})


def thumbnail_type(mimetype: str) -> str:
    """Tell the type of the thumbnails of an image: the type of the image where a browser can show it.

    Vector images become PNG, which keeps their sharp edges and their transparency.  HEIC becomes JPEG, as only one
    browser shows it. TIFF and BMP keep their type although few browsers show TIFF: they are attached where exact
    pixels matter.

    :param mimetype: the type of the original
    :returns: the type of its thumbnails

    >>> thumbnail_type("image/svg+xml"), thumbnail_type("image/webp")
    ('image/png', 'image/webp')
    """
    if mimetype in VECTOR_TYPES:
        return "image/png"
    return "image/jpeg" if mimetype == "image/heic" else mimetype
