"""Pairs of small random tables with all that makes the scores of tables differ.

Numbers of all sizes, dates, booleans, categories few and many; missing values, columns that are
constant or empty on either side, categories that are new, and tables of unequal length.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from tasks.seeding import rng_for

Kinds = dict[str, str]
"""Of each column: numerical, categorical, boolean or datetime, as SDMetrics calls them."""

_LEVELS = (2, 5, 30, 3000)

_NUMBERS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda z: z,
    lambda z: np.round(10 * z),
    lambda z: 1e9 + np.round(z, 3),
    lambda z: 1e-9 * np.exp(z),
    lambda z: np.exp(8 * z),
    lambda z: np.where(z < 0.5, 0.0, z),
)


def pair(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Kinds]:
    """Two tables with the same columns, and what those are."""
    rng = rng_for(seed, "random tables")
    n_columns = int(rng.integers(2, 9))
    kinds = rng.choice(["numerical", "categorical", "boolean", "datetime"], n_columns, p=_SHARES)
    shapes = rng.integers(0, 1000, n_columns)
    weights = rng.normal(size=(2, n_columns))
    names = [f"{kind}_{place}" for place, kind in enumerate(kinds)]
    tables = []
    for side in range(2):
        n_rows = int(rng.integers(20, 3000))
        hidden = rng.normal(size=(n_rows, 2)) @ weights + rng.normal(size=(n_rows, n_columns))
        hidden += side * 0.3 * rng.normal(size=n_columns)
        columns = {
            name: _column(kind, int(shape), values, rng)
            for name, kind, shape, values in zip(names, kinds, shapes, hidden.T, strict=True)
        }
        tables.append(pd.DataFrame(columns))
    return tables[0], tables[1], dict(zip(names, map(str, kinds), strict=True))


_SHARES = (0.45, 0.3, 0.1, 0.15)


def _column(kind: str, shape: int, hidden: np.ndarray, rng: np.random.Generator) -> pd.Series:
    """Values of a kind; now and then the same for all rows, or missing in some or in all."""
    if kind == "numerical":
        values = pd.Series(_NUMBERS[shape % len(_NUMBERS)](hidden))
    elif kind == "datetime":
        days = np.round(500 * hidden).astype("timedelta64[D]")
        values = pd.Series((np.datetime64("2020-01-01") + days).astype("datetime64[s]"))
    elif kind == "boolean":
        values = pd.Series(hidden > 0.2, dtype=object)
    else:
        n_levels = _LEVELS[shape % len(_LEVELS)]
        values = pd.Series([f"v{code}" for code in np.round(n_levels * hidden / 6).astype(int)])
    fate = rng.random()
    if fate < 0.06:
        values = pd.Series([values[0]] * len(values), dtype=values.dtype)
    elif fate < 0.09:
        values[:] = None
    elif fate < 0.35:
        values = values.mask(rng.random(len(values)) < 0.15)
    return values
