"""Shards of images or texts: tar and zip archives in the convention of WebDataset."""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from tasks.errors import ParamsError, SourceError
from tasks.locations.base import Location
from tasks.locations.remote import masked
from tasks.locations.resolve import resolve
from tasks.schema import DatasetSchema, Kind, TableSchema, arrow_schema
from tasks.sources._located import place_of, reading
from tasks.sources._pictures import (
    FORMATS,
    MODE_DESCRIPTION,
    Mode,
    Unreadable,
    picture_columns,
    picture_of,
)
from tasks.sources._records import Columns, Known, Record, batch_of, chunk_of, decoded, json_record
from tasks.sources._rows import PartCounts, groups_of
from tasks.sources.archives.members import members
from tasks.sources.archives.samples import File, Sample, samples
from tasks.sources.base import Part, Source, SourceSettings, column, table_schema
from tasks.sources.formats.base import ahead, opened

SUFFIXES = (
    ".tar",
    ".zip",
    *(f".tar.{packed}" for packed in ("gz", "bz2", "xz", "zst", "lz4")),
    ".tgz",
)
MAX_SHARDS = 100_000
"""Shards that the braces of a path may name."""

_IMAGES = frozenset(suffix.removeprefix(".") for suffix in FORMATS)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_WHOLE = re.compile(r"^-?(0|[1-9][0-9]{0,17})$")


class ShardSettings(SourceSettings):
    """Settings of `source: {type: shards}`."""

    path: str = Field(
        min_length=1,
        description="tar or zip archives, also compressed: a path, a folder, a glob (`*.tar`), a"
        " range (`train-{000..099}.tar`) or a URL; their rows follow each other in this order",
    )
    mode: Mode | None = Field(default=None, description=MODE_DESCRIPTION)
    skip_unreadable: bool = Field(
        default=False,
        description="leave out and count images that cannot be read, instead of failing",
    )
    inflated_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="GiB that a compressed archive may become; null: 200 times its size, at least 4",
    )
    connection: str | None = Field(
        default=None, description="name of the variable with the credentials for a URL"
    )


class ShardSource(Source):
    """Samples of files with equal names: an image or a text (`.txt`), with its label in a `.cls`.

    The values of a `.json` become columns, a `.txt` beside an image the column `text`. Other files
    are counted.
    """

    Settings = ShardSettings

    def __init__(
        self, settings: dict[str, Any], *, kind: Kind, target: str | None, project: Path
    ) -> None:
        """See `Source.__init__`.

        Raises:
            ParamsError: a setting is wrong, or the kind is tabular.
        """
        super().__init__(settings, kind=kind, target=target, project=project)
        if kind == "tabular":
            raise ParamsError("source.type shards gives images and texts, found kind: tabular")

    def schema(self) -> DatasetSchema:
        """One table; the archives are gone through once, for their labels and JSON."""
        n, json_columns = self._observed
        own = []
        if n["text"]:
            text = column("text", pa.string(), nullable=n["text"] < n["samples"])
            own.append(text.model_copy(update={"meaning": "text"}))
        if n["label"]:
            data_type = pa.int64() if n["label"] == n["whole"] else pa.string()
            label = column("label", data_type, nullable=n["label"] < n["samples"])
            own.append(label.model_copy(update={"meaning": "categorical"}))
        own = picture_columns(own) if self.kind == "image" else own
        further = json_columns.columns()
        if taken := sorted({c.name for c in own} & {c.name for c in further}):
            raise SourceError(
                f"{masked(self.settings.path)}: the .json files have values named {taken}, which the samples"
                " have already; rename them"
            )
        self.observes = bool(further)
        return self.dataset(table_schema(f"{self.kind}s", [*own, *further]))

    def parts(self, table: TableSchema) -> Sequence[Part]:
        """One for each archive."""
        del table
        known = self._observed[1].known()
        return [
            Part({"given": given, "file": place_of(location), "json": known})
            for given, location in self._locations
        ]

    def read_part(self, table: TableSchema, part: Part) -> Iterator[pa.RecordBatch]:
        """The samples of an archive, in the order of a tar, or of the names in a zip."""
        place = part.place
        known: Known = place["json"]
        schema = arrow_schema(table)
        own = pa.schema([field for field in schema if field.name not in known])
        with reading(place["file"], place["given"], self.project, self.settings.connection) as (
            location,
            path,
        ):
            rows = self._rows(location.url, path, table, self._left_out.of(part))
            for group in groups_of(rows, self.batch_bytes()):
                batch = pa.RecordBatch.from_pylist(group, own)
                if known:
                    chunk = chunk_of((_json(row["json"]), lambda: location.url) for row in group)
                    further = batch_of(chunk, known, is_spelled=False)
                    arrays = [*batch.columns, *further.columns]
                    names = [*batch.schema.names, *further.schema.names]
                    batch = pa.RecordBatch.from_arrays(arrays, names).select(schema.names)
                yield batch.cast(schema)

    def counts(self) -> dict[str, int]:
        """Files that were left out."""
        found = self._left_out.total()
        return {name: found[name] for name in ("other_members", "unreadable_images")}

    @cached_property
    def _left_out(self) -> PartCounts:
        return PartCounts()

    @cached_property
    def _locations(self) -> list[tuple[str, Location]]:
        connection = self.settings.connection
        return [
            (given, location)
            for given in _expanded(self.settings.path)
            for location in resolve(given, self.project, suffixes=SUFFIXES, connection=connection)
        ]

    @property
    def _needed(self) -> frozenset[str]:
        """What every sample has a file of: exactly one image, or a text or an object of JSON."""
        return _IMAGES if self.kind == "image" else frozenset({"txt", "json"})

    @property
    def _wanted(self) -> frozenset[str]:
        return self._needed | {"cls", "txt", "json"}

    @cached_property
    def _observed(self) -> tuple[Counter[str], Columns]:
        """How many samples have a text, a label, a whole number as label; the columns of JSON."""
        found: Counter[str] = Counter()
        columns = Columns()
        for location in ahead([location for _, location in self._locations]):
            unread = self._wanted - {"cls", "json"}
            with opened(location) as path:
                kept = self._seen(self._samples(location.url, path, Counter(), unread), found)
                for group in groups_of(kept, self.batch_bytes()):
                    columns.look(
                        (_json(row["json"]), lambda: masked(self.settings.path)) for row in group
                    )
        if not found["samples"]:
            raise SourceError(
                f"expected samples with a file {', '.join(sorted(self._needed))} in"
                f" {masked(self.settings.path)}, found none"
            )
        return found, columns

    def _seen(self, found: Iterable[Sample], n: Counter[str]) -> Iterator[dict[str, Any]]:
        """The JSON of samples that are counted on the way."""
        for sample in found:
            self._check(sample)
            n["samples"] += 1
            n["text"] += "txt" in sample.files
            if (label := sample.files.get("cls")) is not None:
                n["label"] += 1
                n["whole"] += _WHOLE.match(_text(label).strip()) is not None
            yield _own_json(sample)

    def _samples(
        self, given: str, path: Path, counts: Counter[str], unread: Collection[str] = ()
    ) -> Iterator[Sample]:
        found = members(path, given, self.settings.inflated_gib)
        return samples(found, self._wanted, counts, unread)

    def _check(self, sample: Sample) -> None:
        """Refuse a sample without its image or text, or with several images."""
        found = sorted(self._needed & set(sample.files))
        if not found or (len(found) > 1 and self.kind == "image"):
            what = "one image" if self.kind == "image" else "a .txt or .json"
            raise SourceError(
                f"{sample.place}: expected {what} in the sample {sample.key!r}, found"
                f" {found or 'none'} among {sorted(sample.files)}"
            )

    def _rows(
        self, given: str, path: Path, table: TableSchema, counts: Counter[str]
    ) -> Iterator[dict[str, Any]]:
        names = table.column_names
        has_whole_labels = "label" in names and table.column("label").type == "int64"
        for sample in self._samples(given, path, counts):
            self._check(sample)
            row = _own_json(sample)
            if self.kind == "image":
                picture = self._picture(sample, counts)
                if picture is None:
                    continue
                row |= picture
            if "txt" in sample.files:
                row["text"] = _text(sample.files["txt"])
            if "cls" in sample.files:
                label = _text(sample.files["cls"]).strip()
                row["label"] = int(label) if has_whole_labels else label
            yield row

    def _picture(self, sample: Sample, counts: Counter[str]) -> dict[str, Any] | None:
        (extension,) = _IMAGES & set(sample.files)
        file = sample.files[extension]
        try:
            return picture_of(file.content, self.settings.mode).row(f"{sample.key}.{extension}")
        except Unreadable as error:
            if not self.settings.skip_unreadable:
                raise SourceError(
                    f"{file.place} {error}; remove it, or set `skip_unreadable: true`"
                ) from error
            counts["unreadable_images"] += 1
            return None


def _text(file: File) -> str:
    return decoded(file.content, "it", lambda: file.place)


def _own_json(sample: Sample) -> dict[str, Any]:
    """The start of a row: the JSON of a sample in its bytes, checked; None: it has none."""
    file = sample.files.get("json")
    if file is None:
        return {"json": None}
    for _ in json_record(file.content, "it", lambda: file.place):
        pass
    return {"json": file.content}


def _json(content: bytes | None) -> Record:
    return () if content is None else json_record(content, "it", str)


def _expanded(path: str) -> list[str]:
    """The paths that ranges in braces stand for, the first range varying slowest."""
    pieces = _RANGE.split(path)
    choices: list[Sequence[str]] = []
    n_paths = 1
    for i in range(0, len(pieces) - 1, 3):
        first, last = pieces[i + 1], pieces[i + 2]
        numbers = range(int(first), int(last) + 1)
        n_paths *= len(numbers)
        if not 0 < n_paths <= MAX_SHARDS:
            raise ParamsError(
                f"source.path: expected 1 to {MAX_SHARDS} shards, found"
                f" {{{first}..{last}}} in {path!r}"
            )
        choices += [[pieces[i]], [f"{n:0{len(first)}d}" for n in numbers]]
    return ["".join(found) for found in itertools.product(*choices, [pieces[-1]])]
