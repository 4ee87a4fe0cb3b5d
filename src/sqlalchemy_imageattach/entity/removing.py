"""Removing images, and changing their rows, by a query or by an attribute.

Query's own ``delete()`` removes rows by one statement of SQL, which leaves their files behind.  So images are deleted
through their session: it must always be true that

- the file of a row that is deleted goes with the transaction;
- an original takes its thumbnails along, and what is deleted is in no loaded collection any more;
- no statement of SQL changes what the name of a file is made of.
"""

from __future__ import annotations

import dis
import inspect as introspection
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column
from sqlalchemy.orm import Mapper, Session, scoped_session

from ..transactions.rows.replacing import delete_images
from ..transactions.sessions import session_behind
from .image import Image

__all__ = ("check_update", "delete_at_once")

_READING = frozenset({"LOAD_ATTR", "LOAD_METHOD"})

#: What the name of a file is made of, beside its key.
_OF_THE_NAME = frozenset({"mimetype", "original", "revision", "size"})


def delete_at_once(session: Session | scoped_session[Any] | None, images: Sequence[Any]) -> int:
    """Delete images now, in the session's transaction.

    :param session: the session
    :param images: the images that were asked for
    :returns: how many these are
    """
    if session is not None:
        at_hand = session_behind(session)
        delete_images(at_hand, images)
        at_hand.flush()
    return len(images)


def check_update(mapper: Mapper[Any], values: Mapping[Any, Any] | Iterable[Any]) -> None:
    """Refuse an update by SQL that would change the names of files.

    :param mapper: the mapper of the image class
    :param values: what ``Query.update()`` takes: values by attributes, columns or names
    :raises ValueError: when one of them is part of a file's name, or may be
    """
    keys = values if isinstance(values, Mapping) else [key for key, _ in values]
    fixed = {*(mapper.get_property_by_column(column).key for column in mapper.primary_key), *_OF_THE_NAME}
    read = _read_by_overrides(mapper)
    for key in keys:
        name = mapper.get_property_by_column(key).key if isinstance(key, Column) else getattr(key, "key", key)
        if name in fixed or read is None or name in read:
            raise ValueError(
                f"expected columns that the name of a file is not made of, got {name!r}; change the attribute of each"
                " image instead, or attach it anew; delete() removes images"
            )


def _read_by_overrides(mapper: Mapper[Any]) -> set[str] | None:
    """The attributes that a class's own ``object_id`` and ``object_type`` read; ``None`` when that cannot be told."""
    read: set[str] = set()
    for name in ("object_id", "object_type"):
        found = introspection.getattr_static(mapper.class_, name)
        if found is introspection.getattr_static(Image, name) or isinstance(found, str):
            continue
        function = getattr(found, "fget", None)
        if function is None:
            return None
        instructions = list(dis.get_instructions(function))
        image = function.__code__.co_varnames[0]
        for instruction, following in itertools.pairwise(instructions):
            loaded = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
            if instruction.opname.startswith("LOAD") and image in loaded and following.opname not in _READING:
                # It is handed to another function, which may read anything.
                return None
            if instruction.opname not in _READING:
                continue
            attribute = introspection.getattr_static(mapper.class_, str(instruction.argval), None)
            if attribute is None:
                continue
            name_read = str(instruction.argval)
            if name_read not in mapper.column_attrs:
                return None
            read.add(name_read)
    return read
