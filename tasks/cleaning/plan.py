"""Which steps clean a dataset, in which order: the keys under `clean:` in params.yaml."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tasks import registry
from tasks.cleaning.base import Step
from tasks.errors import ParamsError
from tasks.params import CleanParams

PACKAGE = "tasks.cleaning.steps"


@dataclass(frozen=True)
class Planned:
    """A step that is to run.

    Attributes:
        step: its class.
        settings: as checked by the class's `Settings`.
    """

    step: type[Step]
    settings: Any


def plan(params: CleanParams) -> list[Planned]:
    """The steps in the order in which they run: those that are asked for, and those always done.

    Raises:
        ParamsError: a key names no step, or the settings of a step are wrong.
    """
    known = {name: registry.load(PACKAGE, name, Step) for name in registry.names(PACKAGE)}  # type: ignore[type-abstract]
    if unknown := sorted(set(params.steps) - set(known)):
        raise ParamsError(f"clean: unknown keys {unknown}; choose from: {', '.join(known)}")
    planned = [
        Planned(step, _checked(step, params.steps.get(name, step.default)))
        for name, step in known.items()
        if step.default is not None or params.steps.get(name) not in (None, False, [], {})
    ]
    return sorted(planned, key=lambda p: p.step.order)


def _checked(step: type[Step], settings: Any) -> Any:
    try:
        return TypeAdapter(step.Settings).validate_python(settings, strict=True)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(step, detail) for detail in error.errors())
        raise ParamsError("\n".join([f"clean.{step.name()} is not valid:", *lines])) from error


def _explain(step: type[Step], detail: ErrorDetails) -> str:
    records = {record.__name__: record for record in _records(step.Settings)}
    path = ".".join(str(p) for p in detail["loc"] if p != "[key]" and str(p) not in records)
    subject = f"  {path}: " if path else "  "
    if detail["type"] == "extra_forbidden":
        meant = [records[p] for p in detail["loc"] if p in records] or list(records.values())
        choices = [name for record in meant for name in record.model_fields]
        return f"{subject}unknown key; choose one of: {', '.join(choices)}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{subject}{message[:1].lower()}{message[1:]}, found {detail['input']!r}"


def _records(annotation: Any) -> Iterator[type[BaseModel]]:
    """The records that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _records(argument)
