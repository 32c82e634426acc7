"""Membership inference: was this person's row among those that the generator was trained on?

An attacker who has the synthetic rows, and other rows of the same population as a reference, gives
each person a score, larger where more likely a member. The scores of rows that were trained on and
of rows that were not tell how well that works: the area under the ROC curve on average, the true
positive rate at few false positives for the rows that leak most.
"""

import numpy as np

_SOFT = 1e-3
"""What is added to distances before their logarithms, as a share of a usual one: equal rows have
distance 0."""


def density_ratio(
    to_synthetic: np.ndarray, to_reference: np.ndarray, n_synthetic: int, n_reference: int
) -> np.ndarray:
    """How much denser the synthetic rows lie around a row than the reference rows, as a logarithm.

    Both densities are Gaussian kernels over the closest rows, of one bandwidth: the median distance
    from a row to its closest reference row.

    Shape:
        to_synthetic: (N, K) distances to the closest synthetic rows.
        to_reference: (N, K) distances to the closest reference rows.
        returns: (N,) float64.

    Source: p_synthetic(x) / p_reference(x), DOMIAS, van Breugel et al. 2023,
    arXiv:2302.12580.
    Differs: only the K closest rows count, which hold nearly all of a kernel's mass at this
    bandwidth and are found much faster.
    """
    bandwidth = _usual(to_reference[:, 0])
    synthetic = _log_density(to_synthetic / bandwidth, n_synthetic)
    return np.asarray(synthetic - _log_density(to_reference / bandwidth, n_reference))


def calibrated_distance(to_synthetic: np.ndarray, to_reference: np.ndarray) -> np.ndarray:
    """How much closer the closest synthetic row is than the closest reference row, as a logarithm.

    A row in a dense place has close rows in any sample; calibration leaves what only the training
    explains.

    Shape:
        to_synthetic: (N,) distances to the closest synthetic row.
        to_reference: (N,) distances to the closest reference row.
        returns: (N,) float64.

    Source: full black-box attack with calibration, GAN-Leaks, Chen et al. 2020,
    arXiv:1909.03935.
    Differs: the ratio of both distances in place of their difference, which only sees rows that
    are far from all others; reference rows in place of samples of a reference model.
    """
    soft = _SOFT * _usual(to_reference)
    return np.asarray(np.log(to_reference + soft) - np.log(to_synthetic + soft))


def roc(members: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve: shares of others and of members with a score of at least each threshold.

    Shape:
        members: (M,) scores of members.
        others: (N,) scores of non-members.
        returns: false and true positive rates, ascending from 0 to 1; between two points that a
            tie makes, the curve is the straight line.
    """
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    rates = [
        1 - np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
        for scores in (others, members)
    ]
    return np.append(0.0, rates[0]), np.append(0.0, rates[1])


def true_positive_rate(
    members: np.ndarray, others: np.ndarray, false_positive_rate: float
) -> float:
    """The share of members found where so few others are taken for members.

    Source: Carlini et al. 2022, arXiv:2112.03570.
    """
    return float(np.interp(false_positive_rate, *_upper(*roc(members, others))))


def _upper(false: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of thresholds with the same false positives the one that finds most members."""
    last = np.append(false[1:] > false[:-1], True)
    return false[last], true[last]


def _log_density(distances: np.ndarray, n_rows: int) -> np.ndarray:
    """Shape: (N, K) in bandwidths, ascending; returns (N,)."""
    exponents = -np.square(distances) / 2
    # The closest row's term is taken out of the sum, which could otherwise underflow to 0.
    return np.asarray(
        exponents[:, 0] + np.log(np.exp(exponents - exponents[:, :1]).sum(axis=1)) - np.log(n_rows)
    )


def _usual(distances: np.ndarray) -> float:
    """The median distance that is not 0; 1 if all are."""
    positive = distances[distances > 0]
    return float(np.median(positive)) if len(positive) else 1.0
