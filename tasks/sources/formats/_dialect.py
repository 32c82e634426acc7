"""How a delimited file is written: found out from its beginning, or told."""

import codecs
import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import SourceError
from tasks.sources.formats._encodings import encoding_of, not_text
from tasks.sources.formats._forms import NUMBER
from tasks.sources.formats._streams import open_bytes

DELIMITERS = ",;\t|"

SAMPLE_BYTES = 2**22
"""At the start of a file, which tell its dialect."""


@dataclass(frozen=True)
class Told:
    """What people say of a file; None: to be found out.

    Attributes:
        delimiter: between values.
        encoding: of the text; a byte order mark tells more than `utf-8`.
        column_names: of a file without a header.
        quote: around values; "": quotes are characters like any other.
        escape: before a quote or a delimiter that is part of a value.
        comment: what lines that are no rows start with.
        skip_rows: lines before the header.
        inflated_gib: see `open_bytes`.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    column_names: Sequence[str] | None = None
    quote: str = '"'
    escape: str | None = None
    comment: str | None = None
    skip_rows: int = 0
    inflated_gib: float | None = None


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
        told: what was given.
    """

    delimiter: str
    encoding: str
    header: tuple[str, ...] | None
    names: tuple[str, ...]
    n_blank: int = 0
    line_end: str = "\n"
    told: Told = Told()


def sniff(path: Path, told: Told) -> Dialect:
    """Find out how a file is written; what is given is taken as true.

    Raises:
        SourceError: the file is empty, not of that encoding, or its header is unusable.
    """
    text, encoding = beginning(path, told)
    line_end = next((end for end in ("\r\n", "\n", "\r") if end in text), "\n")
    text = _without_preamble(path, text, line_end, told)
    n_blank = (len(text) - len(text.lstrip("\r\n"))) // len(line_end)
    text = text.lstrip("\r\n")
    delimiter = told.delimiter
    if delimiter is None:
        delimiter = "\t" if ".tsv" in path.suffixes else _delimiter_of(text, told)
    first = next(_rows(text, delimiter, told), None)
    if first is None:
        raise SourceError(f"expected rows in {path}, found an empty file")
    names = told.column_names
    if names is not None:
        if len(names) != len(first):
            raise SourceError(
                f"{path} has {len(first)} columns in its first row,"
                f" but column_names has {len(names)} names"
            )
        return Dialect(delimiter, encoding, None, tuple(names), n_blank, line_end, told)
    found = _names(first)
    _check_header(path, found)
    return Dialect(delimiter, encoding, tuple(first), found, n_blank, line_end, told)


def csv_options(delimiter: str, told: Told) -> dict[str, Any]:
    """The dialect as the `csv` module takes it."""
    return {
        "delimiter": delimiter,
        "quotechar": told.quote or None,
        "quoting": csv.QUOTE_MINIMAL if told.quote else csv.QUOTE_NONE,
        "escapechar": told.escape,
    }


def beginning(path: Path, told: Told) -> tuple[str, str]:
    """The first text of a file, and its encoding."""
    with open_bytes(path, told.inflated_gib) as stream:
        sample = stream.read(SAMPLE_BYTES)
    encoding = encoding_of(sample, told.encoding, path)
    if b"\0" in sample and "16" not in encoding and "32" not in encoding:
        raise SourceError(
            f"{path} is not text in {encoding}: a NUL byte at offset {sample.index(0):,}; set"
            f" `encoding` ({_wide(sample)}?), or is it no text at all?"
        )
    # A character may be cut in two at the end of the sample; the last line is partial anyway.
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(sample, final=len(sample) < SAMPLE_BYTES)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "replace")
        raise not_text(path, encoding, error, error.start, before.count("\n")) from error
    return text.removeprefix("\ufeff"), encoding


def _wide(sample: bytes) -> str:
    """The likely encoding of two bytes a character: Latin letters have a zero in every other byte."""
    return "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"


def _without_preamble(path: Path, text: str, line_end: str, told: Told) -> str:
    """The text behind the lines that are to be skipped, without those that are comments."""
    lines = text.split(line_end)
    if told.skip_rows >= len(lines):
        raise SourceError(
            f"expected more than {told.skip_rows} lines in {path}, as skip_rows says; found"
            f" {len(lines)}"
        )
    lines = lines[told.skip_rows :]
    if told.comment is not None:
        lines = [line for line in lines if not line.startswith(told.comment)]
    return line_end.join(lines)


def _rows(text: str, delimiter: str, told: Told) -> Iterator[list[str]]:
    """Rows of a text that are not empty, in any style of line ends, as far as they can be read."""
    csv.field_size_limit(max(csv.field_size_limit(), SAMPLE_BYTES))
    options = csv_options(delimiter, told)
    try:
        yield from filter(None, csv.reader(io.StringIO(text, newline=None), **options))
    except csv.Error:
        return


def _names(header: list[str]) -> tuple[str, ...]:
    """Names of columns; where there is none (as over the row numbers that pandas writes), the place."""
    return tuple(name.strip() or f"column {i}" for i, name in enumerate(header, start=1))


def _delimiter_of(text: str, told: Told) -> str:
    """The delimiter that cuts the most rows into as many values as the first row has."""

    def score(delimiter: str) -> float:
        rows = list(itertools.islice(_rows(text, delimiter, told), 200))
        if not rows or len(rows[0]) == 1:
            return 0.0
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        return same * len(rows[0])

    return max(DELIMITERS, key=score)


def _check_header(path: Path, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        twice = sorted(name for name, n in Counter(names).items() if n > 1)
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
