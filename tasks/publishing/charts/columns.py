"""One column: its histogram or the shares of its categories, real and synthetic."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tasks.publishing.charts.svg import line, n, percent, rect, short, svg, text
from tasks.publishing.wording import number

SERIES = ("real", "holdout", "synthetic")
MAX_CATEGORIES = 10


def histogram(column: Mapping[str, Any]) -> Markup:
    """One numeric column: real values filled, holdout dashed, synthetic as a line."""
    edges = [float(edge) for edge in column["edges"]]
    width, height, top = 300, 104, 6
    span = (edges[-1] - edges[0]) or 1.0
    heights = {name: _densities(column[name], edges) for name in SERIES if column.get(name)}
    peak = max((max(values) for values in heights.values()), default=0) or 1.0

    def x(edge: float) -> float:
        return width * (edge - edges[0]) / span

    def y(value: float) -> float:
        return height - (height - top) * value / peak

    parts = []
    for name, values in heights.items():
        steps = "".join(
            f"V{n(y(value))}H{n(x(right))}" for value, right in zip(values, edges[1:], strict=True)
        )
        parts.append(
            f'<path class="{name}" d="M0 {height}{steps}V{height}{"Z" if name == "real" else ""}"/>'
        )
    parts.append(line("axis", 0, height, width, height))
    for edge, anchor in ((0, "start"), (len(edges) // 2, "middle"), (-1, "end")):
        parts.append(text("tick", x(edges[edge]), height + 14, _edge(column, edge), anchor))
    return svg(parts, width, height + 18, f"Distribution of {column['name']}")


def categories(column: Mapping[str, Any]) -> Markup:
    """One categorical column: a pair of bars for each of the most frequent real categories."""
    shares = {name: shares_of(column[name]) for name in SERIES if column.get(name)}
    labels = [str(label) for label in column["categories"]]
    order = sorted(range(len(labels)), key=lambda i: (-shares["real"][i], i))
    shown, rest = order[:MAX_CATEGORIES], order[MAX_CATEGORIES:]
    rows = [(labels[i], {name: values[i] for name, values in shares.items()}) for i in shown]
    if rest:
        others = {name: sum(values[i] for i in rest) for name, values in shares.items()}
        rows.append((f"{len(rest)} others", others))
    width, left, step = 300, 104, 21
    longest = max((share for _, row in rows for share in row.values()), default=0) or 1.0

    def x(share: float) -> float:
        return left + (width - left - 46) * share / longest

    parts = []
    for number_of_row, (label, row) in enumerate(rows):
        y = number_of_row * step + 2
        parts.append(text("tick", left - 6, y + 12, short(label, 15), "end", title=label))
        for name, offset in (("real", 0), ("synthetic", 8)):
            if name in row:
                parts.append(rect(name, left, y + offset, x(row[name]) - left, 7))
        if "holdout" in row:
            parts.append(line("holdout", x(row["holdout"]), y - 1, x(row["holdout"]), y + 16))
        end = x(max(row.values())) + 5
        parts.append(text("tick", end, y + 12, percent(row.get("synthetic", 0)), "start"))
    return svg(parts, width, len(rows) * step + 4, f"Shares of the categories of {column['name']}")


def shares_of(counts: Sequence[float]) -> list[float]:
    """Counts as shares of their sum."""
    total = sum(counts) or 1.0
    return [count / total for count in counts]


def _densities(counts: Sequence[float], edges: Sequence[float]) -> list[float]:
    widths = [right - left for left, right in itertools.pairwise(edges)]
    return [share / (width or 1.0) for share, width in zip(shares_of(counts), widths, strict=True)]


def _edge(column: Mapping[str, Any], index: int) -> str:
    labels = column.get("edge_labels")
    return str(labels[index]) if labels else number(float(column["edges"][index]))
