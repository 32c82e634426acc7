"""Linkage: finding the other half of a record of which one half is held.

What the attack also achieves on people whose rows were never used is what the synthetic data
teaches of the population; the difference is what it reveals of those who are in it. The reference
is the same difference with fresh real rows in place of the synthetic ones, which know nobody: 0 is
expected.
"""

import numpy as np

from tasks.evaluation.attacks.rounds import (
    Attack,
    advantage,
    attacked,
    attacked_with_fresh,
    rounds,
    space,
)
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Rows
from tasks.params import Threshold
from tasks.privacy.attacks import linkage
from tasks.privacy.attacks.space import only

MAX_PERSONS = 2_000
"""Members, and non-members, that are attacked at most."""

MAX_SYNTHETIC = 50_000
"""Synthetic rows that are searched at most."""

POOL = 50
"""Records among which a person's is looked for at most."""

N_SPLITS = 4
"""Random halves of the columns that are tried."""


@metric(
    label="Linkage of half a record to the other, advantage",
    family="privacy",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How much more often an attacker who holds half of the columns of a person finds the other"
        " half among 50 records by the synthetic rows, if the person is in the training data."
    ),
    source=(
        "distance-based record linkage, Domingo-Ferrer and Torra 2003,"
        " doi:10.1023/A:1025666923033, as membership advantage, arXiv:1709.01604"
    ),
    threshold=Threshold(at_most_reference_plus=0.1),
    chance=0.0,
)
def linkability(comparison: Comparison) -> Outcome:
    """The mean over N_SPLITS random halves of the columns; a person is one observation.

    In smaller tables the pools are as large as a quarter of the holdout allows.
    """
    n_columns = len(comparison.numeric) + len(comparison.discrete)
    if n_columns < 2:
        raise NotApplicable("needs two columns, one on either side; found one")
    rng = comparison.rng("linkability")
    released = comparison.synthetic.sample(MAX_SYNTHETIC, rng)
    found = rounds(comparison, MAX_PERSONS, MAX_PERSONS, "linkability")
    pool = min(POOL, *(len(rows) for one in found for rows in (one.members, one.others)))
    splits = [rng.permutation(n_columns) < n_columns // 2 for _ in range(N_SPLITS)]
    found = [one.trimmed(pool) for one in found]
    attack = _linking(comparison, splits, pool)
    value, interval = advantage(*attacked(found, attack, released))
    reference, reference_interval = advantage(*attacked_with_fresh(found, attack))
    return Outcome(value, reference, interval, reference_interval)


def _linking(comparison: Comparison, splits: list[np.ndarray], pool: int) -> Attack:
    """Gives each person's chance to be found, a mean over the splits."""
    n_numbers = len(comparison.numeric)
    place = space(comparison)

    def attack(persons: Rows, released: Rows) -> np.ndarray:
        people, rows = place(persons), place(released)
        chances = []
        for held in splits:
            near = held[:n_numbers], held[n_numbers:]
            far = ~near[0], ~near[1]
            bridge = only(rows, *near), only(rows, *far)
            chances.append(linkage.linked(only(people, *near), only(people, *far), *bridge, pool))
        return np.asarray(np.mean(chances, axis=0))

    return attack
