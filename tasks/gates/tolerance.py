"""How far fresh rows of the same source may be from learned ones: limits that know both sizes.

Each limit belongs to a test of two samples, so it is wide for few rows and narrow for many, on
either side. `alpha` is the chance that rows of the very same source exceed it.
"""

import math

import numpy as np
from scipy import stats

FEWEST_IN_CELL = 5.0
"""Rows that a cell must be expected to have in either sample; rarer cells are taken together."""

_SLACK = 1.2
"""Factor on the quantile of chi-squared: its tail is too light where cells have few rows."""


def is_more(found: int, n_rows: int, learned: int, n_learned: int, alpha: float) -> bool:
    """Whether more rows are concerned than chance explains.

    Given how many rows of both samples together are concerned, those of the checked one are a
    random draw of them, if both are from one source (the exact conditional test of two rates).

    Args:
        found: rows concerned among those checked.
        n_rows: rows checked.
        learned: rows concerned among those learned from.
        n_learned: rows learned from.
        alpha: chance of a false alarm.

    Source:
        J. Przyborowski and H. Wilenski, Homogeneity of results in testing samples from Poisson
        series, Biometrika 31 (1940), doi:10.2307/2332612.

    Differs:
        Of shares that are not small the binomial is wider than the hypergeometric distribution,
        so there are fewer false alarms than `alpha` says.
    """
    if found == 0:
        return False
    share = n_rows / (n_rows + n_learned)
    return bool(stats.binom.sf(found - 1, found + learned, share) < alpha)


def is_fewer(found: int, n_rows: int, learned: int, n_learned: int, alpha: float) -> bool:
    """Whether fewer rows are concerned than chance explains; see `is_more`."""
    if learned == 0:
        return False
    share = n_rows / (n_rows + n_learned)
    return bool(stats.binom.cdf(found, found + learned, share) < alpha)


def ks_distance(values: np.ndarray, edges: np.ndarray, cumulative: np.ndarray) -> float:
    """The largest difference of the distribution functions at some edges.

    Args:
        values: (N,) the checked values, N > 0, none missing.
        edges: (K,) ascending.
        cumulative: (K,) learned share of values up to and including each edge.

    Source:
        Kolmogorov-Smirnov distance; at some places only, so it is never larger than in full.
    """
    found = np.searchsorted(np.sort(values), edges, side="right") / len(values)
    return float(np.max(np.abs(found - cumulative)))


def ks_limit(n_rows: int, n_learned: int, alpha: float) -> float:
    """What the Kolmogorov-Smirnov distance of two samples of one source exceeds by chance `alpha`.

    Source:
        P. Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Annals of
        Probability 18 (1990), doi:10.1214/aop/1176990746; for two samples F. Wei and R. Dudley,
        Statistics & Probability Letters 82 (2012), doi:10.1016/j.spl.2011.11.012.
    """
    return math.sqrt(math.log(2 / alpha) / 2 * (1 / n_rows + 1 / n_learned))


def psi(counts: np.ndarray, shares: np.ndarray, n_learned: int) -> tuple[float, int]:
    """The population stability index of counted cells against learned shares.

    Args:
        counts: (K,) checked rows in each cell.
        shares: (K,) learned shares of the cells.
        n_learned: rows learned from.

    Returns:
        The index, the sum of (q - p) ln(q / p), and the number of cells it was taken over: those
        in which either sample should have fewer than `FEWEST_IN_CELL` rows are one cell.

    Source:
        N. Siddiqi, Credit Risk Scorecards (Wiley 2006), chapter 9; it is the symmetrised
        divergence of S. Kullback and R. Leibler (1951), doi:10.1214/aoms/1177729694.

    Differs:
        Half a row is added to each cell of both, so an empty cell gives a number.
    """
    n_rows = counts.sum()
    is_rare = shares * min(n_rows, n_learned) < FEWEST_IN_CELL
    if is_rare.sum() > 1:
        counts = np.append(counts[~is_rare], counts[is_rare].sum())
        shares = np.append(shares[~is_rare], shares[is_rare].sum())
    k = len(counts)
    q = (counts + 0.5) / (n_rows + 0.5 * k)
    p = (shares * n_learned + 0.5) / (n_learned + 0.5 * k)
    return float(np.sum((q - p) * np.log(q / p))), k


def psi_limit(n_cells: int, n_rows: int, n_learned: int, alpha: float) -> float:
    """What the index of two samples of one source exceeds by chance `alpha`.

    Source:
        B. Yurdakul and J. Naranjo, Statistical properties of the population stability index,
        Journal of Risk Model Validation 14 (2020), doi:10.21314/JRMV.2020.227: PSI over
        (1/n + 1/m) is distributed as chi-squared with K - 1 degrees of freedom.
    """
    if n_cells < 2:
        return 0.0
    quantile = float(stats.chi2.isf(alpha, n_cells - 1))
    return _SLACK * quantile * (1 / n_rows + 1 / n_learned)


def repeats_limit(n_rows: int, pairs: float, n_learned: int, alpha: float) -> int:
    """How many rows may repeat an earlier one: pairs of equal rows grow with the square of rows.

    Args:
        n_rows: rows checked.
        pairs: pairs of equal rows among those learned from.
        n_learned: rows learned from.
        alpha: chance of a false alarm.

    Differs:
        Three pairs more may have been missed where few were seen, and three times what is then
        expected is allowed before chance comes in, because few rows with many copies make pairs
        vary more than the Poisson distribution says.
    """
    rate = (pairs + 3.0) / max(1.0, n_learned * (n_learned - 1) / 2)
    expected = 3.0 * rate * n_rows * (n_rows - 1) / 2
    return int(stats.poisson.isf(alpha, expected))
