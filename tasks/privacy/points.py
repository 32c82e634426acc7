"""Rows of a table, or images, as points of a space with a euclidean distance."""

from dataclasses import dataclass

import numpy as np

_MAX_ONE_HOT = 16
"""Categories of a column that get a dimension each while candidates are looked for."""

_MAX_DIMENSIONS = 256
"""Dimensions of all columns together in which candidates are looked for, if numbers allow."""

_FEW_DIMENSIONS = 8
"""Up to here rows may be so close that only float64 can tell which is the closest."""

_MISSING_RANK = -0.5

SMALLEST = 1e-150
"""Numbers closer to zero count as zero, and such scales as none: their squares are hardly numbers."""

_MIN_KNOTS, _MAX_KNOTS, _ROWS_PER_KNOT = 16, 4096, 16
"""How many real values of a column ranks are interpolated between, if it has so many."""


@dataclass(frozen=True)
class Points:
    """Rows in a space with a euclidean distance.

    Shape:
        numbers: (N, C) float64 without NaN.
        codes: (N, D) integers, compared for equality; D is 0 where there are only numbers.

    Attributes:
        code_weight: what each unequal code adds to the squared distance.
    """

    numbers: np.ndarray
    codes: np.ndarray
    code_weight: float

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: np.ndarray) -> "Points":
        """The points at these positions."""
        return Points(self.numbers[index], self.codes[index], self.code_weight)

    def sample(self, n: int, rng: np.random.Generator) -> "Points":
        """`n` of the points at random, in their order; all of them if there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(rng.choice(len(self), n, replace=False)))


@dataclass(frozen=True)
class Gower:
    """The space of rows with numbers and categories, in which each column counts the same.

    The distance of two rows is the root of the mean, over the columns, of their squared difference
    in that column. Two numbers differ by the share of the real rows between them, two different
    categories by 1, a missing number and a present one by 0.5 to 1.5.

    Attributes:
        known: of each number column different real values in order, and their ranks: the shares
            of the real values below, ties half.
        n_columns: numbers and categories together.

    Source: general coefficient of similarity s, Gower 1971, doi:10.2307/2528823; by its section 4
    the root of 1 - s is a euclidean distance where no column's part of 1 - s is more than that of
    squared coordinates, which is so here by construction.
    Differs: squared differences in place of absolute ones, so that the search is a matrix product;
    ranks in place of values over the range, so that one extreme value or a skewed column does not
    make all others equal.
    """

    known: tuple[tuple[np.ndarray, np.ndarray], ...]
    n_columns: int

    @classmethod
    def of(cls, real_numbers: np.ndarray, n_codes: int) -> "Gower":
        """The space whose ranks refer to these rows.

        Shape:
            real_numbers: (R, C) float, NaN where missing.
        """
        known = tuple(_known(column) for column in _without_traces(real_numbers).T)
        return cls(known, max(1, len(known) + n_codes))

    def points(self, numbers: np.ndarray, codes: np.ndarray) -> Points:
        """Rows in this space.

        Shape:
            numbers: (N, C) float, NaN where missing.
            codes: (N, D) int, a missing value is a code of its own.
        """
        ranks = np.empty(numbers.shape)
        for place, known in enumerate(self.known):
            ranks[:, place] = np.interp(_without_traces(numbers[:, place]), *known)
        ranks[np.isnan(numbers)] = _MISSING_RANK
        return Points(ranks / np.sqrt(self.n_columns), codes, 1 / self.n_columns)


def euclidean(vectors: np.ndarray) -> Points:
    """Points at their L2 distance."""
    return Points(vectors, np.zeros((len(vectors), 0), np.int32), 0.0)


def gower(numbers: np.ndarray, codes: np.ndarray, real_numbers: np.ndarray) -> Points:
    """Rows of a table in the space `Gower` whose ranks refer to `real_numbers`.

    Shape:
        numbers: (N, C) float, NaN where missing.
        codes: (N, D) int, a missing value is a code of its own.
        real_numbers: (R, C) float, NaN where missing.
    """
    return Gower.of(real_numbers, codes.shape[1]).points(numbers, codes)


def to_centre(points: Points, references: Points) -> np.ndarray:
    """Distances to the mean of the references, where categories are corners of a simplex.

    Shape:
        returns: (N,) float64.
    """
    squares = np.square(points.numbers - references.numbers.mean(axis=0)).sum(axis=1)
    for codes, others in zip(points.codes.T, references.codes.T, strict=True):
        known, counts = np.unique(others, return_counts=True)
        shares = np.append(counts / len(others), 0.0)
        parts = 1 - 2 * shares[_places(codes, known)] + np.square(shares).sum()
        squares += points.code_weight / 2 * parts
    return np.asarray(np.sqrt(squares))


def embedded(points: Points, references: Points) -> np.ndarray:
    """Vectors whose squared distances are those of the points, or about so of many categories.

    Shape:
        returns: (N, K) float32, or float64 if K is small; the same axes for the same references.
    """
    n_numbers, n_codes = references.numbers.shape[1], references.codes.shape[1]
    room = max(1, min(_MAX_ONE_HOT, (_MAX_DIMENSIONS - n_numbers) // max(1, n_codes)))
    known = [np.unique(codes) for codes in references.codes.T]
    tables = [_category_vectors(len(one), room, place) for place, one in enumerate(known)]
    width = n_numbers + sum(table.shape[1] for table in tables)
    vectors = np.empty((len(points), width), np.float64 if width <= _FEW_DIMENSIONS else np.float32)
    # Small numbers lose least where they are squared and subtracted.
    vectors[:, :n_numbers] = points.numbers - references.numbers.mean(axis=0)
    end = n_numbers
    for place, table in enumerate(tables):
        start, end = end, end + table.shape[1]
        # A category that no reference has is equally far from all of them: the zero vector.
        scaled = np.vstack([table, np.zeros(table.shape[1])]) * np.sqrt(references.code_weight / 2)
        vectors[:, start:end] = scaled[_places(points.codes[:, place], known[place])]
    return vectors


def _without_traces(numbers: np.ndarray) -> np.ndarray:
    """Zero in place of what is next to it: ranks between such numbers would rise infinitely fast."""
    return np.where(np.abs(numbers) < SMALLEST, 0.0, numbers)


def _known(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values of a column in order, or some of them, and their ranks."""
    values, counts = np.unique(real[~np.isnan(real)], return_counts=True)
    if len(values) == 0:
        return np.zeros(1), np.zeros(1)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    # Were each real row a knot, real rows would be at least a rank apart, and others not.
    n_knots = int(np.clip(counts.sum() // _ROWS_PER_KNOT, _MIN_KNOTS, _MAX_KNOTS))
    if len(values) > n_knots:
        some = np.linspace(0, len(values) - 1, n_knots).round().astype(int)
        values, ranks = values[some], ranks[some]
    return values, ranks


def _places(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where each code is among the known, which are in order; their number if it is not."""
    found = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return np.where(known[found] == codes, found, len(known))


def _category_vectors(n: int, n_dimensions: int, column: int) -> np.ndarray:
    """Unit vectors of `n` categories, their squared distances 2 or, where they are many, about 2.

    Shape:
        returns: (n, K), K at most `n_dimensions`.
    """
    if n == 2:
        return np.array([[0.5**0.5], [-(0.5**0.5)]])
    if n <= n_dimensions:
        return np.eye(n)
    # Any fixed signs do: they only choose the candidates.
    signs = np.random.default_rng(column).integers(0, 2, (n, n_dimensions)) * 2.0 - 1
    return np.asarray(signs / np.sqrt(n_dimensions))
