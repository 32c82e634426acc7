"""Databases that have no reader of their own: whatever SQLAlchemy has a driver for.

Each table is one part, read through one connection, in one transaction that is never committed and
that sees one state of the database where the database can do that (repeatable read or serializable).
Texts are sorted as the database sorts them.
"""

import contextlib
import datetime as dt
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
)

BATCH_ROWS = 8_192
_FIRST_ROWS = 256

_ONE_STATE = ("REPEATABLE READ", "SERIALIZABLE")

_ARROW_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pa.DataType | None], ...] = (
    (sa.SmallInteger, pa.int16()),
    (sa.Integer, pa.int64()),
    (sa.Boolean, pa.bool_()),
    (sa.Float, pa.float64()),
    (sa.Date, pa.date32()),
    (sa.Enum, None),
    (sa.String, pa.string()),
)
"""The first one that fits, wide enough for what any database calls so; None is read as text."""


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
        """See `Database.query`; types are those of the first rows, which drivers tell in no one way."""
        # Oracle knows no AS here.
        relation = f"({one_select(text)}\n) data"
        with self._explained("the query"):
            nothing = self._execute(f"SELECT * FROM {relation} WHERE 1 = 0")  # noqa: S608
            names = list(nothing.keys())
            nothing.close()
            check_names(names)
            quoted = ", ".join(self._quoted(name) for name in names)
            select = f"SELECT {quoted} FROM {relation} ORDER BY {quoted}"  # noqa: S608
            with contextlib.closing(self._execute(select)) as result:
                first = result.fetchmany(BATCH_ROWS)
        values = zip(*first, strict=True) if first else [()] * len(names)
        types = [_inferred(known) for known in values]
        self._statements[QUERY_TABLE] = select
        return table_schema(
            QUERY_TABLE, [column(name, kind) for name, kind in zip(names, types, strict=True)]
        )

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
        with (
            self._explained(f"table {table.name!r}"),
            contextlib.closing(self._execute(part.place["select"])) as result,
        ):
            n_rows = _FIRST_ROWS
            while rows := result.fetchmany(n_rows):
                batch = _batch(table.name, rows, schema)
                row_bytes = batch.nbytes / batch.num_rows + 50 * batch.num_columns
                n_rows = max(1, min(BATCH_ROWS, int(self.access.batch_bytes / 2 / row_bytes)))
                yield batch

    @cached_property
    def _connection(self) -> sa.Connection:
        connection = self.opened.enter_context(connect(self.access.connection, self.access.url))
        self.opened.callback(connection.engine.dispose)
        known: Sequence[str] = ()
        with contextlib.suppress(NotImplementedError):
            driver: Any = connection.connection.dbapi_connection
            known = connection.dialect.get_isolation_level_values(driver)
        level = next((level for level in _ONE_STATE if level in known), None)
        return connection.execution_options(isolation_level=level) if level else connection

    @cached_property
    def _statements(self) -> dict[str, str]:
        return {}

    def _execute(self, statement: str) -> sa.CursorResult[Any]:
        options = {"no_parameters": True, "stream_results": True, "max_row_buffer": BATCH_ROWS}
        return self._connection.exec_driver_sql(statement, execution_options=options)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise explain(error, what) from error

    def _quoted(self, name: str) -> str:
        # Nothing is filled in, so a percent sign stands for itself.
        return self._connection.dialect.identifier_preparer.quote(name).replace("%%", "%")

    def _reflect(self, address: str) -> sa.Table:
        schema, _, name = address.rpartition(".")
        connection = self._connection
        inspector = sa.inspect(connection)
        try:
            if schema and schema not in inspector.get_schema_names():
                raise no_such_table(address, (), inspector.get_schema_names())
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
            known = [
                *inspector.get_table_names(schema or None),
                *inspector.get_view_names(schema or None),
            ]
            raise no_such_table(address, known, [schema]) from error
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
            is_read = _arrow_type(c.type) is not None or isinstance(c.type, sa.LargeBinary)
            expression = c if is_read else sa.cast(c, sa.Text)
            selected.append(expression.label(c.name))
            if not key or c.name in key:
                order.append(expression)
        select = sa.select(*selected).order_by(*order)
        dialect = self._connection.dialect
        return str(select.compile(dialect=dialect)).replace("%%", "%")


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
        return pa.decimal128(kind.precision, kind.scale or 0) if fits else None
    return next((ours for theirs, ours in _ARROW_TYPES if isinstance(kind, theirs)), None)


def _inferred(values: Sequence[Any]) -> pa.DataType:
    """The Arrow type of a query's column, of its first values; text where no type is sure to fit."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) != 1:
        return pa.float64() if kinds == {int, float} else pa.string()
    (kind,) = kinds
    if kind is dt.datetime:
        return pa.timestamp("us", tz="UTC" if any(v and v.tzinfo for v in values) else None)
    known = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), dt.date: pa.date32()}
    return known.get(kind, pa.string())


def _batch(table: str, rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a driver as a batch.

    Raises:
        SourceError: a value is not of its column's type.
    """
    arrays = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        try:
            arrays.append(_array(values, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, OverflowError) as error:
            raise SourceError(
                f"table {table!r}: column {field.name!r} is not of type {field.type}: {error}; cast"
                " it in a `query`"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    if pa.types.is_string(data_type):
        return pa.array([_spelled(value) for value in values], data_type)
    try:
        return pa.array(values, data_type)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        # Some drivers give dates and decimals as texts, or truth as 0 and 1.
        return pa.array(values).cast(pa.string()).cast(data_type)


def _spelled(value: Any) -> str | None:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    return None if value is None else str(value)
