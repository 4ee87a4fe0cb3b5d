"""Rows and files, brought together by name in constant memory.

Rows come in the order of their keys and files in whatever order a store lists them, and there may be millions of both.
So their names go to a temporary database on disk, which sorts them there.  It must always be true that

- a row and a file meet exactly when the row names the file: names hold what a listing can tell, so of a type just the
  suffix counts, and its other names are the same;
- no more than :data:`CACHE_SIZE` is in memory because of this, however many there are;
- the database has no name, is deleted with the process that made it, and is seen by no other.
"""

from __future__ import annotations

import datetime
import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple, Self

from ..naming import SUFFIXES, FileKey, original_of
from ..store import Store, StoredFile

__all__ = ("Comparison", "File", "Row")

#: How much memory the temporary database takes, in bytes.
CACHE_SIZE = 32 << 20


class Row(NamedTuple):
    """An image row, as much as is needed to find it and its file again."""

    #: Which database, and which class, by their places in lists of the caller's.
    database: int
    mapper: int
    #: Its primary key.
    identity: tuple[Any, ...]
    #: What it names its file by; ``None`` when it does not tell.
    key: FileKey | None
    #: What cannot be understood of it.
    problem: str | None = None

    def says_as_much_as(self, other: Row) -> bool:
        """Tell whether nothing has changed between two times at which a row was read.

        :param other: the row, as it was read before
        :returns: whether both name the same file, or are not understood; in which words does not count, for these may
            have the address of an object in them
        """
        return self[:4] == other[:4] and (self.problem is None) == (other.problem is None)


class File(NamedTuple):
    """A file, as much as a store has listed of it, but how to remove it."""

    name: str
    #: Bytes.
    size: int
    modified: datetime.datetime
    #: ``None`` for debris.
    key: FileKey | None


class _Kind(IntEnum):
    FILE = 0
    #: A row that is asked about.
    ROW = 1
    #: A row that is not, whose file has a row all the same.
    OTHER_ROW = 2


class Comparison:
    """A temporary database of names, as a context manager: first add what there is, then :meth:`compare`, then ask.

    :param store: the store whose files are compared
    """

    def __init__(self, store: Store) -> None:
        self._takes_revision = store.takes_revision()
        # The empty name makes a temporary database on disk.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            f"PRAGMA temp_store = FILE; PRAGMA journal_mode = OFF; PRAGMA cache_size = -{CACHE_SIZE >> 10};"
            "CREATE TABLE seen (name BLOB, kind INTEGER, is_suspect INTEGER, content BLOB);"
            "CREATE TABLE variant (original BLOB, name BLOB, content BLOB);"
            "CREATE TABLE orphan (name BLOB PRIMARY KEY, variant INTEGER) WITHOUT ROWID;"
            "CREATE TABLE difference (name BLOB PRIMARY KEY, file INTEGER, image INTEGER) WITHOUT ROWID;"
            "BEGIN"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_files(self, files: Iterable[StoredFile]) -> None:
        """Add files that the store lists.

        :param files: each file once
        """
        self._add(record for file in files if (record := self._record(file)) is not None)

    def add_rows(self, rows: Iterable[Row], *, are_asked_about: bool) -> None:
        """Add rows that name files.

        :param rows: each row once
        :param are_asked_about: whether they are of interest themselves, or just keep their files from having no row
        """
        kind = _Kind.ROW if are_asked_about else _Kind.OTHER_ROW
        self._add(
            (
                self._name_of_row(row),
                kind,
                row.problem is not None,
                _packed(row.database, row.mapper, row.identity, _plain(row.key), row.problem),
            )
            for row in rows
        )

    def compare(self) -> None:
        """Find out which rows and files are without the other."""
        self._database.execute(
            "INSERT INTO difference"
            " SELECT name, max(CASE kind WHEN 0 THEN rowid END), max(CASE kind WHEN 1 THEN rowid END)"
            " FROM seen GROUP BY name"
            # A file alone; or a row that is asked about, without a file, with an empty one, or not understood.
            " HAVING max(kind) = 0 OR max(kind = 1) AND (min(kind) > 0 OR max(is_suspect))"
        )
        self._database.execute(
            "INSERT OR IGNORE INTO orphan SELECT name, rowid FROM variant"
            " WHERE original NOT IN (SELECT name FROM seen WHERE kind > 0)"
        )

    def rows(self) -> Iterator[Row]:
        """Tell the rows that are asked about.

        :returns: an iterator over all of them, as they were added
        """
        return self._rows("SELECT content FROM seen WHERE kind = 1 ORDER BY rowid")

    def rows_in_question(self) -> Iterator[Row]:
        """Tell the rows whose file was not listed, or is empty, and those that are not understood.

        :returns: an iterator over those of them that are asked about
        """
        return self._rows("SELECT content FROM difference JOIN seen ON seen.rowid = image WHERE image IS NOT NULL")

    def files_without_row(self) -> Iterator[File]:
        """Tell the files that no row names, and the variants of those.

        :returns: an iterator over them
        """
        query = (
            "SELECT content FROM difference JOIN seen ON seen.rowid = file WHERE image IS NULL"
            " UNION ALL SELECT content FROM orphan JOIN variant ON variant.rowid = variant"
        )
        for (content,) in self._database.execute(query):
            name, size, timestamp, key = pickle.loads(content)  # noqa: S301  # our own
            modified = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
            yield File(name, size, modified, _key(key))

    def has_no_row(self, file: StoredFile) -> bool:
        """Tell whether a file was listed before, and had no row.

        :param file: a file, as it is listed now
        :returns: false for those that were not listed before
        """
        query = (
            "SELECT 1 FROM difference WHERE name = :name AND image IS NULL"
            " UNION ALL SELECT 1 FROM orphan WHERE name = :name"
        )
        return self._database.execute(query, {"name": self._name_of(file)}).fetchone() is not None

    def _record(self, file: StoredFile) -> tuple[bytes, int, bool, bytes] | None:
        content = _packed(file.name, file.size, file.modified.timestamp(), _plain(file.key))
        original = None if file.key is None else original_of(file.key)
        if original is None:
            return self._name_of(file), _Kind.FILE, not file.size, content
        # A variant has no row: it stays as long as its original has one.
        record = self._name(original), self._name_of(file), content
        self._database.execute("INSERT INTO variant VALUES (?, ?, ?)", record)
        return None

    def _add(self, records: Iterable[tuple[bytes, int, bool, bytes]]) -> None:
        self._database.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", records)

    def _rows(self, query: str) -> Iterator[Row]:
        for (content,) in self._database.execute(query):
            database, mapper, identity, key, problem = pickle.loads(content)  # noqa: S301  # our own
            yield Row(database, mapper, identity, _key(key), problem)

    def _name_of_row(self, row: Row) -> bytes:
        # A name of its own, if it is that of no file.
        return self._name(row.key) if row.key is not None else b"\1" + _packed(row.database, row.mapper, row.identity)

    def _name_of(self, file: StoredFile) -> bytes:
        return _bytes(f"\0{file.name}") if file.key is None else self._name(file.key)

    def _name(self, key: FileKey) -> bytes:
        object_type, object_id, width, height, mimetype, revision = key
        suffix = SUFFIXES.get(mimetype, mimetype)
        # A store that takes no revision names files without.
        middle = revision if revision is not None and self._takes_revision else ""
        return _bytes(f"{object_type}\0{object_id}.{width}x{height}.{middle}{suffix}")


def _plain(key: FileKey | None) -> tuple[Any, ...] | None:
    # Smaller than with the name of its class.
    return None if key is None else tuple(key)


def _key(values: tuple[Any, ...] | None) -> FileKey | None:
    return None if values is None else FileKey(*values)


def _packed(*values: Any) -> bytes:
    return pickle.dumps(values, pickle.HIGHEST_PROTOCOL)


def _bytes(text: str) -> bytes:
    # The names of files may have bytes in them that are no text.
    return text.encode("utf-8", "surrogatepass")
