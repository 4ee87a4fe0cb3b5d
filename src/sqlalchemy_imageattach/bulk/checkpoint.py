"""How far a long run has come, kept where a run that is killed does not take it along.

For each class, a checkpoint holds the primary key of the last row that was done; all rows before it are done too.  Its
values can be kept as JSON.  It must always be true that

- what a checkpoint says was done when it was said, so that it may be out of date, and never ahead;
- a file holds a whole checkpoint, the one before or the one after.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any, Self

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from .keys import class_name, key_from_json, key_to_json

__all__ = ("Checkpoint",)

#: Seconds between two writings of the file; what was done in the last one is done again after a kill.
_INTERVAL = 1.0


class Checkpoint:
    """The last key done of each class, as a context manager: read when it is entered, written when it is left.

    :param kept: the mapping that the caller keeps, or the path of a file; ``None`` to keep nothing
    :param is_kept: whether it is ever written
    :raises TypeError: when ``kept`` is something else
    """

    def __init__(self, kept: MutableMapping[str, Any] | str | os.PathLike[str] | None, is_kept: bool = True) -> None:
        if kept is not None and not isinstance(kept, MutableMapping | str | os.PathLike):
            raise TypeError(f"checkpoint must be a mutable mapping or the path of a file, not {kept!r}")
        # Absolute, so that a process may change its working directory.
        self._path = Path(kept).absolute() if isinstance(kept, str | os.PathLike) else None
        self._mapping = kept if isinstance(kept, MutableMapping) else None
        self._places: MutableMapping[str, Any] = {}
        self._is_kept = is_kept and kept is not None
        self._is_written = True
        self._written_at = 0.0

    def __enter__(self) -> Self:
        if self._mapping is not None:
            self._places = self._mapping
        else:
            self._places = {} if self._path is None else _read(self._path)
        self._is_written, self._written_at = True, time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def get(self, mapper: Mapper[Any]) -> Sequence[Any] | None:
        """Tell which rows of a class are done.

        :param mapper: the class's
        :returns: the primary key of the last row done, or ``None``
        :raises ValueError: when what is kept is no key of the class
        """
        values = self._places.get(class_name(mapper))
        if values is None:
            return None
        try:
            return key_from_json(mapper.primary_key, values)
        except ValueError as error:
            raise ValueError(f"{error}, as this checkpoint has; remove it to begin anew") from error

    def set(self, mapper: Mapper[Any], image: Any) -> None:
        """Note that a row is done, and with it all before it.

        :param mapper: the class's
        :param image: the image of the row
        :raises TypeError: when a value of its primary key is neither an integer, a string nor a UUID
        """
        if not self._is_kept:
            return
        try:
            self._places[class_name(mapper)] = key_to_json(inspect(image).identity)
        except TypeError as error:
            raise TypeError(f"{error}; leave checkpoint out") from error
        self._is_written = False
        if time.monotonic() - self._written_at > _INTERVAL:
            self._write()

    def _write(self) -> None:
        if self._path is None or self._is_written:
            return
        aside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}.tmp")
        try:
            with aside.open("w", encoding="utf-8") as file:
                json.dump(self._places, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        self._is_written, self._written_at = True, time.monotonic()


def _read(path: Path) -> dict[str, Any]:
    try:
        places = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Found out now, and not when there is something to write.
        if not path.parent.is_dir():
            raise
        return {}
    except ValueError as error:
        raise ValueError(f"expected {path} to be a checkpoint, which is JSON; remove it to begin anew") from error
    if not isinstance(places, dict):
        raise ValueError(f"expected {path} to be a checkpoint, a JSON object; remove it to begin anew")
    return places
