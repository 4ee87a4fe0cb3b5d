"""What stored files are called.

A file's name is a relative path made of its key, the same on every machine::

    user-picture/42/17/17042.640x480.k3v9q2.jpe
    └ object type │  │ │     │       │      └ by the mimetype, from one table
                  │  │ │     │       └ revision, left out by rows that have none
                  │  │ │     └ width x height
                  │  │ └ object id
                  │  └ object id // 1000
                  └ object id % 1000

Names are the only way from identifiers or a URL to a file, and :func:`path_of` is the only way from a name to a path.
It must always be true that

- ``key_of(name_of(key))`` is the key, but for mimetypes that are other names of the same type;
- no name leads out of a folder, or to a file whose name begins with a dot.
"""

from __future__ import annotations

import re

from ..imaging.types import SUFFIXES
from ..store import FileKey

__all__ = ("former_names_of", "guess_extension", "key_of", "mimetype_of", "name_of", "path_of", "revision_of")

# The first of several types with one suffix is the one that this library reads and writes.
_MIMETYPES = {suffix: mimetype for mimetype, suffix in reversed(list(SUFFIXES.items()))}

# The original library asked the machine's mime.types.  Where that put another suffix first, or had no such type at all,
# and Python neither, its files are called so: 1.640x480None.
_FORMER_SUFFIXES = {
    "image/bmp": ("None",),
    "image/svg+xml": (".svgz", "None"),
    "image/tiff": (".tif",),
    "image/webp": ("None",),
    "image/x-icon": ("None",),
    "image/x-ms-bmp": ("None",),
    "image/x-webp": ("None",),
}

_FILE_NAME = re.compile(r"(-?[0-9]{1,200})\.([0-9]{1,20})x([0-9]{1,20})(?:\.([0-9a-z]+))?(\.[0-9a-z]+)")
_REVISION = re.compile(r"[0-9a-z]+")


def guess_extension(mimetype: str) -> str:
    """Find the file name suffix of a type, from one table, whatever the machine has in its own.

    :param mimetype: e.g. ``'image/png'``
    :returns: the suffix with its dot
    :raises ValueError: when the type is not in :data:`~sqlalchemy_imageattach.imaging.types.SUFFIXES`

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
    object_type, object_id, width, height, mimetype, revision = key
    if not _is_segment(object_type):
        raise ValueError(
            "expected an object type that is not empty, does not begin with a dot, and has no slash, backslash or null"
            f" character, not {object_type!r}"
        )
    if revision is None:
        middle = ""
    elif _REVISION.fullmatch(revision):
        middle = f".{revision}"
    else:
        raise ValueError(f"expected a revision of lower-case letters and digits, not {revision!r}")
    folder = f"{object_type}/{object_id % 1000}/{object_id // 1000}"
    return f"{folder}/{object_id}.{width}x{height}{middle}{guess_extension(mimetype)}"


def former_names_of(key: FileKey) -> list[str]:
    """Make the other names that the original library may have given a file, under which nothing is ever put.

    :param key: the file's key
    :returns: the names; none for a key with a revision
    :raises ValueError: when the key cannot be a name

    >>> former_names_of(FileKey('user-picture', 1, 640, 480, 'image/webp'))
    ['user-picture/1/0/1.640x480None']
    """
    suffixes = _FORMER_SUFFIXES.get(key.mimetype) if key.revision is None else None
    if suffixes is None:
        return []
    name = name_of(key).removesuffix(guess_extension(key.mimetype))
    return [name + suffix for suffix in suffixes]


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
    mimetype = _MIMETYPES.get(match[5]) if match else None
    if match is None or mimetype is None or not _is_segment(object_type):
        return None
    key = FileKey(object_type, int(match[1]), int(match[2]), int(match[3]), mimetype, match[4])
    return key if name_of(key) == name else None


def mimetype_of(name: str) -> str | None:
    """Read the type of an image from its file's name.

    :param name: a relative path, or a name; from anybody
    :returns: the mimetype, or ``None`` when the suffix is none of an image

    >>> mimetype_of('1.640x480.jpe')
    'image/jpeg'
    """
    return _MIMETYPES.get(name[name.rfind(".") :].lower())


def revision_of(name: str) -> str | None:
    """Read the revision from the name of a file.

    :param name: a relative path, with slashes, not quoted; from anybody
    :returns: the revision, or ``None`` when the name has none, or is not that of a stored file

    >>> revision_of('user-picture/42/17/17042.640x480.k3v9q2.jpe')
    'k3v9q2'
    """
    key = key_of(name)
    return None if key is None else key.revision


def path_of(folder: str, name: str) -> str | None:
    """Make the path of a file in a folder; there is no other way from a name or a URL to a path.

    The folder may still have symbolic links in it: whoever serves strangers has to look where an opened file really is.

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


def _is_segment(text: str) -> bool:
    return text != "" and text[0] != "." and "/" not in text and "\\" not in text and "\0" not in text
