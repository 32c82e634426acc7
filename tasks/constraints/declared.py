"""Constraints: what every row of a table must satisfy, declared once in params.yaml.

    constraints:
      - {type: inequality, columns: [ordered, shipped, delivered]}
      - {type: fixed_combinations, columns: [city, country]}
      - {type: range, column: quantity, min_value: 1, max_value: 100}
      - {type: unique, columns: [customer, ordered]}
      - {type: formula, column: total, formula: price * quantity, decimals: 2}
      - {type: not_null, columns: [price]}

`ingest` writes them into schema.json. From there generators keep them (`tasks.encoding.constraints`)
and gates check them (`tasks.gates.constraints`). Missing values are passed over, as a CHECK of SQL
does: only `not_null` refuses them. A table's primary key is a constraint without being declared.
Keys between tables will join here when several tables can be generated; `TableSchema.foreign_keys`
declares them.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tasks.constraints.formula import Expression, parse

Types = Mapping[str, pa.DataType]
"""The Arrow types of a table's columns, by name."""

_Name = Annotated[str, Field(min_length=1)]


class _Constraint(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @property
    def names(self) -> list[str]:
        """The columns that it is about."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """What it demands, as people read it."""
        raise NotImplementedError

    def problem(self, types: Types) -> str | None:
        """Why it cannot be held on columns of these types; None: it can."""
        if unknown := [name for name in self.names if name not in types]:
            return f"unknown column {unknown[0]!r}; choose from: {', '.join(types)}"
        if twice := sorted({name for name in self.names if self.names.count(name) > 1}):
            return f"expected different columns, found {twice[0]!r} twice"
        return self._type_problem({name: types[name] for name in self.names})

    def _type_problem(self, types: Types) -> str | None:
        nested = [name for name, kind in types.items() if pa.types.is_nested(kind)]
        return (
            f"column {nested[0]!r} of type {types[nested[0]]} cannot be compared"
            if nested
            else None
        )


class Inequality(_Constraint):
    """Each column is at most the next; missing values are passed over."""

    type: Literal["inequality"]
    columns: list[_Name] = Field(min_length=2, description="from the smallest to the largest")
    strict: bool = Field(default=False, description="smaller, not equal")

    @property
    def names(self) -> list[str]:
        return self.columns

    @property
    def words(self) -> str:
        return (" < " if self.strict else " <= ").join(self.columns)

    def _type_problem(self, types: Types) -> str | None:
        if all(is_number(kind) for kind in types.values()):
            return None
        kinds = set(types.values())
        if len(kinds) == 1 and _is_moment(next(iter(kinds))):
            return None
        found = ", ".join(f"{name}: {kind}" for name, kind in types.items())
        return f"expected numbers, or dates or times of one type, found {found}; cast in the source"


class FixedCombinations(_Constraint):
    """Only combinations of values that enough real rows have."""

    type: Literal["fixed_combinations"]
    columns: list[_Name] = Field(min_length=2, description="whose values belong together")

    @property
    def names(self) -> list[str]:
        return self.columns

    @property
    def words(self) -> str:
        return f"({', '.join(self.columns)}) is a combination that real rows have"


class Range(_Constraint):
    """Bounds of one column, both inclusive."""

    type: Literal["range"]
    column: _Name
    min_value: float | int | str | None = Field(
        default=None, description="a number, or a date or time as ISO 8601 text"
    )
    max_value: float | int | str | None = Field(default=None, description="the same")

    @field_validator("min_value", "max_value", mode="before")
    @classmethod
    def _moments_as_text(cls, value: Any) -> Any:
        """YAML reads 2024-01-31 as a date; schema.json knows texts."""
        if isinstance(value, bool):
            raise ValueError("expected a number or a date")
        return value.isoformat() if isinstance(value, dt.date) else value

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min_value is None and self.max_value is None:
            raise ValueError("needs min_value, max_value or both")
        return self

    @property
    def names(self) -> list[str]:
        return [self.column]

    @property
    def words(self) -> str:
        low = "" if self.min_value is None else f"{self.min_value} <= "
        high = "" if self.max_value is None else f" <= {self.max_value}"
        return f"{low}{self.column}{high}"

    def bound(self, value: float | str, kind: pa.DataType) -> pa.Scalar:
        """A bound as a value that compares with a column of this type.

        Raises:
            ValueError: it does not.
        """
        try:
            if is_number(kind):
                return pa.scalar(float(value) if isinstance(value, float) else int(value))
            if isinstance(value, str) and pa.types.is_time(kind):
                return pa.scalar(dt.time.fromisoformat(value), kind)
            if isinstance(value, str):
                return pa.scalar(value).cast(kind)
        except (ValueError, OverflowError, pa.ArrowException):
            pass
        has_zone = pa.types.is_timestamp(kind) and kind.tz is not None
        hint = ", with its zone: 2024-01-31T00:00:00Z" if has_zone else ""
        raise ValueError(f"expected a bound of type {kind}{hint}, found {value!r}")

    def _type_problem(self, types: Types) -> str | None:
        kind = types[self.column]
        if not (is_number(kind) or _is_moment(kind)):
            return f"expected numbers, dates or times, found column {self.column!r} of type {kind}"
        bounds = []
        for value in (self.min_value, self.max_value):
            if value is None:
                continue
            if is_number(kind) and isinstance(value, str):
                return f"expected numbers as bounds of {self.column!r} ({kind}), found {value!r}"
            try:
                bounds.append(self.bound(value, kind).as_py())
            except ValueError as error:
                return f"{error} for column {self.column!r}"
        return "min_value exceeds max_value" if len(bounds) == 2 and bounds[0] > bounds[1] else None


class Unique(_Constraint):
    """No two rows have the same values; rows with a missing one are passed over."""

    type: Literal["unique"]
    columns: list[_Name] = Field(min_length=1, description="that together tell rows apart")

    @property
    def names(self) -> list[str]:
        return self.columns

    @property
    def words(self) -> str:
        names = ", ".join(self.columns)
        return f"{names} is unique" if len(self.columns) == 1 else f"({names}) is unique"


class Formula(_Constraint):
    """A column is what a formula over others gives, where all of them have values."""

    type: Literal["formula"]
    column: _Name = Field(description="what is computed")
    formula: str = Field(description="columns, numbers, + - * / and parentheses")
    decimals: int | None = Field(
        default=None, ge=0, le=12, description="it is rounded to; null: by the column's type"
    )

    @field_validator("formula")
    @classmethod
    def _can_be_parsed(cls, text: str) -> str:
        parse(text)
        return text

    @property
    def expression(self) -> Expression:
        return parse(self.formula)

    @property
    def names(self) -> list[str]:
        return [self.column, *self.expression.columns]

    @property
    def words(self) -> str:
        rounded = "" if self.decimals is None else f", rounded to {self.decimals} decimals"
        return f"{self.column} = {self.formula}{rounded}"

    def _type_problem(self, types: Types) -> str | None:
        for name, kind in types.items():
            if not is_number(kind):
                return f"expected numbers, found column {name!r} of type {kind}"
        return None


class NotNull(_Constraint):
    """No value is missing."""

    type: Literal["not_null"]
    columns: list[_Name] = Field(min_length=1, description="in which none may be missing")

    @property
    def names(self) -> list[str]:
        return self.columns

    @property
    def words(self) -> str:
        return (
            f"{', '.join(self.columns)} {'is' if len(self.columns) == 1 else 'are'} never missing"
        )

    def _type_problem(self, types: Types) -> str | None:
        del types
        return None


Constraint = Annotated[
    Inequality | FixedCombinations | Range | Unique | Formula | NotNull, Field(discriminator="type")
]


def contradiction(constraints: tuple[Constraint, ...]) -> str | None:
    """Why these constraints cannot be held together; None: they can."""
    formulas = [c for c in constraints if isinstance(c, Formula)]
    targets = [c.column for c in formulas]
    if twice := sorted({name for name in targets if targets.count(name) > 1}):
        return f"column {twice[0]!r} is computed by two formulas; declare one"
    combined = [n for c in constraints if isinstance(c, FixedCombinations) for n in c.columns]
    if twice := sorted({name for name in combined if combined.count(name) > 1}):
        return f"column {twice[0]!r} is in two fixed_combinations; declare one with all columns"
    if both := sorted(set(targets) & set(combined)):
        return f"column {both[0]!r} is computed by a formula and in fixed_combinations; choose one"
    if circle := _circle({c.column: set(c.expression.columns) for c in formulas}):
        return f"the formulas of {', '.join(circle)} need each other"
    above: dict[str, set[str]] = {}
    for c in constraints:
        if isinstance(c, Inequality):
            for i, name in enumerate(c.columns):
                above.setdefault(name, set()).update(c.columns[:i])
    if circle := _circle(above):
        return f"the inequalities of {', '.join(circle)} go round in a circle"
    return None


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type can be added and multiplied."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal128(kind)
    )


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


def _circle(needs: Mapping[str, set[str]]) -> list[str]:
    """Names that cannot be put in an order in which each comes after what it needs."""
    waiting = {name: others & needs.keys() for name, others in needs.items()}
    while ready := {name for name, others in waiting.items() if not others}:
        waiting = {n: others - ready for n, others in waiting.items() if n not in ready}
    return sorted(waiting)
