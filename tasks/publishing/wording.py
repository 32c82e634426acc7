"""Numbers and thresholds as people read them, the same in the card and in the report."""

from tasks.publishing.evidence import Result


def number(value: float | None) -> str:
    """Three significant digits, without powers of ten where they can be avoided; – for nothing."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"


def bounds_in_words(result: Result) -> str:
    """What was asked of a metric: '≤ 10', '≥ 0.85 (reference − 0.05)'; empty if nothing was."""
    threshold = result.threshold
    if threshold is None:
        return ""
    lowest, highest = result.bounds
    parts = []
    for bound, sign, absolute, offset, operator in (
        (lowest, "≥", threshold.at_least, threshold.at_least_reference_minus, "−"),
        (highest, "≤", threshold.at_most, threshold.at_most_reference_plus, "+"),
    ):
        if bound is None:
            continue
        relative = offset is not None and bound != absolute
        note = f" (reference {operator} {number(offset)})" if relative else ""
        parts.append(f"{sign} {number(bound)}{note}")
    return " and ".join(parts)
