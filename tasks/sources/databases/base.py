r"""The contract of readers of databases, and what they share.

A reader is one file `tasks/sources/databases/<dialect>.py` with one subclass of `Database`; what has
no file of its own is read by `other`. It turns tables, views and a query into `TableSchema`s, cuts
them into parts and reads each part, all of one state of the database and without changing it.

How values lie in Arrow, for all dialects: a value that no Arrow type of `tasks.schema` holds exactly
is text in the database's own spelling, binary is the text `\x` and hexadecimal digits (nothing
behind ingest carries bytes), and a value that its type has no place for (an infinite date, a
numeric NaN) becomes missing and is counted (`Database.counts`).
"""

import contextlib
import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import sqlalchemy as sa

from tasks.errors import ParamsError, SourceError, SourceRewound
from tasks.schema import TableSchema
from tasks.sources._between import Between
from tasks.sources.base import Part

QUERY_TABLE = "data"
"""Name of the table that a query's rows make."""

_QUOTED_OR_COMMENT = re.compile(
    r"\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/",
    re.DOTALL,
)


@dataclass(frozen=True)
class Access:
    """What a reader is told.

    Attributes:
        connection: the name by which messages call the database; never its URL.
        url: of the database, with the password.
        workers: parts that are read at once, at most; so many connections, and one more, may be
            open.
        batch_bytes: memory that one batch may take.
        watermark: the column whose values only grow, in every table; None: none.
        between: the rows that are wanted; a reader may leave the others out, or give all; None: all.
        project: folder from which the path of a database in a file counts.
    """

    connection: str
    url: sa.URL
    workers: int
    batch_bytes: int
    watermark: str | None = None
    between: Between | None = None
    project: Path = Path()


class Database(ABC):
    """One database, seen in one state. Use it in a `with` block.

    A connection is opened when it is first needed, so a process that only reads parts opens none
    but its own. What is opened is put on `self.opened`, from the thread that calls `tables`,
    `query` and `parts`; `read` may be called from many threads at once, and in another process.
    """

    def __init__(self, access: Access) -> None:
        """Nothing is opened yet."""
        self.access = access
        self.opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:
        """Close all connections."""
        self.opened.close()

    @abstractmethod
    def tables(self, addresses: Sequence[str]) -> list[TableSchema]:
        """Tables and views, `table` or `schema.table`, with the types and keys that are declared.

        A foreign key is part of it where the table that it points to is among them.

        Raises:
            SourceError: there is no such table, or it may not be read.
            SourceUnavailable: the database does not answer.
        """

    @abstractmethod
    def query(self, text: str) -> TableSchema:
        """The result of one SELECT, as a table called `QUERY_TABLE` without a key.

        Raises:
            SourceError: it is no SELECT, several statements, or would change the database.
            SourceUnavailable: the database does not answer.
        """

    @abstractmethod
    def parts(self, table: TableSchema, after: dict[str, Any] | None) -> Sequence[Part]:
        """The parts of a table that `tables` or `query` gave, in the order of the rows.

        The rows are in the order of the primary key, texts by their bytes; without a key in
        another order that the stored rows alone decide. With a watermark they are in the order of
        watermark and key, so what is new comes last.

        Args:
            table: of `tables` or `query`.
            after: what `end_of` said when the table was last read: only rows whose watermark is
                that or later are asked for; None: all rows.

        Raises:
            SourceError: the watermark is not a column of this table or may not be one, or is
                missing in a row.
            SourceRewound: the last watermark is less than `after`.
        """

    @abstractmethod
    def read(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of one part: see `tasks.sources.base.Source.read_part`."""

    def end_of(self, table: TableSchema) -> dict[str, Any] | None:
        """The largest watermark of the table in the state that `parts` saw, as JSON; None: none."""
        del table
        return None

    def counts(self) -> dict[str, int]:
        """What was changed while reading, by name."""
        return {}


def one_select(query: str) -> str:
    """The query without the semicolon at its end.

    Raises:
        SourceError: it holds more than one statement.
    """
    query = query.strip().rstrip(";").rstrip()
    if ";" in _QUOTED_OR_COMMENT.sub("", query):
        raise SourceError("expected `query` to be one SELECT, found several statements")
    return query


def check_names(names: Sequence[str]) -> None:
    """Raises SourceError where two columns of a query have the same name."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"the query has more than one column named {twice}; use AS")


def no_such_table(address: str, known: Iterable[str], schemas: Iterable[str]) -> SourceError:
    """The error for a table that is not there, with those of a similar name.

    Args:
        address: as given, `table` or `schema.table`.
        known: names of the tables and views of that schema.
        schemas: of the database.
    """
    schema, _, name = address.rpartition(".")
    schemas = list(schemas)
    if schema and schema not in schemas:
        near = difflib.get_close_matches(schema, schemas, n=3, cutoff=0.5)
        hint = f"; it has: {', '.join(near or sorted(schemas)[:20])}"
        return SourceError(
            f"expected table {address!r}, but the database has no schema {schema!r}{hint}"
        )
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    choices = ", ".join(near or known[:20]) or "none"
    return SourceError(
        f"expected table {address!r}, the database has no such table or view; it has: {choices}"
    )


def rewound(table: TableSchema, last: object, before: object) -> SourceRewound:
    """The error for a table whose last watermark is less than it was at the last run."""
    return SourceRewound(
        f"{table.name}: the last watermark was {before} and is {last}: rows have been deleted"
    )


def check_watermark(table: TableSchema, watermark: str) -> None:
    """Raises ParamsError if the column is not one of the table's whose values can only grow."""
    if watermark not in table.column_names:
        near = difflib.get_close_matches(watermark, table.column_names, n=3, cutoff=0.5)
        raise ParamsError(
            f"source.watermark: expected a column of table {table.name!r}, found {watermark!r};"
            f" choose one of: {', '.join(near or table.column_names)}"
        )
    kind = table.column(watermark).type
    if not kind.startswith(("int", "uint", "timestamp", "date", "decimal")):
        raise ParamsError(
            f"source.watermark: expected a column of integers, dates, timestamps or decimals,"
            f" {watermark!r} of table {table.name!r} is {kind}"
        )
