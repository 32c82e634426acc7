"""What is written into a file comes out of it, to the last digit."""

import csv
import datetime as dt
import io
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.tables_in_files import read, read_elsewhere
from tests.workbooks import write_xlsx

quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
DATES = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
MOMENTS = st.datetimes()

COLUMNS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.date32(): DATES,
    pa.timestamp("us"): MOMENTS,
}


def values_of(strategy: st.SearchStrategy) -> st.SearchStrategy[list]:
    return st.lists(st.none() | strategy, min_size=1, max_size=12)


def columns() -> st.SearchStrategy[tuple[pa.DataType, list]]:
    """A type, and values of it, one of which is there."""
    return st.sampled_from(list(COLUMNS)).flatmap(
        lambda t: st.tuples(
            st.just(t), values_of(COLUMNS[t]).filter(lambda v: any(x is not None for x in v))
        )
    )


@quick
@given(column=columns())
def test_typed_values_through_csv(tmp_path, column):
    data_type, values = column
    # The same column would be written, and read, as another type.
    assume(
        data_type != pa.float64() or any(v is not None and (v % 1 or math.isinf(v)) for v in values)
    )
    assume(
        data_type != pa.float64()
        or all(v is None or not (v % 1 == 0 and abs(v) >= 1e15) for v in values)
    )
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["v", "x"], *(("" if v is None else v, "x") for v in values)])
    found = read(tmp_path, path="t.csv")
    assert found["v"].to_pylist() == values
    assert found.schema.field("v").type == data_type


@quick
@given(texts=st.lists(st.none() | TEXTS.filter(bool), min_size=1, max_size=12))
def test_texts_through_csv(tmp_path, texts):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [["v", "x"], *((t, "x") for t in [*texts, "a b"])]
    )
    (tmp_path / "t.csv").write_bytes(text.getvalue().encode())
    assert read(tmp_path, path="t.csv")["v"].to_pylist() == [*texts, "a b"]


JSON_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)


@quick
@given(rows=st.lists(st.dictionaries(st.sampled_from("abc"), JSON_VALUES), min_size=1, max_size=8))
def test_values_through_json(tmp_path, rows):
    rows = [{"id": i} | row for i, row in enumerate(rows)]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "t.json").write_text(json.dumps(rows, indent=1))
    found = read(tmp_path, path="t.jsonl")
    assert found.equals(read(tmp_path, path="t.json"))
    assert found.equals(read_elsewhere(tmp_path, path="t.jsonl"))
    for name in found.column_names:
        for value, row in zip(found[name].to_pylist(), rows, strict=True):
            wanted = row.get(name)
            is_text = isinstance(value, str) and not isinstance(wanted, str)
            assert (value if not is_text else json.loads(value)) == wanted


@quick
@given(
    columns=st.dictionaries(
        st.sampled_from("abcd"),
        st.sampled_from(
            [pa.uint64(), pa.int8(), pa.float32(), pa.timestamp("ns", "UTC"), pa.decimal128(20, 3)]
        ),
        min_size=1,
    ),
    data=st.data(),
)
def test_types_through_parquet_and_arrow(tmp_path, columns, data):
    drawn = {
        pa.uint64(): st.integers(0, 2**64 - 1),
        pa.int8(): st.integers(-128, 127),
        pa.float32(): st.floats(width=32, allow_nan=False),
        pa.timestamp("ns", "UTC"): st.integers(-(2**63) + 1, 2**63 - 1),
        pa.decimal128(20, 3): st.decimals(-(10**16), 10**16, places=3),
    }
    n = data.draw(st.integers(1, 9))
    table = pa.table(
        {
            name: pa.array(data.draw(st.lists(st.none() | drawn[t], min_size=n, max_size=n)), t)
            for name, t in columns.items()
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    for name, writer in (("t.arrow", pa.ipc.new_file), ("s.arrow", pa.ipc.new_stream)):
        with writer(str(tmp_path / name), table.schema) as file:
            file.write_table(table, max_chunksize=4)
    for name in ("t.parquet", "t.arrow", "s.arrow"):
        assert read(tmp_path, path=name).equals(table)
        assert read_elsewhere(tmp_path, path=name).equals(table)


@quick
@given(
    n=st.lists(st.none() | st.integers(-(2**53) + 1, 2**53 - 1), min_size=2, max_size=6),
    data=st.data(),
)
def test_cells_through_excel(tmp_path, n, data):
    def some(values: st.SearchStrategy) -> list:
        return data.draw(st.lists(st.none() | values, min_size=len(n), max_size=len(n)))

    cells = {
        "id": list(range(len(n))),
        "n": n,
        "x": some(st.floats(allow_nan=False, allow_infinity=False)),
        "ok": some(st.booleans()),
        "day": some(st.dates(dt.date(1901, 1, 1), dt.date(9999, 12, 31))),
        "text": some(st.text("aé中0 .\n<&", min_size=1, max_size=9)),
    }
    write_xlsx(tmp_path / "t.xlsx", {"S": [list(cells), *zip(*cells.values(), strict=True)]})
    found = read(tmp_path, path="t.xlsx")
    assert found.to_pydict() == cells
    assert found.equals(read_elsewhere(tmp_path, path="t.xlsx"))


@pytest.mark.parametrize(
    ("values", "data_type"),
    [
        (["9007199254740993", "1"], pa.int64()),
        (["1234567890123456789"], pa.int64()),
        (["12345678901234567890"], pa.string()),
        (["1.50", "2"], pa.float64()),
        (["1.5", "9007199254740993"], pa.string()),
        (["NaN", "Infinity", "-Infinity", "1"], pa.float64()),
        (["true", "false", "null"], pa.bool_()),
        (["true", "1"], pa.string()),
        (['"1"', '"2"'], pa.string()),
        (['"NA"', '""', "null"], pa.string()),
        (['"2020-01-31"'], pa.date32()),
        (['"2020-01-31T10:00:00Z"'], pa.timestamp("us", "UTC")),
        (['"2020-01-31"', '"NA"'], pa.string()),
        (["[1, 2.50]", "null"], pa.string()),
        (["null"], pa.string()),
    ],
)
def test_what_json_says_decides_the_type(tmp_path, values, data_type):
    (tmp_path / "t.jsonl").write_text("".join(f'{{"v": {v}, "x": 1}}\n' for v in values))
    found = read(tmp_path, path="t.jsonl")
    assert found.schema.field("v").type == data_type
    if data_type == pa.string():
        spelled = [None if v == "null" else v.strip('"') for v in values]
        assert found["v"].to_pylist() == spelled
