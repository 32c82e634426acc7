"""95 % intervals of shares, areas under curves, means and scores."""

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import t

Interval = tuple[float, float]

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

N_GROUPS = 20
"""Into which rows are dealt where one group of them is left out at a time."""

_DRAWS = 200


def of_share(share: float, n: int) -> Interval:
    """Of a share of `n` independent rows.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    centre = share + Z**2 / (2 * n)
    spread = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    # At 0 and 1 the bound is exact; the formula would be off by the last bit.
    low = float((centre - spread) / scale) if share > 0 else 0.0
    high = float((centre + spread) / scale) if share < 1 else 1.0
    return low, high


def of_mean(values: np.ndarray) -> Interval:
    """Of the mean of independent values in [0, 1], by the central limit theorem.

    Shape:
        values: (N,), N >= 2.
    """
    spread = Z * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    mean = float(np.mean(values))
    return max(0.0, mean - spread), min(1.0, mean + spread)


def of_auc(auc: float, n_positive: int, n_negative: int) -> Interval:
    """Of the area under a ROC curve.

    Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    high = max(auc, 1 - auc)
    q1, q2 = high / (2 - high), 2 * high**2 / (1 + high)
    variance = (
        high * (1 - high) + (n_positive - 1) * (q1 - high**2) + (n_negative - 1) * (q2 - high**2)
    ) / (n_positive * n_negative)
    spread = Z * np.sqrt(max(variance, 0.0))
    return max(0.0, float(auc - spread)), min(1.0, float(auc + spread))


def of_score(
    score: Callable[[np.ndarray], float], n: int, rng: np.random.Generator
) -> Interval | None:
    """Of any score of `n` rows, by redrawing them; null where too few redraws have a score.

    Args:
        score: of the rows at the given positions; NaN where it has none.
        n: rows.
        rng: all randomness comes from it.

    Source: percentile bootstrap, Efron 1979, doi:10.1214/aos/1176344552.
    """
    drawn = np.array([score(rng.integers(0, n, n)) for _ in range(_DRAWS)])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < _DRAWS // 2:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def of_jackknife(value: float, without: np.ndarray, highest: float = math.inf) -> Interval | None:
    """Of a figure between 0 and `highest`, by leaving out one group of rows at a time.

    Not by drawing rows again: a distance between samples grows when some rows are repeated.

    Shape:
        without: (G,) the figure without each group; NaN of those that have none.
    Source: delete-a-group jackknife, (G - 1) / G times the sum of squared deviations, with Student's
    t of G - 1 degrees of freedom: Kott 2001, Journal of Official Statistics 17(4); right for
    distances, which are not smooth: Shao and Wu 1989, doi:10.1214/aos/1176347263.
    """
    without = without[np.isfinite(without)]
    n_groups = len(without)
    if n_groups < 2:
        return None
    variance = (n_groups - 1) / n_groups * float(((without - without.mean()) ** 2).sum())
    spread = float(t.ppf(0.975, n_groups - 1)) * math.sqrt(variance)
    return max(0.0, value - spread), min(highest, value + spread)
