"""Tables and queries of a database: PostgreSQL, MySQL, SQLite, whatever SQLAlchemy knows.

What the settings mean is here; how a database is read is in `tasks/sources/databases`, a file for
each dialect. All is read in read-only transactions that see one state of the database, within
bounded memory. Equal tables give equal rows in the same order.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import pyarrow as pa
from pydantic import Field, model_validator

from tasks import registry
from tasks.locations.databases import url_of
from tasks.schema import DatasetSchema, TableSchema
from tasks.sources.base import Part, Source, SourceSettings
from tasks.sources.databases.base import Access, Database

_READERS = "tasks.sources.databases"

_SAME_DIALECT = {"mariadb": "mysql"}


class SqlSettings(SourceSettings):
    """Settings of `source: {type: sql}`."""

    connection: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="name of the environment variable, or of the Airflow connection, with the URL",
    )
    table: str | None = Field(default=None, description="one table or view, `schema.table` too")
    tables: list[str] | None = Field(
        default=None, min_length=1, description="several tables; the first one holds the target"
    )
    query: str | None = Field(
        default=None, min_length=1, description="one SELECT, read as one table"
    )
    watermark: str | None = Field(
        default=None,
        min_length=1,
        description="column of every table whose values only grow (an id, a time of change): later"
        " runs read only the rows from its last value on; null: all rows",
    )

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if sum(part is not None for part in (self.table, self.tables, self.query)) != 1:
            raise ValueError("needs exactly one of table, tables, query")
        return self


class SqlSource(Source):
    """One or more tables, or the result of one query."""

    Settings = SqlSettings

    def __enter__(self) -> Self:
        """Find the reader of the database's dialect; it connects when it is first asked.

        Raises:
            SourceError: the connection is unknown.
        """
        name = self.settings.connection
        url = url_of(name)
        access = Access(
            connection=name,
            url=url,
            workers=self.settings.workers or os.cpu_count() or 1,
            batch_bytes=self.batch_bytes(),
            watermark=self.settings.watermark,
            between=self.settings.between,
            project=self.project,
        )
        dialect = _SAME_DIALECT.get(url.get_backend_name(), url.get_backend_name())
        reader = dialect if dialect in registry.names(_READERS) else "other"
        database = registry.load(_READERS, reader, Database)  # type: ignore[type-abstract]
        self._database = self.opened.enter_context(database(access))
        return self

    def schema(self) -> DatasetSchema:
        """The tables with the types and the keys that the database declares.

        Raises:
            SourceError: the database refuses the login, or lacks a table or a column.
            SourceUnavailable: it does not answer.
        """
        return self.dataset(*self._tables)

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """See `Database.parts`."""
        return self._database.parts(table, self.after.get(table.name))

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Source.read_part`."""
        return self._database.read(table, part)

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """The last watermark of the table; None without a watermark."""
        return self._database.end_of(table)

    def recognised_by(self, table: TableSchema) -> Sequence[str]:
        """The primary key; without one the watermark: all rows of the last one are asked for again."""
        watermark = self.settings.watermark
        return table.primary_key or (() if watermark is None else (watermark,))

    def counts(self) -> dict[str, int]:
        """Values that Arrow has no place for and that became missing, by table and column."""
        return self._database.counts()

    @cached_property
    def _tables(self) -> list[TableSchema]:
        if self.settings.query is not None:
            return [self._database.query(self.settings.query)]
        return self._database.tables(self.settings.tables or [self.settings.table])
