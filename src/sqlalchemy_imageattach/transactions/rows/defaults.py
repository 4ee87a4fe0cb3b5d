"""What an insertion says of columns that nobody has set.

An image that takes over the row of another one is written by an update, which leaves alone what was not set.  Then the
new image would have the caption of the old one, or be hidden as that was.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnDefault, DefaultClause, literal_column
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import set_attribute

__all__ = ("say_defaults",)


def say_defaults(state: InstanceState[Any]) -> None:
    """Set each column of a new image that is not set to its default, or to nothing.

    :param state: the state of the image
    """
    mapper = state.mapper
    kept = {*map(id, mapper.primary_key), id(mapper.version_id_col)}
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        if attribute.key in state.dict or not isinstance(column, Column) or id(column) in kept:
            continue
        if column.computed is None and column.identity is None:
            set_attribute(state.obj(), attribute.key, _default_of(column))


def _default_of(column: Column[Any]) -> Any:
    default, on_server = column.default, column.server_default
    if isinstance(default, ColumnDefault):
        return default.arg(None) if default.is_callable else default.arg
    if isinstance(on_server, DefaultClause):
        if isinstance(on_server.arg, str):
            return literal_column("'" + on_server.arg.replace("'", "''") + "'")
        return on_server.arg
    return None
