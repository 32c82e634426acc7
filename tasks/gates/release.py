"""The release gate's table of metrics, and its thresholds one by one."""

from collections.abc import Mapping, Sequence
from typing import get_args

import pandas as pd

from tasks.gates.expectations import number
from tasks.gates.run import Check
from tasks.metrics import Family, Measurement
from tasks.params import Threshold

TABLE = "metrics"


def metrics_frame(
    measurements: Sequence[Measurement], thresholds: Mapping[str, Threshold]
) -> pd.DataFrame:
    """One row a metric: name, value, reference, goal, and the bounds that its threshold gives.

    A bound that is not set is missing.
    """
    rows = []
    for m in measurements:
        threshold = thresholds.get(m.name)
        lower, upper = threshold.bounds(m.reference) if threshold else (None, None)
        rows.append((m.name, m.value, m.reference, m.goal, lower, upper))
    frame = pd.DataFrame(rows, columns=["name", "value", "reference", "goal", "lower", "upper"])
    numbers = ["value", "reference", "lower", "upper"]
    return frame.astype(dict.fromkeys(numbers, "float64") | {"name": "str", "goal": "str"})


def check_thresholds(
    measurements: Sequence[Measurement], thresholds: Mapping[str, Threshold]
) -> list[Check]:
    """Each threshold against its metric; a metric without a value does not pass.

    Nor does a family of metrics without a threshold pass: a release has proved its fidelity,
    utility, diversity and privacy, not those of them that somebody chose. Utility alone may be
    left out, where it was asked for and does not apply.
    """
    by_name = {m.name: m for m in measurements}
    checks = [
        _check(name, threshold, by_name.get(name), sorted(by_name))
        for name, threshold in thresholds.items()
    ]
    return checks + [
        Check(
            type="threshold",
            target=family,
            description=f"a threshold for a metric of {family}",
            passed=False,
            observed=f"none in params.yaml; measured were: {', '.join(names) or 'none'}",
        )
        for family in get_args(Family)
        if thresholds.keys().isdisjoint(
            names := [m.name for m in measurements if m.family == family and m.value is not None]
        )
        and not (
            family == "utility" and not names and any(m.family == family for m in measurements)
        )
    ]


def _check(
    name: str, threshold: Threshold, measurement: Measurement | None, known: Sequence[str]
) -> Check:
    description, passed = _stated(threshold), False
    if measurement is None:
        observed = f"there is no such metric; measured were: {', '.join(known) or 'none'}"
    elif measurement.value is None:
        reason = measurement.not_applicable or "no reason given"
        observed = f"it does not apply ({reason}); take the threshold out of params.yaml"
    elif measurement.reference is None and _is_relative(threshold):
        observed = (
            f"{number(measurement.value)}, but it has no reference of real data to compare with"
        )
    else:
        lower, upper = threshold.bounds(measurement.reference)
        passed = (lower is None or measurement.value >= lower) and (
            upper is None or measurement.value <= upper
        )
        observed = number(measurement.value)
        if measurement.reference is not None:
            observed += f" (real holdout: {number(measurement.reference)})"
        description = _in_bounds(lower, upper)
        if _is_relative(threshold):
            description += f" ({_stated(threshold)})"
    return Check(
        type="threshold", target=name, description=description, passed=passed, observed=observed
    )


def _is_relative(threshold: Threshold) -> bool:
    return (
        threshold.at_most_reference_plus is not None
        or threshold.at_least_reference_minus is not None
    )


def _stated(threshold: Threshold) -> str:
    """The bounds as params.yaml states them."""
    words = {
        "at_most": "at most {}",
        "at_least": "at least {}",
        "at_most_reference_plus": "at most the real holdout's plus {}",
        "at_least_reference_minus": "at least the real holdout's minus {}",
    }
    bounds = threshold.model_dump(exclude_none=True)
    return " and ".join(words[key].format(number(value)) for key, value in bounds.items())


def _in_bounds(lower: float | None, upper: float | None) -> str:
    parts = [] if lower is None else [f"at least {number(lower)}"]
    parts += [] if upper is None else [f"at most {number(upper)}"]
    return " and ".join(parts)
