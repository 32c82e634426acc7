"""The synthetic tables as a release holds them: Parquet shards that every common reader opens.

One folder per table, `data/<table>/part-00000.parquet`. The rows are those of the synthetic
dataset; only the files' metadata differs, which tells `datasets` what columns are images.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.schema import Column, DatasetSchema, TableSchema, arrow_type
from tasks.storage import digest, read_batches, write_table

DATA_FOLDER = "data"


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a release."""

    path: str
    """Relative to the release."""
    sha256: str
    size_bytes: int
    n_rows: int


@dataclass(frozen=True)
class ReleasedTable:
    """One table of a release and its files."""

    schema: TableSchema
    slug: str
    """Its name in paths and configurations, which allow fewer characters than tables' names."""
    shards: tuple[Shard, ...]
    n_missing: Mapping[str, int]
    """Missing values by column."""

    @property
    def folder(self) -> str:
        """Relative to the release."""
        return f"{DATA_FOLDER}/{self.slug}"

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.n_rows for shard in self.shards)


def write_tables(
    synthetic: Path, schema: DatasetSchema, release: Path
) -> tuple[ReleasedTable, ...]:
    """Write every table of the synthetic dataset into a release; equal rows give equal bytes.

    Reads:
        synthetic: a dataset folder.

    Writes:
        release/data/<table>/part-*.parquet, cut into shards as the dataset is.
    """
    slugs = slugs_of([table.name for table in schema.tables])
    return tuple(
        _write(synthetic, table, slug, release)
        for table, slug in zip(schema.tables, slugs, strict=True)
    )


def hugging_face_type(column: Column) -> str:
    """What `datasets` calls the type of this column."""
    if column.type == "image":
        return "image"
    kind = arrow_type(column)
    renamed = {pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64"}
    renamed |= {pa.date32(): "date32", pa.date64(): "date64"}
    return renamed.get(kind, str(kind))


def _write(synthetic: Path, table: TableSchema, slug: str, release: Path) -> ReleasedTable:
    n_missing = Counter[str]()
    rows = _counting(read_batches(synthetic, table.name), n_missing)
    stored = table.model_copy(update={"name": slug, "columns": _stored_columns(table)})
    write_table(release / DATA_FOLDER, stored, rows, metadata=_metadata(table))
    shards = [
        Shard(
            path=path.relative_to(release).as_posix(),
            sha256=digest(path),
            size_bytes=path.stat().st_size,
            n_rows=pq.read_metadata(path).num_rows,
        )
        for path in sorted((release / DATA_FOLDER / slug).iterdir())
    ]
    return ReleasedTable(table, slug, tuple(shards), n_missing)


def _counting(
    batches: Iterable[pa.RecordBatch], n_missing: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """The same batches; their missing values are added to `n_missing` on the way."""
    for batch in batches:
        n_missing.update({name: batch.column(name).null_count for name in batch.schema.names})
        yield batch


def _stored_columns(table: TableSchema) -> tuple[Column, ...]:
    """The columns as the files declare them: `datasets` knows images only where null is allowed."""
    return tuple(
        column.model_copy(update={"nullable": True}) if column.type == "image" else column
        for column in table.columns
    )


def _metadata(table: TableSchema) -> dict[str, str] | None:
    """What `datasets` looks for to show bytes as images; other columns need no hint."""
    if not table.columns_of("image"):
        return None
    features = {
        column.name: {"_type": "Image"}
        if column.type == "image"
        else {"dtype": hugging_face_type(column), "_type": "Value"}
        for column in table.columns
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}


def slugs_of(names: list[str]) -> list[str]:
    """Names that may stand in paths, globs and URLs, one for each name and all different."""
    slugs: list[str] = []
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "table"
        twins = sum(
            re.fullmatch(re.escape(slug) + r"(-\d+)?", other) is not None for other in slugs
        )
        slugs.append(f"{slug}-{twins + 1}" if twins else slug)
    return slugs
