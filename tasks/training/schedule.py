"""The learning rate by step."""

import math

from tasks.generators.base import Recipe

WARMUP_FRACTION = 0.3
"""Share of all steps in which the learning rate rises; the rest of them it falls."""


def learning_rate(recipe: Recipe, step: int, n_steps: int) -> float:
    """Constant, or one cycle: a cosine from peak / 25 up to the peak, then one down to almost nothing.

    Args:
        recipe: says which schedule, and its peak.
        step: from 0.
        n_steps: of the whole training, if it is not stopped early.

    Source:
        Smith and Topin, Super-Convergence, 2018, arXiv:1708.07120.
    Differs:
        Cosines instead of straight lines, as in torch's OneCycleLR; the momentum stays.
    """
    peak = recipe.learning_rate
    if recipe.schedule == "constant":
        return peak
    n_warmup = max(1, round(WARMUP_FRACTION * n_steps))
    if step < n_warmup:
        start, end, share = peak / 25, peak, step / n_warmup
    else:
        start, end, share = peak, peak / 1e4, (step - n_warmup) / max(1, n_steps - n_warmup)
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
