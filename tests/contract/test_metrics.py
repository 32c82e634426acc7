"""Every metric: complete record, same numbers every time, tells cheats from real rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import measure, metrics_of
from tasks.metrics import Measurement
from tasks.schema import DatasetSchema
from tests.comparisons import Split, breast_cancer, compare, digits, mnist, shared_table
from tests.fakes import copier, shuffler

DATASETS: dict[str, Callable[[], Split]] = {
    "breast_cancer": breast_cancer,
    "digits": digits,
    "adult": lambda: shared_table("adult"),
    "magic": lambda: shared_table("magic"),
    "mnist": mnist,
}

NEED_MORE = {
    "autocorrelation_error",
    "calendar_error",
    "group_rate_error",
    "identifiers_reused",
    "key_duplicates",
    "membership_tpr",
    "missing_error",
    "missing_pattern_error",
    "opportunity_gap",
    "orphan_rows",
    "parity_error",
    "rare_groups",
    "rows_per_key_error",
    "time_gap_error",
    "time_resolution_error",
}
"""Metrics of what not all of these datasets have: dates, keys, missing values, groups, many rows."""

ALL = sorted({*metrics_of("tabular"), *metrics_of("image"), *metrics_of("text")})


@dataclass(frozen=True)
class Verdicts:
    """All metrics of a dataset, for rows that are real and unseen, copied, or shuffled."""

    fresh: dict[str, Measurement]
    copied: dict[str, Measurement]
    shuffled: dict[str, Measurement]


@pytest.fixture(scope="module", params=DATASETS)
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    schema, train, holdout = DATASETS[request.param]()
    rng = np.random.default_rng(1)
    order = rng.permutation(len(train))
    half = len(train) // 2
    seen, unseen = train.take(pa.array(order[:half])), train.take(pa.array(order[half:]))
    synthetic = {
        "fresh": unseen,
        "copied": copier(seen, half, rng),
        "shuffled": shuffler(seen, half, rng),
    }
    return Verdicts(
        **{
            name: measured(tmp_path_factory.mktemp(name), schema, seen, holdout, rows)
            for name, rows in synthetic.items()
        }
    )


def measured(
    root: Path, schema: DatasetSchema, train: pa.Table, holdout: pa.Table, synthetic: pa.Table
) -> dict[str, Measurement]:
    data = compare(root, schema, train, holdout, synthetic)
    found, _ = measure(metrics_of(schema.kind).values(), data)
    return {measurement.name: measurement for measurement in found}


def test_every_value_is_finite_and_has_a_reference(verdicts: Verdicts) -> None:
    for found in (verdicts.fresh, verdicts.copied, verdicts.shuffled):
        for m in found.values():
            if m.name in NEED_MORE and m.not_applicable:
                continue
            assert m.not_applicable is None
            assert math.isfinite(value(m))
            assert math.isfinite(reference(m))
            if m.interval:
                assert m.interval[0] <= value(m) <= m.interval[1]


def test_unseen_real_rows_score_like_the_holdout(verdicts: Verdicts) -> None:
    for name, tolerance in (
        ("c2st_auc", 0.1),
        ("utility", 0.05),
        ("coverage", 0.06),
        ("dcr_share", 0.15),
        ("exact_copies", 0.02),
        ("near_copies", 0.1),
        ("noisy_copies", 0.02),
        ("copied_rows", 0.0),
        ("nndr", 0.1),
        ("duplicates", 0.02),
        ("density", 0.15),
        ("alpha_precision", 0.06),
        ("beta_recall", 0.12),
        ("cluster_coverage", 0.3),
    ):
        m = verdicts.fresh[name]
        assert value(m) == pytest.approx(reference(m), abs=tolerance), name


def test_a_copier_is_told_by_its_copies(verdicts: Verdicts) -> None:
    for name in ("exact_copies", "near_copies"):
        assert value(verdicts.copied[name]) == 1.0, name
        assert reference(verdicts.copied[name]) < 0.1, name
    assert value(verdicts.copied["dcr_share"]) > reference(verdicts.copied["dcr_share"]) + 0.1
    assert value(verdicts.copied["copied_rows"]) > 0.9
    assert value(verdicts.copied["nndr"]) < 0.1
    assert value(verdicts.copied["duplicates"]) > 0.3
    assert value(verdicts.copied["c2st_auc"]) < 0.45


def test_a_shuffler_is_told_by_what_columns_do_together(verdicts: Verdicts) -> None:
    shuffled = verdicts.shuffled
    assert value(shuffled["utility"]) < reference(shuffled["utility"]) - 0.3
    if "shape_error" not in shuffled:
        return
    assert value(shuffled["shape_error"]) < reference(shuffled["shape_error"]) + 3
    assert value(shuffled["c2st_auc"]) > 0.9
    assert value(shuffled["coverage"]) < reference(shuffled["coverage"]) - 0.3
    # Not `trend_error`: on so few rows one extreme value more or less moves it too much.
    trend = shuffled["trend_error_real_bins"]
    assert value(trend) > 1.5 * reference(trend)


@pytest.mark.parametrize("name", ALL)
def test_the_record_is_complete(name: str) -> None:
    metric = {**metrics_of("tabular"), **metrics_of("image"), **metrics_of("text")}[name]
    assert metric.label
    assert metric.source
    assert metric.explanation.endswith(".")
    assert metric.kinds


def test_measuring_again_in_another_order_gives_the_same(tmp_path: Path) -> None:
    for build in (breast_cancer, digits):
        schema, train, holdout = build()
        train, holdout = train.slice(0, 300), holdout.slice(0, 120)
        rows = shuffler(train, 200, np.random.default_rng(0))
        data = compare(tmp_path / build.__name__, schema, train, holdout, rows)
        metrics = list(metrics_of(schema.kind).values())
        once, plots = measure(metrics, data)
        again, plots_again = measure(reversed(metrics), data)
        assert again[::-1] == once
        assert plots_again == plots


def value(measurement: Measurement) -> float:
    assert measurement.value is not None
    return measurement.value


def reference(measurement: Measurement) -> float:
    assert measurement.reference is not None
    return measurement.reference
