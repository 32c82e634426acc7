"""Identifiers: made anew, never learned."""

import string
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.encoding.columns.base import ColumnEncoder, EncodedColumn
from tasks.errors import DataError
from tasks.schema import Column, arrow_type

_ALPHABETS = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.ascii_uppercase,
    string.ascii_lowercase,
    string.digits + string.ascii_uppercase,
    string.digits + string.ascii_lowercase,
    string.digits + string.ascii_letters,
)


class IdentifierEncoder(ColumnEncoder):
    """Unique values of the column's type: 1, 2, 3 ..., or texts that count in the same pattern.

    Lost: everything but the pattern. A pattern has one alphabet a position, from the texts of the
    commonest length: the one character that all of them have there (`C-`), or the smallest of
    digits, hexadecimal digits, letters ... that holds all characters seen there. Texts of more
    rows than the pattern has room for grow by further digits.

    Attributes:
        pattern: one alphabet a position; empty for numbers.
    """

    n_tokens = 0

    def __init__(self, column: Column, pattern: list[str]) -> None:
        self.column = column
        self.pattern = pattern

    @staticmethod
    def can_hold(kind: pa.DataType) -> bool:
        """Whether identifiers of this Arrow type can be made."""
        return bool(
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
        )

    @classmethod
    def fit(cls, column: Column, values: pa.Array) -> Self:
        """Learn the pattern of texts; of numbers, nothing."""
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return cls(column, [])
        texts = [text for text in pc.unique(values.drop_null()).to_pylist() if text]
        lengths = Counter(map(len, texts))
        if not lengths:
            return cls(column, [string.digits])
        length = min(lengths, key=lambda n: (-lengths[n], n))
        places = zip(*(text for text in texts if len(text) == length), strict=True)
        pattern = [_alphabet(set(characters)) for characters in places]
        return cls(column, pattern)

    def encode(self, values: pa.Array) -> EncodedColumn:
        """Nothing: all zeros."""
        return EncodedColumn(np.zeros(len(values), dtype=np.int64))

    def decode(
        self, tokens: np.ndarray, ranks: np.ndarray, rng: np.random.Generator, first_row: int
    ) -> pa.Array:
        """New identifiers, counting on from `first_row`."""
        del ranks, rng
        numbers = range(first_row + 1, first_row + 1 + len(tokens))
        kind = arrow_type(self.column)
        if self.pattern:
            return pa.array([self._spell(number) for number in numbers], kind)
        try:
            return pa.array(numbers, pa.int64()).cast(kind)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"identifier column {self.column.name!r}: {kind} has no room for row"
                f" {first_row + len(tokens)}; give it a wider type or sample fewer rows"
            ) from error

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        return {"pattern": self.pattern}, {}

    @classmethod
    def from_state(
        cls, column: Column, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        del arrays
        return cls(column, list(content["pattern"]))

    def _spell(self, number: int) -> str:
        """`number` written in the pattern, last position fastest."""
        characters = []
        for alphabet in reversed(self.pattern):
            number, digit = divmod(number, len(alphabet))
            characters.append(alphabet[digit])
        text = "".join(reversed(characters))
        return f"{text}{number}" if number else text


def _alphabet(characters: set[str]) -> str:
    if len(characters) == 1:
        return characters.pop()
    for alphabet in _ALPHABETS:
        if characters <= set(alphabet):
            return alphabet
    return string.digits
