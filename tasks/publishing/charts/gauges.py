"""A metric on a line: what is required, what real data reaches, where this data stands."""

from collections.abc import Sequence

from markupsafe import Markup

from tasks.metrics import Result
from tasks.publishing.charts.svg import line, n, rect, svg, text
from tasks.publishing.wording import number

_AIR = 6


def gauge(result: Result, *, small: bool = False) -> Markup:
    """Value above, reference below, each with its interval, over the range that passes.

    Args:
        result: what is shown; it has a value.
        small: for a table: narrower, without the numbers at the ends.
    """
    m, (lowest, highest) = result.measurement, result.bounds
    marks = [m.value, m.reference, lowest, highest, *(m.interval or ())]
    marks += m.reference_interval or ()
    low, high = _range([v for v in marks if v is not None], m.goal)
    width, top, bottom = (170, 7, 18) if small else (300, 10, 24)

    def x(value: float) -> float:
        return _AIR + (width - 2 * _AIR) * (value - low) / (high - low)

    parts = [rect("track", _AIR, top - 5, width - 2 * _AIR, bottom - top + 10)]
    if lowest is not None or highest is not None:
        left = x(low if lowest is None else lowest)
        right = x(high if highest is None else highest)
        parts.append(rect("allowed", left, top - 5, right - left, bottom - top + 10))
        parts += [
            line("bound", x(bound), top - 5, x(bound), bottom + 5)
            for bound in (lowest, highest)
            if bound is not None
        ]
    if m.reference is not None:
        if m.reference_interval:
            ends = [x(end) for end in m.reference_interval]
            parts.append(line("reference-interval", ends[0], bottom, ends[1], bottom))
        parts.append(line("reference", x(m.reference), bottom - 5, x(m.reference), bottom + 5))
    if m.interval:
        parts.append(line("interval", x(m.interval[0]), top, x(m.interval[1]), top))
    if m.value is not None:
        kind = "value-bad" if result.passed is False else "value"
        parts.append(
            f'<circle class="{kind}" cx="{n(x(m.value))}" cy="{top}" r="{4 if small else 5.5}"/>'
        )
    if not small:
        parts += [
            text("tick", _AIR, bottom + 20, number(low), "start"),
            text("tick", width - _AIR, bottom + 20, number(high), "end"),
        ]
    summary = f"{m.label}: {number(m.value)}, real data {number(m.reference)}"
    return svg(parts, width, bottom + (5 if small else 24), summary)


def _range(values: Sequence[float], goal: str) -> tuple[float, float]:
    """Ends of an axis that holds all values with some air and starts at zero where that is near."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    air = 0.35 * (high - low) or abs(high) or 1.0
    natural = next((top for top in (1.0, 100.0) if high <= top), high + air)
    if goal == "higher":
        return max(low - air, 0.0) if low >= 0 else low - air, min(high + air, natural)
    return (0.0 if 0 <= low < 4 * air else low - air), high + air
