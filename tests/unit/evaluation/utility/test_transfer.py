"""Models of synthetic rows against models of real rows, on data whose answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import Metric, NotApplicable, measure
from tasks.evaluation.intervals import Interval
from tasks.evaluation.utility.cross_validation import (
    importance_agreement,
    utility_cross_validated,
)
from tasks.evaluation.utility.models import BOOSTING
from tasks.evaluation.utility.problem import problem_of
from tasks.evaluation.utility.scores import percentiles
from tasks.evaluation.utility.transfer import (
    holdout_redraws,
    prediction,
    utility,
    utility_augmented,
    utility_linear,
    utility_trees,
)
from tasks.metrics import judged
from tests.comparisons import compare, schema_of

TRANSFER = (utility, utility_linear, utility_trees)
ALL = (*TRANSFER, utility_augmented, utility_cross_validated, importance_agreement)


def table(n_rows: int, seed: int, shift: float = 0.0) -> pa.Table:
    """Numbers x and y, and a class that x decides."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n_rows)
    y = 2 * x + rng.normal(0, 0.1, n_rows) + shift
    return pa.table({"x": x, "y": y, "c": ["high" if one > 0 else "low" for one in x]})


def classes(n: int, seed: int, n_classes: int) -> pa.Table:
    x = np.random.default_rng(seed).uniform(0, n_classes, n)
    return pa.table({"x": x, "c": [f"class {int(one)}" for one in x]})


@pytest.mark.parametrize("metric", TRANSFER, ids=lambda m: m.name)
@pytest.mark.parametrize(("target", "score", "best"), [("c", "AUC", 0.99), ("y", "R2", 0.95)])
def test_utility_by_the_meaning_of_the_target(
    tmp_path: Path, metric: Metric, target: str, score: str, best: float
) -> None:
    train, holdout = table(300, 0), table(200, 1)
    data = compare(tmp_path, schema_of(train, target=target), train, holdout, table(250, 2))
    found = metric(data)
    plot = found.plots["utility"]
    assert (plot["score"], plot["target"], plot["rows"]) == (score, target, 250)
    assert found.value > best
    assert found.reference == pytest.approx(found.value, abs=0.03)
    for value, interval in (
        (found.value, found.interval),
        (found.reference, found.reference_interval),
    ):
        assert interval is not None
        assert interval[0] <= value <= interval[1]


def test_the_plot_has_every_model_that_was_measured(tmp_path: Path) -> None:
    train = table(300, 0)
    data = compare(tmp_path, schema_of(train, target="c"), train, table(200, 1), table(300, 2))
    found, plots = measure(ALL, data)
    models = plots["utility"]["models"]
    assert [one["model"] for one in models] == ["boosted trees", "linear model", "random forest"]
    by_name = {one.name: one for one in found}
    assert models[0]["augmented"] == pytest.approx(by_name["utility_augmented"].value, abs=1e-5)
    assert models[1]["augmented"] is None
    assert models[1]["real"] == pytest.approx(by_name["utility_linear"].reference, abs=1e-5)
    assert all(one.value is not None for one in found if one.name != "importance_agreement")


def test_a_metric_that_is_measured_twice_says_the_same(tmp_path: Path) -> None:
    train = table(120, 0)
    made = table(120, 2)
    first, second = (
        measure(ALL, compare(tmp_path / n, schema_of(train, target="c"), train, table(80, 1), made))
        for n in "ab"
    )
    assert first == second


def test_without_a_target(tmp_path: Path) -> None:
    train = table(100, 0)
    found, plots = measure(ALL, compare(tmp_path, schema_of(train), train, train, train))
    assert {one.not_applicable for one in found} == {
        "the dataset has no target that a model could predict"
    }
    assert plots == {}


@pytest.mark.parametrize("metric", TRANSFER, ids=lambda m: m.name)
def test_utility_of_one_class_is_chance(tmp_path: Path, metric: Metric) -> None:
    train, holdout = table(300, 0), table(200, 1)
    synthetic = table(300, 2).set_column(2, "c", pa.array(["low"] * 300))
    found = metric(compare(tmp_path, schema_of(train, target="c"), train, holdout, synthetic))
    assert found.value == 0.5
    assert found.reference > 0.99


@pytest.mark.parametrize("metric", TRANSFER, ids=lambda m: m.name)
def test_utility_of_many_classes_of_which_one_was_never_made(
    tmp_path: Path, metric: Metric
) -> None:
    train, made = classes(400, 0, 4), classes(400, 2, 3)
    data = compare(tmp_path, schema_of(train, target="c"), train, classes(200, 1, 4), made)
    found = metric(data)
    # Three of four classes are known well, the fourth by chance; the linear model cannot know the
    # two in the middle as well as the others do.
    assert 0.6 < found.value < 0.93
    assert found.reference > (0.8 if metric is utility_linear else 0.99)
    assert found.value < found.reference - 0.05


def test_made_up_classes_are_no_class(tmp_path: Path) -> None:
    train = table(300, 0)
    c = ["nonsense" if i % 3 == 0 else v for i, v in enumerate(table(300, 2)["c"].to_pylist())]
    made = table(300, 2).set_column(2, "c", pa.array(c))
    found = utility(compare(tmp_path, schema_of(train, target="c"), train, table(200, 1), made))
    assert found.value > 0.9
    every = table(300, 2).set_column(2, "c", pa.array([f"n{i}" for i in range(300)]))
    data = compare(tmp_path / "all", schema_of(train, target="c"), train, table(200, 1), every)
    assert utility(data).value == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.slice(0, 10), "needs 20 training and 20 holdout rows .*'c', found 10"),
        (lambda t: t.filter(pa.array([c == "low" for c in t["c"].to_pylist()])), "one value only"),
        (lambda t: t.set_column(2, "c", [[str(i) for i in range(len(t))]]), "50 at most"),
        (lambda t: t.set_column(2, "c", pa.nulls(len(t), pa.string())), "found 0"),
        (lambda t: t.select(["c"]), "no column beside the target"),
    ],
)
def test_a_target_that_nothing_can_be_said_of(
    tmp_path: Path, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    train, holdout = change(table(300, 0)), change(table(200, 1))
    made = table(300, 2).select(train.column_names)
    data = compare(tmp_path, schema_of(train, target="c"), train, holdout, made)
    for metric in ALL:
        with pytest.raises(NotApplicable, match=message):
            metric(data)


def test_a_target_that_the_generator_lost_is_not_predicted(tmp_path: Path) -> None:
    train = table(300, 0)
    synthetic = table(50, 2).set_column(2, "c", pa.nulls(50, pa.string()))
    data = compare(tmp_path, schema_of(train, target="c"), train, table(200, 1), synthetic)
    for metric in TRANSFER:
        assert metric(data).value == 0.5
        assert metric(data).reference > 0.99
    with pytest.raises(NotApplicable, match=r"needs 20 rows of each set .* target 'c', found 0"):
        utility_cross_validated(data)


def test_few_synthetic_rows(tmp_path: Path) -> None:
    train, holdout = table(300, 0), table(200, 1)
    schema = schema_of(train, target="c")
    with pytest.raises(NotApplicable, match=r"needs 20 synthetic rows .* found 1 in 1 rows"):
        utility(compare(tmp_path / "1", schema, train, holdout, table(1, 2)))
    found = utility(compare(tmp_path / "30", schema, train, holdout, table(30, 2)))
    assert found.plots["utility"]["rows"] == 30
    assert found.value == pytest.approx(found.reference, abs=0.15)


def test_augmentation_of_too_few_real_rows(tmp_path: Path) -> None:
    # The class is the sign of a sum of six: 60 rows show a part of it, as many again some more.
    def rows(n: int, seed: int) -> pa.Table:
        x = np.random.default_rng(seed).normal(size=(6, n))
        columns = {f"x{i}": one for i, one in enumerate(x)}
        return pa.table({**columns, "c": ["x" if one > 0 else "y" for one in x.sum(axis=0)]})

    train, made = rows(60, 0), rows(60, 2)
    schema = schema_of(train, target="c")
    found = utility_augmented(compare(tmp_path / "y", schema, train, rows(400, 1), made))
    assert found.value > found.reference + 0.03
    noise = made.set_column(6, "c", [np.random.default_rng(5).permutation(made["c"].to_pylist())])
    spoilt = utility_augmented(compare(tmp_path / "n", schema, train, rows(400, 1), noise))
    assert spoilt.reference == found.reference
    assert spoilt.value < found.value


def test_shuffled_columns_are_refused_and_fresh_rows_are_not(tmp_path: Path) -> None:
    train, fresh, rng = table(400, 0), table(400, 2), np.random.default_rng(3)
    shuffled = pa.table(
        {name: pa.array(rng.permutation(train[name].to_pylist())) for name in train.column_names}
    )
    for name, made, passes in (("fresh", fresh, True), ("shuffled", shuffled, False)):
        for target in ("c", "y"):
            schema = schema_of(train, target=target)
            data = compare(tmp_path / name / target, schema, train, table(200, 1), made)
            [result] = judged(measure([utility], data)[0], {})
            assert result.passed is passes


def test_the_interval_of_small_data_also_says_what_other_training_rows_would_do(
    tmp_path: Path,
) -> None:
    def rows(n: int, seed: int) -> pa.Table:
        x, noise = np.random.default_rng(seed).normal(size=(2, n))
        return pa.table({"x": x, "y": x + 2 * noise})

    def width(interval: Interval | None) -> float:
        assert interval is not None
        return interval[1] - interval[0]

    schema = schema_of(rows(2, 0), target="y")
    for n, is_wider in ((60, True), (3000, False)):
        data = compare(tmp_path / str(n), schema, rows(n, 0), rows(300, 1), rows(n, 2))
        found, score = utility(data), problem_of(data).score
        target, of_real = problem_of(data).test.target, prediction(data, BOOSTING, "real")
        drawn = score(target, of_real, holdout_redraws(data))
        by_holdout = width(percentiles(found.reference or 0.0, drawn))
        if is_wider:
            assert width(found.reference_interval) > 1.1 * by_holdout
        else:
            assert width(found.reference_interval) == by_holdout


def test_extreme_numbers_missing_values_and_ids_among_the_columns(tmp_path: Path) -> None:
    def rows(n: int, seed: int) -> pa.Table:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=n)
        return pa.table(
            {
                "huge": pa.array(x * 1e299),
                "tiny": pa.array(np.where(x > 0, 1e-300, -0.0)),
                "holes": pa.array(np.where(rng.random(n) < 0.3, np.nan, x), from_pandas=True),
                "never": pa.nulls(n, pa.float64()),
                "constant": pa.array(np.ones(n)),
                "id": [f"{seed}-{i}" for i in range(n)],
                "nobody": pa.nulls(n, pa.string()),
                "y": pa.array(x * 1e299),
            }
        )

    train = rows(200, 0)
    schema = schema_of(train, target="y")
    found, _ = measure(ALL, compare(tmp_path / "fine", schema, train, rows(150, 1), rows(200, 2)))
    values = {one.name: one.value for one in found}
    assert all((values[metric.name] or 0) > 0.9 for metric in TRANSFER)
    wild = rows(200, 2).set_column(7, "y", [np.full(200, 1e300)])
    found, _ = measure(ALL, compare(tmp_path / "wild", schema, train, rows(150, 1), wild))
    values = {one.name: one.value for one in found}
    assert all(values[metric.name] == -1 for metric in TRANSFER)
