"""Stage: clean the raw data."""

import logging
from pathlib import Path

from tasks.cleaning.base import Cleaner
from tasks.errors import DataError
from tasks.params import DatasetParams
from tasks.registry import load
from tasks.schema import DatasetSchema
from tasks.storage import count_rows, new_folder, read_batches, write_dataset, write_json

logger = logging.getLogger(__name__)


def clean(raw: Path, out: Path, params: DatasetParams) -> None:
    """Leave out the columns and rows that the settings name, and count them.

    Reads:
        raw: a dataset.

    Writes:
        out: the dataset, and `report.json` with what was left out.

    Raises:
        ParamsError: a column to leave out does not exist or is the target.
        DataError: no row is left.
    """
    schema = DatasetSchema.load(raw)
    cleaner_class = load("tasks.cleaning", schema.kind, Cleaner)  # type: ignore[type-abstract]
    cleaner = cleaner_class(schema, params.clean)
    before = {table.name: count_rows(raw, table.name) for table in schema.tables}
    with new_folder(out) as draft:
        after = write_dataset(
            draft,
            cleaner.schema,
            {name: cleaner.clean(name, read_batches(raw, name)) for name in before},
        )
        if after[schema.main.name] == 0:
            raise DataError(
                f"expected rows in {schema.main.name!r} after cleaning, found none: {cleaner.counts}"
                f" of {before[schema.main.name]} rows were left out; relax `clean`"
            )
        report = {
            "rows_before": before,
            "rows": after,
            "dropped_rows": cleaner.counts,
            "dropped_columns": params.clean.drop_columns,
        }
        write_json(draft / "report.json", report)
    for name, n_rows in after.items():
        logger.info("%s: %s of %s rows kept", name, f"{n_rows:,}", f"{before[name]:,}")
