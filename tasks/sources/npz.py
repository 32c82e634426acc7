"""Arrays of NumPy, in NPZ and NPY files: images with labels, or the columns of a table."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.errors import ParamsError, SourceError
from tasks.locations.base import Location
from tasks.locations.resolve import resolve
from tasks.schema import Column, DatasetSchema, Kind, TableSchema, arrow_schema
from tasks.sources._located import place_of, reading
from tasks.sources._pictures import MODE_DESCRIPTION, Mode
from tasks.sources.arrays.base import Maker
from tasks.sources.arrays.files import ArrayFile
from tasks.sources.arrays.images import ImageMaker
from tasks.sources.arrays.tables import TableMaker
from tasks.sources.base import Part, Source, SourceSettings, table_schema

IMAGES = "images"
PART_BYTES = 32 * 2**20
"""Bytes of the first array of an uncompressed file in a part at most."""

SUFFIXES = (".npz", ".npy")


class NpzSettings(SourceSettings):
    """Settings of `source: {type: npz}`."""

    path: str = Field(
        min_length=1,
        description=".npz or .npy files: a path, a glob, a folder or a URL; several files hold equal"
        " arrays, and their rows follow each other in the order of the names",
    )
    table: str | None = Field(
        default=None, description="name of the table; null: `images`, or of the file or its folder"
    )
    images: str | None = Field(
        default=None,
        description="array of images (n, height, width), or with 1 or 3 colours last or after n, for"
        " kind image; null: the only one of so many dimensions",
    )
    labels: str | None = Field(
        default=None,
        description="array with a label for each image, or a path that ends with .npy; null: the"
        " only array that could be, if `target` is set",
    )
    white: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="value that is white, for images that are not of unsigned bytes: 1.0, 65535 ...;"
        " they are rounded to 256 levels",
    )
    mode: Mode | None = Field(default=None, description=MODE_DESCRIPTION)
    arrays: list[str] | None = Field(
        default=None,
        min_length=1,
        description="arrays that become columns, for kind tabular: one column for an array of one"
        " dimension, several for one of two; null: all",
    )
    column_names: dict[str, list[str]] = Field(
        default={},
        description="names of the columns of an array, by array; else its name, with a number behind"
        " it where it has two dimensions",
    )
    inflated_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="GiB that a compressed file may become; null: 200 times its size, at least 4",
    )
    connection: str | None = Field(
        default=None, description="name of the variable with the credentials for a URL"
    )


class NpzSource(Source):
    """Arrays as images or columns; an array that would need unpickling is refused."""

    Settings = NpzSettings

    def __init__(
        self, settings: dict[str, Any], *, kind: Kind, target: str | None, project: Path
    ) -> None:
        """See `Source.__init__`.

        Raises:
            ParamsError: a setting is wrong, or the kind is text.
        """
        super().__init__(settings, kind=kind, target=target, project=project)
        if kind == "text":
            raise ParamsError("source.type npz gives images and tables, found kind: text")
        self.observes = kind == "tabular"

    def schema(self) -> DatasetSchema:
        """One table, of images or of columns; all files must hold the same."""
        columns = self._columns_of(self._locations[0])
        for location in self._locations[1:]:
            others = self._columns_of(location)
            if others != columns:
                raise SourceError(
                    f"expected the columns of {self._locations[0].url} in {location.url} too:"
                    f" {_listed(columns)}; found: {_listed(others)}"
                )
        return self.dataset(table_schema(self.settings.table or self._name(), columns))

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """Ranges of rows of an uncompressed file; an archive is one part."""
        del table
        parts = []
        for location in self._locations:
            with location.reading() as path, self._made(path, location.url) as (file, maker):
                header = maker.headers(file)[0]
            place = place_of(location)
            n_rows = header.n_rows
            step = n_rows if file.is_archive else PART_BYTES // max(1, header.row_bytes)
            parts += [
                Part({"file": place, "rows": [i, min(i + max(1, step), n_rows)]})
                for i in range(0, n_rows, max(1, step))
            ]
        return parts

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The rows of a range, in the order of the arrays."""
        place, settings = part.place, self.settings
        with (
            reading(place["file"], settings.path, self.project, settings.connection) as (at, path),
            self._made(path, at.url) as (file, maker),
        ):
            yield from maker.batches(file, arrow_schema(table), *place["rows"])

    @cached_property
    def _locations(self) -> list[Location]:
        found = self._resolved(self.settings.path)
        if len(found) > 1 and self._label_path is not None:
            raise SourceError(
                f"expected one file of images for the labels in {self._label_path}, found"
                f" {len(found)}; save images and labels together (np.savez)"
            )
        return found

    @property
    def _label_path(self) -> str | None:
        labels: str | None = self.settings.labels
        is_path = self.kind == "image" and labels is not None and labels.endswith(".npy")
        return labels if is_path else None

    def _resolved(self, given: str) -> list[Location]:
        connection = self.settings.connection
        return resolve(given, self.project, suffixes=SUFFIXES, connection=connection)

    @contextlib.contextmanager
    def _made(self, path: Path, given: str) -> Iterator[tuple[ArrayFile, Maker]]:
        """A file, and what makes rows of its arrays."""
        limit = self.settings.inflated_gib
        if self._label_path is None:
            yield ArrayFile(path, given, limit), self._maker(None)
            return
        labels = self._resolved(self._label_path)[0]
        with labels.reading() as label_path:
            label_file = ArrayFile(label_path, labels.url, limit)
            yield ArrayFile(path, given, limit), self._maker(label_file)

    def _maker(self, label_file: ArrayFile | None) -> Maker:
        settings = self.settings
        if self.kind == "tabular":
            return TableMaker(settings.arrays, settings.column_names, self.batch_bytes())
        return ImageMaker(
            images=settings.images,
            labels=None if label_file is not None else settings.labels,
            label_file=label_file,
            wants_labels=self.target is not None,
            white=settings.white,
            mode=settings.mode,
            batch_bytes=self.batch_bytes(),
        )

    def _columns_of(self, location: Location) -> list[Column]:
        memory = self.settings.memory_mib * 2**20
        with location.reading() as path, self._made(path, location.url) as (file, maker):
            for header in maker.headers(file):
                if file.is_archive and header.is_fortran and header.total_bytes > memory:
                    raise SourceError(
                        f"{file.given}: {header} lies column by column (Fortran's order), so it is"
                        " read whole, which `memory_mib` does not allow: save it by"
                        " np.ascontiguousarray, or raise `memory_mib`"
                    )
            return maker.columns(file)

    def _name(self) -> str:
        if self.kind == "image":
            return IMAGES
        first = self._locations[0]
        if len(self._locations) == 1:
            return PurePosixPath(first.name).stem
        return PurePosixPath(first.url).parent.name or "data"


def _listed(columns: list[Column]) -> str:
    return ", ".join(f"{column.name} ({column.type})" for column in columns)
