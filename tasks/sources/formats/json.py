"""JSON: an array of objects, at the top or within objects, read piece by piece."""

import codecs
import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from tasks.errors import SourceError
from tasks.sources.formats._json import RepeatedNameError, decoder, flattened
from tasks.sources.formats._kinds import Chunk, ChunkBuilder
from tasks.sources.formats._records import CHUNK_BYTES, RecordFormat
from tasks.sources.formats._streams import check_utf8, text_of

MAX_VALUE_CHARACTERS = 2**26
"""Of one record, or of a value beside the records."""

_WHITESPACE = " \t\r\n"

_CUT_CHARACTERS = 16
"""So near to the end of what was read, a fault may be that the rest is missing."""


class Json(RecordFormat):
    """One array whose objects are rows."""

    suffixes = tuple(
        f".json{packed}" for packed in ("", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
    )
    takes = frozenset(("encoding", "records", "inflated_gib"))

    def chunks(
        self, path: Path, start: int | None = None, end: int | None = None
    ) -> Generator[Chunk, None, None]:
        """See `RecordFormat.chunks`; a document is always read from its start."""
        del start, end
        text = _Text(path, self.settings.encoding, self.settings.inflated_gib)
        wanted = self.settings.records
        builder = ChunkBuilder()
        first = 0
        for record in _records(text, wanted.split(".") if wanted else None):
            if not isinstance(record, dict):
                raise text.fault("expected an object as each record, found another value")
            builder.add(flattened(record), text.place)
            if text.n_read - first >= CHUNK_BYTES:
                yield builder.chunk()
                builder, first = ChunkBuilder(), text.n_read
        if builder.n_rows:
            yield builder.chunk()


def _records(text: "_Text", names: list[str] | None) -> Iterator[Any]:
    """The elements of the array at the end of a path; None: the only array there is."""
    found = text.peek()
    if found == "[" and not names:
        yield from text.elements()
    elif found == "{":
        yield from _within(text, names)
    elif not found:
        raise SourceError(f"expected JSON in {text.path}, found an empty file")
    else:
        raise text.fault("expected an array of objects, or an object that holds one")
    if rest := text.peek():
        advice = "; for one object a line set `format: jsonl`" if rest in "{[" else ""
        raise text.fault(f"expected the end of the document{advice}")


def _within(text: "_Text", names: list[str] | None) -> Iterator[Any]:
    """The elements of the array that an object holds."""
    taken: str | None = None
    others: list[str] = []
    for name in text.members():
        is_wanted = name == names[0] if names else text.peek() == "["
        if not is_wanted:
            others.append(name)
            text.value()
            continue
        if taken is not None:
            raise text.fault(
                f"both {taken!r} and {name!r} hold arrays; say by `records` which one holds the rows"
            )
        taken = name
        if names and len(names) > 1:
            if text.peek() != "{":
                raise text.fault(f"expected an object at {name!r}, as `records` says")
            yield from _within(text, names[1:])
        elif text.peek() == "[":
            yield from text.elements()
        else:
            raise text.fault(f"expected an array at {name!r}, as `records` says")
    if taken is None:
        wanted = f"{names[0]!r}" if names else "an array"
        raise text.fault(
            f"expected {wanted} in this object, found {', '.join(map(repr, others[:20])) or 'nothing'};"
            " set `records` (for one object a line, `format: jsonl`)"
        )


class _Text:
    """A document of which only the value that is being read is in memory."""

    def __init__(self, path: Path, encoding: str, inflated_gib: float | None) -> None:
        self.path, self._encoding, self._inflated_gib = path, encoding, inflated_gib
        self._pieces = text_of(path, encoding, inflated_gib)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._decode = decoder().raw_decode
        self._buffer, self._at = "", 0
        self._n_lines = self._n_columns = 0  # before the buffer
        self.n_read = 0

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _WHITESPACE:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The next value."""
        if not self.peek():
            raise self.fault("the document ends too early")
        self._forget()
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                is_open = error.msg.startswith("Unterminated string")
                is_near_end = error.pos > len(self._buffer) - _CUT_CHARACTERS
                if not ((is_open or is_near_end) and self._more()):
                    is_cut = is_open or error.pos >= len(self._buffer)
                    reason = f"the document ends too early ({error.msg})" if is_cut else error.msg
                    raise self.fault(reason, error.pos) from error
            except RepeatedNameError as error:
                raise self.fault(str(error)) from error
            except RecursionError as error:
                raise self.fault("nested too deep") from error
            else:
                # A number may go on behind what was read.
                if end < len(self._buffer) or not self._more():
                    self._at = end
                    return value

    def elements(self) -> Iterator[Any]:
        """The elements of the array that is next."""
        self._at += 1
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self._ends("]"):
                return

    def members(self) -> Iterator[str]:
        """The names of the object that is next; whoever takes a name reads its value."""
        self._at += 1
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self.fault("expected a name in double quotes")
            name = str(self.value())
            if self.peek() != ":":
                raise self.fault("expected ':' behind a name")
            self._at += 1
            yield name
            if self._ends("}"):
                return

    def place(self) -> str:
        """Where the last value ended, for messages."""
        return self._place(self._at)

    def fault(self, reason: str, position: int | None = None) -> SourceError:
        """What is said of a fault at a place of the buffer; None: where reading stands."""
        return SourceError(f"{self._place(self._at if position is None else position)}: {reason}")

    def _place(self, position: int) -> str:
        before = self._buffer[:position]
        line = self._n_lines + before.count("\n") + 1
        start = before.rfind("\n")
        column = position - start if start >= 0 else self._n_columns + position + 1
        return f"{self.path}: line {line:,}, column {column:,}"

    def _ends(self, closing: str) -> bool:
        """Whether an array or object ends here; else behind a comma there is more of it."""
        found = self.peek()
        if found not in (",", closing) or not found:
            reason = f"expected ',' or '{closing}'"
            raise self.fault(reason if found else f"the document ends too early; {reason}")
        self._at += 1
        return found == closing

    def _forget(self) -> None:
        """Let go of what was read."""
        if self._at < CHUNK_BYTES // 4:
            return
        done = self._buffer[: self._at]
        self.n_read += self._at
        self._n_lines += done.count("\n")
        start = done.rfind("\n")
        self._n_columns = self._at - start - 1 if start >= 0 else self._n_columns + self._at
        self._buffer, self._at = self._buffer[self._at :], 0

    def _more(self) -> bool:
        """Read at least as much again as is waiting; False: that was all."""
        waiting = [self._buffer]
        n_wanted = len(self._buffer) - self._at
        if n_wanted > MAX_VALUE_CHARACTERS:
            raise self.fault(
                f"a value of more than {MAX_VALUE_CHARACTERS / 2**20:.0f} million characters"
            )
        n_more = 0
        while n_more <= n_wanted:
            piece = next(self._pieces, None)
            try:
                text = self._utf8.decode(piece or b"", final=piece is None)
            except UnicodeDecodeError:
                check_utf8(self.path, self._encoding, self._inflated_gib)
                raise
            if piece is None:
                break
            waiting.append(text)
            n_more += len(text)
        self._buffer = "".join(waiting)
        return n_more > 0
