"""What a metric yields: a value beside the same metric of real data, and how it is judged.

`metrics.json` of the evaluate and audit stages is a list of measurements; the release gate, the
dataset card and the report read nothing else, and all of them judge by `Result`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import DataError
from tasks.params import Threshold
from tasks.storage import read_json, write_json

METRICS_FILE = "metrics.json"

Family = Literal["fidelity", "utility", "diversity", "privacy"]
Goal = Literal["lower", "higher"]


class Measurement(BaseModel):
    """One metric of one dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="snake_case, as in params.yaml under thresholds:")
    label: str = Field(description="what people read: 'Column shapes, error (%)'")
    family: Family = Field(description="the question that it helps to answer")
    goal: Goal = Field(description="whether lower or higher is better")
    value: float | None = Field(description="of the synthetic data; null: not applicable")
    reference: float | None = Field(
        description="of an equal number of real rows that no generator saw; null: there is none"
    )
    interval: tuple[float, float] | None = Field(default=None, description="95 % of the value")
    reference_interval: tuple[float, float] | None = Field(
        default=None, description="95 % of the reference"
    )
    explanation: str = Field(description="one sentence: how to read it")
    source: str = Field(description="paper or package that defines it")
    not_applicable: str | None = Field(default=None, description="why there is no value")
    threshold: Threshold | None = Field(
        default=None, description="what judges it where params.yaml says nothing; null: nothing"
    )
    chance: float | None = Field(
        default=None,
        description="what guessing scores; a reference beyond it on the good side is luck, and makes"
        " no bound tighter; null: there is no guessing",
    )
    decisive: bool = Field(
        default=True, description="whether it may stand for its family alone: DCR may not"
    )


@dataclass(frozen=True)
class Result:
    """A measurement beside what is asked of it.

    Attributes:
        measurement: what was found.
        threshold: what judges it; null: nothing.
        demanded: whether params.yaml names the threshold; one that is there by default asks nothing
            of data to which its metric does not apply.
    """

    measurement: Measurement
    threshold: Threshold | None
    demanded: bool = False

    @property
    def is_relative(self) -> bool:
        """Whether a bound moves with the reference."""
        return self.threshold is not None and (
            self.threshold.at_most_reference_plus is not None
            or self.threshold.at_least_reference_minus is not None
        )

    @property
    def noise(self) -> tuple[float, float]:
        """By how much chance alone may lift the value over the reference, and sink it under it.

        The halves of the two 95 % intervals that face each other, added as independent errors. An
        interval that is not known allows for nothing.
        """
        value, reference = self.measurement.value, self.measurement.reference
        if value is None or reference is None:
            return 0.0, 0.0
        low, high = self.measurement.interval or (value, value)
        reference_low, reference_high = self.measurement.reference_interval or (reference,) * 2
        return (
            math.hypot(value - low, reference_high - reference),
            math.hypot(high - value, reference - reference_low),
        )

    @property
    def compared_with(self) -> float | None:
        """The reference; what guessing scores where the reference is better than that by luck."""
        reference, chance = self.measurement.reference, self.measurement.chance
        if reference is None or chance is None:
            return reference
        return (
            max(reference, chance) if self.measurement.goal == "lower" else min(reference, chance)
        )

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The lowest and the highest value that passes; null: no such bound.

        An absolute bound is met or not by the value itself; one that is relative to the reference
        leaves room for the `noise` of both.
        """
        if self.threshold is None:
            return None, None
        asked, reference = self.threshold, self.compared_with
        lowest = [] if asked.at_least is None else [asked.at_least]
        highest = [] if asked.at_most is None else [asked.at_most]
        above, below = self.noise
        if reference is not None and asked.at_least_reference_minus is not None:
            lowest.append(reference - asked.at_least_reference_minus - below)
        if reference is not None and asked.at_most_reference_plus is not None:
            highest.append(reference + asked.at_most_reference_plus + above)
        return max(lowest, default=None), min(highest, default=None)

    @property
    def passed(self) -> bool | None:
        """Whether it is as asked; null: nothing was, or by default of what does not apply.

        What was demanded of a metric without a value, or relative to a reference that does not
        exist, is not met.
        """
        if self.threshold is None:
            return None
        value, (lowest, highest) = self.measurement.value, self.bounds
        if value is None:
            return False if self.demanded else None
        if self.is_relative and self.measurement.reference is None:
            return False
        return (lowest is None or value >= lowest) and (highest is None or value <= highest)


def judged(
    measurements: Sequence[Measurement], thresholds: Mapping[str, Threshold | None]
) -> tuple[Result, ...]:
    """Each measurement beside its threshold.

    Args:
        measurements: in the order of a report.
        thresholds: of params.yaml, by metric: they stand in place of the metrics' own; null asks
            nothing.
    """
    return tuple(
        Result(m, thresholds.get(m.name, m.threshold), demanded=bool(thresholds.get(m.name)))
        for m in measurements
    )


def unproved(results: Sequence[Result]) -> list[Family]:
    """The families of which nothing decisive was judged, so that a release has not proved them.

    Utility alone may be left out, where it was measured and none of it applies: no target, say.
    """
    missing = []
    for family in get_args(Family):
        own = [r for r in results if r.measurement.family == family]
        is_judged = any(r.passed is not None and r.measurement.decisive for r in own)
        applies = any(r.measurement.value is not None for r in own)
        if not is_judged and (applies or not own or family != "utility"):
            missing.append(family)
    return missing


def write_measurements(folder: Path, measurements: Iterable[Measurement], **details: Any) -> None:
    """Write `metrics.json` and, one file per keyword, `<keyword>.json` with what plots need."""
    write_json(folder / METRICS_FILE, [m.model_dump(mode="json") for m in measurements])
    for name, content in details.items():
        write_json(folder / f"{name}.json", content)


def read_measurements(folder: Path) -> list[Measurement]:
    """The measurements of an `evaluate` or `audit` stage.

    Raises:
        DataError: `metrics.json` is missing or malformed.
    """
    path = folder / METRICS_FILE
    try:
        return [Measurement.model_validate(row) for row in read_json(path)]
    except (ValidationError, TypeError) as error:
        raise DataError(f"{path} is not a list of measurements: {error}") from error
