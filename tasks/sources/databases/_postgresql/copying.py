"""The rows of a SELECT as Arrow batches, by `COPY … TO STDOUT`.

The server writes CSV, in which an empty text is quoted and a missing value is not; a thread
gathers whole rows into blocks, and Arrow parses a block at once into the types that the schema
says. So a batch never needs more memory than a block, or than one row where that is larger.
"""

import contextlib
import io
import queue
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tasks.errors import SourceError
from tasks.schema import TableSchema, arrow_schema

BLOCK_BYTES = 2 * 2**20
"""Bytes of a block at most: a smaller one costs more to set up than it saves."""

_NO_VALUES = {"infinity", "-infinity", "Infinity", "-Infinity", "NaN"}
"""How PostgreSQL spells what dates, times and decimals of Arrow have no value for."""

_PARSE = pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)


class _StoppedError(Exception):
    """Whoever reads the rows wants no more of them."""


class _Sink(io.RawIOBase):
    """Hands on blocks of whole rows, one of them ahead.

    psycopg2 writes each row to an `io.BufferedWriter` above it, which gathers them without running
    Python and never tears what is written at once apart.
    """

    def __init__(self) -> None:
        """Nothing is gathered yet."""
        self.ready: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=1)
        self.is_stopped = False

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, rows: Any) -> int:
        """Rows, as the server sent them; waits while nobody takes them."""
        if self.is_stopped:
            raise _StoppedError
        self.ready.put(bytes(rows))
        return len(rows)


def batches(
    connection: Any, select: str, block_bytes: int, decode: "Decoder"
) -> Iterator[pa.RecordBatch]:
    """What a statement gives, in batches of whole rows.

    Args:
        connection: of psycopg2, that nobody else uses. It is of no use afterwards unless all
            batches were taken.
        select: the statement whose rows are wanted.
        block_bytes: of text that make a batch, at most; a longer row is a batch of its own.
        decode: makes a batch of a block of text.

    Raises:
        psycopg2.Error: what the server or the connection has to say.
        SourceError: a value does not fit its type.
    """
    sink = _Sink()

    def copy() -> None:
        end: BaseException | None = None
        try:
            with connection.cursor() as cursor:
                statement = f"COPY ({select}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
                rows = io.BufferedWriter(sink, block_bytes)
                cursor.copy_expert(statement, rows)
            rows.flush()
        except BaseException as error:  # raised where the rows are read
            end = error
        sink.ready.put(end)

    thread = threading.Thread(target=copy, name="COPY", daemon=True)
    thread.start()
    try:
        while isinstance(block := sink.ready.get(), bytes):
            batch = decode(block)
            del block  # whoever takes the batch may be long about it
            yield batch
            del batch
        if block is not None:
            raise block
    except BaseException:
        _stop(connection, sink, thread)
        raise
    thread.join()


def _stop(connection: Any, sink: _Sink, thread: threading.Thread) -> None:
    """End a COPY whose rows nobody wants any more."""
    sink.is_stopped = True
    with contextlib.suppress(psycopg2.Error):  # it may have ended by itself
        connection.cancel()
    while thread.is_alive():
        with contextlib.suppress(queue.Empty):
            sink.ready.get(timeout=0.05)
    thread.join()


class Decoder:
    """Turns blocks of CSV into batches of a table.

    Attributes:
        lost: values by column that Arrow has no place for and that became missing.
    """

    def __init__(self, table: TableSchema) -> None:
        self.lost: Counter[str] = Counter()
        self._table = table
        self._schema = arrow_schema(table)
        self._as_text = {f.name for f in self._schema if pa.types.is_decimal256(f.type)}
        self._n_rows = 0

    def __call__(self, block: bytes) -> pa.RecordBatch:
        """The rows of one block.

        Raises:
            SourceError: a value does not fit its type; with its place.
        """
        try:
            found = self._parsed(block)
        except pa.ArrowInvalid:
            # Seldom: infinity somewhere. From now on such columns are parsed as texts first.
            self._as_text |= {f.name for f in self._schema if _lacks_infinity(f.type)}
            try:
                found = self._parsed(block)
            except pa.ArrowInvalid as error:
                raise SourceError(
                    f"table {self._table.name!r}, after row {self._n_rows:,} of the part: a value is"
                    f" not what the schema says: {error}; cast the column to text in a `query`"
                ) from error
        columns = [
            self._typed(found.column(i), field, found) if field.name in self._as_text
            else found.column(i)
            for i, field in enumerate(self._schema)
        ]  # fmt: skip
        self._n_rows += found.num_rows
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _parsed(self, block: bytes) -> pa.RecordBatch:
        """The block with the types of the schema, or as texts."""
        types = {f.name: pa.string() if f.name in self._as_text else f.type for f in self._schema}
        table = pa.csv.read_csv(
            pa.BufferReader(block),
            pa.csv.ReadOptions(
                use_threads=False, column_names=self._schema.names, block_size=len(block) + 1
            ),
            _PARSE,
            pa.csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
        (batch,) = table.combine_chunks().to_batches()
        return batch

    def _typed(self, texts: pa.Array, field: pa.Field, rows: pa.RecordBatch) -> pa.Array:
        """Texts as values of their type; what the type has no value for becomes missing."""
        has_none = pc.is_in(texts, value_set=pa.array(sorted(_NO_VALUES)))
        if n_lost := pc.sum(has_none).as_py():
            self.lost[field.name] += n_lost
            texts = pc.if_else(has_none, pa.scalar(None, pa.string()), texts)
        try:
            return texts.cast(field.type)
        except pa.ArrowInvalid:
            place = next(i for i, text in enumerate(texts) if not _fits(text, field.type))
            raise SourceError(
                f"table {self._table.name!r}: column {field.name!r}, {self._row(rows, place)}: no"
                f" {field.type} holds {texts[place].as_py()!r}; cast it to text in a `query`"
            ) from None

    def _row(self, rows: pa.RecordBatch, place: int) -> str:
        """How to find a row: by its key, or else by its number in the part."""
        if not self._table.primary_key:
            return f"row {self._n_rows + place + 1:,} of the part"
        values = (f"{name} = {rows[name][place].as_py()}" for name in self._table.primary_key)
        return f"row {', '.join(values)}"


def _lacks_infinity(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(data_type) or pa.types.is_decimal(data_type))


def _fits(text: pa.Scalar, data_type: pa.DataType) -> bool:
    try:
        text.cast(data_type)
    except pa.ArrowInvalid:
        return False
    return True
