"""What is remembered of each trial of a search: one file, written when the trial has ended.

A search is rebuilt from these files and from its seed, so it needs no database that a killed
process could leave half-written, and the same search proposes the same trials however often it was
interrupted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import DataError
from tasks.metrics import Goal
from tasks.storage import read_json, write_json

FOLDER = "trials"


class Trial(BaseModel):
    """One trial that has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=0, description="0: the settings as they stand in params.yaml")
    state: Literal["complete", "pruned", "failed"] = Field(description="how it ended")
    settings: dict[str, Any] = Field(description="what differs from params.yaml")
    value: float | None = Field(description="of the objective; null unless complete")
    interval: tuple[float, float] | None = Field(default=None, description="95 % of the value")
    validation_losses: list[tuple[int, float]] = Field(description="by epoch")
    repeats: int | None = Field(default=None, description="an earlier trial with equal settings")
    reason: str | None = Field(default=None, description="why it failed")
    run_id: str = Field(description="of its MLflow run")
    seconds: float = Field(description="that it took; of the last process only")


def read_trials(folder: Path) -> list[Trial]:
    """The trials of a search that have ended, in order.

    Raises:
        DataError: a file is damaged.
    """
    trials: list[Trial] = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            trials.append(Trial.model_validate(read_json(path)))
        except ValidationError as error:
            raise DataError(f"{path} is not a trial: {error}; remove it to run it again") from error
    numbers = [trial.number for trial in trials]
    if numbers != list(range(len(numbers))):
        raise DataError(
            f"expected the trials 0 to {len(numbers) - 1} in {folder / FOLDER}, found {numbers};"
            " remove the ones after the gap"
        )
    return trials


def write_trial(folder: Path, trial: Trial) -> None:
    """Remember a trial."""
    (folder / FOLDER).mkdir(exist_ok=True)
    write_json(folder / FOLDER / f"{trial.number:05d}.json", trial.model_dump(mode="json"))


def ranked(trials: Sequence[Trial], goal: Goal) -> list[Trial]:
    """The complete trials without repetitions, best first; of equally good ones the earlier first."""
    sign = 1 if goal == "lower" else -1
    complete = [trial for trial in trials if trial.value is not None and trial.repeats is None]
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
