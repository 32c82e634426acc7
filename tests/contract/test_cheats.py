"""The default thresholds: bad generators are refused for the right reason, real rows never.

No dataset names a threshold here. What judges is what the metrics bring along, so these tests hold
for any table that somebody hands to `proofmint evaluate`.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.evaluation.base import measure, metrics_of
from tasks.metrics import Result, judged, unproved
from tasks.schema import DatasetSchema
from tests import cheats
from tests.cheats import Cheat
from tests.comparisons import breast_cancer, compare, schema_of, shared_table

Parts = tuple[DatasetSchema, pa.Table, pa.Table, pa.Table]
"""A schema, rows that the generator saw, a holdout, and more rows that it did not see."""

COPIES = {"exact_copies", "near_copies", "noisy_copies", "copied_rows"}
LEAKS = {"copied_rows", "membership_tpr"}
DEPENDENCE = {"trend_error_real_bins", "three_way_error", "c2st_auc", "coverage"}
VARIETY = {"coverage", "duplicates", "rare_groups"}
GROUPS = {"rare_groups", "category_coverage"}

CHEATS: dict[str, tuple[Cheat, set[str]]] = {
    "copies": (cheats.copies, {"exact_copies", "copied_rows"}),
    "copies with 1 % noise": (cheats.copies_with_noise(0.01), COPIES),
    "copies with 5 % jitter": (cheats.copies_with_noise(0.05), COPIES),
    "leaks 2 %": (cheats.leaks(0.02, noise=0), LEAKS),
    "leaks 2 % with noise": (cheats.leaks(0.02, noise=0.01), LEAKS),
    "shuffles columns": (cheats.shuffles_columns, DEPENDENCE),
    "collapses": (cheats.collapses(20), VARIETY),
}
"""Each with the metrics of which one at least must be the reason."""

RARE_GROUPS = {"people": ("region", "isles"), "adult": ("race", "Black")}

ONE_COLUMN = (
    ("people", "rich"),
    ("people", "pay"),
    ("breast_cancer", "diagnosis"),
    ("breast_cancer", "worst_area"),
    ("adult", "income"),
    ("adult", "education"),
    ("magic", "class"),
    ("magic", "Length"),
)
"""Columns that much depends on: the target, and another."""

COPYING = ("copies", "leaks 2 %")
"""Their rows are real, so that nothing but privacy may refuse them."""


def _people(n_rows: int, seed: int) -> Parts:
    rows = cheats.people(4 * n_rows, np.random.default_rng(seed))
    schema = schema_of(rows, target="rich")
    half = max(n_rows // 2, 30)
    return schema, rows.slice(0, n_rows), rows.slice(n_rows, half), rows.slice(2 * n_rows)


def _breast_cancer(n_rows: int, seed: int) -> Parts:
    schema, *parts = breast_cancer()
    return _cut(schema, pa.concat_tables(parts), n_rows, seed)


def _shared(name: str, n_rows: int, seed: int) -> Parts:
    schema, *parts = shared_table(name)
    return _cut(schema, pa.concat_tables(parts), n_rows, seed)


def _cut(schema: DatasetSchema, rows: pa.Table, n_rows: int, seed: int) -> Parts:
    rows = rows.take(pa.array(np.random.default_rng(seed).permutation(len(rows))))
    n_held = len(rows) - 2 * n_rows
    return schema, rows.slice(0, n_rows), rows.slice(2 * n_rows, n_held), rows.slice(n_rows, n_rows)


@cache
def _parts(name: str) -> Parts:
    makers: dict[str, Callable[[], Parts]] = {
        "people": lambda: _people(4_000, seed=1),
        "breast_cancer": lambda: _breast_cancer(199, seed=1),
        "adult": lambda: _shared("adult", 3_000, seed=1),
        "magic": lambda: _shared("magic", 2_400, seed=1),
    }
    return makers[name]()


def _without_target(schema: DatasetSchema) -> DatasetSchema:
    return schema.model_copy(update={"target": None})


def _judged(
    root: Path, schema: DatasetSchema, seen: pa.Table, holdout: pa.Table, synthetic: pa.Table
) -> tuple[Result, ...]:
    """The metrics that decide, and what they decide."""
    deciding = [m for m in metrics_of("tabular").values() if m.threshold]
    data = compare(root, schema, seen, holdout, synthetic)
    return judged(measure(deciding, data)[0], {})


def _refused(results: tuple[Result, ...]) -> dict[str, str]:
    """The metrics that refuse, each with its family and the numbers."""
    return {
        r.measurement.name: f"{r.measurement.family}: {r.measurement.value}, allowed {r.bounds}"
        for r in results
        if r.passed is False
    }


@pytest.mark.parametrize("data", ["people", "breast_cancer", "adult", "magic"])
@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_refused_for_the_right_reason(name: str, data: str, tmp_path: Path) -> None:
    cheat, right = CHEATS[name]
    schema, seen, holdout, unseen = _parts(data)
    # Nobody has to name a target for a cheat to be found.
    schema = _without_target(schema)
    rows = cheat(seen, unseen, np.random.default_rng(0))
    if data == "breast_cancer" and name.startswith("leaks"):
        pytest.skip("2 % of so few rows are four: too few to tell from chance")
    refused = _refused(_judged(tmp_path, schema, seen, holdout, rows))
    assert right & refused.keys(), refused
    if name in COPYING:
        assert {told.split(":")[0] for told in refused.values()} == {"privacy"}, refused


@pytest.mark.parametrize("data", RARE_GROUPS)
def test_a_generator_that_drops_a_rare_group_is_refused(data: str, tmp_path: Path) -> None:
    schema, seen, holdout, unseen = _parts(data)
    rows = cheats.drops(*RARE_GROUPS[data])(seen, unseen, np.random.default_rng(0))
    refused = _refused(_judged(tmp_path, schema, seen, holdout, rows))
    assert GROUPS & refused.keys(), refused


@pytest.mark.parametrize(("data", "column"), ONE_COLUMN)
def test_one_column_that_was_cut_loose_is_refused(data: str, column: str, tmp_path: Path) -> None:
    schema, seen, holdout, unseen = _parts(data)
    rows = cheats.shuffles(column)(seen, unseen, np.random.default_rng(0))
    refused = _refused(_judged(tmp_path, _without_target(schema), seen, holdout, rows))
    assert "worst_trend_error" in refused, refused


@pytest.mark.parametrize(
    ("n_rows", "seed"), [*((60, s) for s in range(6)), *((400, s) for s in range(3)), (4_000, 0)]
)
def test_fresh_real_rows_pass_every_default(n_rows: int, seed: int, tmp_path: Path) -> None:
    schema, seen, holdout, unseen = _people(n_rows, seed)
    results = _judged(tmp_path, schema, seen, holdout, unseen.slice(0, n_rows))
    assert _refused(results) == {}
    assert unproved(results) == []


@pytest.mark.parametrize("data", ["breast_cancer", "adult", "magic"])
def test_fresh_real_rows_of_real_tables_pass(data: str, tmp_path: Path) -> None:
    schema, seen, holdout, unseen = _parts(data)
    results = _judged(tmp_path, schema, seen, holdout, unseen.slice(0, len(seen)))
    assert _refused(results) == {}
    assert unproved(results) == []
