"""The rows of a source whose date lies between two days: what makes a partition of a dataset.

A day begins at midnight. A date is compared with the day; a timestamp without a time zone with that
day's midnight as it is written; one with a time zone with the moment of midnight in `timezone`. A
row without a date is between no two days.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tasks.errors import ParamsError
from tasks.operation import TimeZone
from tasks.params import Record
from tasks.schema import DatasetSchema, TableSchema, arrow_type

logger = logging.getLogger(__name__)

_DAY = r"^\d{4}-\d{2}-\d{2}$"


class Between(Record):
    """Settings of `source: {between: …}`; the entry of a partition has them."""

    column: str = Field(min_length=1, description="of dates or timestamps")
    start: str = Field(pattern=_DAY, description="the first day that is read")
    end: str = Field(pattern=_DAY, description="the day after the last one")
    timezone: TimeZone = Field(
        default="UTC", description="in which days begin, for timestamps with a time zone"
    )

    @model_validator(mode="after")
    def _is_an_interval(self) -> Self:
        if dt.date.fromisoformat(self.end) <= dt.date.fromisoformat(self.start):
            raise ValueError("expected `end` after `start`")
        return self

    def bounds(self, table: str, column_type: pa.DataType | None) -> tuple[Any, Any]:
        """The first value, and the first one beyond, as the column has them.

        Args:
            table: name for messages.
            column_type: of the column; None: the table has none of this name.

        Raises:
            ParamsError: there is no such column, or it holds no dates.
        """
        days = [dt.date.fromisoformat(day) for day in (self.start, self.end)]
        kind = _of_dates(table, self.column, column_type)
        if pa.types.is_date(kind):
            return days[0], days[1]
        zone = None if kind.tz is None else ZoneInfo(self.timezone)
        first, beyond = (dt.datetime.combine(day, dt.time(), zone) for day in days)
        return first, beyond

    def __str__(self) -> str:
        return f"{self.column!r} from {self.start} to before {self.end}"


def check_schema(schema: DatasetSchema, column: str) -> None:
    """That rows of this source can be told by the dates of a column.

    Raises:
        ParamsError: it has several tables, or no such column.
    """
    if len(schema.tables) > 1:
        raise ParamsError(
            "partition: expected a source of one table, found"
            f" {', '.join(table.name for table in schema.tables)}; join them in a `query` or a view"
        )
    main = schema.main
    kind = arrow_type(main.column(column)) if column in main.column_names else None
    _of_dates(main.name, column, kind)


def rows_between(
    batches: Iterator[pa.RecordBatch], table: TableSchema, between: Between
) -> Iterator[pa.RecordBatch]:
    """The rows whose date lies between the days, in their order.

    How many have no date, and so are in no partition, is logged; it is in no report, because it
    would make every partition another one whenever such a row comes anywhere.

    Args:
        batches: of the table.
        table: `check_schema` has seen it.
        between: which rows.
    """
    kind = arrow_type(table.column(between.column))
    first, beyond = (pa.scalar(value, kind) for value in between.bounds(table.name, kind))
    n_kept = n_missing = 0
    for batch in batches:
        values = batch[between.column].cast(kind)
        inside = pc.and_(pc.greater_equal(values, first), pc.less(values, beyond))
        n_missing += values.null_count
        kept = batch if pc.all(inside, skip_nulls=False).as_py() else batch.filter(inside)
        n_kept += kept.num_rows
        if kept.num_rows:
            yield kept
    logger.info("%s: %s rows have %s", table.name, f"{n_kept:,}", between)
    if n_missing:
        warn_of_missing(table.name, between, n_missing)


def warn_of_missing(table: str, between: Between, n_missing: int) -> None:
    """Tell of rows that no partition has."""
    logger.warning(
        "%s: %s rows have no %r and are in no partition; give them a date, or a `query` that does",
        *(table, f"{n_missing:,}", between.column),
    )


def _of_dates(table: str, column: str, found: pa.DataType | None) -> pa.DataType:
    if found is not None and (pa.types.is_date(found) or pa.types.is_timestamp(found)):
        return found
    holds = "found none" if found is None else f"it holds {found}"
    raise ParamsError(
        f"partition.column: expected the dates or timestamps {column!r} in table {table!r}, {holds};"
        " name another column, or make one in a `query`"
    )
