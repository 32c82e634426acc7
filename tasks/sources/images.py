"""Images in a folder, labelled by their sub-folders or by a file of metadata, or not at all."""

import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.errors import SourceError
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema
from tasks.sources._image_folders import METADATA_FILES, ImageFolder, image_folder
from tasks.sources._pictures import (
    FORMATS,
    MAX_FILE_BYTES,
    MODE_DESCRIPTION,
    Mode,
    Picture,
    Unreadable,
    picture_columns,
    picture_of,
)
from tasks.sources._rows import PartCounts, batches_of
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema
from tasks.sources.files import FileSource

TABLE = "images"
PART_FILES = 512
"""Images of a part."""

FILE_NAME = "file_name"
"""The column of a file of metadata that names the image."""


class ImageSettings(SourceSettings):
    """Settings of `source: {type: images}`."""

    path: str = Field(
        min_length=1,
        description="folder, or URL of one in object storage, with one sub-folder of images per label; or of images with"
        f" {', '.join(METADATA_FILES)} beside them, whose column `file_name` names the images and"
        " whose other columns come along; or of images alone, where `target` is null",
    )
    mode: Mode | None = Field(default=None, description=MODE_DESCRIPTION)
    skip_unreadable: bool = Field(
        default=False,
        description="leave out and count files that cannot be read, instead of failing",
    )
    connection: str | None = Field(
        default=None, description="name of the variable with the credentials for a URL"
    )


class ImageSource(Source):
    """PNG, JPEG, GIF, BMP, TIFF and WebP files of one picture each."""

    Settings = ImageSettings

    def schema(self) -> DatasetSchema:
        """One table of images with their labels or metadata, and their sizes."""
        others: list[Column] = []
        self.observes = self._metadata is not None
        if self._metadata is not None:
            others = self._metadata.columns
        elif not self._has_loose_images:
            others = [column("label", pa.string(), nullable=False)]
        return self.dataset(table_schema(TABLE, picture_columns(others)))

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """Groups of files, by their names: label first."""
        folder = self._folder
        names = folder.names if self._metadata is None else self._named_by(self._metadata)
        if not names:
            kind = "sub-folders of " if "label" in table.column_names else ""
            raise SourceError(
                f"expected images ({', '.join(FORMATS)}) in {kind}{folder.shown}, found none"
            )
        return [
            Part({"files": [folder.place(name) for name in names[i : i + PART_FILES]]})
            for i in range(0, len(names), PART_FILES)
        ]

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The images of a group, by label and then by name."""
        has_label = self._metadata is None and "label" in table.column_names
        rows = self._rows(part, has_label=has_label)
        yield from batches_of(rows, arrow_schema(table), self.batch_bytes())

    def counts(self) -> dict[str, int]:
        """Files that were left out, and files that are of another format than their name says."""
        found = self._left_out.total()
        counts = {
            "other_files": self._folder.n_others,
            "images_in_hidden_folders": self._folder.n_hidden,
            "unreadable_images": found["unreadable"],
            "misnamed_images": found["misnamed"],
        }
        if self._metadata is None:
            counts["folders_without_images"] = self._folder.n_empty
        else:
            counts["images_without_metadata"] = len(self._folder.names) - len(self._metadata.places)
        return counts

    @cached_property
    def _folder(self) -> ImageFolder:
        return image_folder(self.settings.path, self.project, self.settings.connection)

    @cached_property
    def _left_out(self) -> PartCounts:
        return PartCounts()

    def _rows(self, part: Part, *, has_label: bool) -> Iterator[dict[str, Any]]:
        counts = self._left_out.of(part)
        for place in part.place["files"]:
            with self._folder.reading(place) as (name, path):
                try:
                    picture = self._read(path, counts)
                except Unreadable as error:
                    if not self.settings.skip_unreadable:
                        raise SourceError(
                            f"{self._folder.shown}/{name} {error}; remove it, or set"
                            " `skip_unreadable: true`"
                        ) from error
                    counts["unreadable"] += 1
                    continue
            row = picture.row(name)
            if has_label:
                row["label"] = name.partition("/")[0]
            elif self._metadata is not None:
                row |= self._metadata.row(name)
            yield row

    def _read(self, path: Path, counts: Counter[str]) -> Picture:
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
                raise Unreadable("is no plain file")
            if (size := facts.st_size) > MAX_FILE_BYTES:
                raise Unreadable(f"has {size} bytes, more than {MAX_FILE_BYTES}")
            content = path.read_bytes()
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from error
        picture = picture_of(content, self.settings.mode)
        counts["misnamed"] += picture.format != FORMATS[path.suffix.lower()]
        return picture

    @property
    def _has_loose_images(self) -> bool:
        """Whether images lie in the folder itself, where no label is."""
        loose = next((name for name in self._folder.names if "/" not in name), None)
        if loose is not None and self.target is not None:
            raise SourceError(
                f"{self._folder.shown}/{loose} is in no folder of a label; expected"
                f" {self._folder.shown}/<label>/{loose}, or `target: null` for images without labels"
            )
        return loose is not None

    @cached_property
    def _metadata(self) -> "_Metadata | None":
        found = self._folder.metadata
        if len(found) > 1:
            raise SourceError(f"expected one file of metadata, found {', '.join(found)}")
        return _Metadata(found[0], self) if found else None

    def _named_by(self, metadata: "_Metadata") -> list[str]:
        """The images that the metadata tells of, all of which must be there."""
        there = set(self._folder.names)
        for name, i in metadata.places.items():
            if name not in there:
                raise SourceError(
                    f"{metadata.path}, row {i + 1}: expected the image {name!r} in {self._folder.shown},"
                    f" found none; correct {FILE_NAME!r} or drop the row"
                )
        return [name for name in self._folder.names if name in metadata.places]


class _Metadata:
    """A table with one row for each image; it is held in memory.

    Attributes:
        path: of the file.
        columns: all but the name of the image.
        places: number of the row, from 0, by the name of the image.
    """

    def __init__(self, path: str, images: Source) -> None:
        """Read it.

        Args:
            path: a path or a URL.
            images: the source whose images it is about.
        """
        settings = {"path": path, "connection": images.settings.connection}
        with FileSource(
            settings, kind="image", target=images.target, project=images.project
        ) as source:
            schema = source.schema()
            name = schema.main.name
            form = arrow_schema(schema.main)
            self._rows = pa.Table.from_batches((b.cast(form) for b in source.read(name)), form)
        self.path = path
        self.columns = [c for c in schema.main.columns if c.name != FILE_NAME]
        if len(self.columns) == len(schema.main.columns) or not pa.types.is_string(
            self._rows.schema.field(FILE_NAME).type
        ):
            raise SourceError(
                f"expected a column {FILE_NAME!r} of texts in {path}, found:"
                f" {', '.join(self._rows.column_names)}"
            )
        taken = {c.name for c in picture_columns([])} & {c.name for c in self.columns}
        if taken:
            raise SourceError(f"{path}: the columns {sorted(taken)} are the images' own; rename")
        self.places = self._places()

    def row(self, name: str) -> dict[str, Any]:
        """The values of `columns` for one image."""
        (row,) = self._rows.slice(self.places[name], 1).drop_columns(FILE_NAME).to_pylist()
        return dict(row)

    def _places(self) -> dict[str, int]:
        places: dict[str, int] = {}
        for i, given in enumerate(self._rows[FILE_NAME].to_pylist()):
            path = PurePosixPath(given or "")
            if not given or path.is_absolute() or ".." in path.parts:
                raise SourceError(
                    f"{self.path}, row {i + 1}: expected the name of an image in the folder,"
                    f" found {given!r}"
                )
            if path.as_posix() in places:
                raise SourceError(
                    f"{self.path}, row {i + 1}: {given!r} is named twice, first in row"
                    f" {places[path.as_posix()] + 1}; one row tells of each image"
                )
            places[path.as_posix()] = i
        return places
