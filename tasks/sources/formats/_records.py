"""The formats of which one pass over all records tells the columns: JSON, JSON Lines, XML."""

from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tasks.errors import SourceError
from tasks.locations.base import Location
from tasks.schema import TableSchema
from tasks.sources.base import column
from tasks.sources.formats._inference import Inferred, form_of, number_of
from tasks.sources.formats._kinds import ALL_FORMS, Chunk, Evidence, converted
from tasks.sources.formats._spool import Kept, Spool, new_spool, part_bounds
from tasks.sources.formats.base import FilePart, FileTable, Format, ahead

CHUNK_BYTES = 2**22
"""Bytes of the records of a chunk; a longer record is one alone."""

PART_BYTES = 2**26
"""Bytes of a part, of a file that can be read from the start of any record."""


class RecordFormat(Format):
    """Records with a name for each value; one that lacks a name has a missing value there.

    Attributes:
        is_spelled: whether only the spelling of values tells their type.
    """

    is_spelled: ClassVar[bool] = False

    def __init__(self, settings: Any, batch_bytes: int) -> None:
        """See `Format`."""
        super().__init__(settings, batch_bytes)
        self._columns: dict[str, Inferred] = {}
        self._kept: dict[str, list[Kept]] = {}
        self._spool: Spool | None = None

    @abstractmethod
    def chunks(
        self, path: Path, start: int | None = None, end: int | None = None
    ) -> Generator[Chunk, None, None]:
        """The records of a file, or those between two places that chunks gave.

        Raises:
            SourceError: the file is damaged; with the place.
        """

    def tables(self, files: Sequence[Location]) -> list[FileTable]:
        """See `Format.tables`: one table; the files are read for it, and the rows kept on disk."""
        evidence = Evidence()
        spool = new_spool(self.settings, files)
        for file in ahead(files):
            kept = self._kept[file.url] = []
            with self.first_look(file) as path:
                for chunk in self.chunks(path):
                    evidence.add(chunk)
                    place = None if spool is None else spool.add(chunk.batch)
                    kept.append(Kept(chunk.start, chunk.end, place))
        if spool is not None and spool.is_open:
            self._spool = spool
            self.opened.callback(spool.close)
        self._columns = evidence.columns()
        if not self._columns:
            raise SourceError(f"expected records with values in {files[0].url}, found none")
        inferred = self._columns.items()
        return [FileTable([column(n, i.data_type, nullable=i.nullable) for n, i in inferred])]

    def parts(self, files: Sequence[Location], table: TableSchema) -> list[FilePart]:
        """See `Format.parts`: ranges of bytes where a file can be read from anywhere."""
        del table
        forms = {name: number_of(i.form, ALL_FORMS) for name, i in self._columns.items()}
        parts = []
        for file in files:
            for group in part_bounds(self._kept[file.url], PART_BYTES):
                part = self.part(
                    file,
                    start=group[0].start if group else None,
                    end=group[-1].end if group else None,
                    kept=[kept.place for kept in group],
                    forms=forms,
                )
                parts.append(part)
        return parts

    def read(self, table: TableSchema, part: FilePart) -> Iterator[pa.RecordBatch]:
        """See `Format.read`: from the spool of this process, or from the file."""
        place = part.place
        columns = {
            c.name: Inferred(form_of(place["forms"][c.name], ALL_FORMS), c.nullable)
            for c in table.columns
        }
        for batch in self._spelled(part):
            yield converted(batch, columns, is_spelled=self.is_spelled)

    def _spelled(self, part: FilePart) -> Iterator[pa.RecordBatch]:
        place = part.place
        if self._spool is not None:
            for kept in place["kept"]:
                yield self._spool.read(kept)
            return
        with self.next_look(part) as path:
            for chunk in self.chunks(path, place["start"], place["end"]):
                yield chunk.batch
