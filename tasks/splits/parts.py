"""Which part each row of the main table is in: train, validation or holdout; and its fold.

The method follows from the settings: `time` cuts in time, `group` keeps groups whole, and else rows
are drawn one by one; `stratify` keeps the shares of the classes in both of the latter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import ParamsError
from tasks.params import SplitParams
from tasks.schema import Column, DatasetSchema
from tasks.seeding import rng_for
from tasks.splits.chronological import periods
from tasks.splits.classes import bins_of, classes_of, groups_of, moments_of
from tasks.splits.folds import deal
from tasks.splits.groups import place_groups
from tasks.splits.holdout import holdout_mask

TRAIN, VALIDATION, HOLDOUT = 0, 1, 2
PARTS = ("train", "validation", "holdout")
"""By number. Without `validation_fraction` there is no validation part."""

ReadColumn = Callable[[str], pa.ChunkedArray]
"""Reads one column of the main table, all rows."""


@dataclass(frozen=True)
class Division:
    """Where the rows of the main table go.

    Attributes:
        parts: (N,) int16, `TRAIN`, `VALIDATION` or `HOLDOUT`.
        folds: (rows to train on,) int16, or None.
        method: in words: random, grouped, time.
        stratified_by: the column whose shares were kept.
        classes: (N,) integers of that column, or None.
    """

    parts: np.ndarray
    folds: np.ndarray | None
    method: str
    stratified_by: str | None
    classes: np.ndarray | None


def divide_rows(
    schema: DatasetSchema, n_rows: int, read: ReadColumn, params: SplitParams, seed: int
) -> Division:
    """Place every row of the main table.

    Args:
        schema: of the dataset.
        n_rows: of its main table.
        read: reads a column of it.
        params: section `split`.
        seed: of the dataset.

    Raises:
        ParamsError: a setting names no column, or one that it cannot use.
        DataError: the rows cannot be divided so.
    """
    rows = _Rows(schema, n_rows, read, params, seed)
    parts = rows.parts()
    folds = None if params.folds is None else rows.folds(parts == TRAIN, params.folds)
    return Division(parts, folds, rows.method, rows.stratified_by, rows.classes)


class _Rows:
    def __init__(
        self, schema: DatasetSchema, n_rows: int, read: ReadColumn, params: SplitParams, seed: int
    ) -> None:
        self._n_rows, self._params, self._seed = n_rows, params, seed
        self.classes: np.ndarray | None = None
        self.stratified_by: str | None = None
        self._groups: np.ndarray | None = None
        self._moments: np.ndarray | None = None
        main = schema.main.column_names
        for setting in ("group", "time"):
            name = getattr(params, setting)
            if name is not None and name not in main:
                raise _no_column(f"split.{setting}", name, main)
        if params.time is not None:
            self.method = "time"
            self._moments = moments_of(read(params.time), params.time, "split.time")
            return
        self.stratified_by = _stratified_by(schema, params)
        if self.stratified_by is not None:
            column = schema.main.column(self.stratified_by)
            self.classes = _strata(read(column.name), column, params)
        self.method = "random" if params.group is None else "grouped"
        if params.group is not None:
            self._groups = groups_of(read(params.group))

    def parts(self) -> np.ndarray:
        """Shape: (N,) int16."""
        params = self._params
        held, validated = params.holdout_fraction, params.validation_fraction or 0.0
        # Without a validation part, its number is left out.
        numbers = [TRAIN, VALIDATION, HOLDOUT] if validated else [TRAIN, HOLDOUT]
        shares = [1 - held - validated, validated, held] if validated else [1 - held, held]
        if self._groups is not None:
            rng = rng_for(self._seed, "split")
            found = place_groups(self._groups, self.classes, shares, rng, "split.group")
        elif self._moments is not None:
            found = periods(self._moments, shares, "split.time")
        else:
            return self._drawn(held, validated)
        parts: np.ndarray = np.array(numbers, dtype=np.int16)[found]
        return parts

    def folds(self, chosen: np.ndarray, n_folds: int) -> np.ndarray:
        """Shape: (rows that are chosen,) int16."""
        if self._moments is not None:
            # One stretch more than folds: the first is only ever trained on.
            shares = [1 / (n_folds + 1)] * (n_folds + 1)
            return periods(self._moments[chosen], shares, "split.folds")
        classes = None if self.classes is None else self.classes[chosen]
        rng = rng_for(self._seed, "split", "folds")
        if self._groups is not None:
            shares = [1 / n_folds] * n_folds
            return place_groups(self._groups[chosen], classes, shares, rng, "split.folds")
        return deal(classes, int(np.count_nonzero(chosen)), n_folds, rng)

    def _drawn(self, held: float, validated: float) -> np.ndarray:
        parts = np.full(self._n_rows, TRAIN, dtype=np.int16)
        rng = rng_for(self._seed, "split")
        parts[holdout_mask(self._n_rows, held, self.classes, rng)] = HOLDOUT
        if validated:
            rest = np.flatnonzero(parts == TRAIN)
            mask = holdout_mask(
                len(rest),
                validated / (1 - held),
                None if self.classes is None else self.classes[rest],
                rng_for(self._seed, "split", "validation"),
                "validation_fraction",
            )
            parts[rest[mask]] = VALIDATION
        return parts


def _stratified_by(schema: DatasetSchema, params: SplitParams) -> str | None:
    """The column named, or the target if its values are classes, or are to be cut into bins."""
    if isinstance(params.stratify, str):
        if params.stratify not in schema.main.column_names:
            raise _no_column("split.stratify", params.stratify, schema.main.column_names)
        return params.stratify
    if not params.stratify or schema.target is None:
        return None
    meaning = schema.main.column(schema.target).meaning
    can_be_cut = params.bins is not None and meaning in ("numeric", "datetime")
    return schema.target if meaning in ("categorical", "boolean") or can_be_cut else None


def _strata(values: pa.ChunkedArray, column: Column, params: SplitParams) -> np.ndarray:
    if column.meaning not in ("numeric", "datetime"):
        return classes_of(values)
    if params.bins is None:
        raise ParamsError(
            f"split.stratify: {column.name!r} is {column.meaning}, and hardly any two rows are alike"
            " in it; set split.bins to cut it into so many quantiles, for example 10"
        )
    missing = np.asarray(pc.is_null(values, nan_is_null=True))
    numbers = np.full(len(values), np.nan)
    known = values.filter(pa.array(~missing))
    numbers[~missing] = moments_of(known, column.name, "split.stratify")
    return bins_of(numbers, params.bins)


def _no_column(setting: str, name: str, known: list[str]) -> ParamsError:
    return ParamsError(
        f"{setting} names {name!r}, which the clean data has not; choose from: {', '.join(known)}"
    )
