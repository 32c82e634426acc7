"""How many rows were copied at least, exactly or with little noise: what chance cannot explain.

Tests of one hypothesis: training rows and real rows that no generator saw are equal strangers to
the synthetic rows. Each gives a lower bound of the share of synthetic rows that are copies, which
is above 0 with a probability of `ALPHA` or so where nothing was copied.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

ALPHA = 1e-4
"""Probability of a false alarm of one test."""

_LOG = math.log(1 / ALPHA)

_TIE = 1e-9
"""Relative difference of distances that rounding may explain."""


@dataclass(frozen=True)
class Assignment:
    """To which real rows the synthetic rows are the closest.

    Shape:
        ratio: (N,) of the distances to the closest and the second closest real row of all.
        in_train: (N,) share of training rows among the real rows at this distance.
        owner: (M,) which synthetic row each part belongs to.
        real: (M,) which real row, or group of equal ones, it is close to.
        size: (M,) rows in that group.
        part: (M,) of the synthetic row; they add up to 1, or to 0 where too many real rows are
            equally close to tell.

    Attributes:
        n_train: training rows.
        n_holdout: holdout rows.
    """

    ratio: np.ndarray
    in_train: np.ndarray
    owner: np.ndarray
    real: np.ndarray
    size: np.ndarray
    part: np.ndarray
    n_train: int
    n_holdout: int

    @classmethod
    def of(
        cls,
        to_train: tuple[np.ndarray, np.ndarray],
        to_holdout: tuple[np.ndarray, np.ndarray],
        equal: tuple[np.ndarray, np.ndarray, np.ndarray],
        n_real: tuple[int, int],
    ) -> "Assignment":
        """By the closest rows of both parts.

        Args:
            to_train: distances (N, K) to the closest training rows in ascending order, and their
                positions.
            to_holdout: the same of holdout rows.
            equal: of each synthetic row what all rows equal to it are called, and how many training
                and holdout rows are; (N,) each.
            n_real: training and holdout rows.
        """
        expected = n_real[0] / sum(n_real)
        least = np.minimum(to_train[0][:, 0], to_holdout[0][:, 0])
        ties = [one[0] <= least[:, None] * (1 + _TIE) for one in (to_train, to_holdout)]
        names, *counts = equal
        is_equal = counts[0] + counts[1] > 0
        # Where all that were found are equally close there may be more of them.
        unknown = ~is_equal & (ties[0].all(axis=1) | ties[1].all(axis=1))
        n_tied = [tie.sum(axis=1) for tie in ties]
        in_train = np.where(unknown, expected, n_tied[0] / (n_tied[0] + n_tied[1]))
        in_train[is_equal] = counts[0][is_equal] / (counts[0] + counts[1])[is_equal]
        listed = np.hstack(ties) & ~(is_equal | unknown)[:, None]
        owner, place = listed.nonzero()
        real = np.hstack([to_train[1], to_holdout[1] + n_real[0]])[owner, place]
        groups = np.unique(names[is_equal], return_inverse=True)[1] + sum(n_real)
        return cls(
            ratio=ratios(np.sort(np.hstack([to_train[0][:, :2], to_holdout[0][:, :2]]), axis=1)),
            in_train=in_train,
            owner=np.concatenate([owner, is_equal.nonzero()[0]]),
            real=np.concatenate([real, groups]),
            size=np.concatenate([np.ones(len(owner)), (counts[0] + counts[1])[is_equal]]),
            part=np.concatenate([1 / listed.sum(axis=1)[owner], np.ones(is_equal.sum())]),
            n_train=n_real[0],
            n_holdout=n_real[1],
        )


def by_labels(found: Assignment, share: float) -> tuple[float, float]:
    """Copies among the synthetic rows that are the closest to one real row, beside the others.

    Which of the real rows are training rows is as good as drawn by lot for a generator that copied
    none. So of the closest rows a share of n_train / (n_train + n_holdout) has a training row as
    the closest, and the variance of their number follows from how many share a real row. What
    exceeds it are copies.

    Args:
        found: of all synthetic rows.
        share: of the synthetic rows, the closest, that are looked at.

    Returns:
        The estimated share of copies among all synthetic rows, and by how much it may be too high.

    Source: labels of nearest neighbours drawn by lot, Schilling 1986,
    doi:10.1080/01621459.1986.10478337; Bernstein's inequality, which holds for draws without
    replacement, Hoeffding 1963, section 6, doi:10.1080/01621459.1963.10500830.
    """
    n_rows, n_real = len(found.ratio), found.n_train + found.n_holdout
    expected = found.n_train / n_real
    chosen = found.ratio <= np.quantile(found.ratio, share, method="higher")
    excess = float((found.in_train[chosen] - expected).sum())
    kept = chosen[found.owner]
    names, places = np.unique(found.real[kept], return_inverse=True)
    load = np.bincount(places, found.part[kept], minlength=len(names))
    size = np.ones(len(names))
    size[places] = found.size[kept]
    variance = expected * (1 - expected) * float((load**2 / size).sum())
    largest = (1 - expected) * float((load / size).max(initial=0.0)) * _LOG / 3
    radius = largest + math.sqrt(largest**2 + 2 * _LOG * variance)
    scale = n_rows * (1 - expected)
    return excess / scale, radius / scale


def by_share(value: float, n: float, reference: float, n_reference: float) -> float:
    """Lower bound of what the share `value` of synthetic rows exceeds the one of unseen real rows.

    Source: difference from the bounds of both, Newcombe 1998,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10.
    Differs: exact bounds in place of score ones, which are too narrow for a few rows.
    """
    low, _ = _bounds(value, n)
    _, high = _bounds(reference, n_reference)
    return value - reference - math.hypot(value - low, high - reference)


def by_ratio(
    synthetic: tuple[np.ndarray, np.ndarray],
    unseen: tuple[np.ndarray, np.ndarray],
    n_independent: int,
    limit: float,
) -> float:
    """Lower bound of the share of synthetic rows that point at one training row, unlike unseen rows.

    Several rows that point at the same training row count as one that tells as much as they do
    together: each set is as large as its rows under the limit are different.

    Shape:
        synthetic, unseen: (N,), (R,) ratios of distances to the closest and the second closest
            training row, and the number of the closest one.

    Args:
        synthetic: of synthetic rows.
        unseen: of real rows to training rows that do not contain them.
        n_independent: how many independent ones these are worth.
        limit: the ratio under which a row points at one other.

    Source: design effect of clusters, Kish 1965, Survey Sampling, section 5.4.
    """
    sides = []
    for (ratio, closest), n in ((synthetic, len(synthetic[0])), (unseen, n_independent)):
        below = ratio < limit
        load = np.unique(closest[below], return_counts=True)[1]
        effect = (load**2).sum() / load.sum() if len(load) else 1.0
        sides += [float(below.mean()), n / effect]
    return by_share(*sides)


def by_smallest(synthetic: np.ndarray, unseen: np.ndarray, n_independent: int) -> float:
    """Lower bound of the share of synthetic rows that are too close to be chance.

    Of n + r ratios of one distribution the k smallest are all of the n with a probability of
    (n / (n + r))^k at most.

    Shape:
        synthetic, unseen: (N,), (R,) distance ratios.

    Args:
        synthetic: of synthetic rows to training rows.
        unseen: of real rows to training rows that do not contain them.
        n_independent: how many independent ones these are worth.

    Source: number of exceedances, Gumbel and von Schelling 1950, The Annals of Mathematical
    Statistics 21(2).
    """
    n = len(synthetic)
    n_below = int((synthetic < unseen.min()).sum())
    by_chance = math.log(ALPHA) / math.log(n / (n + n_independent))
    return (n_below - by_chance) / n


def ratios(distances: np.ndarray) -> np.ndarray:
    """Distance to the closest over distance to the second closest row.

    It is small where a row points at one other row, whether rows are dense there or not; of a row
    with two equal ones it is 1.

    Shape:
        distances: (N, 2 or more) in ascending order.

    Source: Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94.
    """
    first, second = distances[:, 0], distances[:, 1]
    return np.asarray(np.divide(first, second, out=np.ones(len(first)), where=second > 0))


def _bounds(share: float, n: float) -> tuple[float, float]:
    """Of a share of `n` rows, each bound wrong with a probability of `ALPHA` at most.

    Source: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    count = share * n
    low = float(betaincinv(count, n - count + 1, ALPHA)) if share > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - ALPHA)) if share < 1 else 1.0
    return low, high
