"""Attribute inference: what do the synthetic rows tell of a person about whom all else is known?"""

import numpy as np

from tasks.privacy.distances import neighbours
from tasks.privacy.points import Points


def guessed(known: Points, synthetic: Points, secrets: np.ndarray) -> np.ndarray:
    """The secret of the synthetic row that is closest to what is known of each person.

    One neighbour and not several: it is the row that would be the person's, had it been copied.

    Shape:
        known: N persons by all columns but the secret one.
        synthetic: M rows by the same columns.
        secrets: (M,) the value of the secret column in each of them.
        returns: (N,)

    Source: inference of an attribute from synthetic rows, Stadler et al. 2022,
    arXiv:2011.07018; the adversary of Yeom et al. 2018, experiment 2, arXiv:1709.01604.
    Differs: a nearest neighbour in place of a linear regression, which cannot repeat a single row.
    """
    _, closest = neighbours(known, synthetic)
    return np.asarray(secrets[closest[:, 0]])


def binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each number, from 0; -1 where it is missing.

    Shape:
        values: (N,) float, NaN where missing.
        edges: (B,) ascending; a value equal to an edge is above it.
        returns: (N,) int64 in -1 ... B.
    """
    places = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), -1, places)


def edges(real: np.ndarray, n_bins: int) -> np.ndarray:
    """What parts the real numbers into about equally many, at most `n_bins`.

    Shape:
        real: (R,) float, NaN where missing.
        returns: at most n_bins - 1 ascending numbers; none where all are the same.
    """
    present = real[~np.isnan(real)]
    if len(present) == 0:
        return np.zeros(0)
    shares = np.arange(1, n_bins) / n_bins
    found = np.unique(np.quantile(present, shares, method="inverted_cdf"))
    return np.asarray(found[found > present.min()])
