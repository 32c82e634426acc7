"""The contract of a publishing target: a place where copies of versions stand for their readers.

A target holds whole copies, each with its attestation, and says which of them is *current*. A copy
is never current before it is whole. Every method may be called again, and after an interrupted
call of its own; then it finishes what was begun. `tasks.publishing.delivery` calls them in order.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from tasks.params import validated
from tasks.publishing.evidence import EVIDENCE_FOLDER
from tasks.publishing.manifest import Manifest
from tasks.publishing.tables import DATA_FOLDER, slugs_of
from tasks.schema import DatasetSchema, TableSchema
from tasks.shards import ROW_GROUP_ROWS
from tasks.versions import Version


@dataclass(frozen=True)
class Copy:
    """What a target copies: a version with the folder that holds its verified bytes."""

    version: Version
    folder: Path
    attestation: str
    """The text of the file beside it."""

    @property
    def number(self) -> int:
        """Of the version."""
        return self.version.number

    @property
    def manifest(self) -> Manifest:
        """What the folder consists of."""
        return Manifest.load(self.folder)

    @property
    def tables(self) -> list["CopiedTable"]:
        """The tables, in the order of the schema."""
        schema = DatasetSchema.load(self.folder / EVIDENCE_FOLDER)
        names = slugs_of([table.name for table in schema.tables])
        return [
            CopiedTable(table, slug, self.folder / DATA_FOLDER / slug)
            for table, slug in zip(schema.tables, names, strict=True)
        ]


@dataclass(frozen=True)
class CopiedTable:
    """One table of a copy."""

    schema: TableSchema
    slug: str
    """Its name where fewer characters are allowed than in names of tables."""
    folder: Path
    """Of its Parquet shards."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a row group at a time at most."""
        for shard in sorted(self.folder.glob("*.parquet")):
            with pq.ParquetFile(shard) as file:
                for i in range(file.num_row_groups):  # a batch over several holds any size
                    yield from file.iter_batches(ROW_GROUP_ROWS, row_groups=[i])

    @property
    def arrow_schema(self) -> pa.Schema:
        """Of the batches."""
        return pq.read_schema(min(self.folder.glob("*.parquet"))).remove_metadata()


class Target(ABC):
    """A place for the versions of one dataset."""

    Settings: ClassVar[type[BaseModel]]
    """Its keys in params.yaml beside `type`."""

    def __init__(
        self, settings: Mapping[str, Any], *, dataset: str, project: Path, where: str
    ) -> None:
        """Check the settings; nothing is connected to.

        Args:
            settings: as params.yaml has them.
            dataset: whose versions go there.
            project: relative paths start at its folder.
            where: names the settings in messages.

        Raises:
            ParamsError: a setting is unknown or of a wrong type.
        """
        self.settings: Any = validated(self.Settings, dict(settings), where)
        self.dataset = dataset
        self.project = project

    @property
    @abstractmethod
    def place(self) -> str:
        """How messages call it, without secrets; the same only where it is the same place."""

    @abstractmethod
    def held(self) -> dict[int, str]:
        """The sha256 of the manifest of each whole copy, by the number of its version."""

    @abstractmethod
    def current(self) -> int | None:
        """The number of the version that readers are shown; None: none is."""

    @abstractmethod
    def withdrawn(self) -> set[int]:
        """The numbers of the versions that a notice there says are withdrawn."""

    @abstractmethod
    def put(self, copy: Copy) -> None:
        """Let the target hold a whole copy; what is current stays."""

    def share(self, numbers: Collection[int]) -> None:  # noqa: B027 - most have nothing to do
        """Let those, and nobody else, read some of the copies whom the settings name now.

        Where a place has rights of its own, they are not ours to change, and nothing is done.
        """

    @abstractmethod
    def point(self, number: int | None) -> None:
        """Make one of the copies that it holds current, in one step; None: none."""

    @abstractmethod
    def withdraw(self, version: Version) -> None:
        """Put the notice of its withdrawal beside the copy of a version, which is not current."""

    @abstractmethod
    def drop(self, number: int) -> None:
        """Remove the copy of a version that is not current; its attestation and notice stay."""
