"""Which rows have the digest of another row, for any number of rows.

Digests are sorted in memory where they are few. Where they are many they go to temporary files by
their first byte, so that equal ones meet in one file, and the files are sorted one after the other.
What repeats among those in memory is not written, so a digest that most rows have fills no file.
They are digests only: no value of a row is written.
"""

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.cleaning.digests import Words

_RECORD = np.dtype([("first", "<u8"), ("second", "<u8"), ("row", "<i8")])


class Repeats:
    """Takes the digests of all rows in their order, then tells which rows repeat another."""

    def __init__(self, keep: Literal["first", "last"], memory_rows: int = 2**21) -> None:
        """Nothing is known yet.

        Args:
            keep: which one of several equal rows is no repetition.
            memory_rows: digests that are kept in memory; 24 bytes each.
        """
        self._keep = keep
        self._memory_rows = memory_rows
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._repeated = np.zeros(0, dtype=np.uint8)
        """Bits, packed; may be longer or shorter than the rows so far."""

    def add(self, digests: Words, rows: npt.NDArray[np.int64]) -> None:
        """Take some rows.

        Args:
            digests: (N, 2), see `row_digests`.
            rows: (N,) their numbers, ascending, past all those before.
        """
        records = np.empty(len(rows), dtype=_RECORD)
        records["first"], records["second"], records["row"] = digests[:, 0], digests[:, 1], rows
        self._waiting.append(records)
        self._n_waiting += len(rows)
        if self._n_waiting >= self._memory_rows:
            self._spill()

    def find(self, n_rows: int) -> npt.NDArray[np.uint8]:
        """Bits, packed as of `np.packbits`: whether a row repeats another one.

        Args:
            n_rows: in all, those that were not added included.
        """
        if self._folder is None:
            self._told_apart(self._all_waiting())
        else:
            self._spill()
            with self._folder as folder:
                for path in Path(folder).iterdir():
                    self._told_apart(np.fromfile(path, dtype=_RECORD))
        packed = np.zeros((n_rows + 7) // 8, dtype=np.uint8)
        known = self._repeated[: len(packed)]
        packed[: len(known)] = known
        return packed

    def _all_waiting(self) -> np.ndarray:
        records = np.concatenate([np.empty(0, dtype=_RECORD), *self._waiting])
        self._waiting, self._n_waiting = [], 0
        return records

    def _spill(self) -> None:
        records = self._told_apart(self._all_waiting())
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="proofmint-repeats-")
        parts = (records["first"] >> np.uint64(56)).astype(np.uint8)
        ends = np.cumsum(np.bincount(parts, minlength=256))
        for i, some in enumerate(np.split(records, ends[:-1])):
            with (Path(self._folder.name) / f"{i:03d}").open("ab") as stream:
                some.tofile(stream)

    def _told_apart(self, records: np.ndarray) -> np.ndarray:
        """The records that repeat none of the others, sorted by digests; the others are marked.

        Rows come in their order, and the sort keeps it among equals.
        """
        records = records[np.lexsort((records["second"], records["first"]))]
        equals_next = (records["first"][1:] == records["first"][:-1]) & (
            records["second"][1:] == records["second"][:-1]
        )
        repeats = np.zeros(len(records), dtype=bool)
        if self._keep == "first":
            repeats[1:] = equals_next
        else:
            repeats[:-1] = equals_next
        rows = records["row"][repeats]
        n_bytes = int(rows.max(initial=-1)) // 8 + 1
        if n_bytes > len(self._repeated):
            more = np.zeros(max(n_bytes, 2 * len(self._repeated)), dtype=np.uint8)
            more[: len(self._repeated)] = self._repeated
            self._repeated = more
        bits = np.uint8(128) >> (rows % 8).astype(np.uint8)
        np.bitwise_or.at(self._repeated, rows // 8, bits)
        return np.asarray(records[~repeats])
