"""Records that come one by one, in messages or archives: their columns by all of them, then batches.

The types are those of files of JSON Lines and of delimited text (`tasks/sources/formats`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import Column
from tasks.sources.base import column
from tasks.sources.formats._inference import Inferred, form_of, number_of
from tasks.sources.formats._json import RepeatedNameError, decoder, flattened
from tasks.sources.formats._kinds import (
    ALL_FORMS,
    Chunk,
    ChunkBuilder,
    Evidence,
    ValueKind,
    converted,
)

Record = Iterable[tuple[str, str | None, ValueKind]]
"""Name, spelling and kind of each value."""

Place = Callable[[], str]
"""Tells where a record is, for messages."""

Known = Mapping[str, list[Any]]
"""Number of the form of each column, and whether values are missing, as JSON has it."""

_decode = decoder().decode


class Columns:
    """The columns of records, as far as those looked at tell."""

    def __init__(self) -> None:
        """No record yet."""
        self._evidence = Evidence()

    def look(self, records: Iterable[tuple[Record, Place]]) -> None:
        """Look at further records."""
        self._evidence.add(chunk_of(records))

    def columns(self) -> list[Column]:
        """As a source declares them."""
        inferred = self._evidence.columns().items()
        return [column(name, i.data_type, nullable=i.nullable) for name, i in inferred]

    def known(self) -> Known:
        """What `batch_of` must know, in values that JSON has."""
        inferred = self._evidence.columns().items()
        return {name: [number_of(i.form, ALL_FORMS), i.nullable] for name, i in inferred}


def chunk_of(records: Iterable[tuple[Record, Place]]) -> Chunk:
    """The values of records in their spelling.

    Raises:
        SourceError: a record has two values of one name.
    """
    builder = ChunkBuilder()
    for record, place in records:
        builder.add(record, place)
    return builder.chunk()


def batch_of(chunk: Chunk, known: Known, *, is_spelled: bool) -> pa.RecordBatch:
    """The values in the types of their columns.

    Args:
        chunk: of `chunk_of`.
        known: of `Columns.known`, after all records were looked at.
        is_spelled: whether only the spelling of values tells their type, as in delimited text.
    """
    columns = {
        name: Inferred(form_of(number, ALL_FORMS), nullable)
        for name, (number, nullable) in known.items()
    }
    return converted(chunk.batch, columns, is_spelled=is_spelled)


def json_record(
    content: bytes, what: str, place: Place
) -> Iterator[tuple[str, str | None, ValueKind]]:
    """The values of an object of JSON; the names of objects in objects are joined by points.

    Args:
        content: of it, in UTF-8.
        what: it is, for messages.
        place: tells where it is.

    Raises:
        SourceError: it is no object of JSON.
    """
    text = decoded(content, what, place)
    try:
        found = _decode(text)
    except (json.JSONDecodeError, RepeatedNameError, RecursionError) as error:
        raise SourceError(
            f"{place()}: expected an object of JSON, found {shown(text)}: {error}"
        ) from error
    if not isinstance(found, dict):
        raise SourceError(f"{place()}: expected an object of JSON, found {shown(text)}")
    yield from flattened(found)


def decoded(content: bytes, what: str, place: Place) -> str:
    """Bytes as text.

    Raises:
        SourceError: they are not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{place()}: expected {what} to be text in UTF-8, found the byte"
            f" 0x{content[error.start]:02X} at its offset {error.start}"
        ) from error


def shown(text: str) -> str:
    """A text for a message, cut if it is long."""
    return repr(text if len(text) <= 60 else text[:60] + "…")
