"""Correlations of ranks, beside those of SciPy."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.fidelity.leaving_out import groups
from tasks.evaluation.fidelity.ranks import rank_correlation_error, rank_correlations
from tests.comparisons import compare, schema_of

NAN = np.nan


def test_the_coefficient_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 9, (60, 3)).astype(float)
    numbers[:, 1] += numbers[:, 0]
    found = rank_correlations(numbers, groups(60))
    assert found.shape == (21, 3, 3)
    np.testing.assert_allclose(found[0], spearmanr(numbers).statistic, atol=1e-12)


def test_ranks_ignore_scale_and_use_rows_where_both_are_present() -> None:
    # Over the rows 0, 1 and 3 both rise, whatever by; the third column never varies.
    numbers = np.array([[1, -9, 5], [2, 0, 5], [3, NAN, 5], [1e300, 1, NAN]], float)
    found = rank_correlations(numbers, np.zeros(4, int))[0]
    # Ranks 1, 2, 4 of 4 and 1, 2, 3 of 3.
    assert found[0, 1] == pytest.approx(np.corrcoef([1, 2, 4], [1, 2, 3])[0, 1])
    assert np.isnan(found[0, 2])
    assert np.isnan(found[2, 2])


def test_half_the_difference_of_correlations(tmp_path: Path) -> None:
    x = np.arange(40.0)
    train = pa.table({"x": x, "y": np.exp(x), "z": x % 2})
    made = pa.table({"x": x, "y": np.exp(-x), "z": x % 2})
    found = rank_correlation_error(compare(tmp_path, schema_of(train), train, train, made))
    with_z = spearmanr(x, x % 2).statistic
    # x and y: from 1 to -1; y and z: from r to -r; x and z stay.
    assert found.value == pytest.approx((100 + 100 * with_z) / 3)
    assert found.reference == pytest.approx(0, abs=1e-9)


def test_a_column_that_became_constant_is_unrelated(tmp_path: Path) -> None:
    x = np.arange(40.0)
    train = pa.table({"x": x, "y": x})
    made = pa.table({"x": x, "y": [1.0] * 40})
    data = compare(tmp_path / "a", schema_of(train), train, train, made)
    assert rank_correlation_error(data).value == pytest.approx(50)
    with pytest.raises(NotApplicable, match="no two columns of numbers vary together"):
        rank_correlation_error(compare(tmp_path / "b", schema_of(train), made, made, train))


def test_one_column_of_numbers(tmp_path: Path) -> None:
    rows = pa.table({"x": [1.0, 2.0], "c": ["a", "b"]})
    with pytest.raises(NotApplicable, match="needs two columns of numbers, found 1"):
        rank_correlation_error(compare(tmp_path, schema_of(rows), rows, rows, rows))
