"""Thresholds against metrics, worked out by hand."""

import pytest

from tasks.gates.release import check_thresholds, metrics_frame
from tasks.gates.run import Check
from tasks.metrics import Measurement, judged
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


def check(measurements: list[Measurement], thresholds: dict[str, Threshold | None]) -> list[Check]:
    return check_thresholds(judged(measurements, thresholds), thresholds)


def judged_alone(measurement: Measurement, **bounds: float) -> tuple[bool, str, str]:
    check_of_m, *_ = check([measurement], {"m": Threshold(**bounds)})
    return check_of_m.passed, check_of_m.description, check_of_m.observed


@pytest.mark.parametrize(
    ("measurement", "bounds", "expected"),
    [
        (metric(3.0), {"at_most": 3.0}, (True, "at most 3", "3")),
        (metric(3.1), {"at_most": 3.0}, (False, "at most 3", "3.1")),
        (metric(0.4, 0.5), {"at_least": 0.5}, (False, "at least 0.5", "0.4 (real holdout: 0.5)")),
        (
            metric(3.5, 2.0),
            {"at_most_reference_plus": 1.0},
            (
                False,
                "at most 3 (at most the real holdout's plus 1, and what chance explains)",
                "3.5 (real holdout: 2)",
            ),
        ),
        (
            metric(0.9, 0.95),
            {"at_least_reference_minus": 0.1, "at_least": 0.8},
            (
                True,
                (
                    "at least 0.85 (at least 0.8 and at least the real holdout's minus 0.1,"
                    " and what chance explains)"
                ),
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
    assert judged_alone(measurement, **bounds) == expected


def families(thresholds: dict[str, Threshold], *left_out: str, **changed) -> list[str]:
    """The families refused where all four were measured, but for those that are left out."""
    given = {
        "m": metric(1.0),
        "utility": metric(0.9, name="utility", family="utility"),
        "coverage": metric(0.9, name="coverage", family="diversity"),
        "dcr_share": metric(0.5, name="dcr_share", family="privacy"),
    } | changed
    kept = [m for name, m in given.items() if name not in left_out]
    return [one.target for one in check(kept, thresholds) if not one.passed]


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
    frame = metrics_frame(judged(measurements, {"m": Threshold(at_most_reference_plus=0.5)}))
    assert list(frame.columns) == ["name", "value", "reference", "goal", "lower", "upper"]
    assert frame["upper"].tolist()[0] == 2.5
    assert frame["lower"].isna().all()
    assert frame["value"].isna().tolist() == [False, True]
    assert len(metrics_frame([])) == 0


def test_a_metrics_own_threshold_judges_where_params_say_nothing():
    own = Threshold(at_most=1.0)
    assert check([metric(2.0, threshold=own)], {})[0].passed is False
    assert check([metric(2.0, threshold=own)], {"m": Threshold(at_most=3.0)})[0].passed is True
    of_m = [c for c in check([metric(2.0, threshold=own)], {"m": None}) if c.target == "m"]
    assert of_m == []
    absent = metric(None, not_applicable="no columns", threshold=own)
    assert [c.target for c in check([absent], {})] == [
        "fidelity",
        "utility",
        "diversity",
        "privacy",
    ]


def test_distance_to_the_closest_record_alone_proves_no_privacy():
    alone = metric(0.5, name="dcr_share", family="privacy", decisive=False)
    thresholds = {
        name: Threshold(at_most=2.0) for name in ("m", "utility", "coverage", "dcr_share")
    }
    assert families(thresholds, dcr_share=alone) == ["privacy"]


@pytest.mark.parametrize(
    ("value", "passed"),
    # Half-widths that face each other: 3 under the value, 4 over the reference; chance: 5.
    [(15.9, True), (16.1, False)],
)
def test_a_relative_bound_allows_for_what_chance_explains(value, passed):
    measured = metric(value, 10.0, interval=(value - 3, value + 1), reference_interval=(9.0, 14.0))
    assert check([measured], {"m": Threshold(at_most_reference_plus=1.0)})[0].passed is passed
    assert check([measured], {"m": Threshold(at_most=15.0)})[0].passed is False


def test_luck_of_the_reference_makes_no_bound_tighter():
    lucky = metric(0.05, -0.2, chance=0.0)
    assert check([lucky], {"m": Threshold(at_most_reference_plus=0.1)})[0].passed is True
    assert check([lucky], {"m": Threshold(at_most_reference_plus=0.01)})[0].passed is False
    unlucky = metric(0.35, 0.3, chance=0.0)
    assert check([unlucky], {"m": Threshold(at_most_reference_plus=0.1)})[0].passed is True
