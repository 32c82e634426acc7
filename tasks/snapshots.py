"""What the last run read of a source that can say what came since, kept in the on-disk cache.

    .proofmint/cache/snapshots/<sha256 of what decides the rows>.json    which entry is the last one
    .proofmint/cache/snapshots/<sha256 of the entry's name>/             the rows and their ends

A snapshot is complete: the rows that a full read would give. The next run reads what came since,
puts it in place of the rows that it replaces and at the end, and has the complete rows again. A
snapshot never changes: a new one is written beside it, and then the pointer is replaced, so a run
that is killed leaves the old one, and two runs at once leave one of theirs.

Losing the cache costs a full read; so does any change of settings, columns, server or reading code.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.cache import Cache, Entry
from tasks.errors import DataError
from tasks.params import SourceParams
from tasks.schema import DatasetSchema
from tasks.storage import digest, read_json, write_json
from tasks.workspace import locked

_NO_MATTER = ("memory_mib", "workers", "meanings", "personal")
"""Settings that do not decide which rows a source gives."""

_READERS = Path(__file__).parent / "sources"

_FACTS_FILE = "snapshot.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The rows of the last run; they stay in the cache as long as somebody has this object.

    Attributes:
        folder: with the shards of each table.
        ends: by table, where its rows end: what `Source.end_of` said.
        counts: of `Source.counts`.
    """

    folder: Path
    ends: Mapping[str, dict[str, Any]]
    counts: Mapping[str, int]
    _entry: Entry = field(repr=False)


class Snapshots:
    """The snapshots of one source with these settings."""

    def __init__(self, cache: Cache, params: SourceParams, schema: DatasetSchema) -> None:
        """Args: schema: as the source declares it."""
        settings = {k: v for k, v in params.settings.items() if k not in _NO_MATTER}
        decisive = {
            "type": params.type,
            "settings": settings,
            "server": _server(settings.get("connection")),
            "schema": schema.model_dump(mode="json"),
            "code": [digest(path) for path in sorted(_READERS.rglob("*.py"))],
        }
        self._cache = cache
        self._key = json.dumps(decisive, sort_keys=True)
        name = hashlib.sha256(self._key.encode()).hexdigest()
        self._pointer = cache.folder / "snapshots" / f"{name}.json"

    def last(self) -> Snapshot | None:
        """The snapshot of the last run, if it is still there."""
        if (name := self._pointed()) is None:
            return None
        if (entry := self._cache.find("snapshots", name)) is None:
            _log.info("the rows of the last run have left the cache: all are read again")
            return None
        try:
            facts = read_json(entry.folder / _FACTS_FILE)
            return Snapshot(entry.folder, facts["ends"], facts["counts"], entry)
        except (DataError, KeyError, TypeError) as error:
            _log.warning("the snapshot of the last run cannot be used (%s): all is read", error)
            return None

    def save(
        self,
        dataset: Path,
        ends: Mapping[str, dict[str, Any]],
        counts: Mapping[str, int],
        *,
        encrypt: bool,
    ) -> None:
        """Make the tables of a dataset that have an end the last snapshot.

        The files are shared with the dataset where the disk can (hard links), else copied. Ends are
        values of rows: they are encrypted where the rows are.
        """
        name = uuid.uuid4().hex

        def fill(draft: Path) -> None:
            for table in ends:
                (draft / table).mkdir()
                for shard in sorted((dataset / table).iterdir()):
                    _link(shard, draft / table / shard.name)
            facts = {"ends": dict(ends), "counts": dict(counts)}
            write_json(draft / _FACTS_FILE, facts, encrypt=encrypt)

        n_bytes = sum(p.stat().st_size for table in ends for p in (dataset / table).iterdir())
        entry = self._cache.get("snapshots", name, fill, n_bytes)
        with locked(self._pointer.with_suffix(".pointer.lock")):
            before = self._pointed()
            write_json(self._pointer, {"entry": name})
        entry.release()
        if before is not None:
            self._cache.drop("snapshots", before)

    def _pointed(self) -> str | None:
        """The name of the last entry."""
        try:
            return str(read_json(self._pointer)["entry"])
        except (DataError, KeyError, TypeError):  # none, or not ours
            return None


class Merge:
    """Old rows without those that new rows replace.

    Attributes:
        n_replaced: old rows that were left out so far.
        missing: by column, the missing values of these.
    """

    def __init__(self, new_keys: pa.Table) -> None:
        """Args: new_keys: of the new rows, what recognises them; no columns: nothing is replaced."""
        names = new_keys.column_names
        self._names = names
        self._new_keys = new_keys.rename_columns([str(i) for i in range(len(names))])
        self.n_replaced = 0
        self.missing: Counter[str] = Counter()

    def kept(self, old: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The old rows whose key no new row has, in their order."""
        for batch in old:
            if not self._names:
                yield batch
                continue
            keys = pa.table([batch[name] for name in self._names], self._new_keys.schema)
            keys = keys.append_column("row", pa.array(range(len(keys)), pa.int64()))
            kept = keys.join(
                self._new_keys,
                self._new_keys.column_names,
                join_type="left anti",
                use_threads=False,
            )["row"]
            if len(kept) == len(batch):
                yield batch
                continue
            rest = batch.take(kept.combine_chunks().sort())  # a join promises no order
            self.n_replaced += len(batch) - len(rest)
            for name in batch.schema.names:
                self.missing[name] += batch[name].null_count - rest[name].null_count
            yield rest


def _server(connection: str | None) -> str | None:
    """Which server a connection's variable leads to, without its password, as a digest."""
    if connection is None:
        return None
    value = os.environ.get(connection) or os.environ.get(f"AIRFLOW_CONN_{connection.upper()}", "")
    with contextlib.suppress(ValueError):
        if value.lstrip().startswith("{"):
            content = json.loads(value)
            kept = {k: content[k] for k in sorted(content) if k not in ("password", "extra")}
            value = json.dumps(kept)
        else:
            parts = urlsplit(value)
            where = (parts.scheme, parts.username, parts.hostname, parts.port, parts.path)
            value = json.dumps(where)
    return hashlib.sha256(value.encode()).hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
