"""MySQL and MariaDB.

One connection reads everything in one transaction: neither server lets a second one see the
snapshot of the first, and a lock that would stop all writers is not ours to take. So each table is
one part. If the connection breaks, the snapshot is gone, and the table is read anew.

Tables of an engine without transactions (MyISAM, Aria) have no snapshot: what changes while they
are read may show.
"""

import contextlib
import datetime as dt
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pymysql
from pymysql.constants import ER

from tasks.errors import SourceError, SourceUnavailable
from tasks.schema import ForeignKey, TableSchema, arrow_schema, arrow_type
from tasks.sources._between import Between
from tasks.sources.base import Part, made_missing, table_schema
from tasks.sources.databases._mysql.session import Session
from tasks.sources.databases._mysql.values import column_of, decoded, selected, sorted_by
from tasks.sources.databases.base import (
    QUERY_TABLE,
    Access,
    Database,
    check_watermark,
    no_such_table,
    one_select,
    rewound,
)

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 4 * 2**20
"""Received before it is taken apart; more is no quicker."""

_Address = tuple[str, str]
"""Of a table: its database and its name."""


class MysqlDatabase(Database):
    """Tables, views and queries of MySQL and MariaDB."""

    def __init__(self, access: Access) -> None:
        """See `Database`."""
        super().__init__(access)
        self._open: Session | None = None
        self._fields: dict[str, list[Any]] = {}
        self._relations: dict[str, str] = {}
        self._ends: dict[str, str | None] = {}
        self._no_dates: dict[str, dict[str, int]] = {}

    def tables(self, addresses: Sequence[str]) -> list[TableSchema]:
        """See `Database.tables`."""
        found = [self._address(address) for address in addresses]
        if len(set(found)) < len(found):
            raise SourceError(f"expected different tables, found {list(addresses)}")
        plain = [name for _, name in found]
        names = {
            (database, name): name if plain.count(name) == 1 else f"{database}.{name}"
            for database, name in found
        }
        return [self._table(given, names) for given in zip(addresses, found, strict=True)]

    def query(self, text: str) -> TableSchema:
        """See `Database.query`."""
        # As a part of a SELECT, a statement that is none is an error of syntax.
        relation = f"({one_select(text)}\n)"
        try:
            return self._described(QUERY_TABLE, relation)
        except pymysql.err.MySQLError as error:
            if error.args[0] == ER.DUP_FIELDNAME:
                raise SourceError(
                    f"the query has more than one column of a name: {error.args[1]}; use AS"
                ) from error
            raise self._session.explained(error, "the query") from error

    def parts(self, table: TableSchema, after: dict[str, Any] | None) -> Sequence[Part]:
        """See `Database.parts`."""
        relation, fields = self._relations[table.name], self._fields[table.name]
        order = [f for f in fields if f.name in table.primary_key] if table.primary_key else fields
        if table.primary_key:
            order.sort(key=lambda field: table.primary_key.index(field.name))
        conditions = [] if self.access.between is None else _days(table, self.access.between)
        watermark = self.access.watermark
        if watermark is not None:
            check_watermark(table, watermark)
            self._ends[table.name] = self._last(table, watermark)
            order = [f for f in fields if f.name == watermark] + order
            if after is not None:
                last = _literal(after["watermark"], table.column(watermark).type)
                conditions.append(f"r.{_quoted(watermark)} >= {last}")
                first = f"SELECT 1 FROM {relation} AS r WHERE {conditions[-1]} LIMIT 1"  # noqa: S608
                if not self._session.fetch(first):
                    raise rewound(table, self._ends[table.name], after["watermark"])
        columns = ", ".join(selected(field, f"r.{_quoted(field.name)}") for field in fields)
        keys = ", ".join(
            key for field in order for key in sorted_by(field, f"r.{_quoted(field.name)}")
        )
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        select = f"SELECT {columns} FROM {relation} AS r{where} ORDER BY {keys}"  # noqa: S608  quoted
        return [Part({"select": select})]

    def read(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Database.read`."""
        schema = arrow_schema(table)
        no_dates = dict.fromkeys(table.column_names, 0)
        session = self._session
        chunk_bytes = min(_CHUNK_BYTES, self.access.batch_bytes)
        try:
            with contextlib.closing(session.stream(part.place["select"], chunk_bytes)) as chunks:
                for fields, columns in chunks:
                    arrays = []
                    for known, field, values in zip(table.columns, fields, columns, strict=True):
                        array, n_missing = decoded(values, field, arrow_type(known))
                        no_dates[known.name] += n_missing
                        arrays.append(array)
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except pymysql.err.MySQLError as error:
            raise session.explained(error, f"table {table.name!r}") from error
        except SourceError as error:
            raise type(error)(f"table {table.name!r}: {error}") from error
        self._count(table.name, no_dates)

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """See `Database.end_of`."""
        end = self._ends.get(table.name)
        return None if end is None else {"watermark": end}

    def counts(self) -> dict[str, int]:
        """Dates that no calendar has, such as 0000-00-00, by table and column."""
        return {
            made_missing(table, column): n
            for table, columns in self._no_dates.items()
            for column, n in columns.items()
        }

    @property
    def _session(self) -> Session:
        """The open session, or a new one with a new snapshot where it was lost."""
        if self._open is None or self._open.is_lost:
            self._open = Session(self.access.connection, self.access.url)
            self.opened.callback(self._open.close)
        return self._open

    def _address(self, given: str) -> _Address:
        database, _, name = given.rpartition(".")
        if not database:
            if self.access.url.database is None:
                raise SourceError(
                    f"expected table {given!r} as `database.table`, because the URL of connection"
                    f" {self.access.connection} names no database"
                )
            database = self.access.url.database
        return database, name

    def _table(self, given: tuple[str, _Address], names: dict[_Address, str]) -> TableSchema:
        address, (database, name) = given
        session = self._session
        try:
            table = self._described(names[database, name], f"{_quoted(database)}.{_quoted(name)}")
            keys = self._keys(database, name, names)
        except pymysql.err.MySQLError as error:
            fault = session.explained(error, f"table {address!r}")
            if isinstance(fault, SourceUnavailable):
                raise fault from error
            known = session.fetch(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", database
            )
            if (name,) not in known:
                raise no_such_table(
                    address, [row[0] for row in known], session.databases()
                ) from error
            raise fault from error
        return table_schema(table.name, table.columns, primary_key=keys[0], foreign_keys=keys[1])

    def _described(self, name: str, relation: str) -> TableSchema:
        fields = self._session.describe(f"SELECT * FROM {relation} AS r LIMIT 0")  # noqa: S608
        table = table_schema(name, [column_of(field) for field in fields])
        self._fields[name], self._relations[name] = fields, relation
        return table

    def _keys(
        self, database: str, name: str, names: dict[_Address, str]
    ) -> tuple[list[str], list[ForeignKey]]:
        rows = self._session.fetch(
            "SELECT constraint_name, column_name, referenced_table_schema, referenced_table_name,"
            " referenced_column_name FROM information_schema.key_column_usage"
            " WHERE table_schema = %s AND table_name = %s"
            " ORDER BY constraint_name, ordinal_position",
            database,
            name,
        )
        primary = [row[1] for row in rows if row[0] == "PRIMARY"]
        links = sorted({(row[0], row[2], row[3]) for row in rows if (row[2], row[3]) in names})
        foreign = [
            ForeignKey(
                columns=tuple(row[1] for row in rows if row[0] == link),
                references=names[to_database, to_table],
                referenced_columns=tuple(row[4] for row in rows if row[0] == link),
            )
            for link, to_database, to_table in links
        ]
        return primary, sorted(foreign, key=lambda key: key.columns)

    def _last(self, table: TableSchema, watermark: str) -> str | None:
        name = f"r.{_quoted(watermark)}"
        relation = self._relations[table.name]
        try:
            ((last, n_missing),) = self._session.fetch(
                f"SELECT CAST(MAX({name}) AS CHAR), COUNT(*) - COUNT({name}) FROM {relation} AS r"  # noqa: S608
            )
        except pymysql.err.MySQLError as error:
            raise self._session.explained(error, f"table {table.name!r}") from error
        if n_missing:
            raise SourceError(
                f"source.watermark: expected a value of {watermark!r} in every row of table"
                f" {table.name!r}, found {n_missing:,} rows without"
            )
        return None if last is None else str(last)

    def _count(self, table: str, no_dates: dict[str, int]) -> None:
        self._no_dates[table] = {column: n for column, n in no_dates.items() if n}
        for column, n in self._no_dates[table].items():
            logger.warning(
                "%s: %s dates of %r that no calendar has (0000-00-00) are missing values",
                table,
                f"{n:,}",
                column,
            )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _days(table: TableSchema, between: Between) -> list[str]:
    """The conditions of the rows of a partition, and of those without a date, which are counted."""
    bounds = between.bounds(table.name, arrow_type(table.column(between.column)))
    low, high = (
        # The session's clock is UTC.
        value.astimezone(dt.UTC).replace(tzinfo=None)
        if isinstance(value, dt.datetime) and value.tzinfo
        else value
        for value in bounds
    )
    name = f"r.{_quoted(between.column)}"
    return [f"({name} >= '{low}' AND {name} < '{high}' OR {name} IS NULL)"]


def _literal(value: str, type_name: str) -> str:
    """A watermark as SQL.

    Raises:
        SourceError: it is none.
    """
    if not re.fullmatch(r"[0-9 .:-]+", value):
        raise SourceError(f"expected a number or a date as the last watermark, found {value!r}")
    return value if type_name.startswith(("int", "uint", "decimal")) else f"'{value}'"
