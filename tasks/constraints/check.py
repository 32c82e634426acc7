"""Which rows break a constraint."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.constraints.declared import (
    Constraint,
    FixedCombinations,
    Formula,
    Inequality,
    NotNull,
    Range,
    Unique,
)

_DOUBLE = 1e-12
_SINGLE = 1e-6
"""Relative errors that sums and products of doubles, or of singles, may have."""

Rows: TypeAlias = "pa.Table | pa.RecordBatch"


def broken(constraint: Constraint, rows: Rows) -> np.ndarray:
    """(B,) bool: the rows that break a constraint; of equal rows all but the first break `Unique`.

    `FixedCombinations` are told by the training data alone: see `not_among`.
    """
    match constraint:
        case Inequality():
            return _out_of_order(constraint, rows)
        case Range():
            return _out_of_range(constraint, rows)
        case NotNull():
            return _any([is_missing(rows[name]) for name in constraint.columns])
        case Unique():
            keys, whole = row_keys(rows, constraint.columns)
            repeats = pd.Series(keys[whole]).duplicated().to_numpy()
            result: np.ndarray = np.zeros(rows.num_rows, dtype=bool)
            result[whole] = repeats
            return result
        case Formula():
            expected = computed(constraint, rows)
            found = as_floats(rows[constraint.column])
            known = np.isfinite(expected) & np.isfinite(found)
            off = np.abs(found - np.where(known, expected, found)) > _tolerance(
                constraint, rows.schema.field(constraint.column).type, expected
            )
            return np.asarray(known & off)
        case FixedCombinations():
            return np.zeros(rows.num_rows, dtype=bool)


def combinations(rows: Rows, columns: Sequence[str], minimum: int) -> pa.Table:
    """The combinations of values that at least `minimum` rows have, commonest first.

    Returns:
        A table of the columns, missing values included, and `n_rows`; ties are in the order of
        first appearance.
    """
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    table = table.select(columns).append_column("n_rows", pa.array(np.arange(table.num_rows)))
    counted = table.group_by(list(columns), use_threads=False).aggregate(
        [("n_rows", "count"), ("n_rows", "min")]
    )
    counted = counted.filter(pc.greater_equal(counted["n_rows_count"], minimum))
    counted = counted.sort_by([("n_rows_count", "descending"), ("n_rows_min", "ascending")])
    return counted.drop(["n_rows_min"]).rename_columns([*columns, "n_rows"])


def places_among(rows: Rows, known: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """(B,) int64: the row of `known` that has the same values in `columns`; -1: none has."""
    place = np.zeros(rows.num_rows, dtype=np.int64)
    known_place = np.zeros(known.num_rows, dtype=np.int64)
    for name in columns:
        values = pc.unique(known[name])
        codes, known_codes = _codes(rows[name], values), _codes(known[name], values)
        pairs, known_place = np.unique(
            known_place * (len(values) + 1) + known_codes, return_inverse=True
        )
        wanted = np.where((place < 0) | (codes < 0), -1, place * (len(values) + 1) + codes)
        found = np.minimum(np.searchsorted(pairs, wanted), max(len(pairs) - 1, 0))
        place = np.where(pairs[found] == wanted, found, -1) if len(pairs) else place - 1
        place = np.where(wanted < 0, -1, place)
    order = np.argsort(known_place)
    return np.where(place < 0, -1, order[np.maximum(place, 0)]) if len(order) else place


def row_keys(rows: Rows, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(B,) uint64 hashes of the values in `columns`, and (B,) bool whether none is missing.

    Equal values have equal hashes in every batch, whatever else is in it.
    """
    whole = ~_any([is_missing(rows[name]) for name in columns])
    series = {
        str(i): _hashable(rows[name]).to_pandas(date_as_object=False)
        for i, name in enumerate(columns)
    }
    frame = pd.DataFrame(series)
    return pd.util.hash_pandas_object(frame, index=False).to_numpy(), whole


def computed(formula: Formula, rows: Rows) -> np.ndarray:
    """(B,) float64: what a formula gives, not rounded; not finite where it has no value."""
    expression = formula.expression
    return expression.evaluate({name: as_floats(rows[name]) for name in expression.columns})


def decimals_of(formula: Formula, kind: pa.DataType) -> int | None:
    """Decimals that a formula's column of this type has; None: as many as a float."""
    if pa.types.is_integer(kind):
        return 0
    if pa.types.is_decimal(kind):
        scale = int(kind.scale)
        return scale if formula.decimals is None else min(scale, formula.decimals)
    return formula.decimals


def as_floats(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(B,) float64, NaN where missing."""
    return np.asarray(
        pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if isinstance(values, pa.Array)
        else pc.cast(values, pa.float64(), safe=False).to_numpy()
    )


def is_missing(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(B,) bool: null, or not a number."""
    missing = pc.is_null(values, nan_is_null=True)
    return np.asarray(
        missing.to_numpy(zero_copy_only=False) if isinstance(missing, pa.Array) else missing
    )


def _hashable(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Values that become the same pandas type with and without missing ones beside them."""
    if pa.types.is_integer(values.type):
        return pc.fill_null(values, 0)
    if pa.types.is_boolean(values.type):
        return pc.fill_null(values, False)
    return pc.add(values, 0.0) if pa.types.is_floating(values.type) else values


def _out_of_order(constraint: Inequality, rows: Rows) -> np.ndarray:
    wrong: np.ndarray = np.zeros(rows.num_rows, dtype=bool)
    exceeds = pc.greater_equal if constraint.strict else pc.greater
    for i, high in enumerate(constraint.columns):
        # Of three the middle one may be missing, so each is held against all before it.
        for low in constraint.columns[:i]:
            wrong |= _mask(exceeds(*_comparable(rows[low], rows[high])))
    return wrong


def _out_of_range(constraint: Range, rows: Rows) -> np.ndarray:
    values = rows[constraint.column]
    wrong: np.ndarray = np.zeros(rows.num_rows, dtype=bool)
    for bound, exceeds in ((constraint.min_value, pc.less), (constraint.max_value, pc.greater)):
        if bound is not None:
            scalar = constraint.bound(bound, values.type)
            wrong |= _mask(exceeds(*_comparable(values, scalar)))
    return wrong


def _comparable(one: pa.Array, other: pa.Array | pa.Scalar) -> tuple[pa.Array, pa.Array]:
    """Both as doubles, where one is a float and the other a decimal or an unsigned integer."""
    kinds = (one.type, other.type)
    if one.type != other.type and any(
        pa.types.is_floating(k) or pa.types.is_uint64(k) for k in kinds
    ):
        return pc.cast(one, pa.float64(), safe=False), pc.cast(other, pa.float64(), safe=False)
    return one, other


def _mask(found: pa.Array | pa.ChunkedArray) -> np.ndarray:
    filled = pc.fill_null(found, False)
    return np.asarray(
        filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled
    )


def _any(masks: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.logical_or.reduce(masks))


def _codes(values: pa.Array | pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    found = pc.fill_null(pc.index_in(values, known), -1)
    return np.asarray(found).astype(np.int64)


def _tolerance(formula: Formula, kind: pa.DataType, expected: np.ndarray) -> np.ndarray:
    """Half a unit of the last decimal, whichever way halves are rounded, and what floats lose."""
    decimals = decimals_of(formula, kind)
    relative = _SINGLE if kind in (pa.float32(), pa.float16()) else _DOUBLE
    half = 0.0 if decimals is None else 0.5 * 10.0**-decimals
    return half + relative * np.maximum(1.0, np.abs(np.where(np.isfinite(expected), expected, 0.0)))
