"""What an audit is about: the rows of some image classes, and the files of a store.

It must always be true that

- rows are read over the connections of sessions, which load nothing themselves;
- an audit is about a file if the file's object type is that of one of the classes, or of one of their rows;
- where a row cannot tell the name of its file, nothing is known about any file of its object type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from sqlalchemy.orm import Mapper, Session, scoped_session

from ..concurrency import outcome_of
from ..entity import Image
from ..store import Store, StoredFile
from ..transactions.which_store import find_store
from .arguments import check_callback, mappers_of, sessions_of, topmost_of
from .batches import ImageRow, batches, in_session, read_again
from .comparison import Comparison, File, Row
from .keys import ALL_KEYS, KeyRange

__all__ = ("Selection", "Step")

T = TypeVar("T")

# How many names of what is foreign are remembered.
_NAMES = 10

#: What an audit is doing: listing files, reading rows, or looking into the files of some rows, or of all.
Step = Literal["files", "rows", "looks"]


class Selection:
    """The rows of image classes, and the files of a store.

    :param session: the session that says which connection rows are read over, or a list of sessions
    :param declarative_base: the base of the image classes, or one image class
    :param store: the store
    :param on_progress: called with the step that goes on, and how many files or rows it has done so far
    :raises TypeError: when an argument is of another type
    :raises ValueError: when the session sees a part of the rows only
    """

    def __init__(
        self,
        session: Session | scoped_session[Any] | Sequence[Session | scoped_session[Any]],
        declarative_base: Any,
        store: Store,
        on_progress: Callable[[Step, int], object] | None,
    ) -> None:
        check_callback("on_progress", on_progress, "a step and a number")
        self.mappers = mappers_of(declarative_base)
        self.sessions = sessions_of(session, self.mappers)
        self.store = find_store(store)
        #: How many rows were read.
        self.row_count = 0
        #: How many of these do not tell the name of their file.
        self.unread_count = 0
        #: How many files were listed, by object type.
        self.listed: Counter[str] = Counter()
        #: How many files, folders and links of others the store had when it was listed.
        self.foreign_count = 0
        #: The names of the first of them.
        self.foreign_names: list[str] = []
        # Classes whose rows may name files of the same object types.
        self._others = [] if len(self.mappers) > 1 else _others(self.mappers)
        self._types = {mapper: set(_object_types(mapper)) for mapper in (*self.mappers, *self._others)}
        self._unread: set[Mapper[Any]] = set()
        self._on_progress = on_progress

    def files(self) -> Iterator[StoredFile]:
        """List the store, and count what is foreign there.

        :returns: an iterator over the store's own files
        """
        return self.watched("files", self._own_files())

    def _own_files(self) -> Iterator[StoredFile]:
        for file in self.store.list_files():
            if file.is_foreign:
                self.foreign_count += 1
                if len(self.foreign_names) < _NAMES:
                    self.foreign_names.append(file.name)
                continue
            # What an interrupted write has left is in the folder of its object type.
            self.listed[file.name.partition("/")[0] if file.key is None else file.key.object_type] += 1
            yield file

    def watched(self, step: Step, items: Iterable[T]) -> Iterator[T]:
        """Tell how far a step has come.

        :param step: the step
        :param items: what it does, one after the other
        :returns: the items
        """
        if self._on_progress is None:
            return iter(items)
        return self._watched(step, items, self._on_progress)

    def _watched(self, step: Step, items: Iterable[T], on_progress: Callable[[Step, int], object]) -> Iterator[T]:
        for number, item in enumerate(items, 1):
            yield item
            on_progress(step, number)

    def read(self, comparison: Comparison) -> None:
        """Read all rows, now.

        :param comparison: what they are added to
        """
        comparison.add_rows(self.watched("rows", self.rows()), are_asked_about=True)
        for mapper in self._others:
            for number, session in enumerate(self.sessions):
                comparison.add_rows(self._rows_of(number, session, mapper, 0), are_asked_about=False)

    def rows(self, keys: KeyRange = ALL_KEYS) -> Iterator[Row]:
        """Read the rows that are asked about.

        :param keys: those in this range of primary keys
        :returns: an iterator
        """
        for number, session in enumerate(self.sessions):
            for index, mapper in enumerate(self.mappers):
                for row in self._rows_of(number, session, mapper, index, keys):
                    self.row_count += 1
                    yield row

    def read_again(self, row: Row) -> tuple[Row, Image] | None:
        """Read a row once more.

        :param row: the row
        :returns: what it says by now, and its image in its session; or ``None`` when it is gone
        """
        session, mapper = self.sessions[row.database], self.mappers[row.mapper]
        found = read_again(session, mapper, row.identity)
        if found is None:
            return None
        return _row_of(row.database, row.mapper, found), in_session(session, found.image)

    def is_ours(self, file: StoredFile | File) -> bool:
        """Tell whether rows were read that say whether a file is needed.

        :param file: the file
        :returns: false for files of other object types, and of those that rows do not tell
        """
        if file.key is None:
            return not self._known_types().isdisjoint(file.name.split("/"))
        return file.key.object_type in self._known_types() - self._unread_types()

    def listed_count(self) -> int:
        """Count the files that were listed, and that are of these object types.

        :returns: how many there were
        """
        return sum(count for name, count in self.listed.items() if name in self._known_types())

    def unknown_types(self) -> Mapping[str, int]:
        """Count the files that were listed of object types that no image class has.

        :returns: how many there were, by object type
        """
        known = self._known_types()
        return {name: count for name, count in sorted(self.listed.items()) if name not in known}

    def unread_types(self) -> Mapping[str, int]:
        """Count the files that were listed of object types of which a row does not tell its file.

        :returns: how many there were, by object type
        """
        return {name: self.listed[name] for name in sorted(self._unread_types()) if self.listed[name]}

    def _rows_of(
        self, number: int, session: Session, mapper: Mapper[Any], index: int, keys: KeyRange = ALL_KEYS
    ) -> Iterator[Row]:
        types = self._types[mapper]
        for batch in batches(session, mapper, keys):
            for row in batch:
                if row.key is not None:
                    types.add(row.key.object_type)
                else:
                    self.unread_count += 1
                    self._unread.add(mapper)
                    object_type, _ = outcome_of(getattr, row.image, "object_type")
                    if isinstance(object_type, str):
                        types.add(object_type)
                yield _row_of(number, index, row)

    def _known_types(self) -> set[str]:
        return set().union(*(self._types[mapper] for mapper in self.mappers))

    def _unread_types(self) -> set[str]:
        return set().union(*(self._types[mapper] for mapper in self._unread))


def _row_of(number: int, index: int, row: ImageRow) -> Row:
    reason = None if row.error is None else f"{type(row.error).__name__}: {row.error}"
    return Row(number, index, row.identity, row.key, reason)


def _others(mappers: Sequence[Mapper[Any]]) -> list[Mapper[Any]]:
    return [each for mapper in mappers for each in topmost_of(mapper.registry) if each is not mapper]


def _object_types(mapper: Mapper[Any]) -> Iterator[str]:
    """The object types that classes have; those that each row has of its own come with the rows."""
    for each in mapper.self_and_descendants:
        try:
            object_type = each.class_.object_type
        except NotImplementedError:
            continue
        if isinstance(object_type, str):
            yield object_type
