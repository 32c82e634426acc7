"""Small groups that the synthetic rows lost, and clusters that they do not reach."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.categories import Categories, categories_of
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.groups import Groups, _chosen, cluster_coverage, rare_groups
from tasks.evaluation.plots import ABSENT
from tasks.schema import Column
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
    column = Categories(Column(name="c", type="string", meaning="categorical"), 0, ("a", ABSENT))
    group = Groups(
        (column,), np.array([[0]]), np.array([[40, 10, 5]]), np.array([1_000, 500, 2_000])
    )
    # Half the share among twice the rows: as many are expected as there are real ones.
    np.testing.assert_allclose(group.least_error(2), binom.cdf(5, 45, 0.5))
    np.testing.assert_allclose(group.least_error(1), binom.cdf(10, 50, 0.2))
    np.testing.assert_allclose(group.shares, [[0.04, 0.02, 0.0025]])
    assert group.name(0) == "c = a"


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


def test_numbers_of_few_values_are_categories_too(tmp_path: Path) -> None:
    train = pa.table(
        {
            "x": np.repeat([1.0, 2.5, np.nan, 1e9], [900, 60, 30, 10]),
            "day": pa.array(np.resize(np.datetime64("2020-02-29") + np.arange(2), 1_000)),
            "at": pa.array(np.resize(np.datetime64("2020-02-29T12", "s") + np.arange(1), 1_000)),
            "many": np.arange(1_000.0) / 7,
        }
    )
    # Numbers that no training row has, and values of NaN, belong to no other category.
    made = pa.table({**dict(zip(train.column_names, train.columns, strict=True))})
    made = made.set_column(0, "x", pa.array(np.repeat([1.0, 3.0, np.nan], [900, 60, 40])))
    data = compared(tmp_path, train, made)
    found = {one.column.name: one for one in categories_of(data)}
    assert found["x"].labels == ("1", "2.5", "1000000000", ABSENT)
    assert found["day"].labels == ("2020-02-29", "2020-03-01", ABSENT)
    assert found["at"].labels == ("2020-02-29 12:00:00", ABSENT)
    assert "many" not in found
    assert found["x"].counted(data.train).tolist() == [900, 60, 10, 30]
    assert found["x"].counted(data.synthetic).tolist() == [900, 0, 0, 40]
    groups = rare_groups(data).plots["rare_groups"]
    assert groups[0] == {"group": "x = 2.5", "real": 0.06, "synthetic": 0.0, "holdout": 0.06}


def test_a_pair_of_codes_that_is_gone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    month = rng.choice(["May", "June", "July"], 6_000, p=[0.3, 0.3, 0.4])
    system = rng.choice([1, 2, 3, 4], 6_000, p=[0.5, 0.16, 0.2, 0.14])
    rows = pa.table({"month": month, "os": system, "x": rng.normal(size=6_000)})
    train, fresh = rows.slice(0, 2_000), rows.slice(2_000)
    gone = (fresh["month"].to_numpy() == "May") & (fresh["os"].to_numpy() == 2)
    found = rare_groups(compared(tmp_path, train, fresh.filter(~gone).slice(0, 2_000)))
    assert found.value < 1
    assert found.plots["rare_groups"][0]["group"] == "month = May and os = 2"
    assert rare_groups(compared(tmp_path / "fresh", train, fresh.slice(0, 2_000))).value == 1


def test_of_many_columns_those_with_the_target_are_paired_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.evaluation.groups.MAX_PAIRS", 4)
    train = pa.table({f"c{i}": [0, 1] * 50 for i in range(5)})
    columns = list(categories_of(compared(tmp_path, train, train)))
    found = _chosen(columns, "c2", np.random.default_rng(0))
    assert found == [(0, 2), (1, 2), (2, 3), (2, 4)]
    assert len(_chosen(columns, None, np.random.default_rng(0))) == 4


def test_few_holdout_rows_are_not_told(tmp_path: Path) -> None:
    train, holdout = rows({"a": 960, "b": 40}), rows({"a": 491, "b": 9})
    found = rare_groups(compare(tmp_path, schema_of(train), train, holdout, train))
    assert found.plots["rare_groups"] == [
        {"group": "c = b", "real": 0.04, "synthetic": 0.04, "holdout": None}
    ]


def test_columns_with_personal_data_are_not_named(tmp_path: Path) -> None:
    train = rows({"a": 950, "b": 50})
    schema = schema_of(train)
    column = schema.main.columns[0].model_copy(update={"personal": True})
    main = schema.main.model_copy(update={"columns": (column,)})
    schema = schema.model_copy(update={"tables": (main,)})
    with pytest.raises(NotApplicable, match="no category or number of few values is"):
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
