"""Identifiers: made anew, never learned."""

import math
import re
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.encoding.columns.base import COMMON_ROWS, ColumnEncoder, EncodedColumn
from tasks.errors import DataError
from tasks.schema import Column, arrow_type

_LETTERS = (string.ascii_uppercase, string.ascii_lowercase, string.ascii_letters)

_ALPHABETS = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.digits + string.ascii_uppercase,
    string.digits + string.ascii_lowercase,
    string.digits + string.ascii_letters,
)

_RUN = re.compile(r"[^\W_]+")
"""A run of letters and digits; what is between runs (`-`, `@`) is the frame of a text."""


class IdentifierEncoder(ColumnEncoder):
    """Unique values of the column's type: 1, 2, 3 ..., or texts that count on in the same pattern.

    Lost: everything but the pattern, and whether a value is missing. A pattern is made from the
    texts of the commonest frame: each of its runs is as long as the longest common ones there (so
    that what counts from `K1` to `K150` has three digits), and each place of
    a run one alphabet, the smallest of digits, hexadecimal digits, letters ... that holds all
    characters seen there. A character, or a whole run that repeats (the domain of addresses), stays
    if so many rows share it that it tells nobody apart. Counting starts at a round number in the
    widest stretch without a real text, so that real ones do not come out as long as there is room;
    texts of more rows than the pattern has room for grow by further digits.

    Attributes:
        pattern: one alphabet a place; empty for numbers.
        first: what counting starts with; 1 for numbers.
        null_token: of a missing value; None: none was missing, and there is nothing to learn.
    """

    def __init__(
        self, column: Column, pattern: list[str], has_null: bool = False, first: int = 1
    ) -> None:
        self.column = column
        self.pattern = pattern
        self.first = first
        self.null_token = 1 if has_null else None
        self.n_tokens = 2 if has_null else 0
        variable = [i for i, alphabet in enumerate(pattern) if len(alphabet) > 1]
        self._growth = variable[-1] + 1 if variable else len(pattern)

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
        """Learn the pattern of texts; of numbers, whether some are missing."""
        has_null = values.null_count > 0
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return cls(column, [], has_null)
        texts = [text for text in pc.unique(values.drop_null()).to_pylist() if text]
        pattern = _pattern(texts) if texts else [string.digits]
        return cls(column, pattern, has_null, _first_free(pattern, texts))

    def encode(self, values: pa.Array) -> EncodedColumn:
        """Whether a value is missing; else all zeros."""
        if self.null_token is None:
            return EncodedColumn(np.zeros(len(values), dtype=np.int64))
        missing = values.is_null().to_numpy(zero_copy_only=False)
        return EncodedColumn(missing.astype(np.int64) * self.null_token)

    def decode(
        self, tokens: np.ndarray, ranks: np.ndarray, rng: np.random.Generator, first_row: int
    ) -> pa.Array:
        """New identifiers, counting on from `first_row`."""
        del ranks, rng
        missing = np.asarray(tokens == (-1 if self.null_token is None else self.null_token))
        numbers = range(first_row + self.first, first_row + self.first + len(tokens))
        kind = arrow_type(self.column)
        if self.pattern:
            return pa.array([self._spell(number) for number in numbers], kind, mask=missing)
        try:
            return pa.array(np.array(numbers), pa.int64(), mask=missing).cast(kind)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"identifier column {self.column.name!r}: {kind} has no room for row"
                f" {first_row + len(tokens)}; give it a wider type or sample fewer rows"
            ) from error

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content = {
            "pattern": self.pattern,
            "first": self.first,
            "null": self.null_token is not None,
        }
        return content, {}

    @classmethod
    def from_state(
        cls, column: Column, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        del arrays
        return cls(column, list(content["pattern"]), content["null"], content["first"])

    def _spell(self, number: int) -> str:
        """`number` written in the pattern, last place fastest."""
        characters = []
        for alphabet in reversed(self.pattern):
            if len(alphabet) > 1:
                number, digit = divmod(number, len(alphabet))
                characters.append(alphabet[digit])
            else:
                characters.append(alphabet)
        text = "".join(reversed(characters))
        return f"{text[: self._growth]}{number}{text[self._growth :]}" if number else text


def _pattern(texts: list[str]) -> list[str]:
    """One alphabet a place, from different texts, none empty."""
    frames = Counter(_RUN.sub("\0", text) for text in texts)
    frame = min(frames, key=lambda f: (-frames[f], f))
    alike = [text for text in texts if _RUN.sub("\0", text) == frame]
    runs = [list(column) for column in zip(*(_RUN.findall(text) for text in alike), strict=True)]
    kept = [_kept(run) for run in runs]
    if all(run is not None for run in kept):  # texts differ, so some run has to
        kept = [None] * len(runs)
    pattern: list[str] = []
    places = iter(zip(runs, kept, strict=True))
    for character in frame:
        if character == "\0":
            run, fixed = next(places)
            pattern += _alphabets(run) if fixed is None else list(fixed)
        else:
            pattern.append(character if frames[frame] >= COMMON_ROWS else "-")
    return pattern


def _first_free(pattern: list[str], texts: list[str]) -> int:
    """A round number amid the widest stretch of numbers that no real text is spelled by."""
    taken = {number for text in texts if (number := _number(pattern, text)) is not None}
    ends = np.array([0, *sorted(taken), math.prod(map(len, pattern))], dtype=object)
    widest = int(np.argmax(np.diff(ends)))
    low, high = int(ends[widest]), int(ends[widest + 1])
    # The roundest number at the beginning of the stretch, so that most of it lies ahead.
    limit = low + max(1, (high - low) // 8)
    step: int = 10 ** len(str(high))
    while step > 1 and (low // step + 1) * step > limit:
        step //= 10
    return (low // step + 1) * step


def _number(pattern: list[str], text: str) -> int | None:
    """The number that is spelled so in the pattern; None: it is no text of the pattern."""
    if len(text) != len(pattern):
        return None
    number = 0
    for alphabet, character in zip(pattern, text, strict=True):
        digit = alphabet.find(character)
        if digit < 0:
            return None
        number = number * len(alphabet) + digit
    return number


def _kept(run: list[str]) -> str | None:
    """The commonest of the runs at one place, where they repeat; None: they tell texts apart."""
    counts = Counter(run)
    best = min(counts, key=lambda text: (-counts[text], text))
    return best if counts[best] >= COMMON_ROWS and 2 * len(counts) <= len(run) else None


def _alphabets(run: list[str]) -> list[str]:
    """One alphabet for each place of the longest runs that are common, or of the commonest length."""
    lengths = Counter(map(len, run))
    common = [n for n, count in lengths.items() if count >= COMMON_ROWS]
    length = max(common) if common else min(lengths, key=lambda n: (-lengths[n], n))
    return [_alphabet(place) for place in zip(*(r for r in run if len(r) == length), strict=True)]


def _alphabet(characters: tuple[str, ...]) -> str:
    """The characters for one place, which these were seen at."""
    seen = set(characters)
    if len(seen) == 1 and len(characters) >= COMMON_ROWS:
        return characters[0]
    # Hexadecimal digits are meant where there are digits too.
    has_digits = not seen.isdisjoint(string.digits)
    for alphabet in _ALPHABETS if has_digits else _LETTERS:
        if seen <= set(alphabet):
            return alphabet
    return string.digits
