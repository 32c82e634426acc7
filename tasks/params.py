"""params.yaml as frozen, typed records: every setting, its type, its default and what it is for.

One entry per dataset under `datasets:`. Its sections must all be present, even if empty (`{}`),
because DVC follows each of them as a dependency of the stages that use it; what a section leaves
out has the default given here. The field descriptions are the documentation of the settings.
"""

import datetime
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from tasks.constraints.declared import Constraint
from tasks.errors import ParamsError
from tasks.operation import AccessParams, AlertParams, Approval, PartitionParams, TargetParams
from tasks.schema import Kind

PARAMS_FILE = "params.yaml"
NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"

Fraction = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Scalar = bool | int | float | str | datetime.datetime | datetime.date | None


_R = TypeVar("_R", bound=BaseModel)


class Record(BaseModel):
    """A frozen group of settings that refuses unknown keys and does not guess types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SourceParams(BaseModel):
    """Where the data comes from; every other key is a setting of the source named by `type`."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    type: str = Field(description="a file of tasks/sources: sql, files, images ...")

    @property
    def settings(self) -> dict[str, Any]:
        """The keys beside `type`, checked by the source itself."""
        return dict(self.__pydantic_extra__ or {})


class CleanParams(BaseModel):
    """What is done to the raw data: each key is a step, a file of tasks/cleaning/steps."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @property
    def steps(self) -> dict[str, Any]:
        """The settings by step, checked by the steps themselves (`tasks.cleaning.plan`)."""
        return dict(self.__pydantic_extra__ or {})


class SplitParams(Record):
    holdout_fraction: Fraction = Field(
        default=0.2, description="share of the rows that no generator ever sees; judges the result"
    )
    validation_fraction: Fraction | None = Field(
        default=None,
        description="share of the rows that training stops by; null: it takes its own, see"
        " train.validation_fraction",
    )
    folds: int | None = Field(
        default=None,
        ge=2,
        le=1_000,
        description="into so many folds the training rows are numbered, for cross-validation",
    )
    stratify: bool | str = Field(
        default=True,
        description="keep the shares of the target's values (true), or of the column named here",
    )
    bins: int | None = Field(
        default=None,
        ge=2,
        le=1_000,
        description="numbers to stratify by are cut into so many quantiles; null: not stratified",
    )
    group: str | None = Field(
        default=None, description="column whose equal values stay together, such as patient_id"
    )
    time: str | None = Field(
        default=None,
        description="date, time or number by which the latest rows become the holdout, and those"
        " before it the validation rows",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.time is not None and (self.group is not None or isinstance(self.stratify, str)):
            other = "group" if self.group is not None else "stratify"
            raise ValueError(f"either `time` or `{other}`: a cut in time goes through both sides")
        if self.holdout_fraction + (self.validation_fraction or 0) >= 1:
            raise ValueError("holdout_fraction and validation_fraction leave no rows to train on")
        return self


class BalanceParams(Record):
    method: Literal[
        "none",
        "undersample",
        "oversample",
        "smote",
        "adasyn",
        "augment",
        "class_weights",
        "generate",
    ] = Field(default="none", description="how to even out the target's values before training")
    ratio: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="rows of the smallest class for one of the largest; 1: equal",
    )
    rows: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default={},
        description="rows wanted by class, in place of the ratio: {yes: 5000}; classes that are not"
        " named stay as they are",
    )
    neighbors: int = Field(
        default=5, ge=1, le=100, description="rows of a class between which smote and adasyn draw"
    )
    augment: dict[str, Any] = Field(
        default={},
        description="how far augment changes rows: settings of tasks/augmentation/<kind>.py",
    )


class PrivacyParams(Record):
    epsilon: float = Field(
        gt=0, le=100, description="what one row may change, at most; 1 is strong, 10 is weak"
    )
    delta: float | None = Field(
        default=None, gt=0, lt=1, description="chance that it may fail; null: 1 / rows^1.1"
    )
    max_grad_norm: float = Field(
        default=1.0, gt=0, description="length to which the gradient of each row is shortened"
    )


class TrainParams(Record):
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="passes over the rows (a million of them, if more) at most; null: by size",
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=1_000_000, description="rows of a step; null: by size"
    )
    learning_rate: float | None = Field(
        default=None, gt=0, le=1, description="peak of the schedule; null: the generator's own"
    )
    patience: int | None = Field(
        default=None, ge=1, description="epochs without a better validation loss before stopping"
    )
    validation_fraction: Fraction = Field(
        default=0.1,
        description="share of the training rows kept for early stopping, 100,000 of them at most; where"
        " split.validation_fraction is set, that part is taken",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto takes the GPU where there is one"
    )
    threads: int = Field(
        default=2,
        ge=1,
        le=256,
        description="CPU threads at most; another number may change the last bit. Texts, images with texts, and images of"
        " fewer than 256 pixels, train on one",
    )
    memory_gib: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="memory of the device for rows and steps; null: half of what is free for rows",
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=1_024,
        description="parts of each batch, with a process each where there are GPUs or cores",
    )
    privacy: PrivacyParams | None = Field(
        default=None, description="differential privacy; null: none"
    )
    init_from: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="a trained model whose weights it starts from: digits@v3 (a release), the name of a"
        " dataset, a folder of a model or a checkpoint; null: from random weights",
    )
    freeze: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[],
        description="patterns of the names of modules whose weights stay those of init_from:"
        " [encoder.*]",
    )

    @model_validator(mode="after")
    def _freezes_what_is_trained(self) -> Self:
        if self.freeze and self.init_from is None:
            raise ValueError("freeze needs init_from: random weights that never move learn nothing")
        if self.init_from is not None and self.privacy is not None:
            raise ValueError(
                "either init_from or privacy: what the other model has learned of these rows would"
                " not be counted"
            )
        return self


class SampleParams(Record):
    rows: int | None = Field(
        default=None, ge=1, description="synthetic rows; null: as many as the training data has"
    )
    conditions: dict[str, Scalar] = Field(
        default={},
        description="what every synthetic row has, by column: {income: '>50K'}; as far as the"
        " generator can hold columns",
    )
    workers: int | None = Field(
        default=None, ge=1, le=256, description="threads that draw; null: by cores; the same rows"
    )


class EvaluateParams(Record):
    metrics: list[str] | None = Field(
        default=None, description="names of metrics to compute; null: all that apply"
    )


class Threshold(Record):
    """When a metric passes. Either bound may be absolute, relative to the reference, or both.

    A relative bound says what difference matters; what chance explains, by the 95 % intervals of
    value and reference, is allowed on top (`tasks.metrics.Result`).
    """

    at_most: float | None = Field(
        default=None, allow_inf_nan=False, description="the value may not be larger"
    )
    at_least: float | None = Field(
        default=None, allow_inf_nan=False, description="the value may not be smaller"
    )
    at_most_reference_plus: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="the value may exceed the real holdout's by so much",
    )
    at_least_reference_minus: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="the value may fall short of the real holdout's by so much",
    )

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if all(bound is None for bound in self.model_dump().values()):
            raise ValueError(f"needs one of {', '.join(type(self).model_fields)}")
        return self


class PublishParams(Record):
    title: str = Field(min_length=1, description="what people read in the catalogue")
    description: str = Field(min_length=1, description="what the real data is and where it is from")
    license: str = Field(min_length=1, description="licence of the release, an SPDX identifier")
    source_citation: str | None = Field(default=None, description="how to cite the real data")
    creator: str | None = Field(default=None, description="who answers for the release")
    url: str | None = Field(default=None, description="where the release can be had")
    to: list[TargetParams] = Field(
        default=[],
        description="where each version goes besides releases/<name> of the project",
    )
    keep: int | None = Field(
        default=None,
        ge=1,
        description="how many versions stay at each target, the newest and no withdrawn one counted;"
        " null: all",
    )


class DatasetParams(Record):
    kind: Kind = Field(
        description="tabular, image, text, or multimodal (an image and a text a row)"
    )
    schedule: str | None = Field(description="cron expression or preset for Airflow; null: none")
    seed: int = Field(ge=0, lt=2**63, description="all randomness of the dataset comes from it")
    target: str | None = Field(description="column to predict, or the labels of images and texts")
    source: SourceParams = Field(description="where the data comes from")
    engine: str = Field(
        default="local",
        description="a file of tasks/engines, where sources are read and data is cleaned: local, or"
        " spark (on the cluster that PROOFMINT_SPARK_URL names, else on this machine); the rows are"
        " the same",
    )
    constraints: list[Constraint] = Field(
        description="what every row of a table satisfies, see tasks/constraints/declared.py; []: none"
    )
    clean: CleanParams = Field(description="what is done to the raw data")
    split: SplitParams = Field(description="how the holdout is taken")
    balance: BalanceParams = Field(description="how the training data is evened out")
    generator: Name = Field(description="a file of tasks/generators/<kind>")
    generator_params: dict[str, Any] = Field(description="settings of that generator")
    train: TrainParams = Field(description="how it is trained")
    sample: SampleParams = Field(description="what is drawn from it")
    evaluate: EvaluateParams = Field(description="how the result is judged")
    thresholds: dict[str, Threshold | None] = Field(
        description="what a release must reach, by metric, in place of the metric's own threshold;"
        " {}: all as they are; null: this metric does not judge"
    )
    publish: PublishParams = Field(
        description="what the release says about itself, and where it goes"
    )
    approval: Approval = Field(
        default="none",
        description="required: a person who has seen the evidence must say yes before each version",
    )
    partition: PartitionParams | None = Field(
        default=None,
        description="one run and one release for each day, week, month or year of the rows; null: for"
        " all rows",
    )
    access: AccessParams = Field(default=AccessParams(), description="who may see it in Airflow")
    alerts: AlertParams = Field(
        default=AlertParams(), description="who is told of refusals, failures and late runs"
    )

    @model_validator(mode="after")
    def _partitions_are_read_whole(self) -> Self:
        given = self.source.settings
        if self.partition and (taken := sorted({"watermark", "between"} & given.keys())):
            raise ValueError(
                f"either partition or source.{taken[0]}: each partition is read whole, from its first"
                " day to its last one"
            )
        return self

    @model_validator(mode="after")
    def _constraints_are_for_tables(self) -> Self:
        if self.constraints and self.kind != "tabular":
            raise ValueError(
                f"constraints are for tabular datasets; write `constraints: []` for {self.kind}"
            )
        return self


class Params(Record):
    datasets: dict[Name, DatasetParams] = Field(min_length=1, description="the datasets by name")


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: with one line for each wrong key: its path, what was expected, what was found.
    """
    return parse(read_yaml(path), str(path))


def load_dataset(path: Path, name: str) -> DatasetParams:
    """The entry of one dataset; the other entries are not looked at.

    Raises:
        ParamsError: there is no such dataset, or its entry is wrong.
    """
    content = read_yaml(path)
    datasets = content.get("datasets")
    if not isinstance(datasets, dict) or name not in datasets:
        choices = ", ".join(datasets) if isinstance(datasets, dict) else "none"
        raise ParamsError(f"{path} has no dataset {name!r}; it has: {choices}")
    return parse({"datasets": {name: datasets[name]}}, str(path)).datasets[name]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ParamsError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"expected the file {path}, found none") from error
    except (yaml.YAMLError, ValueError) as error:  # letters that are none, a date that is none
        raise ParamsError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"expected {path} to be a mapping, found {type(content).__name__}")
    return content


def parse(content: dict[str, Any], where: str) -> Params:
    """Check a mapping; `where` names its origin in messages."""
    return validated(Params, content, where)


def validated(record: type[_R], content: Any, where: str) -> _R:
    """`content` as a record of this type, or a ParamsError that names every wrong key."""
    try:
        return record.model_validate(content)
    except ValidationError as error:
        lines = [_explain(record, detail) for detail in error.errors()]
        raise ParamsError("\n".join([f"{where} is not valid:", *lines])) from error


def _explain(record: type[BaseModel], detail: ErrorDetails) -> str:
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    found = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            choices = ", ".join(_keys_at(record, detail["loc"][:-1]))
            return f"  {path}: unknown key; choose one of: {choices}"
        case "missing":
            empty = "[]" if detail["loc"][-1] == "constraints" else "{}"
            return f"  {path}: missing; write it, or {empty} for an empty section"
        case _:
            message = re.sub(r"^Value error, ", "", detail["msg"])
            shown = "" if isinstance(found, dict) else f", found {found!r}"
            subject = f"{path}: " if path else ""
            return f"  {subject}{message[:1].lower()}{message[1:]}{shown}"


def _keys_at(record: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that the record at `path` inside `record` knows."""
    current: Any = record
    for part in path:
        current = _without_null(current)
        if get_origin(current) is dict:
            current = get_args(current)[1]
        elif get_origin(current) is list:
            current = get_args(current)[0]
        elif get_origin(current) is Annotated:  # one of several records, told by their `type`
            (current,) = (
                choice
                for choice in get_args(get_args(current)[0])
                if part in get_args(choice.model_fields["type"].annotation)
            )
        else:
            current = current.model_fields[str(part)].annotation
    return list(_without_null(current).model_fields)


def _without_null(annotation: Any) -> Any:
    if get_origin(annotation) is not types.UnionType:
        return annotation
    (only,) = (choice for choice in get_args(annotation) if choice is not types.NoneType)
    return only
