"""The closest real rows of synthetic and of real rows: searched once, read by several metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Rows
from tasks.privacy.distances import neighbours
from tasks.privacy.points import Gower, Points, euclidean

MAX_QUERIES = 10_000
"""Synthetic rows whose closest records are looked for at most, and as many real ones."""

MAX_DISTANCES = 6_000_000_000
"""Distances that are looked at; with more real rows there are fewer queries."""

MIN_ROWS = 20
"""Holdout rows below which their quantiles, or a half of them, say nothing."""

N_CLOSEST = 4

RealPart = Literal["train", "holdout"]

REAL_PARTS: tuple[RealPart, RealPart] = ("train", "holdout")


@dataclass(frozen=True)
class Closest:
    """Of some rows the closest of all real rows of one part.

    Shape:
        distances: (N, K) in ascending order.
        rows: (N, K) which they are, by their number in the files.
    """

    distances: np.ndarray
    rows: np.ndarray

    def take(self, index: np.ndarray | slice) -> "Closest":
        """Those of the rows at these positions."""
        return Closest(self.distances[index], self.rows[index])


@dataclass(frozen=True)
class Search:
    """What was found.

    Attributes:
        identities: of the synthetic rows that were searched for, (N,).
        to_train: of these the closest training rows.
        to_holdout: of these the closest holdout rows.
        unseen: of real rows the two closest training rows: of holdout rows, and of training rows
            the closest other ones, by which they are as good as unseen.
        n_real: training and holdout rows that were searched; of very many images a sample.
        n_independent: independent rows that tell as much as the R, of which training rows may be
            the closest of one another.
    """

    identities: np.ndarray
    to_train: Closest
    to_holdout: Closest
    unseen: Closest
    n_real: tuple[int, int]
    n_independent: int


def search(comparison: Comparison) -> Search:
    """The closest real rows, of all that there are, to a sample of the synthetic and real rows.

    Raises:
        NotApplicable: there are too few real rows.
    """
    n_holdout, n_train = len(comparison.holdout), len(comparison.train)
    if n_holdout < MIN_ROWS:
        raise NotApplicable(f"needs {MIN_ROWS} holdout rows, found {n_holdout}")
    if n_train <= N_CLOSEST:
        raise NotApplicable(f"needs more than {N_CLOSEST} training rows, found {n_train}")
    return comparison.once("closest rows", lambda: _search(comparison))


def points(comparison: Comparison, rows: Rows) -> Points:
    """Rows of a comparison where distances mean something; of images and texts the label does not count."""
    if comparison.by_vectors:
        return euclidean(rows.numbers)
    space = comparison.once(
        "gower space",
        lambda: Gower.of(
            np.vstack([comparison.train.numbers, comparison.holdout.numbers]),
            len(comparison.discrete),
        ),
    )
    return space.points(rows.numbers, rows.codes)


def sampled_points(comparison: Comparison, part: Literal[RealPart, "synthetic"]) -> Points:
    """The rows of a part that are in memory, as points."""
    rows: Rows = getattr(comparison, part)
    return comparison.once(f"points of {part}", lambda: points(comparison, rows))


def _search(comparison: Comparison) -> Search:
    rng = comparison.rng("closest rows")
    n_train, n_holdout = (
        len(getattr(comparison, part) if _in_memory(comparison, part) else comparison.every[part])
        for part in REAL_PARTS
    )
    n_queries = min(MAX_QUERIES, max(1_000, MAX_DISTANCES // (2 * n_train + n_holdout)))
    synthetic = comparison.synthetic.sample(n_queries, rng)
    holdout = comparison.holdout.sample(n_queries // 2, rng)
    train = comparison.train.sample(n_queries - len(holdout), rng)
    queries = [points(comparison, rows) for rows in (synthetic, holdout, train)]
    together = Points(
        np.vstack([one.numbers for one in queries]),
        np.vstack([one.codes for one in queries]),
        queries[0].code_weight,
    )
    to_train = _closest(comparison, together, "train")
    ends = np.cumsum([len(one) for one in queries])
    # The closest training row to a training row is this row itself, or one that equals it.
    others = [(slice(ends[0], ends[1]), slice(0, 2)), (slice(ends[1], None), slice(1, 3))]
    unseen = Closest(
        np.vstack([to_train.distances[place] for place in others]),
        np.vstack([to_train.rows[place] for place in others]),
    )
    return Search(
        identities=synthetic.identities,
        to_train=to_train.take(slice(0, ends[0])),
        to_holdout=_closest(comparison, queries[0], "holdout"),
        unseen=unseen,
        n_real=(n_train, n_holdout),
        n_independent=len(holdout) + len(train) // 2,
    )


def _closest(comparison: Comparison, queries: Points, part: RealPart) -> Closest:
    """Of all rows of a part, a batch at a time."""
    best: Closest | None = None
    n_before = 0
    for references in _references(comparison, part):
        distances, rows = neighbours(queries, references, min(N_CLOSEST, len(references)))
        found = Closest(distances, rows + n_before)
        best = found if best is None else _merged(best, found)
        n_before += len(references)
    if best is None:
        raise ValueError(f"there are no {part} rows")
    return best


def _references(comparison: Comparison, part: RealPart) -> Iterator[Points]:
    if _in_memory(comparison, part):
        yield sampled_points(comparison, part)
        return
    for rows in comparison.every[part].batches():
        if len(rows):
            yield points(comparison, rows)


def _in_memory(comparison: Comparison, part: RealPart) -> bool:
    """Whether the sample is all there is: all rows of the table, or all vectors."""
    sample: Rows = getattr(comparison, part)
    return comparison.by_vectors or len(sample) == len(comparison.every[part])


def _merged(first: Closest, second: Closest) -> Closest:
    distances = np.hstack([first.distances, second.distances])
    rows = np.hstack([first.rows, second.rows])
    order = np.argsort(distances, axis=1, kind="stable")[:, :N_CLOSEST]
    return Closest(
        np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)
    )
