"""How a metric is declared, chosen and measured.

A metric is one function `(Comparison) -> Outcome` with its record, in any file of this package:

    @metric(label="…", family="fidelity", goal="lower", kinds=("tabular",), explanation="…",
            source="…")
    def shape_error(comparison: Comparison) -> Outcome: ...

Its name is the function's name. Nothing else has to know of it: it is found here, measured if
`evaluate.metrics` of params.yaml asks for it or is null, and shown in the report.
"""

import functools
import importlib
import math
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from threadpoolctl import threadpool_limits

from tasks.errors import ParamsError
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.intervals import Interval
from tasks.metrics import Family, Goal, Measurement
from tasks.params import Threshold
from tasks.schema import Kind

PACKAGE = "tasks.evaluation"

DIGITS = 6
"""Significant digits that are written: the ones after them depend on the processor."""


VIEWS: tuple[Kind, ...] = ("image", "text")
"""Kinds as which multimodal data is measured too."""


class NotApplicable(Exception):
    """Raised by a metric that says nothing about this data; the message is the reason."""


@dataclass(frozen=True)
class Outcome:
    """What a metric found.

    Attributes:
        value: of the synthetic rows.
        reference: the same metric with the real holdout in place of the synthetic rows.
        interval: 95 % of the value.
        reference_interval: 95 % of the reference.
        plots: what the report may draw, by topic.
    """

    value: float
    reference: float | None
    interval: Interval | None = None
    reference_interval: Interval | None = None
    plots: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """The record of a metric and the function that measures it."""

    name: str
    label: str
    family: Family
    goal: Goal
    kinds: tuple[Kind, ...]
    explanation: str
    source: str
    threshold: Threshold | None
    chance: float | None
    decisive: bool
    informs: tuple[Kind, ...]
    function: Callable[[Comparison], Outcome]

    def __call__(self, comparison: Comparison) -> Outcome:
        """The bare outcome.

        Raises:
            NotApplicable: the metric says nothing about this data.
        """
        return self.function(comparison)


def metric(
    *,
    label: str,
    family: Family,
    goal: Goal,
    kinds: tuple[Kind, ...],
    explanation: str,
    source: str,
    threshold: Threshold | None = None,
    chance: float | None = None,
    decisive: bool = True,
    informs: tuple[Kind, ...] = (),
) -> Callable[[Callable[[Comparison], Outcome]], Metric]:
    """Declare the decorated function as the metric of its name; see `tasks.metrics.Measurement`.

    Args:
        label: what people read.
        family: the question that it helps to answer.
        goal: whether lower or higher is better.
        kinds: of data that it applies to.
        explanation: one sentence: how to read it.
        source: paper or package that defines it.
        threshold: what judges it where params.yaml does not say; it must hold for data in general.
        chance: what guessing scores, where the metric is an attack: its reference may be below by
            luck.
        decisive: whether it may stand for its family alone.
        informs: kinds of data for which the default threshold does not judge.
    """

    def declare(function: Callable[[Comparison], Outcome]) -> Metric:
        name = function.__name__
        return Metric(
            name,
            label,
            family,
            goal,
            kinds,
            explanation,
            source,
            threshold,
            chance,
            decisive,
            informs,
            function,
        )

    return declare


def metrics_of(kind: Kind) -> dict[str, Metric]:
    """All metrics that apply to data of this kind, by name, in the order of a report."""
    package = importlib.import_module(PACKAGE)
    modules = sorted(m.name for m in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."))
    found = {
        member.name: replace(member, threshold=None) if kind in member.informs else member
        for name in modules
        for member in vars(importlib.import_module(name)).values()
        if isinstance(member, Metric) and kind in member.kinds
    }
    if kind == "multimodal":
        found |= {m.name: m for view in VIEWS for m in _of_view(view)}
    families = get_args(Family)
    return dict(sorted(found.items(), key=lambda item: families.index(item[1].family)))


def _of_view(view: Kind) -> list[Metric]:
    """The metrics of the images, or of the texts, of multimodal data; `<view>_` is before their names."""
    return [
        replace(
            one,
            name=f"{view}_{one.name}",
            label=f"{one.label} ({view}s)",
            kinds=("multimodal",),
            function=functools.partial(_in_view, view, one),
        )
        for one in metrics_of(view).values()
    ]


def _in_view(view: Kind, one: Metric, comparison: Comparison) -> Outcome:
    return one(comparison.views[view])


def choose(kind: Kind, names: list[str] | None, families: Collection[Family]) -> list[Metric]:
    """The metrics of these families that `evaluate.metrics` of params.yaml asks for.

    Args:
        kind: of the dataset.
        names: as in params.yaml; null for all that apply. Names of other families are left to
            the stage that measures them.
        families: the ones that the calling stage measures.

    Raises:
        ParamsError: a name is unknown.
    """
    known = metrics_of(kind)
    if unknown := [name for name in names or [] if name not in known]:
        raise ParamsError(
            f"evaluate.metrics: {', '.join(map(repr, unknown))} unknown for kind {kind};"
            f" choose of: {', '.join(known)}"
        )
    asked = known if names is None else {name: known[name] for name in known if name in names}
    return [found for found in asked.values() if found.family in families]


def measure(
    metrics: Sequence[Metric],
    comparison: Comparison,
    report: Callable[[str, int, int], None] | None = None,
) -> tuple[list[Measurement], dict[str, Any]]:
    """Measure one metric after the other.

    Args:
        metrics: in any order; the values do not depend on it.
        comparison: the rows.
        report: told the name of a metric before it is measured, how many were, and of how many.

    Returns:
        The measurements, and what the report may draw, by topic.
    """
    measurements: list[Measurement] = []
    plots: dict[str, Any] = {}
    # With one thread sums have one order, so every machine of a kind gives the same bytes.
    with threadpool_limits(limits=1):
        for place, declared in enumerate(metrics):
            if report:
                report(declared.name, place, len(metrics))
            try:
                outcome = declared(comparison)
            except NotApplicable as reason:
                measurements.append(_measurement(declared, None, str(reason)))
            else:
                measurements.append(_measurement(declared, outcome, None))
                plots.update(outcome.plots)
    return measurements, plots


def _measurement(declared: Metric, outcome: Outcome | None, reason: str | None) -> Measurement:
    name = declared.name
    return Measurement(
        name=name,
        label=declared.label,
        family=declared.family,
        goal=declared.goal,
        value=_written(outcome.value, name) if outcome else None,
        reference=_written(outcome.reference, name) if outcome else None,
        interval=_ends(outcome.interval, name) if outcome else None,
        reference_interval=_ends(outcome.reference_interval, name) if outcome else None,
        explanation=declared.explanation,
        source=declared.source,
        not_applicable=reason,
        threshold=declared.threshold,
        chance=declared.chance,
        decisive=declared.decisive,
    )


def _ends(interval: Interval | None, name: str) -> Interval | None:
    return (_finite(interval[0], name), _finite(interval[1], name)) if interval else None


def _written(value: float | None, name: str) -> float | None:
    return None if value is None else _finite(value, name)


def _finite(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise ArithmeticError(f"{name} must be finite or not applicable, found {value!r}")
    return float(f"{value:.{DIGITS}g}")
