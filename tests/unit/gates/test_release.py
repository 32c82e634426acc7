"""Thresholds against metrics, worked out by hand."""

import pytest

from tasks.gates.release import check_thresholds, metrics_frame
from tasks.metrics import Measurement
from tasks.params import Threshold


def metric(value: float | None, reference: float | None = None, **more) -> Measurement:
    given = {
        "name": "m",
        "label": "M",
        "family": "fidelity",
        "goal": "lower",
        "value": value,
        "reference": reference,
        "explanation": "e",
        "source": "s",
    }
    return Measurement(**(given | more))


def judged(measurement: Measurement, **bounds: float) -> tuple[bool, str, str]:
    check, *_ = check_thresholds([measurement], {"m": Threshold(**bounds)})
    return check.passed, check.description, check.observed


@pytest.mark.parametrize(
    ("measurement", "bounds", "expected"),
    [
        (metric(3.0), {"at_most": 3.0}, (True, "at most 3", "3")),
        (metric(3.1), {"at_most": 3.0}, (False, "at most 3", "3.1")),
        (metric(0.4, 0.5), {"at_least": 0.5}, (False, "at least 0.5", "0.4 (real holdout: 0.5)")),
        (
            metric(3.5, 2.0),
            {"at_most_reference_plus": 1.0},
            (False, "at most 3 (at most the real holdout's plus 1)", "3.5 (real holdout: 2)"),
        ),
        (
            metric(0.9, 0.95),
            {"at_least_reference_minus": 0.1, "at_least": 0.8},
            (
                True,
                "at least 0.85 (at least 0.8 and at least the real holdout's minus 0.1)",
                "0.9 (real holdout: 0.95)",
            ),
        ),
        (
            metric(1.0),
            {"at_most_reference_plus": 1.0},
            (
                False,
                "at most the real holdout's plus 1",
                "1, but it has no reference of real data to compare with",
            ),
        ),
        (
            metric(None, not_applicable="there is no target"),
            {"at_most": 1.0},
            (
                False,
                "at most 1",
                "it does not apply (there is no target); take the threshold out of params.yaml",
            ),
        ),
        (
            metric(1.0, name="other"),
            {"at_most": 1.0},
            (False, "at most 1", "there is no such metric; measured were: other"),
        ),
    ],
)
def test_thresholds(measurement, bounds, expected):
    assert judged(measurement, **bounds) == expected


def families(thresholds: dict[str, Threshold], *left_out: str, **changed) -> list[str]:
    """The families refused where all four were measured, but for those that are left out."""
    given = {
        "m": metric(1.0),
        "utility": metric(0.9, name="utility", family="utility"),
        "coverage": metric(0.9, name="coverage", family="diversity"),
        "dcr_share": metric(0.5, name="dcr_share", family="privacy"),
    } | changed
    kept = [m for name, m in given.items() if name not in left_out]
    return [check.target for check in check_thresholds(kept, thresholds) if not check.passed]


def test_every_family_needs_a_threshold_that_was_measured():
    any_value = Threshold(at_most=2.0)
    every = dict.fromkeys(["m", "utility", "coverage", "dcr_share"], any_value)
    assert families(every) == []
    assert families({"m": any_value}) == ["utility", "diversity", "privacy"]
    without = {name: t for name, t in every.items() if name != "dcr_share"}
    assert families(without, "dcr_share") == ["privacy"]


def test_utility_may_not_apply_but_must_have_been_asked_for():
    every = dict.fromkeys(["m", "coverage", "dcr_share"], Threshold(at_most=2.0))
    none = metric(None, name="utility", family="utility", not_applicable="there is no target")
    assert families(every, utility=none) == []
    assert families(every, "utility") == ["utility"]


def test_the_table_of_metrics_has_the_bounds_of_the_thresholds():
    measurements = [metric(1.0, 2.0), metric(None, name="n", goal="higher")]
    frame = metrics_frame(measurements, {"m": Threshold(at_most_reference_plus=0.5)})
    assert list(frame.columns) == ["name", "value", "reference", "goal", "lower", "upper"]
    assert frame["upper"].tolist()[0] == 2.5
    assert frame["lower"].isna().all()
    assert frame["value"].isna().tolist() == [False, True]
    assert len(metrics_frame([], {})) == 0
