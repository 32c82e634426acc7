"""Hold tables against suites with Great Expectations, and keep its Data Docs.

This, custom.py, which tells it of our own expectations, and without_spark.py are all that import the
library. An examination leaves nothing behind; its results then go
into one set of Data Docs, outside of git, one writer at a time.
"""

import tasks.gates.without_spark  # before the library

# isort: split
import datetime as dt
import logging
import shutil
import tempfile
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.core import ExpectationSuiteValidationResult, RunIdentifier
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from pydantic import BaseModel, ConfigDict, Field

import great_expectations as gx
import tasks.gates.custom  # noqa: F401  the library finds our expectations by their classes
from tasks.errors import ParamsError
from tasks.gates.expectations import describe, observe
from tasks.gates.suites import Expected
from tasks.workspace import locked

CONFIG_FILE = "great_expectations.yml"
KEPT_RUNS = 10
"""Examinations of one gate that Data Docs keep."""

logger = logging.getLogger(__name__)


class Check(BaseModel):
    """What became of one expectation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(description="kind of the expectation")
    target: str = Field(description="column, columns or metric; empty: the table as a whole")
    description: str = Field(description="what was expected of the target")
    passed: bool = Field(description="whether it was so")
    observed: str = Field(description="what was found: counts and extremes, no rows")


@dataclass(frozen=True)
class Examination:
    """One table held against its expectations."""

    table: str
    checks: tuple[Check, ...]
    result: ExpectationSuiteValidationResult
    """As Great Expectations gives it, for its Data Docs."""


def to_frame(table: pa.Table, placeholders: Sequence[str] = ()) -> pd.DataFrame:
    """A table as the library takes it: dates as moments, decimals as doubles.

    Numbers that are none (NaN, infinity) are missing values, as cleaning makes them of raw data.

    Args:
        table: the columns whose values are needed.
        placeholders: the names of all columns, in order; those that `table` lacks get no values.
    """
    table = finite(table)
    columns = {name: _to_series(table[name]) for name in table.column_names}
    nothing = pd.Series(False, index=range(table.num_rows))
    return pd.DataFrame({name: columns.get(name, nothing) for name in placeholders or columns})


def finite(table: pa.Table) -> pa.Table:
    """The table with missing values in place of NaN and infinity."""
    for i, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            is_known = pc.is_finite(table[i])
            values = pc.if_else(is_known, table[i], pa.scalar(None, field.type))
            table = table.set_column(i, field.with_nullable(True), values)
    return table


def examine(
    table: str, frame: pd.DataFrame, expectations: Sequence[Expected], personal: frozenset[str]
) -> Examination:
    """Hold one table against its expectations.

    Args:
        table: its name.
        frame: its values, at least those that the expectations need.
        expectations: in the order in which they are reported.
        personal: columns of which no value may be quoted.

    Raises:
        ParamsError: an expectation is unknown, or its arguments are wrong.
    """
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        ),
    )
    suite = gx.ExpectationSuite(name=table)
    suite.expectations = [_build(expected, i) for i, expected in enumerate(expectations)]
    asset = context.data_sources.add_pandas("proofmint").add_dataframe_asset(table)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    # Lists of wrong values are rows of real data; counts are enough.
    quiet = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
    result = batch.validate(suite, result_format=quiet)
    found = {content["expectation_config"]["id"]: content for content in _contents(result)}
    secret = {
        _id(i)
        for i, expected in enumerate(expectations)
        if not personal.isdisjoint(expected.columns(frame.columns))
    }
    checks = tuple(
        _check(expected, found[_id(i)], frame, personal=_id(i) in secret)
        for i, expected in enumerate(expectations)
    )
    _mend(result, {_id(i): check for i, check in enumerate(checks)}, secret)
    return Examination(table, checks, result)


def publish_docs(
    name: str, examinations: Sequence[Examination], *, config: Path, docs: Path
) -> Path | None:
    """Add the results to the Data Docs and return their first page.

    A failure is logged and not raised, because the verdict stands without the pages.

    Args:
        name: of the gate, `<dataset>_<gate>`.
        examinations: of its tables.
        config: the folder with `great_expectations.yml`, which is read and never written.
        docs: the folder of all results and pages.
    """
    with locked(docs / "lock"):
        for _ in range(2):
            try:
                _add_to_docs(name, examinations, config, docs)
                return docs / "site" / "index.html"
            except Exception as error:  # the library raises of all kinds
                # A result that a killed run left half-written would stop every later one.
                logger.warning(
                    "Data Docs are begun anew after %s: %.200s", type(error).__name__, error
                )
                shutil.rmtree(docs / "stores", ignore_errors=True)
                shutil.rmtree(docs / "site", ignore_errors=True)
    return None


def _add_to_docs(name: str, examinations: Sequence[Examination], config: Path, docs: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        # The library writes into the folder of its settings, so it gets a copy.
        shutil.copy(config / CONFIG_FILE, scratch)
        context = gx.get_context(
            mode="file",
            context_root_dir=scratch,
            runtime_environment={"PROOFMINT_DATA_DOCS": str(docs)},
        )
        _forget_old_runs(docs, name)
        run = RunIdentifier(run_name=name, run_time=dt.datetime.now(tz=dt.UTC))
        for examination in examinations:
            suite = ExpectationSuiteIdentifier(name=name)
            key = ValidationResultIdentifier(suite, run, examination.table)
            examination.result.suite_name = name
            context.validation_results_store.set(key, examination.result)
        context.build_data_docs()


def _id(i: int) -> str:
    """Tells the results apart, which the library gives in another order."""
    return str(uuid.UUID(int=i))


def _mend(
    result: ExpectationSuiteValidationResult, checks: Mapping[str, Check], secret: Collection[str]
) -> None:
    """Let Data Docs show our words where it may not, or in version 1.24 cannot, show its own.

    Its renderer wants `unexpected_percent` beside every `unexpected_count`, but results about sets
    of distinct values have none. Other results, and messages of exceptions, quote values.
    """
    for r in result.results:
        if r.expectation_config is None:
            continue
        number = str(r.expectation_config.id)
        observed = checks[number].observed
        fits = "unexpected_percent" in r.result or "unexpected_count" not in r.result
        quotes = number in secret and "unexpected_percent" not in r.result
        if quotes or not fits:
            r.result = {"observed_value": observed}
        if number in secret and _fault(r.exception_info):
            r.exception_info = {
                "raised_exception": True,
                "exception_message": observed,
                "exception_traceback": "",
            }


def _contents(result: ExpectationSuiteValidationResult) -> list[dict[str, Any]]:
    return [dict(r.to_json_dict()) for r in result.results]


def _to_series(values: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_integer(values.type) and values.null_count:
        # As floats they would lose digits.
        name = str(values.type).replace("int", "Int").replace("uInt", "UInt")
        series: pd.Series = values.to_pandas(types_mapper=lambda _: pd.api.types.pandas_dtype(name))
    else:
        series = values.to_pandas(date_as_object=False)
    return series


def _build(expected: Expected, i: int) -> Any:
    try:
        configuration = ExpectationConfiguration(
            type=expected.type, kwargs=expected.kwargs, id=_id(i)
        )
        return configuration.to_domain_obj()
    except (GreatExpectationsError, ValueError, TypeError) as error:
        raise ParamsError(
            f"expectation {expected.type!r} of {expected.target or 'the table'!r} cannot be used:"
            f" {' '.join(str(error).split())}; see the gallery of Great Expectations"
        ) from error


def _check(
    expected: Expected, found: Mapping[str, Any], frame: pd.DataFrame, *, personal: bool
) -> Check:
    if missing := sorted(expected.named - set(frame.columns)):
        observed = f"there is no column {', '.join(missing)}"
    elif fault := _fault(found["exception_info"]):
        observed = f"it cannot be told: {'(not shown)' if personal else fault}"
    else:
        observed = observe(expected, found["result"], frame, personal=personal)
    return Check(
        type=expected.type,
        target=expected.target,
        description=describe(expected),
        passed=bool(found["success"]),
        observed=observed,
    )


def _fault(information: Mapping[str, Any]) -> str | None:
    """The first message of an exception inside the library, if there was one."""
    entries = [information] if "raised_exception" in information else list(information.values())
    for entry in entries:
        if entry["raised_exception"]:
            return str(entry["exception_message"]).strip().split("\n")[-1]
    return None


def _forget_old_runs(docs: Path, name: str) -> None:
    for place in (docs / "stores" / "validations" / name, docs / "site" / "validations" / name):
        runs = sorted(p for p in place.glob("*/*") if p.is_dir())
        for run in runs[: max(0, len(runs) - KEPT_RUNS + 1)]:
            shutil.rmtree(run)
