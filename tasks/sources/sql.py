"""Tables and queries of a database: PostgreSQL, and what else SQLAlchemy has a driver for.

All is read in one read-only transaction that sees one state of the database, through a cursor on
the server, so memory stays bounded. Rows come in the order of the primary key, or of all columns
where there is none, with texts in the order of their bytes, so equal tables give equal rows.
"""

import difflib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pyarrow as pa
import sqlalchemy as sa
from pydantic import Field, model_validator
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning

from tasks.errors import SourceError
from tasks.schema import Column, DatasetSchema, ForeignKey, TableSchema, arrow_schema
from tasks.sources._connection import connect, explain
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema

BATCH_ROWS = 8_192

_TYPE_OF_OID: dict[int, type[sa.types.TypeEngine[Any]]] = {
    16: sa.Boolean,
    20: sa.BigInteger,
    21: sa.SmallInteger,
    23: sa.Integer,
    25: sa.Text,
    700: sa.REAL,
    701: sa.Double,
    1042: sa.Text,
    1043: sa.Text,
    1082: sa.Date,
    1114: sa.DateTime,
    1184: postgresql.TIMESTAMP,
    1700: sa.Numeric,
}
"""PostgreSQL's numbers of the types that a query's columns may have (catalogue `pg_type`)."""

_ARROW_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pa.DataType | None], ...] = (
    (sa.SmallInteger, pa.int16()),
    (sa.BigInteger, pa.int64()),
    (sa.Integer, pa.int32()),
    (sa.Boolean, pa.bool_()),
    (sa.REAL, pa.float32()),
    (sa.Float, pa.float64()),
    (sa.Date, pa.date32()),
    (sa.Enum, None),
    (postgresql.CITEXT, None),
    (sa.String, pa.string()),
)
"""The first one that fits; None is read as text."""

_QUOTED_OR_COMMENT = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/", re.DOTALL
)


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
        default=None, min_length=1, description="one SELECT (PostgreSQL), read as one table"
    )

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if sum(part is not None for part in (self.table, self.tables, self.query)) != 1:
            raise ValueError("needs exactly one of table, tables, query")
        return self


@dataclass(frozen=True)
class _Readable:
    """A table as we read it: what it is, and the statement that gives its rows."""

    schema: TableSchema
    statement: sa.Select[Any]


class SqlSource(Source):
    """One or more tables, or the result of one query."""

    Settings = SqlSettings

    def __enter__(self) -> Self:
        """Open the connection.

        Raises:
            SourceError: the connection is unknown or refused.
            SourceUnavailable: the database does not answer.
        """
        self._connection = self.opened.enter_context(connect(self.settings.connection))
        self.opened.callback(self._connection.engine.dispose)
        return self

    def schema(self) -> DatasetSchema:
        """The tables with the types and the keys that the database declares."""
        return self.dataset(*(readable.schema for readable in self._readables.values()))

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of one table."""
        del part
        readable = self._readables[table.name]
        schema = arrow_schema(table)
        try:
            result = self._connection.execute(
                readable.statement,
                execution_options={"stream_results": True, "max_row_buffer": BATCH_ROWS},
            )
            for rows in result.partitions(BATCH_ROWS):
                yield _to_batch(table.name, rows, schema)
        except DBAPIError as error:
            raise explain(error, f"table {table.name!r}") from error
        except (ValueError, OverflowError) as error:
            raise SourceError(
                f"table {table.name!r} holds a value that cannot be read: {error}; cast it in a `query`"
            ) from error

    @cached_property
    def _readables(self) -> dict[str, _Readable]:
        settings = self.settings
        if settings.query is not None:
            found = [_from_query(self._connection, settings.query)]
        else:
            found = _from_tables(self._connection, settings.tables or [settings.table])
        return {readable.schema.name: readable for readable in found}


def _from_tables(connection: sa.Connection, addresses: list[str]) -> list[_Readable]:
    tables = [_reflect(connection, address) for address in addresses]
    plain = [table.name for table in tables]
    names = {
        (table.schema, table.name): table.name if plain.count(table.name) == 1 else table.fullname
        for table in tables
    }
    if len(names) < len(tables):
        raise SourceError(f"expected different tables, found {addresses}")
    return [_readable(connection, table, names) for table in tables]


def _reflect(connection: sa.Connection, address: str) -> sa.Table:
    schema, _, name = address.rpartition(".")
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
        raise SourceError(_no_such_table(connection, address, schema or None)) from error
    except DBAPIError as error:
        raise explain(error, f"table {address!r}") from error


def _no_such_table(connection: sa.Connection, address: str, schema: str | None) -> str:
    inspector = sa.inspect(connection)
    if schema is not None and schema not in inspector.get_schema_names():
        return f"expected table {address!r}, but the database has no schema {schema!r}"
    known = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    near = difflib.get_close_matches(address.rpartition(".")[2], known, n=3, cutoff=0.5)
    choices = ", ".join(near or sorted(known)[:20]) or "none"
    return f"expected table {address!r}, the database has no such table or view; it has: {choices}"


def _readable(
    connection: sa.Connection, table: sa.Table, names: dict[tuple[str | None, str], str]
) -> _Readable:
    foreign_keys = [
        ForeignKey(
            columns=tuple(key["constrained_columns"]),
            references=names[key["referred_schema"], key["referred_table"]],
            referenced_columns=tuple(key["referred_columns"]),
        )
        for key in sa.inspect(connection).get_foreign_keys(table.name, table.schema)
        if (key["referred_schema"], key["referred_table"]) in names
    ]
    schema = table_schema(
        names[table.schema, table.name],
        [_column(c) for c in table.columns],
        primary_key=[c.name for c in table.primary_key.columns],
        foreign_keys=sorted(foreign_keys, key=lambda key: key.columns),
    )
    return _Readable(schema, _statement(connection, list(table.columns), schema.primary_key))


def _from_query(connection: sa.Connection, query: str) -> _Readable:
    if connection.dialect.name != "postgresql":
        raise SourceError(
            f"`query` is for PostgreSQL, found {connection.dialect.name}; make a view and name it"
            " under `table`"
        )
    query = query.strip().rstrip(";")
    if ";" in _QUOTED_OR_COMMENT.sub("", query):
        raise SourceError("expected `query` to be one SELECT, found several statements")
    try:
        # As a part of a SELECT, a statement that is none is an error of syntax.
        nothing = connection.exec_driver_sql(
            f"SELECT * FROM ({query}\n) AS data LIMIT 0",  # noqa: S608  the user's own query
            execution_options={"no_parameters": True},
        )
    except DBAPIError as error:
        raise explain(error, "the query") from error
    described = nothing.cursor.description if nothing.cursor is not None else []
    nothing.close()
    names = [part[0] for part in described]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"the query has more than one column named {twice}; use AS")
    columns = [sa.column(part[0], _type_of(part)) for part in described]
    # A colon would be a parameter to SQLAlchemy.
    text = sa.text(query.replace(":", r"\:") + "\n").columns(*columns)
    selected = list(text.subquery("data").columns)
    schema = table_schema("data", [_column(c) for c in selected])
    return _Readable(schema, _statement(connection, selected, ()))


def _type_of(described: Any) -> sa.types.TypeEngine[Any]:
    """The type of a query's column, from the driver's description of it."""
    kind = _TYPE_OF_OID.get(described[1], sa.types.NullType)
    if kind is sa.Numeric and described[4] not in (None, 65535):
        return sa.Numeric(described[4], described[5])
    return postgresql.TIMESTAMP(timezone=True) if kind is postgresql.TIMESTAMP else kind()


def _statement(
    connection: sa.Connection, columns: list[Any], key: tuple[str, ...]
) -> sa.Select[Any]:
    """The rows in an order that only the values decide."""
    in_bytes = connection.dialect.name == "postgresql"
    selected, order = [], []
    for c in columns:
        expression = c if _arrow_type(c.type) is not None else sa.cast(c, sa.Text)
        if isinstance(c.type, sa.Numeric) and _arrow_type(c.type) == pa.float64():
            expression = sa.cast(c, sa.Double)
        selected.append(expression.label(c.name))
        if not key or c.name in key:
            is_text = _arrow_type(c.type) in (None, pa.string())
            order.append(sa.collate(expression, "C") if is_text and in_bytes else expression)
    return sa.select(*selected).order_by(*order)


def _column(c: Any) -> Column:
    data_type = _arrow_type(c.type)
    # A query does not say which of its columns may be missing.
    nullable = getattr(c, "nullable", True)
    return column(str(c.name), pa.string() if data_type is None else data_type, nullable=nullable)


def _arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType | None:
    """The Arrow type for values of an SQL type; None where they are read as text."""
    if isinstance(kind, postgresql.DOMAIN):
        kind = kind.data_type
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", tz="UTC" if kind.timezone else None)
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        fits = kind.precision is not None and 0 <= (kind.scale or 0) <= kind.precision <= 38
        return pa.decimal128(kind.precision, kind.scale or 0) if fits else pa.float64()
    return next((ours for theirs, ours in _ARROW_TYPES if isinstance(kind, theirs)), None)


def _to_batch(table: str, rows: Any, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise SourceError(
                f"table {table!r}: column {field.name!r} is not of type {field.type}: {error}"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
