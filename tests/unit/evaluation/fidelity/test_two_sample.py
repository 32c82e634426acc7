"""The two-sample test: both sides of 0.5, intervals of both areas, a bounded number of rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.fidelity import two_sample
from tasks.evaluation.fidelity.two_sample import c2st_auc
from tests.comparisons import compare, schema_of


def table(n_rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    return pa.table({"x": x, "y": 2 * x + rng.normal(0, 0.1, n_rows), "z": rng.normal(size=n_rows)})


def test_copies_pull_the_area_under_a_half(tmp_path: Path) -> None:
    train = table(300, 0)
    found = c2st_auc(compare(tmp_path, schema_of(train), train, table(300, 1), train))
    assert found.value < 0.4
    assert found.reference == pytest.approx(0.5, abs=0.1)
    assert found.interval is not None
    assert found.interval[1] < 0.5
    assert found.reference_interval is not None
    assert found.reference_interval[0] < found.reference < found.reference_interval[1]


def test_more_rows_than_are_taken_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_sample, "MAX_ROWS", 100)
    train = table(400, 0)
    data = compare(tmp_path, schema_of(train), train, table(300, 1), table(400, 2))
    found = c2st_auc(data)
    # Hanley and McNeil of 100 rows a side at a half: 1.96 x 0.041.
    assert found.interval is not None
    assert found.interval[1] - found.interval[0] == pytest.approx(0.16, abs=0.01)
    assert c2st_auc(data) == found
