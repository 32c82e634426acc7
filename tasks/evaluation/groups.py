"""Small groups and clusters of rows: does the synthetic data hold enough of each?"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import bdtr
from sklearn.cluster import KMeans

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.closest import sampled_points
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.plots import ABSENT
from tasks.evaluation.rows import Part
from tasks.params import Threshold
from tasks.privacy.points import embedded

SMALLEST, LARGEST = 0.005, 0.1
"""Shares of the training rows between which a group is small."""

MIN_ROWS = 20
"""Training rows below which nothing is said of a group."""

MAX_SHOWN = 20

MAX_PAIRS = 100
"""Pairs of columns whose groups are counted at most."""

MAX_CATEGORIES = 50
"""Categories of a column that is paired with others at most."""

Triple = tuple[int, int, int]
"""Of the training, the holdout and the synthetic rows."""

KEPT = 0.5
"""A group or cluster is kept if it has this share of its real share."""

ERROR = 0.01
"""Probability that any group with just `KEPT` of its real share is called lost."""

N_CLUSTERS, ROWS_PER_CLUSTER, CLUSTERED_ROWS = 50, 40, 10_000


@dataclass(frozen=True)
class Group:
    """A category, or a pair of categories.

    Attributes:
        name: what people read.
        n_columns: 1 or 2.
        counts: its training, holdout and synthetic rows.
        totals: all of them among which it was counted.
    """

    name: str
    n_columns: int
    counts: Triple
    totals: Triple

    @property
    def shares(self) -> np.ndarray:
        """Shape: (3,), of the training, the holdout and the synthetic rows."""
        return np.divide(self.counts, self.totals)

    def least_error(self, other: int) -> float:
        """Probability of so few rows among the others if their share were `KEPT` of the real one.

        Given the number of rows of both sets together, those of the other are binomial.
        """
        expected = KEPT * self.totals[other] / (KEPT * self.totals[other] + self.totals[0])
        return float(bdtr(self.counts[other], self.counts[other] + self.counts[0], expected))


@metric(
    label="Small groups kept (share)",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image"),
    explanation=(
        "Share of the small groups, those categories and pairs of categories that 0.5 % to 10 % of"
        " the training rows have, of which the synthetic rows hold at least half as much, as far as"
        " chance lets tell."
    ),
    source="conditional test of two rates, Przyborowski and Wilenski 1940, doi:10.2307/2332612",
    threshold=Threshold(at_least=1.0),
)
def rare_groups(comparison: Comparison) -> Outcome:
    """A group is lost if its rows are significantly fewer than half of what they should be.

    Categories are counted in all rows, pairs of them in the samples in memory. Groups of fewer than
    20 training rows say nothing; a group of 1 % that is missing altogether is noticed from about
    2,500 rows on. Columns that hold personal data are left out.
    """
    groups = list(_categories(comparison)) + list(_pairs(comparison))
    if not groups:
        raise NotApplicable(
            f"no category is held by {100 * SMALLEST:g} % to {100 * LARGEST:g} % of the training"
            f" rows and at least {MIN_ROWS} of them"
        )
    kept = [_kept(groups, other) for other in (2, 1)]
    value, reference = (float(np.mean(one)) for one in kept)
    return Outcome(
        value,
        reference,
        intervals.of_share(value, len(groups)),
        intervals.of_share(reference, len(groups)),
        plots={"rare_groups": _shown(groups)},
    )


@metric(
    label="Clusters reached (share)",
    family="diversity",
    goal="higher",
    kinds=("tabular", "image"),
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
    parts = [sampled_points(comparison, part) for part in ("train", "holdout", "synthetic")]
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


def _categories(comparison: Comparison) -> Iterator[Group]:
    parts: tuple[Part, ...] = ("train", "holdout", "synthetic")
    for place, column in enumerate(comparison.discrete):
        if column.personal:
            continue
        if comparison.kind == "image":
            codes = [getattr(comparison, part).codes[:, place] for part in parts]
        else:
            codes = [comparison.every[part].code(place) for part in parts]
        names = [*comparison.categories[place], ABSENT]
        # A missing value, the code -1, is the last category.
        counts = [np.bincount(one % len(names), minlength=len(names)) for one in codes]
        for code in _small(counts[0], len(codes[0])):
            name, totals = f"{column.name} = {names[code]}", _triple(map(len, codes))
            yield Group(name, 1, _triple(count[code] for count in counts), totals)


def _pairs(comparison: Comparison) -> Iterator[Group]:
    columns = [
        place
        for place, names in enumerate(comparison.categories)
        if len(names) <= MAX_CATEGORIES and not comparison.discrete[place].personal
    ]
    # What a model would predict first: its groups are asked for the most.
    columns.sort(key=lambda place: comparison.discrete[place].name != comparison.target)
    sets = (comparison.train, comparison.holdout, comparison.synthetic)
    for first, second in list(combinations(columns, 2))[:MAX_PAIRS]:
        labels = [[*comparison.categories[place], ABSENT] for place in (first, second)]
        width, size = len(labels[1]), len(labels[0]) * len(labels[1])
        counts = [
            np.bincount(
                one.codes[:, first] % len(labels[0]) * width + one.codes[:, second] % width,
                minlength=size,
            )
            for one in sets
        ]
        for cell in _small(counts[0], len(sets[0])):
            names = [labels[0][cell // width], labels[1][cell % width]]
            columns_named = zip((first, second), names, strict=True)
            text = " and ".join(f"{comparison.discrete[p].name} = {n}" for p, n in columns_named)
            totals = _triple(map(len, sets))
            yield Group(text, 2, _triple(count[cell] for count in counts), totals)


def _small(counts: np.ndarray, n_rows: int) -> np.ndarray:
    """Positions of the small groups."""
    least = max(MIN_ROWS, SMALLEST * n_rows)
    return ((counts >= least) & (counts <= LARGEST * n_rows)).nonzero()[0]


def _kept(groups: list[Group], other: int) -> list[bool]:
    """Of each group whether it is not significantly under half of what it should be.

    Categories and pairs share the error equally, and within each all groups do.
    """
    number = Counter(group.n_columns for group in groups)
    share = ERROR / len(number)
    return [group.least_error(other) >= share / number[group.n_columns] for group in groups]


def _shown(groups: list[Group]) -> list[dict[str, Any]]:
    """The groups that lost the most."""
    found = sorted(groups, key=lambda group: group.shares[2] / group.shares[0])[:MAX_SHOWN]
    return [
        {
            "group": group.name,
            "real": round(float(group.shares[0]), 5),
            "synthetic": round(float(group.shares[2]), 5),
            "holdout": round(float(group.shares[1]), 5),
        }
        for group in found
    ]


def _triple(values: Iterable[int]) -> Triple:
    train, holdout, synthetic = map(int, values)
    return train, holdout, synthetic
