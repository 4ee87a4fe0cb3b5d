"""Primary keys of image rows: in ranges, and as JSON.

A key may be of several values, each an integer, a string or a UUID.  It must always be true that

- keys are ordered by the database alone, which may sort text in a way of its own;
- what was told as JSON is read back as the same key, by the types of the columns.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, literal, or_, tuple_
from sqlalchemy.orm import Mapper

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

    :param columns: the attributes of the primary key
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
        raise TypeError(f"keys must be a KeyRange, as key_ranges() gives them, not {keys!r}")
    for key in keys:
        if key is not None and len(key) != len(mapper.primary_key):
            raise ValueError(
                f"expected keys of {class_name(mapper)}, which have {len(mapper.primary_key)} values, not {key!r}"
            )


def class_name(mapper: Mapper[Any]) -> str:
    """Name a class where another process will look for it.

    :param mapper: its mapper
    :returns: the name
    """
    return f"{mapper.class_.__module__}.{mapper.class_.__qualname__}"


def key_to_json(values: Sequence[Any]) -> list[int | str]:
    """Make JSON of a key.

    :param values: the values of the key
    :returns: a list of integers and strings
    :raises TypeError: when a value is neither an integer, a string nor a UUID
    """
    return [_encoded(value) for value in values]


def key_from_json(columns: Sequence[Any], values: Sequence[Any]) -> tuple[Any, ...]:
    """Make a key of JSON.

    :param columns: the columns of the key
    :param values: what :func:`key_to_json` has made of it
    :returns: the values of the key
    :raises ValueError: when it is no such key
    """
    try:
        return tuple(_decoded(value, column.type) for value, column in zip(values, columns, strict=True))
    except (TypeError, ValueError) as error:
        names = ", ".join(str(column) for column in columns)
        raise ValueError(f"expected a key of {names}, not {values!r}") from error


def _encoded(value: Any) -> int | str:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, int | str):
        return value
    raise TypeError(f"expected keys of integers, strings or UUIDs, which can be told as JSON, not {value!r}")


def _decoded(value: Any, column_type: Any) -> Any:
    expected = column_type.python_type
    if expected is uuid.UUID and isinstance(value, str):
        return uuid.UUID(value)
    if isinstance(value, bool) or not isinstance(value, expected):
        raise TypeError(value)
    return value


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
