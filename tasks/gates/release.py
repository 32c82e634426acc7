"""The release gate's table of metrics, and its thresholds one by one."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tasks.gates.expectations import number
from tasks.gates.run import Check
from tasks.metrics import Result, unproved
from tasks.params import Threshold

TABLE = "metrics"


def metrics_frame(results: Sequence[Result]) -> pd.DataFrame:
    """One row a metric: name, value, reference, goal, and the bounds that its threshold gives.

    A bound that is not set is missing.
    """
    rows = [
        (r.measurement.name, r.measurement.value, r.measurement.reference, r.measurement.goal)
        + (r.bounds if r.measurement.value is not None else (None, None))
        for r in results
    ]
    frame = pd.DataFrame(rows, columns=["name", "value", "reference", "goal", "lower", "upper"])
    numbers = ["value", "reference", "lower", "upper"]
    return frame.astype(dict.fromkeys(numbers, "float64") | {"name": "str", "goal": "str"})


def check_thresholds(
    results: Sequence[Result], thresholds: Mapping[str, Threshold | None]
) -> list[Check]:
    """Each threshold against its metric; what was demanded of a metric without a value fails.

    Nor does a family of metrics pass of which nothing decisive was judged: a release has proved its
    fidelity, utility, diversity and privacy, not those of them that somebody chose, and the
    distance to the closest record alone proves nothing (Yao et al. 2025, arXiv:2505.01524).

    Args:
        results: of all measurements.
        thresholds: of params.yaml, for names that no measurement has.
    """
    known = sorted(r.measurement.name for r in results)
    checks = [_check(r) for r in results if r.passed is not None]
    for name, threshold in thresholds.items():
        if name not in known and threshold is not None:
            observed = f"there is no such metric; measured were: {', '.join(known) or 'none'}"
            checks.append(_refused(name, _stated(threshold), observed))
    for family in unproved(results):
        names = [
            r.measurement.name
            for r in results
            if r.measurement.family == family
            and r.measurement.value is not None
            and r.measurement.decisive
        ]
        observed = f"none; to choose from: {', '.join(names) or 'no metric that applies'}"
        checks.append(_refused(family, f"a threshold for a metric of {family}", observed))
    return checks


def _check(result: Result) -> Check:
    measurement, threshold = result.measurement, result.threshold
    if threshold is None:
        raise ValueError(f"{measurement.name} has no threshold to check")
    if measurement.value is None:
        reason = measurement.not_applicable or "no reason given"
        observed = f"it does not apply ({reason}); take the threshold out of params.yaml"
        return _refused(measurement.name, _stated(threshold), observed)
    observed = number(measurement.value)
    if result.is_relative and measurement.reference is None:
        observed += ", but it has no reference of real data to compare with"
        return _refused(measurement.name, _stated(threshold), observed)
    if measurement.reference is not None:
        observed += f" (real holdout: {number(measurement.reference)})"
    description = _in_bounds(*result.bounds)
    if result.is_relative:
        description += f" ({_stated(threshold)}, and what chance explains)"
    return Check(
        type="threshold",
        target=measurement.name,
        description=description,
        passed=bool(result.passed),
        observed=observed,
    )


def _refused(target: str, description: str, observed: str) -> Check:
    return Check(
        type="threshold", target=target, description=description, passed=False, observed=observed
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
