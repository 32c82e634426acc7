"""Tables in files: CSV, TSV and other delimited text (also gzipped), and Parquet, by path or glob."""

import difflib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tasks.errors import SourceError
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, TableSchema, arrow_schema
from tasks.sources import _delimited
from tasks.sources.base import (
    OBSERVED_ROWS,
    Part,
    Source,
    SourceSettings,
    column,
    table_schema,
    with_meanings,
)

PARQUET_SUFFIXES = (".parquet", ".pq")
BATCH_ROWS = 65_536


class FileSettings(SourceSettings):
    """Settings of `source: {type: files}`."""

    path: str = Field(
        min_length=1,
        description="a file or a glob (`sales/*.csv`); several files are one table, in sorted order",
    )
    table: str | None = Field(
        default=None,
        description="name of the table; null: of the file, or of several files' folder",
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="between values; null: found out"
    )
    encoding: str = Field(default="utf-8", description="of delimited text")
    column_names: list[str] | None = Field(
        default=None, min_length=1, description="names of the columns of files without a header"
    )


class FileSource(Source):
    """One table in one or more files of equal columns."""

    Settings = FileSettings

    def schema(self) -> DatasetSchema:
        """The one table; delimited files are read once for it."""
        paths = self._paths
        if _is_parquet(paths[0]):
            columns = _parquet_columns(paths)
        else:
            inferred = self._inferred.items()
            columns = [column(name, i.data_type, nullable=i.nullable) for name, i in inferred]
        name = self.settings.table or _table_name(paths)
        return self.dataset(table_schema(name, columns))

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows, file by file."""
        del part
        if _is_parquet(self._paths[0]):
            schema = arrow_schema(table)
            for path in self._paths:
                yield from _parquet_batches(path, schema)
        else:
            for texts in self._texts():
                yield _delimited.convert(texts, self._inferred)

    @cached_property
    def _paths(self) -> list[Path]:
        given = self.settings.path
        exact = self.project / given
        paths = [exact] if exact.is_file() else _glob(self.project, given)
        if not paths:
            raise SourceError(f"expected a file at {exact}, found none{near(exact)}")
        if len({_is_parquet(path) for path in paths}) > 1:
            raise SourceError(
                f"{given!r} finds Parquet and other files; name one kind, e.g. '*.csv'"
            )
        return paths

    @cached_property
    def _dialects(self) -> list[_delimited.Dialect]:
        dialects = [
            _delimited.sniff(
                path,
                delimiter=self.settings.delimiter,
                encoding=self.settings.encoding,
                column_names=self.settings.column_names,
            )
            for path in self._paths
        ]
        for path, dialect in zip(self._paths, dialects, strict=True):
            _check_same(self._paths[0], list(dialects[0].names), path, list(dialect.names))
        return dialects

    @cached_property
    def _inferred(self) -> dict[str, _delimited.Inferred]:
        return _delimited.infer(self._texts(), self._dialects[0].names)

    def _texts(self) -> Iterator[pa.RecordBatch]:
        for path, dialect in zip(self._paths, self._dialects, strict=True):
            yield from _delimited.read_texts(path, dialect)


def open_csv(
    path: Path, target: str | None = None
) -> tuple[DatasetSchema, Iterator[pa.RecordBatch]]:
    """A delimited file as a dataset of one table: its schema, meanings included, and its rows.

    Raises:
        SourceError: there is no such file, it is no table, it has no rows, or no such target.
    """
    source = FileSource({"path": str(path)}, kind="tabular", target=target, project=Path())
    schema = source.schema()
    name = schema.main.name
    first: list[pa.RecordBatch] = []
    for batch in source.read(name):
        first.append(batch)
        if sum(b.num_rows for b in first) >= OBSERVED_ROWS:
            break
    if not any(batch.num_rows for batch in first):
        raise SourceError(f"expected rows in {path}, found a header only")
    rows = pa.Table.from_batches(first).slice(0, OBSERVED_ROWS)
    return with_meanings(schema, {name: rows}, {}), source.read(name)


def _glob(folder: Path, pattern: str) -> list[Path]:
    path = folder / pattern
    try:
        found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        return sorted(p for p in found if p.is_file())
    except (ValueError, NotImplementedError) as error:
        raise SourceError(f"{pattern!r} is not a path or a glob: {error}") from error


def near(path: Path) -> str:
    """Similar names in the same folder, as the end of a message."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    found = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()])
    return f"; there is {' and '.join(sorted(found))}" if found else ""


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in PARQUET_SUFFIXES


def _table_name(paths: list[Path]) -> str:
    name = paths[0].name.split(".")[0] if len(paths) == 1 else paths[0].parent.name
    return name.lstrip(".") or "data"


def _check_same(first: Path, expected: list[str], path: Path, found: list[str]) -> None:
    if found != expected:
        raise SourceError(
            f"expected the columns of {first} in {path} too: {', '.join(expected)};"
            f" found: {', '.join(found)}"
        )


def _parquet_columns(paths: list[Path]) -> list[Column]:
    schemas = [_parquet_schema(path) for path in paths]
    for path, schema in zip(paths, schemas, strict=True):
        spelled = [[f"{field.name} ({field.type})" for field in s] for s in (schemas[0], schema)]
        _check_same(paths[0], spelled[0], path, spelled[1])
    if not schemas[0].names:
        raise SourceError(f"expected columns in {paths[0]}, found none")
    if twice := sorted({name for name in schemas[0].names if schemas[0].names.count(name) > 1}):
        raise SourceError(f"{paths[0]}: more than one column is named {twice}; rename them")
    return [
        column(field.name, plain_type(field, paths[0]), nullable=field.nullable)
        for field in schemas[0]
    ]


def _parquet_schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"cannot read {path} as Parquet: {error}") from error


def plain_type(field: pa.Field, path: Path) -> pa.DataType:
    """The type that a Parquet column gets here."""
    data_type = field.type
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    if data_type == IMAGE_TYPE:
        return IMAGE_TYPE
    is_text = pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    if is_text or pa.types.is_null(data_type) or pa.types.is_time(data_type):
        return pa.string()
    if pa.types.is_float16(data_type):
        return pa.float32()
    known = (
        pa.types.is_integer(data_type)
        or pa.types.is_floating(data_type)
        or pa.types.is_boolean(data_type)
        or pa.types.is_string(data_type)
        or pa.types.is_date(data_type)
        or pa.types.is_timestamp(data_type)
        or pa.types.is_decimal128(data_type)
    )
    if not known:
        raise SourceError(
            f"{path}: column {field.name!r} is of type {field.type}, which is no single value;"
            " leave it out or split it into columns"
        )
    return data_type


def _parquet_batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield batch.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
