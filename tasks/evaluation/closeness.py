"""Did the generator copy? Synthetic rows beside the rows that it saw and rows that it did not."""

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.closest import MIN_ROWS, Search, sampled_points, search
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.plots import MIN_ROWS as MIN_SHOWN
from tasks.evaluation.plots import bins_for, shares
from tasks.params import Threshold
from tasks.privacy.distances import blocks, closer_share, nearest
from tasks.privacy.leaks import Assignment, by_labels, by_ratio, by_share, by_smallest, ratios
from tasks.privacy.points import Points

DCR_QUERIES = 5_000
"""Rows whose distance to the closest record is shown, of each set."""

DCR_REFERENCES = 30_000
"""Rows among which it is looked for at most."""

NEAR_QUANTILE = 0.05

LEVELS = (0.01, 0.02, 0.05)
"""Shares of the synthetic rows, those closest to real ones, among which copies are looked for."""

RATIOS = (0.1, 0.25, 0.5)
"""Ratios of distances to the closest and second closest training row under which they are."""


@metric(
    label="Closer to training than to holdout (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the synthetic rows whose closest record is a training row rather than a holdout"
        " row, of as many: 0.5 where nothing was copied."
    ),
    source="Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939",
    decisive=False,
)
def dcr_share(comparison: Comparison) -> Outcome:
    """The reference takes one half of the holdout for synthetic and the other as holdout.

    The training rows are compared in blocks of the holdout's size and the shares averaged, so a
    full copy of training data that is twice the holdout reads 0.75, not 1: the smaller the
    holdout, the less it tells. The intervals take the real rows that are compared with as given.
    """
    n_holdout = len(comparison.holdout)
    if n_holdout < MIN_ROWS:
        raise NotApplicable(f"needs {MIN_ROWS} holdout rows, found {n_holdout}")
    rng = comparison.rng("dcr_share")
    train, holdout, synthetic = (
        sampled_points(comparison, part) for part in ("train", "holdout", "synthetic")
    )
    queries = synthetic.sample(DCR_QUERIES, rng)
    closer, to_train, to_holdout = _closer(queries, train, holdout, rng)
    order = rng.permutation(n_holdout)
    half = n_holdout // 2
    unseen = holdout.take(order[:half]).sample(DCR_QUERIES, rng)
    reference, _, _ = _closer(unseen, train, holdout.take(order[half:]), rng)
    seen = train.sample(min(n_holdout, DCR_REFERENCES), rng)
    held_out = nearest(holdout.sample(DCR_QUERIES, rng), seen)
    return Outcome(
        float(closer.mean()),
        float(reference.mean()),
        intervals.of_mean(closer) if len(closer) > 1 else None,
        intervals.of_mean(reference),
        plots={"dcr": _histograms(to_train, to_holdout, held_out[:, 0])},
    )


@metric(
    label="Copied training rows (share, at least)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "At least this share of the synthetic rows are copies of training rows, exact or with"
        " little noise: what chance explains is left out, so 0 is expected of honest rows."
    ),
    source=(
        "labels of the closest records, Schilling 1986, doi:10.1080/01621459.1986.10478337; distance"
        " ratios, Lowe 2004, against those of unseen rows, Newcombe 1998"
    ),
    threshold=Threshold(at_most=0.003),
)
def copied_rows(comparison: Comparison) -> Outcome:
    """The largest of the lower bounds of `tasks.privacy.leaks`.

    Each of the eight is above 0 with a probability of 1e-4 for real rows, whatever their number, so
    they have 0 in all but one of 1,000 datasets: the reference. The interval ends where the test of
    labels among the closest 5 % bounds the share from above.
    """
    found = search(comparison)
    closest = _assignment(comparison, found)
    tests = [by_labels(closest, level) for level in LEVELS]
    synthetic, unseen = (
        (ratios(one.distances), one.rows[:, 0]) for one in (found.to_train, found.unseen)
    )
    bounds = [
        *(estimate - radius for estimate, radius in tests),
        *(by_ratio(synthetic, unseen, found.n_independent, limit) for limit in RATIOS),
        by_smallest(synthetic[0], unseen[0], found.n_independent),
        by_share(*_equal_shares(comparison)),
    ]
    value = max(0.0, *bounds)
    highest = min(1.0, max(value, sum(tests[-1])))
    return Outcome(value, 0.0, (value, highest), (0.0, 0.0))


@metric(
    label="Exact copies of training rows (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the synthetic rows that equal a training row; the reference is how many real"
        " rows equal another one, which is not 0 where few different rows exist."
    ),
    source="identical match share, Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939",
    threshold=Threshold(at_most_reference_plus=0.1),
)
def exact_copies(comparison: Comparison) -> Outcome:
    """All rows, all compared columns equal; of images all pixels, whatever the label.

    The reference is of holdout rows, and of training rows beside the other ones, which count as
    half a row each, because they are found in pairs.
    """
    value, n, reference, n_reference = _equal_shares(comparison)
    return Outcome(
        value, reference, intervals.of_share(value, n), intervals.of_share(reference, n_reference)
    )


@metric(
    label="Near copies of training rows (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the synthetic rows as close to a training row as only the closest 5 % of unseen"
        " real rows are."
    ),
    source=(
        "5 % quantile of the distance to the closest record, Zhao et al. 2021, arXiv:2102.08369,"
        " with the holdout as baseline, doi:10.3389/fdata.2021.679939"
    ),
    threshold=Threshold(at_most_reference_plus=0.15),
)
def near_copies(comparison: Comparison) -> Outcome:
    """Differs: the share of rows beyond the quantile, in place of a difference of quantiles."""
    found = search(comparison)
    synthetic, unseen = found.to_train.distances[:, 0], found.unseen.distances[:, 0]
    limit = np.quantile(unseen, NEAR_QUANTILE)
    value, reference = float((synthetic <= limit).mean()), float((unseen <= limit).mean())
    return Outcome(
        value,
        reference,
        intervals.of_share(value, len(synthetic)),
        intervals.of_share(reference, found.n_independent),
    )


@metric(
    label="Copies with a little noise (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Share of the synthetic rows closer to a training row, without being equal, than any"
        " unseen real row is."
    ),
    source=(
        "smallest distance to the closest record, Platzer and Reutterer 2021,"
        " doi:10.3389/fdata.2021.679939"
    ),
    threshold=Threshold(at_most_reference_plus=0.15),
)
def noisy_copies(comparison: Comparison) -> Outcome:
    """An honest generator has one in (unseen rows + 1) or so; the reference is 0 by definition.

    Differs: a share of rows, in place of the smallest distance itself, which one row decides.
    """
    found = search(comparison)
    unequal = found.unseen.distances[:, 0]
    unequal = unequal[unequal > 0]
    if len(unequal) == 0:
        raise NotApplicable("every real row equals another one")
    synthetic = found.to_train.distances[:, 0]
    value = float(((synthetic > 0) & (synthetic < unequal.min())).mean())
    return Outcome(
        value,
        0.0,
        intervals.of_share(value, len(synthetic)),
        intervals.of_share(0.0, found.n_independent),
    )


@metric(
    label="Nearest-neighbour distance ratio, 5 % quantile",
    family="privacy",
    goal="higher",
    kinds=("tabular", "image", "text"),
    explanation=(
        "Distance to the closest over distance to the second closest training row, exceeded by 95 %"
        " of the rows: well under that of unseen real rows where rows were copied."
    ),
    source="Zhao et al. 2021, arXiv:2102.08369; the ratio of Lowe 2004",
)
def nndr(comparison: Comparison) -> Outcome:
    """A row whose two closest training rows equal it has the ratio 1: it points at neither.

    The intervals are order statistics.
    """
    found = search(comparison)
    value, interval = _ratio(found.to_train.distances[:, :2], len(found.identities))
    reference, reference_interval = _ratio(found.unseen.distances, found.n_independent)
    return Outcome(value, reference, interval, reference_interval)


def _ratio(distances: np.ndarray, n_independent: int) -> tuple[float, intervals.Interval]:
    """The 5 % quantile of the first over the second distance, and its 95 % interval."""
    ratio = ratios(distances)
    low, high = intervals.of_share(NEAR_QUANTILE, n_independent)
    bounds = np.quantile(ratio, [low, NEAR_QUANTILE, high])
    return float(bounds[1]), (float(bounds[0]), float(bounds[2]))


def _equal_shares(comparison: Comparison) -> tuple[float, int, float, int]:
    """Share of equal synthetic rows, their number; share of equal real rows, their worth."""
    known, counts = np.unique(comparison.every["train"].identities, return_counts=True)
    synthetic, holdout = (comparison.every[p].identities for p in ("synthetic", "holdout"))
    n_repeated = int(counts[counts > 1].sum())
    n_train = int(counts.sum())
    n_equal = int(np.isin(holdout, known).sum())
    # Shares of both, weighted by their worth: half of it for training rows, found in pairs.
    worth = len(holdout) + n_train / 2
    reference = (n_equal + n_repeated / 2) / worth
    value = float(np.isin(synthetic, known).mean())
    return value, len(synthetic), reference, round(worth)


def _assignment(comparison: Comparison, found: Search) -> Assignment:
    in_train, in_holdout = (
        _number_of_equal(comparison.every[part].identities, found.identities)
        for part in ("train", "holdout")
    )
    return Assignment.of(
        (found.to_train.distances, found.to_train.rows),
        (found.to_holdout.distances, found.to_holdout.rows),
        (found.identities, in_train, in_holdout),
        found.n_real,
    )


def _number_of_equal(identities: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    known = np.sort(identities)
    first, after = (np.searchsorted(known, wanted, side=side) for side in ("left", "right"))
    return np.asarray(after - first)


def _closer(
    queries: Points, train: Points, holdout: Points, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each query its share of closer training blocks, and distances to one and to the holdout."""
    train = train.sample(DCR_REFERENCES, rng)
    size = min(len(train), len(holdout))
    to_holdout = nearest(queries, holdout.sample(size, rng))[:, 0]
    parts = blocks(len(train), size, rng)
    to_train = np.column_stack([nearest(queries, train.take(part))[:, 0] for part in parts])
    return closer_share(to_train, to_holdout), to_train[:, 0], to_holdout


def _histograms(
    to_train: np.ndarray, to_holdout: np.ndarray, held_out: np.ndarray
) -> dict[str, list[float]]:
    """Distances to the closest record, to sets of one size; the last bin holds all beyond.

    Bins of fewer than `MIN_SHOWN` real rows, or synthetic ones, are drawn empty.
    """
    longest = float(np.quantile(np.concatenate([to_train, to_holdout, held_out]), 0.99))
    n_bins = bins_for(len(held_out))
    edges = np.linspace(0, longest or 1.0, n_bins + 1)
    found = {"to_train": to_train, "to_holdout": to_holdout, "holdout_to_train": held_out}
    counts = {
        name: np.bincount(
            np.clip(np.searchsorted(edges, one, side="right") - 1, 0, n_bins - 1),
            minlength=n_bins,
        )
        for name, one in found.items()
    }
    counts["holdout_to_train"][counts["holdout_to_train"] < MIN_SHOWN] = 0
    return {
        "edges": [float(f"{edge:.3g}") for edge in edges],
        **{name: shares(count, len(found[name])) for name, count in counts.items()},
    }
