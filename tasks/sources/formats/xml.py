"""XML: one element a row; its attributes, and the elements in it, are the columns."""

import json
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from tasks.errors import SourceError
from tasks.sources.formats._kinds import Chunk, ChunkBuilder, ValueKind
from tasks.sources.formats._records import CHUNK_BYTES, RecordFormat
from tasks.sources.formats._streams import open_bytes

MAX_DEPTH = 100
"""Elements in elements."""

_PIECE_BYTES = 2**16


class Xml(RecordFormat):
    """Elements whose attributes and inner elements are values, spelled as in delimited files.

    An element in an element is `outer.inner`; one that a row has several times is JSON. A document
    type is refused: it could define entities, which grow without end or read other files.
    """

    suffixes = tuple(
        f".xml{packed}" for packed in ("", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
    )
    takes = frozenset(("record", "inflated_gib"))
    is_spelled = True

    def chunks(
        self, path: Path, start: int | None = None, end: int | None = None
    ) -> Generator[Chunk, None, None]:
        """See `RecordFormat.chunks`; a document is always read from its start."""
        del start, end
        builder = ChunkBuilder()
        n_bytes = 0
        for element, size in _Rows(path, self.settings.record).read(self.settings.inflated_gib):
            builder.add(_values(element), lambda at=element.line: f"{path}: line {at:,}")  # type: ignore[misc]
            n_bytes += size
            if n_bytes >= CHUNK_BYTES:
                yield builder.chunk()
                builder, n_bytes = ChunkBuilder(), 0
        if builder.n_rows:
            yield builder.chunk()


@dataclass(slots=True)
class _Element:
    """One element.

    Attributes:
        name: without its namespace.
        attributes: by name.
        line: where it starts.
        inner: the elements in it.
        text: between them.
    """

    name: str
    attributes: dict[str, str]
    line: int
    inner: list["_Element"] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    @property
    def value(self) -> str | None:
        """Its text; beside other elements only what is more than space."""
        text = "".join(self.text)
        return (text.strip() if self.inner else text) or None


class _Rows:
    """The elements that are rows, as a parser comes by them."""

    def __init__(self, path: Path, record: str | None) -> None:
        self._path, self._record = path, record
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._open: list[_Element] = []
        self._depth = 0
        self._done: list[_Element] = []
        self._names: Counter[str] = Counter()

    def read(self, inflated_gib: float | None) -> Iterator[tuple[_Element, int]]:
        """Each row, with the bytes that it takes in the file, about.

        Raises:
            SourceError: the document is malformed, or no rows are found in it.
        """
        n_rows = 0
        with open_bytes(self._path, inflated_gib) as stream:
            piece = b"-"
            while piece:
                piece = stream.read(_PIECE_BYTES)
                try:
                    self._parser.Parse(piece, not piece)
                except expat.ExpatError as error:
                    place = f"line {error.lineno:,}, column {error.offset + 1:,}"
                    raise SourceError(
                        f"{self._path}: {place}: {expat.ErrorString(error.code)}; expected well-formed"
                        " XML"
                    ) from error
                done, self._done = self._done, []
                n_rows += len(done)
                for element in done:
                    yield element, len(piece) // len(done)
                    if n_rows == 1 and self._record is None:
                        only = element
        if n_rows == 0:
            raise SourceError(
                f"expected elements {self._record or 'in the root'!r} in {self._path}, found"
                f" {', '.join(sorted(self._names)) or 'none'}; set `record`"
            )
        if n_rows == 1 and self._record is None:
            self._check_only(only)

    def _check_only(self, element: _Element) -> None:
        """Refuse a single row that is rather what holds the rows."""
        twice = [n for n, count in Counter(e.name for e in element.inner).items() if count > 1]
        if twice:
            raise SourceError(
                f"{self._path}: the root holds {element.name!r} alone, which holds many"
                f" {twice[0]!r}; say by `record` which element is a row: `record: {twice[0]}`"
            )

    def _start(self, given: str, attributes: dict[str, str]) -> None:
        name = _local(given)
        line = self._parser.CurrentLineNumber
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault(f"more than {MAX_DEPTH} elements are nested")
        is_row = self._depth == 2 if self._record is None else name == self._record
        if self._open or is_row:
            named = {
                _local(key): value
                for key, value in attributes.items()
                if not key.startswith("xmlns")
            }
            element = _Element(name, named, line)
            if self._open:
                self._open[-1].inner.append(element)
            else:
                self._check_name(name)
            self._open.append(element)
        elif len(self._names) < 20:
            self._names[name] += 1

    def _check_name(self, name: str) -> None:
        self._names[name] += 1
        if self._record is None and len(self._names) > 2:  # the root is one of them
            names = " and ".join(repr(n) for n in list(self._names)[1:])
            raise self._fault(f"the root holds {names}; say by `record` which element is a row")

    def _end(self, given: str) -> None:
        del given
        self._depth -= 1
        if self._open:
            element = self._open.pop()
            if not self._open:
                self._done.append(element)

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)

    def _refuse(self, *given: Any) -> None:
        del given
        raise self._fault(
            "a document type (<!DOCTYPE …>), which may define entities that grow without end or"
            " read other files; remove it"
        )

    def _fault(self, reason: str) -> SourceError:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        return SourceError(f"{self._path}: line {line:,}, column {column:,}: {reason}")


def _values(element: _Element, prefix: str = "") -> Iterator[tuple[str, str | None, ValueKind]]:
    """Name, spelling and kind of each value of a row."""
    for name, value in element.attributes.items():
        yield prefix + name, value, ValueKind.SPELLED
    if not prefix and (element.value is not None or not (element.inner or element.attributes)):
        yield element.name, element.value, ValueKind.SPELLED
    counts = Counter(inner.name for inner in element.inner)
    for inner in element.inner:
        name = prefix + inner.name
        if counts[inner.name] > 1:
            continue
        if inner.value is not None or not (inner.inner or inner.attributes):
            yield name, inner.value, ValueKind.SPELLED
        yield from _values(inner, f"{name}.")
    for repeated in (name for name, count in counts.items() if count > 1):
        several = [_nested(inner) for inner in element.inner if inner.name == repeated]
        yield prefix + repeated, json.dumps(several, ensure_ascii=False), ValueKind.NESTED


def _nested(element: _Element) -> Any:
    """One of several elements of a name, for JSON: its text, or an object of what is in it."""
    if not (element.inner or element.attributes):
        return element.value
    found: dict[str, Any] = dict(element.attributes)
    if element.value is not None:
        found[""] = element.value
    for inner in element.inner:
        same = [_nested(other) for other in element.inner if other.name == inner.name]
        found[inner.name] = same if len(same) > 1 else same[0]
    return found


def _local(name: str) -> str:
    """A name without the prefix of its namespace."""
    return name.rpartition(":")[2]
