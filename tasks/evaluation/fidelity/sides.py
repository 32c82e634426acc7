"""Synthetic rows and holdout as the metrics of columns and pairs compare them to training rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.evaluation.base import Outcome
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.fidelity.jackknife import Side, dealt, interval, scale_to


def sides(comparison: Comparison) -> tuple[Side, Side]:
    """All synthetic rows, and as many of the holdout as there are synthetic ones."""

    def deal() -> tuple[Side, Side]:
        synthetic, holdout = (comparison.every[part] for part in ("synthetic", "holdout"))
        return (
            dealt(synthetic, len(synthetic), comparison.rng("groups of synthetic rows")),
            dealt(holdout, len(synthetic), comparison.rng("groups of the holdout")),
        )

    return comparison.once("sides", deal)


def outcome_of(
    comparison: Comparison,
    scores: np.ndarray,
    references: np.ndarray,
    plots: Mapping[str, Any] | None = None,
) -> Outcome:
    """A distance of all rows in percent with its interval, beside that of as many real rows.

    Shape:
        scores: (R,) of the synthetic rows, by subsets of `jackknife.Groups`.
        references: (R,) of the holdout.
    """
    synthetic, holdout = sides(comparison)
    n_rows = (len(comparison.every["train"]), len(holdout), len(synthetic))
    return outcome(scores, references, n_rows, plots)


def outcome(
    scores: np.ndarray,
    references: np.ndarray,
    n_rows: tuple[int, int, int],
    plots: Mapping[str, Any] | None = None,
) -> Outcome:
    """As `outcome_of`, of so many training, holdout and synthetic rows."""
    factor = scale_to(references, *n_rows)
    return Outcome(
        float(scores[0]),
        factor * float(references[0]),
        interval(scores),
        interval(factor * references),
        plots or {},
    )
