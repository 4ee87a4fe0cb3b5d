"""How far a long run has come, kept where a run that is killed does not take it along.

A checkpoint belongs to one job: a command, its classes, its stores and its sizes.  For each class it has the primary
key of the last row that was done; all rows before it were done too, when the run passed them.  It has the time at which
the job began, and whether it ended.  All of it can be written as JSON.  It must always be true that

- what a checkpoint says was done when it was said, so that it may be out of date, and never ahead;
- a file holds a whole checkpoint, the one before or the one after, after a power cut too;
- a checkpoint of another job is refused, and the job that has ended begins anew.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import time
from collections.abc import Mapping, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy.orm import Mapper

from ..exc import CheckpointError
from ..file import send, write_aside
from ..store import Store
from ..stores.memory import MemoryStore
from .keys import class_name, key_from_json, key_to_json

__all__ = ("Checkpoint", "store_name")

#: Seconds between two writings of the file; what was done in the last one is done again after a kill.
_INTERVAL = 1.0


class Checkpoint:
    """The last key done of each class, as a context manager: read when it is entered, written when it is left.

    :param kept: the mapping that the caller keeps, or the path of a file; ``None`` to keep nothing
    :param job: what the job is, as JSON
    :param is_kept: whether it is ever written
    :raises TypeError: when ``kept`` is something else
    """

    def __init__(
        self,
        kept: MutableMapping[str, Any] | str | os.PathLike[str] | None,
        job: Mapping[str, Any],
        *,
        is_kept: bool = True,
    ) -> None:
        if kept is not None and not isinstance(kept, MutableMapping | str | os.PathLike):
            raise TypeError(f"expected a mutable mapping or the path of a file as checkpoint, got {kept!r}")
        # Absolute, so that a process may change its working directory.
        self._path = Path(kept).absolute() if isinstance(kept, str | os.PathLike) else None
        self._mapping = kept if isinstance(kept, MutableMapping) else None
        self._job = json.loads(json.dumps(job))
        self._is_kept = is_kept and kept is not None
        self._places: dict[str, Any] = {}
        self._began_at = _now()
        self._is_written = True
        self._written_at = 0.0

    @property
    def is_gone_on_from(self) -> bool:
        """Whether an earlier run of the job has done rows."""
        return bool(self._places)

    @property
    def began_at(self) -> datetime.datetime:
        """When the job began, by the clock of the machine that it began on."""
        return self._began_at

    def __enter__(self) -> Self:
        """Go on from what is kept.

        :raises CheckpointError: when it is no checkpoint, or that of another job
        :raises OSError: when it cannot be read, or there is no folder to write it to
        """
        found: Mapping[str, Any] = self._mapping if self._mapping is not None else _read(self._path)
        self._places, self._began_at = {}, _now()
        if found:
            self._check(found)
            if not found["is_finished"]:
                self._places, self._began_at = dict(found["done"]), _time(found["began_at"])
        self._is_written, self._written_at = True, time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._write(is_finished=False)

    def get(self, mapper: Mapper[Any], number: int = 0) -> Sequence[Any] | None:
        """Tell which rows of a class are done.

        :param mapper: the class's
        :param number: which of several databases
        :returns: the primary key of the last row done, or ``None``
        :raises CheckpointError: when what is kept is no key of the class
        """
        values = self._places.get(_place_name(mapper, number))
        if values is None:
            return None
        try:
            return key_from_json(mapper.primary_key, values)
        except ValueError as error:
            raise CheckpointError(f"{error}; remove the checkpoint to begin anew") from error

    def set(self, mapper: Mapper[Any], key: Sequence[Any], number: int = 0) -> None:
        """Note that a row is done, and with it all before it.

        :param mapper: the class's
        :param key: the primary key of the row
        :param number: which of several databases
        :raises TypeError: when the key cannot be written and read again
        """
        if not self._is_kept:
            return
        try:
            self._places[_place_name(mapper, number)] = key_to_json(mapper.primary_key, key)
        except TypeError as error:
            raise TypeError(f"{error}; leave checkpoint out") from error
        self._is_written = False
        # A mapping of the caller's is up to date at any time.
        if self._mapping is not None or time.monotonic() - self._written_at > _INTERVAL:
            self._write(is_finished=False)

    def finish(self) -> None:
        """Note that the job has gone through all rows."""
        if self._is_kept:
            self._is_written = False
            self._write(is_finished=True)

    def _check(self, found: Mapping[str, Any]) -> None:
        where = "this mapping" if self._path is None else str(self._path)
        if not (
            isinstance(found.get("job"), dict)
            and isinstance(found.get("done"), dict)
            and isinstance(found.get("is_finished"), bool)
            and isinstance(found.get("began_at"), str)
        ):
            raise CheckpointError(f"expected {where} to be a checkpoint, got something else; remove it to begin anew")
        if found["job"] != self._job:
            former, job = found["job"], self._job
            differences = "; ".join(
                f"its {name} is {json.dumps(former.get(name))} and not {json.dumps(job.get(name))}"
                for name in sorted({*former, *job})
                if former.get(name) != job.get(name)
            )
            raise CheckpointError(
                f"expected {where} to be a checkpoint of this job, got that of another: {differences}; name another"
                " file, or remove it to begin anew"
            )

    def _write(self, *, is_finished: bool) -> None:
        if self._is_written:
            return
        content = {
            "job": self._job,
            "began_at": self._began_at.isoformat(),
            "is_finished": is_finished,
            "done": dict(self._places),
        }
        if self._mapping is not None:
            self._mapping.update(content)
        elif self._path is not None:
            text = io.BytesIO(json.dumps(content, indent=2).encode())
            write_aside(os.fspath(self._path), partial(send, text))
        self._is_written, self._written_at = True, time.monotonic()


def store_name(store: Store) -> str:
    """Name a store, the same in each process, and without secrets.

    :param store: the store
    :returns: what its ``repr()`` says of it, or its class when that says nothing
    """
    if isinstance(store, MemoryStore):
        # Another one has other files, whatever its URL is.
        return f"{store!r} at {id(store):#x}"
    # Addresses of other stores change with each process.
    return re.sub(r" object at 0x[0-9a-fA-F]+", "", repr(store))


def _place_name(mapper: Mapper[Any], number: int) -> str:
    return class_name(mapper) if number == 0 else f"{class_name(mapper)} ({number + 1})"


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Found out now, and not when there is something to write.
        if not path.parent.is_dir():
            raise
        return {}
    except ValueError as error:
        raise CheckpointError(f"expected {path} to be a checkpoint, which is JSON; remove it to begin anew") from error
    if not isinstance(found, dict) or not found:
        raise CheckpointError(f"expected {path} to be a checkpoint, a JSON object; remove it to begin anew")
    return found


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _time(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise CheckpointError(f"expected a checkpoint with a time, got {text!r}; remove it to begin anew") from error
