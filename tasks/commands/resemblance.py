"""How close synthetic rows come to the real ones, in two figures and their references.

A first glance, not a proof: `evaluate` and `audit` measure many more things on rows that the
generator has not seen.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.errors import DataError
from tasks.schema import DatasetSchema
from tasks.storage import write_dataset

MAX_ROWS = 10_000
"""Synthetic rows that are looked at, and twice as many real ones."""

MAX_COLUMNS = 30
"""Columns that are looked at, evenly chosen; pairs of more would take too long."""


def summary(folder: Path, schema: DatasetSchema, real: pa.Table, synthetic: pa.Table) -> str:
    """A sentence about how far single columns and pairs of columns are from the real rows.

    The real rows are halved: the synthetic rows and the second half are held against the first, so
    that the second says how far apart real rows are.

    Args:
        folder: for what is compared; it may not exist yet.
        schema: of both tables.
        real: rows, evenly chosen.
        synthetic: rows.

    Returns:
        The sentence; empty where no columns can be compared.
    """
    from tasks.evaluation.comparison import load
    from tasks.evaluation.fidelity.pairs import trend_errors
    from tasks.evaluation.fidelity.shapes import shape_errors

    schema = _fewer_columns(schema)
    names = schema.main.column_names
    half = real.num_rows // 2
    sets = {
        folder / "train": real.take(pa.array(np.arange(half) * 2)),
        folder / "holdout": real.take(pa.array(np.arange(half) * 2 + 1)),
        folder / "synthetic": synthetic.slice(0, half),
    }
    for place, table in sets.items():
        place.mkdir(parents=True)
        write_dataset(place, schema, {schema.main.name: table.select(names).to_batches()})
    try:
        found = load(folder, folder / "synthetic", seed=0)
    except DataError:  # nothing but identifiers and texts
        return ""
    n_columns = (len(found.numeric), len(found.discrete))
    train, others = found.every["train"], (found.every["synthetic"], found.every["holdout"])
    shapes = [_mean(shape_errors(train, other, n_columns)) for other in others]
    pairs = [_mean(trend_errors(train, other, n_columns, "real")) for other in others]
    if np.isnan(shapes).any():
        return ""
    sentence = "Distance from the real rows, in parentheses that of other real rows:"
    sentence += f" columns {shapes[0]:.1f} % ({shapes[1]:.1f} %)"
    return sentence + (
        "." if np.isnan(pairs).any() else f", pairs {pairs[0]:.1f} % ({pairs[1]:.1f} %)."
    )


def _fewer_columns(schema: DatasetSchema) -> DatasetSchema:
    table = schema.main
    compared = [
        c for c in table.columns if c.meaning not in ("identifier", "text")
    ] or table.columns
    places = np.unique(np.linspace(0, len(compared) - 1, MAX_COLUMNS).round().astype(int))
    columns = tuple(compared[i] for i in places)
    return schema.model_copy(
        update={"tables": (table.model_copy(update={"columns": columns}),), "target": None}
    )


def _mean(errors: np.ndarray) -> float:
    return float("nan") if np.isnan(errors).all() else float(np.nanmean(errors))
