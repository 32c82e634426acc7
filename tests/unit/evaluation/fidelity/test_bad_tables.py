"""Every metric beyond shapes and trends on tables that break metrics: a number or a reason."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import Metric, NotApplicable, metrics_of
from tests.comparisons import compare, schema_of

MODULES = (
    "missing", "ranges", "precision", "ranks", "detection", "two_sample", "keys", "dates",
    "sequences",
)  # fmt: skip

METRICS = [
    metric
    for metric in metrics_of("tabular").values()
    if metric.function.__module__.rpartition(".")[2] in MODULES
]

DAY = 86_400_000_000


def mixed(n: int, rng: np.random.Generator) -> pa.Table:
    moments = pa.array(rng.integers(0, 10**4, n) * DAY, pa.timestamp("us"))
    return pa.table(
        {
            "id": [f"K{value}" for value in rng.integers(0, 10**9, n)],
            "x": rng.normal(size=n),
            "k": rng.integers(0, 9, n),
            "c": rng.choice(["a", "b", "c"], n),
            "at": moments,
        }
    )


def nulls(n: int, rng: np.random.Generator) -> pa.Table:
    return pa.table(
        {
            "id": pa.nulls(n, pa.string()),
            "x": pa.nulls(n, pa.float64()),
            "c": pa.nulls(n, pa.string()),
            "at": pa.nulls(n, pa.timestamp("us")),
        }
    )


def one_empty_column(n: int, rng: np.random.Generator) -> pa.Table:
    return mixed(n, rng).append_column("empty", pa.nulls(n, pa.float64()))


def constant(n: int, rng: np.random.Generator) -> pa.Table:
    days = pa.array([0] * n, pa.int32()).cast(pa.date32())
    return pa.table({"id": ["K"] * n, "x": [1e18] * n, "c": ["only"] * n, "at": days})


def huge(n: int, rng: np.random.Generator) -> pa.Table:
    signs = rng.choice([-1e300, 1e300, -0.0, 0.0, 5e-324, np.nan], (n, 2))
    return pa.table({"x": signs[:, 0], "y": signs[:, 1], "z": rng.normal(size=n) * 1e299})


def numbers(n: int, rng: np.random.Generator) -> pa.Table:
    return pa.table({"x": rng.normal(size=n)})


def categories(n: int, rng: np.random.Generator) -> pa.Table:
    return pa.table({"c": rng.choice(["a", "b"], n)})


def all_different(n: int, rng: np.random.Generator) -> pa.Table:
    return pa.table({"c": [str(v) for v in rng.integers(0, 10**6, n)], "b": rng.random(n) < 0.5})


TABLES: list[Callable[[int, np.random.Generator], pa.Table]] = [
    mixed,
    nulls,
    one_empty_column,
    constant,
    huge,
    numbers,
    categories,
    all_different,
]

SIZES = [(300, 100, 300), (60, 20, 60), (1, 1, 1), (300, 100, 1), (300, 1, 30), (50, 30, 500)]
"""Training, holdout and synthetic rows."""


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("make", TABLES)
def test_a_number_or_a_reason(
    tmp_path: Path,
    make: Callable[[int, np.random.Generator], pa.Table],
    sizes: tuple[int, int, int],
) -> None:
    rng = np.random.default_rng(0)
    train, holdout, synthetic = (make(n, rng) for n in sizes)
    schema = schema_of(train, meanings={"id": "identifier"})
    table = schema.main.model_copy(
        update={"primary_key": ("id",) if "id" in train.schema.names else ()}
    )
    schema = schema.model_copy(update={"tables": (table,)})
    data = compare(tmp_path, schema, train, holdout, synthetic)
    for metric in METRICS:
        check(metric, data)
    emptied = pa.table(
        {field.name: pa.nulls(sizes[2], field.type) for field in train.schema}, schema=train.schema
    )
    data = compare(tmp_path / "emptied", schema, train, holdout, emptied)
    for metric in METRICS:
        check(metric, data)


def check(metric: Metric, data: object) -> None:
    try:
        found = metric(data)  # type: ignore[arg-type]
    except NotApplicable:
        return
    for value, interval in (
        (found.value, found.interval),
        (found.reference, found.reference_interval),
    ):
        assert value is None or math.isfinite(value), metric.name
        if interval is not None:
            assert value is not None
            low, high = interval
            assert math.isfinite(low), metric.name
            assert low - 1e-9 <= value <= high + 1e-9, metric.name
            assert math.isfinite(high), metric.name


def test_all_metrics_are_there() -> None:
    assert len(METRICS) == 17


def test_the_same_bytes_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, holdout, synthetic = (mixed(n, rng) for n in (200, 90, 200))
    data = compare(tmp_path, schema_of(train), train, holdout, synthetic)
    for metric in METRICS:
        try:
            assert metric(data) == metric(data), metric.name
        except NotApplicable:
            continue


def test_a_hundred_thousand_categories(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, holdout, synthetic = (
        pa.table({"c": [str(v) for v in rng.integers(0, 10**5, n)], "x": rng.normal(size=n)})
        for n in (30_000, 10_000, 30_000)
    )
    data = compare(tmp_path, schema_of(train), train, holdout, synthetic)
    for metric in METRICS:
        check(metric, data)
