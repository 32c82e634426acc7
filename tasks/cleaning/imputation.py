"""Missing values as a model of the other columns predicts them.

Source: LightGBM, Ke et al. 2017 (NeurIPS); one model for each column, of the rows that have it.
"""

import math
from collections.abc import Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.cleaning.statistics.exact import of_whole_numbers, whole_numbers
from tasks.schema import Column, arrow_type

MAX_CATEGORIES = 250
"""Different values of a category at most that a model tells apart; all others are one."""

_ROUNDS = 100
_LEAF_ROWS = 20
_SETTINGS = {
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 0,
    "verbosity": -1,
}


class Imputer:
    """Predicts one column from others; where those are missing, too.

    Numbers and moments are predicted as they are, rounded to what their type holds, within the range
    of the known values. Everything else is a category: the likeliest is taken.
    """

    def __init__(self, column: Column, features: Sequence[Column], rows: pa.Table) -> None:
        """Train.

        Args:
            column: to predict.
            features: columns to predict it from.
            rows: of these columns; all have a value of `column`, and there is one at least.
        """
        self._column = column
        self._type = arrow_type(column)
        self._inputs = [_Input(feature, rows[feature.name]) for feature in features]
        self._categories: pa.Array | None = None
        if is_category(column):
            self._categories = _categories(rows[column.name])
            target = pc.index_in(rows[column.name], value_set=self._categories)
            known = target.is_valid().to_numpy()
            target = target.drop_null().to_numpy().astype(np.float64)
            rows = rows.filter(pa.array(known))
            settings: dict[str, Any] = {
                "objective": "multiclass",
                "num_class": max(2, len(self._categories)),
            }
        else:
            known = rows[column.name].combine_chunks()
            target = _numbers(known)
            self._range = (target.min(), target.max())
            self._ends = _ends(known)
            # LightGBM keeps targets in 32 bits; a power of two changes no digit.
            self._scale = 2.0 ** (math.frexp(max(map(abs, self._range)))[1] - 1)
            target = target / self._scale
            # Centred, because the trees' leaves are sums of doubles.
            self._center = float(target.mean())
            target = target - self._center
            settings = {"objective": "regression"}
        leaf_rows = max(1, min(_LEAF_ROWS, rows.num_rows // 20))
        self._model = lgb.train(
            {**_SETTINGS, **settings, "min_data_in_leaf": leaf_rows},
            lgb.Dataset(
                self._matrix(rows),
                target,
                categorical_feature=[i for i, x in enumerate(self._inputs) if x.is_category],
                params={"verbosity": -1, "min_data_in_bin": 1},
            ),
            _ROUNDS,
        )

    def predict(self, batch: pa.RecordBatch) -> pa.Array:
        """A value of the column for each row."""
        if batch.num_rows == 0:
            return pa.array([], self._type)
        found = np.asarray(self._model.predict(self._matrix(batch), num_threads=1))
        if self._categories is not None:
            return self._categories.take(pa.array(found.argmax(axis=1)))
        return self._within(found + self._center)

    def _within(self, numbers: npt.NDArray[np.float64]) -> pa.Array:
        """Scaled predictions as values of the column's type, none beyond the known ones."""
        low, high = self._range
        numbers = np.clip(numbers, low / self._scale, high / self._scale) * self._scale
        is_low, is_high = numbers <= low, numbers >= high
        # Doubles may round the ends to what the type does not hold, so these are not taken from them.
        values = _typed(np.where(is_low | is_high, 0.0, numbers), self._type)
        values = pc.if_else(pa.array(is_low), self._ends[0], values)
        return pc.if_else(pa.array(is_high), self._ends[1], values)

    def _matrix(self, rows: pa.Table | pa.RecordBatch) -> npt.NDArray[np.float64]:
        columns = [x.encode(_whole(rows[x.name])) for x in self._inputs]
        # LightGBM wants a column.
        return np.column_stack([*columns, np.zeros(rows.num_rows)])


class _Input:
    """One column as a model sees it: numbers as they are, categories as codes; NaN where missing."""

    def __init__(self, column: Column, values: pa.ChunkedArray) -> None:
        self.name = column.name
        self.is_category = is_category(column)
        self._categories = _categories(values) if self.is_category else None

    def encode(self, values: pa.Array) -> npt.NDArray[np.float64]:
        if self._categories is None:
            return _numbers(values)
        codes = pc.index_in(values, value_set=self._categories, skip_nulls=True)
        return _numbers(codes)


def is_category(column: Column) -> bool:
    """Whether a column is predicted as a category and not as a quantity."""
    kind = arrow_type(column)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return is_text or column.meaning in ("categorical", "boolean")


def _categories(values: pa.ChunkedArray) -> pa.Array:
    """The commonest values, sorted, so that equal counts leave no trace of the rows' order."""
    counts = pc.value_counts(_whole(values.drop_null()))
    found = pa.table({"value": counts.field("values"), "n": counts.field("counts")})
    found = found.sort_by([("n", "descending"), ("value", "ascending")]).slice(0, MAX_CATEGORIES)
    return _whole(found.sort_by("value")["value"])


def _whole(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    numbers = pc.cast(values, pa.float64(), safe=False)
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))


def _typed(numbers: npt.NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    if pa.types.is_floating(kind) or pa.types.is_decimal128(kind):
        return pa.array(numbers).cast(kind)
    whole = pa.array(np.rint(numbers))
    if pa.types.is_temporal(kind):
        return whole.cast(pa.int32() if kind.bit_width == 32 else pa.int64(), safe=False).view(kind)
    return whole.cast(kind, safe=False)


def _ends(known: pa.Array) -> pa.Array:
    """(2,) of the type: the least and the largest value."""
    if pa.types.is_floating(known.type):
        bounds = pc.min_max(known)
        return pa.array([bounds["min"], bounds["max"]], known.type)
    whole = whole_numbers(known)
    return of_whole_numbers(np.array([whole.min(), whole.max()]), known.type)
