"""How alike two columns are, by what their profiles keep: from 0 to 1."""

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tasks.profiling.profile import ColumnProfile

_CODED = 0.8
"""Share of the rows that the commonest values must cover for their shares to tell of a column."""

_REPEATS = 5
"""Rows of a value on average from which a column is coded: the values of few rows differ by chance."""

_FINE = 0.1
"""Different values a row from which a column tells rows apart."""

_FEW_STAY = 0.4
"""Share of kept values below which values tell nothing, and the distribution must."""


_SHAPE_ALONE = 0.55
"""What the same distribution says of two columns whose values differ, though other columns kept theirs."""


class Kept(NamedTuple):
    """The share of their different values that columns keep which nobody has touched.

    Rows that come and go make it small for columns that tell rows apart (`fine`), and leave it
    large for others (`coarse`).
    """

    fine: float = 1.0
    coarse: float = 1.0


_ALL = Kept()


@dataclass(frozen=True)
class Likeness:
    """Of one column before and one after.

    Attributes:
        before: its profile.
        after: its profile.
        kept: what other columns tell of how many rows are still there.
    """

    before: ColumnProfile
    after: ColumnProfile
    kept: Kept = _ALL

    @cached_property
    def content(self) -> float:
        """Of their values, whatever their names are."""
        values = max(self.same_values, self.same_shares)
        if not self.is_comparable:
            # Another type altogether: only the very same values can tell.
            return values if values > 0.5 else 0.0
        shape = self.same_shape
        if self.expected < _FEW_STAY and not self.is_coded:
            return max(0.9 * shape, values)
        kept = 0.8 * min(1.0, values / max(self.expected, _FEW_STAY)) + 0.2 * shape
        # Columns may keep values for reasons of their own: a like distribution with a like name
        # is enough, without one it is not.
        return max(kept, _SHAPE_ALONE * shape if shape > 0.9 else 0.0)

    @cached_property
    def name(self) -> float:
        """Of their names."""
        return name_likeness(self.before.name, self.after.name)

    @property
    def confidence(self) -> float:
        """That they are one column: what neither content nor half of the name can deny."""
        return 1 - (1 - self.content) * (1 - 0.5 * self.name)

    @cached_property
    def is_comparable(self) -> bool:
        """Whether both are numbers, or both texts, or neither."""
        return bool(self.before.quantiles) == bool(self.after.quantiles) and bool(
            self.before.patterns
        ) == bool(self.after.patterns)

    @cached_property
    def is_coded(self) -> bool:
        """Whether few values, each of them often, make up both columns."""
        return all(is_coded(column) for column in (self.before, self.after))

    @property
    def expected(self) -> float:
        """The share of its values that the column should have kept."""
        return self.kept.fine if is_fine(self.before) else self.kept.coarse

    @property
    def rows_stay(self) -> bool:
        """Whether other columns tell that many of the rows are still there."""
        return self.expected >= _FEW_STAY

    @property
    def is_untouched(self) -> bool:
        """Whether it has kept enough of its values."""
        return self.rows_stay and self.same_values >= 0.5 * self.expected

    @cached_property
    def same_values(self) -> float:
        """Jaccard index of the different values, by MinHash."""
        one, other = (np.array(c.signature) for c in (self.before, self.after))
        return float((one == other).mean()) if len(one) and len(other) else 0.0

    @cached_property
    def same_shares(self) -> float:
        """Share of the rows whose value is as common on the other side; 0 unless both are coded."""
        if not self.is_coded:
            return 0.0
        other = dict(self.after.top)
        common = sum(min(share, other.get(value, 0.0)) for value, share in self.before.top)
        return common / max(sum(s for _, s in c.top) for c in (self.before, self.after))

    @cached_property
    def same_shape(self) -> float:
        """1 less twice the largest distance of the distribution functions, or of the patterns."""
        if self.before.quantiles and self.after.quantiles:
            return max(0.0, 1 - 2 * _distance(self.before.quantiles, self.after.quantiles))
        if self.before.patterns and self.after.patterns:
            other = dict(self.after.patterns)
            common = sum(min(s, other.get(p, 0.0)) for p, s in self.before.patterns)
            most = min(sum(s for _, s in c.patterns) for c in (self.before, self.after))
            lengths = np.array([self.before.lengths, self.after.lengths])
            ratio = lengths.min(axis=0).sum() / max(1.0, lengths.max(axis=0).sum())
            return float(0.5 * common / most + 0.5 * ratio)
        return 0.0


def is_coded(column: ColumnProfile) -> bool:
    """Whether few values, each of them often, make up a column."""
    n_present = column.n_rows - column.n_missing
    repeats = column.n_distinct * _REPEATS <= n_present
    return repeats and sum(share for _, share in column.top) >= _CODED


def is_fine(column: ColumnProfile) -> bool:
    """Whether a column has so many values that they tell rows apart."""
    return column.n_distinct > _FINE * (column.n_rows - column.n_missing)


def name_likeness(one: str, other: str) -> float:
    """Of two names: as words, where they have some in common, or letter by letter."""
    words = [_words(name) for name in (one, other)]
    if words[0] == words[1]:
        return 1.0
    shared = len(set(words[0]) & set(words[1])) / max(1, min(len(set(w)) for w in words))
    one, other = ("".join(w) for w in words)
    letters = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return float(max(0.9 * shared, letters))


def _words(name: str) -> list[str]:
    """`annualIncome_EUR` as [annual, income, eur]."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word.lower() for word in re.findall(r"[^\W_]+", spaced)]


def _distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The largest distance of two distribution functions, known by their quantiles (Kolmogorov)."""
    places = np.unique([*one, *other])
    found = [_distribution(np.array(q), places) for q in (one, other)]
    return float(np.abs(found[0] - found[1]).max())


def _distribution(quantiles: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The middle of the steps that the distribution function takes at each place."""
    ranks = np.linspace(0, 1, len(quantiles))
    first = np.searchsorted(quantiles, places, side="left")
    last = np.searchsorted(quantiles, places, side="right")
    inside = np.interp(places, quantiles, ranks)
    at = (ranks[np.minimum(first, len(ranks) - 1)] + ranks[np.maximum(last - 1, 0)]) / 2
    return np.where(last > first, at, inside)
