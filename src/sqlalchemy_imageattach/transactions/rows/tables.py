"""Image rows as their tables have them, whatever an application lets a session see.

Applications hide rows from their sessions: soft deletion and tenants by ``do_orm_execute`` and
``with_loader_criteria``, subclasses of Session with filters of their own, classes that are loaded from a selectable
instead of their table.  Such a row is there all the same, and its file belongs to it.  So what decides about files
reads the tables: by statements of SQLAlchemy Core on a connection, which no such filter sees.  Instances of the class
are made of what was read.  It must always be true that

- each row of a class, and of the classes that inherit it, comes once;
- an instance has what the columns of its row say.  It is detached, and asks the database for nothing;
- a value that cannot be understood costs that value, and neither the rest of its row nor another row.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, FromClause, Select, Table, and_, or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.orm import Mapper, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_dict, instance_state, set_committed_value
from sqlalchemy.sql.expression import Join

from ...concurrency import is_request_to_stop

__all__ = ("TableRow", "TableRows", "any_of", "is_of_tables")

# SQLite refuses expressions that are nested deeper than a thousand times, as a thousand alternatives are.
_AT_ONCE = 100

#: What stands for a value that could not be read.
_UNREAD: Any = object()


class TableRow(NamedTuple):
    """An image row, as far as it can be understood."""

    #: An instance of its class: detached, with the values of its columns.
    image: Any
    #: Why values are missing; ``None`` when all of them are there.
    error: Exception | None = None


class _Loader(NamedTuple):
    """How a row becomes an instance of a class, by places in the list of columns."""

    mapper: Mapper[Any]
    attributes: Sequence[tuple[str, int]]
    identity: Sequence[int]
    #: Whether each attribute has a column that is read.
    is_complete: bool


class TableRows:
    """The rows of an image class and of the classes that inherit it.

    :param mapper: the mapper of the class
    :raises NotImplementedError: when the class is not mapped to a table, or to a join of tables
    """

    def __init__(self, mapper: Mapper[Any]) -> None:
        if not is_of_tables(mapper):
            raise NotImplementedError(
                f"expected {mapper.class_.__name__} to be mapped to a table, got {mapper.local_table!r}; name the"
                " classes that have the tables"
            )
        self.mapper = mapper
        #: The columns of the primary key, in the order of an identity.
        self.key: Sequence[ColumnElement[Any]] = mapper.primary_key
        mappers = [each for each in mapper.self_and_descendants if not _is_apart(each, mapper)]
        #: The table, or the tables joined.
        self.tables: FromClause = mapper.persist_selectable
        for each in mappers[1:]:
            if not each.single:
                self.tables = self.tables.outerjoin(each.local_table, each.inherit_condition)
        self._columns: list[ColumnElement[Any]] = []
        self._loaders = {each: self._loader(each) for each in mappers}
        self._criteria: list[ColumnElement[bool]] = []
        self._has_kinds = mapper.polymorphic_on is not None and (mapper.single or len(mappers) > 1)
        if self._has_kinds and mapper.polymorphic_on is not None:
            self._columns.append(mapper.polymorphic_on)
            if mapper.single:
                # The other classes of its table are not meant.
                self._criteria.append(mapper.polymorphic_on.in_([each.polymorphic_identity for each in mappers]))

    def select(self, *columns: Any) -> Select[Any]:
        """Make a statement for Core, which gives all rows.

        :param columns: what to select; by default what :meth:`image` needs
        :returns: the statement
        """
        return select(*(columns or self._columns)).select_from(self.tables).where(*self._criteria)

    def image(self, values: Sequence[Any]) -> Any:
        """Make an instance of a row.

        :param values: what :meth:`select` has given
        :returns: a detached instance of the row's class
        :raises ValueError: when the row is of a class that there is not
        """
        return self._instance(
            self._loader_of_kind(values[-1]) if self._has_kinds else self._loaders[self.mapper], values
        )

    def identity(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Find the primary key of a row.

        :param values: what :meth:`select` has given
        :returns: the key
        """
        return tuple(values[place] for place in self._loaders[self.mapper].identity)

    def fill(self, image: Any, values: Sequence[Any]) -> None:
        """Set what the columns of a row say, as if the image was loaded.

        :param image: an instance of the row's class
        :param values: what :meth:`select` has given
        """
        for name, place in self._loaders[instance_state(image).mapper].attributes:
            set_committed_value(image, name, values[place])

    def read(
        self, connection: Connection, *criteria: ColumnElement[bool], limit: int | None = None
    ) -> Sequence[TableRow]:
        """Read rows in the order of their keys.

        :param connection: the connection
        :param criteria: which rows, by columns
        :param limit: how many rows at the most
        :returns: the rows; those that cannot be understood have an error
        :raises SQLAlchemyError: when the database does not answer
        """
        statement = self.select().where(*criteria).order_by(*self.key).limit(limit)
        try:
            return [TableRow(self.image(values)) for values in connection.execute(statement)]
        except Exception as error:
            if not _is_about_values(error):
                raise
        keys = self._read_keys(connection, self.select(*self.key).where(*criteria).order_by(*self.key).limit(limit))
        found: list[TableRow] = []
        for start in range(0, len(keys), _AT_ONCE):
            found += self._read_apart(connection, keys[start : start + _AT_ONCE])
        return found

    def _read_keys(self, connection: Connection, statement: Select[Any]) -> Sequence[Sequence[Any]]:
        try:
            return connection.execute(statement).all()
        except Exception as error:
            if not _is_about_values(error):
                raise
            names = ", ".join(map(str, self.key))
            raise ValueError(f"expected values of {names} that can be read, got one that cannot: {error}") from error

    def _read_apart(self, connection: Connection, keys: Sequence[Sequence[Any]]) -> list[TableRow]:
        """Find the row that cannot be understood, by halves."""
        statement = self.select().where(any_of(self.key, keys)).order_by(*self.key)
        try:
            return [TableRow(self.image(values)) for values in connection.execute(statement)]
        except Exception as error:
            if not _is_about_values(error):
                raise
            if len(keys) == 1:
                return self._read_value_by_value(connection, keys[0], error)
        middle = len(keys) // 2
        return self._read_apart(connection, keys[:middle]) + self._read_apart(connection, keys[middle:])

    def _read_value_by_value(self, connection: Connection, key: Sequence[Any], error: Exception) -> list[TableRow]:
        values: list[Any] = []
        for column in self._columns:
            try:
                found = connection.execute(self.select(column).where(any_of(self.key, [key]))).all()
            except Exception as refusal:
                if not _is_about_values(refusal):
                    raise
                error = ValueError(f"expected a value of {column}, got one that cannot be read: {refusal}")
                values.append(_UNREAD)
                continue
            if not found:
                return []
            values.append(found[0][0])
        try:
            return [TableRow(self.image(values), error)]
        except ValueError as refusal:
            # Of its class nothing is known but which one it inherits.
            error = error if values[-1] is _UNREAD else refusal
            return [TableRow(self._instance(self._loaders[self.mapper], values), error)]

    def _loader(self, mapper: Mapper[Any]) -> _Loader:
        attributes = []
        for attribute in mapper.column_attrs:
            column = attribute.columns[0]
            # Expressions may read other rows, and what is deferred may be long.
            if isinstance(column, Column) and not attribute.deferred:
                place = next((place for place, each in enumerate(self._columns) if each is column), None)
                if place is None:
                    place = len(self._columns)
                    self._columns.append(column)
                attributes.append((attribute.key, place))
        places = dict(attributes)
        identity = [places[mapper.get_property_by_column(column).key] for column in mapper.primary_key]
        return _Loader(mapper, attributes, identity, len(attributes) == len(list(mapper.column_attrs)))

    def _loader_of_kind(self, kind: Any) -> _Loader:
        mapper = self.mapper.polymorphic_map.get(kind, self.mapper if kind is None else None)
        if mapper is None or mapper not in self._loaders:
            raise ValueError(
                f"expected {self.mapper.polymorphic_on} to be one of"
                f" {', '.join(map(repr, self.mapper.polymorphic_map))}, got {kind!r}"
            )
        return self._loaders[mapper]

    def _instance(self, loader: _Loader, values: Sequence[Any]) -> Any:
        manager = loader.mapper.class_manager
        image = manager.new_instance()
        state, loaded = instance_state(image), instance_dict(image)
        is_complete = loader.is_complete
        for name, place in loader.attributes:
            value = values[place]
            if value is _UNREAD:
                is_complete = False
            else:
                loaded[name] = value
        if is_complete:
            state.key = loader.mapper.identity_key_from_primary_key(tuple(values[place] for place in loader.identity))
        else:
            # What was not read is expired, and not taken for None.
            make_transient_to_detached(image)
        # What the class does when one of its instances is loaded, such as a method that is a reconstructor.
        manager.dispatch.load(state, None)
        return image


def any_of(columns: Sequence[Any], keys: Sequence[Sequence[Any]]) -> ColumnElement[bool]:
    """Say in SQL that a row has one of some keys, so that every database uses the key's index.

    :param columns: the columns of the key
    :param keys: the keys
    :returns: a criterion
    """
    return or_(*(and_(*map(operator.eq, columns, key)) for key in keys))


def is_of_tables(mapper: Mapper[Any]) -> bool:
    """Tell whether the rows of a class are those of a table, and not of a query.

    :param mapper: the mapper of the class
    :returns: false for what is mapped to a subquery, such as a view of another class's table
    """
    return _are_tables(mapper.local_table)


def _are_tables(tables: FromClause) -> bool:
    if isinstance(tables, Join):
        return _are_tables(tables.left) and _are_tables(tables.right)
    return isinstance(tables, Table)


def _is_apart(mapper: Mapper[Any], root: Mapper[Any]) -> bool:
    """Whether a class that inherits another has rows in a table that is not joined to that of the other."""
    while mapper is not root:
        if mapper.concrete:
            return True
        assert mapper.inherits is not None
        mapper = mapper.inherits
    return False


def _is_about_values(error: Exception) -> bool:
    """Whether an error is about what a row holds, and not about the statement or the database."""
    if is_request_to_stop(error) or isinstance(error, OSError):
        return False
    return isinstance(error, DataError) or not isinstance(error, SQLAlchemyError)
