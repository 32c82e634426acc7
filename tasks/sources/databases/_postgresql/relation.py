"""A table, view or query as it is read: which columns, in which order, cut where.

Rows are in the order of the primary key (or of another unique one), texts by their bytes; where no
key tells rows apart, in that of all columns. So equal tables give equal rows however the server
came by them, and a part is a range of the key. Texts that the database itself orders by a locale
are in the order of bytes in no index, so a key that starts with one makes the table one part.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import TableSchema
from tasks.sources._between import Between
from tasks.sources.base import column, table_schema
from tasks.sources.databases._postgresql.catalogue import Attribute
from tasks.sources.databases._postgresql.session import Snapshot, column_of, literal
from tasks.sources.databases._postgresql.types import (
    MAX_DIGITS,
    MAX_LONG_DIGITS,
    NUMERIC,
    decimal,
)

MAX_PARTS = 1_024
"""Parts of a table at most; those of a huge one are larger."""

_SAMPLED_PAGES = 24
"""Pages of a table that are looked at for each part, to cut it where the keys are."""

_PAGE_BYTES = 8_192


@dataclass(frozen=True)
class Relation:
    """What is read, and how.

    Attributes:
        name: of the table in our schema.
        what: it is, for messages.
        sql: what stands behind FROM; it is called `data` there.
        attributes: the columns.
        primary_key: as declared.
        unique: columns that tell any two rows apart; empty where nothing does.
        watermark: the column that rows are sorted by before all others.
        leading: columns by which an index finds a range.
        n_bytes: size of the stored rows; None: not known, and cannot be sampled.
        types: Arrow type of each column, once `measured` knows it.
        rounded: columns that are read as doubles because no decimal holds all their digits.
    """

    name: str
    what: str
    sql: str
    attributes: tuple[Attribute, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    watermark: str | None = None
    leading: frozenset[str] = frozenset()
    n_bytes: int | None = None
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    rounded: frozenset[str] = frozenset()

    def attribute(self, name: str) -> Attribute:
        """The column of that name."""
        return next(one for one in self.attributes if one.name == name)

    def schema(self) -> TableSchema:
        """The table in our terms, without links."""
        return table_schema(
            self.name,
            [column(a.name, self.types[a.name], nullable=a.nullable) for a in self.attributes],
            primary_key=self.primary_key,
        )

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that rows are sorted by."""
        order = self.unique or tuple(a.name for a in self.attributes)
        first = () if self.watermark is None else (self.watermark,)
        return (*first, *(name for name in order if name not in first))

    @property
    def order_by(self) -> list[str]:
        """The expressions of ORDER BY."""
        return [
            self.attribute(name).type.ordered(name, is_key=name in self.unique)
            for name in self.order
        ]

    @property
    def ranged(self) -> tuple[str, ...]:
        """The first columns of the order, as far as an index may find ranges of them; () if none."""
        by_values = itertools.takewhile(
            lambda pair: pair[0] == column_of(pair[1]),
            zip(self.order_by, self.order, strict=True),
        )
        names = tuple(name for _, name in by_values)
        return names if names and names[0] in self.leading else ()

    def select(self, *conditions: str) -> str:
        """The statement that gives the rows, or those that fulfil all conditions."""
        chosen = ", ".join(
            f"{column_of(a.name)}::float8" if a.name in self.rounded else column_of(a.name)
            for a in self.attributes
        )
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {chosen} FROM {self.sql}{where} ORDER BY {', '.join(self.order_by)}"  # noqa: S608


def measured(relation: Relation, snapshot: Snapshot) -> Relation:
    """The relation with the Arrow type of every column.

    All rows are scanned once where the declared types do not say enough: how many digits a numeric
    without a precision needs, and whether a column that may not be missing holds infinity (which
    becomes missing). Digits past Arrow's 76 make the column a double.
    """
    types = {a.name: a.type.arrow for a in relation.attributes}
    open_ones = [name for name, kind in types.items() if kind is None]
    doubtful = [a.name for a in relation.attributes if a.type.has_infinity and not a.nullable]
    questions = [
        *(part for name in open_ones for part in _digits(name)),
        *(_infinite(relation.attribute(name)) for name in doubtful),
    ]
    if not questions:
        return replace(relation, types=types)
    (row,) = snapshot.rows(f"SELECT {', '.join(questions)} FROM {relation.sql}", what=relation.what)  # noqa: S608
    answers: Iterator[object] = iter(row)
    rounded = set()
    for name in open_ones:
        largest, scale = str(next(answers) or "0"), int(str(next(answers) or 0))
        whole_digits = len(largest.partition(".")[0].lstrip("0"))
        # The most digits before the point, so that the type seldom changes as rows are added.
        longest = MAX_DIGITS if whole_digits + scale <= MAX_DIGITS else MAX_LONG_DIGITS
        types[name] = decimal(max(whole_digits, longest - scale), scale) or pa.float64()
        if types[name] == pa.float64():
            rounded.add(name)
    infinite = {name for name in doubtful if next(answers)}
    attributes = tuple(
        replace(a, nullable=a.nullable or a.name in infinite) for a in relation.attributes
    )
    return replace(relation, attributes=attributes, types=types, rounded=frozenset(rounded))


def ranges(relation: Relation, snapshot: Snapshot, part_bytes: int) -> list[list[str]]:
    """The conditions of each part, so that parts are about `part_bytes` long; [[]]: one part.

    The rows of a few pages, drawn at random, tell where the keys are, however skewed.
    """
    n_bytes = relation.n_bytes or 0
    n_parts = min(MAX_PARTS, -(-n_bytes // part_bytes))
    names = relation.ranged
    if n_parts < 2 or not names:
        return [[]]
    share = min(100.0, 100.0 * n_parts * _SAMPLED_PAGES * _PAGE_BYTES / n_bytes)
    keys = [column_of(name) for name in names]
    spelled = ", ".join(f"{key}::text" for key in keys)
    sampled = snapshot.rows(
        f"SELECT {spelled} FROM {relation.sql} TABLESAMPLE SYSTEM ({share:.6f}) REPEATABLE (0)"  # noqa: S608
        f" ORDER BY {', '.join(keys)}",
        what=relation.what,
    )
    cuts = [sampled[len(sampled) * i // n_parts] for i in range(1, n_parts) if sampled]
    cuts = [cut for cut in dict.fromkeys(cuts) if None not in cut]
    types = [relation.attribute(name).type.name for name in names]
    bounds = [f"({', '.join(_constants(cut, types))})" for cut in cuts]
    row = f"({', '.join(keys)})"
    return [
        [
            *([f"{row} >= {low}"] if low else []),
            *([f"{row} < {high}"] if high else []),
        ]
        for low, high in zip(["", *bounds], [*bounds, ""], strict=True)
    ]


def later(relation: Relation, watermark: str, last: str) -> str:
    """The condition of the rows that came since, and of those of the last watermark again."""
    kind = relation.attribute(watermark).type.name
    return f"{column_of(watermark)} >= {literal(last)}::{kind}"


def between_days(relation: Relation, between: Between) -> Relation:
    """The rows whose date lies between two days, as one part.

    Raises:
        ParamsError: there is no such column, or it holds no dates.
    """
    # A numeric that says no precision has no type yet.
    types = {a.name: a.type.arrow or pa.decimal128(MAX_DIGITS) for a in relation.attributes}
    first, beyond = between.bounds(relation.name, types.get(between.column))
    name, kind = column_of(between.column), relation.attribute(between.column).type.name
    low, high = (f"{literal(value.isoformat())}::{kind}" for value in (first, beyond))
    rows = f"(SELECT * FROM {relation.sql} WHERE {name} >= {low} AND {name} < {high}) AS data"  # noqa: S608
    return replace(relation, sql=rows, leading=frozenset(), n_bytes=None)


def last_watermark(relation: Relation, watermark: str, snapshot: Snapshot) -> str | None:
    """The largest value of the watermark; None where there are no rows.

    Raises:
        SourceError: it is missing in a row, or infinite, so that rows would be left out.
    """
    attribute = relation.attribute(watermark)
    name = column_of(watermark)
    missing = f"count(*) FILTER (WHERE {name} IS NULL)" if attribute.nullable else "0"
    ((last, n_missing),) = snapshot.rows(
        f"SELECT max({name})::text, {missing} FROM {relation.sql}",  # noqa: S608
        what=relation.what,
    )
    if n_missing or (last or "").lower() in ("infinity", "nan"):
        found = f"{n_missing:,} rows without one" if n_missing else repr(last)
        raise SourceError(
            f"expected a value of the watermark {watermark!r} in every row of {relation.what}, found"
            f" {found}; fill it, read a `query` that leaves such rows out, or leave `watermark` out"
        )
    return None if last is None else str(last)


def _constants(values: Sequence[str], types: Sequence[str]) -> list[str]:
    return [f"{literal(value)}::{kind}" for value, kind in zip(values, types, strict=True)]


def _digits(name: str) -> tuple[str, str]:
    """The largest absolute value and the largest scale; NaN and infinity have no scale."""
    column = column_of(name)
    return f"max(abs({column})) FILTER (WHERE scale({column}) IS NOT NULL)", f"max(scale({column}))"


def _infinite(attribute: Attribute) -> str:
    column = column_of(attribute.name)
    if attribute.type.oid == NUMERIC:
        return f"bool_or(scale({column}) IS NULL)"
    return f"bool_or(NOT isfinite({column}))"
