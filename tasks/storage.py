"""A dataset on disk: a folder with `schema.json` and, for each table, a folder of Parquet shards.

    data/adult/clean/
        schema.json
        adult/part-00000.parquet ...

Everything is read and written as iterators of Arrow batches, so memory stays bounded. The same
rows give the same bytes.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.encryption import SUFFIX, read_encrypted, write_encrypted
from tasks.errors import DataError, SchemaError
from tasks.schema import SCHEMA_FILE, DatasetSchema, TableSchema, arrow_schema
from tasks.shards import ROW_GROUP_ROWS, WRITER_BYTES, open_shard, write_shards


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well, and is removed if not.

    What stood at `target` before stays until the new folder is whole and on the disk, so neither a
    reader nor a power loss ever finds a half-written one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield draft
        draft.chmod(0o755)
        _sync_files(draft)
        if not target.exists():
            os.replace(draft, target)
        elif _exchange(draft, target):
            shutil.rmtree(draft)
        else:
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            os.replace(target, old / target.name)
            os.replace(draft, target)
            shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_json(path: Path, content: Any, *, encrypt: bool = False) -> None:
    """Write `content` whole or not at all, whatever happens; equal contents give equal bytes.

    Args:
        path: of the file; encrypted, its name has `.enc` behind.
        content: what JSON can hold.
        encrypt: it tells of rows that are stored encrypted.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    draft = path.with_name(f".{path.name}.draft")
    if encrypt:
        write_encrypted(draft, text.encode())
        path = encrypted_path(path)
    else:
        draft.write_text(text, encoding="utf-8")
    sync_file(draft)
    os.replace(draft, path)


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk: a name that a power loss outlives must not name nothing."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def encrypted_path(path: Path) -> Path:
    """Where the file is if it is stored encrypted."""
    return path.with_name(path.name + SUFFIX)


def is_stored(path: Path) -> bool:
    """Whether the file is there, plain or encrypted."""
    return path.exists() or encrypted_path(path).exists()


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote, encrypted or not.

    Raises:
        DataError: the file is missing or is not JSON.
        WorkspaceError: it is encrypted, and the key is missing or another one.
    """
    try:
        if encrypted_path(path).exists():
            return json.loads(read_encrypted(encrypted_path(path)))
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"expected the file {path}, found none; run the stage before") from error
    except ValueError as error:  # of JSON, or of UTF-8
        raise DataError(f"{path} is not JSON: {error}") from error


def write_table(
    folder: Path,
    table: TableSchema,
    batches: Iterable[pa.RecordBatch],
    metadata: Mapping[str, str] | None = None,
    memory_bytes: int = WRITER_BYTES,
) -> int:
    """Write batches as shards under `folder/<table>`; return the number of rows.

    The bytes depend on the rows alone, not on how they came in batches (`tasks.shards`).

    Args:
        folder: holds the table's folder, which may not exist yet.
        table: describes the rows.
        batches: the rows.
        metadata: what each file says about itself, for readers that look for it.
        memory_bytes: of rows that wait for being encoded.

    Raises:
        SchemaError: a batch has other columns or types than `table` says.
    """
    schema = arrow_schema(table)
    place = folder / table.name
    place.mkdir(parents=True)
    conforming = (_conform(batch, schema, table.name) for batch in batches)
    return write_shards(place, schema, conforming, metadata, memory_bytes, encrypt=table.encrypted)


def write_dataset(
    folder: Path, schema: DatasetSchema, tables: Mapping[str, Iterable[pa.RecordBatch]]
) -> dict[str, int]:
    """Write a whole dataset into the existing `folder`; return the rows of each table.

    Args:
        folder: usually the draft that `new_folder` gives.
        schema: describes every table.
        tables: batches by table name.
    """
    (folder / SCHEMA_FILE).write_text(schema.dumps(), encoding="utf-8")
    return {table.name: write_table(folder, table, tables[table.name]) for table in schema.tables}


def read_batches(
    folder: Path, table: str, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of one table of a dataset, in the order in which they were written.

    Raises:
        DataError: the table is missing or a shard cannot be read.
    """
    for path in _shard_paths(folder, table):
        with _naming(path), open_shard(path) as file:
            yield from _batches_of(file, columns)


def row_groups(folder: Path, table: str) -> list[tuple[tuple[Path, int], int]]:
    """Where the batches of a table lie, for those who read them apart from each other.

    Returns:
        What `read_group` takes, and how many batches it gives, in the order of the rows.
    """
    found = []
    for path in _shard_paths(folder, table):
        with _naming(path), open_shard(path) as file:
            for i in range(file.num_row_groups):
                n_rows = file.metadata.row_group(i).num_rows
                found.append(((path, i), -(-n_rows // ROW_GROUP_ROWS)))
    return found


def read_group(path: Path, i: int) -> Iterator[pa.RecordBatch]:
    """The batches of one row group: those that `read_batches` gives of it."""
    with _naming(path), open_shard(path) as file:
        yield from file.iter_batches(ROW_GROUP_ROWS, row_groups=[i])


class OpenTable:
    """A table whose files stay open, for those who read it column by column.

    Opening a file costs as much as reading hundreds of values of each of its columns.
    """

    def __init__(self, folder: Path, table: str) -> None:
        """Args: as of `read_batches`."""
        self.folder, self.table = folder, table
        self._files = []
        for path in _shard_paths(folder, table):
            with _naming(path):
                self._files.append((path, open_shard(path)))

    def __len__(self) -> int:
        """Rows of the table."""
        return sum(file.metadata.num_rows for _, file in self._files)

    def __call__(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """As `read_batches`."""
        for path, file in self._files:
            with _naming(path):
                yield from _batches_of(file, columns)


@dataclass(frozen=True)
class StoredRows:
    """Passes over a stored table: called, it starts one. Can be sent to another process.

    Attributes:
        folder: of the dataset.
        table: its name.
        first: rows at the start that are read; None: all.
    """

    folder: Path
    table: str
    first: int | None = None

    def __len__(self) -> int:
        """Rows of a pass, from the files' footers alone."""
        n_rows = count_rows(self.folder, self.table)
        return n_rows if self.first is None else min(self.first, n_rows)

    def __call__(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """As `read_batches`: all columns, or only the bytes of some."""
        left = len(self)
        for batch in read_batches(self.folder, self.table, columns):
            if left <= 0:
                return
            yield batch.slice(0, left)
            left -= batch.num_rows


def read_table(folder: Path, table: str, columns: list[str] | None = None) -> pa.Table:
    """One table of a dataset in memory, whole."""
    schema = arrow_schema(DatasetSchema.load(folder).table(table))
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    return pa.Table.from_batches(
        (_conform(batch, schema, table) for batch in read_batches(folder, table, columns)), schema
    )


def count_rows(folder: Path, table: str) -> int:
    """Rows of a table, from the files' footers alone."""
    n_rows = 0
    for path in _shard_paths(folder, table):
        with _naming(path), open_shard(path) as file:
            n_rows += file.metadata.num_rows
    return n_rows


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder: of the sorted lines `<sha256>  <relative path>`."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        lines = [f"{digest(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            sync_file(path)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change their names in one step; False: this system or its disk cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2), Linux
    if rename is None:
        return False
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _shard_paths(folder: Path, table: str) -> list[Path]:
    shards = (folder / table).glob("part-*.parquet*")
    paths = sorted(p for p in shards if p.suffix in (".parquet", SUFFIX))
    if not paths:
        raise DataError(f"expected table {table!r} in {folder}, found no Parquet file of it")
    return paths


def _conform(batch: pa.RecordBatch, schema: pa.Schema, table: str) -> pa.RecordBatch:
    if batch.schema.names != schema.names:
        raise SchemaError(
            f"table {table!r}: expected the columns {schema.names}, found {batch.schema.names}"
        )
    try:
        return batch.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise SchemaError(f"table {table!r} does not follow its schema: {error}") from error


def _batches_of(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """One batch for each row group: batches over several would hold any number of images."""
    for i in range(file.num_row_groups):
        yield from file.iter_batches(ROW_GROUP_ROWS, row_groups=[i], columns=columns)
