"""Small groups that the synthetic rows lost, and clusters that they do not reach."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.groups import Group, cluster_coverage, rare_groups
from tests.comparisons import compare, schema_of


def rows(counts: dict[str | None, int], other: dict[str, int] | None = None) -> pa.Table:
    """A column of these values and, in no order, another."""
    c = [value for value, count in counts.items() for _ in range(count)]
    columns: dict[str, object] = {"c": pa.array(c, pa.string())}
    if other:
        d = [value for value, count in other.items() for _ in range(count)]
        columns["d"] = np.random.default_rng(0).permutation(d).tolist()
    return pa.table(columns)


def compared(tmp_path: Path, train: pa.Table, synthetic: pa.Table) -> Comparison:
    return compare(tmp_path, schema_of(train), train, train, synthetic)


def test_the_error_is_that_of_a_conditional_test() -> None:
    group = Group("c = a", 1, (40, 10, 5), (1_000, 500, 2_000))
    # Half the share among twice the rows: as many are expected as there are real ones.
    assert group.least_error(2) == pytest.approx(binom.cdf(5, 45, 0.5))
    assert group.least_error(1) == pytest.approx(binom.cdf(10, 50, 0.2))
    np.testing.assert_allclose(group.shares, [0.04, 0.02, 0.0025])


def test_a_group_that_is_gone_or_halved_twice_is_lost(tmp_path: Path) -> None:
    train = rows({"a": 3_600, "b": 200, "c": 120, None: 80})
    synthetic = rows({"a": 3_776, "b": 200, "c": 24, None: 0})
    found = rare_groups(compared(tmp_path, train, synthetic))
    assert found.value == pytest.approx(1 / 3)
    assert found.reference == 1
    assert found.plots["rare_groups"] == [
        {"group": "c = (missing)", "real": 0.02, "synthetic": 0.0, "holdout": 0.02},
        {"group": "c = c", "real": 0.03, "synthetic": 0.006, "holdout": 0.03},
        {"group": "c = b", "real": 0.05, "synthetic": 0.05, "holdout": 0.05},
    ]


def test_a_group_of_one_percent_is_missed_among_2500_rows(tmp_path: Path) -> None:
    train = rows({"a": 2_475, "b": 25}, {"x": 2_000, "y": 500})
    found = rare_groups(compared(tmp_path, train, train.slice(0, 2_475)))
    assert found.value < 1
    assert rare_groups.threshold is not None
    assert rare_groups.threshold.at_least == 1.0


def test_a_pair_that_is_gone_though_its_categories_are_there(tmp_path: Path) -> None:
    train = rows({"a": 3_000, "b": 1_000}, {"x": 3_000, "y": 1_000})
    c, d = train["c"].to_numpy(zero_copy_only=False), train["d"].to_numpy(zero_copy_only=False)
    pair = (c == "b") & (d == "y")
    synthetic = pa.table({"c": c, "d": np.where(pair, "x", d)})
    found = rare_groups(compared(tmp_path, train, synthetic))
    assert found.value == 0
    assert [one["group"] for one in found.plots["rare_groups"]] == ["c = b and d = y"]


def test_columns_with_personal_data_are_not_named(tmp_path: Path) -> None:
    train = rows({"a": 950, "b": 50})
    schema = schema_of(train)
    column = schema.main.columns[0].model_copy(update={"personal": True})
    main = schema.main.model_copy(update={"columns": (column,)})
    schema = schema.model_copy(update={"tables": (main,)})
    with pytest.raises(NotApplicable, match="no category is held by"):
        rare_groups(compare(tmp_path, schema, train, train, train))


def test_clusters_without_synthetic_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = np.repeat([0.0, 100.0], 200)
    train = pa.table({"x": places + rng.normal(size=400), "y": places + rng.normal(size=400)})
    found = cluster_coverage(compared(tmp_path, train, train.slice(0, 200)))
    assert found.reference == 1
    assert found.value < 0.7
    few = train.slice(0, 50)
    with pytest.raises(NotApplicable, match="needs 80 rows of each set, found 50"):
        cluster_coverage(compared(tmp_path / "few", few, few))
