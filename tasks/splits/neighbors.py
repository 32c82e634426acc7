"""Rows between rows: SMOTE, SMOTENC and ADASYN of imbalanced-learn, on typed columns.

    numbers, dates and times      on the line between a row and one of its nearest of the same class
    categories and booleans       the commonest value among the nearest rows (SMOTENC, SMOTEN)
    identifiers                   new ones

Source: Chawla et al. 2002, SMOTE: synthetic minority over-sampling technique, JAIR 16; He et al.
    2008, ADASYN: adaptive synthetic sampling approach for imbalanced learning, IJCNN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from imblearn.over_sampling import (  # type: ignore[import-untyped]
    ADASYN,
    SMOTE,
    SMOTEN,
    SMOTENC,
)

from tasks.augmentation.tabular import new_identifiers
from tasks.constraints.check import broken, combinations, places_among
from tasks.constraints.declared import FixedCombinations
from tasks.errors import DataError
from tasks.params import BalanceParams
from tasks.schema import Column, TableSchema, arrow_schema
from tasks.seeding import derive_seed


@dataclass(frozen=True)
class Made:
    """Rows that were made.

    Attributes:
        rows: of the table's schema.
        classes: (M,) of these rows.
        n_left_out: rows that broke a declared constraint.
        variant: of the method, by the name in imbalanced-learn.
    """

    rows: pa.Table
    classes: np.ndarray
    n_left_out: int
    variant: str


@dataclass(frozen=True)
class _Cells:
    """A column as numbers, and the way back.

    Attributes:
        numbers: (N,) float64, scaled; of categories, their codes.
        is_category: whether they are codes.
        back: from such numbers to values.
    """

    numbers: np.ndarray
    is_category: bool
    back: Callable[[np.ndarray], pa.Array]


def make_rows(
    rows: pa.Table,
    table: TableSchema,
    classes: np.ndarray,
    wanted: np.ndarray,
    *,
    labels: pa.Array,
    target: str,
    params: BalanceParams,
    seed: int,
) -> Made:
    """As many new rows of each class as it lacks; ADASYN makes about as many.

    Args:
        rows: all real ones.
        table: describes them.
        classes: of the rows.
        wanted: rows that each class should have.
        labels: the classes, by number.
        target: their column.
        params: section `balance`.
        seed: of the dataset.

    Shape:
        classes: (N,) integers from 0.
        wanted: (K,).

    Raises:
        DataError: too few rows of a class, a missing value, or a column between whose
            values there is nothing.
    """
    used = [c for c in table.columns if c.name != target and c.meaning != "identifier"]
    _check(rows, table, target, used, params)
    if n_missing := rows[target].null_count:
        raise DataError(
            f"balance.method {params.method!r} needs the target {target!r} in every row, found"
            f" {n_missing:,} rows without; drop them under clean.missing"
        )
    sizes = np.bincount(classes, minlength=len(wanted))
    lacking = np.flatnonzero(wanted > sizes)
    _check_sizes(sizes[lacking], labels.to_pylist(), lacking, params)
    cells = [_cells(rows[c.name].combine_chunks(), c) for c in used]
    strategy = {int(label): int(wanted[label]) for label in lacking}
    if not strategy:
        none = np.zeros(0, dtype=np.int64)
        return Made(arrow_schema(table).empty_table(), none, 0, params.method)
    variant = _variant(cells, strategy, params, seed)
    numbers = np.column_stack([c.numbers for c in cells])
    try:
        found, found_classes = variant.fit_resample(numbers, classes)
    except ValueError as error:
        if "No samples will be generated" not in str(error):
            raise
        raise DataError(
            "balance.method 'adasyn' makes rows near rows of other classes, and found none near:"
            " the classes are far apart; take smote"
        ) from error
    n_real = len(numbers)
    values = {
        c.name: cell.back(found[n_real:, i])
        for i, (c, cell) in enumerate(zip(used, cells, strict=True))
    }
    values[target] = labels.take(pa.array(found_classes[n_real:]))
    made = _assembled(values, rows, table)
    kept = _keeps_constraints(made, rows, table)
    return Made(
        made.filter(pa.array(kept)),
        found_classes[n_real:][kept],
        int(np.count_nonzero(~kept)),
        type(variant).__name__,
    )


def _check(
    rows: pa.Table, table: TableSchema, target: str, used: list[Column], params: BalanceParams
) -> None:
    where = f"balance.method {params.method!r}"
    if not used:
        raise DataError(f"{where} found no column beside {target!r} to make values for")
    unfit = [c.name for c in used if not _can_be_made(c, rows.schema.field(c.name).type)]
    if unfit:
        raise DataError(
            f"{where} makes rows between rows, and there is nothing between the values of {unfit}"
            " (texts, images, lists); leave these columns out with clean.drop_columns, or take"
            " class_weights"
        )
    if params.method == "adasyn" and (other := [c.name for c in used if _is_category(c)]):
        raise DataError(
            f"{where} is for numbers alone, and {other} are categories; take smote, which knows both"
        )
    linked = {name for key in table.foreign_keys for name in key.columns}
    if linked:
        raise DataError(
            f"{where} cannot make values of {sorted(linked)}, which link to other tables; take"
            " class_weights or oversample"
        )
    missing = {
        c.name: n for c in used if (n := pc.sum(pc.is_null(rows[c.name], nan_is_null=True)).as_py())
    }
    if missing:
        found = ", ".join(f"{name} ({n:,})" for name, n in missing.items())
        raise DataError(
            f"{where} needs a value in every cell, found rows without in: {found}; fill or drop them"
            " under clean.missing"
        )


def _check_sizes(
    sizes: np.ndarray, values: list[object], labels: np.ndarray, params: BalanceParams
) -> None:
    k = params.neighbors
    few = {str(values[label]): int(n) for label, n in zip(labels, sizes, strict=True) if n <= k}
    if few:
        found = ", ".join(f"{value!r} has {n}" for value, n in few.items())
        least = min(few.values())
        advice = (
            f"lower balance.neighbors to {least - 1}" if least > 1 else "merge or drop that class"
        )
        raise DataError(
            f"balance.method {params.method!r} draws between a row and its {k} nearest of the same"
            f" class: expected at least {k + 1} rows of each, but {found}; {advice}, or take"
            " class_weights"
        )


def _variant(
    cells: list[_Cells], strategy: dict[int, int], params: BalanceParams, seed: int
) -> ADASYN | SMOTE | SMOTEN | SMOTENC:
    state = derive_seed(seed, "balance", params.method) % 2**32
    k = params.neighbors
    if params.method == "adasyn":
        return ADASYN(sampling_strategy=strategy, random_state=state, n_neighbors=k)
    categories = [cell.is_category for cell in cells]
    if all(categories):
        return SMOTEN(sampling_strategy=strategy, random_state=state, k_neighbors=k)
    if any(categories):
        return SMOTENC(
            [i for i, is_one in enumerate(categories) if is_one],
            sampling_strategy=strategy,
            random_state=state,
            k_neighbors=k,
        )
    return SMOTE(sampling_strategy=strategy, random_state=state, k_neighbors=k)


def _is_category(column: Column) -> bool:
    return column.meaning in ("categorical", "boolean")


def _can_be_made(column: Column, kind: pa.DataType) -> bool:
    if _is_category(column):
        return not pa.types.is_nested(kind)
    return _is_number(kind) or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _cells(values: pa.Array, column: Column) -> _Cells:
    kind = values.type
    if _is_category(column):
        encoded = values.dictionary_encode()
        codes = np.asarray(encoded.indices).astype(np.float64)
        return _Cells(
            codes,
            True,
            lambda found: encoded.dictionary.take(pa.array(found.astype(np.int64))),
        )
    ticks = pa.int32() if kind.bit_width == 32 else pa.int64()
    whole = pa.types.is_temporal(kind) or pa.types.is_integer(kind)
    plain = values.cast(ticks) if pa.types.is_temporal(kind) else values
    numbers = np.asarray(plain.cast(pa.float64(), safe=False))
    low, high = numbers.min(), numbers.max()
    # Distances count in standard deviations; a constant column has none.
    scale = float(numbers.std()) or 1.0
    mean = float(numbers.mean())

    def back(found: np.ndarray) -> pa.Array:
        made = np.clip(found * scale + mean, low, high)
        if pa.types.is_temporal(kind):
            return pa.array(np.rint(made).astype(np.int64)).cast(ticks).cast(kind)
        made = np.rint(made) if whole else made
        return pa.array(made).cast(kind, safe=False)

    return _Cells((numbers - mean) / scale, False, back)


def _assembled(values: dict[str, pa.Array], rows: pa.Table, table: TableSchema) -> pa.Table:
    n_rows = len(next(iter(values.values())))
    for column in table.columns:
        if column.name not in values:
            values[column.name] = new_identifiers(rows[column.name], np.arange(n_rows))
    schema = arrow_schema(table)
    return pa.table([values[name].cast(schema.field(name).type) for name in schema.names], schema)


def _keeps_constraints(made: pa.Table, rows: pa.Table, table: TableSchema) -> np.ndarray:
    """Shape: (M,) bool. Between two rows that satisfy a constraint there may be one that does not."""
    kept = np.ones(made.num_rows, dtype=bool)
    for constraint in table.constraints:
        if isinstance(constraint, FixedCombinations):
            known = combinations(rows, constraint.columns, 1)
            kept &= places_among(made, known, constraint.columns) >= 0
        else:
            kept &= ~broken(constraint, made)
    return kept
