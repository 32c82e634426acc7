"""The type of every column of spelled values, from all of its values.

A value keeps its spelling unless a whole column is of one type, so a postal code with a leading zero
and a text `NA` stay what they are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks.sources.formats._forms import NO_VALUE, Form, plain_forms, without_missing


@dataclass(frozen=True)
class Inferred:
    """What the values of a column tell."""

    form: Form | None
    """None for text."""
    nullable: bool

    @property
    def data_type(self) -> pa.DataType:
        """The type that the column gets."""
        return pa.string() if self.form is None else self.form.data_type


@dataclass(frozen=True)
class Observed:
    """What all values of a column have in common.

    Attributes:
        forms: the ones that every value is written in, the preferred ones first.
        has_values: whether there is a value at all.
        has_missing: whether something stands for no value, if the column is not text.
        has_empty: whether a value is the empty text.
    """

    forms: tuple[Form, ...]
    has_values: bool
    has_missing: bool
    has_empty: bool

    def inferred(self) -> Inferred:
        """What the values tell."""
        if not self.forms:
            return Inferred(None, self.has_empty)
        if not self.has_values:
            return Inferred(NO_VALUE, nullable=True)
        return Inferred(self.forms[0], self.has_missing)


def infer(
    texts: Iterator[pa.RecordBatch], names: tuple[str, ...], forms: Iterable[Form] | None = None
) -> dict[str, Inferred]:
    """The type of each column, from all of its values; see `observe`."""
    return {name: found.inferred() for name, found in observe(texts, names, forms).items()}


def observe(
    texts: Iterable[pa.RecordBatch], names: Iterable[str], forms: Iterable[Form] | None = None
) -> dict[str, Observed]:
    """What the values of each column allow.

    Args:
        texts: all rows.
        names: of the columns that are looked at.
        forms: that values may have, the preferred ones first; None: the plain ones.
    """
    known = tuple(plain_forms() if forms is None else forms)
    seen = {name: Observed(known, False, False, False) for name in names}
    for batch in texts:
        for name, before in seen.items():
            seen[name] = together(before, look(batch[name], before.forms))
    return seen


def look(texts: pa.Array, forms: tuple[Form, ...]) -> Observed:
    """What these values allow.

    Args:
        texts: the values as they are spelled; null: missing.
        forms: that are tried.
    """
    if not forms:
        return Observed((), len(texts) > 0, False, pc.min(pc.binary_length(texts)).as_py() == 0)
    values = pc.unique(texts)
    has_empty = pc.index(values, "").as_py() >= 0
    typed = without_missing(values)
    present = typed.drop_null()
    left = tuple(form for form in forms if form.fits(present)) if len(present) else forms
    return Observed(left, len(present) > 0, typed.null_count > 0, has_empty)


def together(some: Observed, other: Observed) -> Observed:
    """What two stretches of a column allow; `other` was asked for no more forms than `some` left."""
    return Observed(
        tuple(form for form in some.forms if form in other.forms),
        some.has_values or other.has_values,
        some.has_missing or other.has_missing,
        some.has_empty or other.has_empty,
    )


def convert(batch: pa.RecordBatch, columns: Mapping[str, Inferred]) -> pa.RecordBatch:
    """A batch of texts with each column in its type."""
    arrays = [convert_column(batch[name], inferred) for name, inferred in columns.items()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def convert_column(texts: pa.Array, inferred: Inferred) -> pa.Array:
    """Texts in the type of their column."""
    if inferred.form is None:
        return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    return inferred.form.parse(without_missing(texts))


def number_of(form: Form | None, forms: Sequence[Form]) -> int | None:
    """A form in values that JSON has; the inverse of `form_of`."""
    if form is None:
        return None
    return -1 if form is NO_VALUE else forms.index(form)


def form_of(number: int | None, forms: Sequence[Form]) -> Form | None:
    """The form of a `number_of`."""
    if number is None:
        return None
    return NO_VALUE if number == -1 else forms[number]
