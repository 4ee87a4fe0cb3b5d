"""Which types of images there are, and what each is called.

Stores name files by :data:`SUFFIXES`, so a change of an entry makes stored files of that type unfindable: entries are
only ever added. The table does not ask the machine (:mod:`mimetypes` reads files that differ between systems); it
covers what this library reads, and what rows may hold that were made by something else: every type that a build of
libvips, Pillow or ImageMagick can name.

Nothing here imports an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ("ALL_TYPES", "ANIMATED_TYPES", "SUFFIXES", "VECTOR_TYPES", "thumbnail_type")

#: The file name suffix of each type, with its dot.
SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        # Read by this library. ".jpe" is not the usual suffix of JPEG, but the one of every file that was ever stored.
        "application/pdf": ".pdf",
        "image/avif": ".avif",
        "image/bmp": ".bmp",
        "image/gif": ".gif",
        "image/heic": ".heic",
        "image/jpeg": ".jpe",
        "image/png": ".png",
        "image/svg+xml": ".svg",
        "image/tiff": ".tiff",
        "image/webp": ".webp",
        # Other names of these.
        "image/apng": ".png",
        "image/avif-sequence": ".avifs",
        "image/heic-sequence": ".heics",
        "image/heif": ".heif",
        "image/heif-sequence": ".heifs",
        "image/jpg": ".jpe",
        "image/mpo": ".mpo",
        "image/pjpeg": ".jpe",
        "image/svg": ".svg",
        "image/vnd.mozilla.apng": ".png",
        "image/x-bmp": ".bmp",
        "image/x-ms-bmp": ".bmp",
        "image/x-png": ".png",
        "image/x-webp": ".webp",
        # Not read by the wheels that this library depends on, but by some build of an engine.
        "application/dicom": ".dcm",
        "application/postscript": ".ps",
        "image/fits": ".fits",
        "image/icns": ".icns",
        "image/j2c": ".j2c",
        "image/jp2": ".jp2",
        "image/jls": ".jls",
        "image/jph": ".jph",
        "image/jpm": ".jpm",
        "image/jpx": ".jpx",
        "image/jxl": ".jxl",
        "image/jxr": ".jxr",
        "image/ktx": ".ktx",
        "image/ktx2": ".ktx2",
        "image/palm": ".palm",
        "image/qoi": ".qoi",
        "image/sgi": ".sgi",
        "image/vnd.adobe.photoshop": ".psd",
        "image/vnd.djvu": ".djvu",
        "image/vnd.microsoft.icon": ".ico",
        "image/vnd.ms-dds": ".dds",
        "image/vnd.ms-photo": ".wdp",
        "image/vnd.radiance": ".hdr",
        "image/vnd.wap.wbmp": ".wbmp",
        "image/wmf": ".wmf",
        "image/emf": ".emf",
        "image/x-adobe-dng": ".dng",
        "image/x-canon-cr2": ".cr2",
        "image/x-canon-cr3": ".cr3",
        "image/x-cur": ".cur",
        "image/x-dds": ".dds",
        "image/x-exr": ".exr",
        "image/x-fuji-raf": ".raf",
        "image/x-icon": ".ico",
        "image/x-nifti": ".nii",
        "image/x-nikon-nef": ".nef",
        "image/x-olympus-orf": ".orf",
        "image/x-panasonic-rw2": ".rw2",
        "image/x-pcx": ".pcx",
        "image/x-pentax-pef": ".pef",
        "image/x-portable-anymap": ".pnm",
        "image/x-portable-bitmap": ".pbm",
        "image/x-portable-floatmap": ".pfm",
        "image/x-portable-graymap": ".pgm",
        "image/x-portable-pixmap": ".ppm",
        "image/x-qoi": ".qoi",
        "image/x-rgb": ".rgb",
        "image/x-sgi": ".sgi",
        "image/x-sony-arw": ".arw",
        "image/x-tga": ".tga",
        "image/x-vips": ".v",
        "image/x-xbitmap": ".xbm",
        "image/x-xpixmap": ".xpm",
        "image/xbm": ".xbm",
        "image/xpm": ".xpm",
    }
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

#: Types without pixels of their own.
VECTOR_TYPES = frozenset({"application/pdf", "image/svg+xml"})

#: Types whose thumbnails may have several frames.
ANIMATED_TYPES = frozenset({"image/avif", "image/gif", "image/png", "image/webp"})


def thumbnail_type(mimetype: str) -> str:
    """Tells the type of the thumbnails of an image: the type of the image where a browser can show it.

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
