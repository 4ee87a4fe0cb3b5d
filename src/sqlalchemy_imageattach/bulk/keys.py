"""Primary keys of image rows: in ranges, and as JSON.

It must always be true that

- keys are ordered by the database alone, which may sort text in a way of its own;
- what is written as JSON is read back as the same key, by the types of the columns; what would not be is refused when
  it is written.
"""

from __future__ import annotations

import datetime
import enum
import json
import operator
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, literal, or_, tuple_
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeDecorator

__all__ = ("ALL_KEYS", "KeyRange", "check_keys", "class_name", "key_from_json", "key_to_json", "within")


class KeyRange(NamedTuple):
    """The rows of one image class whose primary keys lie after one and up to another, in the order of the database."""

    #: The last key that does not belong to it; ``None`` to begin with the first row.
    after: Sequence[Any] | None = None
    #: The last key that belongs to it; ``None`` for no end.
    upto: Sequence[Any] | None = None


#: The range that every row is in.
ALL_KEYS = KeyRange()


def within(columns: Sequence[Any], keys: KeyRange, compares_rows: bool) -> list[ColumnElement[bool]]:
    """Say in SQL that a key lies in a range.

    :param columns: the columns of the primary key
    :param keys: the range
    :param compares_rows: whether the database compares rows as such, and an index serves it
    :returns: criteria
    """
    criteria = []
    if keys.after is not None:
        criteria.append(_compared(columns, keys.after, operator.gt, compares_rows))
    if keys.upto is not None:
        criteria.append(_compared(columns, keys.upto, operator.le, compares_rows))
    return criteria


def check_keys(mapper: Mapper[Any], keys: KeyRange) -> None:
    """Refuse what is no range of a class's keys.

    :param mapper: the mapper of the class
    :param keys: the range
    :raises TypeError: when it is none
    :raises ValueError: when its keys have another number of values than those of the class
    """
    if not isinstance(keys, KeyRange):
        raise TypeError(f"expected a KeyRange as keys, as key_ranges() gives them, got {keys!r}")
    for key in keys:
        if key is not None and len(key) != len(mapper.primary_key):
            raise ValueError(
                f"expected keys of {class_name(mapper)}, which have {len(mapper.primary_key)} values, got {key!r}"
            )


def class_name(mapper: Mapper[Any]) -> str:
    """Name a class where another process will look for it.

    :param mapper: its mapper
    :returns: the name
    """
    return f"{mapper.class_.__module__}.{mapper.class_.__qualname__}"


def key_to_json(columns: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Make JSON of a key.

    :param columns: the columns of the key
    :param values: the values of the key
    :returns: a list of numbers, strings and booleans
    :raises TypeError: when :func:`key_from_json` would not make the same key of it
    """
    try:
        encoded = [_encoded(value, column.type) for value, column in zip(values, columns, strict=True)]
        decoded = key_from_json(columns, json.loads(json.dumps(encoded)))
    except (TypeError, ValueError):
        encoded, decoded = [], ()
    if decoded != tuple(values):
        names = ", ".join(map(str, columns))
        raise TypeError(
            f"expected values of {names} that can be written as JSON and read again, such as integers, strings, UUIDs,"
            f" enums and dates, got {tuple(values)!r}"
        )
    return encoded


def key_from_json(columns: Sequence[Any], values: Sequence[Any]) -> tuple[Any, ...]:
    """Make a key of JSON.

    :param columns: the columns of the key
    :param values: what :func:`key_to_json` has made of it
    :returns: the values of the key
    :raises ValueError: when it is no such key
    """
    try:
        return tuple(_decoded(value, column.type) for value, column in zip(values, columns, strict=True))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        names = ", ".join(map(str, columns))
        raise ValueError(f"expected a key of {names}, got {values!r}") from error


def _encoded(value: Any, column_type: Any) -> Any:
    if isinstance(column_type, TypeDecorator):
        # A type of the application's own makes text or a number of it, as for any database.
        bind = column_type.bind_processor(_DIALECT)
        return _as_json(value if bind is None else bind(value))
    if isinstance(value, enum.Enum) and issubclass(_python_type(column_type), enum.Enum):
        return value.name
    return _as_json(value)


def _decoded(value: Any, column_type: Any) -> Any:
    if isinstance(column_type, TypeDecorator):
        raw = _from_json(value, _python_type(column_type.impl_instance), _OF_DATABASES)
        result = column_type.result_processor(_DIALECT, None)
        return raw if result is None else result(raw)
    expected = _python_type(column_type)
    if issubclass(expected, enum.Enum):
        return expected[value]
    value = _from_json(value, expected, _OF_TYPES)
    if isinstance(value, bool) is not (expected is bool) or not isinstance(value, expected):
        raise TypeError(value)
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        # A member of enum.StrEnum in a column of strings.
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID | Decimal) else value


def _from_json(value: Any, expected: type[Any], readers: Mapping[type[Any], Callable[[str], Any]]) -> Any:
    return readers[expected](value) if isinstance(value, str) and expected in readers else value


def _python_type(column_type: Any) -> type[Any]:
    try:
        python_type: type[Any] = column_type.python_type
    except NotImplementedError:  # types of one database alone need not tell
        return object
    return python_type


_DIALECT = DefaultDialect()
#: What drivers give to a type of the application's own, by the type beneath it.
_OF_DATABASES: Mapping[type[Any], Callable[[str], Any]] = {
    bytes: bytes.fromhex,
    datetime.date: datetime.date.fromisoformat,
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.time: datetime.time.fromisoformat,
}
_OF_TYPES: Mapping[type[Any], Callable[[str], Any]] = {**_OF_DATABASES, uuid.UUID: uuid.UUID, Decimal: Decimal}


def _compared(
    columns: Sequence[Any], values: Sequence[Any], compare: Callable[[Any, Any], Any], compares_rows: bool
) -> ColumnElement[bool]:
    bound = [literal(value, column.type) for column, value in zip(columns, values, strict=True)]
    if compares_rows:
        criterion: ColumnElement[bool] = compare(tuple_(*columns), tuple_(*bound))
        return criterion
    # The same spelled out, for databases that have no such comparison, or no index for it: a row is decided by the
    # first column that differs, and the last column by the comparison itself.
    strictly, or_equal = (operator.gt, operator.ge) if compare is operator.gt else (operator.lt, operator.le)
    last = len(columns) - 1
    places = [
        and_(
            *(column == value for column, value in zip(columns[:n], bound[:n], strict=True)),
            (compare if n == last else strictly)(columns[n], bound[n]),
        )
        for n in range(len(columns))
    ]
    return and_(or_equal(columns[0], bound[0]), or_(*places))
