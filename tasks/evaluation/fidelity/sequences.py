"""Rows that belong together: how many share a key, and how their numbers go on in time."""

import numpy as np
import pyarrow as pa

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.keys import linked, orphan_share, present_links
from tasks.evaluation.fidelity.leaving_out import groups, largest_gap, outcome, sums
from tasks.evaluation.intervals import N_GROUPS
from tasks.evaluation.rows import Part
from tasks.schema import ForeignKey, TableSchema

MIN_PAIRS = 20
"""Training rows with a next one below which a correlation in time says nothing."""

MAX_COLUMNS = 30
"""Numbers whose correlation in time is measured at most: the first ones."""

_ROUNDING = 1e-12
"""Share of the sum of squares below which a variance is none."""


@metric(
    label="Rows per key, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Largest difference between the real and the synthetic distribution of how many rows share"
        " a key (visits of a patient, children of a parent), averaged over keys; a split of rows"
        " takes some from each key, which the reference shows."
    ),
    source="as SDMetrics 0.32 CardinalityShapeSimilarity; Kolmogorov-Smirnov distance",
)
def rows_per_key_error(comparison: Comparison) -> Outcome:
    """Foreign keys, with parents that have no row where their table is at hand, and identifiers.

    Of the main table, an identifier that repeats counts, and the first column of a primary key of
    several. Training rows are compared with all synthetic rows, and with all of the holdout.
    """
    parts: tuple[Part, ...] = ("train", "synthetic", "holdout")
    links = list(present_links(comparison))
    seen = {key.columns for table, key in links if table.name == comparison.schema.main.name}
    counted = [[_children(comparison, part, *link) for part in parts] for link in links]
    counted += [
        [_repeats(comparison, part, name) for part in parts]
        for name in entities(comparison)
        if (name,) not in seen
    ]
    found = [
        [100 * largest_gap(real, one, groups(len(one))) for one in (made, unseen)]
        for real, made, unseen in counted
        if len(real)
    ]
    if not found:
        raise NotApplicable("the schema declares no key that several rows share")
    n_groups = min(len(one) for pair in found for one in pair)
    scores, references = np.mean([[one[:n_groups] for one in pair] for pair in found], axis=0)
    return outcome(scores, references)


@metric(
    label="Correlation with the next row, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Half the mean difference between real and synthetic numbers in how a value goes with the"
        " next one of the same key in time, 0 to 100."
    ),
    source="autocorrelation at lag 1, Box et al. 2015, Time Series Analysis, section 2.1.4",
)
def autocorrelation_error(comparison: Comparison) -> Outcome:
    """Of the first key that several rows share, ordered by the first column of dates.

    Differs: pairs of all keys are taken together, with one mean and one variance; an undefined
    correlation counts as 0, as that of a synthetic table in which no two rows share a key.
    """
    dates = [
        place
        for place, column in enumerate(comparison.numeric)
        if column.meaning == "datetime" and column.type.startswith(("date", "timestamp"))
    ]
    values = [p for p, column in enumerate(comparison.numeric) if column.meaning != "datetime"]
    if not dates or not values:
        raise NotApplicable("needs a column of dates and one of numbers")
    keys = entities(comparison)
    if not keys:
        raise NotApplicable("the schema declares no key that several rows share")
    scores, references, real = (
        _next_correlations(comparison, part, keys[0], dates[0], values[:MAX_COLUMNS])
        for part in ("synthetic", "holdout", "train")
    )
    known = ~np.isnan(real[0])
    if not known.any():
        raise NotApplicable(
            f"no number varies in {MIN_PAIRS} training rows with a next one of the same key"
        )
    errors = [
        50 * np.abs(np.nan_to_num(one[:, known]) - real[0, known]).mean(axis=1)
        for one in (scores, references)
    ]
    return outcome(*errors)


def entities(comparison: Comparison) -> list[str]:
    """Columns of the main table that say which rows belong together, in order of the schema.

    Those of foreign keys, the first of a primary key of several columns, and identifiers; each
    with half as many values as training rows at most.
    """
    table = comparison.schema.main
    named = {key.columns[0] for key in table.foreign_keys}
    named |= set(table.primary_key[:1]) if len(table.primary_key) > 1 else set()
    named |= {column.name for column in table.columns_of("identifier")}
    found = []
    for name in table.column_names:
        if name in named:
            n_rows = _repeats(comparison, "train", name)
            if len(n_rows) and n_rows.mean() >= 2:
                found.append(name)
    return found


def next_correlations(
    numbers: np.ndarray, key: np.ndarray, time: np.ndarray, n_groups: int
) -> np.ndarray:
    """How each number goes with the next one of its key, over all pairs; NaN if undefined.

    Shape:
        numbers: (N, C), NaN where missing.
        key: (N,) int, -1 where missing.
        time: (N,), NaN where missing.
        returns: (R, C), R = 1 + n_groups: groups of keys are left out, with their pairs.
    """
    order = np.lexsort((time, key))
    order = order[(key[order] >= 0) & ~np.isnan(time[order])]
    follows = key[order[1:]] == key[order[:-1]]
    first, second = numbers[order[:-1][follows]], numbers[order[1:][follows]]
    group = key[order[:-1][follows]] % n_groups
    both = ~(np.isnan(first) | np.isnan(second))
    scale = np.abs(numbers).max(axis=0, initial=0.0, where=~np.isnan(numbers))
    a, b = (np.where(both, one, 0.0) / np.where(scale > 0, scale, 1.0) for one in (first, second))
    middle = a.sum(axis=0) / np.maximum(both.sum(axis=0), 1)
    a, b = (np.where(both, one - middle, 0.0) for one in (a, b))
    # Every group is counted, also one without pairs: all results have one shape.
    every = np.arange(n_groups)
    n, sum_a, sum_b, a_a, b_b, a_b = (
        sums(np.vstack([one, np.zeros((n_groups, one.shape[1]))]), np.concatenate([group, every]))
        for one in (both, a, b, a**2, b**2, a * b)
    )
    counted = np.maximum(n, 1)
    variance = [
        np.where(total - part**2 / counted > _ROUNDING * total, total - part**2 / counted, np.nan)
        for total, part in ((a_a, sum_a), (b_b, sum_b))
    ]
    found = (a_b - sum_a * sum_b / counted) / np.sqrt(variance[0] * variance[1])
    return np.where(n[0] >= MIN_PAIRS, np.clip(found, -1, 1), np.nan)


def _next_correlations(
    comparison: Comparison, part: Part, key: str, date: int, values: list[int]
) -> np.ndarray:
    rows = comparison.every[part]
    numbers = np.column_stack([rows.number(place) for place in values])
    return next_correlations(numbers, _codes(rows.column(key)), rows.number(date), N_GROUPS)


def _children(
    comparison: Comparison, part: Part, table: TableSchema, key: ForeignKey
) -> np.ndarray:
    """Shape: (K,) float64, the rows that refer to each key, 0 of parents without any."""
    children, parents = linked(comparison, [part], table, key)
    by_key = children.drop_null().group_by(children.column_names, use_threads=False)
    counted = by_key.aggregate([([], "count_all")])
    keys = counted.select(children.column_names)
    lost, _ = orphan_share(keys, parents) or (0.0, 0)
    every = parents.drop_null().group_by(parents.column_names, use_threads=False).aggregate([])
    n_alone = len(every) - round((1 - lost) * len(keys))
    n_rows = counted.column("count_all").to_numpy().astype(np.float64)
    return np.concatenate([n_rows, np.zeros(n_alone)])


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    """Shape: (N,) int64, equal for equal values; -1 where missing."""
    encoded = values.combine_chunks().dictionary_encode().indices
    return np.asarray(encoded.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _repeats(comparison: Comparison, part: Part, name: str) -> np.ndarray:
    """Shape: (K,) float64, the rows of each value of a column."""
    codes = _codes(comparison.every[part].column(name))
    return np.bincount(codes[codes >= 0]).astype(np.float64)
