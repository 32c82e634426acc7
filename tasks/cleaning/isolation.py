"""Rows that an isolation forest takes for outliers.

Source: Liu, Ting, Zhou 2008, Isolation Forest (doi:10.1109/ICDM.2008.17); scikit-learn's.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.ensemble import IsolationForest

_TREES = 100
_FAR = 1e6
"""Spans of the sample beyond which a value is as far as any: the trees count in 32 bits."""


class Isolation:
    """A forest, grown from a sample."""

    def __init__(self, rows: pa.Table, share: float, seed: int) -> None:
        """Grow it.

        Args:
            rows: of ordered types; there is one at least.
            share: of the sample that is taken for outliers.
            seed: of the trees.
        """
        self._names = rows.column_names
        values = [_numbers(rows[name].combine_chunks()) for name in self._names]
        known = [v[~np.isnan(v)] for v in values]
        self._middles = [float(np.median(k)) if len(k) else 0.0 for k in known]
        # Halves, because the span of doubles may be larger than any double.
        halves = [k.max() / 2 - k.min() / 2 if len(k) else 0.0 for k in known]
        self._halves = [float(half) or 1.0 for half in halves]
        self._forest = IsolationForest(
            n_estimators=_TREES, contamination=min(share, 0.5), random_state=seed % 2**32
        ).fit(self._matrix(values))

    def is_outlier(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """(N,) for each row; a missing value counts as the middle one."""
        if batch.num_rows == 0:
            return np.zeros(0, dtype=bool)
        found = self._forest.predict(self._matrix([_numbers(batch[n]) for n in self._names]))
        return np.asarray(found == -1)

    def _matrix(self, values: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
        with np.errstate(over="ignore"):
            scaled = [
                np.nan_to_num(v / half - middle / half, nan=0.0)
                for v, middle, half in zip(values, self._middles, self._halves, strict=True)
            ]
        return np.clip(np.column_stack(scaled), -_FAR, _FAR).astype(np.float32)


def _numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    if pa.types.is_temporal(values.type):
        values = values.view(pa.int32() if values.type.bit_width == 32 else pa.int64())
    numbers = pc.fill_null(pc.cast(values, pa.float64(), safe=False), np.nan)
    return np.asarray(numbers.to_numpy(zero_copy_only=False))
