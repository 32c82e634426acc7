"""Small groups and clusters of rows: does the synthetic data hold enough of each?"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, get_args

import numpy as np
from scipy.special import bdtr
from sklearn.cluster import KMeans

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.categories import Categories, categories_of
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.features.points import judged_points
from tasks.evaluation.few_values import MAX_NUMBERS
from tasks.evaluation.plots import MIN_ROWS as MIN_SHOWN
from tasks.evaluation.rows import Part
from tasks.params import Threshold
from tasks.privacy.points import embedded

SMALLEST, LARGEST = 0.005, 0.1
"""Shares of the training rows between which a group is small."""

MIN_ROWS = 20
"""Training rows below which nothing is said of a group."""

MAX_SHOWN = 20

MAX_PAIRS = 5_000
"""Pairs of columns whose groups are counted at most."""

PAIRED_ROWS = 50_000
"""Rows of each set in which pairs are counted at most."""

MAX_CATEGORIES = 50
"""Categories of a column that is paired with others at most."""

KEPT = 0.5
"""A group or cluster is kept if it has this share of its real share."""

ERROR = 0.01
"""Probability that any group with just `KEPT` of its real share is called lost."""

N_CLUSTERS, ROWS_PER_CLUSTER, CLUSTERED_ROWS = 50, 40, 10_000


@dataclass(frozen=True)
class Groups:
    """The small groups of a column, or of a pair of columns.

    Attributes:
        columns: one or two.

    Shape:
        labels: (G, columns) places of each group's categories among their columns' labels.
        counts: (G, 3) its training, holdout and synthetic rows.
        totals: (3,) all of them among which it was counted.
    """

    columns: tuple[Categories, ...]
    labels: np.ndarray
    counts: np.ndarray
    totals: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def shares(self) -> np.ndarray:
        """Shape: (G, 3), of the training, the holdout and the synthetic rows."""
        return np.asarray(self.counts / self.totals)

    def least_error(self, other: int) -> np.ndarray:
        """Probability of so few rows among the others if their share were `KEPT` of the real one.

        Given the number of rows of both sets together, those of the other are binomial.

        Shape:
            returns: (G,).
        """
        expected = KEPT * self.totals[other] / (KEPT * self.totals[other] + self.totals[0])
        found = self.counts[:, other]
        return np.asarray(bdtr(found.astype(float), found + self.counts[:, 0], expected))

    def name(self, group: int) -> str:
        """What people read of one of them."""
        named = zip(self.columns, self.labels[group], strict=True)
        return " and ".join(f"{one.column.name} = {one.labels[label]}" for one, label in named)


@metric(
    label="Small groups kept (share)",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the small groups, those categories and pairs of categories that 0.5 % to 10 % of"
        " the training rows have, of which the synthetic rows hold at least half as much, as far as"
        f" chance lets tell; numbers of at most {MAX_NUMBERS} different values count as categories."
    ),
    source="conditional test of two rates, Przyborowski and Wilenski 1940, doi:10.2307/2332612",
    threshold=Threshold(at_least=1.0),
)
def rare_groups(comparison: Comparison) -> Outcome:
    """A group is lost if its rows are significantly fewer than half of what they should be.

    Categories are counted in all rows, numbers of few values in the samples in memory, pairs of
    both in 50,000 rows of each set: all pairs of up to 100 columns, 5,000 pairs of more. Groups of
    fewer than 20 training rows say nothing; a category of 1 % that is missing altogether is noticed
    from about 2,500 rows on, a pair of 4 % from about 2,000. Columns of personal data are left out.
    """
    groups = [one for one in (*_single(comparison), *_pairs(comparison)) if len(one)]
    if not groups:
        raise NotApplicable(
            f"no category or number of few values is held by {100 * SMALLEST:g} % to"
            f" {100 * LARGEST:g} % of the training rows and at least {MIN_ROWS} of them"
        )
    kept = [_kept(groups, other) for other in (2, 1)]
    value, reference = (float(np.mean(one)) for one in kept)
    return Outcome(
        value,
        reference,
        intervals.of_share(value, len(kept[0])),
        intervals.of_share(reference, len(kept[1])),
        plots={"rare_groups": _shown(groups, kept[0])},
    )


@metric(
    label="Clusters reached (share)",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the clusters of training rows of which the synthetic rows hold at least half as"
        " much: low where the generator collapsed."
    ),
    source="clusters of real rows as in the log-cluster metric, Goncalves et al. 2020,"
    " doi:10.1186/s12874-020-00977-1, and in the number of modes, arXiv:1611.02163",
)
def cluster_coverage(comparison: Comparison) -> Outcome:
    """k-means of the training rows, 50 clusters, fewer where they would have under 40 rows."""
    rng = comparison.rng("cluster_coverage")
    parts = [judged_points(comparison, part) for part in ("train", "holdout", "synthetic")]
    n_rows = min(CLUSTERED_ROWS, *map(len, parts))
    n_clusters = min(N_CLUSTERS, n_rows // ROWS_PER_CLUSTER)
    if n_clusters < 2:
        raise NotApplicable(f"needs {2 * ROWS_PER_CLUSTER} rows of each set, found {n_rows}")
    samples = [one.sample(n_rows, rng) for one in parts]
    vectors = [embedded(one, samples[0]).astype(np.float64) for one in samples]
    n_clusters = min(n_clusters, len(np.unique(vectors[0], axis=0)))
    model = KMeans(n_clusters, n_init=1, max_iter=30, random_state=int(rng.integers(2**31)))
    real = np.bincount(model.fit_predict(vectors[0]), minlength=n_clusters)
    value, reference = (
        float((np.bincount(model.predict(one), minlength=n_clusters) >= KEPT * real).mean())
        for one in (vectors[2], vectors[1])
    )
    return Outcome(
        value,
        reference,
        intervals.of_share(value, n_clusters),
        intervals.of_share(reference, n_clusters),
    )


def _single(comparison: Comparison) -> Iterator[Groups]:
    for column in categories_of(comparison):
        found = [column.counted_everywhere(comparison, part) for part in get_args(Part)]
        counts = np.column_stack([count for count, _ in found])
        totals = np.array([total for _, total in found])
        small = _small(counts[:, 0], totals[0])
        yield Groups((column,), small[:, None], counts[small], totals)


def _pairs(comparison: Comparison) -> Iterator[Groups]:
    columns = [one for one in categories_of(comparison) if len(one.labels) <= MAX_CATEGORIES + 1]
    rng = comparison.rng("rare_groups")
    every = (comparison.train, comparison.holdout, comparison.synthetic)
    sets = [rows.sample(PAIRED_ROWS, rng) for rows in every]
    totals = np.array([len(one) for one in sets])
    # Small integers, as every column is read many times.
    codes = [[one.of(rows).astype(np.int16) for rows in sets] for one in columns]
    for first, second in _chosen(columns, comparison.target, rng):
        # A value that no training row has is a category more.
        width, height = len(columns[second].labels) + 1, len(columns[first].labels) + 1
        counts = np.column_stack(
            [
                np.bincount(one * np.int16(width) + other, minlength=width * height)
                for one, other in zip(codes[first], codes[second], strict=True)
            ]
        )
        small = _small(counts[:, 0], totals[0])
        labels = np.column_stack([small // width, small % width])
        yield Groups((columns[first], columns[second]), labels, counts[small], totals)


def _chosen(
    columns: list[Categories], target: str | None, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """The pairs of columns: all, or those with the target and others at random."""
    pairs = list(combinations(range(len(columns)), 2))
    if len(pairs) <= MAX_PAIRS:
        return pairs
    order = rng.permutation(len(pairs)).tolist()
    # What a model would predict first: its groups are asked for the most.
    aims = [place for place, one in enumerate(columns) if one.column.name == target]
    order.sort(key=lambda i: not set(aims) & set(pairs[i]))
    return [pairs[i] for i in sorted(order[:MAX_PAIRS])]


def _small(counts: np.ndarray, n_rows: int) -> np.ndarray:
    """Positions of the small groups."""
    least = max(MIN_ROWS, SMALLEST * n_rows)
    return ((counts >= least) & (counts <= LARGEST * n_rows)).nonzero()[0]


def _kept(groups: list[Groups], other: int) -> np.ndarray:
    """Of each group whether it is not significantly under half of what it should be.

    Categories and pairs share the error equally, and within each all groups do.

    Shape:
        returns: (all groups,) bool.
    """
    number = Counter[int]()
    for one in groups:
        number[len(one.columns)] += len(one)
    share = ERROR / len(number)
    return np.concatenate(
        [one.least_error(other) >= share / number[len(one.columns)] for one in groups]
    )


def _shown(groups: list[Groups], kept: np.ndarray) -> list[dict[str, Any]]:
    """The groups that lost the most, those that are lost for sure before the others.

    Nothing is told of fewer than `MIN_SHOWN` holdout rows.
    """
    shares = np.concatenate([one.shares for one in groups])
    n_holdout = np.concatenate([one.counts[:, 1] for one in groups])
    owners = [(one, place) for one in groups for place in range(len(one))]
    order = np.lexsort((shares[:, 2] / shares[:, 0], kept))[:MAX_SHOWN]
    return [
        {
            "group": owners[i][0].name(owners[i][1]),
            "real": round(float(shares[i, 0]), 4),
            "synthetic": round(float(shares[i, 2]), 4),
            "holdout": round(float(shares[i, 1]), 4) if n_holdout[i] >= MIN_SHOWN else None,
        }
        for i in order
    ]
