"""PostgreSQL for the target that writes there: connections, types, rows by COPY.

Rows go through in batches, so memory stays bounded whatever their number.
"""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg2 import sql

from tasks.errors import SourceError, TargetUnavailable, WorkspaceError
from tasks.locations.databases import url_of, without_password
from tasks.publishing.targets.base import CopiedTable
from tasks.schema import IMAGE_TYPE

CONNECT_TIMEOUT_SECONDS = 10

_PASSING_STATES = ("08", "40", "53", "55P03", "57")
"""SQLSTATE prefixes of what may pass: lost connections, conflicts, too many clients, shutdowns."""

_TYPES = {
    pa.int8(): "smallint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "integer",
    pa.uint32(): "bigint",
    pa.uint64(): "numeric(20)",
    pa.float16(): "real",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.string(): "text",
    pa.large_string(): "text",
    pa.date32(): "date",
    pa.date64(): "date",
    pa.binary(): "bytea",
    pa.large_binary(): "bytea",
    IMAGE_TYPE: "bytea",
    pa.null(): "text",
}


def column_type(kind: pa.DataType, column: str) -> str:
    """The type of PostgreSQL that holds all values of an Arrow type.

    Raises:
        WorkspaceError: there is none.
    """
    if kind in _TYPES:
        return _TYPES[kind]
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_time(kind):
        return "time"
    if pa.types.is_duration(kind):
        return "interval"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    raise WorkspaceError(f"column {column!r} of type {kind} has no counterpart in PostgreSQL")


@contextlib.contextmanager
def transaction(name: str) -> Iterator[Any]:
    """A cursor in one transaction: all that is done in the block, or nothing.

    Args:
        name: of the connection.

    Raises:
        TargetUnavailable: the database does not answer, or somebody holds what is needed.
        WorkspaceError: it refused.
    """
    try:
        url = url_of(name, "the target's `connection`")
    except SourceError as error:
        raise WorkspaceError(str(error)) from None
    if url.get_backend_name() != "postgresql":
        raise WorkspaceError(
            f"expected the connection {name} to be of PostgreSQL, found {url.get_backend_name()}"
        )
    parts = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}
    parts["password"] = url.password
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "proofmint",
        **{key: value for key, value in url.query.items() if isinstance(value, str)},
        **{key: value for key, value in parts.items() if value is not None},
    }
    try:
        connection = psycopg2.connect(**arguments)
    except psycopg2.OperationalError as error:
        message = without_password(" ".join(str(error).split()), url)
        raise TargetUnavailable(f"the database does not answer: {message}") from None
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    except psycopg2.Error as error:
        message = without_password(" ".join(str(error).split()), url)
        if isinstance(error, psycopg2.InterfaceError) or _may_pass(error.pgcode):
            raise TargetUnavailable(f"the database stopped answering: {message}") from None
        raise WorkspaceError(f"the database refused: {message}") from None
    finally:
        connection.close()


def copy_rows(cursor: Any, into: sql.Composable, table: CopiedTable) -> None:
    """Fill a table with the rows of a copy."""
    statement = sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv)").format(into)
    cursor.copy_expert(statement, _CsvOf(table.batches()), size=2**20)


def _may_pass(state: str | None) -> bool:
    """Without a state, the line was cut."""
    return state is None or state.startswith(_PASSING_STATES)


class _CsvOf(io.RawIOBase):
    """The rows of batches as CSV, made while it is read: missing values are bare, all else quoted."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Read from `batches`."""
        self._batches = batches
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        while not self._rest:
            batch = next(self._batches, None)
            if batch is None:
                return b""
            self._rest = memoryview(_csv(batch))
        found, self._rest = self._rest[:size], self._rest[size:]
        return bytes(found)


def _csv(batch: pa.RecordBatch) -> bytes:
    columns = [_plain(column) for column in batch.columns]
    rows = pa.table(columns, names=[str(i) for i in range(len(columns))])
    stream = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(rows, stream, options)
    return stream.getvalue()


def _plain(column: pa.Array) -> pa.Array:
    """A column of a type that CSV can hold and PostgreSQL reads."""
    if column.type == IMAGE_TYPE:
        column = pc.struct_field(column, "bytes")
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        values = (None if v is None else "\\x" + v.hex() for v in column.to_pylist())
        return pa.array(values, pa.large_string())
    if pa.types.is_duration(column.type):
        micro = pc.cast(column, pa.duration("us"), safe=False).cast(pa.int64()).cast(pa.string())
        return pc.binary_join_element_wise(micro, "microseconds", " ")
    if column.type == pa.float16():
        return column.cast(pa.float32())
    if column.type == pa.null():
        return column.cast(pa.string())
    return column
