"""Tokens and ranks of numbers, with tables worked out by hand."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.columns.numeric import NumericEncoder
from tasks.schema import Column

RNG = np.random.default_rng(0)


def _column(values: pa.Array, *, nullable: bool = True) -> Column:
    return Column(name="c", type=str(values.type), meaning="numeric", nullable=nullable)


def _fit(values: pa.Array, *, nullable: bool = True) -> NumericEncoder:
    return NumericEncoder.fit(_column(values, nullable=nullable), values)


def _back(encoder: NumericEncoder, values: pa.Array) -> pa.Array:
    cells = encoder.encode(values)
    ranks = np.full(len(values), 0.5)
    if cells.rank_low is not None and cells.rank_high is not None:
        ranks = (cells.rank_low + cells.rank_high) / 2
    return encoder.decode(cells.tokens, ranks, np.random.default_rng(0), 0)


def test_few_values_are_tokens() -> None:
    values = pa.array([7, 7, 9, 9, 9, None])
    encoder = _fit(pa.array(values.to_pylist() * 5))
    assert (encoder.n_tokens, encoder.continuous_token, encoder.null_token) == (3, None, 2)
    assert encoder.encode(values).tokens.tolist() == [0, 0, 1, 1, 1, 2]
    assert _back(encoder, values).equals(values)


def test_stray_values_become_the_nearest_token() -> None:
    values = pa.array([0] * 300 + [10] * 290 + [9, 1])
    encoder = _fit(values)
    assert encoder.n_tokens == 2
    assert _back(encoder, values).to_pylist()[-2:] == [10, 0]


def test_integers_of_tokens_are_exact_to_64_bits() -> None:
    values = pa.array([-(2**63), 2**63 - 1, 2**63 - 2] * 5)
    assert _back(_fit(values), values).equals(values)


def test_spikes_are_tokens_beside_a_continuous_part() -> None:
    values = pa.array(np.concatenate([np.zeros(50), RNG.normal(size=950)]))
    encoder = _fit(values)
    assert (encoder.n_tokens, encoder.continuous_token) == (2, 1)
    tokens = encoder.encode(values).tokens
    assert tokens.tolist() == [0] * 50 + [1] * 950


def test_rounded_values_have_an_interval_of_ranks() -> None:
    # 1, 2, 3, 4 fill a quarter of the continuous part each.
    values = pa.array([1, 2, 3, 4])
    encoder = _fit(values)
    cells = encoder.encode(values)
    assert encoder.continuous_token == 0
    assert cells.rank_low is not None
    assert cells.rank_high is not None
    assert (cells.rank_low <= cells.rank_high).all()
    assert _back(encoder, values).to_pylist()[1:3] == [2, 3]


def test_floats_without_fixed_decimals_have_one_rank() -> None:
    values = pa.array(RNG.normal(size=2_000))
    cells = _fit(values).encode(values)
    assert cells.rank_low is not None
    assert np.array_equal(cells.rank_low, cells.rank_high)
    assert abs(np.sort(cells.rank_low) - (np.arange(2_000) + 0.5) / 2_000).max() < 2e-3


def test_heavy_tails_come_back_within_their_neighbours() -> None:
    numbers = np.exp(4 * RNG.normal(size=5_000))
    back = _back(_fit(pa.array(numbers)), pa.array(numbers)).to_numpy()
    ordered = np.sort(numbers)
    places = np.searchsorted(ordered, numbers)
    moved = np.abs(np.searchsorted(ordered, back) - places)
    assert moved[(places >= 10) & (places < 4_990)].max() <= 1
    # The very ends are spread over the outermost step.
    assert moved.max() <= 10


def test_extremes_bound_what_is_published_and_are_not_published() -> None:
    numbers = RNG.normal(size=10_000)
    encoder = _fit(pa.array(numbers))
    ranks = RNG.random(100_000)
    tokens = np.full(100_000, encoder.continuous_token)
    drawn = encoder.decode(tokens, ranks, RNG, 0).to_numpy()
    assert numbers.min() < drawn.min() < np.partition(numbers, 5)[5]
    assert numbers.max() > drawn.max() > np.partition(numbers, -6)[-6]
    assert not np.isin(drawn, np.sort(numbers)[[0, 1, -2, -1]]).any()


def test_published_values_have_the_decimals_of_the_column() -> None:
    numbers = np.round(RNG.normal(size=3_000), 3)
    encoder = _fit(pa.array(numbers))
    tokens = np.full(500, encoder.continuous_token)
    drawn = encoder.decode(tokens, RNG.random(500), RNG, 0).to_numpy()
    assert np.array_equal(drawn, np.round(drawn, 3))
    assert not np.array_equal(drawn, np.round(drawn, 2))


def test_dates_stay_dates() -> None:
    days = [dt.datetime(2020, 1, 1) + dt.timedelta(days=7 * i) for i in range(400)]  # noqa: DTZ001
    values = pa.array(days, pa.timestamp("us"))
    encoder = _fit(values)
    drawn = encoder.decode(np.zeros(200, dtype=int), RNG.random(200), RNG, 0)
    assert set(drawn.to_pylist()) <= set(days)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_counts_as_missing(odd: float) -> None:
    values = pa.array([*RNG.normal(size=50), odd])
    assert _back(_fit(values), values)[-1].as_py() is None
    kept = _back(_fit(values, nullable=False), values)
    assert kept.null_count == 0
    assert np.isnan(kept[-1].as_py())


@pytest.mark.parametrize(
    "values",
    [pa.array([3.5] * 9), pa.nulls(9, pa.float64()), pa.nulls(9, pa.int32()), pa.array([2, None])],
    ids=["constant", "null floats", "null integers", "one value"],
)
def test_columns_with_nothing_to_learn(values: pa.Array) -> None:
    encoder = _fit(values)
    assert _back(encoder, values).equals(values)


def test_state_makes_the_same_encoder() -> None:
    values = pa.array(np.concatenate([np.zeros(50), RNG.normal(size=950)]))
    encoder = _fit(values)
    content, arrays = encoder.state()
    again = NumericEncoder.from_state(_column(values), content, arrays)
    assert _back(again, values).equals(_back(encoder, values))
