"""Comma-separated files and their kin: dialect, header, and the type of every column.

The types follow from all rows, in one pass; a second pass gives the rows. A value keeps its spelling
unless a whole column is of one type, so a postal code with a leading zero and a text `NA` stay what
they are.
"""

import codecs
import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tasks.errors import SourceError
from tasks.sources._forms import NO_VALUE, NUMBER, Form, plain_forms, without_missing

DELIMITERS = ",;\t|"

_SAMPLE_BYTES = 2**20
_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        delimiter: between values.
        encoding: of the text; `utf-8-sig` and `utf-16` begin with a byte order mark.
        header: the names as they stand in the file; None: it has none.
        names: of the columns; one without a name is called by its place.
        n_blank: empty lines before the first row.
        line_end: of the first row.
    """

    delimiter: str
    encoding: str
    header: tuple[str, ...] | None
    names: tuple[str, ...]
    n_blank: int = 0
    line_end: str = "\n"


@dataclass(frozen=True)
class Inferred:
    """What the values of a column tell."""

    form: Form | None
    """None for text."""
    nullable: bool

    @property
    def data_type(self) -> pa.DataType:
        """The type that the column gets."""
        return pa.string() if self.form is None else self.form.data_type


def sniff(
    path: Path, *, delimiter: str | None, encoding: str, column_names: tuple[str, ...] | None
) -> Dialect:
    """Find out how a file is written; what is given is taken as true.

    Raises:
        SourceError: the file is empty, not of that encoding, or its header is unusable.
    """
    text, encoding = _beginning(path, encoding)
    n_blank = len(text) - len(text.lstrip("\r\n"))
    line_end = next((end for end in ("\r\n", "\n", "\r") if end in text), "\n")
    text = text[n_blank:]
    n_blank //= len(line_end)
    if delimiter is None:
        delimiter = "\t" if ".tsv" in path.suffixes else _delimiter_of(text)
    first = next(_rows(text, delimiter), None)
    if first is None:
        raise SourceError(f"expected rows in {path}, found an empty file")
    if column_names is not None:
        if len(column_names) != len(first):
            raise SourceError(
                f"{path} has {len(first)} columns in its first row,"
                f" but column_names has {len(column_names)} names"
            )
        return Dialect(delimiter, encoding, None, column_names, n_blank, line_end)
    names = _names(first)
    _check_header(path, names)
    return Dialect(delimiter, encoding, tuple(first), names, n_blank, line_end)


def read_texts(path: Path, dialect: Dialect) -> Iterator[pa.RecordBatch]:
    """All rows as text, without the header.

    Raises:
        SourceError: a row is longer or shorter than the header, or is not of the encoding.
    """
    n_columns = len(dialect.names)
    ragged: list[pyarrow.csv.InvalidRow] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    places = [f"f{i}" for i in range(n_columns)]
    try:
        with pa.input_stream(path, compression="detect") as stream:
            reader = pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(
                    # Threads would keep the number of a wrong row from us.
                    use_threads=False,
                    block_size=_BLOCK_BYTES,
                    autogenerate_column_names=True,
                    skip_rows=dialect.n_blank,
                    encoding=dialect.encoding.removesuffix("-sig"),
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=n_columns > 1,
                    invalid_row_handler=remember,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
                ),
            )
            batch = None
            for i, batch in enumerate(reader):
                if i == 0 and dialect.header is not None:
                    batch = batch.slice(1)
                yield batch.rename_columns(dialect.names)
        if batch is not None and batch.num_rows:
            _check_closed(path, last_value=batch[n_columns - 1][-1].as_py())
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if ragged:
            raise SourceError(
                f"{path}: {_place_of_ragged(path, dialect, ragged[0])} has"
                f" {ragged[0].actual_columns} values, expected {n_columns} as in the first; a value"
                f" with the delimiter {dialect.delimiter!r} in it must be quoted"
            ) from error
        raise _unreadable(path, dialect.encoding, error) from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error}") from error


@dataclass(frozen=True)
class Observed:
    """What all values of a column have in common.

    Attributes:
        forms: the ones that every value is written in, the preferred ones first.
        has_values: whether there is a value at all.
        has_missing: whether something stands for no value, if the column is not text.
        has_empty: whether a value is the empty text.
    """

    forms: tuple[Form, ...]
    has_values: bool
    has_missing: bool
    has_empty: bool

    def inferred(self) -> Inferred:
        """What the values tell."""
        if not self.forms:
            return Inferred(None, self.has_empty)
        if not self.has_values:
            return Inferred(NO_VALUE, nullable=True)
        return Inferred(self.forms[0], self.has_missing)


def infer(
    texts: Iterator[pa.RecordBatch], names: tuple[str, ...], forms: Iterable[Form] | None = None
) -> dict[str, Inferred]:
    """The type of each column, from all of its values; see `observe`."""
    return {name: found.inferred() for name, found in observe(texts, names, forms).items()}


def observe(
    texts: Iterator[pa.RecordBatch], names: Iterable[str], forms: Iterable[Form] | None = None
) -> dict[str, Observed]:
    """What the values of each column allow.

    Args:
        texts: all rows.
        names: of the columns that are looked at.
        forms: that values may have, the preferred ones first; None: the plain ones.
    """
    known = tuple(plain_forms() if forms is None else forms)
    fitting: dict[str, tuple[Form, ...]] = dict.fromkeys(names, known)
    has_values, has_missing, has_empty = (dict.fromkeys(fitting, False) for _ in range(3))
    for batch in texts:
        for name, left in fitting.items():
            values = pc.unique(batch[name])
            has_empty[name] |= pc.index(values, "").as_py() >= 0
            if left:
                typed = without_missing(values)
                present = typed.drop_null()
                has_missing[name] |= typed.null_count > 0
                if len(present):
                    has_values[name] = True
                    fitting[name] = tuple(f for f in left if f.fits(present))
    return {
        name: Observed(forms, has_values[name], has_missing[name], has_empty[name])
        for name, forms in fitting.items()
    }


def convert(batch: pa.RecordBatch, columns: dict[str, Inferred]) -> pa.RecordBatch:
    """A batch of texts with each column in its type."""
    arrays = []
    for name, inferred in columns.items():
        texts, form = batch[name], inferred.form
        if form is None:
            arrays.append(pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts))
        else:
            arrays.append(form.parse(without_missing(texts)))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _beginning(path: Path, encoding: str) -> tuple[str, str]:
    """The first text of a file, and its encoding by the byte order mark if it has one."""
    try:
        with pa.input_stream(path, compression="detect") as stream:
            sample = stream.read(_SAMPLE_BYTES)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    if encoding == "utf-8":
        marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16"}
        marks[codecs.BOM_UTF16_BE] = "utf-16"
        encoding = next((e for mark, e in marks.items() if sample.startswith(mark)), encoding)
    try:
        # A character may be cut in two at the end of the sample; the last line is partial anyway.
        decoder = codecs.getincrementaldecoder(encoding)()
        text = decoder.decode(sample, final=len(sample) < _SAMPLE_BYTES)
    except (UnicodeError, LookupError) as error:
        raise _unreadable(path, encoding, error) from error
    if "\0" in text:
        raise SourceError(
            f"{path} is not text in {encoding}; set `encoding` (utf-16?), or is it no text at all?"
        )
    return text, encoding


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Rows of a text that are not empty, in any style of line ends, as far as they can be read."""
    csv.field_size_limit(max(csv.field_size_limit(), _SAMPLE_BYTES))
    try:
        yield from filter(None, csv.reader(io.StringIO(text, newline=None), delimiter=delimiter))
    except csv.Error:
        return


def _names(header: list[str]) -> tuple[str, ...]:
    """Names of columns; where there is none (as over the row numbers that pandas writes), the place."""
    return tuple(name.strip() or f"column {i}" for i, name in enumerate(header, start=1))


def _place_of_ragged(path: Path, dialect: Dialect, row: pyarrow.csv.InvalidRow) -> str:
    """Where a row of another length begins: its line, which is not its number if values span lines."""
    encoding = dialect.encoding
    with pa.input_stream(path, compression="detect") as stream:
        lines = io.TextIOWrapper(stream, encoding, newline="")
        reader = csv.reader(lines, delimiter=dialect.delimiter)
        try:
            for values in reader:
                if values and len(values) != len(dialect.names):
                    return f"line {reader.line_num}"
        except (csv.Error, UnicodeError):
            pass
    return f"row {row.number}"


def _check_closed(path: Path, last_value: str) -> None:
    """Refuse a quote that nobody closes: it makes one value of all rows that follow."""
    if "\n" not in last_value:
        return
    tail = b""
    with pa.input_stream(path, compression="detect") as stream:
        while block := stream.read(_SAMPLE_BYTES):
            tail = (tail + block.rstrip())[-1:] or tail
    if tail != b'"':
        raise SourceError(
            f"{path}: a quote is opened but never closed, which makes one value of"
            f" {last_value.count(chr(10)) + 1} lines; close or double it"
        )


def _unreadable(path: Path, encoding: str, error: Exception) -> SourceError:
    if isinstance(error, (UnicodeDecodeError, LookupError)) or "UTF8" in str(error):
        return SourceError(
            f"{path} is not text in {encoding}; save it as UTF-8, or say by `encoding`"
            " (`--encoding` of a command) what it is: latin-1, cp1252, utf-16 ..."
        )
    return SourceError(f"{path} is not a table of delimited values: {error}")


def _delimiter_of(text: str) -> str:
    """The delimiter that cuts the most rows into as many values as the first row has."""

    def score(delimiter: str) -> float:
        rows = list(itertools.islice(_rows(text, delimiter), 200))
        if not rows or len(rows[0]) == 1:
            return 0.0
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        return same * len(rows[0])

    return max(DELIMITERS, key=score)


def _check_header(path: Path, names: tuple[str, ...]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{path}: more than one column is named {twice}; rename them")
    texts = pa.array(names)
    is_number = pc.match_substring_regex(texts, f"^({NUMBER})$").to_pylist()
    is_counted = list(names) == [str(i) for i in range(len(names))]
    is_year = pc.match_substring_regex(texts, "^[12][0-9]{3}$").to_pylist()
    if not is_counted and any(n and not y for n, y in zip(is_number, is_year, strict=True)):
        raise SourceError(
            f"{path}: expected the names of the columns in row 1, found numbers; add a header,"
            " or set `column_names`"
        )
