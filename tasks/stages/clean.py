"""Stage: clean the raw data."""

import logging
from pathlib import Path
from typing import Any

from tasks.cleaning.passes import Cleaner
from tasks.cleaning.plan import plan
from tasks.engines.base import Engine
from tasks.errors import DataError, ParamsError, SchemaError
from tasks.params import DatasetParams
from tasks.registry import load
from tasks.schema import DatasetSchema
from tasks.storage import count_rows, new_folder, write_dataset, write_json

logger = logging.getLogger(__name__)


def clean(raw: Path, out: Path, params: DatasetParams, *, state: Path | None = None) -> None:
    """Do to the rows and values what the settings ask for, and count every change.

    Reads:
        raw: a dataset.

    Writes:
        out: the dataset, and `report.json` with what each step did to each table.

    Args:
        raw: folder to read.
        out: folder to write.
        params: of the dataset; `clean`, `constraints`, `engine` and `seed` count here.
        state: where the project keeps the key of pseudonyms; None: only the environment has one.

    Raises:
        ParamsError: a setting is wrong, or does not fit the columns.
        DataError: the data cannot be cleaned so, or no row is left.
    """
    planned = plan(params.clean)
    engine = load("tasks.engines", params.engine, Engine)()  # type: ignore[type-abstract]
    with engine, new_folder(out) as draft:
        cleaner = Cleaner(raw, engine, planned, params.seed, state)
        schema = _constrained(cleaner.schema, params)
        tables = [table.name for table in schema.tables]
        before = {name: count_rows(raw, name) for name in tables}
        after = write_dataset(draft, schema, {name: cleaner.clean(name) for name in tables})
        steps = cleaner.report()
        main = schema.main.name
        if after[main] == 0:
            dropped = {name: done[main]["rows_dropped"] for name, done in steps.items() if done}
            raise DataError(
                f"expected rows in {main!r} after cleaning, found none of {before[main]:,}; left out"
                f" by { ({name: n for name, n in dropped.items() if n}) }; relax `clean`"
            )
        report = {"rows_before": before, "rows": after, "steps": steps}
        write_json(draft / "report.json", report, encrypt=schema.encrypted)
    _log(steps)
    for name, n_rows in after.items():
        logger.info("%s: %s of %s rows kept", name, f"{n_rows:,}", f"{before[name]:,}")


def _constrained(schema: DatasetSchema, params: DatasetParams) -> DatasetSchema:
    """The schema with the declared constraints, but for those of columns that were left out."""
    names = set(schema.main.column_names)
    try:
        main = schema.main.constrained([c for c in params.constraints if names.issuperset(c.names)])
    except SchemaError as error:
        raise ParamsError(f"after cleaning: {error}") from error
    return schema.model_copy(update={"tables": (main, *schema.tables[1:])})


def _log(steps: dict[str, dict[str, Any]]) -> None:
    """One line for each step and table that was changed."""
    for step, tables in steps.items():
        for table, effect in tables.items():
            changes = [
                f"{sum(columns.values()):,} {what.replace('_', ' ')} ({', '.join(columns)})"
                for what, columns in effect.items()
                if what not in ("rows_dropped", "learned")
            ]
            if effect["rows_dropped"]:
                changes.append(f"{effect['rows_dropped']:,} rows left out")
            if changes:
                logger.info("%s: %s: %s", table, step, "; ".join(changes))
