"""Rows as delimited text."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from tasks.sources.formats._dialect import Dialect


def as_lines(dialect: Dialect, rows: Iterable[Sequence[str]]) -> str:
    """The text of some rows.

    Where quotes mean nothing, a delimiter or line end in a value becomes a space.
    """
    if not dialect.told.quote:
        breaks = re.compile(f"[{re.escape(dialect.delimiter)}\r\n\0]")
        cleaned = ([breaks.sub(" ", value) for value in row] for row in rows)
        return "".join(dialect.delimiter.join(row) + dialect.line_end for row in cleaned)
    # The writer quotes a value for the characters of its line end alone, but readers take any of
    # these for the end of a line.
    line_end = "\r\n\0"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=dialect.delimiter, lineterminator=line_end).writerows(rows)
    return text.getvalue().replace(line_end, dialect.line_end)
