"""Whether numbers are as round as the real ones: integers, two decimals, multiples of five."""

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.leaving_out import counts, groups, outcome, total_variation

MAX_ROWS = 20_000
"""Rows of each set at most."""

_COARSER = tuple(step * 10.0**power for power in range(7) for step in (1, 5))[1:]
"""Steps from 5 to 5,000,000; each holds the next one's multiples."""

_PER_UNIT = tuple(step * 10.0**power for power in range(7) for step in (1, 2))[1:]
"""Multiples of 1/2, 1/10, 1/20 ... 1/2,000,000, by how many make one."""

N_STEPS = len(_PER_UNIT) + 1 + len(_COARSER) + 1
"""Degrees of roundness: finer than all, the fractions, whole numbers, their multiples."""

_ROUNDINGS = 4
"""Units in the last place by which a multiple may be off: it is written, read and divided."""


@metric(
    label="Roundness of numbers, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the synthetic numbers that would have to be rounded more or less to be as the"
        " real ones, averaged over columns: integers stay integers, two decimals two, and fives"
        " and tens as frequent as they were."
    ),
    source="total variation distance between degrees of roundness, as defined here",
)
def precision_error(comparison: Comparison) -> Outcome:
    """Equal numbers of holdout and synthetic rows against the training rows; zeros left out.

    A number's degree is the coarsest step of 1, 5, 10, 50 ... and 1/2, 1/10, 1/20 ... that it is a
    multiple of. A column without any such step has one degree, and nothing to be wrong about.
    """
    places = [i for i, column in enumerate(comparison.numeric) if column.meaning != "datetime"]
    if not places:
        raise NotApplicable("there is no column of numbers")
    train, holdout, synthetic = (
        rows.sample(MAX_ROWS, comparison.rng("precision_error")).numbers
        for rows in (comparison.train, *comparison.equal)
    )
    found = []
    for place in places:
        single = comparison.numeric[place].type in ("float", "halffloat")
        real, unseen, made = (
            degrees(one[:, place], single=single) for one in (train, holdout, synthetic)
        )
        known = np.bincount(real + 1, minlength=N_STEPS + 1)[1:]
        if known.any():
            found.append(
                [
                    100 * total_variation(known, counts(one, N_STEPS, groups(len(one))))
                    for one in (made, unseen)
                ]
            )
    if not found:
        raise NotApplicable("no column of numbers has a training value other than zero")
    scores, references = np.mean(found, axis=0)
    return outcome(scores, references)


def degrees(numbers: np.ndarray, *, single: bool = False) -> np.ndarray:
    """How round each number is, from 0 for finer than all steps to `N_STEPS` - 1; -1 for none.

    Args:
        numbers: NaN where missing.
        single: whether they were stored in single precision.

    Shape:
        numbers: (N,).
        returns: (N,) int; -1 where missing or zero, which is a multiple of everything.
    """
    epsilon = _ROUNDINGS * float(np.finfo(np.float32 if single else np.float64).eps)
    found = np.full(len(numbers), -1)
    used = np.flatnonzero(~np.isnan(numbers) & (numbers != 0))
    whole = len(_PER_UNIT) + 1
    is_whole = _are_whole(numbers[used], epsilon)
    round_ones, others = used[is_whole], used[~is_whole]
    found[others] = 0
    found[round_ones] = whole
    for place, step in enumerate(_COARSER, 1):
        round_ones = round_ones[_are_whole(numbers[round_ones] / step, epsilon)]
        found[round_ones] = whole + place
    for place, per_unit in enumerate(_PER_UNIT, 1):
        is_whole = _are_whole(numbers[others] * per_unit, epsilon)
        found[others[is_whole]] = whole - place
        others = others[~is_whole]
    return found


def _are_whole(numbers: np.ndarray, epsilon: float) -> np.ndarray:
    return np.asarray(np.abs(numbers - np.rint(numbers)) <= epsilon * np.abs(numbers))
