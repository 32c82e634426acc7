"""Training, holdout and synthetic rows of a dataset side by side, as arrays that metrics compare.

Only the main table is compared so far. Numbers stay numbers (dates become seconds since 1970),
everything else becomes codes that mean the same value in all three; identifiers and texts are
left out, because neither closeness nor frequency of their values means anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import pyarrow as pa

from tasks.errors import DataError
from tasks.evaluation.images import Components, read_images
from tasks.evaluation.paired_rows import few_rows, labelled
from tasks.evaluation.rows import (
    AllContents,
    AllRows,
    Part,
    Rows,
    codes_of,
    known_values,
)
from tasks.evaluation.texts import read_texts
from tasks.schema import Column, DatasetSchema, Kind, TableSchema, arrow_type
from tasks.seeding import rng_for
from tasks.storage import OpenTable

SAMPLE_ROWS = 100_000
"""Rows of each origin that metrics have in memory at most; all others stay in their files."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Comparison:
    """What a metric gets.

    Attributes:
        kind: of the dataset.
        schema: of the training rows.
        numeric: the columns of `Rows.numbers`; empty for images and texts.
        discrete: the columns of `Rows.codes`.
        categories: for each of them the values that its codes stand for.
        target: the column to predict, if it can be compared.
        train: real rows that the generator may have seen, SAMPLE_ROWS of them at most.
        holdout: real rows that it never saw, as many.
        synthetic: what it made, as many.
        every: all rows of each, as they are in the files.
        seed: of the dataset; see `rng`.
        views: of a multimodal dataset the same rows as images and as texts, by these kinds.
    """

    kind: Kind
    schema: DatasetSchema
    numeric: tuple[Column, ...]
    discrete: tuple[Column, ...]
    categories: tuple[list[str], ...]
    target: str | None
    train: Rows
    holdout: Rows
    synthetic: Rows
    every: Mapping[Part, AllRows]
    seed: int = field(default=0)
    views: Mapping[str, "Comparison"] = field(default_factory=dict)
    _done: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def by_vectors(self) -> bool:
        """Whether `Rows.numbers` are vectors of contents, not columns: of images and texts."""
        return self.kind != "tabular"

    def rng(self, purpose: str) -> np.random.Generator:
        """Randomness of its own for each purpose, so that no metric's draws disturb another's."""
        return rng_for(self.seed, "evaluate", purpose)

    def once(self, name: str, compute: Callable[[], _T]) -> _T:
        """What `compute` returns, computed for the first metric that asks and kept for the others.

        Args:
            name: of the result, unique among all metrics.
            compute: takes nothing and must not depend on who asks.
        """
        if name not in self._done:
            self._done[name] = compute()
        found: _T = self._done[name]
        return found

    @cached_property
    def equal(self) -> tuple[Rows, Rows]:
        """Holdout and synthetic rows in equal number: the larger of the two is sampled.

        Most distances between samples shrink with their size, so value and reference are only
        comparable at one size.
        """
        n = min(len(self.holdout), len(self.synthetic))
        return (
            self.holdout.sample(n, self.rng("equal holdout")),
            self.synthetic.sample(n, self.rng("equal synthetic")),
        )


def load(split: Path, synthetic: Path, seed: int) -> Comparison:
    """Open the three sets of rows, and read a sample of each.

    Args:
        split: holds the datasets `train` and `holdout`.
        synthetic: a dataset with the same main table.
        seed: of the dataset.

    Raises:
        DataError: the synthetic rows lack a column or have another type, there is nothing to
            compare, or a set is empty.
    """
    folders: dict[Part, Path] = {
        "train": split / "train",
        "holdout": split / "holdout",
        "synthetic": synthetic,
    }
    schema = DatasetSchema.load(folders["train"])
    schemas = {part: DatasetSchema.load(folder) for part, folder in folders.items()}
    for part in get_args(Part):
        _check_columns(schema.main, schemas[part].main, part)
    tables = {part: (folders[part], schemas[part].main.name) for part in folders}
    if schema.kind in ("image", "text"):
        return _load_contents(schema.kind, tables, schema, seed)
    if schema.kind == "multimodal":
        return _load_pairs(tables, schema, seed)
    numeric = tuple(column for column in schema.main.columns if _is_numeric(column))
    discrete = tuple(column for column in schema.main.columns if _is_discrete(column))
    if not numeric and not discrete:
        raise DataError(
            f"table {schema.main.name!r} has no column to compare: expected a numeric, datetime,"
            f" categorical, boolean or geographic one, found"
            f" {sorted({column.meaning for column in schema.main.columns})}"
        )
    opened = {part: OpenTable(folder, table) for part, (folder, table) in tables.items()}
    values = [known_values(list(opened.values()), column) for column in discrete]
    every = {
        part: AllRows(part, table, (numeric, discrete), values) for part, table in opened.items()
    }
    for part, rows in every.items():
        if len(rows) == 0:
            raise DataError(f"expected rows in the {part} data, found none")
    samples = {
        part: rows.sample(SAMPLE_ROWS, rng_for(seed, "evaluate", f"sample {part}"))
        for part, rows in every.items()
    }
    names = [column.name for column in (*numeric, *discrete)]
    return Comparison(
        kind=schema.kind,
        schema=schema,
        numeric=numeric,
        discrete=discrete,
        categories=tuple(known.to_pylist() for known in values),
        target=schema.target if schema.target in names else None,
        train=samples["train"],
        holdout=samples["holdout"],
        synthetic=samples["synthetic"],
        every=every,
        seed=seed,
    )


def _load_contents(
    kind: Literal["image", "text"],
    tables: Mapping[Part, tuple[Path, str]],
    schema: DatasetSchema,
    seed: int,
) -> Comparison:
    """Of images or texts: vectors of them in place of columns, and their label."""
    table = schema.main
    contents = table.columns_of(kind)
    if len(contents) != 1:
        raise DataError(
            f"expected one {kind} column in table {table.name!r}, found"
            f" {[c.name for c in contents]}"
        )
    labels = tuple(c for c in table.columns if c.name == schema.target and _is_discrete(c))
    read = _read_images if kind == "image" else _read_texts
    names = [column.name for column in labels]
    sets = read(list(tables.values()), contents[0].name, names, seed)
    opened = [OpenTable(folder, name) for folder, name in tables.values()]
    values = [known_values(opened, column) for column in labels]
    rows = [
        Rows(
            one.vectors,
            _label_codes(one.labels, len(one.vectors), labels, values),
            one.identities[one.kept],
            one.contents,
        )
        for one in sets
    ]
    return Comparison(
        kind=kind,
        schema=schema,
        numeric=(),
        discrete=labels,
        categories=tuple(known.to_pylist() for known in values),
        target=schema.target if labels else None,
        train=rows[0],
        holdout=rows[1],
        synthetic=rows[2],
        every={part: AllContents(one.identities) for part, one in zip(tables, sets, strict=True)},
        seed=seed,
    )


class _Contents(NamedTuple):
    """Images or texts of one origin: `ImageSet` and `TextSet` say what each is."""

    vectors: np.ndarray
    contents: np.ndarray
    identities: np.ndarray
    kept: np.ndarray
    labels: pa.Table


def _read_images(
    places: list[tuple[Path, str]], column: str, labels: list[str], seed: int
) -> list[_Contents]:
    sets = read_images(places, column, labels, rng_for(seed, "evaluate", "images"))
    components = Components.of([one.pixels for one in sets])
    return [
        _Contents(components(one.pixels), one.pixels, one.identities, one.kept, one.labels)
        for one in sets
    ]


def _read_texts(
    places: list[tuple[Path, str]], column: str, labels: list[str], seed: int
) -> list[_Contents]:
    return [
        _Contents(one.vectors, one.texts, one.identities, one.kept, one.labels)
        for one in read_texts(places, column, labels, rng_for(seed, "evaluate", "texts"))
    ]


def _load_pairs(
    tables: Mapping[Part, tuple[Path, str]], schema: DatasetSchema, seed: int
) -> Comparison:
    """Images and texts of the same rows; what all rows have in common is that of the images."""
    with few_rows(tables, rng_for(seed, "evaluate", "pairs")) as places:
        views = {
            "image": _load_contents("image", places, labelled(schema), seed),
            "text": _load_contents("text", places, labelled(schema), seed),
        }
    return replace(views["image"], kind="multimodal", schema=schema, views=views, _done={})


def _label_codes(
    rows: pa.Table, n_rows: int, labels: Sequence[Column], values: Sequence[pa.Array]
) -> np.ndarray:
    """Shape: (n_rows, labels) int32."""
    codes = [
        codes_of(rows.column(column.name).combine_chunks(), column, known)
        for column, known in zip(labels, values, strict=True)
    ]
    return np.column_stack(codes) if codes else np.zeros((n_rows, 0), np.int32)


def _is_numeric(column: Column) -> bool:
    if column.meaning == "geographic":
        kind = arrow_type(column)
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
    return column.meaning in ("numeric", "datetime")


def _is_discrete(column: Column) -> bool:
    if column.meaning == "geographic":
        return not _is_numeric(column)
    return column.meaning in ("categorical", "boolean")


def _check_columns(expected: TableSchema, found: TableSchema, where: str) -> None:
    if missing := [name for name in expected.column_names if name not in found.column_names]:
        raise DataError(
            f"the {where} data lacks the columns {missing} of the training data;"
            f" it has: {', '.join(found.column_names)}"
        )
