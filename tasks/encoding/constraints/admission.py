"""The last look at drawn rows: what may not be published is left out, in the order of drawing."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from tasks.constraints.check import broken, row_keys
from tasks.constraints.declared import NotNull, Unique
from tasks.schema import TableSchema


class Admission:
    """Lets rows pass that their encoder admits and that satisfy every constraint and primary key.

    Most constraints are kept by construction; this is rejection sampling for the others, and a
    check of all. Rows must come in one fixed order, whoever drew them: which of two equal keys
    is left out depends on it.

    Attributes:
        n_left_out: rows so far.
        words: what is demanded, for messages.
    """

    def __init__(
        self,
        table: TableSchema,
        made_anew: frozenset[str] = frozenset(),
        admissible: Callable[[pa.RecordBatch], np.ndarray | None] | None = None,
    ) -> None:
        """Prepare for the rows of one table.

        Args:
            table: with its constraints.
            made_anew: columns of new identifiers, which never repeat.
            admissible: says which rows may be published (`Encoder.admissible`).
        """
        self._admissible = admissible
        required = [column.name for column in table.columns if not column.nullable]
        key = list(table.primary_key)
        words = [constraint.words for constraint in table.constraints]
        self.words = "; ".join([*words, f"{', '.join(key)} is the primary key"] if key else words)
        self._constraints = [c for c in table.constraints if not isinstance(c, Unique)]
        if table.constraints and required:
            self._constraints.append(NotNull(type="not_null", columns=required))
        keys = [c.columns for c in table.constraints if isinstance(c, Unique)]
        if key and key not in keys:
            keys.append(key)
        self._keys = [(key, _Seen()) for key in keys if made_anew.isdisjoint(key)]
        self.n_left_out = 0

    def admit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that satisfy every constraint."""
        admitted = self._admissible(batch) if self._admissible else None
        if admitted is None and not self._constraints and not self._keys:
            return batch
        wrong = np.zeros(batch.num_rows, dtype=bool) if admitted is None else ~admitted
        for constraint in self._constraints:
            wrong |= broken(constraint, batch)
        found = []
        for names, seen in self._keys:
            keys, whole = row_keys(batch, names)
            found.append((keys, whole, seen))
            wrong |= seen.contains(keys) & whole
        # Rows of one batch that repeat each other: the first of those that are left stays.
        for keys, whole, _ in found:
            considered = np.flatnonzero(whole & ~wrong)
            first = np.unique(keys[considered], return_index=True)[1]
            repeats = np.ones(len(considered), dtype=bool)
            repeats[first] = False
            wrong[considered[repeats]] = True
        for keys, whole, seen in found:
            seen.add(keys[whole & ~wrong])
        self.n_left_out += int(wrong.sum())
        return batch.filter(pa.array(~wrong)) if wrong.any() else batch


class _Seen:
    """A growing set of 64-bit hashes, 8 bytes each: sorted runs that double in length.

    Two keys of one hash count as equal: of n keys, about n^2 / 2^65 pairs, so that of a hundred
    million rows less than one is left out for nothing.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def contains(self, keys: np.ndarray) -> np.ndarray:
        found = np.zeros(len(keys), dtype=bool)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            found |= run[place] == keys
        return found

    def add(self, keys: np.ndarray) -> None:
        run = np.sort(keys)
        while len(run) and self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        if len(run):
            self._runs.append(run)
