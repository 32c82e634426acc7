"""Rows that could as well have been others: numbers a little off, categories of another row of the class.

Types, units (whole numbers, decimals, days) and ranges are kept; values that a column repeats (a
zero that means "none") stay such values; identifiers are new.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.constraints.check import computed, decimals_of, is_missing
from tasks.constraints.declared import Formula
from tasks.encoding.columns.units import Units, is_measurable
from tasks.params import Record
from tasks.schema import Column, TableSchema, arrow_schema

REPEATED = 0.05
"""Share of a column's numbers from which on one of them is a value that is taken or left as a whole."""

_IQR_TO_DEVIATION = 1.349
"""Interquartile range of the standard normal distribution."""


class TabularAugmentation(Record):
    """How far rows may be changed; 0 or false turns a change off."""

    noise: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="standard deviation of what is added to numbers and times, in those of their column",
    )
    resample: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of the other cells (categories, missing values, repeated numbers) that take"
        " the value of another row of the class",
    )
    mixup: float = Field(
        default=0.2,
        ge=0,
        le=10,
        description="alpha of the Beta distribution by which numbers lie between a row and another one"
        " of the class, nearer to the first; 0: no mixing",
    )
    across_classes: bool = Field(
        default=False, description="the other row may be of any class; the target stays"
    )


class Varied(NamedTuple):
    """Cells of B rows of C columns.

    Attributes:
        numbers: (B, C) float64, NaN where the cell is not told by it.
        from_mate: (B, C) bool, whether such a cell is that of the other row.
    """

    numbers: np.ndarray
    from_mate: np.ndarray


def vary(
    own: np.ndarray,
    mates: np.ndarray,
    deviations: np.ndarray,
    settings: TabularAugmentation,
    rng: np.random.Generator,
) -> Varied:
    """Numbers between two rows and with noise; what is no number, of one of both rows.

    **Source**: Zhang et al. 2018, mixup, arXiv:1710.09412; noise: Bishop 1995, Training with noise is
        equivalent to Tikhonov regularization, doi:10.1162/neco.1995.7.1.108.
    **Differs**: the own row's share is the larger one, so that its class is right.

    Args:
        own: cells of the rows; NaN where they are no numbers that can be changed a little.
        mates: cells of another row for each.
        deviations: of the columns.
        settings: see `TabularAugmentation`.
        rng: all randomness comes from it.

    Shape:
        own, mates: (B, C) float64.
        deviations: (C,) float64.
    """
    share = np.zeros((len(own), 1))
    if settings.mixup:
        drawn = rng.beta(settings.mixup, settings.mixup, share.shape)
        share = np.minimum(drawn, 1 - drawn)
    are_numbers = ~np.isnan(own) & ~np.isnan(mates)
    noise = settings.noise * deviations * rng.standard_normal(own.shape)
    numbers = np.where(are_numbers, own + share * (mates - own), own) + noise
    from_mate = (rng.random(own.shape) < settings.resample) & ~are_numbers
    numbers[from_mate] = np.nan
    return Varied(numbers, from_mate)


def deviation(numbers: np.ndarray) -> float:
    """The standard deviation, or what it would be by the quartiles if that is less; outliers widen it.

    Shape:
        numbers: (N,) float64, without NaN; 0 where there are none.
    """
    if not len(numbers):
        return 0.0
    low, high = np.quantile(numbers, [0.25, 0.75])
    spread = float(high - low) / _IQR_TO_DEVIATION
    return min(float(numbers.std()), spread) if spread else float(numbers.std())


class TableAugmenter:
    """Makes rows of the rows of a table, all of which it holds.

    Attributes:
        made_anew: columns of new identifiers.
    """

    def __init__(
        self,
        rows: pa.Table,
        table: TableSchema,
        untouched: Collection[str],
        settings: TabularAugmentation,
    ) -> None:
        """Learn units, ranges and deviations.

        Args:
            rows: of the table's schema.
            table: describes them.
            untouched: columns that stay as they are, such as the target.
            settings: see `TabularAugmentation`.
        """
        linked = {name for key in table.foreign_keys for name in key.columns}
        self._rows = rows
        self._table = table
        self._settings = settings
        self.made_anew = frozenset(
            c.name for c in table.columns if c.meaning == "identifier" and c.name not in linked
        )
        formulas = [c for c in table.constraints if isinstance(c, Formula)]
        self._formulas = [f for f in formulas if f.column not in untouched]
        kept = {*untouched, *linked, *self.made_anew, *(f.column for f in self._formulas)}
        changed = [c for c in table.columns if c.name not in kept and _can_be_changed(c, rows)]
        self._cells = {c.name: _cells(rows[c.name].combine_chunks(), c) for c in changed}

    @property
    def across_classes(self) -> bool:
        """Whether the other row may be of any class."""
        return self._settings.across_classes

    def make(
        self, sources: np.ndarray, mates: np.ndarray, numbers: np.ndarray, rng: np.random.Generator
    ) -> pa.Table:
        """A row like each of the sources.

        Args:
            sources: places of rows.
            mates: places of other rows, for each.
            numbers: of the rows to make, from 0, which new identifiers count on.
            rng: all randomness comes from it.

        Shape:
            sources, mates, numbers: (B,) int64.
        """
        copied = self._rows.take(pa.array(sources))
        columns = dict(zip(copied.column_names, copied.columns, strict=True))
        if self._cells:
            cells = list(self._cells.values())
            own, others = (
                np.stack([c.numbers[i] for c in cells], axis=1) for i in (sources, mates)
            )
            scales = np.array([cell.deviation for cell in cells])
            varied = vary(own, others, scales, self._settings, rng)
            for i, (name, cell) in enumerate(self._cells.items()):
                taken = np.where(varied.from_mate[:, i], mates, sources)
                values = self._rows[name].take(pa.array(taken)).combine_chunks()
                columns[name] = cell.put_into(values, varied.numbers[:, i])
        for name in self.made_anew:
            columns[name] = new_identifiers(self._rows[name], numbers)
        schema = arrow_schema(self._table)
        made = pa.table([columns[n].cast(schema.field(n).type) for n in schema.names], schema)
        for formula in self._formulas:
            place = schema.get_field_index(formula.column)
            made = made.set_column(place, schema.field(place), _computed(formula, made))
        return made


@dataclass(frozen=True)
class _Cells:
    """A column.

    Attributes:
        numbers: (N,) float64 keys of its units; NaN where a cell is taken or left as a whole.
        deviation: of these.
        units: None where no cell is a number.
        most: the largest key; the smallest is that of the smallest value.
        least: the smallest key.
    """

    numbers: np.ndarray
    deviation: float = 0.0
    units: Units | None = None
    least: float = 0.0
    most: float = 0.0

    def put_into(self, values: pa.Array, numbers: np.ndarray) -> pa.Array:
        """The values with those that these keys (B,) stand for in place, where they are not NaN."""
        meant = ~np.isnan(numbers)
        if self.units is None or not meant.any():
            return values
        keys = np.clip(np.where(meant, numbers, self.least), self.least, self.most)
        if self.units.whole:
            # The largest may round up as a float.
            keys = np.minimum(np.rint(keys), 2.0**63).astype(np.uint64)
        made = self.units.values(keys, ~meant)
        return pc.if_else(pa.array(meant), made, values)


def _can_be_changed(column: Column, rows: pa.Table) -> bool:
    return column.meaning not in ("text", "image") and not pa.types.is_nested(
        rows.schema.field(column.name).type
    )


def _cells(values: pa.Array, column: Column) -> _Cells:
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    n = len(values)
    nothing = _Cells(np.full(n, np.nan))
    if column.meaning not in ("numeric", "datetime", "geographic"):
        return nothing
    if not is_measurable(values.type):
        return nothing
    known = values.is_valid()
    if pa.types.is_floating(values.type):
        known = pc.fill_null(pc.is_finite(values), False)
    present = values.filter(known)
    if not len(present):
        return nothing
    units = Units.fit(present)
    keys = units.keys(present)
    distinct, places, counts = np.unique(keys, return_inverse=True, return_counts=True)
    numbers = keys.astype(np.float64)
    numbers[(counts >= max(2, REPEATED * len(keys)))[places]] = np.nan
    whole_column = np.full(n, np.nan)
    whole_column[np.asarray(known)] = numbers
    return _Cells(
        whole_column,
        deviation(numbers[~np.isnan(numbers)]),
        units,
        float(distinct[0]),
        float(distinct[-1]),
    )


def _computed(formula: Formula, rows: pa.Table) -> pa.Array:
    """The column of a formula, where it has a value; else as it is."""
    kind = rows.schema.field(formula.column).type
    numbers = computed(formula, rows)
    decimals = decimals_of(formula, kind)
    if decimals is not None:
        numbers = np.round(numbers, decimals)
    is_known = np.isfinite(numbers) & ~is_missing(rows[formula.column])
    made = pa.array(np.where(is_known, numbers, 0.0)).cast(kind, safe=False)
    return pc.if_else(pa.array(is_known), made, rows[formula.column].combine_chunks())


def new_identifiers(known: pa.ChunkedArray, numbers: np.ndarray) -> pa.Array:
    """Whole numbers go on after the largest; texts say that they were made.

    Args:
        known: those that there are.
        numbers: of the new ones, from 0.

    Shape:
        numbers: (B,) int64.
    """
    if pa.types.is_integer(known.type):
        first = (pc.max(known).as_py() or 0) + 1
        return pa.array([first + number for number in numbers.tolist()], known.type)
    return pa.array([f"made-{number}" for number in numbers.tolist()]).cast(known.type)
