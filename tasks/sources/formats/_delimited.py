"""The rows of delimited files as text, parsed by many threads."""

import contextlib
import csv
import io
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.csv

from tasks.errors import SourceError
from tasks.sources.formats._blocks import (
    BLOCK_BYTES,
    Block,
    StrayQuoteError,
    TextFile,
    blocks,
    first_row,
    lines_before,
    open_quote,
    text,
)
from tasks.sources.formats._dialect import Dialect, csv_options
from tasks.sources.formats._streams import check_utf8

_LONGEST_VALUE = 2**31 - 1

T = TypeVar("T")
U = TypeVar("U")


def in_order(
    function: Callable[[T], U], items: Iterable[T], workers: int | None = None
) -> Iterator[U]:
    """`function` of each item by threads; the results in the order of the items.

    As many items as there are threads, and two, are under way at once.
    """
    workers = workers or min(8, len(os.sched_getaffinity(0)))
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers + 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def read_texts(path: Path, dialect: Dialect) -> Generator[pa.RecordBatch, None, None]:
    """All rows as text, without the header.

    Raises:
        SourceError: a row is longer or shorter than the header, or is not of the encoding.
    """
    yield from map_texts(path, dialect, lambda texts, _: texts)


def map_texts(
    path: Path,
    dialect: Dialect,
    function: Callable[[pa.RecordBatch, Block | None], U],
    *,
    start: int | None = None,
    end: int | None = None,
    workers: int | None = None,
) -> Generator[U, None, None]:
    """`function` of the rows of each block, in their order; it is called by many threads at once.

    Args:
        path: of the file.
        dialect: of the file.
        function: gets the rows as text, and the block that they stand in; None: the file cannot be
            read in blocks.
        start: of the first block; None: the first row.
        end: of the last block; None: the end of the file.
        workers: threads; None: by cores.
    """

    def work(block: Block) -> U | Block:
        try:
            texts = _parsed(path, dialect, block)
        except StrayQuoteError:
            return block
        return function(texts, block)

    if start is None:
        start = first_row(path, dialect)
    if dialect.told.escape is None:
        with contextlib.closing(blocks(path, dialect, start, end)) as found:
            for result in in_order(work, found, workers):
                if isinstance(result, Block):
                    start = result.start
                    break
                yield result
            else:
                return
    for texts in _serially(path, dialect, start, end):
        yield function(texts, None)


def _parsed(path: Path, dialect: Dialect, block: Block) -> pa.RecordBatch:
    """The rows of one block as text.

    Raises:
        StrayQuoteError: the block may begin or end within a row.
        SourceError: a row is wrong; with its line.
    """
    place = open_quote(block.data, dialect)
    if place is not None:
        raise SourceError(_never_closed(path, dialect, block, place))
    _refuse_nul(path, dialect, block)
    if len(dialect.names) > 1 and not block.data.strip(b"\r\n"):
        return _empty(dialect)
    ragged: list[pyarrow.csv.InvalidRow] = []
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(block.data),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=len(block.data) + 1,
                column_names=_places(dialect),
            ),
            **_options(dialect, ragged),
        )
    except pa.ArrowInvalid as error:
        if ragged:
            before = lines_before(path, dialect, block.start)
            lines = io.StringIO(block.data.decode(errors="replace"), newline="")
            raise _ragged(path, dialect, lines, before, ragged[0]) from error
        raise _unreadable(path, dialect, error) from error
    (batch,) = table.combine_chunks().to_batches() or [_empty(dialect)]
    return batch.rename_columns(dialect.names)


def _serially(
    path: Path, dialect: Dialect, start: int, end: int | None
) -> Generator[pa.RecordBatch, None, None]:
    """The rows from a place on, by a parser that sees all of them."""
    ragged: list[pyarrow.csv.InvalidRow] = []
    batch = None
    with contextlib.closing(text(path, dialect, start, end)) as pieces:
        stream = io.BufferedReader(TextFile(pieces), BLOCK_BYTES)
        if not stream.peek(1):
            return
        try:
            reader = pyarrow.csv.open_csv(
                pa.PythonFile(stream),
                read_options=pyarrow.csv.ReadOptions(
                    # Threads would keep the number of a wrong row from us.
                    use_threads=False,
                    block_size=BLOCK_BYTES,
                    column_names=_places(dialect),
                ),
                **_options(dialect, ragged),
            )
            for batch in reader:
                yield batch.rename_columns(dialect.names)
        except pa.ArrowInvalid as error:
            if ragged:
                rest = io.BufferedReader(TextFile(text(path, dialect, start, end)))
                lines = io.TextIOWrapper(rest, "utf-8", "replace", newline="")
                before = lines_before(path, dialect, start)
                raise _ragged(path, dialect, lines, before, ragged[0]) from error
            raise _unreadable(path, dialect, error) from error
    if batch is not None and batch.num_rows:
        _check_closed(path, dialect, last_value=batch[len(dialect.names) - 1][-1].as_py())


def _options(
    dialect: Dialect, ragged: list[pyarrow.csv.InvalidRow]
) -> dict[str, pyarrow.csv.ParseOptions | pyarrow.csv.ConvertOptions]:
    def remember(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    told = dialect.told
    return {
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=told.quote or False,
            escape_char=told.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=len(dialect.names) > 1,
            invalid_row_handler=remember,
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(_places(dialect), pa.string()), strings_can_be_null=False
        ),
    }


def _places(dialect: Dialect) -> list[str]:
    return [f"f{i}" for i in range(len(dialect.names))]


def _empty(dialect: Dialect) -> pa.RecordBatch:
    nothing = pa.array([], pa.string())
    return pa.RecordBatch.from_arrays([nothing] * len(dialect.names), names=list(dialect.names))


def _ragged(
    path: Path,
    dialect: Dialect,
    lines: Iterable[str],
    before: int,
    row: pyarrow.csv.InvalidRow,
) -> SourceError:
    """What is said of a row of another length: its line is not its number if values span lines."""
    expected = len(dialect.names)
    place = f"row {row.number}"
    csv.field_size_limit(_LONGEST_VALUE)
    reader = csv.reader(lines, **csv_options(dialect.delimiter, dialect.told))
    with contextlib.suppress(csv.Error):
        for values in reader:
            if values and len(values) != expected:
                place = f"line {before + reader.line_num:,}"
                break
    if dialect.told.comment is not None:
        place += " (comments not counted)"
    return SourceError(
        f"{path}: {place} has {row.actual_columns} values, expected {expected} as in the first;"
        f" a value with the delimiter {dialect.delimiter!r} in it must be quoted"
    )


def _refuse_nul(path: Path, dialect: Dialect, block: Block) -> None:
    if (place := block.data.find(b"\0")) >= 0:
        line = _line_of(path, dialect, block, place)
        raise SourceError(
            f"{path} is not text in {dialect.encoding}: a NUL byte in line {line:,}; is another"
            " `encoding` right (utf-16-le?), or is it no text at all?"
        )


def _never_closed(path: Path, dialect: Dialect, block: Block, place: int) -> str:
    n_lines = block.data.count(b"\n", place)
    return (
        f"{path}: in line {_line_of(path, dialect, block, place):,} a quote is opened but never"
        f" closed, which makes one value of {n_lines + 1:,} lines; close or double it, or set"
        " `quote` if values are quoted otherwise ('': not at all)"
    )


def _line_of(path: Path, dialect: Dialect, block: Block, place: int) -> int:
    line_end = dialect.line_end[-1:].encode()
    before = lines_before(path, dialect, block.start)
    return before + block.data.count(line_end, 0, place) + 1


def _check_closed(path: Path, dialect: Dialect, last_value: str) -> None:
    """Refuse a quote that nobody closes: it makes one value of all rows that follow."""
    quote = dialect.told.quote.encode()
    if "\n" not in last_value or not quote:
        return
    tail = b""
    for piece in text(path, dialect):
        tail = (tail + piece.rstrip())[-1:] or tail
    if tail != quote:
        raise SourceError(
            f"{path}: a quote is opened but never closed, which makes one value of"
            f" {last_value.count(chr(10)) + 1} lines; close or double it"
        )


def _unreadable(path: Path, dialect: Dialect, error: Exception) -> SourceError:
    if "UTF8" in str(error):
        check_utf8(path, dialect.encoding, dialect.told.inflated_gib)
    return SourceError(f"{path} is not a table of delimited values: {error}")
