"""What stored files are called.

A file's name is a relative path made of its key, the same on every machine::

    user-picture/42/17/17042.640x480.k3v9q2.jpe
    └ object type │  │ │     │       │      └ by the mimetype, from one table
                  │  │ │     │       └ revision, left out by rows that have none
                  │  │ │     └ width x height
                  │  │ └ object id
                  │  └ object id // 1000
                  └ object id % 1000

A *variant* is a file that was made of another and has no row.  It lies in a folder that is named after its original,
the last dot a hyphen; what follows its size is the business of :mod:`sqlalchemy_imageattach.variants`::

    user-picture/42/17/17042.4032x3024.k3v9q2-jpe/640x480-c0.378.3024.2268.2f1c….avif

Its key has a revision that no row has: what names its original and what follows its size, with ``_`` between them.

The table of suffixes does not ask the machine: :mod:`mimetypes` reads files that differ between systems.  It covers
what this library reads, and what rows may hold that something else made: every type that a build of libvips, Pillow or
ImageMagick can name.  A changed entry would make stored files of that type unfindable: entries are only ever added.

Names are the only way from identifiers or a URL to a file, and :func:`path_of` is the only way from a name to a path.
It must always be true that

- ``key_of(name_of(key))`` is the key, but for mimetypes that are other names of the same type;
- no name leads out of a folder, or to a file whose name begins with a dot.
"""

from __future__ import annotations

import datetime
import operator
import os
import re
import string
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import quote

__all__ = (
    "SUFFIXES",
    "VARIANT_SUFFIXES",
    "FileKey",
    "StorableImage",
    "folder_of_variants",
    "former_names_of",
    "guess_extension",
    "key_of",
    "mimetype_of",
    "name_of",
    "new_revision",
    "original_of",
    "path_of",
    "url_path_of",
)

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

# The first of several types with one suffix is the one that this library reads and writes.
_MIMETYPES = {suffix: mimetype for mimetype, suffix in reversed(list(SUFFIXES.items()))}

# The original library asked the machine's mime.types.  Where that put another suffix first, or had no such type at all,
# and Python neither, its files are called so: 1.640x480None.
_FORMER_SUFFIXES = {"image/svg+xml": (".svgz", "None"), "image/tiff": (".tif", "None")}
# Those that Python's own table has had for ever.
_NEVER_UNKNOWN = frozenset({"application/pdf", "image/gif", "image/jpeg", "image/png"})
_ANY_TYPE = re.compile(r"image/[a-z0-9][a-z0-9.+-]*")

#: The suffix of each type that a variant may have: those that static servers know.
VARIANT_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        "image/avif": ".avif",
        "image/bmp": ".bmp",
        "image/gif": ".gif",
        "image/jpeg": ".jpg",
        "image/png": ".png",
        "image/tiff": ".tiff",
        "image/webp": ".webp",
    }
)
_VARIANT_TYPES = {suffix: mimetype for mimetype, suffix in VARIANT_SUFFIXES.items()}

_FILE_NAME = re.compile(r"(-?[0-9]{1,200})\.([0-9]{1,20})x([0-9]{1,20})(?:\.([0-9a-z]+))?(\.[0-9a-z]+)")
_REVISION = re.compile(r"[0-9a-z]+")
_VARIANT_NAME = re.compile(r"([0-9]{1,20})x([0-9]{1,20})([.-][0-9a-z.-]{1,200})(\.[a-z]+)")
_VARIANT_REVISION = re.compile(r"([0-9]{1,20}x[0-9]{1,20}(?:\.[0-9a-z]+)?)-([0-9a-z]+)_([.-][0-9a-z.-]{1,200})")

_ALPHABET = string.ascii_lowercase + string.digits


class StorableImage(Protocol):
    """What a store asks of an image, as :class:`~sqlalchemy_imageattach.entity.Image` has it."""

    @property
    def object_type(self) -> str: ...
    @property
    def object_id(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def mimetype(self) -> str: ...
    @property
    def original(self) -> bool: ...
    @property
    def created_at(self) -> datetime.datetime: ...


class FileKey(NamedTuple):
    """The identifiers of one stored file, in the order in which a store's methods take them."""

    object_type: str
    object_id: int
    width: int
    height: int
    mimetype: str
    revision: str | None = None

    def __str__(self) -> str:
        """Describe the file for people.

        >>> str(FileKey("user-picture", 1, 640, 480, "image/png", "k3v9q2"))
        'user-picture 1, 640x480, image/png, k3v9q2'
        """
        revision = "" if self.revision is None else f", {self.revision}"
        return f"{self.object_type} {self.object_id}, {self.width}x{self.height}, {self.mimetype}{revision}"

    @classmethod
    def of(cls, image: StorableImage) -> Self:
        """Make the key of an image.

        :param image: an :class:`~sqlalchemy_imageattach.entity.Image`, or anything with its attributes ``object_type``,
            ``object_id``, ``width``, ``height`` and ``mimetype``, and ``revision`` where it has one
        :returns: the key of its file
        :raises TypeError: when one of these attributes is missing, unset or of another type

        >>> from types import SimpleNamespace
        >>> picture = SimpleNamespace(object_type="user", object_id=1, width=640, height=480, mimetype="image/png")
        >>> FileKey.of(picture)[:4]
        ('user', 1, 640, 480)
        """
        make = getattr(image, "__file_key__", None)
        key: Self | None = None if make is None else make()
        if key is not None:
            return key
        return cls(
            _text(image, "object_type"),
            _integer(image, "object_id"),
            _integer(image, "width"),
            _integer(image, "height"),
            _text(image, "mimetype"),
            None if getattr(image, "revision", None) is None else _text(image, "revision"),
        )


def new_revision() -> str:
    """Make up a revision: ten random lower-case letters and digits.

    :returns: the revision

    >>> len(new_revision())
    10
    """
    # The last ten digits of 64 random bits, of one call: any of them is as likely as another, but for one in 5,000.
    number, text = int.from_bytes(os.urandom(8)), ""
    for _ in range(10):
        number, digit = divmod(number, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text


def guess_extension(mimetype: str) -> str:
    """Find the file name suffix of a type, from one table, whatever the machine has in its own.

    :param mimetype: e.g. ``'image/png'``
    :returns: the suffix with its dot
    :raises ValueError: when the type is not in :data:`~sqlalchemy_imageattach.naming.SUFFIXES`

    >>> guess_extension('image/png'), guess_extension('image/jpeg')
    ('.png', '.jpe')
    """
    try:
        return SUFFIXES[mimetype]
    except KeyError:
        raise ValueError(f"expected the mimetype of an image, such as 'image/png', not {mimetype!r}") from None


def name_of(key: FileKey) -> str:
    """Make the name of a file.

    :param key: the file's key
    :returns: a relative path, with slashes, not quoted
    :raises ValueError: when the key cannot be a name: an object type that is empty, begins with a dot or has a slash, a
        revision that is not lower-case letters and digits, an unknown mimetype

    >>> name_of(FileKey('user-picture', 17042, 640, 480, 'image/jpeg', 'k3v9q2'))
    'user-picture/42/17/17042.640x480.k3v9q2.jpe'
    """
    return _segment(key.object_type) + _below_type(key)


def url_path_of(key: FileKey) -> str:
    """Make the name of a file as it stands in a URL.

    :param key: the file's key
    :returns: what :func:`name_of` makes, quoted
    :raises ValueError: when the key cannot be a name

    >>> url_path_of(FileKey('Größe', 1, 640, 480, 'image/png'))
    'Gr%C3%B6%C3%9Fe/1/0/1.640x480.png'
    """
    return _quoted_segment(key.object_type) + _below_type(key)


def former_names_of(key: FileKey) -> list[str]:
    """Make the other names that the original library may have given a file, under which nothing is ever put.

    :param key: the file's key
    :returns: the names; none for a key with a revision
    :raises ValueError: when the key cannot be a name

    >>> former_names_of(FileKey('user-picture', 1, 640, 480, 'image/webp'))
    ['user-picture/1/0/1.640x480None']
    """
    if key.revision is not None or key.mimetype in _NEVER_UNKNOWN:
        return []
    name = name_of(key)
    suffix = _suffix_of(key)
    return [
        name.removesuffix(suffix) + each for each in _FORMER_SUFFIXES.get(key.mimetype, ("None",)) if each != suffix
    ]


def key_of(name: str) -> FileKey | None:
    """Read the key from a name.

    :param name: a relative path, with slashes, not quoted
    :returns: the key, or ``None`` for what :func:`name_of` would never make

    >>> key_of('user-picture/42/17/17042.640x480.k3v9q2.jpe').object_id
    17042
    >>> key_of('user-picture/README')
    """
    object_type, _, rest = name.partition("/")
    match = _FILE_NAME.fullmatch(rest.rpartition("/")[2])
    if match is None:
        return _key_of_variant(name)
    mimetype = _MIMETYPES.get(match[5])
    if mimetype is None or not _is_segment(object_type):
        return None
    key = FileKey(object_type, int(match[1]), int(match[2]), int(match[3]), mimetype, match[4])
    return key if name_of(key) == name else None


def original_of(key: FileKey) -> FileKey | None:
    """Tell which file a variant was made of.

    :param key: the key of any file
    :returns: the key of its original; ``None`` for an original and for a thumbnail, which have rows

    >>> variant = key_of('user/1/0/1.640x480.k3v9q2-png/64x48.2f1c.webp')
    >>> variant[2:]
    (64, 48, 'image/webp', '640x480.k3v9q2-png_.2f1c')
    >>> name_of(original_of(variant))
    'user/1/0/1.640x480.k3v9q2.png'
    """
    match = None if key.revision is None else _VARIANT_REVISION.fullmatch(key.revision)
    mimetype = None if match is None else _MIMETYPES.get(f".{match[2]}")
    if match is None or mimetype is None:
        return None
    size, _, revision = match[1].partition(".")
    width, _, height = size.partition("x")
    return FileKey(key.object_type, key.object_id, int(width), int(height), mimetype, revision or None)


def folder_of_variants(original: FileKey) -> str:
    """Make the name of the folder that an original's variants lie in.

    :param original: the key of the original
    :returns: a relative path, with slashes, not quoted
    :raises ValueError: when the key cannot be a name, or is that of a variant

    >>> folder_of_variants(FileKey('user', 1, 640, 480, 'image/png', 'k3v9q2'))
    'user/1/0/1.640x480.k3v9q2-png'
    """
    if original_of(original) is not None:
        raise ValueError(f"expected an original or a thumbnail, got a variant: {original!r}")
    stem, _, suffix = name_of(original).rpartition(".")
    return f"{stem}-{suffix}"


def mimetype_of(name: str) -> str | None:
    """Read the type of an image from its file's name.

    :param name: a relative path, or a name; from anybody
    :returns: the mimetype, or ``None`` when the suffix is none of an image

    >>> mimetype_of('1.640x480.jpe')
    'image/jpeg'
    """
    suffix = name[name.rfind(".") :].lower()
    return _MIMETYPES.get(suffix) or _VARIANT_TYPES.get(suffix)


def path_of(folder: str, name: str) -> str | None:
    """Make the path of a file in a folder; there is no other way from a name or a URL to a path.

    The folder may still have symbolic links in it: a server for strangers has to look where an opened file really is.

    :param folder: the folder's path, without a slash at its end
    :param name: a relative path, with slashes, not quoted; from anybody
    :returns: the path, or ``None`` when a part of the name is empty, begins with a dot, or has a backslash or a null
        character

    >>> path_of('/images', 'a/b.png')
    '/images/a/b.png'
    >>> path_of('/images', '../secret')
    """
    rooted = f"/{name}"
    if "//" in rooted or "/." in rooted or "\\" in name or "\0" in name or rooted.endswith("/"):
        return None
    return folder + rooted


def _key_of_variant(name: str) -> FileKey | None:
    folder, _, last = name.rpartition("/")
    match = _VARIANT_NAME.fullmatch(last)
    stem, hyphen, suffix = folder.rpartition("-")
    original = key_of(f"{stem}.{suffix}") if match is not None and hyphen and suffix.isalnum() else None
    if match is None or original is None or match[4] not in _VARIANT_TYPES:
        return None
    before = folder.rpartition("/")[2].removeprefix(f"{original.object_id}.")
    mimetype, revision = _VARIANT_TYPES[match[4]], f"{before}_{match[3]}"
    key = original._replace(width=int(match[1]), height=int(match[2]), mimetype=mimetype, revision=revision)
    return key if _VARIANT_REVISION.fullmatch(revision) and name_of(key) == name else None


@lru_cache(1024)
def _segment(object_type: str) -> str:
    if not _is_segment(object_type):
        raise ValueError(
            "expected an object type that is not empty, does not begin with a dot, and has no slash, backslash or null"
            f" character, not {object_type!r}"
        )
    return object_type


@lru_cache(1024)
def _quoted_segment(object_type: str) -> str:
    return quote(_segment(object_type))


def _below_type(key: FileKey) -> str:
    """What follows the object type in a name.  It has no character that URLs quote."""
    _, object_id, width, height, mimetype, revision = key
    folder = f"/{object_id % 1000}/{object_id // 1000}/{object_id}"
    if revision is None:
        return f"{folder}.{width}x{height}{_suffix_of(key)}"
    if _REVISION.fullmatch(revision):
        return f"{folder}.{width}x{height}.{revision}{SUFFIXES.get(mimetype) or guess_extension(mimetype)}"
    if _VARIANT_REVISION.fullmatch(revision) and mimetype in VARIANT_SUFFIXES:
        original, _, rest = revision.partition("_")
        return f"{folder}.{original}/{width}x{height}{rest}{VARIANT_SUFFIXES[mimetype]}"
    raise ValueError(f"expected a revision of lower-case letters and digits, not {revision!r}")


def _is_segment(text: str) -> bool:
    return text != "" and text[0] != "." and "/" not in text and "\\" not in text and "\0" not in text


def _attribute(image: object, name: str) -> Any:
    try:
        return getattr(image, name)
    except AttributeError as error:
        raise TypeError(f"expected an image, which has the attribute {name}, not {image!r}") from error


def _text(image: object, name: str) -> str:
    value = _attribute(image, name)
    if not isinstance(value, str):
        raise TypeError(f"{type(image).__qualname__}.{name} must be a str, not {value!r}")
    return value


def _integer(image: object, name: str) -> int:
    value = _attribute(image, name)
    if value is None:
        raise TypeError(
            f"{type(image).__qualname__}.{name} must be set; it is None (flush the session first, if it is a key)"
        )
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{type(image).__qualname__}.{name} must be an integer, not {value!r}")
    return number


def _suffix_of(key: FileKey) -> str:
    if key.revision is None and key.mimetype not in SUFFIXES and _ANY_TYPE.fullmatch(key.mimetype):
        # The original library took whatever name ImageMagick has for a type, such as image/bmp3.
        return "None"
    return guess_extension(key.mimetype)
