"""Comma-separated files and their kin: dialect, header, and the type of every column.

The types follow from all rows, in one pass; a second pass gives the rows. A value keeps its spelling
unless a whole column is of one type, so a postal code with a leading zero and a text `NA` stay what
they are.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tasks.errors import SourceError

DELIMITERS = ",;\t|"

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")
"""What stands for no value in a column of numbers, dates or truth values; in text only nothing does."""

_SAMPLE_BYTES = 2**20
_BLOCK_BYTES = 2**24
_NUMBER = r"-?(([0-9]|[1-9][0-9]+)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True)
class Dialect:
    """How a file is to be read."""

    delimiter: str
    encoding: str
    has_header: bool
    names: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """One way to write values of one type: all of a column's values must match it."""

    data_type: pa.DataType
    pattern: str
    parse: Callable[[pa.Array], pa.Array]

    def fits(self, values: pa.Array) -> bool:
        """Whether every value of `values`, none missing, is written in this form."""
        if not pc.all(pc.match_substring_regex(values, f"^({self.pattern})$")).as_py():
            return False
        try:
            return bool(self.parse(values).null_count == 0)
        except pa.ArrowInvalid:  # too large an integer, the 30th of February
            return False


_NO_VALUE = Form(pa.string(), "", lambda texts: pa.nulls(len(texts), pa.string()))
"""Of a column that holds nothing but what stands for no value."""


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
    text = _beginning(path, encoding)
    if delimiter is None:
        delimiter = "\t" if ".tsv" in path.suffixes else _delimiter_of(text)
    first = next((row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row), None)
    if first is None:
        raise SourceError(f"expected rows in {path}, found an empty file")
    if column_names is not None:
        if len(column_names) != len(first):
            raise SourceError(
                f"{path} has {len(first)} columns in its first row,"
                f" but column_names has {len(column_names)} names"
            )
        return Dialect(delimiter, encoding, has_header=False, names=column_names)
    names = tuple(name.strip() for name in first)
    _check_header(path, names)
    return Dialect(delimiter, encoding, has_header=True, names=names)


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
                    encoding=dialect.encoding,
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
                if i == 0 and dialect.has_header:
                    batch = batch.slice(1)
                yield batch.rename_columns(dialect.names)
        if batch is not None and batch.num_rows:
            _check_closed(path, last_value=batch[n_columns - 1][-1].as_py())
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        if ragged:
            raise SourceError(
                f"{path}: row {ragged[0].number} has {ragged[0].actual_columns} values,"
                f" expected {n_columns} as in row 1; a value with the delimiter"
                f" {dialect.delimiter!r} in it must be quoted"
            ) from error
        raise _unreadable(path, dialect.encoding, error) from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error}") from error


def infer(texts: Iterator[pa.RecordBatch], names: tuple[str, ...]) -> dict[str, Inferred]:
    """The type of each column, from all of its values."""
    forms: dict[str, list[Form]] = {name: list(_forms()) for name in names}
    has_values, has_missing, has_empty = (dict.fromkeys(names, False) for _ in range(3))
    for batch in texts:
        for name in names:
            values = pc.unique(batch[name])
            has_empty[name] |= pc.index(values, "").as_py() >= 0
            if forms[name]:
                typed = _without_missing(values)
                present = typed.drop_null()
                has_missing[name] |= typed.null_count > 0
                if len(present):
                    has_values[name] = True
                    forms[name] = [form for form in forms[name] if form.fits(present)]
    inferred = {}
    for name in names:
        if not has_values[name] and forms[name]:
            inferred[name] = Inferred(_NO_VALUE, nullable=True)
        elif forms[name]:
            inferred[name] = Inferred(forms[name][0], has_missing[name])
        else:
            inferred[name] = Inferred(None, has_empty[name])
    return inferred


def convert(batch: pa.RecordBatch, columns: dict[str, Inferred]) -> pa.RecordBatch:
    """A batch of texts with each column in its type."""
    arrays = []
    for name, inferred in columns.items():
        texts, form = batch[name], inferred.form
        if form is None:
            arrays.append(pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts))
        else:
            arrays.append(form.parse(_without_missing(texts)))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _forms() -> Iterator[Form]:
    """All forms; where a column fits several, the first one wins.

    `03/04/2020` is read as the 4th of March unless a day past the 12th shows that it is not.
    """
    yield Form(pa.bool_(), "(?i:true|false)", _cast(pa.bool_()))
    yield Form(pa.int64(), "0|-?[1-9][0-9]*", _cast(pa.int64()))
    # A whole number past 2^53 would lose digits as a double.
    yield Form(pa.float64(), f"{_NUMBER}|-?inf", _to_double)
    yield Form(pa.float64(), _NUMBER.replace(r"\.", ","), _comma_to_double)
    yield Form(pa.date32(), _ISO_DATE, _cast(pa.date32()))
    yield Form(pa.timestamp("us"), f"{_ISO_DATE}([ T]{_CLOCK})?", _cast(pa.timestamp("us")))
    yield Form(
        pa.timestamp("us", tz="UTC"),
        f"{_ISO_DATE}[ T]{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})",
        _cast(pa.timestamp("us", tz="UTC")),
    )
    day = "[0-9]{1,2}"
    for pattern, layout in (
        (f"[0-9]{{4}}/{day}/{day}", "%Y/%m/%d"),
        (f"{day}/{day}/[0-9]{{4}}", "%m/%d/%Y"),
        (f"{day}/{day}/[0-9]{{4}}", "%d/%m/%Y"),
        (rf"{day}\.{day}\.[0-9]{{4}}", "%d.%m.%Y"),
        (f"{day}-{day}-[0-9]{{4}}", "%d-%m-%Y"),
    ):
        yield Form(pa.date32(), pattern, _strptime(layout, pa.date32()))
        for clock, suffix in (("", " %H:%M"), (":[0-9]{2}", " %H:%M:%S")):
            moment = pa.timestamp("us")
            yield Form(
                moment,
                f"{pattern} {day}:[0-9]{{2}}{clock}",
                _strptime(layout + suffix, moment),
            )


def _cast(data_type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: pc.cast(texts, data_type)


def _strptime(layout: str, data_type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    place_of_day = [part[0] for part in layout.split("%")[1:]].index("d")

    def parse(texts: pa.Array) -> pa.Array:
        moments = pc.strptime(texts, layout, "us", error_is_null=True)
        # Arrow takes the 30th of February for the 1st of March.
        days = pc.list_element(pc.split_pattern_regex(texts, "[^0-9]+"), place_of_day)
        is_right = pc.equal(pc.day(moments), pc.cast(days, pa.int64()))
        return pc.cast(pc.if_else(is_right, moments, None), data_type)

    return parse


def _to_double(texts: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(texts, "^-?[0-9]{16,}$")).as_py():
        raise pa.ArrowInvalid("a double does not hold so many digits")
    return pc.cast(texts, pa.float64())


def _comma_to_double(texts: pa.Array) -> pa.Array:
    return _to_double(pc.replace_substring(texts, ",", "."))


def _without_missing(texts: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(texts)
    is_missing = pc.is_in(trimmed, value_set=pa.array(MISSING))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), trimmed)


def _beginning(path: Path, encoding: str) -> str:
    try:
        with pa.input_stream(path, compression="detect") as stream:
            sample = stream.read(_SAMPLE_BYTES)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    try:
        # A character may be cut in two at the end of the sample; the last line is partial anyway.
        if len(sample) == _SAMPLE_BYTES:
            sample = sample[: sample.rfind(b"\n") + 1] or sample
        text: str = sample.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise _unreadable(path, encoding, error) from error
    if "\0" in text:
        raise SourceError(
            f"{path} is not text in {encoding}; set `encoding` (utf-16?), or is it no text at all?"
        )
    return text


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
            f"{path} is not text in {encoding}; save it as UTF-8, or set `encoding`"
            " (latin-1, cp1252, utf-16 ...)"
        )
    return SourceError(f"{path} is not a table of delimited values: {error}")


def _delimiter_of(text: str) -> str:
    """The delimiter that cuts the most rows into as many values as the first row has."""

    def score(delimiter: str) -> float:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row][:200]
        if not rows or len(rows[0]) == 1:
            return 0.0
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        return same * len(rows[0])

    return max(DELIMITERS, key=score)


def _check_header(path: Path, names: tuple[str, ...]) -> None:
    nameless = [i + 1 for i, name in enumerate(names) if not name]
    if nameless:
        raise SourceError(f"{path}: columns {nameless} have no name in row 1; give them names")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{path}: more than one column is named {twice}; rename them")
    texts = pa.array(names)
    is_number = pc.match_substring_regex(texts, f"^({_NUMBER})$").to_pylist()
    is_counted = list(names) == [str(i) for i in range(len(names))]
    is_year = pc.match_substring_regex(texts, "^[12][0-9]{3}$").to_pylist()
    if not is_counted and any(n and not y for n, y in zip(is_number, is_year, strict=True)):
        raise SourceError(
            f"{path}: expected the names of the columns in row 1, found numbers; add a header,"
            " or set `column_names`"
        )
