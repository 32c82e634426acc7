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


def test_a_family_that_nobody_judges_is_refused():
    measurements = [
        metric(1.0),
        metric(0.5, name="dcr_share", family="privacy"),
        metric(0.0, name="exact_copies", family="privacy"),
        metric(None, name="utility", family="utility", not_applicable="there is no target"),
    ]
    (fidelity, privacy) = check_thresholds(measurements, {"m": Threshold(at_most=2.0)})
    assert fidelity.passed
    assert (privacy.passed, privacy.target) == (False, "privacy")
    assert privacy.description == "a threshold for one of: dcr_share, exact_copies"
    one = {"m": Threshold(at_most=2.0), "dcr_share": Threshold(at_most=0.6)}
    assert all(check.passed for check in check_thresholds(measurements, one))


def test_the_table_of_metrics_has_the_bounds_of_the_thresholds():
    measurements = [metric(1.0, 2.0), metric(None, name="n", goal="higher")]
    frame = metrics_frame(measurements, {"m": Threshold(at_most_reference_plus=0.5)})
    assert list(frame.columns) == ["name", "value", "reference", "goal", "lower", "upper"]
    assert frame["upper"].tolist()[0] == 2.5
    assert frame["lower"].isna().all()
    assert frame["value"].isna().tolist() == [False, True]
    assert len(metrics_frame([], {})) == 0
