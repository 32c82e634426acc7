"""Groups of tables whose rates are known: which are compared, what is found, what is shown."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import NotApplicable, measure
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fairness.groups import groups_of, happening_of
from tasks.evaluation.fairness.parity import group_rate_error, opportunity_gap, parity_error
from tests.comparisons import compare, schema_of

ALL = (group_rate_error, parity_error, opportunity_gap)


def people(counts: dict[tuple[str, str], int], **more: Any) -> pa.Table:
    """As many rows of each (group, outcome) as are asked for."""
    rows = [one for one, n in counts.items() for _ in range(n)]
    return pa.table({"group": [g for g, _ in rows], "paid": [p for _, p in rows], **more})


def told(root: Path, train: pa.Table, made: pa.Table, target: str | None = "paid") -> Comparison:
    return compare(root, schema_of(train, target=target), train, train, made)


REAL = {("a", "yes"): 20, ("a", "no"): 80, ("b", "yes"): 10, ("b", "no"): 90}


def test_rates_by_hand(tmp_path: Path) -> None:
    # Of a 20 % and of b 10 %; made: 30 % and 5 %.
    made = {("a", "yes"): 30, ("a", "no"): 70, ("b", "yes"): 5, ("b", "no"): 95}
    data = told(tmp_path, people(REAL), people(made))
    rate, parity = group_rate_error(data), parity_error(data)
    assert (rate.value, rate.reference) == (pytest.approx((10 + 5) / 2), 0)
    assert (parity.value, parity.reference) == (pytest.approx(25 - 10), pytest.approx(0))
    for found in (rate, parity):
        assert found.interval is not None
        assert found.interval[0] < found.value < found.interval[1]
    common = {"outcome": "paid = yes", "column": "group"}
    shares = {"share_real": 0.5, "share_synthetic": 0.5}
    assert rate.plots["fairness"] == [
        {**common, "group": "a", **shares, "rate_real": 0.2, "rate_synthetic": 0.3},
        {**common, "group": "b", **shares, "rate_real": 0.1, "rate_synthetic": 0.05},
    ]


def test_a_group_that_was_never_made(tmp_path: Path) -> None:
    data = told(tmp_path, people(REAL), people({("a", "yes"): 20, ("a", "no"): 80}))
    assert group_rate_error(data).value == pytest.approx(50)
    # The one group that is left has no gap; there is one of 10 points.
    assert parity_error(data).value == pytest.approx(10)
    assert group_rate_error(data).plots["fairness"][1]["rate_synthetic"] is None


def test_what_rests_on_few_people_is_not_shown(tmp_path: Path) -> None:
    real = {**REAL, ("c", "yes"): 9, ("c", "no"): 40, ("d", "yes"): 10, ("d", "no"): 19}
    data = told(tmp_path, people(real), people(real))
    [groups] = groups_of(data, happening_of(data))
    # d has 29 rows: it is not compared; c is, but nine people with the outcome are not told of.
    assert [data.categories[0][code] for code in groups.codes] == ["a", "b", "c"]
    assert {one["group"] for one in group_rate_error(data).plots["fairness"]} == {"a", "b"}


def test_personal_columns_are_never_groups(tmp_path: Path) -> None:
    table = people(REAL)
    schema = schema_of(table, target="paid")
    columns = tuple(
        column.model_copy(update={"personal": column.name == "group"})
        for column in schema.main.columns
    )
    main = schema.main.model_copy(update={"columns": columns})
    secret = schema.model_copy(update={"tables": (main,)})
    for metric in ALL:
        with pytest.raises(NotApplicable, match="needs a categorical column beside the target"):
            metric(compare(tmp_path / metric.name, secret, table, table, table))


@pytest.mark.parametrize(
    ("target", "label", "share"),
    [
        (pa.array(["x"] * 20 + ["y"] * 50 + ["z"] * 30), "t = y", 0.5),
        (pa.array(["x"] * 20 + ["y"] * 80), "t = x", 0.2),
        (pa.array(np.arange(100.0)), "t above its median", 0.5),
        (pa.array([0.0] * 30 + [1.0] * 70), "t at its maximum", 0.7),
        (pa.array([None] * 60 + [0.0] * 20 + [3.0] * 20), "t above its median", 0.2),
    ],
)
def test_the_outcome(tmp_path: Path, target: pa.Array, label: str, share: float) -> None:
    table = pa.table({"g": ["a", "b"] * 50, "t": target})
    data = told(tmp_path, table, table, "t")
    happening = happening_of(data)
    assert happening.label == label
    assert (happening.of(data.train) == 1).mean() == pytest.approx(share)
    assert (happening.of(data.train) == -1).mean() == pytest.approx(target.null_count / 100)


@pytest.mark.parametrize(
    ("table", "target", "message"),
    [
        (people(REAL), None, "no target"),
        (people({("a", "yes"): 50, ("b", "yes"): 50}), "paid", "one value"),
        (people(REAL, y=pa.nulls(200, pa.float64())), "y", "one value at most|found 0"),
        (pa.table({"x": np.arange(100.0), "y": np.arange(100.0)}), "y", "categorical column"),
        (people({("a", "yes"): 10, ("b", "no"): 10}), "paid", "at least 30 training rows|found 20"),
        (pa.table({"g": [str(i) for i in range(100)], "y": ["a", "b"] * 50}), "y", "found none"),
    ],
)
def test_nothing_to_compare(
    tmp_path: Path, table: pa.Table, target: str | None, message: str
) -> None:
    data = told(tmp_path, table, table, target)
    for metric in ALL:
        with pytest.raises(NotApplicable, match=message):
            metric(data)


def test_a_model_that_learned_to_refuse_one_group(tmp_path: Path) -> None:
    def rows(n: int, seed: int, refused: bool) -> pa.Table:
        rng = np.random.default_rng(seed)
        x, is_b = rng.normal(size=n), rng.random(n) < 0.4
        # Chance is half of it, so that a model has others to say yes to.
        yes = (x + rng.normal(0, 1, n) > 0.5) & ~(refused & is_b)
        groups, paid = np.where(is_b, "b", "a"), np.where(yes, "yes", "no")
        return pa.table({"x": x, "group": groups.tolist(), "paid": paid.tolist()})

    train, holdout = rows(600, 0, False), rows(600, 1, False)
    schema = schema_of(train, target="paid")
    made = {"fair": rows(600, 2, False), "unfair": rows(600, 2, True)}
    fair, unfair = (
        opportunity_gap(compare(tmp_path / name, schema, train, holdout, one))
        for name, one in made.items()
    )
    assert fair.value < 20
    assert unfair.value > 40
    assert fair.reference == unfair.reference
    assert unfair.interval is not None
    assert unfair.interval[0] > fair.value


def test_bad_synthetic_tables(tmp_path: Path) -> None:
    train = people({one: 3 * n for one, n in REAL.items()})
    for name, made in {
        "one row": train.slice(0, 1),
        "no target": train.set_column(1, "paid", pa.nulls(len(train), pa.string())),
        "no group": train.set_column(0, "group", pa.nulls(len(train), pa.string())),
        "unknown": train.set_column(0, "group", [["new"] * len(train)]),
        "ids": train.set_column(0, "group", [[f"id {i}" for i in range(len(train))]]),
    }.items():
        found, _ = measure(ALL, told(tmp_path / name, train, made))
        assert found[0].value == (100 if name != "one row" else pytest.approx(50, abs=45))
