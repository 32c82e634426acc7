"""Rows as MySQL's protocol sends them, taken apart column by column instead of value by value.

A row is a packet: three bytes of length, one that counts packets, then each value as text behind
its length. Thousands of packets are received as they are; for each column NumPy finds where the
values of all these rows lie, and Arrow copies them together. No value is ever a Python object, so
rows are read about as quickly as the server sends them.

**Source**: MariaDB, client/server protocol, "Result Set Packets"
(https://mariadb.com/kb/en/result-set-packets/); MySQL Internals, "Protocol::ResultsetRow".
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pymysql import Connection, err
from pymysql.constants import CR

_HEADER = struct.Struct("<I")
_LENGTH = 0xFFFFFF
"""The bits of a header that are the length; a packet of this length goes on in the next one."""

_RECEIVE_BYTES = 256 * 2**10
"""Received at once, at most: about what the system keeps for a connection."""

_NULL = 0xFB
_LENGTH_BYTES = {0xFC: 2, 0xFD: 3, 0xFE: 8}
"""First bytes of a value that are not its length: it is missing, or so many bytes of length follow."""

_END, _ERROR = 0xFE, 0xFF
"""First bytes of packets that are no rows; as the first of a row, 0xFE is a packet of full length."""


@dataclass(frozen=True)
class _Chunk:
    """Rows that were received.

    Attributes:
        data: the bytes that hold them; they may change when the next chunk is asked for.
        begins: where each row begins.
        ends: where it ends.
    """

    data: bytearray
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


class Rows:
    """The rows of the query that a connection was just sent with `query(…, unbuffered=True)`."""

    def __init__(self, connection: Connection, chunk_bytes: int) -> None:
        """Nothing is received yet.

        Args:
            connection: of PyMySQL.
            chunk_bytes: bytes to receive before rows are given; a row may be larger.
        """
        result: Any = connection._result
        self.fields: list[Any] = result.fields
        self._chunks = _Receiver(connection._rfile, chunk_bytes).chunks()
        # The rows are ours to receive; PyMySQL would do it before the next query.
        result.unbuffered_active = False
        result.connection = None

    def __iter__(self) -> Iterator[list[pa.Array]]:
        """For some rows at a time, the values of each column as binary, as the server spells them.

        Raises:
            pymysql.err.MySQLError: the server ended the query, or the connection broke.
        """
        for chunk in self._chunks:
            yield _values(chunk, len(self.fields))

    def discard(self) -> None:
        """Receive what is left and forget it, so that the connection can be used again.

        Raises:
            pymysql.err.MySQLError: the connection broke.
        """
        try:
            for _ in self._chunks:
                pass
        except err.OperationalError as error:
            if error.args[0] == CR.CR_SERVER_LOST:
                raise


class _Receiver:
    """Packets from a stream, in one buffer that is used again for each chunk."""

    def __init__(self, stream: Any, chunk_bytes: int) -> None:
        self._stream = stream
        self._buffer = bytearray(chunk_bytes)
        self._at = 0
        self._have = 0

    def chunks(self) -> Iterator[_Chunk]:
        """The rows up to the packet that ends them."""
        begins: list[int] = []
        while True:
            is_large = self._scan(begins)
            if begins and self._ends_rows(begins[-1]):
                end = begins.pop() - 4
                if begins:
                    yield self._chunk(begins, end)
                return
            if begins and (is_large or self._have == len(self._buffer)):
                yield self._chunk(begins, self._at)
                begins.clear()
            if is_large:
                yield self._large_row()
                continue
            self._make_room()
            self._receive()

    def _scan(self, begins: list[int]) -> bool:
        """Find the packets that are whole; return whether the next row is one of several packets."""
        buffer, at, have = self._buffer, self._at, self._have
        header, length_bits = _HEADER.unpack_from, _LENGTH
        while at + 4 <= have:
            length = header(buffer, at)[0] & length_bits
            if length == length_bits:
                break
            end = at + 4 + length
            if end > have:
                break
            begins.append(at + 4)
            at = end
        self._at = at
        return at + 4 <= have and header(buffer, at)[0] & length_bits == length_bits

    def _ends_rows(self, begin: int) -> bool:
        """Whether the last packet is no row: nothing comes behind such a packet."""
        first = self._buffer[begin]
        if first == _ERROR:
            err.raise_mysql_exception(bytes(self._buffer[begin : self._at]))
        return first == _END

    def _chunk(self, begins: list[int], end: int) -> _Chunk:
        starts = np.asarray(begins, np.int64)
        return _Chunk(self._buffer, starts, np.append(starts[1:] - 4, end))

    def _large_row(self) -> _Chunk:
        """One row of 16 MiB or more, whose packets are put together."""
        row = bytearray()
        length = _LENGTH
        while length == _LENGTH:
            length = _HEADER.unpack(self._exactly(4))[0] & _LENGTH
            row += self._exactly(length)
        return _Chunk(row, np.array([0]), np.array([len(row)]))

    def _exactly(self, n_bytes: int) -> bytes:
        found = bytes(self._buffer[self._at : min(self._at + n_bytes, self._have)])
        self._at += len(found)
        if len(found) < n_bytes:
            found += self._stream.read(n_bytes - len(found))
        if len(found) < n_bytes:
            raise _lost()
        return found

    def _make_room(self) -> None:
        """Where the buffer is full, keep only what begins a packet, and make it hold all of it."""
        if self._have < len(self._buffer):
            return
        rest = self._buffer[self._at : self._have]
        needed = 4 + (_HEADER.unpack_from(rest)[0] & _LENGTH) if len(rest) >= 4 else 4
        if needed > len(self._buffer):
            self._buffer = bytearray(needed)
        self._buffer[: len(rest)] = rest
        self._at, self._have = 0, len(rest)

    def _receive(self) -> None:
        room = len(self._buffer) - self._have
        # Unlike readinto1, it does not wait for more where something was buffered.
        received = self._stream.read1(min(room, _RECEIVE_BYTES))
        if not received:
            raise _lost()
        self._buffer[self._have : self._have + len(received)] = received
        self._have += len(received)


def _lost() -> err.OperationalError:
    return err.OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")


def _values(chunk: _Chunk, n_columns: int) -> list[pa.Array]:
    """The values of each column of a chunk.

    Raises:
        pymysql.err.OperationalError: the packets are not rows of so many values.
    """
    data = np.frombuffer(chunk.data, np.uint8)
    buffer = pa.py_buffer(chunk.data)
    at = chunk.begins
    found = []
    for _ in range(n_columns):
        first = data[at]
        begin, length, missing = at + 1, first.astype(np.int64), None
        if (first >= _NULL).any():
            missing = first == _NULL
            length[missing] = 0
            for mark, n_bytes in _LENGTH_BYTES.items():
                where = np.flatnonzero(first == mark)
                if len(where):
                    digits = data[begin[where][:, None] + np.arange(n_bytes)].astype(np.int64)
                    length[where] = digits @ (1 << 8 * np.arange(n_bytes))
                    begin[where] += n_bytes
        at = begin + length
        found.append(_gathered(buffer, begin, at, missing))
    if not np.array_equal(at, chunk.ends):
        raise err.OperationalError(CR.CR_MALFORMED_PACKET, "Malformed packet")
    return found


def _gathered(
    buffer: pa.Buffer,
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    missing: npt.NDArray[np.bool_] | None,
) -> pa.Array:
    """The values between `begins` and `ends` as an array of their own.

    To Arrow, the values and what lies between them are one array of twice the length, of which it
    takes every other one.
    """
    n_rows = len(begins)
    offsets = np.empty(2 * n_rows, np.int32)
    offsets[0::2], offsets[1::2] = begins, ends
    both = pa.Array.from_buffers(pa.binary(), 2 * n_rows - 1, [None, pa.py_buffer(offsets), buffer])
    return both.take(pa.array(np.arange(0, 2 * n_rows, 2, dtype=np.int32), mask=missing))
