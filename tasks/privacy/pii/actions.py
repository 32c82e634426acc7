"""What can be done with a column of personal data, value by value; missing values stay missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from tasks.privacy.pii.base import Recogniser, hidden
from tasks.privacy.pii.pseudonyms import invented, number, token
from tasks.privacy.pii.search import recogniser, spans
from tasks.schema import Column, arrow_type

Action = Literal["keep", "drop", "mask", "pseudonymise", "replace", "generalise", "redact"]

STILL_PERSONAL: frozenset[Action] = frozenset({"keep", "mask"})
"""Actions after which a column counts as personal still: a last digit, an initial."""

_GENERALISED = ("birth_date", "location", "postcode")
_NUMBERED = ("card", "national_id", "passport", "iban")


def proposed(column: Column) -> Action:
    """What fits a personal column, for a person to confirm.

    Keys and numbers of people become pseudonyms, so that they still tell rows apart and join; dates
    and places become coarser; texts are redacted; the rest is invented anew.
    """
    data_type = arrow_type(column)
    kind = column.personal_kind
    if kind == "free_text":
        return "redact"
    if kind in _GENERALISED:
        return "generalise"
    if not fits("pseudonymise", column):
        return "generalise" if fits("generalise", column) else "drop"
    if column.meaning == "identifier" or kind in _NUMBERED or kind is None:
        return "pseudonymise"
    return "replace" if _is_text(data_type) else "pseudonymise"


def fits(action: Action, column: Column) -> bool:
    """Whether the action can be done to a column of this type and kind."""
    data_type = arrow_type(column)
    is_whole = pa.types.is_integer(data_type)
    match action:
        case "keep" | "drop":
            return True
        case "pseudonymise" | "mask":
            return bool(_is_text(data_type) or is_whole)
        case "redact":
            return _is_text(data_type)
        case "replace":
            return _is_text(data_type) and column.personal_kind is not None
        case "generalise":
            if _is_text(data_type):
                return _is_coarsened(column.personal_kind)
            is_date = pa.types.is_date(data_type) or pa.types.is_timestamp(data_type)
            return bool(is_whole or is_date or pa.types.is_floating(data_type))


def _is_coarsened(kind: str | None) -> bool:
    if kind is None:
        return False
    return type(recogniser(kind)).generalise is not Recogniser.generalise


def type_after(action: Action, data_type: pa.DataType) -> pa.DataType:
    """The type that a column has afterwards: tokens of numbers are long, masked ones are text."""
    if pa.types.is_integer(data_type):
        return {"pseudonymise": pa.int64(), "mask": pa.string()}.get(action, data_type)
    return data_type


@dataclass(frozen=True)
class Treatment:
    """An action on one column, as a function of its values. Can be sent to another process.

    Attributes:
        action: not `keep` or `drop`.
        kind: of the personal data; None: not known, or the column is not personal.
        key: for `pseudonymise` and `replace`.
        locale: of what is invented.
        personal: whether each value as a whole is personal, even if nothing of a kind is found in it.
    """

    action: Action
    kind: str | None
    key: bytes = b""
    locale: str = "en_US"
    personal: bool = True

    def __repr__(self) -> str:
        """Without the key."""
        return f"Treatment({self.action!r}, {self.kind!r})"

    def __call__(self, values: pa.Array) -> pa.Array:
        """The values afterwards, of the type `type_after`."""
        data_type = values.type
        if self.action == "generalise" and not _is_text(data_type):
            return _coarser(values, self.kind)
        change = self._number if pa.types.is_integer(data_type) else self._text
        # Values repeat, above all in columns that point to other tables.
        encoded = values.dictionary_encode() if not pa.types.is_dictionary(data_type) else values
        made = [None if v is None else change(v) for v in encoded.dictionary.to_pylist()]
        after = type_after(self.action, data_type)
        return pa.array(made, after).take(encoded.indices)

    def _number(self, value: int) -> int | str:
        return number(value, self.key) if self.action == "pseudonymise" else self._text(str(value))

    def _text(self, value: str) -> str:
        if self.action == "pseudonymise":
            return token(value, self.key)
        if self.action == "redact":
            # Of many kinds the column's name tells, and no search in a single value would.
            is_text = self.kind == "free_text" or not self.personal
            return (
                in_text(value, lambda found, _: _mark(found.kind)) if is_text else _mark(self.kind)
            )
        if self.kind == "free_text":
            return in_text(value, self._made)
        return self._made(recogniser(self.kind), value) if self.kind else hidden(value)

    def _made(self, one: Recogniser, value: str) -> str:
        """A value that cannot be invented or made coarser is masked.

        Columns hold values of other forms too, in which the kind may find nothing to change: these
        are hidden whole.
        """
        made, is_kind = None, one.holds(value.strip())
        if self.action == "replace":
            made = invented(value, one, self.key, self.locale)
        elif self.action == "generalise" and is_kind:
            made = one.generalise(value.strip())
        if made is not None and (is_kind or not _keeps(value, made)):
            return made
        masked = one.mask(value) if is_kind or self.action == "mask" else value
        return hidden(value) if masked == value else masked


def _keeps(value: str, made: str) -> bool:
    """Whether what was made of a value is it, or still has letters of it side by side in place."""
    pairs = (value[i : i + 2] for i in range(len(value) - 1) if made[i : i + 2] == value[i : i + 2])
    return made == value or (len(made) == len(value) and any(map(str.isalpha, pairs)))


def _mark(kind: str | None) -> str:
    return f"<{(kind or 'personal').upper()}>"


def in_text(text: str, change: Callable[[Recogniser, str], str]) -> str:
    """A text in which every place of personal data is changed by its kind."""
    pieces, end = [], 0
    for span in spans(text):
        found = change(recogniser(span.kind), text[span.start : span.end])
        pieces += [text[end : span.start], found]
        end = span.end
    return "".join([*pieces, text[end:]])


def _coarser(values: pa.Array, kind: str | None) -> pa.Array:
    """Numbers and dates that many people share.

    Dates (also 19840517) become the first day of their year, degrees get one decimal, postcodes keep two digits, years
    become the five below, other numbers (ages) the ten below.
    """
    data_type = values.type
    if pa.types.is_temporal(data_type):
        return pc.floor_temporal(values, unit="year").cast(data_type)
    if kind == "location":
        return pc.round(values, ndigits=1)
    if kind == "birth_date":
        made = [None if v is None else _first_of_years(v) for v in values.to_pylist()]
        return pa.array(made, data_type)
    if kind == "postcode":
        made = [None if v is None else _two_digits(v) for v in values.to_pylist()]
        return pa.array(made, data_type)
    return _floored(values, 10)


def _floored(values: pa.Array, step: int) -> pa.Array:
    def below(value: Any) -> Any:
        return None if value is None else value // step * step

    return pa.array([below(v) for v in values.to_pylist()], values.type)


def _first_of_years(value: Any) -> Any:
    """Of 1984 the five years' first; of 19840517 the first day of the year."""
    return value // 5 * 5 if value < 10_000 else value // 10_000 * 10_000 + 101


def _two_digits(value: int) -> int:
    unit: int = 10 ** max(0, len(str(value)) - 2)
    return value // unit * unit


def _is_text(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_string(data_type) or pa.types.is_large_string(data_type))
