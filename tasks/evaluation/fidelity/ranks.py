"""Which numbers rise and fall together, whatever their scale: the correlation of ranks."""

import numpy as np
from scipy.stats import rankdata

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.leaving_out import groups, outcome

MAX_ROWS = 50_000
"""Rows of each set at most."""

MAX_COLUMNS = 200
"""Columns at most: pairs grow with their square."""

_ROUNDING = 1e-12
"""Share of the sum of squares below which a variance is none."""


@metric(
    label="Correlation of ranks, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Half the mean difference between the rank correlations of real and of synthetic numbers,"
        " 0 to 100; one extreme value more or less does not move it."
    ),
    source="SDMetrics 0.32, CorrelationSimilarity with Spearman's coefficient; 100 x (1 - score)",
)
def rank_correlation_error(comparison: Comparison) -> Outcome:
    """Equal numbers of holdout and synthetic rows against the training rows.

    Differs: an undefined correlation of a synthetic column that became constant counts as 0, where
    SDMetrics leaves the pair out; and as in `rank_correlations`.
    """
    n_columns = len(comparison.numeric)
    if n_columns < 2:
        raise NotApplicable(f"needs two columns of numbers, found {n_columns}")
    rng = comparison.rng("rank_correlation_error")
    used = np.sort(rng.choice(n_columns, min(n_columns, MAX_COLUMNS), replace=False))
    train, holdout, synthetic = (
        rows.sample(MAX_ROWS, rng).numbers[:, used]
        for rows in (comparison.train, *comparison.equal)
    )
    real = rank_correlations(train, np.zeros(len(train), int))[0]
    pairs = np.triu(~np.isnan(real), k=1)
    if not pairs.any():
        raise NotApplicable("no two columns of numbers vary together: their ranks have no trend")
    scores, references = (
        50 * np.abs(np.nan_to_num(found[:, pairs]) - real[pairs]).mean(axis=1)
        for found in (rank_correlations(one, groups(len(one))) for one in (synthetic, holdout))
    )
    return outcome(scores, references)


def rank_correlations(numbers: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Spearman's coefficient of each pair over the rows where both are present; NaN if undefined.

    Shape:
        numbers: (N, C), NaN where missing.
        group: (N,) as `leaving_out.groups` gives; ranks are those among all rows.
        returns: (R, C, C).

    Source: Spearman 1904, doi:10.2307/1412159: Pearson's coefficient of the ranks.
    Differs: a value's rank is that among all present values of its column, also where the other
    column of the pair is missing. Nothing has to be ranked again, for any pair or group.
    """
    ranks, present = _centred_ranks(numbers)
    n_groups = max(int(group.max(initial=0)) + 1, 1)
    by_group = np.stack(
        [_products(ranks[group == one], present[group == one]) for one in range(n_groups)]
    )
    left_out = 1 - np.eye(n_groups) if n_groups > 1 else np.ones((0, 1))
    kept = np.vstack([np.ones(n_groups), left_out])
    n, first, squares, products = np.moveaxis(np.tensordot(kept, by_group, axes=1), 1, 0)
    n = np.maximum(n, 1)
    # The same sums of the pair's other column lie across the diagonal.
    second = np.swapaxes(first, 1, 2)
    variance = squares - first**2 / n
    varies = variance > _ROUNDING * squares
    scale = np.where(varies, variance, np.nan)
    covariance = products - first * second / n
    found = covariance / np.sqrt(scale * np.swapaxes(scale, 1, 2))
    return np.asarray(np.clip(found, -1, 1))


def _centred_ranks(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks from -1/2 to 1/2 with mean 0, 0 where missing, and which values are present."""
    present = ~np.isnan(numbers)
    ranks = np.zeros(numbers.shape)
    for column, found in enumerate(present.T):
        rank = rankdata(numbers[found, column])
        ranks[found, column] = (rank - (len(rank) + 1) / 2) / max(len(rank), 1)
    return ranks, present


def _products(ranks: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Sums over the rows where both columns of a pair are present.

    Shape:
        returns: (4, C, C), of 1, the first column's rank, its square, and the ranks' product.
    """
    mask = present.astype(np.float64)
    return np.stack([mask.T @ mask, ranks.T @ mask, (ranks**2).T @ mask, ranks.T @ ranks])
