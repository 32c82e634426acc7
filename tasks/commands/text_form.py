"""How a file of labelled texts is written: two columns in either order, with a header or without.

    ham<TAB>Go until jurong point, crazy..
    spam<TAB>Free entry in 2 a wkly comp to win

What tells such a file is one column of free text, whose values hardly repeat, beside another of few
values that do.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from tasks.errors import SourceError
from tasks.sources.formats import _dialect
from tasks.sources.formats._dialect import DELIMITERS, Told

TEXT = "text"
LABEL = "label"

_ROWS_IN_TWO = 0.95
"""Share of the rows that have two values; of the others, reading tells the place."""

_ROWS_A_LABEL = 5
"""Rows that a label has on average at least, to be told from free text."""

_WORDS = 3
"""Words of a text on average at least."""

_LONG = 8
"""Characters of a text on average at least, in scripts without spaces between words."""

_HEADER_WORDS = 3
"""Words of the name of a column at most."""


@dataclass(frozen=True)
class TextForm:
    """Where texts and labels stand in a file, and what is between them.

    Attributes:
        told: what the dialect of the file is to be taken for.
        label_first: whether the labels stand before the texts.
        text, label: names of the columns.
    """

    told: Told
    label_first: bool
    text: str
    label: str


def recognised(path: Path, encoding: str) -> TextForm | None:
    """The form of the file, if it is one of labelled texts.

    Raises:
        SourceError: the file cannot be read, or is not of that encoding.
    """
    for told, rows in _readings(path, encoding):
        for label_first in (True, False):
            labels, texts = _columns(_without_header(rows, label_first=label_first), label_first)
            if _are_texts(texts) and _are_labels(labels):
                return _form(told, rows, label_first=label_first)
    return None


def told_to_be(path: Path, encoding: str, like: TextForm | None = None) -> TextForm:
    """The form of a file that holds labelled texts, as its user says.

    Where nothing else tells, the texts are the longer column.

    Args:
        path: of the file.
        encoding: of text without a byte order mark.
        like: another file, whose names of columns tell what they hold in this one too.

    Raises:
        SourceError: it has not two columns.
    """
    if (form := recognised(path, encoding)) is not None:
        return form
    readings = _readings(path, encoding)
    if not readings:
        raise SourceError(
            f"expected two columns in {path}, a label and a text, separated by a tab, comma,"
            " semicolon or bar in every row; a text that holds the separator stands in quotes"
        )
    told, rows = readings[0]
    names = [name.strip() for name in rows[0]]
    if like is not None and sorted(names) == sorted((like.label, like.text)):
        return _form(told, rows, label_first=names[0] == like.label)
    lengths = [sum(map(len, column)) for column in zip(*rows, strict=True)]
    return _form(told, rows, label_first=lengths[0] < lengths[1])


def _form(told: Told, rows: Sequence[Sequence[str]], *, label_first: bool) -> TextForm:
    names = (LABEL, TEXT) if label_first else (TEXT, LABEL)
    if len(_without_header(rows, label_first=label_first)) == len(rows):
        told = replace(told, column_names=names)
    else:
        names = (rows[0][0].strip() or "column 1", rows[0][1].strip() or "column 2")
    label, text = names if label_first else names[::-1]
    return TextForm(told, label_first, text, label)


def _readings(path: Path, encoding: str) -> list[tuple[Told, list[list[str]]]]:
    """The ways to read the beginning of a file as two columns, the likeliest first."""
    text, _ = _dialect.beginning(path, Told(encoding=encoding))
    if len(text.encode()) >= _dialect.SAMPLE_BYTES - 4:
        text = text[: text.rfind("\n") + 1]  # the last line is cut
    delimiters = "\t" if ".tsv" in path.suffixes else "\t" + DELIMITERS.replace("\t", "")
    found = []
    for delimiter, quote in product(delimiters, ('"', "")):
        told = Told(encoding=encoding, delimiter=delimiter, quote=quote)
        rows = _rows(text, told)
        if rows and (not quote or _quotes_mean_something(text, rows, delimiter)):
            found.append((told, rows))
    return found


def _rows(text: str, told: Told) -> list[list[str]]:
    """The rows of two values; none where others are many, or quotes are not closed as they should."""
    csv.field_size_limit(max(csv.field_size_limit(), _dialect.SAMPLE_BYTES))
    options = _dialect.csv_options(str(told.delimiter), told)
    lines = io.StringIO(text, newline="" if told.quote else None)
    try:
        rows = [row for row in csv.reader(lines, strict=True, **options) if row]
    except csv.Error:
        return []
    pairs = [row for row in rows if len(row) == 2]
    return pairs if len(pairs) >= _ROWS_IN_TWO * len(rows) else []


def _quotes_mean_something(text: str, rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether quotes stand around values, and not for speech: then none is alone within a value.

    Around a value they are needed for a delimiter, a line end or a doubled quote in it; a writer that
    puts them around others does so for all values of a column.
    """
    if '"' not in text or delimiter != "\t":
        return True  # commas in texts are common: in such files quotes are quotes
    n_needed = sum(any(c in value for c in '\t"\r\n') for row in rows for value in row)
    n_quoted = text.count(f'{delimiter}"') + text.count('\n"') + text.startswith('"')
    return n_needed == n_quoted or n_quoted >= len(rows) - 1


def _without_header(rows: Sequence[Sequence[str]], *, label_first: bool) -> Sequence[Sequence[str]]:
    """The rows, but for a first one that holds names: its label never comes again, its text is short."""
    labels, texts = _columns(rows, label_first)
    is_header = (
        labels[0] not in labels[1:]
        and 0 < len(texts[0].split()) <= _HEADER_WORDS
        and texts[0] not in texts[1:]
    )
    return rows[1:] if is_header else rows


def _columns(rows: Sequence[Sequence[str]], label_first: bool) -> tuple[list[str], list[str]]:
    """Labels and texts."""
    first, second = ([row[i] for row in rows] for i in range(2))
    return (first, second) if label_first else (second, first)


def _are_texts(values: Sequence[str]) -> bool:
    """Whether most values differ, are words rather than numbers, and are several on average."""
    if 2 * len(set(values)) <= len(values):
        return False
    n_letters = sum(c.isalpha() for value in values for c in value)
    n_visible = sum(not c.isspace() for value in values for c in value)
    if 2 * n_letters <= n_visible:
        return False
    n_words = sum(len(value.split()) for value in values)
    n_foreign = sum(c.isalpha() and not c.isascii() for value in values for c in value)
    is_unspaced = 2 * n_foreign > n_letters and n_visible >= _LONG * len(values)
    return n_words >= _WORDS * len(values) or is_unspaced


def _are_labels(values: Sequence[str]) -> bool:
    return _ROWS_A_LABEL * len(set(values)) <= len(values)
