"""Numbers, dates and times: tokens for values that repeat, ranks for the continuous rest."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.encoding.columns.base import COMMON_ROWS, RANK_MARGIN, ColumnEncoder, EncodedColumn
from tasks.encoding.columns.units import Units
from tasks.schema import Column, arrow_type

MAX_DISCRETE = 128
"""Distinct values up to which every common value is a token, if nearly all rows have one."""

DISCRETE_COVERAGE = 0.98
"""Share of the rows that common values must fill for that."""

SPIKE_FRACTION = 0.005
"""Share of the rows from which on one value of a continuous column is a token."""

QUANTILES = 1_024
"""Steps of the empirical distribution at most; each holds four values at least."""


class NumericEncoder(ColumnEncoder):
    """A token for each value that repeats much, one for a missing value, ranks for the others.

    The rank of a value is its place in the empirical distribution of the column's continuous part,
    from 0 to 1, read from a table of quantiles (`knots` at `levels`). A value that stands for an
    interval (an integer, a number of so many decimals) has an interval of ranks.

    Lost:
      - Continuous values are interpolated between quantiles and rounded to the step of the
        column: its decimals, whole days ... Integers and times stay exact up to 64 bits where they
        are tokens, and are exact to 2^53 steps from the smallest one where they are interpolated.
      - A continuous part of a few stray values is left out: they become the nearest token.
      - The outermost `COMMON_ROWS` values at either end of a continuous part are spread evenly
        over the range that they span. So the extreme bounds what is published, but comes out itself
        only by chance or by rounding.
      - Infinite values and not-a-numbers count as missing; a column that may not be missing gets
        not-a-number. Missing values that were not seen in `fit` become the first token or the
        median.

    Attributes:
        values: (V,) keys of the values that are tokens, ascending.
        levels: (K,) float64 ranks, ascending from 0 to 1; empty without a continuous part.
        knots: (K,) float64 keys at these ranks.
    """

    def __init__(
        self,
        column: Column,
        units: Units,
        *,
        values: np.ndarray,
        levels: np.ndarray,
        knots: np.ndarray,
        has_null: bool,
    ) -> None:
        self.column = column
        self.units = units
        self.values = values
        self.levels = levels
        self.knots = knots
        self.continuous_token = len(values) if len(levels) else None
        n_kinds = len(values) + bool(len(levels))
        self.null_token = n_kinds if has_null else None
        self.n_tokens = n_kinds + has_null

    @classmethod
    def fit(cls, column: Column, values: pa.Array) -> Self:
        """Choose the tokens and tabulate the distribution of the other values."""
        present = values.filter(_is_present(values))
        units = Units.fit(present)
        keys, counts = np.unique(units.keys(present), return_counts=True)
        is_token = _are_tokens(counts, len(values))
        levels = knots = np.empty(0)
        n_rest, n_hidden = counts[~is_token].sum(), COMMON_ROWS
        if n_rest >= 2 * n_hidden or (n_rest and not is_token.any()):
            continuous = keys[~is_token].astype(np.float64)
            spread = _spread(continuous, counts[~is_token], 0.5 if units.whole else 0.0)
            levels, knots = _quantiles(spread, n_hidden)
        return cls(
            column,
            units,
            values=keys[is_token],
            levels=levels,
            knots=knots,
            has_null=len(present) < len(values),
        )

    def encode(self, values: pa.Array) -> EncodedColumn:
        """A token for each cell, and the ranks of continuous ones."""
        present = _is_present(values).to_numpy(zero_copy_only=False)
        keys = self.units.keys(values.filter(pa.array(present)))
        tokens = np.zeros(len(values), dtype=np.int64)
        if self.null_token is not None:
            tokens[~present] = self.null_token
        if self.continuous_token is None:
            tokens[present] = _nearest(self.values, keys)
            return EncodedColumn(tokens)
        place = np.searchsorted(self.values, keys)
        known = np.isin(keys, self.values)
        tokens[present] = np.where(known, place, self.continuous_token)
        half = 0.5 if self.units.whole else 0.0
        low, high = np.full(len(values), 0.5), np.full(len(values), 0.5)
        low[present] = self._rank(keys.astype(np.float64) - half, "left")
        high[present] = self._rank(keys.astype(np.float64) + half, "right")
        return EncodedColumn(tokens, low, high)

    def decode(
        self, tokens: np.ndarray, ranks: np.ndarray, rng: np.random.Generator, first_row: int
    ) -> pa.Array:
        """The value of each token, and of the rank of each continuous cell."""
        del first_row
        missing = tokens == (-1 if self.null_token is None else self.null_token)
        dtype = np.uint64 if self.units.whole else np.float64
        keys = np.zeros(len(tokens), dtype=dtype)
        if len(self.values):
            keys = self.values[np.minimum(tokens, len(self.values) - 1)]
        if self.continuous_token is not None:
            found = np.interp(self._inside(ranks, rng), self.levels, self.knots)
            if self.units.whole:
                first, last = np.ceil(self.knots[0]), np.floor(self.knots[-1])
                found = np.clip(np.rint(found), first, min(last, 2.0**64 - 2048))
            keys = np.where(tokens == self.continuous_token, found.astype(dtype), keys)
        cells = self.units.values(keys, missing)
        if missing.any() and pa.types.is_floating(cells.type) and not self.column.nullable:
            return pc.fill_null(cells, pa.scalar(np.nan, cells.type))
        return cells

    def covers(self, values: pa.Array) -> np.ndarray:
        """(B,) bool: whether a value is in the range, and in the steps, of the continuous part."""
        covered = np.zeros(len(values), dtype=bool)
        present = _is_present(values).to_numpy(zero_copy_only=False)
        if not len(self.knots):
            return covered
        spelled = values.filter(pa.array(present))
        keys = self.units.keys(spelled)
        again = self.units.values(keys, np.zeros(len(keys), dtype=bool))
        half = 0.5 if self.units.whole else 0.0
        is_inside = (self.knots[0] - half <= keys) & (keys <= self.knots[-1] + half)
        covered[present] = pc.equal(again, spelled).to_numpy(zero_copy_only=False) & is_inside
        return covered

    def usual_range(self) -> pa.Array:
        """Two values between which nearly all lie; `COMMON_ROWS` rows or more are at and beyond each."""
        if self.continuous_token is None:
            tokens = np.array([0, max(0, len(self.values) - 1)])
            return self.decode(tokens, np.full(2, 0.5), np.random.default_rng(0), 0)
        tokens = np.full(2, self.continuous_token)
        ranks = self.levels[[1, -2]] if len(self.levels) > 2 else np.array([0.5, 0.5])
        return self.decode(tokens, ranks, np.random.default_rng(0), 0)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content = {**self.units.state(), "null": self.null_token is not None}
        return content, {"values": self.values, "levels": self.levels, "knots": self.knots}

    @classmethod
    def from_state(
        cls, column: Column, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        units = Units(arrow_type(column), content["decimals"], content["origin"], content["step"])
        return cls(
            column,
            units,
            values=arrays["values"],
            levels=arrays["levels"],
            knots=arrays["knots"],
            has_null=content["null"],
        )

    def _inside(self, ranks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Ranks at either end, spread over the outermost step: there, one real value would come out.

        A rank is an end where a generator's number is beyond all real ones.
        """
        spread = ranks.copy()
        for is_end, step in (
            (ranks <= RANK_MARGIN, self.levels[:2]),
            (ranks >= 1 - RANK_MARGIN, self.levels[-2:]),
        ):
            spread[is_end] = rng.uniform(step[0], step[1], int(is_end.sum()))
        return spread

    def _rank(self, keys: np.ndarray, side: str) -> np.ndarray:
        """The smallest (`left`) or largest (`right`) rank at which the knots pass `keys`."""
        last = len(self.knots) - 1
        after = np.clip(np.searchsorted(self.knots, keys, side=side), 1, last)  # type: ignore[call-overload]
        start, end = self.knots[after - 1], self.knots[after]
        gap = np.where(end > start, end - start, 1.0)
        share = np.clip((keys - start) / gap, 0.0, 1.0)
        if side == "right":
            share = np.where(end > start, share, 1.0)
        return np.asarray(
            self.levels[after - 1] + share * (self.levels[after] - self.levels[after - 1])
        )


def _is_present(values: pa.Array) -> pa.Array:
    """Whether each cell holds a finite value."""
    if pa.types.is_floating(values.type):
        return pc.fill_null(pc.is_finite(values), False)
    return values.is_valid()


def _are_tokens(counts: np.ndarray, n_rows: int) -> np.ndarray:
    """Which distinct values are tokens, from the rows that each fills."""
    common = counts >= COMMON_ROWS
    if len(counts) <= MAX_DISCRETE and counts[common].sum() >= DISCRETE_COVERAGE * counts.sum():
        return common
    return counts >= max(SPIKE_FRACTION * n_rows, 5)


def _nearest(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Index of the entry of ascending `values` nearest to each key; the lower one of two."""
    if len(values) == 0:
        return np.zeros(len(keys), dtype=np.int64)
    after = np.clip(np.searchsorted(values, keys), 1, max(len(values) - 1, 1))
    after = np.minimum(after, len(values) - 1)
    before = np.maximum(after - 1, 0)
    above = np.where(values[after] > keys, values[after] - keys, keys - values[after])
    below = np.where(values[before] > keys, values[before] - keys, keys - values[before])
    return np.where(above < below, after, before)


def _spread(keys: np.ndarray, counts: np.ndarray, half: float) -> np.ndarray:
    """Each key repeated as often as it occurs, evenly within half a step on either side."""
    repeated = np.repeat(keys, counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    share = (np.arange(len(repeated)) - first + 0.5) / np.repeat(counts, counts)
    return np.asarray(repeated + half * (2 * share - 1))


def _quantiles(ordered: np.ndarray, n_hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """A table of the distribution: evenly spaced ranks, and finer ones in both tails.

    No rank is nearer to an end than `n_hidden` values, which are so spread over their range.
    """
    n = len(ordered)
    steps = min(max(n // 4, 1), QUANTILES)
    even = np.linspace(0, 1, steps + 1)[1:-1]
    tail = n_hidden / n * 2.0 ** np.arange(16)
    tail = tail[tail < 1 / steps]
    inner = np.concatenate(
        [tail, even[(even >= n_hidden / n) & (even <= 1 - n_hidden / n)], 1 - tail]
    )
    levels = np.concatenate([[0.0], np.unique(inner), [1.0]])
    knots = np.interp(levels * n - 0.5, np.arange(n), ordered)
    return levels, knots
