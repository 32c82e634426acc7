"""Columns as intervals of latent normal variables, and the correlations of those variables."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

HERMITE_TERMS = 80
"""Of the expansion of a mean product in powers of the correlation."""

MAX_CORRELATION = 0.9999
"""Columns that determine each other keep this much room, so that the matrix can be inverted."""

MIN_EIGENVALUE = 1e-5
"""Of a matrix of correlations."""

MARGIN = 1e-9
"""Shares are kept so far from 0 and 1, so that their normal scores are finite."""

NARROW = 1e-6
"""Share of an interval below which it counts as a point."""


@dataclass(frozen=True)
class Margin:
    """The distribution of one latent variable of a column: tokens stand for intervals of shares.

    A continuous cell of rank r stands at the share of all cells below it: of the continuous cells,
    r, and of the tokens that are placed below r.

    Attributes:
        column: its index.
        of_missing: whether the variable tells if a cell is missing, not its value.
        tokens: (V,) int64, in their order.
        places: (V,) float64, ascending ranks among the continuous cells at which they stand.
        shares: (V,) float64, of the cells that have the token.
        continuous_token: of continuous cells, or None.
    """

    column: int
    of_missing: bool
    tokens: np.ndarray
    places: np.ndarray
    shares: np.ndarray
    continuous_token: int | None

    @property
    def continuous_share(self) -> float:
        """Of the cells that are continuous."""
        return (
            max(0.0, 1.0 - float(self.shares.sum())) if self.continuous_token is not None else 0.0
        )

    @property
    def before(self) -> np.ndarray:
        """(V + 1,) shares of all tokens before each, and of all."""
        return np.concatenate([[0.0], np.cumsum(self.shares)])

    @property
    def starts(self) -> np.ndarray:
        """(V,) where the interval of each token begins."""
        starts = self.continuous_share * self.places + self.before[:-1]
        return np.asarray(np.minimum(starts, 1.0))  # sums of shares are 1 but for rounding

    @property
    def ends(self) -> np.ndarray:
        """(V,) where it ends."""
        return np.asarray(np.minimum(self.starts + self.shares, 1.0))

    def scores(self) -> np.ndarray:
        """(V,) the mean of a standard normal variable inside each token's interval."""
        return mean_scores(self.starts, self.ends)

    def hermite(self) -> np.ndarray:
        """(HERMITE_TERMS,) coefficients, from degree 1, of the score as a function of the variable.

        The score is the variable itself where it is continuous, and its mean inside the interval
        of a token. Coefficients are for Hermite polynomials of unit norm.
        """
        degrees = np.arange(1, HERMITE_TERMS + 1)
        integrals = _hermite_integrals(self.starts, self.ends)
        steps = self.scores() @ integrals[:, 1:-1]
        if self.continuous_token is None:
            return np.asarray(steps)
        # The integral of z he_k is that of sqrt(k + 1) he_(k + 1) + sqrt(k) he_(k - 1).
        inside = np.sqrt(degrees + 1) * integrals[:, 2:] + np.sqrt(degrees) * integrals[:, :-2]
        return np.asarray(steps + (degrees == 1) - inside.sum(axis=0))


def mean_scores(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The mean of a standard normal variable between two shares of its distribution."""
    width = high - low
    ends = _density(low) - _density(high)
    middle = ndtri(np.clip((low + high) / 2, MARGIN, 1 - MARGIN))
    return np.asarray(np.where(width > NARROW, ends / np.maximum(width, NARROW), middle))


def latent_correlations(products: np.ndarray, hermite: np.ndarray) -> np.ndarray:
    """Correlations of latent variables whose scores have these mean products.

    The mean product of two scores is the sum over k of r^k a_k b_k, in which r is the correlation
    and a and b are the scores' Hermite coefficients. It rises with r, so it is solved by bisection.
    For two binary columns this is the tetrachoric correlation, for others its generalisation.

    Shape:
        products: (L, L) float64.
        hermite: (L, HERMITE_TERMS) float64.
        returns: (L, L) float64, positive definite, with a diagonal of 1.

    Source:
        Mehler 1866, doi:10.1515/crll.1866.66.161; Olsson 1979, doi:10.1007/BF02296207.
    """
    low = np.full(products.shape, -MAX_CORRELATION)
    high = -low
    for _ in range(40):
        middle = (low + high) / 2
        found, power = np.zeros_like(middle), np.ones_like(middle)
        for coefficients in hermite.T:
            power = power * middle
            found += power * np.outer(coefficients, coefficients)
        below = found < products
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return nearest_correlations((low + high) / 2)


def nearest_correlations(matrix: np.ndarray) -> np.ndarray:
    """A positive definite matrix with a diagonal of 1 near a symmetric one.

    Source: Rebonato and Jäckel 1999, section 3, doi:10.2139/ssrn.1969689: eigenvalues that are too
    small are raised.
    """
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    raised = (vectors * np.maximum(values, MIN_EIGENVALUE)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(raised))
    raised = raised * scale * scale[:, None]
    return np.asarray((raised + raised.T) / 2)


def principal_order(profiles: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Categories in the order of their mean profiles along the direction in which these differ most.

    Shape:
        profiles: (V, F) float64, mean standardised features of the rows of each category.
        counts: (V,) rows of each.
        returns: (V,) int64.
    """
    weights = counts / max(counts.sum(), 1)
    centred = profiles - weights @ profiles
    _, vectors = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    along = centred @ vectors[:, -1]
    # The sign of an eigenvector is arbitrary; the commonest category is put below the middle.
    if len(along) and along[np.argmax(counts)] > 0:
        along = -along
    return np.argsort(np.round(along, 9), kind="stable")


def _hermite_integrals(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(V, HERMITE_TERMS + 2) integrals of Hermite polynomials of unit norm between two shares.

    That of degree k is the difference of the density times degree k - 1, over sqrt(k).
    """
    n_degrees = HERMITE_TERMS + 2
    integrals = np.empty((len(low), n_degrees))
    integrals[:, 0] = high - low
    at_low, at_high = (_weighted_hermite(ends, n_degrees - 1) for ends in (low, high))
    integrals[:, 1:] = (at_low - at_high) / np.sqrt(np.arange(1, n_degrees))
    return integrals


def _weighted_hermite(shares: np.ndarray, n_degrees: int) -> np.ndarray:
    """(V, n_degrees) Hermite polynomials of unit norm times the normal density."""
    z = ndtri(np.clip(shares, MARGIN, 1 - MARGIN))
    values = np.zeros((len(z), n_degrees))
    values[:, 0] = _density(shares)
    for k in range(1, n_degrees):
        before = values[:, k - 2] * np.sqrt(k - 1) if k > 1 else 0.0
        values[:, k] = (z * values[:, k - 1] - before) / np.sqrt(k)
    return values


def _density(shares: np.ndarray) -> np.ndarray:
    """The normal density at quantiles; 0 at both ends."""
    z = ndtri(np.clip(shares, MARGIN, 1 - MARGIN))
    inside = (shares > MARGIN) & (shares < 1 - MARGIN)
    return np.asarray(np.where(inside, np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi), 0.0))
