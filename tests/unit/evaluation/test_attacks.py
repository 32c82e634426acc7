"""Attacks on generators whose honesty is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.attacks.attributes import MAX_SECRETS, attribute_inference
from tasks.evaluation.attacks.linkage import linkability
from tasks.evaluation.attacks.membership import (
    FALSE_POSITIVES,
    Scores,
    membership_classifier,
    membership_density,
    membership_distance,
    membership_tpr,
)
from tasks.evaluation.attacks.rounds import advantage, paired_advantage, rounds
from tasks.evaluation.attacks.singling_out import (
    singling_out_multivariate,
    singling_out_univariate,
)
from tasks.evaluation.base import Metric, NotApplicable, measure
from tasks.evaluation.comparison import Comparison
from tasks.metrics import judged
from tasks.schema import Column
from tests import cheats
from tests.comparisons import compare, digits, schema_of

ATTACKS = [
    membership_density,
    membership_classifier,
    membership_distance,
    membership_tpr,
    attribute_inference,
    singling_out_univariate,
    singling_out_multivariate,
    linkability,
]

ADVANTAGES = ATTACKS[4:]

N_TRAIN, N_HOLDOUT = 2400, 1200


def population(n_rows: int, seed: int) -> pa.Table:
    return cheats.people(n_rows, np.random.default_rng(seed))


def attacked(root: Path, cheat: cheats.Cheat, n_train: int = N_TRAIN) -> Comparison:
    """People that a generator saw, people that it did not, and what it made."""
    train, holdout = population(n_train, 0), population(n_train // 2, 1)
    synthetic = cheat(train, population(n_train, 2), np.random.default_rng(3))
    return compare(root, schema_of(train, target="rich"), train, holdout, synthetic)


def honest(_: pa.Table, unseen: pa.Table, __: np.random.Generator) -> pa.Table:
    return unseen


def refusing(data: Comparison) -> set[str]:
    """The attacks whose default thresholds refuse the data."""
    measurements, _ = measure(ATTACKS, data)
    return {r.measurement.name for r in judged(measurements, {}) if r.passed is False}


@pytest.mark.parametrize("n_train", [100, 400, N_TRAIN])
def test_real_rows_that_nobody_trained_on_tell_nothing(tmp_path: Path, n_train: int) -> None:
    data = attacked(tmp_path, honest, n_train)
    measurements, _ = measure(ATTACKS, data)
    assert all(result.passed is not False for result in judged(measurements, {}))
    for one in measurements:
        if one.value is None:
            assert one.name == "membership_tpr"
            continue
        chance = 0.5 if one.name.startswith("membership") else 0.0
        chance = FALSE_POSITIVES if one.name == "membership_tpr" else chance
        for value, ends in (
            (one.value, one.interval),
            (one.reference, one.reference_interval),
        ):
            assert ends[0] <= value <= ends[1]
            # Eight values and references: one of them may well be beyond 95 %, not by far.
            width = ends[1] - ends[0]
            assert ends[0] - width / 2 <= chance <= ends[1] + width / 2, one


@pytest.mark.parametrize(
    ("cheat", "n_train", "expected"),
    [
        (
            cheats.copies,
            N_TRAIN,
            {
                "membership_density",
                "membership_distance",
                "membership_tpr",
                "attribute_inference",
                "linkability",
                "singling_out_multivariate",
            },
        ),
        (
            cheats.copies,
            400,
            {"membership_distance", "attribute_inference", "linkability"},
        ),
        (
            cheats.copies_with_noise(0.01),
            400,
            {"membership_distance", "attribute_inference", "linkability"},
        ),
        (cheats.copies_with_noise(0.05), 400, {"membership_distance", "attribute_inference"}),
        (
            cheats.copies_with_noise(0.05),
            N_TRAIN,
            {"membership_distance", "membership_tpr", "attribute_inference"},
        ),
    ],
)
def test_copiers_are_refused(
    tmp_path: Path, cheat: cheats.Cheat, n_train: int, expected: set[str]
) -> None:
    assert refusing(attacked(tmp_path, cheat, n_train)) >= expected


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_a_leak_of_few_rows_shows_at_few_false_alarms_alone(tmp_path: Path, noise: float) -> None:
    train, holdout = population(6000, 0), population(4000, 1)
    synthetic = cheats.leaks(0.02, noise)(train, population(6000, 2), np.random.default_rng(3))
    data = compare(tmp_path, schema_of(train), train, holdout, synthetic)
    assert refusing(data) == {"membership_tpr"}


def test_the_area_of_a_copier_is_one_and_its_curve_starts_high(tmp_path: Path) -> None:
    found = membership_distance(attacked(tmp_path, cheats.copies))
    assert found.value == pytest.approx(1, abs=0.001)
    curves = {one["attack"]: one for one in found.plots["membership"]}
    assert set(curves) == {"density ratio", "classifier", "closest distance"}
    curve = curves["closest distance"]
    assert curve["auc"] == pytest.approx(found.value, abs=1e-4)
    assert len(curve["fpr"]) == len(curve["tpr"]) == 50
    assert curve["fpr"][0] == pytest.approx(1 / N_HOLDOUT, rel=1e-3)
    assert curve["tpr"][0] > 0.9
    assert (curve["fpr"][-1], curve["tpr"][-1]) == (1, 1)


def test_the_classifier_sees_rows_that_it_learned(tmp_path: Path) -> None:
    found = membership_classifier(attacked(tmp_path, cheats.copies, 400))
    assert found.interval[0] > found.reference


def test_guesses_are_drawn_beside_who_always_says_the_same(tmp_path: Path) -> None:
    found = attribute_inference(attacked(tmp_path, cheats.copies))
    plot = {one["column"]: one for one in found.plots["attributes"]}
    assert len(plot) == MAX_SECRETS
    assert "rich" in plot
    assert all(one["training"] > 0.99 for one in plot.values())
    gaps = [one["training"] - one["holdout"] for one in plot.values()]
    assert found.value == pytest.approx(np.mean(gaps), abs=1e-4)
    frequencies = population(N_HOLDOUT, 1)["region"].to_pylist()
    assert plot["region"]["baseline"] == pytest.approx(frequencies.count("north") / N_HOLDOUT, 1e-3)


def test_a_personal_column_is_guessed_and_not_named(tmp_path: Path) -> None:
    train = population(100, 0)
    schema = schema_of(train)
    columns = tuple(
        Column(**{**column.model_dump(), "personal": column.name == "age"})
        for column in schema.main.columns
    )
    table = schema.main.model_copy(update={"columns": columns})
    schema = schema.model_copy(update={"tables": (table,)})
    data = compare(tmp_path, schema, train, population(80, 1), population(100, 2))
    named = [one["column"] for one in attribute_inference(data).plots["attributes"]]
    assert "age" not in named
    assert len(named) == MAX_SECRETS - 1


def test_images_are_attacked_by_distance(tmp_path: Path) -> None:
    schema, train, holdout = digits()
    half = len(holdout) // 2
    copied = compare(tmp_path / "copied", schema, train, holdout, train)
    assert membership_distance(copied).value > 0.99
    fresh = compare(tmp_path / "fresh", schema, train, holdout.slice(half), holdout.slice(0, half))
    found = membership_distance(fresh)
    assert found.interval[0] < 0.53
    assert found.interval[1] > 0.47
    assert [one["attack"] for one in found.plots["membership"]] == [
        "density ratio",
        "closest distance",
    ]


@pytest.mark.parametrize("metric", ATTACKS)
def test_the_same_rows_give_the_same_numbers(tmp_path: Path, metric: Metric) -> None:
    first, second = (attacked(tmp_path / name, honest, 2000) for name in ("a", "b"))
    assert metric(first) == metric(second)


@pytest.mark.parametrize("metric", ATTACKS)
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((39, 80, 80), "needs 40 training rows, found 39"),
        ((80, 1, 80), "needs 40 holdout rows, found 1"),
        ((80, 80, 30), "needs 40 synthetic rows, found 30"),
    ],
)
def test_too_few_rows(
    tmp_path: Path, metric: Metric, sizes: tuple[int, int, int], message: str
) -> None:
    train, holdout, synthetic = (population(n, seed) for seed, n in enumerate(sizes))
    with pytest.raises(NotApplicable, match=message):
        metric(compare(tmp_path, schema_of(train), train, holdout, synthetic))


def test_few_false_alarms_need_many_others(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="needs 1000 holdout rows, found 200"):
        membership_tpr(attacked(tmp_path, honest, 400))


@pytest.mark.parametrize("metric", [attribute_inference, singling_out_multivariate, linkability])
def test_one_column_is_too_few(tmp_path: Path, metric: Metric) -> None:
    rows = [population(100, seed).select(["pay"]) for seed in range(3)]
    with pytest.raises(NotApplicable, match="needs two columns"):
        metric(compare(tmp_path, schema_of(rows[0]), *rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.set_column(0, "age", pa.nulls(len(t), pa.float64())),
        lambda t: t.set_column(2, "region", pa.nulls(len(t), pa.string())),
        lambda t: t.set_column(8, "rich", [["yes"] * len(t)]),
        lambda t: t.select(["age", "pay"]),
        lambda t: t.select(["region", "phone", "rich"]),
        lambda t: t.set_column(0, "age", [np.resize([0.0, -0.0, 1e299, -1e299], len(t))]),
        lambda t: t.set_column(2, "region", [[f"{len(t)} {i}" for i in range(len(t))]]),
    ],
)
def test_odd_tables_give_numbers_or_reasons(
    tmp_path: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    parts = [change(population(n, seed)) for seed, n in enumerate((150, 90, 60))]
    measurements, _ = measure(ATTACKS, compare(tmp_path, schema_of(parts[0]), *parts))
    for one in measurements:
        assert (one.value is None) == (one.not_applicable is not None)
        if one.value is not None:
            assert one.interval[0] <= one.value <= one.interval[1]


def test_rounds_share_the_people(tmp_path: Path) -> None:
    data = attacked(tmp_path, honest, 200)
    first, second = rounds(data, 60, 40, "test")
    assert [len(first.members), len(first.others), len(first.known)] == [30, 20, 50]
    assert not set(first.members.identities) & set(second.members.identities)
    assert set(first.others.identities) <= set(second.known.identities)
    assert not set(first.others.identities) & set(first.known.identities)


def test_an_advantage_and_its_interval() -> None:
    # Successes 3 of 4 and 1 of 4; with one of each added 4 of 6 and 2 of 6, variances 4 / 15.
    value, (low, high) = advantage(np.array([1.0, 1, 1, 0]), np.array([1.0, 0, 0, 0]))
    assert value == 0.5
    half = 1.959964 * np.sqrt(2 * (4 / 15) / 6)
    assert (low, high) == (pytest.approx(0.5 - half), 1)
    assert half > 0.5


def test_a_paired_advantage_and_its_interval() -> None:
    # Differences 1, 0, 0 and -1, 1 added: mean 0.2, squares 0.64 + 0.04 + 0.04 + 1.44 + 0.64.
    value, (low, _) = paired_advantage(np.array([1.0, 0, 1]), np.array([0.0, 0, 1]))
    assert value == pytest.approx(1 / 3)
    assert low == pytest.approx(1 / 3 - 1.959964 * np.sqrt(2.8 / 4 / 5))


def test_the_interval_of_members_found_knows_of_its_threshold() -> None:
    rng = np.random.default_rng(0)
    few, many = (
        Scores(rng.normal(1, 1, 5000), rng.normal(size=n)).found_interval() for n in (500, 50_000)
    )
    truth = 0.0924  # of two normal distributions 1 apart: 1 - Phi(2.3263 - 1)
    assert few[0] < truth < few[1]
    assert many[0] < truth < many[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 2
