"""Medians and other quantiles of columns, exactly, for any number of rows.

The values are taken as whole numbers that sort as they do (`exact.sort_keys`). One round counts how
many begin with each of 65,536 patterns of 16 bits; that tells the pattern with which the wanted value
begins, and the next round looks at the next 16 bits of those values only. So four rounds find a
value among any number of rows (eight rounds a decimal), in half a megabyte.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.cleaning.statistics.base import Statistic
from tasks.cleaning.statistics.exact import from_sort_key, sort_keys

_DIGIT_BITS = 16

Counts = dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
"""By the digits before it: each digit that occurs, and how often."""


class Quantiles(Statistic):
    """Four rounds, or eight where there are decimals.

    Between two values a quantile is interpolated linearly.

    Attributes:
        of: the quantiles by column, in the order in which they were asked for; None where the
            column has no value.

    Source: Hyndman, Fan 1996, Sample Quantiles in Statistical Packages, definition 7
        (doi:10.1080/00031305.1996.10473566), which NumPy and pandas use too.
    """

    def __init__(self, columns: Mapping[str, pa.DataType], shares: Sequence[Fraction]) -> None:
        """Nothing was seen yet.

        Args:
            columns: of ordered types (`exact.is_ordered`).
            shares: of the values that are below each quantile, from 0 to 1.
        """
        self._searches = {name: _Search(kind) for name, kind in columns.items()}
        self._shares = list(shares)
        self.of: dict[str, list[Fraction] | None] = {}

    @property
    def needs_round(self) -> bool:
        """See `Statistic.needs_round`."""
        return any(not search.is_done for search in self._searches.values())

    def observe(self, batch: pa.RecordBatch, note: Any) -> dict[str, Counts]:
        """See `Statistic.observe`."""
        del note
        return {
            name: search.observe(batch[name])
            for name, search in self._searches.items()
            if not search.is_done
        }

    def add(self, partial: dict[str, Counts]) -> None:
        """See `Statistic.add`."""
        for name, counts in partial.items():
            self._searches[name].add(counts)

    def end_round(self) -> None:
        """See `Statistic.end_round`."""
        for name, search in self._searches.items():
            if not search.is_done:
                search.end_round(self._shares)
                if search.is_done:
                    self.of[name] = search.quantiles(self._shares)


class _Search:
    """The search for some values of one column by their ranks."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._n_digits = 8 if pa.types.is_decimal128(kind) else 4
        self._depth = 0
        self._n_values = 0
        self._prefixes = [0]
        """First digits of the values that are looked for, as one number."""
        self._found: dict[int, tuple[int, int]] = {}
        """By rank: the prefix of the value, and its rank among the values with that prefix."""
        self._counts: dict[int, npt.NDArray[np.int64]] = {}

    @property
    def is_done(self) -> bool:
        return self._depth == self._n_digits

    def observe(self, values: pa.Array) -> Counts:
        keys = sort_keys(values)
        word, place = divmod(self._depth, 64 // _DIGIT_BITS)
        counts: Counts = {}
        for prefix in self._prefixes:
            shift = np.uint64(64 - _DIGIT_BITS * (place + 1))
            heads = keys[word] >> shift
            if self._depth:
                heads = heads[self._begins(keys, prefix)]
            digits = (heads & np.uint64(2**_DIGIT_BITS - 1)).astype(np.int64)
            counts[prefix] = np.unique(digits, return_counts=True)
        return counts

    def _begins(self, keys: list[npt.NDArray[np.uint64]], prefix: int) -> npt.NDArray[np.bool_]:
        n_bits = _DIGIT_BITS * self._depth
        if n_bits <= 64:
            return np.asarray(keys[0] >> np.uint64(64 - n_bits) == np.uint64(prefix))
        n_bits -= 64
        first, second = prefix >> n_bits, prefix & (2**n_bits - 1)
        return np.asarray(
            (keys[0] == np.uint64(first)) & (keys[1] >> np.uint64(64 - n_bits) == np.uint64(second))
        )

    def add(self, counts: Counts) -> None:
        for prefix, (digits, numbers) in counts.items():
            if prefix not in self._counts:
                self._counts[prefix] = np.zeros(2**_DIGIT_BITS, dtype=np.int64)
            self._counts[prefix][digits] += numbers

    def end_round(self, shares: Sequence[Fraction]) -> None:
        if self._depth == 0:
            self._n_values = int(sum(counts.sum() for counts in self._counts.values()))
            if self._n_values == 0:
                self._depth = self._n_digits
                return
            ranks = {f(_position(share, self._n_values)) for share in shares for f in (floor, ceil)}
            self._found = {rank: (0, rank) for rank in sorted(ranks)}
        for rank, (prefix, left) in self._found.items():
            ends = np.cumsum(self._counts[prefix])
            digit = int(np.searchsorted(ends, left, side="right"))
            left -= int(ends[digit - 1]) if digit else 0
            self._found[rank] = (prefix << _DIGIT_BITS | digit, left)
        self._prefixes = sorted({prefix for prefix, _ in self._found.values()})
        self._counts = {}
        self._depth += 1

    def quantiles(self, shares: Sequence[Fraction]) -> list[Fraction] | None:
        if self._n_values == 0:
            return None
        values = {rank: from_sort_key(key, self._kind) for rank, (key, _) in self._found.items()}
        result = []
        for share in shares:
            position = _position(share, self._n_values)
            low, high = values[floor(position)], values[ceil(position)]
            result.append(low + (high - low) * (position - floor(position)))
        return result


def _position(share: Fraction, n_values: int) -> Fraction:
    return share * (n_values - 1)
