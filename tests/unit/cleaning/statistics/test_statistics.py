"""Sums, means, deviations, ranks and modes against Python's own exact numbers, for any batches."""

import datetime
import statistics
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cleaning.statistics.base import Statistic
from tasks.cleaning.statistics.exact import (
    exact_of,
    from_sort_key,
    sort_keys,
    total,
    total_of_squares,
    value_of,
)
from tasks.cleaning.statistics.modes import Modes
from tasks.cleaning.statistics.moments import Moments
from tasks.cleaning.statistics.quantiles import Quantiles

DECIMALS = st.decimals(-(10**30), 10**30, places=2, allow_nan=False)
COLUMNS = st.one_of(
    st.tuples(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.just(pa.float64())),
    st.tuples(st.lists(st.integers(-(2**63), 2**63 - 1)), st.just(pa.int64())),
    st.tuples(st.lists(st.integers(0, 2**64 - 1)), st.just(pa.uint64())),
    st.tuples(st.lists(st.integers(-128, 127)), st.just(pa.int8())),
    st.tuples(st.lists(DECIMALS), st.just(pa.decimal128(38, 2))),
)


def learned(statistic: Statistic, values: pa.Array, cut: int = 3) -> Statistic:
    """The statistic after all of its rounds over the column `x`, in batches of `cut` rows."""
    batch = pa.RecordBatch.from_arrays([values], names=["x"])
    while statistic.needs_round:
        for start in range(0, len(values), cut):
            statistic.add(statistic.observe(batch.slice(start, cut), None))
        statistic.end_round()
    return statistic


@settings(deadline=None, max_examples=150)
@given(column=COLUMNS)
def test_sums_are_exact(column):
    values, kind = column
    exact = [Fraction(value) for value in values]
    array = pa.array([None, *values], kind)[1:]
    assert total(array) == sum(exact)
    assert total_of_squares(array) == sum(value * value for value in exact)


@settings(deadline=None, max_examples=100)
@given(column=COLUMNS, cut=st.integers(1, 7), share=st.fractions(0, 1, max_denominator=8))
def test_quantiles_are_those_of_the_sorted_values(column, cut, share):
    values, kind = column
    quantiles = learned(Quantiles({"x": kind}, [share]), pa.array([*values, None], kind), cut)
    if not values:
        assert quantiles.of.get("x") is None
        return
    exact = sorted(Fraction(value) for value in values)
    position = share * (len(exact) - 1)
    low, high = exact[int(position)], exact[-int(-position // 1)]
    assert quantiles.of["x"] == [low + (high - low) * (position % 1)]


@settings(deadline=None, max_examples=50)
@given(column=COLUMNS)
def test_keys_sort_as_the_values_and_lead_back(column):
    values, kind = column
    words = [array.tolist() for array in sort_keys(pa.array(values, kind))]
    keys = [int("".join(f"{word:064b}" for word in row), 2) for row in zip(*words, strict=True)]
    assert [from_sort_key(key, kind) for key in keys] == [Fraction(value) for value in values]
    assert sorted(values) == [v for _, v in sorted(zip(keys, values, strict=True))]


@pytest.mark.parametrize(
    ("values", "mean", "deviation"),
    [
        (pa.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 5, 2.0),
        (pa.array([1e16, 1.0, -1e16]), Fraction(1, 3), 8164965809277260.0),
        (pa.array([2**62, 2**62, 2**62]), 2**62, 0.0),
        (pa.array([1e308, 1e308]), 10**308, 0.0),
        (pa.array([3e-320, 1e-320]), None, pytest.approx(1e-320, rel=1e-3)),
        (pa.array([Decimal("1.10"), Decimal("1.20")]), Fraction(115, 100), 0.05),
    ],
)
def test_moments_by_hand(values, mean, deviation):
    found = learned(Moments({"x": values.type}, squares=True), values, 1).of["x"]
    assert found.deviation == deviation
    if mean is not None:
        assert float(found.mean) == float(mean)


def test_range_and_number_leave_missing_values_out():
    values = pa.array([None, 3, -5, None, 7])
    found = learned(Moments({"x": values.type}, squares=False), values, 2).of["x"]
    assert (found.n_values, found.low, found.high) == (3, -5, 7)


@pytest.mark.parametrize(
    ("value", "exact", "kind"),
    [
        (2, Fraction(5, 2), pa.int64()),
        (4, Fraction(7, 2), pa.uint8()),
        (2**64 - 1, Fraction(2**64 - 1), pa.uint64()),
        (0.1, Fraction(1, 10), pa.float64()),
        (Decimal("0.12"), Fraction(125, 1000), pa.decimal128(5, 2)),
        (-(Decimal(10) ** 36), Fraction(-(10**36)), pa.decimal128(38, 1)),
        (datetime.date(1970, 1, 3), Fraction(2), pa.date32()),
        (datetime.time(0, 0, 2), Fraction(2), pa.time32("s")),
    ],
)
def test_the_nearest_value_of_a_type(value, exact, kind):
    assert value_of(exact, kind).as_py() == value
    assert value_of(exact_of(value_of(exact, kind)), kind).as_py() == value


def test_modes_are_counted_over_all_batches():
    values = pa.array(["b", "a", "🙂", None, None, None, "🙂", "a"])
    assert learned(Modes(["x"]), values, 2).of == {"x": "a"}
    assert learned(Modes(["x"]), pa.nulls(3, pa.string())).of == {"x": None}


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.integers(0, 5), min_size=1), cut=st.integers(1, 9))
def test_a_mode_is_the_smallest_of_the_commonest(values, cut):
    most = Counter(values).most_common(1)[0][1]
    expected = min(v for v in values if values.count(v) == most)
    assert learned(Modes(["x"]), pa.array(values), cut).of == {"x": expected}


def test_a_median_of_many_rows_equals_that_of_the_library():
    values = np.random.default_rng(0).normal(size=100_001)
    found = learned(Quantiles({"x": pa.float64()}, [Fraction(1, 2)]), pa.array(values), 65_536)
    assert float(found.of["x"][0]) == statistics.median(values)
