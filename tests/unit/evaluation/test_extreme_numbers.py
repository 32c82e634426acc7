"""Numbers whose squares are none, huge or next to zero: every metric has a value or a reason."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import measure, metrics_of
from tests.comparisons import compare, schema_of


def table(n_rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    one = rng.normal(size=n_rows).clip(-9, 9)
    half = rng.random(n_rows) < 0.5
    return pa.table(
        {
            "huge": one * 1e299,
            "large": one * 1e200 + rng.normal(size=n_rows) * 1e199,
            "small": one * 1e-200,
            "denormal": one * 5e-320,
            "mixed": np.where(half, one * 1e200, one * 1e-200),
            "signs": np.where(half, 1e300, -1e300),
            "outlier": np.where(rng.random(n_rows) < 0.02, 1e300, one),
            "smallest": rng.choice([0.0, 5e-324, 1.0, -1e299], n_rows),
            "shifted": 1e299 + one * 1e284,
            "plain": one,
            "class": np.where(one > 0, "p", "q").tolist(),
        }
    )


@pytest.mark.parametrize("target", ["class", "huge", "denormal", "mixed"])
def test_extreme_numbers_are_measured(tmp_path: Path, target: str) -> None:
    rows = [table(n_rows, seed) for seed, n_rows in enumerate((160, 80, 160))]
    data = compare(tmp_path, schema_of(rows[0], target=target), *rows)
    found, plots = measure(list(metrics_of("tabular").values()), data)
    for one in found:
        assert one.value is not None or one.not_applicable
        told = (one.value, one.reference, *(one.interval or ()), *(one.reference_interval or ()))
        assert all(np.isfinite(number) for number in told if number is not None), one.name
    json.dumps(plots, allow_nan=False)


def test_a_denormal_column_alone_is_constant_to_distances(tmp_path: Path) -> None:
    rows = [
        table(n_rows, seed).select(["denormal", "class"])
        for seed, n_rows in enumerate((90, 60, 90))
    ]
    data = compare(tmp_path, schema_of(rows[0]), *rows)
    found, _ = measure(list(metrics_of("tabular").values()), data)
    values = {one.name: one.value for one in found}
    assert values["coverage"] == 1
    assert values["near_copies"] is not None
