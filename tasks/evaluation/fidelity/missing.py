"""What is missing: how often in each column, and in which columns together."""

import numpy as np

from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.leaving_out import counts, groups, outcome, sums, total_variation
from tasks.evaluation.rows import MISSING, Rows
from tasks.params import Threshold

_NOTHING_MISSING = "no value is missing in any compared column of any of the three sets"


@metric(
    label="Missing values, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Mean difference between the shares of real and of synthetic values that are missing, over"
        " the columns in which any is, 0 to 100."
    ),
    source="SDMetrics 0.32, MissingValueSimilarity; 100 x (1 - score)",
    threshold=Threshold(at_most_reference_plus=3.0),
)
def missing_error(comparison: Comparison) -> Outcome:
    """Equal numbers of holdout and synthetic rows against the training rows.

    Differs: the mean is over columns with a missing value in any of the three sets, so that many
    complete columns do not hide a wrong one.
    """
    train, holdout, synthetic = _missing(comparison)
    real = train.mean(axis=0)
    return outcome(_mean_difference(real, synthetic), _mean_difference(real, holdout))


@metric(
    label="Patterns of missing values, error (%)",
    family="fidelity",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "Share of the synthetic rows that would have to miss other columns, so that columns go"
        " missing together as in the real rows."
    ),
    source=(
        "total variation distance between the patterns of Little and Rubin 2019, Statistical"
        " Analysis with Missing Data, section 1.2, doi:10.1002/9781119482260"
    ),
)
def missing_pattern_error(comparison: Comparison) -> Outcome:
    """A pattern is the set of columns that a row misses; complete rows have the empty one."""
    train, holdout, synthetic = _missing(comparison)
    if train.shape[1] < 2:
        raise NotApplicable("values are missing in one column only: there are no patterns")
    pattern = _patterns(np.vstack([train, holdout, synthetic]))
    n_patterns = int(pattern.max()) + 1
    first, second = len(train), len(train) + len(holdout)
    real = np.bincount(pattern[:first], minlength=n_patterns)
    scores, references = (
        100 * total_variation(real, counts(one, n_patterns, groups(len(one))))
        for one in (pattern[second:], pattern[first:second])
    )
    return outcome(scores, references)


def _missing(comparison: Comparison) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of training, holdout and synthetic rows, which cells of incomplete columns are missing.

    Shape:
        returns: (N, columns with a missing value) bool each.
    """
    train, holdout, synthetic = (_cells(rows) for rows in (comparison.train, *comparison.equal))
    used = train.any(axis=0) | holdout.any(axis=0) | synthetic.any(axis=0)
    if not used.any():
        raise NotApplicable(_NOTHING_MISSING)
    return train[:, used], holdout[:, used], synthetic[:, used]


def _cells(rows: Rows) -> np.ndarray:
    return np.hstack([np.isnan(rows.numbers), rows.codes == MISSING])


def _mean_difference(real: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Shape: (C,) shares and (N, C) cells to (R,) in percent."""
    group = groups(len(other))
    shares = sums(other, group) / sums(np.ones(len(other)), group)[:, None]
    return np.asarray(100 * np.abs(shares - real).mean(axis=1))


def _patterns(missing: np.ndarray) -> np.ndarray:
    """Shape: (N, C) bool to (N,) int, equal for equal rows."""
    packed = np.ascontiguousarray(np.packbits(missing, axis=1))
    _, pattern = np.unique(packed.view(f"V{packed.shape[1]}")[:, 0], return_inverse=True)
    return np.asarray(pattern)
