"""dvc.yaml and params.yaml as stages and edges, for everyone who must know the pipeline's graph.

What DAG files import of ours, with `tasks.partitions`: PyYAML and the standard library only. It reads the
part of DVC's templating that dvc.yaml uses (`foreach: ${datasets}`, `${key}`, `${item.…}`); a test
compares the result with DVC's own reading.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from tasks.partitions import KEY_FORMATS, base_of, key_of

PIPELINE_FILE = "dvc.yaml"
PARAMS_FILE = "params.yaml"

_FORM = {
    "kind": str,
    "generator": str,
    "seed": int,
    "source": dict,
    "generator_params": dict,
    "train": dict,
    "sample": dict,
    "publish": dict,
}

MAINTENANCE = "proofmint_maintenance"
"""The DAG that cleans up; no dataset can have its name."""

LONGEST_DEADLINE_MINUTES = 366 * 24 * 60
"""As `tasks.operation` has it, which DAG files do not import."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


class PipelineError(ValueError):
    """dvc.yaml or params.yaml has no graph to read; plain, so that DAG files need no more of us."""


@dataclass(frozen=True)
class Stage:
    """One stage of one dataset, e.g. `train@adult`."""

    name: str
    dataset: str
    description: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    always_changed: bool
    airflow: Mapping[str, Any] = field(default_factory=dict)
    """What only Airflow needs: pool, queue, retries, timeout_minutes."""

    @property
    def address(self) -> str:
        """How DVC calls the stage."""
        return f"{self.name}@{self.dataset}"


@dataclass(frozen=True)
class Dataset:
    """One entry of params.yaml with its stages, in the order of dvc.yaml."""

    name: str
    params: Mapping[str, Any]
    stages: tuple[Stage, ...]

    def edges(self) -> set[tuple[str, str]]:
        """Pairs of stage names (before, after): an output of the first is a dependency of the other."""
        return {
            (before.name, after.name)
            for before in self.stages
            for after in self.stages
            if any(_overlap(out, dep) for out in before.outs for dep in after.deps)
        }


def load(root: Path) -> dict[str, Dataset]:
    """The datasets of the project at `root`, by name.

    Raises:
        PipelineError: a file is missing, is not YAML or has another form than expected.
    """
    datasets = {}
    for name, found in load_each(root).items():
        if isinstance(found, PipelineError):
            raise found
        datasets[name] = found
    return datasets


def load_dataset(root: Path, name: str) -> Dataset:
    """One dataset; a wrong entry of another one is not looked at.

    Raises:
        PipelineError: there is no such dataset, or its entry is wrong.
    """
    found = load_each(root)
    if name not in found:
        raise PipelineError(f"no dataset {name!r} in {PARAMS_FILE}; it has: {', '.join(found)}")
    dataset = found[name]
    if isinstance(dataset, PipelineError):
        raise dataset
    return dataset


def load_each(root: Path) -> dict[str, "Dataset | PipelineError"]:
    """As `load`, but a dataset whose entry is wrong does not stop the others: its error is told.

    A name that is no text is known by its text: `2024:` is "2024", which no dataset can be called.

    Raises:
        PipelineError: dvc.yaml is wrong, or params.yaml as a whole.
    """
    entries = _read(root / PARAMS_FILE).get("datasets")
    templates = _read(root / PIPELINE_FILE).get("stages")
    if not isinstance(entries, dict) or not isinstance(templates, dict):
        raise PipelineError(f"expected datasets: in {PARAMS_FILE} and stages: in {PIPELINE_FILE}")
    return {_shown(name): _dataset(templates, name, entry) for name, entry in entries.items()}


def is_name(name: Any) -> bool:
    """Whether it may stand in paths, shells, refs and URLs: all that follows relies on it."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name != MAINTENANCE


def _shown(name: Any) -> str:
    text = str(name)
    return text if text.isprintable() else repr(name)


def _dataset(templates: Mapping[str, Any], name: Any, entry: Any) -> "Dataset | PipelineError":
    try:
        _check_name(name)
        _check_form(name, entry)
        return Dataset(name, entry, tuple(_stages(templates, name, entry)))
    except PipelineError as error:
        return error
    except Exception as error:  # whatever it is, the other datasets go on
        return PipelineError(
            f"datasets.{name} in {PARAMS_FILE} cannot be read ({type(error).__name__}: {error});"
            f" `proofmint check {name}` tells more"
        )


def _check_name(name: Any) -> None:
    if not is_name(name):
        raise PipelineError(
            f"datasets in {PARAMS_FILE}: expected a name of at most 63 characters of a-z, 0-9 and _,"
            f" a letter first, and not {MAINTENANCE}; found {name!r}"
        )


def _check_form(name: str, entry: Any) -> None:
    """That what DAG files read is there; tasks/params.py checks the rest, when a run starts."""
    for section, kind in _FORM.items():
        found = entry.get(section) if isinstance(entry, dict) else None
        if not isinstance(found, kind):
            raise PipelineError(
                f"datasets.{name}.{section} in {PARAMS_FILE}: expected a {kind.__name__},"
                f" found {found!r}; `proofmint check {name}` tells more"
            )
    _check_texts(name, entry)
    _check_operation(name, entry)
    _check_partition(name, entry)


def _check_texts(name: str, entry: Any) -> None:
    """That a database takes what the entry says: with one text that it refuses, no DAG is stored."""
    for text in _texts(entry):
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise PipelineError(
                f"datasets.{name} in {PARAMS_FILE}: expected text, found {text!r}, which holds a"
                " character that is none"
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _check_operation(name: str, entry: Mapping[str, Any]) -> None:
    """That what DAGs and pages are made from beside the stages has the form that they rely on."""
    for key, (is_right, expected) in _OPERATION.items():
        found: Any = entry
        for part in key.split("."):
            found = (found or {}).get(part)
        if found is not None and not is_right(found):
            raise PipelineError(
                f"datasets.{name}.{key} in {PARAMS_FILE}: expected {expected}, found {found!r};"
                f" `proofmint check {name}` tells more"
            )


def _is_text(found: Any) -> bool:
    return isinstance(found, str)


def _is_mapping(found: Any) -> bool:
    return isinstance(found, dict)


def _are_texts(found: Any) -> bool:
    return isinstance(found, list) and all(map(_is_text, found))


def _are_minutes(found: Any) -> bool:
    return type(found) is int and 1 <= found <= LONGEST_DEADLINE_MINUTES


def _are_targets(found: Any) -> bool:
    return isinstance(found, list) and all(
        isinstance(target, dict)
        and _is_text(target.get("type"))
        and isinstance(target.get("connection"), str | None)
        for target in found
    )


_OPERATION: dict[str, tuple[Callable[[Any], bool], str]] = {
    "schedule": (_is_text, "a cron expression"),
    "source.connection": (_is_text, "a name"),
    "access": (_is_mapping, "{roles: [ROLE, …]}"),
    "access.roles": (_are_texts, "[ROLE, …]"),
    "access.operators": (_are_texts, "[ROLE, …]"),
    "alerts": (_is_mapping, "{mail: [ADDRESS, …]}"),
    "alerts.mail": (_are_texts, "[ADDRESS, …]"),
    "alerts.webhook": (_is_text, "a name"),
    "alerts.deadline_minutes": (_are_minutes, f"a number from 1 to {LONGEST_DEADLINE_MINUTES}"),
    "publish.title": (_is_text, "text"),
    "publish.description": (_is_text, "text"),
    "publish.to": (_are_targets, "[{type: TYPE, …}, …]"),
}
"""Where null is as good as nothing; what each is otherwise, and how a message says so."""


def _check_partition(name: str, entry: Mapping[str, Any]) -> None:
    """That the schedule of a partitioned dataset can be made, and that no other has such a name."""
    where = f"datasets.{name}.partition in {PARAMS_FILE}"
    if key_of(name) is not None and "between" not in entry["source"]:
        raise PipelineError(
            f"datasets.{name} in {PARAMS_FILE}: a name that ends like this is that of a partition of"
            f" {base_of(name)!r}; give the dataset another one"
        )
    if (given := entry.get("partition")) is None:
        return
    if not isinstance(given, dict) or str(given.get("by")) not in KEY_FORMATS:
        raise PipelineError(
            f"{where}: expected {{column: …, by: {'|'.join(KEY_FORMATS)}}}, found {given!r}"
        )
    if entry.get("schedule") in ("@once", "@continuous"):
        raise PipelineError(
            f"datasets.{name}.schedule in {PARAMS_FILE}: expected times that come again, because the"
            f" dataset is partitioned; found {entry['schedule']!r}; write a cron expression or null"
        )
    try:
        ZoneInfo(given.get("timezone", "UTC"))
    except (TypeError, ValueError, OSError, KeyError) as error:
        raise PipelineError(
            f"{where}: expected `timezone` to be one such as Europe/Berlin, found"
            f" {given['timezone']!r}"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    except (OSError, ValueError, yaml.YAMLError) as error:  # a date that is none, e.g.
        raise PipelineError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise PipelineError(f"expected {path} to be a mapping, found {type(content).__name__}")
    return content


def _stages(templates: Mapping[str, Any], dataset: str, entry: Any) -> Iterable[Stage]:
    for name, template in templates.items():
        if template.get("foreach") != "${datasets}":
            raise PipelineError(f"expected stage {name!r} to have `foreach: ${{datasets}}`")
        body = _fill(template["do"], {"key": dataset, "item": entry}, f"{name}@{dataset}")
        yield Stage(
            name=name,
            dataset=dataset,
            description=body.get("desc", ""),
            command=body["cmd"],
            deps=tuple(body.get("deps", ())),
            outs=tuple(body.get("outs", ())),
            always_changed=body.get("always_changed", False),
            airflow=body.get("meta", {}).get("airflow", {}),
        )


def _fill(template: Any, names: Mapping[str, Any], address: str) -> Any:
    """`template` with each `${…}` replaced by the value that it names."""
    if isinstance(template, dict):
        return {key: _fill(value, names, address) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, names, address) for value in template]
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda match: _look_up(match[1], names, address), template)
    return template


def _look_up(path: str, names: Mapping[str, Any], address: str) -> str:
    value: Any = names
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise PipelineError(f"{address}: ${{{path}}} is not in {PARAMS_FILE}")
        value = value[part]
    return str(value)


def _overlap(out: str, dep: str) -> bool:
    """Whether two paths are the same or one holds the other."""
    return out == dep or dep.startswith(out + "/") or out.startswith(dep + "/")
