"""Stage: even out the target's values in the training data."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.augmentation.rows import RowAugmenter
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.errors import DataError, ParamsError
from tasks.params import DatasetParams
from tasks.schema import DatasetSchema
from tasks.seeding import rng_for
from tasks.splits.balancing import ADDING, check_size, oversample, undersample, wanted_rows
from tasks.splits.classes import classes_of
from tasks.splits.holdout import holdout_mask
from tasks.splits.record import BalanceRecord, ClassRecord
from tasks.storage import (
    count_rows,
    new_folder,
    read_batches,
    read_table,
    write_dataset,
    write_json,
)

logger = logging.getLogger(__name__)

VALIDATION_SHARE = 0.1
"""Of the rows, set aside before any are added, where the split has no validation part."""

VALIDATION_ROWS = 100_000
"""Of them at most: more would tell nothing more about when to stop."""


def balance(split: Path, out: Path, params: DatasetParams) -> None:
    """Even the classes of the target out, and put the validation rows behind the training rows.

    Reads:
        split: the dataset `train` in it, and `validation` if there is one.

    Writes:
        out: the dataset (real rows in their order, added rows, validation rows), `balance.json`
            (see `tasks.splits.record`), and `report.json`.

    Raises:
        ParamsError: `balance.rows` names no class, a setting of `balance.augment` is wrong, or the
            method is not for this kind of data.
        DataError: there is no target with classes, or the method cannot give what is wanted.
    """
    train = split / "train"
    schema = DatasetSchema.load(train)
    table = schema.main.name
    work = _Work(split, schema, params)
    if params.balance.method != "none":
        work.even_out()
    with new_folder(out) as draft:
        rows = {t.name: read_batches(train, t.name) for t in schema.tables}
        n_rows = write_dataset(draft, schema, rows | {table: work.batches()})[table]
        record = work.record()
        record.save(draft, encrypt=schema.encrypted)
        report = work.report(n_rows, record)
        write_json(draft / "report.json", report, encrypt=schema.encrypted)
    logger.info("%s: %s rows after %s", table, f"{n_rows:,}", params.balance.method)


@dataclass
class _Work:
    """What becomes of the rows.

    Attributes:
        kept: (N,) bool, the rows of `split/train` that stay as training rows.
        validated: (N,) bool, those that become validation rows.
        repeats: (N,) how often each is added again.
        made: rows that were made.
        augmenter: makes rows while they are written; None: none are made so.
        sources: (M,) how often it makes a row of each of the M that were kept.
        sizes: (K,) rows of each class before; validation rows are not among them.
        wanted: (K,) rows that each class should have.
        added: (K,) rows of each class that were added.
    """

    split: Path
    schema: DatasetSchema
    params: DatasetParams
    repeats: np.ndarray | None = None
    made: pa.Table | None = None
    augmenter: RowAugmenter | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = self.schema.main.name
        self.train = self.split / "train"
        n_rows = count_rows(self.train, self.table)
        self.kept = np.ones(n_rows, dtype=bool)
        self.validated = np.zeros(n_rows, dtype=bool)
        stored = self.split / "validation"
        self.stored_validation = stored if stored.exists() else None
        self.classes = np.zeros(0, dtype=np.int8)
        self.labels = pa.array([], pa.null())
        self.values: list[str | None] = []
        self.sizes = self.wanted = self.added = np.zeros(0, dtype=np.int64)

    def even_out(self) -> None:
        settings, seed = self.params.balance, self.params.seed
        target = _target(self.schema, settings.method)
        column = read_table(self.train, self.table, [target])[target]
        self.classes, self.labels = classes_of(column), pc.unique(column)
        self.values = self.labels.cast(pa.string()).to_pylist()
        if settings.method in ADDING and self.stored_validation is None:
            # Copies and rows between rows must not tell when to stop learning their originals.
            self.validated = self._set_aside()
            self.kept = ~self.validated
        real = self.classes[self.kept]
        self.sizes = np.bincount(real, minlength=len(self.values))
        self.wanted = wanted_rows(self.sizes, self.values, settings)
        self.added = np.zeros_like(self.wanted)
        rng = rng_for(seed, "balance")
        if settings.method == "undersample":
            self.kept[self.kept] = undersample(real, self.wanted, rng)
        elif settings.method == "oversample":
            self.repeats = np.zeros(len(self.kept), dtype=np.int64)
            self.repeats[self.kept] = oversample(real, self.wanted, rng)
            self.added = self.wanted - self.sizes
        elif settings.method in ("smote", "adasyn"):
            self._make(target, real)
        elif settings.method == "augment":
            self._augment(real, oversample(real, self.wanted, rng))
        elif settings.method == "generate":
            self._publishable()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Real rows, then added ones, then those to stop by."""
        yield from self._taken(self.kept.astype(np.int64))
        if self.repeats is not None:
            yield from self._taken(self.repeats)
        if self.made is not None:
            yield from self.made.to_batches()
        if self.augmenter is not None:
            yield from self.augmenter.rows(self.sources)
            self._count_augmented(self.augmenter)
        if self.validated.any():
            yield from self._taken(self.validated.astype(np.int64))
        if self.stored_validation is not None:
            yield from read_batches(self.stored_validation, self.table)

    def record(self) -> BalanceRecord:
        n_stored = 0
        if self.stored_validation is not None:
            n_stored = count_rows(self.stored_validation, self.table)
        real = np.zeros(0, dtype=np.int64)
        if self.values:
            real = np.bincount(self.classes[self.kept], minlength=len(self.values))
        return BalanceRecord(
            method=self.params.balance.method,
            target=self.schema.target if self.values else None,
            real_rows=int(np.count_nonzero(self.kept)),
            added_rows=int(self.added.sum()),
            validation_rows=n_stored + int(np.count_nonzero(self.validated)),
            classes=tuple(
                ClassRecord(value=value, rows=int(n), wanted=int(w))
                for value, n, w in zip(self.values, real, self.wanted, strict=True)
                if n
            ),
        )

    def report(self, n_rows: int, record: BalanceRecord) -> dict[str, Any]:
        n_before = len(self.kept)
        return {
            "method": record.method,
            "rows": n_rows,
            "rows_before": n_before,
            "left_out": n_before - record.real_rows - int(np.count_nonzero(self.validated)),
            "added": record.added_rows,
            "validation": record.validation_rows,
            "classes": [
                {
                    "value": c.value,
                    "before": int(before),
                    "after": c.rows + int(added),
                    "wanted": c.wanted,
                }
                for c, before, added in zip(
                    record.classes,
                    self.sizes[self.sizes > 0],
                    self.added[self.sizes > 0],
                    strict=True,
                )
            ],
            **self.notes,
        }

    def _set_aside(self) -> np.ndarray:
        n_rows = len(self.classes)
        share = min(VALIDATION_SHARE, VALIDATION_ROWS / max(1, n_rows))
        rng = rng_for(self.params.seed, "balance", "validation")
        return holdout_mask(n_rows, share, self.classes, rng, "balance.method")

    def _make(self, target: str, real: np.ndarray) -> None:
        # scikit-learn takes a second to import.
        from tasks.splits.neighbors import make_rows

        n_columns = len(self.schema.main.columns)
        check_size(len(real), n_columns, self.params.balance.method)
        rows = pa.Table.from_batches(
            self._taken(self.kept.astype(np.int64)), read_table(self.train, self.table).schema
        )
        made = make_rows(
            *(rows, self.schema.main, real, self.wanted),
            labels=self.labels,
            target=target,
            params=self.params.balance,
            seed=self.params.seed,
        )
        self.made = made.rows
        self.added = np.bincount(made.classes, minlength=len(self.values))
        self.notes = {"variant": made.variant, "broke_a_constraint": made.n_left_out}

    def _augment(self, real: np.ndarray, sources: np.ndarray) -> None:
        check_size(len(real), len(self.schema.main.columns), "augment")
        kind = read_table(self.train, self.table).schema
        rows = pa.Table.from_batches(self._taken(self.kept.astype(np.int64)), kind)
        self.sources = sources
        self.augmenter = RowAugmenter(
            *(rows, self.schema, real, self.params.balance.augment),
            seed=self.params.seed,
            where="balance.augment",
        )

    def _count_augmented(self, augmenter: RowAugmenter) -> None:
        """What is known when all rows are made."""
        self.added[: len(augmenter.made)] = augmenter.made
        self.notes = {
            "copied_for_a_constraint": augmenter.n_copies,
            "broke_a_constraint": augmenter.n_left_out,
        }

    def _publishable(self) -> None:
        """Classes that no synthetic row may name are not asked for."""
        rare = self.sizes < COMMON_ROWS
        rare |= np.array([value is None for value in self.values])
        self.wanted = np.where(rare, 0, self.wanted)
        self.notes = {"classes_too_rare_to_generate": int(np.count_nonzero(rare))}

    def _taken(self, times: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Each training row so many times, in their order."""
        start = 0
        for batch in read_batches(self.train, self.table):
            here = times[start : start + batch.num_rows]
            start += batch.num_rows
            if here.max(initial=0) > 1:
                yield batch.take(pa.array(np.repeat(np.arange(batch.num_rows), here)))
            elif here.any():
                yield batch.filter(pa.array(here.astype(bool)))


def _target(schema: DatasetSchema, method: str) -> str:
    if schema.kind != "tabular" and method in ("smote", "adasyn"):
        raise ParamsError(
            f"balance.method {method!r} makes rows between rows of numbers, of which {schema.kind} data"
            " has none; take augment, oversample, class_weights or generate"
        )
    if schema.target is None:
        raise DataError(f"balance.method {method!r} needs a `target`, found none")
    meaning = schema.main.column(schema.target).meaning
    if meaning not in ("categorical", "boolean"):
        raise DataError(
            f"balance.method {method!r} needs a target of classes, but {schema.target!r} is {meaning};"
            " set `balance: {}` or state the meaning under `source: {meanings: …}`"
        )
    return schema.target
