"""Categories, booleans and free text: each common value is a token."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.encoding.columns.base import COMMON_ROWS, ColumnEncoder, EncodedColumn
from tasks.errors import DataError
from tasks.schema import Column, arrow_type

MAX_CATEGORIES = 2**20
"""Values that get a token of their own at most; the others count as rare."""

SUPPRESSED = "(suppressed)"
"""What a rare text becomes where most are rare: drawing common ones instead would invent a column."""


class CategoricalEncoder(ColumnEncoder):
    """A token a value, one for all rare values, one for a missing value.

    Lost: a value that fills fewer rows than `COMMON_ROWS`, or is not among the `MAX_CATEGORIES`
    commonest, is never published: `decode` draws one of the other values by their frequency
    instead; texts of which most rows are rare become `SUPPRESSED`, and other values of which none
    is common are missing. So
    no value of a column of names that differ gets out (one that fills enough rows does: drop a
    column that tells persons apart, in `clean`), and free text without a generator of its own
    comes out empty of content. Both booleans are always kept. A value that was not seen in `fit`
    is encoded as rare, or as the commonest value if there was no rare one.

    Attributes:
        values: (V,) the common values, commonest first.
        counts: (V,) their rows.
        n_rare: rows of rare values.
    """

    def __init__(
        self, column: Column, values: pa.Array, counts: np.ndarray, n_rare: int, has_null: bool
    ) -> None:
        self.column = column
        self.values = values
        self.counts = counts
        self.n_rare = n_rare
        self.rare_token = len(values) if n_rare else None
        self.null_token = len(values) + bool(n_rare) if has_null else None
        self.n_tokens = len(values) + bool(n_rare) + has_null

    @classmethod
    def fit(cls, column: Column, values: pa.Array) -> Self:
        """Count the values and keep the common ones."""
        if not _has_text_form(values.type):
            raise DataError(
                f"column {column.name!r}: expected numbers, texts, times or booleans, found"
                f" {values.type}; drop it under clean.drop_columns"
            )
        counted = pc.value_counts(values.drop_null())
        counts = counted.field("counts").to_numpy()
        texts = as_texts(counted.field("values"))
        order = sorted(range(len(texts)), key=lambda i: (-counts[i], texts[i]))[:MAX_CATEGORIES]
        minimum = 1 if pa.types.is_boolean(values.type) else COMMON_ROWS
        kept = np.array([i for i in order if counts[i] >= minimum], dtype=np.int64)
        return cls(
            column,
            counted.field("values").take(pa.array(kept)),
            counts[kept],
            n_rare=int(counts.sum() - counts[kept].sum()),
            has_null=values.null_count > 0,
        )

    def encode(self, values: pa.Array) -> EncodedColumn:
        """A token for each cell."""
        found = pc.index_in(values.drop_null(), self.values)
        tokens = np.empty(len(values), dtype=np.int64)
        missing = values.is_null().to_numpy(zero_copy_only=False)
        unseen = 0 if self.rare_token is None else self.rare_token
        tokens[~missing] = pc.fill_null(found, unseen).to_numpy(zero_copy_only=False)
        tokens[missing] = 0 if self.null_token is None else self.null_token
        return EncodedColumn(tokens)

    def decode(
        self, tokens: np.ndarray, ranks: np.ndarray, rng: np.random.Generator, first_row: int
    ) -> pa.Array:
        """The value of each token; for a rare one, another value by frequency."""
        del ranks, first_row
        chosen = np.array(tokens, dtype=np.int64)
        missing = np.zeros(len(chosen), dtype=bool)
        if self.null_token is not None:
            missing = chosen == self.null_token
        if self.rare_token is not None:
            rare = chosen == self.rare_token
            if len(self.values) == 0:
                return self._suppressed(missing)
            if self.n_rare > self.counts.sum() and _is_text(self.values.type):
                hidden = pa.array([SUPPRESSED], self.values.type)
                chosen[rare] = len(self.values)
                return pa.concat_arrays([self.values, hidden]).take(pa.array(chosen, mask=missing))
            chosen[rare] = rng.choice(
                len(self.values), size=int(rare.sum()), p=self.counts / self.counts.sum()
            )
        return self.values.take(pa.array(chosen, mask=missing))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content = {
            "values": as_texts(self.values),
            "rare": self.n_rare,
            "null": self.null_token is not None,
        }
        return content, {"counts": self.counts}

    @classmethod
    def from_state(
        cls, column: Column, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        values = from_texts(content["values"], arrow_type(column))
        return cls(column, values, arrays["counts"], content["rare"], content["null"])

    def _suppressed(self, missing: np.ndarray) -> pa.Array:
        """A column in which no value was common enough to be published."""
        kind = self.values.type
        if _is_text(kind):
            return pa.array([SUPPRESSED] * len(missing), kind, mask=missing)
        if self.column.nullable:
            return pa.nulls(len(missing), kind)
        raise DataError(
            f"column {self.column.name!r}: no value fills enough rows to be published and it may"
            " not be missing; drop it under clean.drop_columns or give it the meaning identifier"
        )


def as_texts(values: pa.Array) -> list[str]:
    """Values as texts for JSON; the inverse of `from_texts`."""
    return list(values.cast(pa.string()).to_pylist())


def from_texts(texts: list[str], kind: pa.DataType) -> pa.Array:
    """Values of an Arrow type from the texts that `as_texts` gave."""
    return pa.array(texts, pa.string()).cast(kind) if texts else pa.array([], kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _has_text_form(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type survive a cast to text and back."""
    return not (
        pa.types.is_nested(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_interval(kind)
    )
