"""Changes of rows, with numbers worked out by hand."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tasks.augmentation.tabular import TableAugmenter, TabularAugmentation, deviation, vary
from tests.datasets import table_of

NAN = float("nan")


def made(columns, target="c", n=200, **settings):
    """Rows like the first ones in turn, the second half of the table being their mates."""
    schema, rows = table_of(columns, target)
    table = pa.Table.from_batches([rows])
    augmenter = TableAugmenter(table, schema.main, [target], TabularAugmentation(**settings))
    sources = np.arange(n) % table.num_rows
    mates = (sources + table.num_rows // 2) % table.num_rows
    return table, augmenter.make(sources, mates, np.arange(n), np.random.default_rng(0))


def test_numbers_lie_between_two_rows_nearer_to_the_own():
    own, mates = np.full((500, 1), 10.0), np.full((500, 1), 20.0)
    settings = TabularAugmentation(noise=0, resample=0, mixup=1.0)
    varied = vary(own, mates, np.ones(1), settings, np.random.default_rng(0))
    assert 10 <= varied.numbers.min() < varied.numbers.max() <= 15
    assert abs(varied.numbers.mean() - 12.5) < 0.2
    assert not varied.from_mate.any()


def test_noise_counts_in_deviations_and_cells_without_numbers_are_taken_whole():
    own = np.tile([0.0, NAN, 0.0, NAN], (2000, 1))
    mates = np.tile([0.0, NAN, NAN, 5.0], (2000, 1))
    settings = TabularAugmentation(noise=0.1, resample=0.25, mixup=0)
    varied = vary(own, mates, np.array([3.0, 1, 1, 1]), settings, np.random.default_rng(0))
    assert abs(varied.numbers[:, 0].std() - 0.3) < 0.02
    assert not varied.from_mate[:, 0].any()
    assert np.abs(varied.from_mate[:, 1:].mean(axis=0) - 0.25).max() < 0.03
    # A cell is either a number or one of both rows'.
    assert (np.isnan(varied.numbers) >= varied.from_mate).all()


def test_outliers_do_not_widen_the_deviation():
    numbers = np.append(np.arange(101.0), 1e9)
    # Quartiles at 25.25 and 75.75.
    assert deviation(numbers) == pytest.approx(50.5 / 1.349)
    assert deviation(np.array([0.0] * 9 + [10.0])) == pytest.approx(3.0)
    assert deviation(np.array([])) == 0


def test_types_units_and_ranges_are_kept():
    rng = np.random.default_rng(1)
    n = 100
    day = dt.date(2020, 1, 1)
    table, rows = made(
        {
            "c": pa.array(rng.choice(["a", "b"], n)),
            "whole": pa.array(rng.integers(0, 10_000, n) * 5),
            "cents": pa.array(np.round(rng.random(n) * 100, 2)),
            "price": pa.array(
                [Decimal(int(v)) / 100 for v in rng.integers(0, 9999, n)], pa.decimal128(8, 2)
            ),
            "day": pa.array([day + dt.timedelta(int(d)) for d in rng.integers(0, 900, n)]),
            "small": pa.array(rng.integers(0, 250, n).astype(np.uint8)),
            "gap": pa.array(rng.random(n), mask=rng.random(n) < 0.3),
            "same": pa.array([7] * n),
        },
        noise=0.5,
    )
    assert rows.schema == table.schema
    rows.validate(full=True)
    assert rows["c"].to_pylist() == table["c"].to_pylist() * 2
    assert set(rows["same"].to_pylist()) == {7}
    assert all(value % 5 == 0 for value in rows["whole"].to_pylist())
    assert all(round(value, 2) == value for value in rows["cents"].to_pylist())
    for name in ("whole", "cents", "price", "day", "small", "gap"):
        before, after = ([v for v in t[name].to_pylist() if v is not None] for t in (table, rows))
        assert min(before) <= min(after) <= max(after) <= max(before)
        assert len(set(after) - set(before)) > 50


def test_repeated_numbers_stay_such_numbers():
    rng = np.random.default_rng(1)
    gain = np.where(rng.random(400) < 0.9, 0, rng.integers(1, 100_000, 400))
    table, rows = made({"c": pa.array(["a", "b"] * 200), "gain": pa.array(gain)}, n=4000)
    assert abs(np.mean(rows["gain"].to_numpy() == 0) - np.mean(gain == 0)) < 0.02
    assert len(set(rows["gain"].to_pylist())) > len(set(table["gain"].to_pylist()))


def test_a_table_of_one_row_and_one_of_texts_alone():
    _, rows = made({"c": pa.array(["a"]), "x": pa.array([1.5])}, n=3)
    assert rows.to_pydict() == {"c": ["a"] * 3, "x": [1.5] * 3}
    _, rows = made({"c": pa.array([None, None], pa.string())}, n=3)
    assert rows["c"].null_count == 3
