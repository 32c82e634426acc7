"""Rows that are added to those of a class: real ones of any kind of data, changed a little.

Rows are made in pieces of a fixed size, each with randomness of its own, so that the same rows come
out whatever memory there is.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from tasks.augmentation.tabular import TableAugmenter, TabularAugmentation
from tasks.constraints.check import broken, combinations, places_among, row_keys
from tasks.constraints.declared import FixedCombinations, Unique
from tasks.params import Record, validated
from tasks.schema import DatasetSchema, Kind, TableSchema
from tasks.seeding import derive_seed

PIECE_ROWS = 1_024
"""Rows made at a time; other numbers give other rows."""

TRIES = 10
"""How often a row that breaks a constraint is made anew, before the real one is repeated as it is."""


class RowAugmenter:
    """Makes rows of the real rows of a dataset's main table, all of which it holds.

    Attributes:
        made: (K,) rows made so far, by class.
        n_copies: those among them that repeat a real row, since what was made of it broke a constraint.
        n_left_out: rows that were not made, since a copy would repeat what must be unique.
    """

    def __init__(
        self,
        rows: pa.Table,
        schema: DatasetSchema,
        classes: np.ndarray,
        given: dict[str, Any],
        *,
        seed: int,
        where: str,
    ) -> None:
        """Learn what the changes need to know.

        Args:
            rows: of the schema's main table.
            schema: of the dataset; its target is never changed.
            classes: of the rows.
            given: the settings of the kind's augmentation.
            seed: all randomness comes from it.
            where: the settings' place in params.yaml, for messages.

        Shape:
            classes: (N,) integers from 0.

        Raises:
            ParamsError: a setting is unknown or wrong.
            DataError: there is nothing to augment.
        """
        self._classes = classes.astype(np.int64)
        self._seed = seed
        self._maker: _Maker
        self._still: _Maker | None = None
        settings = augmentation_settings(schema.kind, given, where)
        if isinstance(settings, TabularAugmentation):
            still = settings.model_copy(update={"noise": 0.0, "resample": 0.0, "mixup": 0.0})
            untouched = [schema.target] if schema.target else []
            self._maker = TableAugmenter(rows, schema.main, untouched, settings)
            self._still = TableAugmenter(rows, schema.main, untouched, still)
            self._rules = _Rules(rows, schema.main, self._maker.made_anew)
        else:
            from tasks.augmentation.contents import ContentAugmenter

            self._maker = ContentAugmenter(rows, schema.main, self._classes, settings)
            self._rules = _Rules(rows, schema.main, frozenset())
        self._order = np.argsort(self._classes, kind="stable")
        self._starts = np.cumsum([0, *np.bincount(self._classes)])
        self._n_rows = rows.num_rows
        self._rank = np.empty(self._n_rows, dtype=np.int64)
        first = np.repeat(self._starts[:-1], np.diff(self._starts))
        self._rank[self._order] = np.arange(self._n_rows) - first
        self.made = np.zeros(len(self._starts) - 1, dtype=np.int64)
        self.n_copies = 0
        self.n_left_out = 0

    def rows(self, repeats: np.ndarray) -> Iterator[pa.RecordBatch]:
        """As many rows like each real one as `repeats` (N,) says."""
        sources = np.repeat(np.arange(self._n_rows), repeats)
        for piece, start in enumerate(range(0, len(sources), PIECE_ROWS)):
            rng = np.random.default_rng(derive_seed(self._seed, "augment", piece))
            own = sources[start : start + PIECE_ROWS]
            made, places = self._piece(own, start + np.arange(len(own)), rng)
            self.made += np.bincount(self._classes[own[places]], minlength=len(self.made))
            yield from made.combine_chunks().to_batches()

    def _piece(
        self, sources: np.ndarray, numbers: np.ndarray, rng: np.random.Generator
    ) -> tuple[pa.Table, np.ndarray]:
        """Rows, and the place of the source of each."""
        made: list[pa.Table] = []
        places: list[np.ndarray] = []
        waiting = np.arange(len(sources))
        for _ in range(TRIES):
            own = sources[waiting]
            rows = self._maker.make(own, self._mates(own, rng), numbers[waiting], rng)
            kept = self._rules.are_kept(rows)
            made.append(rows.filter(pa.array(kept)))
            places.append(waiting[kept])
            waiting = waiting[~kept]
            if not len(waiting):
                return pa.concat_tables(made), np.concatenate(places)
        still, own = self._still or self._maker, sources[waiting]
        copies = still.make(own, own, numbers[waiting], rng)
        kept = self._rules.are_kept(copies)
        made.append(copies.filter(pa.array(kept)))
        places.append(waiting[kept])
        self.n_copies += int(kept.sum())
        self.n_left_out += int((~kept).sum())
        return pa.concat_tables(made), np.concatenate(places)

    def _mates(self, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B,) another row of the same class for each; itself where there is no other."""
        if self._maker.across_classes:
            step = rng.integers(1, max(2, self._n_rows), len(sources))
            return np.asarray((sources + step) % self._n_rows)
        labels = self._classes[sources]
        sizes = np.diff(self._starts)[labels]
        step = 1 + (rng.random(len(sources)) * (sizes - 1)).astype(np.int64)
        place = self._starts[labels] + (self._rank[sources] + step) % sizes
        return np.asarray(self._order[place])


def augmentation_settings(kind: Kind, given: dict[str, Any], where: str) -> Record:
    """The settings of `balance.augment` for a kind of data.

    Raises:
        ParamsError: one is unknown or wrong; `where` is their place in the message.
    """
    if kind == "tabular":
        return validated(TabularAugmentation, given, where)
    # Takes three seconds to import.
    from tasks.augmentation.contents import SETTINGS

    return validated(SETTINGS[kind], given, where)


class _Maker(Protocol):
    """Makes rows, without regard to classes."""

    @property
    def across_classes(self) -> bool: ...

    def make(
        self, sources: np.ndarray, mates: np.ndarray, numbers: np.ndarray, rng: np.random.Generator
    ) -> pa.Table: ...


class _Rules:
    """What rows must satisfy: the declared constraints, and keys that never repeat."""

    def __init__(self, rows: pa.Table, table: TableSchema, made_anew: frozenset[str]) -> None:
        self._constraints = table.constraints
        self._known = {
            tuple(c.columns): combinations(rows, c.columns, 1)
            for c in table.constraints
            if isinstance(c, FixedCombinations)
        }
        keys = [tuple(c.columns) for c in table.constraints if isinstance(c, Unique)]
        if table.primary_key and not made_anew.intersection(table.primary_key):
            keys.append(table.primary_key)
        self._seen = {key: set(row_keys(rows, key)[0].tolist()) for key in keys}

    def are_kept(self, made: pa.Table) -> np.ndarray:
        """(B,) bool: which rows satisfy all of them; their keys are then taken."""
        kept = np.ones(made.num_rows, dtype=bool)
        for constraint in self._constraints:
            if isinstance(constraint, FixedCombinations):
                known = self._known[tuple(constraint.columns)]
                kept &= places_among(made, known, constraint.columns) >= 0
            else:
                kept &= ~broken(constraint, made)
        for key, seen in self._seen.items():
            values, are_whole = row_keys(made, key)
            for i in np.flatnonzero(kept & are_whole):
                kept[i] = int(values[i]) not in seen
                seen.add(int(values[i]))
        return kept
