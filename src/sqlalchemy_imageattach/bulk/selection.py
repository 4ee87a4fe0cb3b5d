"""What an audit is about: the rows of some image classes, and the files of a store.

It must always be true that

- rows are read by sessions of their own, so that the caller's has nothing more in memory, and sees nothing else;
- a file is asked about if its object type is that of one of the classes, or of one of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, Session

from ..entity import Image
from ..naming import FileKey
from ..store import Store, StoredFile
from ..transactions.which_store import find_store
from .batches import batches, check_session, image_mapper, image_mappers, own_session, topmost_of
from .comparison import Comparison, File, Row
from .keys import ALL_KEYS, KeyRange

__all__ = ("Scope", "Step")

T = TypeVar("T")

#: What an audit is doing: listing files, reading rows, or looking into the files of some rows, or of all.
Step = Literal["files", "rows", "looks"]


class Scope:
    """The rows of image classes, and the files of a store.

    :param session: the session that says which connections rows are read over
    :param declarative_base: the base of the image classes, or one image class
    :param store: the store
    :param on_progress: called with the step that goes on, and how many files or rows it has done so far
    :raises TypeError: when an argument is of another type
    """

    def __init__(
        self,
        session: Session,
        declarative_base: Any,
        store: Store,
        on_progress: Callable[[Step, int], object] | None,
    ) -> None:
        if on_progress is not None and not callable(on_progress):
            raise TypeError(f"on_progress must be callable with a step and a number, not {on_progress!r}")
        check_session(session)
        self.session = session
        self.mappers, self.others = _mappers(declarative_base)
        self.store = find_store(store)
        self.types = set(_object_types(self.mappers))
        self._on_progress = on_progress

    def files(self) -> Iterator[StoredFile]:
        """List the store.

        :returns: an iterator
        """
        return self.watched("files", self.store.list_files())

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
        # A file of these classes' object types may be that of another class.
        for mapper in self.others:
            with own_session(self.session, mapper) as own:
                comparison.add_rows(_rows_of(own, mapper, 0), are_asked_about=False)

    def rows(self, keys: KeyRange = ALL_KEYS) -> Iterator[Row]:
        """Read the rows that are asked about.

        :param keys: those in this range of primary keys
        :returns: an iterator
        """
        for index, mapper in enumerate(self.mappers):
            with own_session(self.session, mapper) as own:
                for row in _rows_of(own, mapper, index, keys):
                    self.types.add(row.key.object_type)
                    yield row

    def read_again(self, row: Row) -> Row | None:
        """Read a row once more.

        :param row: the row
        :returns: what it says by now, or ``None`` when it is gone
        """
        mapper = self.mappers[row.mapper]
        with own_session(self.session, mapper) as own:
            image = own.get(mapper, row.identity)
            return None if image is None else row._replace(key=FileKey.of(image))

    def is_ours(self, file: StoredFile | File) -> bool:
        """Tell whether a file is of an object type that is asked about.

        :param file: the file
        :returns: whether it is
        """
        if file.key is not None:
            return file.key.object_type in self.types
        return not self.types.isdisjoint(file.name.split("/"))


def _mappers(declarative_base: Any) -> tuple[list[Mapper[Any]], list[Mapper[Any]]]:
    """The mappers that are asked about, and the others, whose rows may name files of the same object types."""
    if isinstance(declarative_base, type) and issubclass(declarative_base, Image):
        mapper = image_mapper(declarative_base)
        return [mapper], [each for each in topmost_of(mapper.registry) if each is not mapper]
    return image_mappers(declarative_base), []


def _object_types(mappers: Sequence[Mapper[Any]]) -> Iterator[str]:
    """The object types that classes tell; others, which each row has of its own, are told by the rows."""
    for mapper in mappers:
        for each in mapper.self_and_descendants:
            try:
                object_type = each.class_.object_type
            except NotImplementedError:
                continue
            if isinstance(object_type, str):
                yield object_type


def _rows_of(session: Session, mapper: Mapper[Any], index: int, keys: KeyRange = ALL_KEYS) -> Iterator[Row]:
    for batch in batches(session, mapper, keys):
        for image in batch:
            yield Row(index, tuple(inspect(image).identity), FileKey.of(image))
