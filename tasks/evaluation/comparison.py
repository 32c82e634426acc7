"""Training, holdout and synthetic rows of a dataset side by side, as arrays that metrics compare.

Only the main table is compared so far. Numbers stay numbers (dates become seconds since 1970),
everything else becomes codes that mean the same value in all three; identifiers and texts are
left out, because neither closeness nor frequency of their values means anything.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import DataError
from tasks.evaluation.images import read_images
from tasks.schema import Column, DatasetSchema, Kind, TableSchema, arrow_type
from tasks.seeding import rng_for
from tasks.storage import read_table

MISSING = -1
"""The code of a missing value."""

LARGEST = 1e300
"""Numbers beyond it have no width, no square and no mean."""

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Rows:
    """Rows of one origin.

    Shape:
        numbers: (N, C) float64, NaN where missing; of images: their principal components.
        codes: (N, D) int32, MISSING where missing; of images: their label.
        identities: (M,) equal for equal rows (or images). M is larger than N for very many
            images, whose `numbers` are of a sample of them.
    """

    numbers: np.ndarray
    codes: np.ndarray
    identities: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: np.ndarray) -> "Rows":
        """The rows at these positions."""
        return Rows(self.numbers[index], self.codes[index], self.identities[index])

    def sample(self, n: int, rng: np.random.Generator) -> "Rows":
        """`n` of the rows at random, in their order; all of them if there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(rng.choice(len(self), n, replace=False)))


@dataclass(frozen=True)
class Comparison:
    """What a metric gets.

    Attributes:
        kind: of the dataset.
        numeric: the columns of `Rows.numbers`; empty for images.
        discrete: the columns of `Rows.codes`.
        categories: for each of them the values that its codes stand for.
        target: the column to predict, if it can be compared.
        train: the real rows that the generator may have seen.
        holdout: the real rows that it never saw.
        synthetic: what it made.
        seed: of the dataset; see `rng`.
    """

    kind: Kind
    numeric: tuple[Column, ...]
    discrete: tuple[Column, ...]
    categories: tuple[list[str], ...]
    target: str | None
    train: Rows
    holdout: Rows
    synthetic: Rows
    seed: int = field(default=0)

    def rng(self, purpose: str) -> np.random.Generator:
        """Randomness of its own for each purpose, so that no metric's draws disturb another's."""
        return rng_for(self.seed, "evaluate", purpose)

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
    """Read the three sets of rows.

    Args:
        split: holds the datasets `train` and `holdout`.
        synthetic: a dataset with the same main table.
        seed: of the dataset.

    Raises:
        DataError: the synthetic rows lack a column or have another type, there is nothing to
            compare, or a set is empty.
    """
    folders = {"train": split / "train", "holdout": split / "holdout", "synthetic": synthetic}
    schema = DatasetSchema.load(folders["train"])
    for name, folder in folders.items():
        _check_columns(schema.main, DatasetSchema.load(folder).main, name)
    if schema.kind == "image":
        return _load_images(folders, schema, seed)
    numeric = tuple(column for column in schema.main.columns if _is_numeric(column))
    discrete = tuple(column for column in schema.main.columns if _is_discrete(column))
    if not numeric and not discrete:
        raise DataError(
            f"table {schema.main.name!r} has no column to compare: expected a numeric, datetime,"
            f" categorical, boolean or geographic one, found"
            f" {sorted({column.meaning for column in schema.main.columns})}"
        )
    names = [column.name for column in schema.main.columns if column in (*numeric, *discrete)]
    tables = [_conform(folder, names, schema.main) for folder in folders.values()]
    _check_rows(dict(zip(folders, map(len, tables), strict=True)))
    coded = [_codes([table.column(c.name) for table in tables], c) for c in discrete]
    rows = [
        _rows(
            [_numbers(table.column(column.name), column, name) for column in numeric],
            [codes[place] for codes, _ in coded],
            len(table),
        )
        for place, (name, table) in enumerate(zip(folders, tables, strict=True))
    ]
    return Comparison(
        kind=schema.kind,
        numeric=numeric,
        discrete=discrete,
        categories=tuple(values for _, values in coded),
        target=schema.target if schema.target in names else None,
        train=rows[0],
        holdout=rows[1],
        synthetic=rows[2],
        seed=seed,
    )


def _load_images(folders: dict[str, Path], schema: DatasetSchema, seed: int) -> Comparison:
    table = schema.main
    images = table.columns_of("image")
    if len(images) != 1:
        raise DataError(
            f"expected one image column in table {table.name!r}, found {[c.name for c in images]}"
        )
    labels = tuple(c for c in table.columns if c.name == schema.target and _is_discrete(c))
    sets = read_images(
        [(folder, DatasetSchema.load(folder).main.name) for folder in folders.values()],
        images[0].name,
        [column.name for column in labels],
        rng_for(seed, "evaluate", "images"),
    )
    coded = [_codes([found.labels.column(c.name) for found in sets], c) for c in labels]
    rows = [
        Rows(
            found.vectors,
            _stack([codes[place] for codes, _ in coded], len(found.vectors), np.int32),
            found.identities,
        )
        for place, found in enumerate(sets)
    ]
    return Comparison(
        kind="image",
        numeric=(),
        discrete=labels,
        categories=tuple(values for _, values in coded),
        target=schema.target if labels else None,
        train=rows[0],
        holdout=rows[1],
        synthetic=rows[2],
        seed=seed,
    )


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


def _check_rows(n_rows: dict[str, int]) -> None:
    for name, n in n_rows.items():
        if n == 0:
            raise DataError(f"expected rows in the {name} data, found none")


def _conform(folder: Path, names: list[str], expected: TableSchema) -> pa.Table:
    """The compared columns of a dataset in the types of the training data."""
    table = read_table(folder, DatasetSchema.load(folder).main.name, names)
    for place, name in enumerate(names):
        wanted = arrow_type(expected.column(name))
        try:
            table = table.set_column(place, name, table.column(name).cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"column {name!r} of {folder}: expected values of type {wanted},"
                f" found {table.schema.field(name).type}: {error}"
            ) from error
    return table


def _numbers(values: pa.ChunkedArray, column: Column, where: str) -> np.ndarray:
    """Shape: (N,) float64; dates, times and durations in seconds."""
    kind = values.type
    scale = 1.0
    if pa.types.is_date32(kind):
        values, scale = values.cast(pa.int32()), 86_400.0
    elif pa.types.is_date64(kind):
        values, scale = values.cast(pa.int64()), 1e-3
    elif pa.types.is_temporal(kind) and hasattr(kind, "unit"):
        wide = values.cast(pa.int32()) if pa.types.is_time32(kind) else values
        values, scale = wide.cast(pa.int64()), _SECONDS[kind.unit]
    elif pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    try:
        numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), np.float64) * scale
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {column.name!r}: expected numbers or dates, found {kind}: {error};"
            " give the column another meaning or drop it"
        ) from error
    if (np.abs(numbers) > LARGEST).any():
        raise DataError(
            f"column {column.name!r} of the {where} data: expected numbers up to {LARGEST:g}, found"
            " larger or infinite ones, which no metric can compare; drop or replace them"
        )
    return numbers


def _codes(arrays: list[pa.ChunkedArray], column: Column) -> tuple[list[np.ndarray], list[str]]:
    """Codes by the sorted values of all arrays together, and those values."""
    try:
        texts = [array.cast(pa.string()) for array in arrays]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {column.name!r}: expected values that can be written as text,"
            f" found {arrays[0].type}: {error}; give the column another meaning or drop it"
        ) from error
    every = pa.chunked_array([chunk for text in texts for chunk in text.chunks], pa.string())
    values = pc.unique(every).drop_null()
    values = values.take(pc.sort_indices(values))
    codes = [
        pc.fill_null(pc.index_in(text, value_set=values), MISSING).to_numpy().astype(np.int32)
        for text in texts
    ]
    return codes, values.to_pylist()


def _rows(numbers: list[np.ndarray], codes: list[np.ndarray], n_rows: int) -> Rows:
    number_matrix = _stack(numbers, n_rows, np.float64)
    code_matrix = _stack(codes, n_rows, np.int32)
    # Adding 0.0 turns -0.0 into 0.0; one NaN stands for all, so that equal rows are equal bytes.
    plain = np.where(np.isnan(number_matrix), np.nan, number_matrix + 0.0)
    content = np.hstack([plain.view(np.uint8), code_matrix.view(np.uint8)])
    identities = np.ascontiguousarray(content).view(f"V{content.shape[1]}")[:, 0]
    return Rows(number_matrix, code_matrix, identities)


def _stack(columns: list[np.ndarray], n_rows: int, dtype: type) -> np.ndarray:
    if not columns:
        return np.zeros((n_rows, 0), dtype)
    return np.ascontiguousarray(np.column_stack(columns), dtype)
