"""The boosted two-sample test: what it says of data whose answer is known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation import boosting
from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.two_sample import c2st_auc
from tests.comparisons import compare, schema_of


def table(n_rows: int, seed: int, shift: float = 0.0) -> pa.Table:
    """Numbers x and y, and a class that x decides."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    y = 2 * x + rng.normal(0, 0.1, n_rows) + shift
    return pa.table({"x": x, "y": y, "c": ["high" if one > 0 else "low" for one in x]})


def test_area_under_the_curve_counts_ties_half() -> None:
    positive = np.array([False, True, True])
    assert boosting.auc(positive, np.array([1.0, 1.0, 2.0])) == pytest.approx(0.75)
    assert np.isnan(boosting.auc(positive[1:], np.array([1.0, 2.0])))


def test_the_two_sample_test_names_the_column_that_gives_it_away(tmp_path: Path) -> None:
    train, holdout = table(300, 0), table(200, 1)
    schema = schema_of(train)
    same = c2st_auc(compare(tmp_path / "same", schema, train, holdout, table(300, 2)))
    assert abs(same.value - 0.5) < 0.08
    moved = c2st_auc(compare(tmp_path / "moved", schema, train, holdout, table(300, 2, shift=30)))
    assert moved.value == 1.0
    assert abs(moved.reference - 0.5) < 0.08
    giveaways = moved.plots["giveaways"]
    assert giveaways[0]["column"] == "y"
    assert sum(one["importance"] for one in giveaways) == pytest.approx(1, abs=1e-3)


def test_three_rows_are_too_few(tmp_path: Path) -> None:
    rows = table(3, 0)
    with pytest.raises(NotApplicable, match="needs 20 rows on each side, found 3"):
        c2st_auc(compare(tmp_path, schema_of(rows), rows, rows, rows))
