"""Inequalities: a column is learned as its distance above the columns that it may not be below."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa

from tasks.constraints.check import is_missing
from tasks.constraints.declared import Range
from tasks.encoding.constraints.base import Cells, Step, fill, new_name
from tasks.encoding.constraints.scale import Scale
from tasks.schema import Column, TableSchema, arrow_type

_LOWEST = {"i": np.iinfo(np.int64).min, "f": -np.inf}


class Gap(Step):
    """`high` as the gap above its floor: the least value of its own scale that is allowed.

    The floor of a row is the largest of the columns below, of those that have a value; the gap is
    never negative, so neither decimals, nor days, nor large integers can break the inequality.
    Rows without any of the columns below have no gap: `high` itself is learned for them, in a column
    that is there only if the training data has such rows.

    Lost: a gap that is drawn as missing although `high` never was is drawn from the gaps of other
    rows. Where a `Range` of `high` leaves no room above the floor, the row keeps its gap;
    `tasks.encoding.constraints.admission` leaves it out.

    Attributes:
        below: columns that `high` may not be below, and whether it has to be above.
        missing_above, missing_alone: whether `high` may be missing above a floor, and without one.
        limits: the smallest and the largest tick that a `Range` of `high` allows.
    """

    def __init__(
        self,
        high: Column,
        below: Mapping[str, bool],
        scale: Scale,
        learned: list[Column],
        *,
        missing_above: bool,
        missing_alone: bool,
        limits: tuple[float | None, float | None],
    ) -> None:
        self.high = high
        self.below = dict(below)
        self.scale = scale
        self.learned = learned
        self.missing_above = missing_above
        self.missing_alone = missing_alone
        self.limits = limits
        self.made = [high.name]
        self.needs = list(below)

    @classmethod
    def fit(
        cls,
        table: TableSchema,
        high: Column,
        below: Mapping[str, bool],
        ranges: list[Range],
        rows: Cells,
    ) -> Self:
        """Learn the scale of `high`, and where values are missing."""
        values = rows[high.name]
        scale = Scale.fit(values)
        missing = is_missing(values)
        alone = np.logical_and.reduce([is_missing(rows[name]) for name in below])
        kind = "double" if scale.decimals is None else "int64"
        gap = Column(
            name=new_name(f"{high.name} above {', '.join(below)}", table.column_names),
            type=kind,
            meaning="numeric",
            personal=high.personal,
        )
        free = high.model_copy(
            update={
                "name": new_name(f"{high.name} without {', '.join(below)}", table.column_names),
                "nullable": True,
            }
        )
        return cls(
            high,
            below,
            scale,
            [gap, free] if (alone & ~missing).any() else [gap],
            missing_above=bool((missing & ~alone).any()),
            missing_alone=bool((missing & alone).any()),
            limits=_limits(scale, ranges),
        )

    def encode(self, rows: Cells) -> dict[str, pa.Array]:
        """The gap where there is a floor, `high` where there is none."""
        values = rows[self.high.name]
        floor, alone = self._floor(rows)
        missing = is_missing(values)
        nowhere = alone | missing
        gaps = np.where(nowhere, 0, np.maximum(self.scale.ticks(values) - floor, 0))
        gap, *free = self.learned
        cells = {gap.name: pa.array(gaps, arrow_type(gap), mask=nowhere)}
        if free:
            ticks = self.scale.ticks(values)
            cells[free[0].name] = self.scale.values(ticks, missing | ~alone)
        return cells

    def decode(self, learned: Cells, rows: Cells, rng: np.random.Generator) -> dict[str, pa.Array]:
        """`high` from the floor up."""
        floor, alone = self._floor(rows)
        gap, *free = self.learned
        gaps, unknown = _numbers(learned[gap.name])
        no_gap = unknown & ~alone
        if not self.missing_above:
            fill(gaps, no_gap, ~unknown, rng)
            no_gap[:] = False
        gaps = np.maximum(gaps, 0)
        ticks = floor + (gaps if self.scale.decimals is None else self._room(floor, gaps))
        ticks = self._within_limits(ticks, floor)
        missing = no_gap | alone
        if free:
            values = learned[free[0].name]
            alone_ticks, unknown = self.scale.ticks(values), is_missing(values)
            if not self.missing_alone:
                fill(alone_ticks, unknown & alone, ~unknown, rng)
                unknown = unknown & (not (~unknown).any())
            ticks = np.where(alone, alone_ticks, ticks)
            missing = no_gap | (alone & unknown)
        return {self.high.name: self.scale.values(ticks, missing)}

    def state(self) -> dict[str, Any]:
        """JSON that, with the table, makes this step again."""
        return {
            "high": self.high.name,
            "below": self.below,
            "scale": self.scale.state(),
            "learned": [column.model_dump(mode="json") for column in self.learned],
            "missing_above": self.missing_above,
            "missing_alone": self.missing_alone,
            "limits": list(self.limits),
        }

    @classmethod
    def from_state(cls, table: TableSchema, content: Mapping[str, Any]) -> Self:
        """The step whose `state()` this is."""
        high = table.column(content["high"])
        low, top = content["limits"]
        return cls(
            high,
            content["below"],
            Scale(arrow_type(high), **content["scale"]),
            [Column.model_validate(column) for column in content["learned"]],
            missing_above=content["missing_above"],
            missing_alone=content["missing_alone"],
            limits=(low, top),
        )

    def _floor(self, rows: Cells) -> tuple[np.ndarray, np.ndarray]:
        """(B,) ticks of the floor, 0 where there is none; (B,) bool where that is."""
        floors, missing = [], []
        for name, strict in self.below.items():
            least = self.scale.least(rows[name], strict=strict)
            missing.append(is_missing(rows[name]))
            floors.append(np.where(missing[-1], _LOWEST[least.dtype.kind], least))
        alone = np.logical_and.reduce(missing)
        return np.where(alone, 0, np.maximum.reduce(floors)), alone

    def _room(self, floor: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Gaps that end before the last int64."""
        return np.asarray(np.minimum(gaps, np.iinfo(np.int64).max - np.maximum(floor, 0)))

    def _within_limits(self, ticks: np.ndarray, floor: np.ndarray) -> np.ndarray:
        low, top = self.limits
        if top is not None:
            ticks = np.where(floor <= top, np.minimum(ticks, top), ticks)
        return ticks if low is None else np.maximum(ticks, low)


def _limits(scale: Scale, ranges: list[Range]) -> tuple[float | None, float | None]:
    lows, tops = [], []
    for r in ranges:
        if r.min_value is not None:
            bound = r.bound(r.min_value, scale.kind)
            least = scale.least(pa.array([bound.as_py()], bound.type), strict=False)
            lows.append(least[0].item())
        if r.max_value is not None:
            tops.append(scale.largest(r.bound(r.max_value, scale.kind)))
    return max(lows, default=None), min(tops, default=None)


def _numbers(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(B,) numbers, 0 where missing, and (B,) bool where that is."""
    missing = is_missing(values)
    numbers = np.zeros(len(values), dtype=values.type.to_pandas_dtype())
    numbers[~missing] = values.filter(pa.array(~missing)).to_numpy(zero_copy_only=False)
    return numbers, missing
