"""Who plays which part in an attack: members, non-members, and what the attacker has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.evaluation.rows import Rows
from tasks.privacy.attacks.space import Standardised
from tasks.privacy.points import Points, euclidean

MIN_ROWS = 40
"""Training, holdout and synthetic rows that every attack needs: fewer show nothing but chance."""

MAX_KNOWN = 10_000
"""Real rows that the attacker has, or that stand for synthetic ones, at most."""


@dataclass(frozen=True)
class Round:
    """One of two rounds of an attack, in each of which half of the holdout plays each part.

    Attributes:
        members: rows that the generator was trained on; each is in one round.
        others: holdout rows, which it was not; each is in one round.
        known: the other half of the holdout, MAX_KNOWN rows at most: what else the attacker has,
            and the fresh real rows that take the place of the synthetic ones for the reference.
    """

    members: Rows
    others: Rows
    known: Rows

    @property
    def persons(self) -> Rows:
        """Members, then others."""
        return joined([self.members, self.others])

    def trimmed(self, pool: int) -> "Round":
        """The same with as many members and others as fill pools of this size."""
        members, others = (
            rows.take(np.arange(len(rows) // pool * pool)) for rows in (self.members, self.others)
        )
        return Round(members, others, self.known)


Attack = Callable[[Rows, Rows], np.ndarray]
"""Takes persons and released rows, and gives its success, a row a person."""


def rounds(comparison: Comparison, n_members: int, n_others: int, purpose: str) -> list[Round]:
    """Two rounds of random training and holdout rows.

    Args:
        comparison: the rows.
        n_members: of both rounds together at most.
        n_others: non-members, in the same way.
        purpose: of the randomness.

    Raises:
        NotApplicable: a set has fewer than MIN_ROWS rows.
    """
    sets = {
        "training": comparison.train,
        "holdout": comparison.holdout,
        "synthetic": comparison.synthetic,
    }
    for name, rows in sets.items():
        if len(rows) < MIN_ROWS:
            raise NotApplicable(f"needs {MIN_ROWS} {name} rows, found {len(rows)}")
    rng = comparison.rng(purpose)
    members = comparison.train.take(rng.permutation(len(comparison.train))[:n_members])
    order = rng.permutation(len(comparison.holdout))
    middle = len(order) // 2
    parts = order[:middle], order[middle:]
    first, second = (comparison.holdout.take(part[: n_others // 2]) for part in parts)
    also_first, also_second = (comparison.holdout.take(part[:MAX_KNOWN]) for part in parts)
    own = halves(members)
    return [Round(own[0], first, also_second), Round(own[1], second, also_first)]


def attacked(
    found: Sequence[Round], attack: Attack, released: Rows
) -> tuple[np.ndarray, np.ndarray]:
    """The successes on all members, and on all others, of an attack with these released rows."""
    sets = [rows for one in found for rows in (one.members, one.others)]
    ends = np.cumsum([len(rows) for rows in sets])
    parts = np.split(attack(joined(sets), released), ends[:-1])
    return np.concatenate(parts[0::2]), np.concatenate(parts[1::2])


def attacked_with_fresh(found: Sequence[Round], attack: Attack) -> tuple[np.ndarray, np.ndarray]:
    """The same with the real rows of each round that nobody trained on as what was released."""
    parts = [attacked([one], attack, one.known) for one in found]
    return np.concatenate([m for m, _ in parts]), np.concatenate([o for _, o in parts])


def joined(sets: Sequence[Rows]) -> Rows:
    """Rows of several sets, one after the other."""
    return Rows(
        np.concatenate([rows.numbers for rows in sets]),
        np.concatenate([rows.codes for rows in sets]),
        np.concatenate([rows.identities for rows in sets]),
    )


def halves(rows: Rows) -> tuple[Rows, Rows]:
    """Two halves of rows that are in random order."""
    index = np.arange(len(rows))
    return rows.take(index[: len(rows) // 2]), rows.take(index[len(rows) // 2 :])


def space(comparison: Comparison) -> Callable[[Rows], Points]:
    """Where rows are close or far; of images and texts the label does not count."""
    if comparison.by_vectors:
        return lambda rows: euclidean(rows.numbers)

    def scales() -> Standardised:
        real = np.vstack([comparison.train.numbers, comparison.holdout.numbers])
        return Standardised.of(real, len(comparison.discrete))

    standardised = comparison.once("attacks: scales", scales)
    return lambda rows: standardised.points(rows.numbers, rows.codes)


def advantage(members: np.ndarray, others: np.ndarray) -> tuple[float, Interval]:
    """How much more often an attack succeeds on members than on others, and its 95 % interval.

    Where all succeed or fail alike the deviation is taken from one success and one failure more,
    so that no interval is without width.

    Shape:
        members: (M,) successes in [0, 1], one a person.
        others: (N,)

    Source: membership advantage, Yeom et al. 2018, definition 4, and attribute advantage,
    definition 5, arXiv:1709.01604; the interval is Welch's, with Agresti and Caffo 2000,
    doi:10.1080/00031305.2000.10474560.
    """
    # Sums differ in their last digits, which must not be told for a difference.
    value = round(float(members.mean() - others.mean()), 12)
    squares = 0.0
    for successes in (members, others):
        added = np.append(successes, [0.0, 1.0])
        squares += float(added.var(ddof=1)) / len(added)
    spread = intervals.Z * np.sqrt(squares)
    return value, (max(-1.0, value - spread), min(1.0, value + spread))


def paired_advantage(members: np.ndarray, others: np.ndarray) -> tuple[float, Interval]:
    """The same of attacks that were each tried on members and on others.

    Shape:
        members: (N,) successes, 0 or 1.
        others: (N,) of the same attacks.

    Source: difference of paired shares, one pair of either sign added, Agresti and Min 2005,
    doi:10.1002/sim.1781.
    """
    differences = members - others
    added = np.append(differences, [1.0, -1.0])
    value = float(differences.mean())
    spread = intervals.Z * float(added.std(ddof=1)) / np.sqrt(len(added))
    return value, (max(-1.0, value - spread), min(1.0, value + spread))
