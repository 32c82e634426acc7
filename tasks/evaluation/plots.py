"""What the report draws of columns and pairs: shapes and strengths that give away no single row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import MISSING
from tasks.privacy.points import SMALLEST
from tasks.schema import Column

MIN_ROWS = 10
"""Real rows that a category must have to be named, and a bin to be drawn."""

MAX_CATEGORIES = 30

MAX_COLUMNS = 200
"""Columns that are drawn one by one: of more, those with the largest errors."""

MAX_OF_MATRIX = 60
"""Columns of a matrix of pairs: of more, those with the largest errors."""

OTHER, ABSENT = "(other)", "(missing)"

_DAY = 86_400
_N_BINS = 24
_QUANTILES = (0.01, 0.99)
_NICE_STEPS = np.array([1, 2, 2.5, 5, 10])


def column_plots(comparison: Comparison, errors: np.ndarray) -> list[dict[str, Any]]:
    """Of each column its histogram among real, holdout and synthetic rows, those in memory.

    Columns that hold personal data are left out.

    Args:
        comparison: the rows.
        errors: (columns,) in percent, numbers before codes; NaN where unknown.
    """
    sets = (comparison.train, comparison.holdout, comparison.synthetic)
    n_numbers = len(comparison.numeric)
    plots = []
    for place in worst(errors, MAX_COLUMNS):
        column = (*comparison.numeric, *comparison.discrete)[place]
        if column.personal:
            continue
        if place < n_numbers:
            values = [rows.numbers[:, place] for rows in sets]
            plot = _histogram(values, dates=column.meaning == "datetime")
            absent = [np.isnan(one) for one in values]
        else:
            codes = [rows.codes[:, place - n_numbers] for rows in sets]
            plot = _bars(codes, comparison.categories[place - n_numbers])
            absent = [one == MISSING for one in codes]
        plots.append({**_heading(column, errors[place]), **plot, **_missing(absent)})
    return plots


def pair_plots(
    names: Sequence[str], real: np.ndarray, synthetic: np.ndarray, errors: np.ndarray
) -> dict[str, Any]:
    """How strongly columns go together among real and synthetic rows, and the error of each pair.

    Shape:
        real, synthetic: (C, C) from -1 to 1, NaN where unknown.
        errors: (C, C) in percent, NaN where unknown.
    """
    known = np.nan_to_num(errors, nan=0.0)
    kept = worst(known.sum(axis=1), MAX_OF_MATRIX)
    matrices = {"real": real, "synthetic": synthetic, "error": errors}
    return {
        "columns": [names[place] for place in kept],
        **{name: matrix(values[np.ix_(kept, kept)]) for name, values in matrices.items()},
    }


def worst(errors: np.ndarray, n: int) -> list[int]:
    """The places of the `n` largest errors, ascending; NaN is taken for the smallest."""
    order = np.argsort(-np.nan_to_num(errors, nan=-1.0), kind="stable")
    return [int(place) for place in np.sort(order[:n])]


def matrix(values: np.ndarray) -> list[list[float | None]]:
    """A matrix as JSON, with 4 decimals and null for NaN."""
    return [[None if np.isnan(v) else round(float(v), 4) for v in row] for row in values]


def shares(counts: np.ndarray, n_rows: int) -> list[float]:
    """Counts as shares of `n_rows`, with 5 decimals."""
    return [round(float(count) / n_rows, 5) for count in counts]


def _heading(column: Column, error: float) -> dict[str, Any]:
    shown = None if np.isnan(error) else round(float(error), 4)
    return {"name": column.name, "meaning": column.meaning, "error": shown}


def _histogram(values: list[np.ndarray], *, dates: bool) -> dict[str, Any]:
    """Shares of all rows by bin, the outer bins open.

    Bins of fewer than `MIN_ROWS` real rows are drawn empty.
    """
    edges = nice_edges(values[0], bins_for(len(values[0])))
    counts = [np.bincount(_bin(one, edges), minlength=len(edges) - 1) for one in values]
    for real_count in counts[:2]:
        real_count[real_count < MIN_ROWS] = 0
    real, holdout, synthetic = (
        shares(count, len(one)) for count, one in zip(counts, values, strict=True)
    )
    plot: dict[str, Any] = {"edges": edges.tolist()}
    if dates:
        plot["edge_labels"] = [_date(edge, edges[1] - edges[0]) for edge in edges]
    plot |= {"real": real, "holdout": holdout, "synthetic": synthetic}
    return plot


def _missing(absent: list[np.ndarray]) -> dict[str, Any]:
    """The shares that are missing, if any; of fewer than `MIN_ROWS` real rows as none."""
    counts = [int(one.sum()) for one in absent]
    counts[:2] = [count if count >= MIN_ROWS else 0 for count in counts[:2]]
    if not any(counts):
        return {}
    found = [round(n / len(one), 5) for n, one in zip(counts, absent, strict=True)]
    return {"missing": dict(zip(("real", "holdout", "synthetic"), found, strict=True))}


def _date(seconds: float, step: float) -> str:
    moment = np.datetime64(round(seconds), "s")
    return str(moment.astype("datetime64[D]")) if step >= _DAY else str(moment).replace("T", " ")


def _bin(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    present = values[~np.isnan(values)]
    return np.asarray(np.clip(np.searchsorted(edges, present, "right") - 1, 0, len(edges) - 2))


def bins_for(n_rows: int, dimensions: int = 1) -> int:
    """Bins of each axis: more would hold too few rows to be drawn.

    Source: the Rice rule, 2 n^(1/3) of one axis; for two the exponent 1 / (2 + d) of Scott 1992,
    Multivariate Density Estimation, doi:10.1002/9780470316849, section 3.4, with a factor by which
    cells of at least `MIN_ROWS` hold 85 % of Gaussian rows from 150 rows on.
    """
    factor = 2.0 if dimensions == 1 else 1.25
    return int(min(_N_BINS, np.ceil(factor * n_rows ** (1 / (2 + dimensions)))))


def nice_edges(real: np.ndarray, n_bins: int = _N_BINS) -> np.ndarray:
    """Round edges of equal width over all but the outermost 2 % of the real values.

    Neither the extremes of the real values nor any exact quantile can be read from them.
    """
    present = real[~np.isnan(real)]
    if len(present) == 0:
        return np.array([0.0, 1.0])
    low, high = np.quantile(present, _QUANTILES)
    width = (high - low) / n_bins
    if width < SMALLEST or not np.isfinite(width):
        width = max(abs(low), 1.0) / 10
    magnitude = 10.0 ** np.floor(np.log10(width))
    step = magnitude * _NICE_STEPS[np.searchsorted(_NICE_STEPS, width / magnitude * (1 - 1e-9))]
    if (present == np.floor(present)).all():
        step = max(1.0, np.ceil(step))
    first, last = np.floor(low / step), np.floor(high / step) + 1
    decimals = max(0, 2 - int(np.floor(np.log10(step))))
    return np.asarray(np.round(np.arange(first, last + 1) * step, decimals))


def _bars(codes: list[np.ndarray], categories: list[str]) -> dict[str, Any]:
    """Shares by category: the frequent ones in order, then what is missing, then all others.

    Of fewer than `MIN_ROWS` holdout rows the share is drawn as none.
    """
    counts = [np.bincount(one[one >= 0], minlength=len(categories)) for one in codes]
    named = [i for i in np.argsort(-counts[0], kind="stable") if counts[0][i] >= MIN_ROWS]
    named = named[:MAX_CATEGORIES]
    labels = [categories[i] for i in named]
    absent = [int((one == MISSING).sum()) for one in codes]
    show_absent = absent[0] >= MIN_ROWS
    bars = []
    for one, count, n_absent in zip(codes, counts, absent, strict=True):
        shown = [int(count[i]) for i in named] + ([n_absent] if show_absent else [])
        bars.append(np.array([*shown, len(one) - sum(shown)]))
    holdout = bars[1][:-1]
    holdout[holdout < MIN_ROWS] = 0
    columns = [shares(bar, len(one)) for bar, one in zip(bars, codes, strict=True)]
    labels = [*labels, *([ABSENT] if show_absent else []), OTHER]
    if not any(column[-1] for column in columns):
        labels, columns = labels[:-1], [column[:-1] for column in columns]
    return {
        "categories": labels,
        "real": columns[0],
        "holdout": columns[1],
        "synthetic": columns[2],
    }
