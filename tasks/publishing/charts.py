"""The report's pictures as inline SVG: small, sharp in print, light and dark by the page's colours.

Every function returns finished markup. Shapes carry classes, never colours, so that `report.css`
decides how they look; coordinates are rounded, so equal numbers give equal bytes.

Shape:
    a histogram has n counts and n + 1 edges; a matrix is a list of rows; all lengths are checked
    by whoever wrote plots.json, and anything malformed raises ValueError, TypeError or KeyError.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from tasks.publishing.evidence import Result
from tasks.publishing.wording import number

_SERIES = ("real", "holdout", "synthetic")
_MAX_CATEGORIES = 10
_HEAT_LEVELS = 10


def gauge(result: Result) -> Markup:
    """A metric on a line: what is required, what real data reaches, where this release stands."""
    m, (lowest, highest) = result.measurement, result.bounds
    marks = [
        v for v in (m.value, m.reference, lowest, highest, *(m.interval or ())) if v is not None
    ]
    low, high = _range(marks, m.goal)
    width, y = 300, 16

    def x(value: float) -> float:
        return 6 + (width - 12) * (value - low) / (high - low)

    parts = [_rect("track", 6, y - 3, width - 12, 6)]
    if lowest is not None or highest is not None:
        left = x(low if lowest is None else lowest)
        right = x(high if highest is None else highest)
        parts.append(_rect("allowed", left, y - 3, right - left, 6))
    if m.interval:
        parts.append(_line("interval", x(m.interval[0]), y, x(m.interval[1]), y))
    if m.reference is not None:
        parts.append(_line("reference", x(m.reference), y - 9, x(m.reference), y + 9))
    if m.value is not None:
        kind = "value-bad" if result.passed is False else "value"
        parts.append(f'<circle class="{kind}" cx="{_n(x(m.value))}" cy="{y}" r="6"/>')
    parts += [
        _text("tick", 6, 38, number(low), "start"),
        _text("tick", width - 6, 38, number(high), "end"),
    ]
    summary = f"{m.label}: {number(m.value)}, real data {number(m.reference)}"
    return _svg(parts, width, 42, summary)


def histogram(column: Mapping[str, Any]) -> Markup:
    """One numeric column: real values filled, holdout dashed, synthetic as a line."""
    edges = [float(edge) for edge in column["edges"]]
    width, height, top = 300, 104, 6
    span = (edges[-1] - edges[0]) or 1.0
    heights = {name: _densities(column[name], edges) for name in _SERIES if column.get(name)}
    peak = max((max(values) for values in heights.values()), default=0) or 1.0

    def x(edge: float) -> float:
        return width * (edge - edges[0]) / span

    def y(value: float) -> float:
        return height - (height - top) * value / peak

    parts = []
    for name, values in heights.items():
        steps = [
            f"L{_n(x(edge))} {_n(y(value))}"
            for value, ends in zip(values, itertools.pairwise(edges), strict=True)
            for edge in ends
        ]
        path = f"M0 {height}{''.join(steps)}L{width} {height}"
        parts.append(f'<path class="{name}" d="{path}{"Z" if name == "real" else ""}"/>')
    parts.append(_line("axis", 0, height, width, height))
    for edge, anchor in ((0, "start"), (len(edges) // 2, "middle"), (-1, "end")):
        parts.append(_text("tick", x(edges[edge]), height + 14, _edge(column, edge), anchor))
    return _svg(parts, width, height + 18, f"Distribution of {column['name']}")


def categories(column: Mapping[str, Any]) -> Markup:
    """One categorical column: a pair of bars for each of the most frequent real categories."""
    shares = {name: _shares(column[name]) for name in _SERIES if column.get(name)}
    labels = [str(label) for label in column["categories"]]
    order = sorted(range(len(labels)), key=lambda i: (-shares["real"][i], i))
    shown, rest = order[:_MAX_CATEGORIES], order[_MAX_CATEGORIES:]
    rows = [(labels[i], {name: values[i] for name, values in shares.items()}) for i in shown]
    if rest:
        others = {name: sum(values[i] for i in rest) for name, values in shares.items()}
        rows.append((f"{len(rest)} others", others))
    width, left, step = 300, 92, 21
    longest = max((share for _, row in rows for share in row.values()), default=0) or 1.0
    parts = []
    for number_of_row, (label, row) in enumerate(rows):
        y = number_of_row * step + 2
        parts.append(_text("tick", left - 6, y + 12, _short(label, 15), "end", title=label))
        for name, offset in (("real", 0), ("synthetic", 8)):
            if name in row:
                parts.append(
                    _rect(name, left, y + offset, (width - left - 40) * row[name] / longest, 7)
                )
        if "holdout" in row:
            x = left + (width - left - 40) * row["holdout"] / longest
            parts.append(_line("holdout", x, y - 1, x, y + 16))
        end = left + (width - left - 40) * max(row.values()) / longest + 5
        parts.append(_text("tick", end, y + 12, f"{100 * row.get('synthetic', 0):.0f} %", "start"))
    return _svg(parts, width, len(rows) * step + 4, f"Shares of the categories of {column['name']}")


def heat_map(
    matrix: Sequence[Sequence[float | None]], highest: float, kind: str, title: str
) -> Markup:
    """A matrix as squares, darker where the value is farther from zero.

    Args:
        matrix: rows of values; null is left blank.
        highest: the value of the darkest square.
        kind: class of the picture, which chooses its colour.
        title: what a screen reader says.
    """
    cells: dict[int, list[str]] = {}
    for row, values in enumerate(matrix):
        for column, value in enumerate(values):
            if value is not None:
                share = min(abs(value) / highest, 1.0) if highest else 0.0
                level = round(_HEAT_LEVELS * share)
                cells.setdefault(level, []).append(f"M{column} {row}h1v1h-1z")
    size = len(matrix)
    # One path for each level keeps a map of a hundred columns small.
    parts = [
        f'<path class="heat-{level}" d="{"".join(squares)}"/>'
        for level, squares in sorted(cells.items())
    ]
    return _svg(parts, size, size, title, kind=f"heat {kind}")


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
    values = [loss for line in losses.values() for _, loss in line]
    return _lines(losses, (min(values), max(values)), number, title)


def _lines(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    y_range: tuple[float, float],
    shown: Callable[[float], str],
    title: str,
) -> Markup:
    width, height, left, top = 560, 200, 48, 8
    xs = [x for line in lines.values() for x, _ in line]
    (low, high), (first, last) = y_range, (min(xs), max(xs))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (width - left) * (x - first) / ((last - first) or 1.0),
            top + (height - top) * (high - y) / ((high - low) or 1.0),
        )

    parts = []
    for tick in (low, (low + high) / 2, high):
        _, y = place(first, tick)
        parts.append(_line("grid", left, y, width, y))
        parts.append(_text("tick", left - 6, y + 4, shown(tick), "end"))
    for kind, line in lines.items():
        points = (place(x, y) for x, y in line)
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        parts.append(f'<path class="{kind}" d="M{path}"/>')
    for tick, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        parts.append(_text("tick", place(tick, low)[0], height + 16, number(tick), anchor))
    return _svg(parts, width, height + 22, title)


def bars(rows: Sequence[tuple[str, Mapping[str, float]]], title: str) -> Markup:
    """Horizontal bars under the label of their row; each value's key is the class of its bar."""
    width, right = 460, 60
    longest = max((abs(v) for _, row in rows for v in row.values()), default=0) or 1.0
    parts, y = [], 0
    for label, row in rows:
        parts.append(_text("label", 0, y + 12, _short(label, 62), "start", title=label))
        y += 17
        for kind, value in row.items():
            length = (width - right) * abs(value) / longest
            parts.append(_rect(kind, 0, y, length, 11))
            parts.append(_text("tick", length + 6, y + 10, number(value), "start"))
            y += 14
        y += 9
    return _svg(parts, width, max(y - 6, 1), title)


def _range(values: Sequence[float], goal: str) -> tuple[float, float]:
    """Ends of an axis that holds all values with some air and starts at zero where that is near."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    air = 0.35 * (high - low) or abs(high) or 1.0
    natural = next((top for top in (1.0, 100.0) if high <= top), high + air)
    if goal == "higher":
        return max(low - air, 0.0) if low >= 0 else low - air, min(high + air, natural)
    return (0.0 if 0 <= low < 4 * air else low - air), high + air


def _densities(counts: Sequence[float], edges: Sequence[float]) -> list[float]:
    total = sum(counts) or 1.0
    widths = [right - left for left, right in itertools.pairwise(edges)]
    return [count / total / (width or 1.0) for count, width in zip(counts, widths, strict=True)]


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts) or 1.0
    return [count / total for count in counts]


def _edge(column: Mapping[str, Any], index: int) -> str:
    labels = column.get("edge_labels")
    return str(labels[index]) if labels else number(float(column["edges"][index]))


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _svg(
    parts: Sequence[str], width: float, height: float, title: str, kind: str = "chart"
) -> Markup:
    # Every text in `parts` went through `escape`; the rest is ours.
    return Markup(  # noqa: S704
        f'<svg class="{kind}" viewBox="0 0 {_n(width)} {_n(height)}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}"'
        f' height="{_n(height)}" rx="1.5"/>'
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="{kind}" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>'


def _text(kind: str, x: float, y: float, text: str, anchor: str, *, title: str = "") -> str:
    hint = f"<title>{escape(title)}</title>" if title and title != text else ""
    return (
        f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">'
        f"{escape(text)}{hint}</text>"
    )


def _n(value: float) -> str:
    """A coordinate with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")
