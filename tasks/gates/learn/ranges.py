"""Between which bounds a number lies, however many rows come: from the tails of those seen."""

import math
from dataclasses import dataclass

import numpy as np

from tasks.gates.learn.rounding import outward, step_of

_TAIL = 0.1
_TAIL_ROWS = 10
"""Share, and least number, of rows that tell how a tail falls."""

_LIGHT, _HEAVY = 0.15, 0.4
"""Shapes of tails: up to the first like a normal one, from the second on like a power law."""

_EVIDENCE = 20
"""Rows close to zero, with none below it, that make zero a bound and not a chance."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of a column.

    Attributes:
        low, high: no row may lie beyond.
        near_low, near_high: just beyond what was seen; a share of the rows may lie beyond.
    """

    low: float
    high: float
    near_low: float
    near_high: float


def learn_bounds(values: np.ndarray) -> Bounds:
    """Bounds of a column of numbers.

    The outer bound is five times as far beyond the extreme as the extreme is from the middle, and
    more where the tail is heavier than exponential: it is for units and signs, not for drift. It
    is zero where rows come close to zero in numbers and none is below.

    Args:
        values: (N,) finite, N > 1, not all equal.
    """
    low, high = -far_above(-values), far_above(values)
    if is_floor(values):
        low = max(low, 0.0)
    if is_floor(-values):
        high = min(high, 0.0)
    spread = float(values.max() - values.min())
    near = max(step_of(spread), 0.01 * spread)
    near_low = outward(float(values.min()) - near, step_of(spread), -1)
    near_high = outward(float(values.max()) + near, step_of(spread), 1)
    step = step_of(high - low)
    return Bounds(
        low=0.0 if low == 0.0 else outward(low, step, -1),
        high=0.0 if high == 0.0 else outward(high, step, 1),
        near_low=max(near_low, 0.0) if low == 0.0 else near_low,
        near_high=min(near_high, 0.0) if high == 0.0 else near_high,
    )


def is_floor(values: np.ndarray) -> bool:
    """Whether zero is a bound from below: were it not, rows would lie on the other side too.

    Either many rows are within a tenth of the median from zero, or the lower tail is no longer
    than the upper one when both are seen as ratios.
    """
    low, middle, high = (float(f(values)) for f in (np.min, np.median, np.max))
    if low < 0:
        return False
    if middle <= 0:
        return True
    if int((values <= 0.1 * middle).sum()) >= _EVIDENCE:
        return True
    return low > 0 and middle / low <= 2 * (high / middle) ** 1.5


def tail_shape(values: np.ndarray) -> float:
    """How heavy the upper tail may be: 0 exponential, above it heavier.

    It is the estimate and three standard errors more, so that few rows promise nothing.

    Source:
        J. Hosking and J. Wallis, Parameter and quantile estimation for the generalized Pareto
        distribution, Technometrics 29 (1987), doi:10.2307/1269343, section 3: by moments, and
        their variance at shape 0, one over the number of rows.
    """
    n_tail = max(_TAIL_ROWS, int(_TAIL * len(values)))
    if len(values) <= n_tail:
        return 0.0
    ordered = np.sort(values)
    excess = ordered[-n_tail:] - ordered[-n_tail - 1]
    variance = float(excess.var())
    if variance == 0:
        return 0.0
    return 0.5 * (1 - float(excess.mean()) ** 2 / variance) + 3 / math.sqrt(n_tail)


def far_above(values: np.ndarray) -> float:
    """A bound above all of the values that ten times as many would keep to.

    Args:
        values: (N,) finite, N > 1.
    """
    top, middle = float(values.max()), float(np.median(values))
    is_positive = float(values.min()) >= 0
    if middle == 0 and top > 0 and is_positive:
        middle = float(np.median(values[values > 0]))
    shape = tail_shape(values)
    factor = 5.0 if shape <= _LIGHT else 10.0 if shape <= _HEAVY else 50.0
    far = top + factor * (top - middle)
    if is_positive and middle > 0 and shape > _LIGHT:
        far = max(far, top * (top / middle) ** 2)
    return float(far)
