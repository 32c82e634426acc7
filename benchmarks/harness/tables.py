"""The real tables of `benchmarks/tabular.py`: files of rows, and the names of the columns."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from harness.systems import HOME, ROOT

from tasks.schema import Column, arrow_schema
from tasks.seeding import rng_for
from tasks.sources.files import open_csv
from tasks.storage import digest

DATA = ROOT.parent / "shared" / "data"
"""Folders of train.csv, test.csv and schema.json, beside the repository."""

BOOTSTRAP = "bootstrap of the training rows"
"""The reference that has as many rows as the training table."""


@dataclass(frozen=True)
class Table:
    """Real rows, and where results on them are kept.

    Attributes:
        name: for people.
        train: CSV file of the rows that a system sees.
        test: CSV file of rows that none sees.
        discrete: the columns that are not numbers.
        target: the column to predict.
        home: under which `folder` is made.
    """

    name: str
    train: Path
    test: Path
    discrete: tuple[str, ...]
    target: str | None
    home: Path = HOME / "results"

    @classmethod
    def named(cls, name: str) -> Self:
        """A table of `DATA`; the target of a classification is discrete, whatever its values."""
        folder = DATA / name
        if not (folder / "schema.json").exists():
            raise SystemExit(f"expected the table {name!r} in {folder}, found none")
        about = json.loads((folder / "schema.json").read_text())
        discrete = [column for column, kind in about["columns"].items() if kind != "numerical"]
        if about["task"] != "regression" and about["target"] not in discrete:
            discrete.append(about["target"])
        files = (folder / "train.csv", folder / "test.csv")
        return cls(name, *files, tuple(discrete), about["target"])

    @classmethod
    def of_csv(cls, train: Path, test: Path, target: str | None) -> Self:
        """Any table, in a form that all systems can take.

        Dates become seconds since 1970; identifiers and texts are left out: their values cannot
        be compared.
        """
        schema, batches = open_csv(train, target)
        types = arrow_schema(schema.main)
        options = pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True)
        tables = [
            pa.Table.from_batches(batches).cast(types),
            pa_csv.read_csv(test, convert_options=options).select(types.names).cast(types),
        ]
        used = [c for c in schema.main.columns if c.meaning not in ("identifier", "text")]
        if left_out := [c.name for c in schema.main.columns if c not in used]:
            print(f"{train.stem}: left out the identifiers and texts {', '.join(left_out)}")
        folder = HOME / "tables" / train.stem
        folder.mkdir(parents=True, exist_ok=True)
        files = (folder / "train.csv", folder / "test.csv")
        for table, path in zip(tables, files, strict=True):
            columns = [_plain(table.column(c.name), c) for c in used]
            pa_csv.write_csv(pa.table(columns, names=[c.name for c in used]), path)
        discrete = tuple(c.name for c in used if not _is_number(c))
        return cls(train.stem, *files, discrete, target)

    @property
    def folder(self) -> Path:
        """Of this name and these training rows."""
        return self.home / f"{self.name}-{digest(self.train)[:8]}"

    @property
    def halves(self) -> tuple[Path, Path]:
        """A random half of the training rows, and the other."""
        return self.folder / "half_seen.csv", self.folder / "half_unseen.csv"

    @property
    def references(self) -> dict[str, Path]:
        """Real rows in place of synthetic ones, by what they are."""
        return {"real test rows": self.test, BOOTSTRAP: self.folder / "bootstrap.csv"}

    @property
    def discrete_file(self) -> Path:
        """JSON, the list of the columns that are not numbers."""
        return self.folder / "discrete.json"

    def prepare(self) -> None:
        """Write the files that are made from the training rows; the same ones every time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.discrete_file.write_text(json.dumps(self.discrete) + "\n")
        with self.train.open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        order = rng_for(0, "benchmark", "halves").permutation(len(rows))
        n_half = len(rows) // 2
        drawn = rng_for(0, "benchmark", "bootstrap").integers(len(rows), size=len(rows))
        for path, index in (
            (self.halves[0], order[:n_half]),
            (self.halves[1], order[n_half : 2 * n_half]),
            (self.references[BOOTSTRAP], drawn),
        ):
            _write(path, header, [rows[i] for i in np.sort(index)])


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def _is_number(column: Column) -> bool:
    return column.meaning in ("numeric", "datetime") or (
        column.meaning == "geographic" and column.type in ("double", "float", "int64")
    )


def _plain(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Dates as seconds; a boolean as the text that data frames would make of it."""
    if column.meaning == "datetime" and pa.types.is_temporal(values.type):
        return values.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    return values
