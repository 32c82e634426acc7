"""SQLite: a file, opened so that it cannot be changed and never is created.

A column of SQLite may hold values of any type, whatever it declares, so all values are asked for
their type before the first one is read. Each table is one part, read through one connection in one
transaction.
"""

import contextlib
import logging
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import ForeignKey, TableSchema, arrow_schema
from tasks.sources.base import Part, column, table_schema
from tasks.sources.databases._sqlite.session import connected, explained
from tasks.sources.databases._sqlite.values import N_QUESTIONS, Declared, array, found, questions
from tasks.sources.databases.base import (
    QUERY_TABLE,
    Access,
    Database,
    check_names,
    check_watermark,
    no_such_table,
    one_select,
    rewound,
)

logger = logging.getLogger(__name__)

_FIRST_ROWS = 256
_MOST_ROWS = 65_536
_COLUMNS_AT_ONCE = 100
"""So many columns are asked for in one statement: SQLite takes 2000 expressions."""


@dataclass(frozen=True)
class _Relation:
    """A table, view or query as SQL.

    Attributes:
        sql: to stand behind FROM.
        order: the expressions by which its rows are sorted.
    """

    sql: str
    order: tuple[str, ...]


class SqliteDatabase(Database):
    """Tables, views and queries of an SQLite file."""

    def __init__(self, access: Access) -> None:
        """See `Database`."""
        super().__init__(access)
        self._open: sqlite3.Connection | None = None
        self._kinds: dict[str, str] = {}
        self._relations: dict[str, _Relation] = {}
        self._as_text: dict[str, int] = {}
        self._last: dict[str, Any] = {}

    def tables(self, addresses: Sequence[str]) -> list[TableSchema]:
        """See `Database.tables`."""
        self._kinds = dict(self._rows(_TABLES, "the list of tables"))
        known = {name.lower(): name for name in self._kinds}
        names = []
        for address in addresses:
            name = address.removeprefix("main.")
            if name.lower() not in known:
                raise no_such_table(address, known.values(), ["main"])
            names.append(known[name.lower()])
        if len(set(names)) < len(names):
            raise SourceError(f"expected different tables, found {list(addresses)}")
        return [self._table(name, names) for name in names]

    def query(self, text: str) -> TableSchema:
        """See `Database.query`."""
        sql = f"({one_select(text)}\n)"
        with self._explained("the query"):
            cursor = self._connection.execute(f"SELECT * FROM {sql} AS r LIMIT 0")  # noqa: S608
        names = [part[0] for part in cursor.description]
        # SQLite calls the second column of a name `a:1`.
        plain = [re.sub(r":\d+$", "", name) for name in names]
        check_names([was if was in names else name for was, name in zip(plain, names, strict=True)])
        order = tuple(f"{_quoted(name)} COLLATE BINARY" for name in names)
        self._relations[QUERY_TABLE] = _Relation(sql, order)
        return self._typed(QUERY_TABLE, [Declared(name, "", not_null=False) for name in names])

    def parts(self, table: TableSchema, after: dict[str, Any] | None) -> Sequence[Part]:
        """See `Database.parts`."""
        relation = self._relations[table.name]
        columns = ", ".join(_quoted(name) for name in table.column_names)
        order, where, values = relation.order, "", []
        watermark = self.access.watermark
        if watermark is not None:
            check_watermark(table, watermark)
            self._last[table.name] = self._maximum(table, watermark)
            order = (_quoted(watermark), *order)
            if after is not None:
                last = self._last[table.name]
                if last is None or last < after["last"]:
                    raise rewound(table, last, after["last"])
                where, values = f" WHERE {_quoted(watermark)} >= ?", [after["last"]]
        select = f"SELECT {columns} FROM {relation.sql} AS r{where} ORDER BY {', '.join(order)}"  # noqa: S608
        return [Part({"select": select, "values": values})]

    def read(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """See `Database.read`."""
        schema = arrow_schema(table)
        what = f"table {table.name!r}"
        n_rows, n_read = _FIRST_ROWS, 0
        with self._explained(what):
            cursor = self._connection.execute(part.place["select"], part.place["values"])
            with contextlib.closing(cursor):
                while rows := cursor.fetchmany(n_rows):
                    place = f"{what}, rows {n_read + 1:,} to {n_read + len(rows):,}"
                    batch = _batch(rows, schema, place)
                    n_read += len(rows)
                    n_rows = _rows_of(self.access.batch_bytes, batch)
                    yield batch

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """See `Database.end_of`."""
        last = self._last.get(table.name)
        return None if last is None else {"last": last}

    def counts(self) -> dict[str, int]:
        """Numbers and bytes that became text, because other values of the column are."""
        return dict(sorted(self._as_text.items()))

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = self.opened.enter_context(contextlib.closing(connected(self.access)))
        return self._open

    def _rows(self, statement: str, what: str) -> list[tuple[Any, ...]]:
        with self._explained(what):
            rows = self._connection.execute(statement).fetchall()
        return [tuple(_plain(value) for value in row) for row in rows]

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explained(error, f"{what} of {self._name}") from error

    @property
    def _name(self) -> str:
        return f"the database of connection {self.access.connection}"

    def _table(self, name: str, names: list[str]) -> TableSchema:
        what = f"table {name!r}"
        pragma = f"PRAGMA table_xinfo({_quoted(name)})"
        described = [row for row in self._rows(pragma, what) if row[6] != 1]
        key = [row[1] for row in sorted(described, key=lambda row: row[5]) if row[5]]
        missing = " OR ".join(f"{_quoted(part)} IS NULL" for part in key)
        if key and self._rows(f"SELECT 1 FROM {_quoted(name)} WHERE {missing} LIMIT 1", what):  # noqa: S608
            key = []  # SQLite takes any number of rows whose key is missing: it tells no rows apart
        declared = [
            # A key of one INTEGER is the number of the row itself, which is never missing.
            Declared(
                name, kind.upper(), bool(not_null) or (key, kind.upper()) == ([name], "INTEGER")
            )
            for _, name, kind, not_null, *_ in described
        ]
        self._relations[name] = _Relation(_quoted(name), self._order(name, key, declared))
        typed = self._typed(name, declared)
        return table_schema(
            name, typed.columns, primary_key=key, foreign_keys=self._links(name, names)
        )

    def _order(self, name: str, key: list[str], declared: list[Declared]) -> tuple[str, ...]:
        """By the key, else in the order in which the rows are stored; a view by all its columns."""
        if key:
            return tuple(f"{_quoted(part)} COLLATE BINARY" for part in key)
        taken = {column.name.lower() for column in declared}
        number = next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), None)
        if self._kinds[name] == "table" and number is not None:
            return (number,)
        return tuple(f"{_quoted(column.name)} COLLATE BINARY" for column in declared)

    def _links(self, name: str, names: list[str]) -> list[ForeignKey]:
        rows = self._rows(f"PRAGMA foreign_key_list({_quoted(name)})", f"table {name!r}")
        known = {other.lower(): other for other in names}
        links = []
        for number in sorted({row[0] for row in rows if row[2].lower() in known}):
            parts = sorted((row for row in rows if row[0] == number), key=lambda row: row[1])
            other = known[parts[0][2].lower()]
            if any(row[4] is None for row in parts):
                info = self._rows(f"PRAGMA table_xinfo({_quoted(other)})", f"table {other!r}")
                to = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
            else:
                to = [row[4] for row in parts]
            links.append(
                ForeignKey(
                    columns=tuple(row[3] for row in parts),
                    references=other,
                    referenced_columns=tuple(to),
                )
            )
        return sorted(links, key=lambda link: link.columns)

    def _typed(self, name: str, declared: list[Declared]) -> TableSchema:
        """The table with the types that its values have."""
        answers: list[Any] = []
        for start in range(0, len(declared), _COLUMNS_AT_ONCE):
            asked = [questions(_quoted(c.name)) for c in declared[start : start + _COLUMNS_AT_ONCE]]
            statement = f"SELECT {', '.join(asked)} FROM {self._relations[name].sql} AS r"  # noqa: S608
            answers += self._rows(statement, f"table {name!r}")[0]
        columns = []
        for i, given in enumerate(declared):
            type_ = found(given, answers[i * N_QUESTIONS : (i + 1) * N_QUESTIONS])
            if type_.n_as_text:
                self._as_text[f"read_as_text.{name}.{given.name}"] = type_.n_as_text
                logger.warning(
                    "%s: %s numbers or bytes in %r are read as text, because no other type holds"
                    " all of its values",
                    name,
                    f"{type_.n_as_text:,}",
                    given.name,
                )
            columns.append(column(given.name, type_.data_type, nullable=not given.not_null))
        return table_schema(name, columns)

    def _maximum(self, table: TableSchema, watermark: str) -> Any:
        name = _quoted(watermark)
        ((last, n_missing),) = self._rows(
            f"SELECT MAX({name}), COUNT(*) - COUNT({name}) FROM {self._relations[table.name].sql} AS r",  # noqa: S608
            f"table {table.name!r}",
        )
        if n_missing:
            raise SourceError(
                f"source.watermark: expected a value of {watermark!r} in every row of table"
                f" {table.name!r}, found {n_missing:,} rows without"
            )
        return last


_TABLES = (
    "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%'"
    " ESCAPE '~'"
)


def _batch(rows: list[tuple[Any, ...]], schema: pa.Schema, place: str) -> pa.RecordBatch:
    columns = zip(schema, zip(*rows, strict=True), strict=True)
    try:
        arrays = [array(values, field.type, field.name) for field, values in columns]
    except SourceError as error:
        raise SourceError(f"{place}: {error}") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _rows_of(n_bytes: int, batch: pa.RecordBatch) -> int:
    """How many rows like those of `batch` take so many bytes, as Python's objects too."""
    row_bytes = batch.nbytes / batch.num_rows + 50 * batch.num_columns
    return max(1, min(_MOST_ROWS, int(n_bytes / 2 / row_bytes)))


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytearray) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
