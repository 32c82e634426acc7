"""What the encoder of tables learns with noise, and what it must not."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.encoding.columns.categorical import CategoricalEncoder
from tasks.encoding.columns.numeric import NumericEncoder
from tasks.encoding.noisy_numbers import NUMERIC_RELEASES, noisy_numeric
from tasks.encoding.noisy_tree import RELEASES, intervals
from tasks.encoding.private import MOMENTS_SHARE, fit_private
from tasks.encoding.tabular import TabularEncoder
from tasks.errors import DataError
from tasks.noise import SecretNoise
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema

N = 4_000
KEY = bytes(32)


def _exact(counts: np.ndarray) -> np.ndarray:
    return counts


def _numeric(values: pa.Array, std: float = 1.0) -> NumericEncoder:
    column = Column(name="x", type=str(values.type), meaning="numeric")
    return noisy_numeric(column, values, _exact, std)


def _dataset(columns: dict[str, tuple[pa.Array, Any]]) -> tuple[DatasetSchema, pa.RecordBatch]:
    described = tuple(
        Column(name=name, type=str(values.type), meaning=meaning)
        for name, (values, meaning) in columns.items()
    )
    table = TableSchema(name="t", columns=described)
    arrays = [values for values, _ in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(table))
    return DatasetSchema(kind="tabular", tables=(table,)), batch


def _fit(columns: dict[str, tuple[pa.Array, Any]], noise_multiplier: float = 0.5) -> TabularEncoder:
    schema, batch = _dataset(columns)
    return fit_private(
        schema,
        lambda: iter([batch]),
        SecretNoise(KEY),
        noise_multiplier=noise_multiplier,
        delta=1e-6,
    )


def test_a_row_is_in_one_count_of_each_level() -> None:
    values = np.random.default_rng(0).normal(size=N) * 1e3
    levels: list[float] = []

    def count(counts: np.ndarray) -> np.ndarray:
        levels.append(counts.sum())
        return counts

    intervals(values, (-1e9, 1e9), whole=False, noisy=count, noise_std=1.0)
    assert 1 < len(levels) <= RELEASES
    assert max(levels) == N


def test_all_counts_together_change_by_one_row_once_a_release() -> None:
    rng = np.random.default_rng(0)
    present = pa.array(np.append(rng.normal(size=N).round(3), 17.25))
    column = Column(name="x", type="double", meaning="numeric")
    seen: list[list[np.ndarray]] = [[], []]
    for values, counts in zip((present, present.slice(0, N)), seen, strict=True):

        def record(exact: np.ndarray, counts: list[np.ndarray] = counts) -> np.ndarray:
            counts.append(exact)
            # What is looked at next depends on this: the same for both, as noise would have it.
            return np.zeros_like(exact) if len(exact) > 1_000 else np.full_like(exact, 100.0)

        noisy_numeric(column, values, record, 1.0)
    assert len(seen[0]) == len(seen[1]) <= NUMERIC_RELEASES
    for one, other in zip(*seen, strict=True):
        assert np.abs(one - other).sum() <= 1


def test_the_distribution_is_known_to_within_the_parts_of_the_tree() -> None:
    values = np.random.default_rng(0).normal(100, 15, size=N)
    encoder = _numeric(pa.array(values))
    ranks = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    found = np.interp(ranks, encoder.levels, encoder.knots)
    np.testing.assert_allclose(found, np.quantile(values, ranks), atol=1.5)


def test_grids_are_found() -> None:
    rng = np.random.default_rng(0)
    assert _numeric(pa.array(rng.integers(0, 90, N) * 100)).units.step == 100
    assert _numeric(pa.array(rng.integers(-90, 90, N))).units.step == 1
    assert _numeric(pa.array(rng.normal(size=N).round(2))).units.decimals == 2
    assert _numeric(pa.array(rng.normal(size=N))).units.decimals is None
    days = [dt.datetime(2020, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 999, N)]  # noqa: DTZ001
    assert _numeric(pa.array(days)).units.step == 86_400 * 10**6


def test_few_distinct_values_are_tokens() -> None:
    values = pa.array(np.random.default_rng(0).integers(-3, 4, N))
    encoder = _numeric(values)
    assert encoder.continuous_token is None
    decoded = encoder.decode(np.arange(7), np.zeros(7), np.random.default_rng(0), 0)
    assert decoded.to_pylist() == list(range(-3, 4))


def test_a_spike_at_zero_is_a_token() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(N) < 0.5, 0.0, rng.lognormal(size=N))
    encoder = _numeric(pa.array(values))
    assert encoder.values.tolist() == [0.0]
    assert encoder.continuous_token == 1


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int8(), pa.uint8(), pa.int16(), pa.int64(), pa.uint64(), pa.float16(), pa.float32()),
        *(pa.float64(), pa.date32(), pa.date64(), pa.time32("s"), pa.time64("us")),
        *(pa.timestamp("s"), pa.timestamp("ns", tz="UTC"), pa.duration("ms"), pa.decimal128(9, 2)),
    ],
    ids=str,
)
def test_every_type_is_encoded_and_decoded_within_itself(kind: pa.DataType) -> None:
    rng = np.random.default_rng(0)
    if pa.types.is_floating(kind):
        values = pa.array(rng.normal(size=N) * 100).cast(kind, safe=False)
    elif pa.types.is_decimal(kind):
        cents = rng.integers(-90_000, 90_000, N).tolist()
        values = pa.array([Decimal(n).scaleb(-2) for n in cents], kind)
    elif kind.bit_width == 8:
        low, high = (0, 256) if pa.types.is_unsigned_integer(kind) else (-128, 128)
        values = pa.array(rng.integers(low, high, N)).cast(kind)
    elif pa.types.is_date64(kind):
        values = pa.array(rng.integers(-900, 20_000, N).astype(np.int32)).cast(pa.date32())
        values = values.cast(kind)
    elif pa.types.is_temporal(kind) and kind.bit_width == 32:
        values = pa.array(rng.integers(0, 20_000, N).astype(np.int32)).cast(kind)
    else:
        values = pa.array(rng.integers(0, 20_000, N)).cast(kind)
    encoder = _numeric(values)
    cells = encoder.encode(values)
    assert cells.rank_low is not None
    assert cells.rank_high is not None
    ranks = np.clip((cells.rank_low + cells.rank_high) / 2, 0, 1)
    decoded = encoder.decode(cells.tokens, ranks, rng, 0)
    assert decoded.type == kind
    decoded.validate(full=True)
    extremes = encoder.decode(np.full(2, encoder.continuous_token), np.array([0.0, 1.0]), rng, 0)
    extremes.validate(full=True)


def test_a_value_of_one_row_is_never_released() -> None:
    names = pa.array(["common"] * (N - 1) + ["unique"])
    numbers = pa.array(np.arange(N))
    columns = {"name": (names, "categorical"), "x": (numbers, "numeric")}
    column = _fit(columns, noise_multiplier=1.0).columns[0]
    assert isinstance(column, CategoricalEncoder)
    assert column.values.to_pylist() == ["common"]


def test_missing_values_are_released_only_where_they_are_many() -> None:
    one = pa.array([None, *range(N - 1)], pa.int64())
    many = pa.array([None] * 1_000 + list(range(N - 1_000)), pa.int64())
    encoder = _fit({"one": (one, "numeric"), "many": (many, "numeric")}, noise_multiplier=1.0)
    assert [column.null_token is not None for column in encoder.columns] == [False, True]


def test_identifiers_and_booleans_are_not_looked_at() -> None:
    columns = {
        "id": (pa.array([f"S-{i}" for i in range(N)]), "identifier"),
        "flag": (pa.array([True] * N), "boolean"),
        "x": (pa.array(np.arange(N)), "numeric"),
    }
    encoder = _fit(columns)
    drawn = encoder.columns[0].decode(np.zeros(2, int), np.zeros(2), np.random.default_rng(0), 0)
    assert drawn.to_pylist() == ["1", "2"]
    assert encoder.columns[1].n_tokens >= 2


def test_the_noise_on_counts_and_moments_is_what_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    columns = {f"c{i}": (pa.array(rng.choice(["a", "b"], N)), "categorical") for i in range(40)}
    counts = []
    for run in range(10):
        schema, batch = _dataset(columns)  # type: ignore[arg-type]
        encoder = fit_private(
            schema,
            lambda batch=batch: iter([batch]),
            SecretNoise(bytes([run]) * 32),
            noise_multiplier=0.5,
            delta=1e-6,
        )
        for name, column in zip(columns, encoder.columns, strict=True):
            assert isinstance(column, CategoricalEncoder)
            true = dict(
                zip(*np.unique(columns[name][0].to_pylist(), return_counts=True), strict=True)
            )
            pairs = zip(column.values.to_pylist(), column.counts, strict=True)
            counts += [count - true[value] for value, count in pairs]
    # 40 releases of counts share what the moments leave of the budget; rounding adds 1/12.
    expected = np.sqrt(0.5**2 * 40 / (1 - MOMENTS_SHARE) + 1 / 12)
    assert np.std(counts) == pytest.approx(expected, rel=4 / (2 * len(counts)) ** 0.5)


def test_the_same_key_gives_the_same_encoder_and_another_one_another() -> None:
    columns = {"x": (pa.array(np.arange(N) % 700), "numeric")}
    one, other = (_fit(columns).state() for _ in range(2))
    assert one[0] == other[0]
    assert all(np.array_equal(one[1][name], other[1][name]) for name in one[1])


def test_too_much_noise_is_told() -> None:
    with pytest.raises(DataError, match=r"raise train\.privacy\.epsilon"):
        _fit({"name": (pa.array(["a", "b"] * 5), "categorical")}, noise_multiplier=50.0)


def test_moments_have_no_negative_eigenvalue() -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": (pa.array(rng.normal(size=500)), "numeric") for i in range(6)}
    encoder = _fit(columns, noise_multiplier=0.3)  # type: ignore[arg-type]
    assert np.linalg.eigvalsh(encoder.moments).min() > 0
