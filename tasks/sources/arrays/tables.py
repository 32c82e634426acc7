"""Columns from arrays of one or two dimensions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import Column
from tasks.sources.arrays.base import Maker, arrow_type, arrow_values
from tasks.sources.arrays.files import ArrayFile, Header, named
from tasks.sources.base import column

BATCH_ROWS = 65_536
"""Rows of a batch at most, however small they are."""

MAX_COLUMNS = 10_000
"""Columns that one array may become."""


@dataclass(frozen=True)
class TableMaker(Maker):
    """Makes a table.

    Attributes:
        arrays: that become columns; None: all.
        column_names: of arrays of two dimensions, by array.
        batch_bytes: of a batch at most.
    """

    arrays: Sequence[str] | None
    column_names: Mapping[str, Sequence[str]]
    batch_bytes: int

    def headers(self, file: ArrayFile) -> list[Header]:
        """See `Maker.headers`."""
        headers = [named(file, name) for name in self.arrays or file.headers]
        if not headers:
            raise SourceError(f"expected arrays in {file.given}, found none")
        for header in headers:
            if len(header.shape) not in (1, 2):
                raise SourceError(
                    f"{file.given}: expected columns, arrays of one or two dimensions, found"
                    f" {header}; name those that are columns under `arrays`, or is this"
                    " `kind: image`?"
                )
            if header.n_rows != headers[0].n_rows:
                raise SourceError(
                    f"{file.given}: expected arrays of equal length, found {headers[0]} and"
                    f" {header}; name those of one table under `arrays`"
                )
        return headers

    def columns(self, file: ArrayFile) -> list[Column]:
        """See `Maker.columns`."""
        found = []
        for header in self.headers(file):
            try:
                data_type = arrow_type(header.dtype)
            except (ValueError, pa.ArrowNotImplementedError) as error:
                raise SourceError(
                    f"{file.given}: {header} has a type that no column has; convert it (`astype`)"
                ) from error
            nullable = header.dtype.kind in "mMf"
            found += [column(n, data_type, nullable=nullable) for n in self._names(file, header)]
        names = [c.name for c in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceError(
                f"{file.given}: more than one column is named {twice}; set `column_names`"
            )
        return found

    def batches(
        self, file: ArrayFile, schema: pa.Schema, start: int, stop: int
    ) -> Iterator[pa.RecordBatch]:
        """See `Maker.batches`."""
        headers = self.headers(file)
        row_bytes = max(1, sum(header.row_bytes for header in headers))
        n_rows = min(BATCH_ROWS, max(1, self.batch_bytes // row_bytes))
        chunks = [file.chunks(header.name, n_rows, start, stop) for header in headers]
        for i, rows in enumerate(zip(*chunks, strict=True)):
            columns = [
                arrow_values(values, file.given, header.name, start + i * n_rows)
                for header, stretch in zip(headers, rows, strict=True)
                for values in (stretch.T if stretch.ndim == 2 else [stretch])
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _names(self, file: ArrayFile, header: Header) -> Sequence[str]:
        given = self.column_names.get(header.name)
        n_columns = header.shape[1] if len(header.shape) == 2 else 1
        if not 0 < n_columns <= MAX_COLUMNS:
            raise SourceError(f"{file.given}: expected 1 to {MAX_COLUMNS} columns, found {header}")
        if given is not None and len(given) != n_columns:
            raise SourceError(
                f"{file.given}: {header} becomes {n_columns} columns, but `column_names` has"
                f" {len(given)} names for it"
            )
        if given is not None or len(header.shape) == 1:
            return given or [header.name]
        return [f"{header.name}_{i}" for i in range(n_columns)]
