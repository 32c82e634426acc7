"""The groups that are compared, and the outcome that they are compared by.

A group is a value of a categorical column: `race = Other`. What happens to it is one outcome: the
rarer of two classes of the target, the commonest of more, or a number above its median.
"""

from dataclasses import dataclass

import numpy as np

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fairness.rates import N_BLOCKS
from tasks.evaluation.rows import Rows

MAX_GROUPS = 30
"""Groups that a column has at most."""

MIN_GROUP_ROWS = 30
"""Training rows of a group that is compared."""


@dataclass(frozen=True)
class Happening:
    """The outcome that groups are compared by.

    Attributes:
        label: in words: `income = >50K`.
        place: of the target among the discrete columns, or among the numeric ones.
        code: of the class; None where the target is a number.
        above: what a number must exceed.
    """

    label: str
    place: int
    code: int | None
    above: float = 0.0

    def of(self, rows: Rows) -> np.ndarray:
        """Shape: (N,) 1 where it happened, 0 where not, -1 where the target is missing."""
        if self.code is not None:
            target = rows.codes[:, self.place]
            return np.where(target < 0, -1, target == self.code)
        numbers = rows.numbers[:, self.place]
        return np.where(np.isnan(numbers), -1, numbers > self.above)


@dataclass(frozen=True)
class Groups:
    """The groups of one column.

    Attributes:
        place: of the column among the discrete ones.

    Shape:
        codes: (groups,) of the groups, the largest group first.
    """

    place: int
    codes: np.ndarray

    def members(self, rows: Rows) -> np.ndarray:
        """Shape: (N, groups) bool."""
        return np.asarray(rows.codes[:, self.place, None] == self.codes)

    def counted(self, rows: Rows, happened: np.ndarray, blocks: np.ndarray) -> np.ndarray:
        """Rows by block, group and whether it happened.

        Shape:
            happened: (N,) 1, 0 or -1.
            blocks: (N,) below `N_BLOCKS`.
            returns: (N_BLOCKS, groups, 2).
        """
        codes = rows.codes[:, self.place]
        place_of = np.full(max(codes.max(initial=0), self.codes.max()) + 2, -1)
        place_of[self.codes] = np.arange(len(self.codes))
        place = place_of[codes]
        is_counted = (place >= 0) & (happened >= 0)
        cell = (blocks * len(self.codes) + place) * 2 + happened
        n_cells = N_BLOCKS * len(self.codes) * 2
        counts = np.bincount(cell[is_counted], minlength=n_cells)
        return counts.reshape(N_BLOCKS, len(self.codes), 2)


@dataclass(frozen=True)
class Counted:
    """The groups of all columns, one after the other, counted in the three sets.

    Shape:
        columns: (groups,) place of each group's column among the discrete ones.
        codes: (groups,) of each group in its column.
        train, holdout, synthetic: (N_BLOCKS, groups, 2), as `Groups.counted`; the last two of as
            many rows.
    """

    happening: Happening
    columns: np.ndarray
    codes: np.ndarray
    train: np.ndarray
    holdout: np.ndarray
    synthetic: np.ndarray


def happening_of(comparison: Comparison) -> Happening:
    """The outcome, from the training rows.

    Raises:
        NotApplicable: there is no target, or it has one value only.
    """
    target = comparison.target
    if target is None:
        raise NotApplicable("the dataset has no target whose rate groups could differ in")
    names = [column.name for column in comparison.discrete]
    if target not in names:
        place = [column.name for column in comparison.numeric].index(target)
        numbers = comparison.train.numbers[:, place]
        numbers = numbers[~np.isnan(numbers)]
        if len(np.unique(numbers)) < 2:
            raise NotApplicable(f"the target {target!r} has one value at most in the training rows")
        middle = float(np.median(numbers))
        # Of a target that is mostly its maximum nothing is above the median.
        above = middle if (numbers > middle).any() else float(numbers[numbers < middle].max())
        label = f"{target} above its median" if above == middle else f"{target} at its maximum"
        return Happening(label, place, None, above)
    place = names.index(target)
    codes = comparison.train.codes[:, place]
    counts = np.bincount(codes[codes >= 0], minlength=1)
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise NotApplicable(f"the target {target!r} has one value at most in the training rows")
    rank = counts[present]
    code = int(present[rank.argmin() if len(present) == 2 else rank.argmax()])
    return Happening(f"{target} = {comparison.categories[place][code]}", place, code)


def groups_of(comparison: Comparison, happening: Happening) -> list[Groups]:
    """The columns with two or more groups, from the training rows; never one of personal data.

    Raises:
        NotApplicable: there is none.
    """
    known = happening.of(comparison.train) >= 0
    found = []
    for place, column in enumerate(comparison.discrete):
        if column.name == comparison.target or column.personal:
            continue
        codes = comparison.train.codes[known, place]
        counts = np.bincount(codes[codes >= 0], minlength=1)
        order = np.argsort(-counts, kind="stable")
        large = order[counts[order] >= MIN_GROUP_ROWS]
        if 2 <= len(large) <= MAX_GROUPS:
            found.append(Groups(place, large))
    if not found:
        raise NotApplicable(
            f"needs a categorical column beside the target with 2 to {MAX_GROUPS} groups of at"
            f" least {MIN_GROUP_ROWS} training rows, found none"
        )
    return found


def counted(comparison: Comparison) -> Counted:
    """The counts of all groups, made once.

    Raises:
        NotApplicable: there is no outcome, or there are no groups.
    """
    return comparison.once("fairness/counted", lambda: _counted(comparison))


def _counted(comparison: Comparison) -> Counted:
    happening = happening_of(comparison)
    groups = groups_of(comparison, happening)
    rng = comparison.rng("fairness")
    holdout, synthetic = comparison.equal
    counts = []
    for rows in (comparison.train, holdout, synthetic):
        happened, blocks = happening.of(rows), rng.permutation(len(rows)) % N_BLOCKS
        found = [one.counted(rows, happened, blocks) for one in groups]
        counts.append(np.concatenate(found, axis=1))
    return Counted(
        happening=happening,
        columns=np.concatenate([np.full(len(one.codes), one.place) for one in groups]),
        codes=np.concatenate([one.codes for one in groups]),
        train=counts[0],
        holdout=counts[1],
        synthetic=counts[2],
    )
