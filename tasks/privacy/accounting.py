"""How much privacy a training spends, and how much noise a target needs.

Everything that looks at the rows adds Gaussian noise: what the encoder learns (once, on all rows)
and each step of DP-SGD (on a random sample of the rows). One accountant composes them all.

The accountant is Opacus' PRV accountant (privacy loss random variables): its upper bound needs about
8 % less epsilon for the same noise than its RDP accountant's on trainings like ours. It is used
for its upper bound, errors of its discretisation included.

Source:
    Gopi, Lee and Wutschitz 2021, Numerical composition of differential privacy, arXiv:2106.02848.
    Rows: Mironov, Talwar and Zhang 2019, arXiv:1908.10530 (the RDP accountant, for a first guess).
"""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from tasks.errors import TrainingError

ACCOUNTANT = "prv"
"""Its name in Opacus, and in what is published."""

History = tuple[tuple[float, float, int], ...]
"""Noise multiplier, share of the rows taken, and number of times, of each kind of step."""

MAX_NOISE_MULTIPLIER = 1e4
"""With more noise than this, a step learns nothing."""

MIN_NOISE_MULTIPLIER = 0.1
"""Not gone below, whatever the target: hardly any noise, and hard to compute an epsilon for."""

_PRV_SAVES_AT_MOST = 0.7
"""Share of the noise that RDP asks for, below which PRV is not tried."""

_TOLERANCE = 4e-3
"""Of a noise multiplier that is searched for, as a share of it."""


@lru_cache(256)
def epsilon_of(history: History, delta: float, mechanism: str = ACCOUNTANT) -> float:
    """The epsilon that these steps have spent together, at `delta`.

    Args:
        history: what was done; a share of 1 is the plain Gaussian mechanism.
        delta: probability with which the guarantee may fail.
        mechanism: an accountant of Opacus, `prv` or `rdp`.
    """
    from opacus.accountants import create_accountant

    accountant: Any = create_accountant(mechanism)
    accountant.history = list(history)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # The accountant takes log(0) where all rows are taken; and warns of a bound that is wider
        # than needed, where it chooses the width of its grid.
        warnings.simplefilter("ignore")
        return float(accountant.get_epsilon(delta=delta))


def noise_multiplier_of_steps(
    epsilon: float, delta: float, *, spent: History, sample_rate: float, steps: int
) -> float:
    """The least noise of DP-SGD with which `steps` more steps stay within `epsilon`.

    Args:
        epsilon: of everything together.
        delta: of everything together.
        spent: what was done before.
        sample_rate: share of the rows that a step takes.
        steps: how many.

    Raises:
        TrainingError: no noise is enough.
    """
    return _least(lambda noise: (*spent, (noise, sample_rate, steps)), epsilon, delta)


def noise_multiplier_of_one(epsilon: float, delta: float) -> float:
    """The least noise of one release that looks at all rows."""
    return _least(lambda noise: ((noise, 1.0, 1),), epsilon, delta)


def _least(history: Callable[[float], History], epsilon: float, delta: float) -> float:
    """The least noise multiplier that is enough, to within a share of `_TOLERANCE` above it.

    The quick RDP accountant finds a noise that is enough; the PRV accountant needs somewhat less.
    """

    def bisected(low: float, high: float, mechanism: str) -> float:
        while high - low > _TOLERANCE * high:
            middle = (low + high) / 2
            enough = epsilon_of(history(middle), delta, mechanism) <= epsilon
            low, high = (low, middle) if enough else (middle, high)
        return high

    high = 2 * MIN_NOISE_MULTIPLIER
    while epsilon_of(history(high), delta, "rdp") > epsilon:
        high *= 2
        if high > MAX_NOISE_MULTIPLIER:
            raise TrainingError(
                "train.privacy: no noise reaches this epsilon; raise epsilon, train for fewer"
                " epochs, or with smaller batches"
            )
    rough = bisected(high / 2, high, "rdp")
    return bisected(_PRV_SAVES_AT_MOST * rough, rough, ACCOUNTANT)
