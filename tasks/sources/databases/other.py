"""Databases that have no reader of their own: whatever SQLAlchemy has a driver for.

Each table is one part, read through one connection, in one transaction.
"""

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning

from tasks.errors import ParamsError, SourceError
from tasks.schema import Column, ForeignKey, TableSchema, arrow_schema
from tasks.sources._connection import connect, explain
from tasks.sources.base import Part, column, table_schema
from tasks.sources.databases.base import (
    QUERY_TABLE,
    Database,
    check_names,
    no_such_table,
    one_select,
    to_batch,
)

BATCH_ROWS = 8_192

_ARROW_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pa.DataType | None], ...] = (
    (sa.SmallInteger, pa.int16()),
    (sa.BigInteger, pa.int64()),
    (sa.Integer, pa.int32()),
    (sa.Boolean, pa.bool_()),
    (sa.REAL, pa.float32()),
    (sa.Float, pa.float64()),
    (sa.Date, pa.date32()),
    (sa.Enum, None),
    (sa.String, pa.string()),
)
"""The first one that fits; None is read as text."""


class OtherDatabase(Database):
    """Tables by SQLAlchemy's reflection, rows by the driver's cursor."""

    def tables(self, addresses: Sequence[str]) -> list[TableSchema]:
        """See `Database.tables`."""
        found = [self._reflect(address) for address in addresses]
        plain = [table.name for table in found]
        names = {
            (table.schema, table.name): (
                table.name if plain.count(table.name) == 1 else table.fullname
            )
            for table in found
        }
        if len(names) < len(found):
            raise SourceError(f"expected different tables, found {addresses}")
        return [self._table(table, names) for table in found]

    def query(self, text: str) -> TableSchema:
        """See `Database.query`."""
        text = one_select(text)
        try:
            result = self._connection.exec_driver_sql(
                f"SELECT * FROM ({text}\n) AS data WHERE 1 = 0",  # noqa: S608  the user's own query
                execution_options={"no_parameters": True},
            )
        except DBAPIError as error:
            raise explain(error, "the query") from error
        names = list(result.keys())
        result.close()
        check_names(names)
        columns = [sa.column(name, sa.Text()) for name in names]
        text_clause = sa.text(text.replace(":", r"\:") + "\n").columns(*columns)
        selected = list(text_clause.subquery("data").columns)
        schema = table_schema(QUERY_TABLE, [_column(c) for c in selected])
        self._statements[schema.name] = self._statement(selected, ())
        return schema

    def parts(self, table: TableSchema, after: dict[str, Any] | None) -> Sequence[Part]:
        """See `Database.parts`."""
        if self.access.watermark is not None:
            name = self.access.url.get_backend_name()
            raise ParamsError(f"source.watermark is not for {name}; leave it out")
        del after
        return [Part({"select": self._statements[table.name]})]

    def read(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Database.read`."""
        schema = arrow_schema(table)
        try:
            result = self._connection.exec_driver_sql(
                part.place["select"],
                execution_options={
                    "no_parameters": True,
                    "stream_results": True,
                    "max_row_buffer": BATCH_ROWS,
                },
            )
            for rows in result.partitions(BATCH_ROWS):
                yield to_batch(table, schema, rows)
        except DBAPIError as error:
            raise explain(error, f"table {table.name!r}") from error
        except (ValueError, OverflowError) as error:
            raise SourceError(
                f"table {table.name!r} holds a value that cannot be read: {error}; cast it in a"
                " `query`"
            ) from error

    @cached_property
    def _connection(self) -> sa.Connection:
        connection = self.opened.enter_context(connect(self.access.connection, self.access.url))
        self.opened.callback(connection.engine.dispose)
        return connection

    @cached_property
    def _statements(self) -> dict[str, str]:
        return {}

    def _reflect(self, address: str) -> sa.Table:
        schema, _, name = address.rpartition(".")
        connection = self._connection
        try:
            with warnings.catch_warnings():
                # A type that SQLAlchemy does not know is read as text.
                warnings.filterwarnings("ignore", "Did not recognize type", SAWarning)
                return sa.Table(
                    name,
                    sa.MetaData(),
                    schema=schema or None,
                    autoload_with=connection,
                    resolve_fks=False,
                )
        except NoSuchTableError as error:
            inspector = sa.inspect(connection)
            schemas = inspector.get_schema_names()
            known: list[str] = []
            if not schema or schema in schemas:
                known = [
                    *inspector.get_table_names(schema or None),
                    *inspector.get_view_names(schema or None),
                ]
            raise no_such_table(address, known, schemas) from error
        except DBAPIError as error:
            raise explain(error, f"table {address!r}") from error

    def _table(self, table: sa.Table, names: dict[tuple[str | None, str], str]) -> TableSchema:
        foreign_keys = [
            ForeignKey(
                columns=tuple(key["constrained_columns"]),
                references=names[key["referred_schema"], key["referred_table"]],
                referenced_columns=tuple(key["referred_columns"]),
            )
            for key in sa.inspect(self._connection).get_foreign_keys(table.name, table.schema)
            if (key["referred_schema"], key["referred_table"]) in names
        ]
        schema = table_schema(
            names[table.schema, table.name],
            [_column(c) for c in table.columns],
            primary_key=[c.name for c in table.primary_key.columns],
            foreign_keys=sorted(foreign_keys, key=lambda key: key.columns),
        )
        self._statements[schema.name] = self._statement(list(table.columns), schema.primary_key)
        return schema

    def _statement(self, columns: list[Any], key: tuple[str, ...]) -> str:
        """The rows in an order that only the values decide."""
        selected, order = [], []
        for c in columns:
            expression = c if _arrow_type(c.type) is not None else sa.cast(c, sa.Text)
            if isinstance(c.type, sa.Numeric) and _arrow_type(c.type) == pa.float64():
                expression = sa.cast(c, sa.Double)
            selected.append(expression.label(c.name))
            if not key or c.name in key:
                order.append(expression)
        select = sa.select(*selected).order_by(*order)
        return str(
            select.compile(dialect=self._connection.dialect, compile_kwargs={"literal_binds": True})
        )


def _column(c: Any) -> Column:
    data_type = _arrow_type(c.type)
    # A query does not say which of its columns may be missing.
    nullable = getattr(c, "nullable", True)
    return column(str(c.name), pa.string() if data_type is None else data_type, nullable=nullable)


def _arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType | None:
    """The Arrow type for values of an SQL type; None where they are read as text."""
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", tz="UTC" if kind.timezone else None)
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        fits = kind.precision is not None and 0 <= (kind.scale or 0) <= kind.precision <= 38
        return pa.decimal128(kind.precision, kind.scale or 0) if fits else pa.float64()
    return next((ours for theirs, ours in _ARROW_TYPES if isinstance(kind, theirs)), None)
