"""Target `delta`: a Delta table for each table, in a folder or in S3.

    <path>/<dataset>/<table>/              its latest version is the current one of the dataset
    <path>/<dataset>/v2.json               which Delta version of each table belongs to v2
    <path>/<dataset>/v2.attestation.json
    <path>/<dataset>/current.json          the v….json that is current

A table changes in one commit, which names version and digest; older versions are there by time
travel until retention vacuums them. A dataset of several tables changes one by one: readers who
join them take the Delta versions that `current.json` names.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field, ValidationError

from tasks.errors import TargetUnavailable, WorkspaceError
from tasks.operation import ConnectionName, Record
from tasks.publishing.targets._folders import folder_of
from tasks.publishing.targets._objects import answering, connection, in_store, object_store
from tasks.publishing.targets.base import CopiedTable, Copy, Target
from tasks.publishing.targets.folder import write_whole
from tasks.versions import Version

_DATASET, _DIGEST = "proofmint.version", "proofmint.manifest_sha256"
"""What commits say of themselves."""

_NARROWER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.null(): pa.string(),
}
"""Types that Delta has not, and those that hold all their values."""


class DeltaSettings(Record):
    """Settings of the target `delta`."""

    path: str = Field(
        min_length=1, description="folder, or s3://bucket/prefix, that holds one for each dataset"
    )
    connection: ConnectionName | None = Field(
        default=None,
        description="of S3: names the variable, or Airflow connection, with the credentials; null:"
        " those of the AWS variables",
    )
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@]+/?$",
        description="of an S3 store that is not Amazon's",
    )
    retention_hours: int = Field(
        default=168,
        ge=0,
        description="files of dropped versions stay so long for readers that are at it",
    )


class _Record(Record):
    """What v2.json and current.json say."""

    dataset: str
    version: str = Field(pattern=r"^v[0-9]+$")
    manifest_sha256: str
    tables: dict[str, int]
    """The Delta version of each."""

    @property
    def number(self) -> int:
        """Of the version."""
        return int(self.version.removeprefix("v"))

    @property
    def text(self) -> str:
        """What is written."""
        return self.model_dump_json(indent=1) + "\n"


class DeltaTarget(Target):
    """Versions as commits of Delta tables."""

    Settings = DeltaSettings
    _opened: Any = None

    def __init__(
        self, settings: Mapping[str, Any], *, dataset: str, project: Path, where: str
    ) -> None:
        """See `Target`."""
        super().__init__(settings, dataset=dataset, project=project, where=where)
        path: str = self.settings.path
        self._in_s3 = path.startswith("s3://")
        if self._in_s3:
            self._base = f"{path.rstrip('/')}/{dataset}"
        else:
            self._base = str(folder_of(path, dataset=dataset, project=project, where=where))

    @property
    def place(self) -> str:
        """See `Target.place`."""
        if not self._in_s3:
            return self._base
        return in_store(self._base, self.settings.connection, self.settings.endpoint)

    def held(self) -> dict[int, str]:
        """See `Target.held`: versions with a record, which is written last."""
        return {number: record.manifest_sha256 for number, record in self._records().items()}

    def current(self) -> int | None:
        """See `Target.current`."""
        record = self._read("current.json")
        return None if record is None else record.number

    def withdrawn(self) -> set[int]:
        """See `Target.withdrawn`."""
        names = (re.fullmatch(r"v(\d+)\.withdrawn\.json", name) for name in self._names())
        return {int(number[1]) for number in names if number}

    def put(self, copy: Copy) -> None:
        """See `Target.put`: one commit a table, which those see who take a table's latest version."""
        commits = {}
        for table in copy.tables:
            found = self._commit_of(table.slug, copy.version)
            commits[table.slug] = self._commit(copy, table) if found is None else found
        record = _Record(
            dataset=self.dataset,
            version=copy.version.name,
            manifest_sha256=copy.version.digest,
            tables=commits,
        )
        self._write(f"{copy.version.name}.attestation.json", copy.attestation)
        self._write(f"{copy.version.name}.json", record.text)

    def point(self, number: int | None) -> None:
        """See `Target.point`: tables go back to the commits of the version, then the pointer moves."""
        if number is None:
            self._remove("current.json")
            for slug in {slug for record in self._records().values() for slug in record.tables}:
                self._empty(slug)
            return
        record = self._records()[number]
        for slug, commit in record.tables.items():
            self._restore(slug, commit, record)
        self._write("current.json", record.text)

    def withdraw(self, version: Version) -> None:
        """See `Target.withdraw`."""
        if version.withdrawn is not None:
            self._write(f"{version.name}.withdrawn.json", version.withdrawn.notice)

    def drop(self, number: int) -> None:
        """See `Target.drop`; the files of its commits go once nobody can be reading them."""
        doomed = self._records()[number]
        self._remove(f"v{number}.json")
        kept = [record.tables for record in self._records().values()]
        for slug in doomed.tables:
            table = self._table(slug)
            with _answering():
                table.vacuum(
                    retention_hours=self.settings.retention_hours,
                    enforce_retention_duration=False,
                    dry_run=False,
                    keep_versions=[*{tables[slug] for tables in kept if slug in tables}],
                )

    def _commit(self, copy: Copy, table: CopiedTable) -> int:
        from deltalake import write_deltalake

        schema = pa.schema([field.with_type(_storable(field.type)) for field in table.arrow_schema])
        rows = pa.RecordBatchReader.from_batches(schema, _cast(table.batches(), schema))
        with _answering():
            write_deltalake(
                self._uri(table.slug),
                rows,
                mode="overwrite",
                schema_mode="overwrite",
                storage_options=self._options,
                commit_properties=_marked(copy.version.name, copy.version.digest),
            )
        return int(self._table(table.slug).version())

    def _commit_of(self, slug: str, version: Version) -> int | None:
        """The commit of an earlier try."""
        from deltalake import DeltaTable

        with _answering():
            if not DeltaTable.is_deltatable(self._uri(slug), self._options):
                return None
            for entry in self._table(slug).history():
                if (entry.get(_DATASET), entry.get(_DIGEST)) == (version.name, version.digest):
                    return int(entry["version"])
        return None

    def _restore(self, slug: str, commit: int, record: _Record) -> None:
        table = self._table(slug)
        marks = (record.version, record.manifest_sha256)
        with _answering():
            # Vacuums are commits, too; none of them changes what is current.
            last = next(entry for entry in table.history() if _DATASET in entry)
            if (last[_DATASET], last[_DIGEST]) != marks:
                table.restore(commit, commit_properties=_marked(*marks))

    def _empty(self, slug: str) -> None:
        from deltalake import write_deltalake

        table = self._table(slug)
        with _answering():
            rows = pa.RecordBatchReader.from_batches(pa.schema(table.schema().to_arrow()), [])
            properties = _marked("none", "")
            write_deltalake(table, rows, mode="overwrite", commit_properties=properties)

    def _table(self, slug: str) -> Any:
        from deltalake import DeltaTable

        with _answering():
            return DeltaTable(self._uri(slug), storage_options=self._options)

    def _uri(self, slug: str) -> str:
        return f"{self._base}/{slug}"

    @property
    def _options(self) -> dict[str, str] | None:
        """What the library needs to let us into S3; None: it finds that by itself, or needs none."""
        if not self._in_s3:
            return None
        known = connection(self.settings.connection)
        options = known.options("s3") if known else {}
        endpoint = self.settings.endpoint or options.get("endpoint_url")
        region = (options.get("client_kwargs") or {}).get("region_name")
        found = {
            "AWS_ACCESS_KEY_ID": options.get("key"),
            "AWS_SECRET_ACCESS_KEY": options.get("secret"),
            "AWS_SESSION_TOKEN": options.get("token"),
            "AWS_REGION": region,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true" if str(endpoint).startswith("http://") else None,
            "connect_timeout": "5s",
            "timeout": "60s",
            "max_retries": "2",
            "retry_timeout": "20s",
        }
        return {name: str(value) for name, value in found.items() if value}

    def _records(self) -> dict[int, _Record]:
        names = self._names()
        found = (self._read(name) for name in names if re.fullmatch(r"v\d+\.json", name))
        return {record.number: record for record in found if record is not None}

    def _names(self) -> list[str]:
        if not self._in_s3:
            base = Path(self._base)
            return [place.name for place in base.iterdir()] if base.is_dir() else []
        with answering():
            try:
                return [Path(path).name for path in self._system.ls(self._base, detail=False)]
            except FileNotFoundError:
                return []

    def _read(self, name: str) -> _Record | None:
        try:
            if self._in_s3:
                with answering():
                    text = self._cat(name)
            else:
                text = (Path(self._base) / name).read_bytes()
            return None if text is None else _Record.model_validate_json(text)
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise WorkspaceError(f"{name} is not what was written there; move it away") from error

    def _cat(self, name: str) -> bytes | None:
        try:
            text: bytes = self._system.cat_file(f"{self._base}/{name}")
        except FileNotFoundError:
            return None
        return text

    def _write(self, name: str, text: str) -> None:
        if self._in_s3:
            with answering():
                self._system.pipe_file(f"{self._base}/{name}", text.encode())
        else:
            Path(self._base).mkdir(parents=True, exist_ok=True)
            write_whole(Path(self._base) / name, text)

    def _remove(self, name: str) -> None:
        if not self._in_s3:
            (Path(self._base) / name).unlink(missing_ok=True)
        elif self._read(name) is not None:
            with answering():
                self._system.rm_file(f"{self._base}/{name}")

    @property
    def _system(self) -> Any:
        if self._opened is None:
            self._opened = object_store(
                self._base, self.settings.connection, self.settings.endpoint
            )
        return self._opened


def _marked(version: str, digest: str) -> Any:
    from deltalake import CommitProperties

    return CommitProperties(custom_metadata={_DATASET: version, _DIGEST: digest})


def _storable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return pa.string()
    return _NARROWER.get(kind, kind)


def _cast(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = [
            column if column.type == field.type else _cast_column(column, field.type)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.record_batch(columns, schema=schema)


def _cast_column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_duration(column.type):  # Arrow has no text of it
        return column.cast(pa.int64()).cast(kind)
    return column.cast(kind, safe=not pa.types.is_timestamp(kind))


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Turn what the library raises into errors with a message."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError) as error:
        message = " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())[:300]
        raise TargetUnavailable(f"{type(error).__name__}: {message}") from error
