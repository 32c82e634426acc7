"""A delimited file that is read and written again, without a generator between, is the same file."""

import csv
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.commands import spelling
from tasks.commands.table import DelimitedTable, read_table
from tasks.errors import ParamsError

START = dt.datetime(1950, 1, 1)  # noqa: DTZ001 - files hold such times
Values = Callable[[np.random.Generator, int], list[str]]


def _moments(layout: str) -> Values:
    def values(rng: np.random.Generator, n: int) -> list[str]:
        seconds = rng.integers(0, 2_000_000_000, n)
        return [(START + dt.timedelta(seconds=int(s))).strftime(layout) for s in seconds]

    return values


def _numbers(layout: str, scale: float) -> Values:
    return lambda rng, n: [layout.format(v) for v in rng.normal(size=n) * scale]


def _choice(*values: str) -> Values:
    return lambda rng, n: [str(v) for v in rng.choice(values, n)]


COLUMNS: dict[str, Values] = {
    "integers": lambda rng, n: [str(v) for v in rng.integers(-(2**63), 2**63 - 1, n)],
    "unsigned": lambda rng, n: [str(v) for v in rng.integers(0, 2**64 - 1, n, dtype=np.uint64)],
    "beyond": lambda rng, n: [str(2**70 + int(v)) for v in rng.integers(0, 2**60, n)],
    "doubles": lambda rng, n: [repr(float(v)) for v in rng.normal(size=n)],
    "fixed": _numbers("{:.2f}", 1e4),
    "scientific": _numbers("{:.5E}", 1e-9),
    "thousands": _numbers("{:,.2f}", 1e6),
    "money": lambda rng, n: [f"${v:,.2f}" for v in np.abs(rng.normal(size=n)) * 1e4],
    "euros": lambda rng, n: [
        f"{v:,.2f} €".translate(str.maketrans(".,", ",.")) for v in rng.gamma(2, 900, n)
    ],
    "percent": lambda rng, n: [f"{v:.1f} %" for v in rng.uniform(0, 99, n)],
    "zeros": lambda rng, n: [f"{v:05d}" for v in rng.integers(0, 99_999, n)],
    "plus": lambda rng, n: [f"+49{v}" for v in rng.integers(0, 99_999, n)],
    "flags": _choice("TRUE", "FALSE"),
    "answers": _choice("yes", "no", "NA", "-"),
    "words": _choice("", 'a "b"', "c,d;e|f\tg", "h\ni", "Zoë", "東京", "None", "\U0001f600"),
    "iso": _moments("%Y-%m-%d"),
    "european": _moments("%d.%m.%Y"),
    "named": _moments("%d-%b-%Y"),
    "clock": _moments("%H:%M"),
    "zoned": _moments("%Y-%m-%dT%H:%M:%SZ"),
    "offset": _moments("%Y-%m-%d %H:%M:%S-0330"),
    "halves": _moments("%m/%d/%Y %I:%M %p"),
    "millis": _moments("%Y-%m-%d %H:%M:%S.250"),
}


def _written(table: DelimitedTable) -> list[list[str]]:
    rows = []
    for batch in table.rows():
        columns = map(spelling.write_all, table.writes, batch.columns)
        rows += [list(row) for row in zip(*columns, strict=True)]
    return rows


@pytest.mark.parametrize("seed", range(12))
def test_a_file_comes_back_as_it_was(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 400))
    kinds = rng.permutation(list(COLUMNS))[: int(rng.integers(1, 12))]
    columns = []
    for name in kinds:
        values = COLUMNS[name](rng, n)
        if rng.random() < 0.5 and name not in ("answers", "words"):
            # Texts that are read as texts have one mark of a missing value, others any.
            marks = [""] if name in ("zeros", "plus", "beyond") else ["", "NA", "null", "-"]
            mark = str(rng.choice(marks))
            values = [mark if rng.random() < 0.3 else value for value in values]
        columns.append(values)
    rows = [list(row) for row in zip(*columns, strict=True)]
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        # Quoted, so that an empty value of a single column is no empty line.
        out = csv.writer(stream, delimiter=",;\t|"[seed % 4], quoting=csv.QUOTE_ALL)
        out.writerows([kinds, *rows])
    table = read_table(path, tmp_path / "stored", target=None, encoding="utf-8")
    assert table.dialect.delimiter == ",;\t|"[seed % 4] or len(kinds) == 1
    assert table.n_rows == n
    assert _written(table) == rows


def _read(folder: Path, text: str) -> DelimitedTable:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return read_table(folder / "t.csv", folder / "stored", target=None, encoding="utf-8")


def test_what_stands_for_no_value_follows_from_the_meaning(tmp_path: Path) -> None:
    lines = [f"{'NA' if i % 4 == 0 else f'p{i}@x.org'},{['NA', 'DE'][i % 2]}" for i in range(40)]
    table = _read(tmp_path, "mail,country\n" + "\n".join(lines))
    assert [c.meaning for c in table.schema.main.columns] == ["identifier", "categorical"]
    mail, country = table.sample(40).columns
    assert (mail.null_count, country.null_count) == (10, 0)


def test_infinite_numbers_are_counted_and_missing(tmp_path: Path) -> None:
    table = _read(tmp_path, "a,b\n" + "inf,1\n-Infinity,2\n2.5,3\n" * 9)
    assert table.n_infinite == {"a": 18}
    assert table.sample(27).column("a").null_count == 18
    assert _written(table)[0] == ["inf", "1"]


def test_a_value_is_read_as_those_of_the_file_are(tmp_path: Path) -> None:
    table = _read(tmp_path, "day,n,c\n" + '31.12.2020,"1,500",x\n1.2.2021,NA,y\n' * 9)
    assert table.value("day", "2.1.2021") == dt.date(2021, 1, 2)
    assert table.value("n", "2,000") == 2000
    assert table.value("n", "") is table.value("c", "") is None
    with pytest.raises(ParamsError, match="--condition n=many: expected a value like those"):
        table.value("n", "many")


def test_rows_are_sampled_evenly(tmp_path: Path) -> None:
    table = _read(tmp_path, "a\n" + "\n".join(map(str, range(100))))
    assert table.sample(3).column("a").to_pylist() == [0, 49, 99]
    assert table.sample(1000).num_rows == 100
