"""Delimited text cut into blocks of whole rows, which threads can parse each on its own.

A line end stands between two rows if an even number of quotes is before it. That is so unless a
quote stands in the middle of a value (`5" disk`), which only a parser that comes from the start can
tell from one that opens a value; such a file is read by one thread from there on.
"""

import contextlib
import csv
import functools
import io
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.errors import SourceError
from tasks.sources.formats import _streams
from tasks.sources.formats._dialect import SAMPLE_BYTES, Dialect, csv_options
from tasks.sources.formats._streams import PIECE_BYTES, text_of

BLOCK_BYTES = 2**22
"""Bytes of a block: a quarter of it takes 70 MB less, and a third longer. A longer row makes its block
longer."""

MAX_ROW_BYTES = 2**26
"""Bytes of a row at most."""

_CACHED_BYTES = 2**17

_NEWLINES = b"\r\n"


class StrayQuoteError(Exception):
    """A quote in the middle of a value: only who reads from the start knows what is quoted."""


@dataclass(frozen=True)
class Block:
    """Whole rows of a file.

    Attributes:
        data: text as UTF-8.
        start: where it begins in the text of the file, in bytes of UTF-8.
    """

    data: bytes
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.data)


def blocks(
    path: Path, dialect: Dialect, start: int, end: int | None = None
) -> Generator[Block, None, None]:
    """The rows between two places where rows start.

    The last block may end within quotes, and a block with a stray quote anywhere: the parser finds
    that (`open_quote`).
    """
    quote, line_end = dialect.told.quote.encode(), dialect.line_end[-1:].encode()
    waiting: list[bytes] = []
    n_waiting, enough = 0, BLOCK_BYTES
    with contextlib.closing(text(path, dialect, start, end)) as pieces:
        for piece in pieces:
            waiting.append(piece)
            n_waiting += len(piece)
            if n_waiting < enough:
                continue
            data = b"".join(waiting)
            cut = _last_row_end(data, quote, line_end)
            if cut == 0:
                with contextlib.suppress(StrayQuoteError):
                    place = open_quote(data, dialect) or 0
                    if n_waiting > MAX_ROW_BYTES:
                        line = lines_before(path, dialect, start) + data.count(line_end, 0, place)
                        raise SourceError(
                            f"{path}: in line {line + 1:,} a value or row of more than"
                            f" {MAX_ROW_BYTES / 2**20:.0f} MiB starts; is a quote not closed, or is"
                            " it no table?"
                        )
                    waiting = [data]
                    # A long value is looked at a few times only, however long it is.
                    enough = 2 * n_waiting
                    continue
                cut = len(data)
            yield Block(data[:cut], start)
            start += cut
            waiting = [data[cut:]]
            n_waiting, enough = len(data) - cut, BLOCK_BYTES
    if data := b"".join(waiting):
        yield Block(data, start)


def text(
    path: Path, dialect: Dialect, start: int = 0, end: int | None = None
) -> Generator[bytes, None, None]:
    """The text of a file as UTF-8, without comments, from one byte of it to another."""
    told = dialect.told
    left = None if end is None else end - start
    if told.comment is None:
        pieces = text_of(path, dialect.encoding, told.inflated_gib, start)
    else:
        whole = text_of(path, dialect.encoding, told.inflated_gib)
        pieces = _from(_without_comments(whole, dialect), start)
    for piece in pieces:
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        yield piece
        if left == 0:
            return


def can_seek(path: Path, dialect: Dialect) -> bool:
    """Whether the text of a file is the bytes of the file, so that reading can start anywhere."""
    told = dialect.told
    return told.comment is None and _streams.can_seek(path, dialect.encoding, told.inflated_gib)


def first_row(path: Path, dialect: Dialect) -> int:
    """Where the first row behind the header starts, in bytes of the text."""
    n_bytes = 0

    def lines() -> Iterator[str]:
        nonlocal n_bytes
        head = b""
        for piece in text(path, dialect):
            head += piece
            if len(head) >= SAMPLE_BYTES:
                break
        for line in io.StringIO(head.decode(errors="ignore"), newline=""):
            n_bytes += len(line.encode())
            yield line

    found = lines()
    for _ in range(dialect.told.skip_rows):
        next(found, None)
    if dialect.header is None:
        return _behind_blank(found, lambda: n_bytes)
    for values in csv.reader(found, **csv_options(dialect.delimiter, dialect.told)):
        if values:
            break
    return n_bytes


def lines_before(path: Path, dialect: Dialect, place: int) -> int:
    """Line ends in the text before a byte of it."""
    line_end = dialect.line_end[-1:].encode()
    return sum(piece.count(line_end) for piece in text(path, dialect, 0, place)) if place else 0


def open_quote(data: bytes, dialect: Dialect) -> int | None:
    """Where the quote stands that is still open at the end; None: all are closed.

    Args:
        data: from the start of a row.
        dialect: of the file.

    Raises:
        StrayQuoteError: a quote that could open a value does not stand at the start of one.
    """
    quote = dialect.told.quote.encode()
    if not quote or quote not in data:
        return None
    characters = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(characters == quote[0])
    opening = places[::2]
    before = _starts_value(dialect.delimiter)[characters[np.maximum(opening - 1, 0)]]
    is_start = before | (opening == 0)
    is_start[1:] |= opening[1:] - places[1::2][: len(opening) - 1] == 1  # the second one of a pair
    if not is_start.all():
        raise StrayQuoteError
    if len(places) % 2 == 0:
        return None
    i = len(places) - 1
    while i > 0 and places[i] - places[i - 1] == 1:  # a doubled quote inside the value
        i -= 2
    return int(places[max(i, 0)])


@functools.cache
def _starts_value(delimiter: str) -> npt.NDArray[np.bool_]:
    """Whether a value may start behind a byte."""
    table = np.zeros(256, np.bool_)
    table[[*delimiter.encode(), *_NEWLINES]] = True
    return table


def _count(data: bytes, quote: bytes) -> int:
    """Quotes in data; by stretches that stay in the processor's cache."""
    if not quote:
        return 0
    characters = np.frombuffer(data, np.uint8)
    starts = range(0, len(characters), _CACHED_BYTES)
    return sum(
        int(np.count_nonzero(characters[at : at + _CACHED_BYTES] == quote[0])) for at in starts
    )


def _behind_blank(lines: Iterable[str], n_bytes: Any) -> int:
    """Where the first line that is not empty starts."""
    for line in lines:
        if line.strip("\r\n"):
            return int(n_bytes()) - len(line.encode())
    return int(n_bytes())


def _last_row_end(data: bytes, quote: bytes, line_end: bytes) -> int:
    """Where the last whole row ends; 0: there is none."""
    # A carriage return at the very end may belong to a line feed.
    end = len(data) - (line_end == b"\r")
    is_quoted = _count(data[:end] if end < len(data) else data, quote) % 2 == 1
    while True:
        before = data.rfind(quote, 0, end) if quote else -1
        if not is_quoted and (place := data.rfind(line_end, before + 1, end)) >= 0:
            return place + 1 + (data[place + 1 : place + 2] == b"\n")
        if before < 0:
            return 0
        end, is_quoted = before, not is_quoted


def _without_comments(pieces: Iterator[bytes], dialect: Dialect) -> Generator[bytes, None, None]:
    """The text without the lines that start as comments do, outside of quotes."""
    told = dialect.told
    mark, quote = (told.comment or "").encode(), told.quote.encode()
    line_end = dialect.line_end[-1:].encode()
    rest = b""
    is_quoted = False
    for piece in _then_nothing(pieces):
        *lines, rest = (rest + (piece or b"")).split(line_end)
        if piece is None and rest:
            lines, rest = [*lines, rest], b""
        kept = []
        for line in lines:
            if not is_quoted and line.startswith(mark):
                continue
            kept.append(line)
            if quote and line.count(quote) % 2:
                is_quoted = not is_quoted
        if kept:
            yield line_end.join(kept) + line_end


def _from(pieces: Iterator[bytes], start: int) -> Generator[bytes, None, None]:
    for piece in pieces:
        if len(piece) > start:
            yield piece[start:]
        start = max(0, start - len(piece))


def _then_nothing(pieces: Iterator[bytes]) -> Iterator[bytes | None]:
    yield from pieces
    yield None


class TextFile(io.RawIOBase):
    """Pieces of text as a file for parsers that ask for one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        """Args: the pieces, none of them empty."""
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        n = min(len(buffer), len(self._rest), PIECE_BYTES)
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n
