"""What the values of messages say: objects of JSON, lines of delimited text, texts or bytes."""

import csv
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message

from tasks.errors import SourceError
from tasks.schema import Column
from tasks.sources._records import (
    Columns,
    Known,
    Record,
    batch_of,
    chunk_of,
    decoded,
    json_record,
    shown,
)
from tasks.sources.base import column
from tasks.sources.formats._forms import Form, without_missing
from tasks.sources.formats._inference import Inferred
from tasks.sources.formats._kinds import ALL_FORMS, Chunk, ValueKind, converted

DECLARABLE = ("string", *dict.fromkeys(str(form.data_type) for form in ALL_FORMS))
"""Types that a column may be declared to have."""

Place = Callable[[Message], str]


class Values(ABC):
    """How the values of messages become columns.

    Attributes:
        is_fixed: whether the columns are known without reading a message.
    """

    is_fixed: bool = True

    def __init__(self, place: Place) -> None:
        """See nothing yet.

        Args:
            place: tells where a message is.
        """
        self.place = place

    @abstractmethod
    def look(self, messages: Sequence[Message]) -> None:
        """See what these messages say of the columns; only asked where they are not fixed."""

    @abstractmethod
    def columns(self) -> list[Column]:
        """The columns, of all messages that were looked at."""

    def known(self) -> Any:
        """What `batch` must know beside the columns, in values that JSON has."""
        return None

    @abstractmethod
    def batch(
        self, messages: Sequence[Message], known: Any, counts: Counter[str]
    ) -> pa.RecordBatch:
        """The values of these messages, none of which is missing.

        Args:
            messages: in their order.
            known: of `known`.
            counts: what is left out is added to it.

        Raises:
            SourceError: a value is not what was expected; with its place.
        """


class Fixed(Values):
    """One column, whatever the messages are."""

    def look(self, messages: Sequence[Message]) -> None:
        """See `Values.look`: nothing is to be seen."""


class Texts(Fixed):
    """A text each, in UTF-8."""

    def columns(self) -> list[Column]:
        """One column `text`."""
        text = column("text", pa.string(), nullable=False)
        return [text.model_copy(update={"meaning": "text"})]

    def batch(
        self, messages: Sequence[Message], known: Any, counts: Counter[str]
    ) -> pa.RecordBatch:
        """See `Values.batch`."""
        del known, counts
        texts = [decoded(m.value() or b"", "the value", partial(self.place, m)) for m in messages]
        return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string())})


class Bytes(Fixed):
    """Bytes as they are."""

    def columns(self) -> list[Column]:
        """One column `value`."""
        return [column("value", pa.binary(), nullable=False)]

    def batch(
        self, messages: Sequence[Message], known: Any, counts: Counter[str]
    ) -> pa.RecordBatch:
        """See `Values.batch`."""
        del known, counts
        values = [m.value() for m in messages]
        return pa.RecordBatch.from_pydict({"value": pa.array(values, pa.binary())})


class Records(Values):
    """Several values each, in their spelling; the types follow from all, or are declared."""

    is_spelled: ClassVar[bool]

    def __init__(self, place: Place, declared: Mapping[str, str] | None) -> None:
        """See nothing yet.

        Args:
            place: tells where a message is.
            declared: type by column; None: the types follow from all messages.
        """
        super().__init__(place)
        self.is_fixed = declared is not None
        self._declared = declared
        self._columns = Columns()

    @abstractmethod
    def record(self, message: Message) -> Record:
        """Name, spelling and kind of each value of a message."""

    def look(self, messages: Sequence[Message]) -> None:
        """See `Values.look`."""
        self._columns.look(self._records(messages))

    def columns(self) -> list[Column]:
        """See `Values.columns`."""
        if self._declared is not None:
            return [column(name, _data_type(said)) for name, said in self._declared.items()]
        return self._columns.columns()

    def known(self) -> Known | None:
        """The form of each column; None where they are declared."""
        return None if self._declared is not None else self._columns.known()

    def batch(
        self, messages: Sequence[Message], known: Any, counts: Counter[str]
    ) -> pa.RecordBatch:
        """See `Values.batch`; values of columns that are not declared are counted."""
        chunk = chunk_of(self._records(messages))
        if self._declared is None:
            return batch_of(chunk, known, is_spelled=self.is_spelled)
        columns = {
            name: self._form(chunk, name, said, messages) for name, said in self._declared.items()
        }
        for name in set(chunk.batch.schema.names) - set(columns):
            counts["undeclared_values"] += len(chunk.batch[name].drop_null())
        return converted(chunk.batch, columns, is_spelled=self.is_spelled)

    def _records(self, messages: Sequence[Message]) -> Iterator[tuple[Record, Callable[[], str]]]:
        for message in messages:
            yield self.record(message), partial(self.place, message)

    def _form(
        self, chunk: Chunk, name: str, declared: str, messages: Sequence[Message]
    ) -> Inferred:
        """The form of a declared column in which all values of a chunk are written."""
        if declared == "string":
            return Inferred(None, nullable=True)
        if name not in chunk.batch.schema.names:
            return Inferred(_forms(declared)[0], nullable=True)
        texts = chunk.batch[name]
        if self.is_spelled:
            texts = without_missing(texts)
        present = texts.drop_null()
        for form in _forms(declared):
            if form.fits(present):
                return Inferred(form, nullable=True)
        wrong = _first_misfit(texts, declared)
        raise SourceError(
            f"{self.place(messages[wrong])}: expected {declared} in {name!r}, as `columns` says,"
            f" found {texts[wrong].as_py()!r}"
        )


class JsonRecords(Records):
    """An object of JSON each."""

    is_spelled = False

    def record(self, message: Message) -> Record:
        """See `Records.record`."""
        return json_record(message.value() or b"", "the value", partial(self.place, message))


class CsvRecords(Records):
    """A line of delimited text each."""

    is_spelled = True

    def __init__(
        self,
        place: Place,
        declared: Mapping[str, str] | None,
        names: Sequence[str],
        delimiter: str,
    ) -> None:
        """See nothing yet.

        Args:
            place: tells where a message is.
            declared: see `Records`.
            names: of the columns, in the order of the line.
            delimiter: between values.
        """
        super().__init__(place, declared)
        self._names = names
        self._delimiter = delimiter

    def record(self, message: Message) -> Record:
        """See `Records.record`."""
        place = partial(self.place, message)
        text = decoded(message.value() or b"", "the value", place)
        try:
            rows = list(csv.reader([text], delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            raise SourceError(f"{place()}: {shown(text)} is no line of values: {error}") from error
        if len(rows) != 1 or len(rows[0]) != len(self._names):
            raise SourceError(
                f"{place()}: expected {len(self._names)} values ({', '.join(self._names)}), found"
                f" {len(rows[0]) if rows else 0} in {shown(text)}"
            )
        for name, value in zip(self._names, rows[0], strict=True):
            yield name, value, ValueKind.SPELLED


def _forms(declared: str) -> list[Form]:
    return [form for form in ALL_FORMS if str(form.data_type) == declared]


def _data_type(declared: str) -> pa.DataType:
    return pa.string() if declared == "string" else _forms(declared)[0].data_type


def _first_misfit(texts: pa.Array, declared: str) -> int:
    """The first value that no form of the type takes, or that the others do not agree with."""
    for i in range(len(texts)):
        value = texts[i : i + 1].drop_null()
        if len(value) and not any(form.fits(value) for form in _forms(declared)):
            return i
    return int(pc.index(pc.is_valid(texts), value=True).as_py())
