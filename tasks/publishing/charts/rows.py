"""Values of several series, one row for each thing they are of."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.publishing.charts.svg import CHARACTER, line, mark, n, percent, rect, short, svg, text
from tasks.publishing.wording import number

_WIDTH = 420
_LONGEST_LABEL = 30


@dataclass(frozen=True)
class Bar:
    """A value with its 95 % interval."""

    kind: str
    value: float
    interval: tuple[float, float] | None = None


def bars(rows: Sequence[tuple[str, Sequence[Bar]]], title: str, *, floor: float = 0.0) -> Markup:
    """Horizontal bars under the label of their row, with intervals as whiskers.

    Args:
        rows: label and bars; the class of a bar is its kind.
        title: what a screen reader says.
        floor: where bars begin: the value of mere guessing.
    """
    right = 60
    all_ends = [end for _, row in rows for b in row for end in (b.value, *(b.interval or ()))]
    low: float = min([floor, *all_ends])
    span: float = max([floor, *all_ends]) - low or 1.0

    def x(value: float) -> float:
        return (_WIDTH - right) * (value - low) / span

    parts, y = [], 0
    for label, row in rows:
        parts.append(text("label", 0, y + 12, short(label, 60), "start", title=label))
        y += 18
        for bar in row:
            start, end = sorted((x(floor), x(bar.value)))
            parts.append(rect(bar.kind, start, y, end - start, 12))
            if bar.interval:
                a, b = (x(one) for one in bar.interval)
                parts.append(
                    f'<path class="whisker" d="M{n(a)} {y + 6}H{n(b)}M{n(a)} {y + 3}v6'
                    f'M{n(b)} {y + 3}v6"/>'
                )
                end = max(end, b)
            parts.append(text("tick", end + 6, y + 10, number(bar.value), "start"))
            y += 16
        y += 9
    if low < floor:
        parts.append(line("axis", x(floor), 0, x(floor), y - 6))
    return svg(parts, _WIDTH, max(y - 6, 1), title)


def ranking(values: Sequence[tuple[str, float]], title: str) -> Markup:
    """One bar for each label, beside it."""
    left, step, right = _label_width([label for label, _ in values]), 21, 56
    longest = max(value for _, value in values) or 1.0
    parts = []
    for i, (label, value) in enumerate(values):
        length = (_WIDTH - left - right) * value / longest
        short_label = short(label, _LONGEST_LABEL)
        parts.append(text("label", left - 12, i * step + 12, short_label, "end", title=label))
        parts.append(rect("synthetic", left, i * step + 2, length, 12))
        parts.append(text("tick", left + length + 6, i * step + 12, number(value), "start"))
    return svg(parts, _WIDTH, len(values) * step, title)


def marks(
    rows: Sequence[tuple[str, Mapping[str, float]]], title: str, *, logarithmic: bool = False
) -> Markup:
    """Shares as marks on one line for each row; the form of a mark tells its series.

    Labels stand beside their lines, or above them where one is too long for that.

    Args:
        rows: label and shares by series: real, holdout, synthetic, baseline.
        title: what a screen reader says.
        logarithmic: for shares of different magnitude; zero then stands at the left end.
    """
    labels = [label for label, _ in rows]
    above = max(map(len, labels)) > _LONGEST_LABEL
    left, step = (18.0, 38) if above else (_label_width(labels), 24)
    right = _WIDTH - 16
    ticks, place = _axis([v for _, row in rows for v in row.values()], logarithmic=logarithmic)

    def x(value: float) -> float:
        return left + (right - left) * place(value)

    bottom = len(rows) * step + 4
    parts = []
    for tick in ticks:
        parts.append(line("grid", x(tick), 0, x(tick), bottom))
        parts.append(text("tick", x(tick), bottom + 15, percent(tick), "middle"))
    for i, (label, row) in enumerate(rows):
        y = i * step + (26 if above else step / 2)
        if above:
            parts.append(text("label over", 0, y - 13, short(label, 58), "start", title=label))
        else:
            parts.append(text("label", left - 12, y + 4, label, "end"))
        ends = [x(value) for value in row.values()]
        parts.append(line("span", min(ends), y, max(ends), y))
        parts += [mark(kind, x(value), y) for kind, value in row.items()]
    return svg(parts, _WIDTH, bottom + 20, title)


def _axis(
    values: Sequence[float], *, logarithmic: bool
) -> tuple[list[float], Callable[[float], float]]:
    """Ticks, and where on an axis from 0 to 1 a value stands."""
    top = max(values) or 1.0
    if not logarithmic:
        unit = _nice(top / 4)
        ticks = [unit * i for i in range(math.ceil(top / unit - 1e-9) + 1)]
        return ticks, lambda value: value / ticks[-1]
    smallest = min((value for value in values if value > 0), default=top / 10)
    low = math.floor(math.log10(smallest))
    high = max(math.ceil(math.log10(top) - 1e-9), low + 1)
    n_ticks = high - low + 1
    return [
        0.0,
        *(10.0**power for power in range(low, high + 1)),
    ], lambda value: (math.log10(value) - low + 1) / n_ticks if value > 0 else 0.0


def _label_width(labels: Sequence[str]) -> float:
    return CHARACTER * max(min(len(label), _LONGEST_LABEL) for label in labels) + 12


def _nice(step: float) -> float:
    """The round number from `step` upwards."""
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= step * (1 - 1e-9))
