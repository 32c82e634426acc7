"""The contract of recognisers: how one kind of personal data (PII) is told from other values.

To add a kind, write one file `tasks/privacy/pii/kinds/<kind>.py` with one subclass of `Recogniser`.
A column is judged by the share of its distinct values that are of the kind, less what would be so by
chance, and by what its name says. Nothing here keeps, logs or returns a value of the data.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from tasks.schema import Meaning

CHANCE = 1e-4
"""How likely, at most, as many values as were recognised may be so by chance, where the name of the
column does not speak for the kind."""


@dataclass(frozen=True)
class Sample:
    """What is looked at of one column.

    Attributes:
        name: of the column, in lower case, without accents, its words with one space between.
        values: distinct values that are not missing or empty, as text, in the order of the data.
        n_distinct: distinct values of the whole sample; `values` may be fewer.
        n_present: values of the whole sample that are not missing.
        data_type: Arrow type of the column.
        meaning: as the schema has it.
        raw: the same values as `values`, as the column has them.
    """

    name: str
    values: list[str]
    n_distinct: int
    n_present: int
    data_type: pa.DataType
    meaning: Meaning
    raw: pa.Array

    @property
    def is_text(self) -> bool:
        """Whether the values are text, and not numbers or dates."""
        kind = self.data_type
        return bool(
            pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind)
            or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))
        )

    @property
    def is_whole(self) -> bool:
        """Whether the values are text or whole numbers: what can hold an identifier."""
        return self.is_text or bool(
            pa.types.is_integer(self.data_type)
            or (pa.types.is_decimal(self.data_type) and self.data_type.scale == 0)
        )


@dataclass(frozen=True)
class Finding:
    """That a column holds personal data of one kind.

    Attributes:
        kind: name of the recogniser: `email`, `phone` ...
        confidence: share of the values examined that are of the kind, less what chance explains.
        hinted: whether the column's name speaks for it.
        n_examined: distinct values that were looked at.
        n_recognised: of them, those that are of the kind.
        detail: what kind of it, where there are several: a country, a form; or "".
    """

    kind: str
    confidence: float
    hinted: bool
    n_examined: int
    n_recognised: int
    detail: str = ""

    @property
    def words(self) -> str:
        """One line for people, without any value."""
        what = f"{self.kind} ({self.detail})" if self.detail else self.kind
        by = ", and its name says so" if self.hinted else ""
        return f"{what}: {self.n_recognised:,} of {self.n_examined:,} distinct values{by}"


@dataclass(frozen=True)
class Match:
    """How many values of a sample are of a kind.

    Attributes:
        n: distinct values recognised.
        chance: share of other values that would be, of those with the same form.
        detail: see `Finding.detail`.
    """

    n: int
    chance: float = 0.0
    detail: str = ""


class Recogniser(ABC):
    """One kind of personal data.

    Attributes:
        hint: regular expression; where it is in a folded column name, the name speaks for the kind.
        against: where it is in the name, the column is not of this kind.
        hinted_share: least share of values, beyond chance, where the name speaks for it.
        bare_share: the same where the name says nothing; None: never found without the name.
        in_text: what values of the kind look like inside longer text; None: not looked for there.
        unique: whether a value belongs to one person, so that invented ones must differ as well.
    """

    kind: ClassVar[str]
    hint: ClassVar[str]
    against: ClassVar[str] = r"(?!)"
    hinted_share: ClassVar[float] = 0.3
    bare_share: ClassVar[float | None] = 0.8
    in_text: ClassVar[re.Pattern[str] | None] = None
    unique: ClassVar[bool] = True

    @abstractmethod
    def holds(self, value: str) -> bool:
        """Whether one value, without blanks around it, is of the kind."""

    def applies(self, sample: Sample) -> bool:
        """Whether a column of this type can be of the kind."""
        return sample.is_text

    def match(self, sample: Sample, *, hinted: bool) -> Match:
        """How many values are of the kind; with a name that speaks for it, less may be asked."""
        del hinted
        return Match(sum(map(self.holds, sample.values)))

    def spans(self, text: str, *, eager: bool = False) -> Iterator[tuple[int, int]]:
        """Where values of the kind are in a text: start and end of each.

        Args:
            text: to be searched.
            eager: to take out what is found, so that one too many costs less than one too few.
        """
        del eager
        if self.in_text is None:
            return
        for found in self.in_text.finditer(text):
            if self.holds(found[0]):
                yield found.span()

    def mask(self, value: str) -> str:
        """The value with what tells the person put out of sight; its form stays."""
        return hidden(value)

    def generalise(self, value: str) -> str | None:
        """A coarser value that many people share; None: there is none for this value.

        A kind that has no coarser values leaves this method out.
        """
        del value
        return None

    def invent(self, faker: Any, value: str) -> str | None:
        """A value of the kind by Faker, of the form that `value` has; None: Faker has none."""
        del faker, value
        return None


@dataclass(frozen=True)
class Span:
    """A place in a text.

    Attributes:
        start: of its first character.
        end: after its last one.
        kind: what is there.
    """

    start: int
    end: int
    kind: str = field(compare=False)


def hidden(text: str, keep: int = 0) -> str:
    """`text` with its letters and digits replaced by `*`, but for the last `keep` of them."""
    places = [i for i, letter in enumerate(text) if letter.isalnum()]
    gone = set(places[: len(places) - keep])
    return "".join("*" if i in gone else letter for i, letter in enumerate(text))


def folded(name: str) -> str:
    """A column's name as hints see it: `dateOfBirth`, `Date-of-birth` -> `date of birth`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.split(r"[\W_]+", without_accents(words))).strip()


def without_accents(text: str) -> str:
    """In lower case, and without marks over, under or beside letters."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.category(c).startswith("M"))
