"""Attribute inference: guessing one column of a person of whom all others are known.

What the attack also achieves on people whose rows were never used is what the synthetic data
teaches of the population; the difference is what it reveals of those who are in it. The reference
is the same difference with fresh real rows in place of the synthetic ones, which know nobody: 0 is
expected.
"""

from typing import Any

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
from tasks.privacy.attacks import attributes
from tasks.privacy.attacks.space import only
from tasks.schema import Column

MAX_PERSONS = 2_000
"""Members, and non-members, that are attacked at most."""

MAX_SYNTHETIC = 50_000
"""Synthetic rows that are searched at most."""

MAX_SECRETS = 8
"""Columns that are guessed at most: the target, and others evenly over the table."""

N_BINS = 5
"""Into which the numbers of a secret column are put."""


@metric(
    label="Attribute inference, advantage",
    family="privacy",
    goal="lower",
    kinds=("tabular",),
    explanation=(
        "How much more often an attacker who knows all other columns of a person guesses the one"
        " that is missing, if the person is in the training data: 0 where the synthetic rows only"
        " teach what holds for everybody."
    ),
    source="attribute advantage, Yeom et al. 2018, arXiv:1709.01604",
    threshold=Threshold(at_most_reference_plus=0.1),
    chance=0.0,
)
def attribute_inference(comparison: Comparison) -> Outcome:
    """The mean over columns, numbers in bins of about equal size; a person is one observation.

    The attacker takes the value of the synthetic row that is closest in all other columns.
    """
    if len(comparison.numeric) + len(comparison.discrete) < 2:
        raise NotApplicable("needs two columns, one to know and one to guess; found one")
    found = rounds(comparison, MAX_PERSONS, MAX_PERSONS, "attribute_inference")
    secrets = _secrets(comparison)
    if not secrets:
        raise NotApplicable("every column has one value only, so that nothing is secret")
    released = comparison.synthetic.sample(MAX_SYNTHETIC, comparison.rng("attribute_inference"))
    attack = _guessing(comparison, secrets)
    members, others = attacked(found, attack, released)
    value, interval = advantage(members.mean(axis=1), others.mean(axis=1))
    fresh = (right.mean(axis=1) for right in attacked_with_fresh(found, attack))
    reference, reference_interval = advantage(*fresh)
    return Outcome(
        value,
        reference,
        interval,
        reference_interval,
        {"attributes": _drawn(comparison, secrets, members, others)},
    )


def _columns(comparison: Comparison) -> list[Column]:
    return [*comparison.numeric, *comparison.discrete]


def _secrets(comparison: Comparison) -> list[int]:
    """Places of the columns to guess, among numbers and codes together."""
    names = [column.name for column in _columns(comparison)]
    varied = [
        place
        for place in range(len(names))
        if len(np.unique(_secret(comparison, comparison.train, place))) > 1
    ]
    target = [place for place in varied if names[place] == comparison.target]
    rest = [place for place in varied if place not in target]
    n = min(len(rest), MAX_SECRETS - len(target))
    chosen = [rest[place] for place in np.linspace(0, len(rest) - 1, n).round().astype(int)]
    return sorted(target + chosen)


def _secret(comparison: Comparison, rows: Rows, place: int) -> np.ndarray:
    """Shape: (N,) what is to be guessed, a code or a bin."""
    n_numbers = len(comparison.numeric)
    if place >= n_numbers:
        return rows.codes[:, place - n_numbers]
    real = np.concatenate(
        [comparison.train.numbers[:, place], comparison.holdout.numbers[:, place]]
    )
    return attributes.binned(rows.numbers[:, place], attributes.edges(real, N_BINS))


def _guessing(comparison: Comparison, secrets: list[int]) -> Attack:
    """Gives (persons, secrets), 1 where the guess was right."""
    n_numbers, n_codes = len(comparison.numeric), len(comparison.discrete)
    place = space(comparison)

    def attack(persons: Rows, released: Rows) -> np.ndarray:
        known, points = place(persons), place(released)
        right = []
        for secret in secrets:
            kept = np.arange(n_numbers + n_codes) != secret
            sides = kept[:n_numbers], kept[n_numbers:]
            truth = _secret(comparison, released, secret)
            guess = attributes.guessed(only(known, *sides), only(points, *sides), truth)
            right.append(guess == _secret(comparison, persons, secret))
        return np.column_stack(right).astype(np.float64)

    return attack


def _drawn(
    comparison: Comparison, secrets: list[int], members: np.ndarray, others: np.ndarray
) -> list[dict[str, Any]]:
    """For each column the shares guessed right, and those of who always says the same."""
    plots = []
    for i, place in enumerate(secrets):
        column = _columns(comparison)[place]
        if column.personal:
            continue
        usual = _most_frequent(_secret(comparison, comparison.synthetic, place))
        guessed = float((_secret(comparison, comparison.holdout, place) == usual).mean())
        plots.append(
            {
                "column": column.name,
                "training": round(float(members[:, i].mean()), 4),
                "holdout": round(float(others[:, i].mean()), 4),
                "baseline": round(guessed, 4),
            }
        )
    return plots


def _most_frequent(values: np.ndarray) -> Any:
    known, counts = np.unique(values, return_counts=True)
    return known[counts.argmax()]
