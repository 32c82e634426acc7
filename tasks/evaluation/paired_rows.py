"""Rows with an image and a text, few enough that both can be compared row by row."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.errors import DataError
from tasks.evaluation.rows import Part
from tasks.schema import DatasetSchema
from tasks.storage import count_rows, read_batches, write_dataset

MAX_PAIRS = 10_000
"""Rows of an origin that are compared at most: images and texts must be those of the same rows."""

OF_IMAGES = ("width", "height", "mode")
"""Columns that follow from the image, and are no labels."""


def labelled(schema: DatasetSchema) -> DatasetSchema:
    """The schema with a label as its target, if there is any column that can be one."""
    if schema.target is not None:
        return schema
    labels = [c.name for c in schema.main.columns_of("categorical", "boolean")]
    labels = [name for name in labels if name not in OF_IMAGES]
    return schema.model_copy(update={"target": labels[0] if labels else None})


@contextlib.contextmanager
def few_rows(
    tables: Mapping[Part, tuple[Path, str]], rng: np.random.Generator
) -> Iterator[dict[Part, tuple[Path, str]]]:
    """Folder and table of each part with at most `MAX_PAIRS` of its rows, drawn at random.

    Args:
        tables: folder and table of each part.
        rng: draws the rows.

    Raises:
        DataError: a part has no rows.
    """
    with tempfile.TemporaryDirectory(prefix="proofmint-pairs-") as scratch:
        places: dict[Part, tuple[Path, str]] = {}
        for part, (folder, name) in tables.items():
            n_rows = count_rows(folder, name)
            if n_rows == 0:
                raise DataError(f"expected rows in table {name!r} of {folder}, found none")
            if n_rows <= MAX_PAIRS:
                places[part] = (folder, name)
                continue
            kept = np.zeros(n_rows, dtype=bool)
            kept[rng.choice(n_rows, MAX_PAIRS, replace=False)] = True
            own = Path(scratch) / part
            own.mkdir()
            # Only the main table of a dataset is compared.
            schema = DatasetSchema.load(folder)
            main = schema.model_copy(update={"tables": (schema.table(name),)})
            write_dataset(own, main, {name: _taken(folder, name, kept)})
            places[part] = (own, name)
        yield places


def _taken(folder: Path, name: str, kept: np.ndarray) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in read_batches(folder, name):
        yield batch.filter(pa.array(kept[start : start + batch.num_rows]))
        start += batch.num_rows
