"""What a profile says of columns whose numbers are worked out by hand."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tasks.profiling.canonical import canonical
from tasks.profiling.profile import ColumnProfile, DatasetProfile, profile
from tasks.schema import Column, DatasetSchema, TableSchema, type_name


def profiled(table: pa.Table, batch_rows: int | None = None) -> DatasetProfile:
    columns = tuple(
        Column(name=f.name, type=type_name(f.type), meaning="categorical") for f in table.schema
    )
    schema = DatasetSchema(kind="tabular", tables=(TableSchema(name="t", columns=columns),))
    batches = table.to_batches(max_chunksize=batch_rows)
    return profile(schema, {"t": batches}, np.random.default_rng(0))


def column(values: pa.Array) -> ColumnProfile:
    return profiled(pa.table({"x": values})).tables[0].columns[0]


def test_counts_and_quantiles_of_numbers():
    found = column(pa.array([float(i) for i in range(21)] + [None, float("nan")]))
    assert (found.n_rows, found.n_missing, found.n_distinct) == (23, 2, 21)
    assert found.quantiles == tuple(float(i) for i in range(21))


def test_infinite_numbers_have_no_place_among_the_quantiles():
    found = column(pa.array([1.0, 2.0, float("inf")]))
    assert found.n_missing == 0
    assert found.quantiles[-1] == 2.0


def test_dates_are_seconds_since_1970():
    days = column(pa.array([dt.date(1970, 1, 2)]))
    moments = column(pa.array([dt.datetime(1970, 1, 2, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")))
    times = column(pa.array([dt.time(0, 1)]))
    assert days.quantiles[0] == moments.quantiles[0] == 86_400
    assert times.quantiles[0] == 60


def test_patterns_and_lengths_of_text_hold_no_letter_or_digit_of_it():
    found = column(pa.array(["Ab12", "Cd-3", "Ef12", None]))
    assert found.patterns == (("Aa99", 2 / 3), ("Aa-9", 1 / 3))
    assert found.lengths == (4, 4, 4, 4, 4)
    assert "Ab12" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1, -2]), ["1", "-2"]),
        (pa.array([1.0, -2.5, 1e300]), ["1", "-2.5", "1e+300"]),
        (pa.array([Decimal("1.00"), Decimal("1.50")]), ["1", "1.5"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([dt.date(2020, 2, 29)]), ["2020-02-29"]),
        (
            pa.array([1_577_880_000_000_000, 1_577_880_000_500_000], pa.timestamp("us")),
            ["2020-01-01 12:00:00", "2020-01-01 12:00:00.5"],
        ),
        (pa.array(["007", "1.50"]), ["007", "1.50"]),
    ],
)
def test_one_value_has_one_text(values, texts):
    assert canonical(values).to_pylist() == texts


def test_a_retyped_column_keeps_its_hashes_and_its_signature():
    whole, text = column(pa.array([1, 2, 2])), column(pa.array(["1", "2", "2"]))
    assert whole.top == text.top
    assert whole.signature == text.signature
    assert whole.top[0][1] == pytest.approx(2 / 3)


def test_equal_shares_of_the_signature_are_the_jaccard_index():
    first = column(pa.array([str(i) for i in range(1_000)])).signature
    second = column(pa.array([str(i) for i in range(500, 1_500)])).signature
    same = np.mean(np.array(first) == np.array(second))
    assert same == pytest.approx(1 / 3, abs=3 * np.sqrt(2 / 9 / 64))


def test_many_different_values_are_estimated():
    found = column(pa.array(np.arange(200_000)))
    assert found.n_distinct == pytest.approx(200_000, rel=4 / np.sqrt(4_096))


def test_how_rows_are_cut_into_batches_leaves_no_trace():
    rng = np.random.default_rng(1)
    table = pa.table({"n": rng.normal(size=350_000), "t": rng.integers(0, 9, 350_000).astype(str)})
    assert profiled(table, 10_000) == profiled(table, 333_333)


def test_columns_without_a_value_and_tables_without_a_row():
    assert column(pa.nulls(3, pa.int64())).n_distinct == 0
    empty = column(pa.array([], pa.string()))
    assert (empty.n_rows, empty.quantiles, empty.top) == (0, (), ())
