"""Singling out: describing exactly one person by a description of a synthetic row.

What the attack also achieves on people whose rows were never used is what the synthetic data
teaches of the population; the difference is what it reveals of those who are in it. The reference
is the same difference with fresh real rows in place of the synthetic ones, which know nobody: 0 is
expected.
"""

from collections.abc import Callable

import numpy as np

from tasks.evaluation.attacks.rounds import paired_advantage, rounds
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.evaluation.rows import Rows
from tasks.params import Threshold
from tasks.privacy.attacks import singling_out
from tasks.privacy.attacks.singling_out import Predicate, Table

MAX_PREDICATES = 1_000
"""Descriptions that are tried at most."""

MIN_PREDICATES = 20
"""Descriptions that fit one row only, below which nothing can be said."""

MAX_MATCHED = 20_000
"""Rows of a side that they are tried on at most."""


@metric(
    label="Singling out by one column, advantage",
    family="privacy",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How much more often a value that one synthetic row has describes exactly one training row"
        " than exactly one of as many other rows."
    ),
    source="Cohen and Nissim 2020, doi:10.1073/pnas.1914598117",
    threshold=Threshold(at_most_reference_plus=0.1),
    chance=0.0,
)
def singling_out_univariate(comparison: Comparison) -> Outcome:
    """Values that occur once, and the lowest and highest numbers; see `singling_out.univariate`.

    Predicates are tried on as many training as holdout rows, drawn at random: a full copy of
    training data that is twice the holdout reads half of what it is.
    """
    return _singled_out(comparison, "univariate", singling_out.univariate)


@metric(
    label="Singling out by several columns, advantage",
    family="privacy",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How much more often a description of a synthetic row by several columns fits exactly one"
        " training row than exactly one of as many other rows."
    ),
    source="Cohen and Nissim 2020, doi:10.1073/pnas.1914598117",
    threshold=Threshold(at_most_reference_plus=0.1),
    chance=0.0,
)
def singling_out_multivariate(comparison: Comparison) -> Outcome:
    """Descriptions just long enough to fit one synthetic row; see `singling_out.multivariate`.

    They are tried as those of `singling_out_univariate` are.
    """
    if len(comparison.numeric) + len(comparison.discrete) < 2:
        raise NotApplicable("needs two columns, found one")
    return _singled_out(comparison, "multivariate", singling_out.multivariate)


def _singled_out(
    comparison: Comparison,
    name: str,
    build: Callable[[Table, int, np.random.Generator], list[Predicate]],
) -> Outcome:
    rng = comparison.rng(f"singling out {name}")
    [first, _] = rounds(comparison, 1, 2 * MAX_MATCHED, f"singling out {name}")
    train, holdout = comparison.train, comparison.holdout
    n_rows = min(len(train), len(holdout), MAX_MATCHED)
    predicates = build(_table(comparison.synthetic), MAX_PREDICATES, rng)
    value, interval = _advantage(predicates, train.sample(n_rows, rng), holdout.sample(n_rows, rng))
    n_rows = min(len(train), len(first.others))
    fresh = build(_table(first.known), MAX_PREDICATES, rng)
    reference, reference_interval = _advantage(
        fresh, train.sample(n_rows, rng), first.others.sample(n_rows, rng)
    )
    return Outcome(value, reference, interval, reference_interval)


def _table(rows: Rows) -> Table:
    return Table.of(rows.numbers, rows.codes)


def _advantage(predicates: list[Predicate], train: Rows, holdout: Rows) -> tuple[float, Interval]:
    if len(predicates) < MIN_PREDICATES:
        raise NotApplicable(
            f"needs {MIN_PREDICATES} descriptions that fit one row only, found {len(predicates)}"
        )
    return paired_advantage(
        *(_table(rows).singled_out(predicates).astype(np.float64) for rows in (train, holdout))
    )
