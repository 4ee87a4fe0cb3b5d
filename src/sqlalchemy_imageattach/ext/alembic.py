"""Alembic: the column of image tables that the original library's tables lack.

::

    import sqlalchemy_imageattach.ext.alembic  # noqa: F401

    def upgrade() -> None:
        op.add_image_revision("user_picture")

    def downgrade() -> None:
        op.drop_image_revision("user_picture")

Everything else Alembic does by itself: ``alembic revision --autogenerate`` writes tables of image classes, and finds
nothing more to do afterwards.  It must always be true that

- an upgrade changes no row: those without a revision have the files that they had;
- a downgrade loses no file: as long as a row has a revision, which is a part of its file's name, the column stays.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, DateTime, String, column, func, select, table
from sqlalchemy.dialects import mysql

from ..exc import MissingDependencyError

try:
    from alembic.operations import MigrateOperation, Operations
except ImportError:
    raise MissingDependencyError("Alembic needs an extra: pip install 'SQLAlchemy-ImageAttach[alembic]'") from None

__all__ = ("AddImageRevision",)


@Operations.register_operation("add_image_revision")
class AddImageRevision(MigrateOperation):
    """Add the column ``revision`` to an image table; on MySQL and MariaDB ``created_at`` gets microseconds too.

    :param table_name: the table of an image class
    :param schema: its schema, if it is not the default one
    """

    def __init__(self, table_name: str, schema: str | None = None) -> None:
        self.table_name = table_name
        self.schema = schema

    @classmethod
    def add_image_revision(cls, operations: Operations, table_name: str, *, schema: str | None = None) -> None:
        """Add the column ``revision`` to an image table.

        :param operations: ``op``
        :param table_name: the table of an image class
        :param schema: its schema, if it is not the default one
        """
        operations.invoke(cls(table_name, schema))

    def reverse(self) -> DropImageRevision:
        """The operation that takes it back.

        :returns: the operation
        """
        return DropImageRevision(self.table_name, self.schema)


@Operations.register_operation("drop_image_revision")
class DropImageRevision(MigrateOperation):
    """Drop the column ``revision`` of an image table, on the way back to the original library.

    :param table_name: the table of an image class
    :param schema: its schema, if it is not the default one
    """

    def __init__(self, table_name: str, schema: str | None = None) -> None:
        self.table_name = table_name
        self.schema = schema

    @classmethod
    def drop_image_revision(cls, operations: Operations, table_name: str, *, schema: str | None = None) -> None:
        """Drop the column ``revision`` of an image table.

        :param operations: ``op``
        :param table_name: the table of an image class
        :param schema: its schema, if it is not the default one
        :raises RuntimeError: when a row has a revision, so that its file would not be found any more
        """
        operations.invoke(cls(table_name, schema))

    def reverse(self) -> AddImageRevision:
        """The operation that takes it back.

        :returns: the operation
        """
        return AddImageRevision(self.table_name, self.schema)


@Operations.implementation_for(AddImageRevision)
def _add(operations: Operations, operation: AddImageRevision) -> None:
    place: dict[str, Any] = {"schema": operation.schema}
    operations.add_column(operation.table_name, Column("revision", String(16), nullable=True), **place)
    if operations.get_context().dialect.name in ("mysql", "mariadb"):
        operations.alter_column(
            operation.table_name,
            "created_at",
            type_=mysql.DATETIME(fsp=6),
            existing_type=DateTime(timezone=True),
            existing_nullable=False,
            **place,
        )


@Operations.implementation_for(DropImageRevision)
def _drop(operations: Operations, operation: DropImageRevision) -> None:
    context = operations.get_context()
    if not context.as_sql:
        images = table(operation.table_name, column("revision"), schema=operation.schema)
        named = operations.get_bind().scalar(
            select(func.count()).select_from(images).where(images.c.revision.isnot(None))
        )
        if named:
            raise RuntimeError(
                f"expected no row of {operation.table_name} with a revision, got {named}; their files are found by it"
                " alone, so remove these images or attach them with the original library first"
            )
    operations.drop_column(operation.table_name, "revision", schema=operation.schema)
