"""Which metrics are measured, and how one that does not apply is told."""

from typing import get_args

import numpy as np
import pytest

from tasks.errors import ParamsError
from tasks.evaluation.base import (
    Metric,
    NotApplicable,
    Outcome,
    choose,
    measure,
    metric,
    metrics_of,
)
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Rows
from tasks.metrics import Family, Measurement
from tasks.schema import Column, DatasetSchema, Kind, TableSchema


def declared(function_outcome: Outcome | NotApplicable) -> Metric:
    @metric(
        label="Made up",
        family="fidelity",
        goal="lower",
        kinds=("tabular",),
        explanation="Nothing.",
        source="nobody",
    )
    def made_up(comparison: Comparison) -> Outcome:
        if isinstance(function_outcome, NotApplicable):
            raise function_outcome
        return function_outcome

    return made_up


@pytest.fixture
def nothing() -> Comparison:
    rows = Rows(np.zeros((1, 0)), np.zeros((1, 0), np.int32), np.zeros(1))
    column = Column(name="x", type="double", meaning="numeric")
    table = TableSchema(name="rows", columns=(column,))
    schema = DatasetSchema(kind="tabular", tables=(table,))
    return Comparison("tabular", schema, (), (), (), None, rows, rows, rows, every={})


def test_a_measurement_is_the_record_and_the_outcome(nothing: Comparison) -> None:
    outcome = Outcome(1 / 3, 0.25, (0.1, 0.5), (0.2, 0.3), plots={"topic": [1]})
    found, plots = measure([declared(outcome)], nothing)
    assert found == [
        Measurement(
            name="made_up",
            label="Made up",
            family="fidelity",
            goal="lower",
            value=0.333333,
            reference=0.25,
            interval=(0.1, 0.5),
            reference_interval=(0.2, 0.3),
            explanation="Nothing.",
            source="nobody",
        )
    ]
    assert plots == {"topic": [1]}


def test_not_applicable_has_a_reason_and_no_value(nothing: Comparison) -> None:
    [found], plots = measure([declared(NotApplicable("too few rows"))], nothing)
    assert (found.value, found.reference, found.not_applicable) == (None, None, "too few rows")
    assert plots == {}


def test_a_number_that_is_none_is_a_fault_of_the_metric(nothing: Comparison) -> None:
    with pytest.raises(ArithmeticError, match=r"made_up.*nan"):
        measure([declared(Outcome(float("nan"), 0.0))], nothing)


def test_null_asks_for_all_of_the_families() -> None:
    assert {m.family for m in choose("tabular", None, ["diversity"])} == {"diversity"}
    families = {m.family for m in choose("image", None, ["fidelity", "utility"])}
    assert families == {"fidelity", "utility"}


def test_names_of_other_families_are_left_to_their_stage() -> None:
    names = ["coverage", "dcr_share", "shape_error"]
    assert [m.name for m in choose("tabular", names, ["privacy"])] == ["dcr_share"]
    assert [m.name for m in choose("tabular", names, ["fidelity", "diversity"])] == [
        "shape_error",
        "coverage",
    ]


def test_an_unknown_name_is_refused_with_the_choices() -> None:
    with pytest.raises(ParamsError, match=r"'shape_eror' unknown for kind tabular;.*shape_error"):
        choose("tabular", ["shape_eror"], ["privacy"])
    with pytest.raises(ParamsError, match="'trend_error' unknown for kind image"):
        choose("image", ["trend_error"], ["fidelity"])


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_fidelity_utility_diversity_and_privacy(kind: Kind) -> None:
    assert {m.family for m in choose(kind, None, get_args(Family))} == set(get_args(Family))


def test_a_threshold_does_not_judge_where_a_metric_informs_only() -> None:
    assert metrics_of("tabular")["c2st_auc"].threshold is not None
    assert metrics_of("image")["c2st_auc"].threshold is None


def test_both_kinds_share_the_names_of_what_means_the_same() -> None:
    shared = set(metrics_of("tabular")) & set(metrics_of("image"))
    assert shared >= {"c2st_auc", "coverage", "copied_rows", "exact_copies", "utility"}
    assert not shared & {"shape_error", "frechet_distance", "attribute_inference"}
