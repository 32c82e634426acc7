"""Numbers and thresholds as people read them, the same in the card and in the report."""

import html
import re

from tasks.metrics import Result

_GUESSING = 0.5
"""Area under the ROC curve of whoever knows nothing."""


def number(value: float | None) -> str:
    """Three significant digits, without powers of ten where they can be avoided; – for nothing."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"


def plain(text: object) -> str:
    """Any text as literal Markdown on one line, whoever wrote it."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(line, quote=False))


def bounds_in_words(result: Result) -> str:
    """What was asked of a metric: '≤ 10', '≥ 0.85 (reference − 0.05)'; empty if nothing was.

    A bound that moves with the reference leaves room for chance, and says so.
    """
    threshold = result.threshold
    if threshold is None:
        return ""
    (lowest, highest), (above, below) = result.bounds, result.noise
    start = "reference" if result.compared_with == result.measurement.reference else "guessing"
    parts = []
    for bound, sign, absolute, offset, operator, chance in (
        (lowest, "≥", threshold.at_least, threshold.at_least_reference_minus, "−", below),
        (highest, "≤", threshold.at_most, threshold.at_most_reference_plus, "+", above),
    ):
        if bound is None:
            continue
        relative = offset is not None and bound != absolute
        room = [number(offset)] if offset else []
        room += [f"{number(chance)} for chance"] if chance else []
        note = f" ({f' {operator} '.join([start, *room])})" if relative else ""
        parts.append(f"{sign} {number(bound)}{note}")
    return " and ".join(parts)


def allowance(result: Result) -> float | None:
    """The share that was used of what is allowed: 0 at the reference, 1 at the bound.

    Null if there is no bound on the side that is worse, or no reference to start from.
    """
    m, (lowest, highest) = result.measurement, result.bounds
    bound = highest if m.goal == "lower" else lowest
    if m.value is None or m.reference is None or bound is None:
        return None
    room = bound - m.reference
    return (m.value - m.reference) / room if room else float(m.value != m.reference)


def remark(result: Result) -> str:
    """What a surprising value means, where its metric would be misread without it; mostly empty."""
    m = result.measurement
    low = m.interval[1] if m.interval else m.value
    if low is None or m.value is None:
        return ""
    if m.name.startswith("c2st") and low < _GUESSING:
        return (
            "Well under 0.5: the classifier is wrong more often than a coin, because rows of both"
            " kinds have near twins of the other kind. Copies of real rows do this; so does a"
            " training sample that is spread more evenly than chance."
        )
    if m.name.startswith("membership") and "AUC" in m.label and low < _GUESSING:
        return "Under 0.5: training rows look less like members than others do; no leak."
    if m.name == "dcr_share" and low < _GUESSING:
        return "Under 0.5: synthetic rows are nearer to rows that the generator never saw; no leak."
    return ""
