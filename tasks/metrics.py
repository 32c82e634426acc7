"""What a metric yields: a value beside the same metric of real data, ready for gate and report.

`metrics.json` of the evaluate and audit stages is a list of measurements; the release gate, the
dataset card and the report read nothing else.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import DataError
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
    explanation: str = Field(description="one sentence: how to read it")
    source: str = Field(description="paper or package that defines it")
    not_applicable: str | None = Field(default=None, description="why there is no value")


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
