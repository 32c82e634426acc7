"""How the values of a delimited file are written, so that synthetic ones are written alike.

Reading a table loses the spelling of its values: `03/04/2020`, `TRUE`, `12.50`, `NA`. This module
looks at some original texts beside what was read from them, and picks for each column the way of
writing that gives the texts back.
"""

import datetime
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

Write = Callable[[Any], str]
"""Takes a value, None where it is missing, and gives its text."""

SAMPLE_VALUES = 2_000
"""Different texts of a column that are looked at."""

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f")
_ZONES = ("", "Z", "+00:00", "+0000")


def learn(texts: Sequence[str], values: pa.Array) -> Write:
    """The way to write values of a column.

    Args:
        texts: as they stand in the file.
        values: what was read from each of them.
    """
    pairs = Counter(zip(texts, values.to_pylist(), strict=True))
    missing = Counter({text: n for (text, value), n in pairs.items() if value is None})
    present = [(text, value) for text, value in pairs if value is not None][:SAMPLE_VALUES]
    write = _best(_ways(values.type, pairs), present)
    nothing = missing.most_common(1)[0][0] if missing else ""
    return lambda value: nothing if value is None else write(value)


def _ways(data_type: pa.DataType, pairs: Counter[tuple[str, Any]]) -> Iterator[Write]:
    """The ways in which a file may write values of this type, the plainest first."""
    if pa.types.is_boolean(data_type):
        spelled = {value: text.strip() for (text, value), _ in reversed(pairs.most_common())}
        yield lambda value: spelled.get(value, str(value).lower())
    elif pa.types.is_floating(data_type):
        yield from _numbers([text.strip() for text, value in pairs if value is not None])
    elif pa.types.is_temporal(data_type):
        yield from (_strftime(layout) for layout in _layouts(data_type))
    else:
        yield str


def _numbers(texts: list[str]) -> Iterator[Write]:
    decimals = Counter(len(t.replace(",", ".").partition(".")[2]) for t in texts[:SAMPLE_VALUES])
    usual = decimals.most_common(1)[0][0] if decimals else 1
    plain: tuple[Write, ...] = (
        repr,
        lambda value: repr(value).removesuffix(".0"),
        lambda value: f"{value:.{usual}f}",
    )
    yield from plain
    yield from (_with_comma(write) for write in plain)


def _with_comma(write: Write) -> Write:
    return lambda value: write(value).replace(".", ",")


def _layouts(data_type: pa.DataType) -> Iterator[str]:
    for day in _DAYS:
        for padded in (day, day.replace("%d", "%-d").replace("%m", "%-m")):
            if pa.types.is_date(data_type):
                yield padded
                continue
            zones = _ZONES if data_type.tz else ("",)
            for joint, clock, zone in itertools.product("T ", _CLOCKS, zones):
                yield f"{padded}{joint}{clock}{zone}"
                yield f"{padded}{joint}{clock.replace('%H', '%-H')}{zone}"
            yield padded


def _strftime(layout: str) -> Write:
    def write(value: datetime.date) -> str:
        # Years before 1000 are not padded by the C library.
        return value.strftime(layout.replace("%Y", f"{value.year:04d}"))

    return write


def _best(ways: Iterator[Write], present: list[tuple[str, Any]]) -> Write:
    """The first way that gives most of the texts back."""

    def score(write: Write) -> int:
        return sum(write(value) == text.strip() for text, value in present)

    best: Write = str
    best_score = -1
    for write in ways:
        if (found := score(write)) > best_score:
            best, best_score = write, found
        if best_score == len(present):
            break
    return best
