"""Curves: distances, losses, and attacks by the false alarms that they cost."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from tasks.publishing.charts.svg import line, n, percent, svg, text
from tasks.publishing.wording import number

_LOWEST_RATE = 1e-5


def cumulated(
    histograms: Mapping[str, Sequence[float]], edges: Sequence[float], title: str
) -> Markup:
    """Shares of the rows up to a distance.

    Args:
        histograms: counts by the class of their line.
        edges: of all the histograms.
        title: what a screen reader says.
    """
    lines = {}
    for kind, counts in histograms.items():
        total = sum(counts) or 1.0
        upper = zip(edges[1:], (c / total for c in itertools.accumulate(counts)), strict=True)
        lines[kind] = [(edges[0], 0.0), *upper]
    return _lines(lines, (0.0, 1.0), lambda share: f"{share:.0%}", title)


def progress(losses: Mapping[str, Sequence[tuple[float, float]]], title: str) -> Markup:
    """Losses by epoch; the line's class is the key."""
    values = [loss for points in losses.values() for _, loss in points]
    return _lines(losses, (min(values), max(values)), number, title)


def roc(curves: Sequence[tuple[Sequence[float], Sequence[float]]], title: str) -> Markup:
    """Members found by the share of false alarms, both axes logarithmic, beside mere guessing.

    Args:
        curves: false and true positive rates of each attack; the i-th has the class `attack-i`.
        title: what a screen reader says.

    Source:
        N. Carlini et al., "Membership Inference Attacks From First Principles", arXiv:2112.03570,
        section III: what matters is how many are found at few false alarms, which a linear axis
        hides.
    """
    size, left, top = 380, 56, 8
    positive = [rate for fpr, _ in curves for rate in fpr if rate > 0]
    low = max(min(positive, default=0.01), _LOWEST_RATE)
    decades = max(1, math.ceil(-math.log10(low) - 1e-9))

    def place(rate: float) -> float:
        """0 at the lowest decade, 1 at all rows."""
        return max(0.0, 1 + math.log10(max(rate, 1e-12)) / decades)

    def x(rate: float) -> float:
        return left + (size - left) * place(rate)

    def y(rate: float) -> float:
        return top + (size - left) * (1 - place(rate))

    bottom = y(0)
    parts = []
    for decade in range(decades + 1):
        rate = 10.0**-decade
        parts.append(line("grid", left, y(rate), size, y(rate)))
        parts.append(line("grid", x(rate), top, x(rate), bottom))
        parts.append(text("tick", left - 6, y(rate) + 4, percent(rate), "end"))
        anchor = "end" if decade == 0 else "middle"
        parts.append(text("tick", x(rate), bottom + 16, percent(rate), anchor))
    parts.append(line("guessing", left, bottom, size, top))
    for i, (fpr, tpr) in enumerate(curves):
        points = "L".join(f"{n(x(a))} {n(y(b))}" for a, b in zip(fpr, tpr, strict=True) if a >= low)
        if points:
            parts.append(f'<path class="attack-{i % 4}" d="M{points}"/>')
    parts.append(text("tick", (left + size) / 2, bottom + 33, "others taken for members", "middle"))
    parts.append(
        f'<g transform="rotate(-90 10 {n((top + bottom) / 2)})">'
        f"{text('tick', 10, (top + bottom) / 2, 'members found', 'middle')}</g>"
    )
    return svg(parts, size, bottom + 38, title)


def _lines(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    y_range: tuple[float, float],
    shown: Callable[[float], str],
    title: str,
) -> Markup:
    width, height, left, top = 420, 180, 44, 8
    xs = [x for points in lines.values() for x, _ in points]
    (low, high), (first, last) = y_range, (min(xs), max(xs))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (width - left) * (x - first) / ((last - first) or 1.0),
            top + (height - top) * (high - y) / ((high - low) or 1.0),
        )

    parts = []
    for tick in (low, (low + high) / 2, high):
        _, y = place(first, tick)
        parts.append(line("grid", left, y, width, y))
        parts.append(text("tick", left - 6, y + 4, shown(tick), "end"))
    for kind, curve in lines.items():
        points = (place(x, y) for x, y in curve)
        path = "L".join(f"{n(x)} {n(y)}" for x, y in points)
        parts.append(f'<path class="{kind}" d="M{path}"/>')
    for tick, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        parts.append(text("tick", place(tick, low)[0], height + 16, number(tick), anchor))
    return svg(parts, width, height + 22, title)
