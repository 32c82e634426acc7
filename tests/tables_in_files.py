"""Reading files in tests: through the source, as the pipeline does."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.schema import arrow_schema
from tasks.sources.base import Part
from tasks.sources.files import FileSource


def source(project: Path, **settings: Any) -> FileSource:
    """The source of these settings."""
    return FileSource(settings, kind="tabular", target=None, project=project)


def read(project: Path, nth: int = 0, **settings: Any) -> pa.Table:
    """A table of files, with the types and the nullability that the schema says."""
    with source(project, **settings) as files:
        return _rows(files, files, nth)


def read_elsewhere(project: Path, nth: int = 0, **settings: Any) -> pa.Table:
    """As `read`, but the parts are read by another source, as another process would have it."""
    with source(project, **settings) as files, source(project, **settings) as other:
        return _rows(files, other, nth)


def _rows(files: FileSource, reader: FileSource, nth: int) -> pa.Table:
    known = files.schema().tables[nth]
    parts = [Part(json.loads(json.dumps(part.place))) for part in files.parts(known)]
    batches = [batch for part in parts for batch in reader.read_part(known, part)]
    schema = arrow_schema(known)
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)
