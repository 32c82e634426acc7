"""Singling out: do the synthetic rows describe exactly one real person?

An attacker who sees the synthetic rows alone states a predicate, a description such as *sex is
Female and age is 81 to 83*. It singles out if exactly one row of a data set
matches. A predicate that holds for one person in n does so by luck in a share 1 / e = 37 % of all
data sets of n rows (Cohen and Nissim 2020, doi:10.1073/pnas.1914598117), so that success on the
training rows means nothing until it is compared with success on as many rows that were never
trained on.
"""

from dataclasses import dataclass

import numpy as np

_WIDTHS = (0.25, 0.05, 0.0)
"""Half the width of a number's range, in deviations of its column: the widest that does is used."""

_UNBOUNDED = np.finfo(np.float64).max


@dataclass(frozen=True)
class Condition:
    """A column's value lies in a closed range; of a category both ends are its code."""

    column: int
    low: float
    high: float


Predicate = tuple[Condition, ...]
"""Conditions that must hold together."""


@dataclass(frozen=True)
class Table:
    """Rows as predicates see them.

    Shape:
        columns: of (N,) float64 each, the numbers, then the codes; -inf where a number is missing.

    Attributes:
        n_numbers: how many columns are numbers.
    """

    columns: tuple[np.ndarray, ...]
    n_numbers: int

    @classmethod
    def of(cls, numbers: np.ndarray, codes: np.ndarray) -> "Table":
        """Shape: numbers (N, C) with NaN where missing; codes (N, D)."""
        present = np.where(np.isnan(numbers), -np.inf, numbers)
        return cls((*present.T.copy(), *codes.T.astype(np.float64)), numbers.shape[1])

    def __len__(self) -> int:
        return len(self.columns[0])

    def matching(self, predicate: Predicate) -> np.ndarray:
        """The positions of the rows that match."""
        found = np.arange(len(self))
        for one in predicate:
            values = self.columns[one.column]
            values = values if len(found) == len(self) else values[found]
            found = found[(values >= one.low) & (values <= one.high)]
        return found

    def singled_out(self, predicates: list[Predicate]) -> np.ndarray:
        """Of each predicate whether exactly one row matches; shape (predicates,) bool."""
        return np.array([len(self.matching(one)) == 1 for one in predicates], bool)


def univariate(released: Table, n: int, rng: np.random.Generator) -> list[Predicate]:
    """Predicates on one column each that match exactly one released row.

    They are the values that occur once, and *at most the lowest* and *at least the highest* number
    where that occurs once. Each column gives as many, if it has them.

    Args:
        released: the synthetic rows.
        n: predicates at most.
        rng: chooses among those that there are.
    """
    by_column = [_alone(values) for values in released.columns]
    share = max(1, n // max(1, sum(len(once) > 0 for once, *_ in by_column)))
    found: list[Predicate] = []
    for column, (once, lowest, highest) in enumerate(by_column):
        ranges = [(one, one) for one in rng.permutation(once)[:share]]
        if column < released.n_numbers:
            ranges += [(-_UNBOUNDED, one) for one in lowest] + [
                (one, _UNBOUNDED) for one in highest
            ]
        found += [(Condition(column, low, high),) for low, high in ranges[-share:]]
    return found


def _alone(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values that occur once, and of them the lowest and the highest of all."""
    known, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    once = counts == 1
    return known[once], known[:1][once[:1]], known[-1:][once[-1:]]


def multivariate(released: Table, n: int, rng: np.random.Generator) -> list[Predicate]:
    """Predicates on two columns or more that match exactly one released row.

    Columns are added to the description of a random row, in random order, until no other row
    matches. A row that others equal gives none.

    Args:
        released: the synthetic rows.
        n: rows that are described.
        rng: chooses rows and orders.

    Source: predicate singling out, Cohen and Nissim 2020, doi:10.1073/pnas.1914598117.
    """
    deviations = [_deviation(values) for values in released.columns[: released.n_numbers]]
    deviations += [0.0] * (len(released.columns) - released.n_numbers)
    found = []
    for row in rng.choice(len(released), min(n, len(released)), replace=False):
        order = rng.permutation(len(released.columns))
        for width in _WIDTHS:
            if predicate := _described(released, int(row), order, deviations, width):
                found.append(predicate)
                break
    return found


def _described(
    released: Table, row: int, order: np.ndarray, deviations: list[float], width: float
) -> Predicate | None:
    """The shortest description in this order of columns that matches the row alone."""
    conditions: list[Condition] = []
    matching = np.arange(len(released))
    for column in order:
        value, reach = released.columns[column][row], width * deviations[column]
        one = Condition(int(column), value - reach, value + reach)
        conditions.append(one)
        values = released.columns[column][matching]
        matching = matching[(values >= one.low) & (values <= one.high)]
        if len(matching) == 1 and len(conditions) > 1:
            return tuple(conditions)
    return None


def _deviation(values: np.ndarray) -> float:
    """Half the range of the middle two thirds, which an extreme does not widen; 0 if none is known.

    In a normal column it is the standard deviation.
    """
    present = values[np.isfinite(values)]
    if len(present) == 0:
        return 0.0
    low, high = np.quantile(present, [0.1587, 0.8413])
    return float(high / 2 - low / 2)
