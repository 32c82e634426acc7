"""Where cells and ranges of values end: at rounded quantiles, full hours and days."""

import math
from typing import Any

import numpy as np

from tasks.gates.learn.rounding import NAMED_ROWS, rounded, step_of

DAY = 86_400
"""Seconds."""

_QUANTILES = np.linspace(0.05, 0.95, 19)


def quantile_edges(found: np.ndarray, quantiles: np.ndarray = _QUANTILES) -> list[float]:
    """Rounded edges at quantiles of the values, and of those that are not the commonest one."""
    values, counts = np.unique(found, return_counts=True)
    others = found[found != values[counts.argmax()]]
    places = np.quantile(found, quantiles)
    if counts.max() > 0.1 * len(found) and len(others) >= 2 * NAMED_ROWS:
        places = np.append(places, np.quantile(others, quantiles[1::2]))
    return rounded(places, step_of(float(places.max() - places.min()), digits=3))


def moment_edges(found: np.ndarray, quantiles: np.ndarray = _QUANTILES) -> list[str]:
    """Edges of moments as ISO texts, at full hours or, over more than a month, days."""
    seconds = found.astype("datetime64[s]").astype(np.int64)
    step = DAY if np.ptp(seconds) > 30 * DAY else 3600
    edges = np.unique(np.round(np.quantile(seconds, quantiles) / step).astype(np.int64) * step)
    return [str(edge) for edge in edges.astype("datetime64[s]")]


def moment_range(low: float, high: float) -> dict[str, Any]:
    """Full days as ISO texts, outward, of the years 1 to 9999."""
    days = max(math.floor(low / DAY), -719_162), min(math.ceil(high / DAY), 2_932_896)
    ends = (str(np.datetime64(day * DAY, "s")) for day in days)
    return dict(zip(("min_value", "max_value"), ends, strict=True))
