"""Heat maps: associations of pairs of columns, and rows spread over a plane."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from tasks.publishing.charts.svg import CHARACTER, n, short, svg, text
from tasks.publishing.wording import number

_LEVELS = 10
WIDTH = 320
WIDE = 1060
"""Room for the names of 60 columns."""
_SMALLEST_LABEL = 9
"""Height of a row under which its name would not be legible."""
_LONGEST_NAME = 16
_LARGEST_STEP = 56.0
_HINTED_COLUMNS = 16
"""With more columns a hint for each pair would make the page heavy; the worst pairs are listed."""

Matrix = Sequence[Sequence[float | None]]


def has_names(names: Sequence[str], width: float = WIDTH) -> bool:
    """Whether there is room for the names of so many columns in a map of this width."""
    return _step(names, width) >= _SMALLEST_LABEL


def pair_map(
    matrix: Matrix,
    names: Sequence[str],
    highest: float,
    kind: str,
    title: str,
    *,
    width: float = WIDTH,
) -> Markup:
    """Half of a symmetric matrix as squares, darker where the value is farther from zero.

    The name of each column stands at the diagonal, where its row ends and its column begins.

    Args:
        matrix: a row of values for each column, of which those before the diagonal are drawn; null
            is left blank.
        names: of the columns.
        highest: the value of the darkest square.
        kind: class of the picture, which chooses its colour.
        title: what a screen reader says.
        width: WIDTH, or WIDE where a map has the page for itself.
    """
    shown = [short(name, _LONGEST_NAME) for name in names]
    labelled = has_names(names, width)
    step = min(_step(names, width), _LARGEST_STEP) if labelled else width / len(names)
    cells = {
        (row, column): _level(value, highest)
        for row, values in enumerate(matrix)
        for column, value in enumerate(values[:row])
        if value is not None
    }
    if len(names) <= _HINTED_COLUMNS:
        squares = [
            f'<path class="heat-{level}" d="M{column} {row}.5h1"><title>'
            f"{escape(names[column])} × {escape(names[row])}: {number(matrix[row][column])}"
            f"</title></path>"
            for (row, column), level in cells.items()
        ]
    else:
        squares = _by_level(cells)
    parts = [f'<g transform="scale({step:.3f})">{"".join(squares)}</g>']
    if labelled:
        size = min(12.0, 0.86 * step)
        parts.append(f'<g style="font-size:{n(size)}px">')
        parts += [
            text("name", i * step + 3, (i + 0.5) * step + 0.36 * size, label, "start", title=name)
            for i, (name, label) in enumerate(zip(names, shown, strict=True))
        ]
        parts.append("</g>")
    return svg(parts, width, len(names) * step, title, kind=f"heat {kind}")


def density_map(shares: Matrix, highest: float, kind: str, title: str) -> Markup:
    """Shares of rows by cell of a plane, darker where they are more; the first row is the lowest.

    Differences are drawn too: where it is negative, a cell is a thin stroke instead of a square.
    """
    n_rows, n_columns = len(shares), max(map(len, shares), default=1)
    more: dict[tuple[int, int], int] = {}
    less: dict[tuple[int, int], int] = {}
    for row, values in enumerate(reversed(shares)):
        for column, share in enumerate(values):
            if share:
                cells = more if share > 0 else less
                # A square root brings out thin regions beside dense ones.
                cells[row, column] = _level(math.sqrt(abs(share)), math.sqrt(highest))
    squares = [
        f'<g class="{name}">{"".join(_by_level(cells))}</g>'
        for name, cells in (("more", more), ("less", less))
        if cells
    ]
    scale = f"scale({WIDTH / n_columns:.4f} {WIDTH / n_rows:.4f})"
    return svg(
        [f'<g transform="{scale}">{"".join(squares)}</g>'],
        WIDTH,
        WIDTH,
        title,
        kind=f"heat plane {kind}",
    )


def _step(names: Sequence[str], width: float) -> float:
    """Side of a square that leaves room for the name at the end of each row."""
    return min(
        (width - CHARACTER * min(len(name), _LONGEST_NAME) - 8) / max(i, 0.5)
        for i, name in enumerate(names)
    )


def _level(value: float, highest: float) -> int:
    share = min(abs(value) / highest, 1.0) if highest else 0.0
    return round(_LEVELS * share)


def _by_level(cells: dict[tuple[int, int], int]) -> list[str]:
    """One path for each level, neighbours in one stroke: a map of 200 columns stays small."""
    strokes: dict[int, list[str]] = {}
    places = sorted(cells)
    start = 0
    for i, (row, column) in enumerate(places):
        level = cells[row, column]
        following = places[i + 1] if i + 1 < len(places) else None
        if following == (row, column + 1) and cells[following] == level:
            continue
        first = places[start][1]
        strokes.setdefault(level, []).append(f"M{first} {row}.5h{column + 1 - first}")
        start = i + 1
    # The lightest level is the paper.
    return [
        f'<path class="heat-{level}" d="{"".join(path)}"/>'
        for level, path in sorted(strokes.items())
        if level
    ]
