"""Did the generator copy? Synthetic rows beside the rows that it saw and rows that it did not."""

import numpy as np

from tasks.evaluation import intervals
from tasks.evaluation.base import NotApplicable, Outcome, metric
from tasks.evaluation.comparison import Comparison, Rows
from tasks.evaluation.plots import shares
from tasks.privacy.distances import Points, blocks, closer_share, euclidean, gower, nearest

MAX_QUERIES = 5_000
"""Rows whose closest record is looked for at most, of each set."""

MAX_REFERENCES = 50_000
"""Rows among which it is looked for at most."""

MIN_ROWS = 20
"""Holdout rows below which their 5 % quantile, or a half of them, says nothing."""

NEAR_QUANTILE = 0.05

_N_BINS = 40


@metric(
    label="Closer to training than to holdout (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image"),
    explanation=(
        "Share of the synthetic rows whose closest record is a training row rather than a holdout"
        " row, of as many: 0.5 where nothing was copied."
    ),
    source="Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939",
)
def dcr_share(comparison: Comparison) -> Outcome:
    """The reference takes one half of the holdout for synthetic and the other as holdout.

    The training rows are compared in blocks of the holdout's size and the shares averaged, so a
    full copy of training data that is twice the holdout reads 0.75, not 1: the smaller the
    holdout, the less it tells. The interval takes both real sets as given.
    """
    _need_holdout(comparison)
    rng = comparison.rng("dcr_share")
    train, holdout, synthetic = (
        points(comparison, rows)
        for rows in (comparison.train, comparison.holdout, comparison.synthetic)
    )
    queries = synthetic.sample(MAX_QUERIES, rng)
    closer, to_train, to_holdout = _closer(queries, train, holdout, rng)
    order = rng.permutation(len(holdout))
    half = len(holdout) // 2
    unseen = holdout.take(order[:half]).sample(MAX_QUERIES, rng)
    reference, _, _ = _closer(unseen, train, holdout.take(order[half:]), rng)
    seen = train.sample(min(len(holdout), MAX_REFERENCES), rng)
    held_out = nearest(holdout.sample(MAX_QUERIES, rng), seen)
    interval = intervals.of_mean(closer) if len(closer) > 1 else None
    plots = {"dcr": _histograms(to_train, to_holdout, held_out[:, 0])}
    return Outcome(float(closer.mean()), float(reference.mean()), interval, plots=plots)


@metric(
    label="Exact copies of training rows (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image"),
    explanation=(
        "Share of the synthetic rows that equal a training row; the reference is how many real"
        " rows that were never seen do, which is not 0 where few different rows exist."
    ),
    source="identical match share, Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939",
)
def exact_copies(comparison: Comparison) -> Outcome:
    """All compared columns equal; of images all pixels, whatever the label."""
    known = np.unique(comparison.train.identities)
    value, reference = (
        float(np.isin(rows.identities, known).mean())
        for rows in (comparison.synthetic, comparison.holdout)
    )
    interval = intervals.of_share(value, len(comparison.synthetic.identities))
    return Outcome(value, reference, interval)


@metric(
    label="Near copies of training rows (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image"),
    explanation=(
        "Share of the synthetic rows as close to a training row as only the closest 5 % of the"
        " holdout rows are."
    ),
    source=(
        "5 % quantile of the distance to the closest record, Zhao et al. 2021, arXiv:2102.08369,"
        " with the holdout as baseline, doi:10.3389/fdata.2021.679939"
    ),
)
def near_copies(comparison: Comparison) -> Outcome:
    """Differs: the share of rows beyond the quantile, in place of a difference of quantiles."""
    synthetic, holdout = _to_training(comparison, comparison.rng("near_copies"))
    limit = np.quantile(holdout, NEAR_QUANTILE)
    value, reference = float((synthetic <= limit).mean()), float((holdout <= limit).mean())
    return Outcome(value, reference, intervals.of_share(value, len(synthetic)))


@metric(
    label="Copies with a little noise (share)",
    family="privacy",
    goal="lower",
    kinds=("tabular", "image"),
    explanation=(
        "Share of the synthetic rows closer to a training row, without being equal, than any"
        " holdout row is."
    ),
    source=(
        "smallest distance to the closest record, Platzer and Reutterer 2021,"
        " doi:10.3389/fdata.2021.679939"
    ),
)
def noisy_copies(comparison: Comparison) -> Outcome:
    """An honest generator has one in (holdout rows + 1) or so; the reference is 0 by definition.

    Differs: a share of rows, in place of the smallest distance itself, which one row decides.
    """
    synthetic, holdout = _to_training(comparison, comparison.rng("noisy_copies"))
    unequal = holdout[holdout > 0]
    if len(unequal) == 0:
        raise NotApplicable("every holdout row equals a training row")
    value = float(((synthetic > 0) & (synthetic < unequal.min())).mean())
    return Outcome(value, 0.0, intervals.of_share(value, len(synthetic)))


def points(comparison: Comparison, rows: Rows) -> Points:
    """Rows of a comparison where distances mean something; of images the label does not count."""
    if comparison.kind == "image":
        return euclidean(rows.numbers)
    real = np.vstack([comparison.train.numbers, comparison.holdout.numbers])
    return gower(rows.numbers, rows.codes, real)


def _need_holdout(comparison: Comparison) -> None:
    if len(comparison.holdout) < MIN_ROWS:
        raise NotApplicable(f"needs {MIN_ROWS} holdout rows, found {len(comparison.holdout)}")


def _to_training(comparison: Comparison, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of synthetic and of holdout rows the distances to the closest training row."""
    _need_holdout(comparison)
    train = points(comparison, comparison.train).sample(MAX_REFERENCES, rng)
    synthetic, holdout = (
        nearest(points(comparison, rows.sample(MAX_QUERIES, rng)), train)[:, 0]
        for rows in (comparison.synthetic, comparison.holdout)
    )
    return synthetic, holdout


def _closer(
    queries: Points, train: Points, holdout: Points, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each query its share of closer training blocks, and distances to one and to the holdout."""
    train = train.sample(MAX_REFERENCES, rng)
    size = min(len(train), len(holdout))
    to_holdout = nearest(queries, holdout.sample(size, rng))[:, 0]
    parts = blocks(len(train), size, rng)
    to_train = np.column_stack([nearest(queries, train.take(part))[:, 0] for part in parts])
    return closer_share(to_train, to_holdout), to_train[:, 0], to_holdout


def _histograms(
    to_train: np.ndarray, to_holdout: np.ndarray, held_out: np.ndarray
) -> dict[str, list[float]]:
    """Distances to the closest record, to sets of one size; the last bin holds all beyond."""
    longest = float(np.quantile(np.concatenate([to_train, to_holdout, held_out]), 0.99))
    edges = np.linspace(0, longest or 1.0, _N_BINS + 1)
    found = {"to_train": to_train, "to_holdout": to_holdout, "holdout_to_train": held_out}
    counts = {
        name: np.bincount(
            np.clip(np.searchsorted(edges, one, side="right") - 1, 0, _N_BINS - 1),
            minlength=_N_BINS,
        )
        for name, one in found.items()
    }
    return {
        "edges": [float(f"{edge:.6g}") for edge in edges],
        **{name: shares(count, len(found[name])) for name, count in counts.items()},
    }
