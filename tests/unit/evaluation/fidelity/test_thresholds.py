"""What the default thresholds of shapes, pairs and three-way tables let pass and what they refuse."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tasks.evaluation import base
from tasks.metrics import judged
from tests.comparisons import breast_cancer, compare, shared_table

METRICS = (
    "shape_error",
    "worst_shape_error",
    "trend_error",
    "trend_error_real_bins",
    "three_way_error",
)

Cheat = Callable[[pa.Table, np.random.Generator], pa.Table]


def refused(folder: Path, table: str, cheat: Cheat) -> set[str]:
    """The metrics that refuse rows which a cheat made of half of the training rows."""
    schema, rows, holdout = breast_cancer() if table == "breast" else shared_table(table)
    rng = np.random.default_rng(0)
    rows = rows.take(pa.array(rng.permutation(len(rows))))
    train, unseen = rows.slice(0, len(rows) // 2), rows.slice(len(rows) // 2)
    data = compare(folder, schema, train, holdout, cheat(unseen, rng))
    known = base.metrics_of("tabular")
    measurements, _ = base.measure([known[name] for name in METRICS], data)
    return {
        result.measurement.name for result in judged(measurements, {}) if result.passed is False
    }


def fresh(rows: pa.Table, _: np.random.Generator) -> pa.Table:
    return rows


def few(rows: pa.Table, _: np.random.Generator) -> pa.Table:
    return rows.slice(0, 10)


def shuffled(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    columns = {
        name: rows[name].take(pa.array(rng.permutation(len(rows)))) for name in rows.column_names
    }
    return pa.table(columns)


def collapsed(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    return rows.take(pa.array(rng.integers(0, 10, len(rows))))


def without_group(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Without the rarer class, 24 to 37 % of the rows."""
    target = rows.column_names[-1]
    least = min(rows[target].value_counts().to_pylist(), key=lambda found: found["counts"])
    kept = rows.filter(pc.not_equal(rows[target], least["values"]))
    return kept.take(pa.array(rng.integers(0, len(kept), len(rows))))


@pytest.mark.parametrize("table", ["breast", "adult", "magic"])
@pytest.mark.parametrize("cheat", [fresh, few])
def test_real_rows_pass_however_many(tmp_path: Path, table: str, cheat: Cheat) -> None:
    assert refused(tmp_path, table, cheat) == set()


@pytest.mark.parametrize("table", ["breast", "adult", "magic"])
@pytest.mark.parametrize(
    ("cheat", "by"),
    [
        (shuffled, {"three_way_error"}),
        (collapsed, {"shape_error", "worst_shape_error", "three_way_error"}),
        (without_group, {"worst_shape_error"}),
    ],
)
def test_spoiled_rows_are_refused(tmp_path: Path, table: str, cheat: Cheat, by: set[str]) -> None:
    assert by <= refused(tmp_path, table, cheat)
