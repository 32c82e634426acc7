r"""PostgreSQL's types in Arrow, and in which order their values stand.

What Arrow has no type for (uuid, json, arrays, ranges, enums, intervals, times of day, money,
composites …) is text in PostgreSQL's spelling, and so is bytea (`\x` and hexadecimal digits).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from tasks.sources.databases._postgresql.session import column_of

NUMERIC, FLOAT4, FLOAT8, BPCHAR = 1700, 700, 701, 1042

_ARROW = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.int64(),  # oid: 32 bits without a sign
    FLOAT4: pa.float32(),
    FLOAT8: pa.float64(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
"""By the numbers that the types have in every PostgreSQL (`pg_type.dat`)."""

_INFINITE = (1082, 1114, 1184)
"""Types with the values `infinity` and `-infinity`, which Arrow's have not."""

_IN_ORDER = (*_ARROW, NUMERIC, 17, 2950)  # bytea, uuid
"""Types whose own order is one of different values, whatever the locale."""

MAX_DIGITS = 38
"""Digits of Arrow's decimal128, which all that reads our data understands."""

MAX_LONG_DIGITS = 76
"""Digits of Arrow's decimal256."""


@dataclass(frozen=True)
class SqlType:
    """A type, of which a domain is what it stands for.

    Attributes:
        oid: number of the type in `pg_type`.
        modifier: precision and scale, for numeric; -1: none.
        name: of the type as SQL has it, without the modifier.
        collates: whether its values are ordered by a locale.
    """

    oid: int
    modifier: int
    name: str
    collates: bool = True

    @classmethod
    def of_description(cls, column: Sequence[Any], name: str) -> Self:
        """From the driver's description of a column, in which domains are resolved already."""
        precision, scale = column[4], column[5]
        has_modifier = column[1] == NUMERIC and precision not in (None, 65_535)
        modifier = ((precision << 16) | (scale & 0x7FF)) + 4 if has_modifier else -1
        return cls(column[1], modifier, name)

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type; None for a numeric that may have any number of digits."""
        if self.oid != NUMERIC:
            return _ARROW.get(self.oid, pa.string())
        if self.modifier < 0:
            return None
        precision = (self.modifier - 4) >> 16 & 0xFFFF
        scale = ((self.modifier - 4 & 0x7FF) ^ 1024) - 1024
        return decimal(precision - scale, max(scale, 0))

    @property
    def has_infinity(self) -> bool:
        """Whether it has values that no Arrow type of its kind has."""
        return self.oid in _INFINITE or self.oid == NUMERIC

    def ordered(self, name: str, *, is_key: bool) -> str:
        """What `ORDER BY` says to order by a column, texts by their bytes.

        Args:
            name: of the column.
            is_key: whether an index of the column orders it, so that its type has an order.
        """
        column = column_of(name)
        if self.oid in _IN_ORDER or (is_key and not self.collates):
            return column
        return f'{column}::text COLLATE "C"'


def decimal(whole_digits: int, scale: int) -> pa.DataType | None:
    """The decimal with so many digits before and behind the point; None if there is none."""
    whole_digits = max(whole_digits, 0)
    precision = max(whole_digits + scale, 1)
    if precision <= MAX_DIGITS:
        return pa.decimal128(precision, scale)
    return pa.decimal256(precision, scale) if precision <= MAX_LONG_DIGITS else None
