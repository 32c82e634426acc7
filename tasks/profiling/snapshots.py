"""The profile of the last snapshot of each dataset, and what has changed since.

    .proofmint/snapshots/<dataset>/profile.json     of the rows that were pulled last
    .proofmint/snapshots/<dataset>/drift.json       what was not as before when something last was not

Both are as private as the rows: quantiles are values, and a short list of hashes can be guessed. So
they are the owner's alone, and encrypted where the rows are. The rows themselves never depend on
them: losing them costs the comparison of one pull.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from tasks.errors import ProofmintError
from tasks.params import DatasetParams
from tasks.profiling.drift import Change, compare
from tasks.profiling.profile import DatasetProfile, profile
from tasks.registry import load
from tasks.schema import DatasetSchema
from tasks.seeding import rng_for
from tasks.sources.base import Source, with_meanings
from tasks.storage import count_rows, is_stored, read_group, read_json, row_groups, write_json

PROFILE_FILE = "profile.json"
DRIFT_FILE = "drift.json"

PROFILED_ROWS = 300_000
"""Of a table, from which its profile is taken: every n-th row group, if there are more rows."""

HINT_ROWS = 20_000
"""Of the source that are looked at where a column is missing."""

logger = logging.getLogger(__name__)


def report_drift(raw: Path, dataset: str, state: Path) -> list[Change]:
    """Compare the rows that were pulled with those of the pull before, log and keep what changed.

    Writes:
        state/snapshots/<dataset>: see above.

    Args:
        raw: the dataset that `ingest` wrote.
        dataset: its name.
        state: folder of what is kept but not versioned.

    Returns:
        The changes; none at the first pull.
    """
    schema = DatasetSchema.load(raw)
    tables = {table.name: _spread(raw, table.name) for table in schema.tables}
    now = profile(schema, tables, rng_for(0, "profile", dataset))
    folder = _folder(state, dataset)
    before = last_profile(state, dataset)
    changes = [] if before is None else compare(before, now)
    for change in changes:
        logger.warning("since the last snapshot: %s", change.text)
    if changes:
        found = [change.model_dump(mode="json") for change in changes]
        _write(folder / DRIFT_FILE, found, encrypt=schema.encrypted)
    _write(folder / PROFILE_FILE, now.model_dump(mode="json"), encrypt=schema.encrypted)
    return changes


def last_profile(state: Path, dataset: str) -> DatasetProfile | None:
    """The profile of the last pull; None: there is none, or this code cannot read it."""
    path = _folder(state, dataset) / PROFILE_FILE
    if not is_stored(path):
        return None
    try:
        return DatasetProfile.model_validate_json(json.dumps(read_json(path)))
    except (ValidationError, ProofmintError) as error:
        logger.warning("the profile of the last snapshot cannot be used: %s", str(error)[:200])
        return None


def hint(message: str, dataset: str, state: Path) -> str:
    """What to add to a message that names a column that was renamed since; often nothing.

    Args:
        message: of an error, which names columns in quotes.
        dataset: its name.
        state: as of `report_drift`.
    """
    path = _folder(state, dataset) / DRIFT_FILE
    if not is_stored(path):
        return ""
    try:
        known = [Change.model_validate(change) for change in read_json(path)]
    except (ValidationError, ProofmintError, TypeError):
        return ""
    return renames_in(message, known)


def hint_of_source(
    message: str, params: DatasetParams, project: Path, dataset: str, state: Path
) -> str:
    """As `hint`, for a pull that failed: the source is asked for some rows as they are now.

    Args:
        message: of the error.
        params: of the dataset.
        project: folder from which relative paths of the source count.
        dataset: its name.
        state: as of `report_drift`.
    """
    before = last_profile(state, dataset)
    if before is None:
        return ""
    try:
        return renames_in(message, compare(before, _profile_of_source(params, project)))
    except ProofmintError:
        return ""  # what went wrong is told already


def _profile_of_source(params: DatasetParams, project: Path) -> DatasetProfile:
    """Of the first rows of the main table; no target is asked for, because it may be gone."""
    source_class = load("tasks.sources", params.source.type, Source)  # type: ignore[type-abstract]
    opened = source_class(params.source.settings, kind=params.kind, target=None, project=project)
    with opened as source:
        schema = source.schema()
        main = schema.main
        batches, n_rows = [], 0
        for part in source.parts(main):
            for batch in source.read_part(main, part):
                batches.append(batch.slice(0, HINT_ROWS - n_rows))
                n_rows += batches[-1].num_rows
                if n_rows >= HINT_ROWS:
                    break
            if n_rows >= HINT_ROWS:
                break
        schema = DatasetSchema(
            kind=schema.kind, tables=(main.model_copy(update={"foreign_keys": ()}),)
        )
        if source.observes and batches:
            rows = {main.name: pa.Table.from_batches(batches)}
            schema = with_meanings(schema, rows, {})
    return profile(schema, {main.name: batches}, rng_for(0, "hint"))


def renames_in(message: str, changes: Sequence[Change]) -> str:
    """Sentences about the renamed columns that a message names."""
    found = [
        f"; {change.was!r} is gone, and {change.column!r} looks like it ({change.confidence:.2f})"
        for change in changes
        if change.kind == "renamed" and repr(change.was) in message
    ]
    return "".join(found)


def _spread(raw: Path, table: str) -> Iterator[pa.RecordBatch]:
    """Row groups of the whole table, evenly apart, that have `PROFILED_ROWS` together."""
    step = max(1, -(-count_rows(raw, table) // PROFILED_ROWS))
    for (path, i), _ in row_groups(raw, table)[::step]:
        yield from read_group(path, i)


def _folder(state: Path, dataset: str) -> Path:
    folder = state / "snapshots" / dataset
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _write(path: Path, content: object, *, encrypt: bool) -> None:
    for other in path.parent.glob(f"{path.name}*"):
        other.unlink()  # of a time when it was, or was not, encrypted
    write_json(path, content, encrypt=encrypt)
    for written in path.parent.glob(f"{path.name}*"):
        written.chmod(0o600)
