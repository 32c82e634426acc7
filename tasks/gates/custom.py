"""The learned expectations as Great Expectations knows them: it finds them once this is imported."""

import tasks.gates.without_spark  # noqa: F401  before the library

# isort: split
from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from tasks.gates.chance import judge

_FRAME = "table.frame"


class _Frame(TableMetricProvider):
    """The frame itself, for expectations that look at more than one number of it."""

    metric_name = _FRAME

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805  the library calls it so
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        **_: Any,
    ) -> pd.DataFrame:
        frame: pd.DataFrame = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )[0]
        return frame


class _Learned(BatchExpectation):
    """Holds the frame against arguments that `proofmint learn` wrote."""

    metric_dependencies: ClassVar = (_FRAME,)
    domain_keys: ClassVar = ("batch_id", "table")

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        kwargs = {name: getattr(self, name) for name in self.success_keys}
        verdict = judge(self.expectation_type, metrics[_FRAME], kwargs)
        return {"success": verdict.passed, "result": {"observed_value": verdict.observed}}


class ExpectColumnKindToBe(_Learned):
    """A column holds whole numbers, numbers, booleans, moments or texts."""

    column: str
    kind: str
    success_keys: ClassVar = ("column", "kind")


class ExpectColumnShareToBeStable(_Learned):
    """About as many rows as before are missing, zero, outside a range, not in a list ..."""

    column: str
    of: str
    min_value: Any = None
    max_value: Any = None
    value_set: list[Any] | None = None
    regex: str | None = None
    rows: int = 0
    count: int = 0
    alpha: float | None = None
    fewer: bool = False
    success_keys: ClassVar = (
        "column",
        "of",
        "min_value",
        "max_value",
        "value_set",
        "regex",
        "rows",
        "count",
        "alpha",
        "fewer",
    )


class ExpectColumnMostCommonShareToBeStable(_Learned):
    """No value takes many more rows than the commonest one did."""

    column: str
    rows: int
    count: int
    alpha: float
    success_keys: ClassVar = ("column", "rows", "count", "alpha")


class ExpectColumnDistributionToBeStable(_Learned):
    """Values are distributed as before: by KS at `edges`, by PSI over `value_set`."""

    column: str
    of: str
    edges: list[Any] | None = None
    value_set: list[Any] | None = None
    shares: list[float]
    rows: int
    alpha: float
    margin: float = 0.0
    dispersion: float = 1.0
    success_keys: ClassVar = (
        "column",
        "of",
        "edges",
        "value_set",
        "shares",
        "rows",
        "alpha",
        "margin",
        "dispersion",
    )


class ExpectColumnPairDistributionToBeStable(_Learned):
    """Two columns depend on each other as before: by PSI over their common cells."""

    column_A: str  # noqa: N815  names of the library
    column_B: str  # noqa: N815
    cells_A: dict[str, Any]  # noqa: N815
    cells_B: dict[str, Any]  # noqa: N815
    shares: list[list[float]]
    rows: int
    alpha: float
    margin: float = 0.0
    dispersion: float = 1.0
    success_keys: ClassVar = (
        "column_A",
        "column_B",
        "cells_A",
        "cells_B",
        "shares",
        "rows",
        "alpha",
        "margin",
        "dispersion",
    )


class ExpectMulticolumnRuleToHold(_Learned):
    """An inequality, a sum, a product, a dependency between columns holds."""

    column_list: list[str]
    rule: str
    rows: int = 0
    count: int = 0
    alpha: float | None = None
    success_keys: ClassVar = ("column_list", "rule", "rows", "count", "alpha")


class ExpectTableRowsToRepeatAsBefore(_Learned):
    """Rows are not equal to each other more often than before."""

    column_list: list[str]
    rows: int
    pairs: float
    alpha: float
    success_keys: ClassVar = ("column_list", "rows", "pairs", "alpha")
