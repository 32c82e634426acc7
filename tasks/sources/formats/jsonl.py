"""JSON Lines: one object a line."""

import functools
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from tasks.errors import SourceError
from tasks.sources.formats._json import RepeatedNameError, decoder, flattened
from tasks.sources.formats._kinds import Chunk, ChunkBuilder
from tasks.sources.formats._records import CHUNK_BYTES, RecordFormat
from tasks.sources.formats._streams import can_seek, check_utf8, text_of

MAX_LINE_BYTES = 2**26
"""Bytes of a line at most."""


class JsonLines(RecordFormat):
    """Objects whose names are columns; empty lines are none."""

    suffixes = tuple(
        f".{name}{packed}"
        for name in ("jsonl", "ndjson")
        for packed in ("", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
    )
    takes = frozenset(("encoding", "inflated_gib"))

    def chunks(
        self, path: Path, start: int | None = None, end: int | None = None
    ) -> Generator[Chunk, None, None]:
        """See `RecordFormat.chunks`."""
        is_anywhere = can_seek(path, self.settings.encoding, self.settings.inflated_gib)
        builder, decode = ChunkBuilder(), decoder().decode
        at = first = start or 0
        for number, line in enumerate(self._lines(path, at), start=1):
            place = functools.partial(self._place, path, start or 0, number)
            if not line.isspace():
                builder.add(flattened(self._record(path, line, decode, place)), place)
            at += len(line)
            is_end = at == end
            if is_end or at - first >= CHUNK_BYTES:
                yield builder.chunk(*((first, at) if is_anywhere else (None, None)))
                builder, first = ChunkBuilder(), at
            if is_end:
                return
        if builder.n_rows:
            yield builder.chunk(*((first, at) if is_anywhere else (None, None)))

    def _lines(self, path: Path, start: int) -> Iterator[bytes]:
        """The lines from a place on, each with its end."""
        rest = b""
        settings = self.settings
        for piece in text_of(path, settings.encoding, settings.inflated_gib, start):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line + b"\n"
            if len(rest) > MAX_LINE_BYTES:
                raise SourceError(
                    f"{path} has a line of more than {MAX_LINE_BYTES / 2**20:.0f} MiB; is it one"
                    " JSON document (`format: json`)?"
                )
        if rest:
            yield rest

    def _record(
        self,
        path: Path,
        line: bytes,
        decode: Callable[[str], Any],
        place: Callable[[], str],
    ) -> dict[str, Any]:
        advice = "expected one JSON object a line"
        try:
            record = decode(line.decode())
        except UnicodeDecodeError as error:
            check_utf8(path, self.settings.encoding, self.settings.inflated_gib)
            raise SourceError(f"{place()}: not text in UTF-8: {error}") from error
        except json.JSONDecodeError as error:
            raise SourceError(f"{place()}, column {error.colno}: {error.msg}; {advice}") from error
        except RepeatedNameError as error:
            raise SourceError(f"{place()}: {error}") from error
        except RecursionError as error:
            raise SourceError(f"{place()}: nested too deep; {advice}") from error
        if not isinstance(record, dict):
            raise SourceError(f"{place()}: {advice}, found {line[:60].decode(errors='replace')!r}")
        return record

    def _place(self, path: Path, start: int, number: int) -> str:
        before = 0
        if start:
            pieces = text_of(path, self.settings.encoding, self.settings.inflated_gib)
            for piece in pieces:
                before += piece[:start].count(b"\n")
                start -= min(start, len(piece))
                if not start:
                    break
        return f"{path}: line {before + number:,}"
