"""The search space: which settings of params.yaml are varied, and between what.

A setting is called as in params.yaml below its dataset: `train.learning_rate`,
`generator_params.layers`. What it may be is said in one word, the same on the command line and in
MLflow:

    train.learning_rate=0.0005..0.01     a range, both ends included
    generator_params.layers=1..4         of whole numbers, because the setting is one
    train.batch_size=128,256,512         a choice of values as params.yaml would have them

A range whose ends differ by a factor of ten or more is searched on a logarithmic scale.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import yaml

from tasks.errors import ParamsError
from tasks.generators.base import DataGenerator, Recipe
from tasks.params import DatasetParams, TrainParams, validated
from tasks.schema import DatasetSchema
from tasks.training.model import generator_params

DIGITS = 3
"""Significant digits of a number that is tried: more would only lengthen the patch."""

LOG_FACTOR = 10.0
"""Between the ends of a range from which on it is searched on a logarithmic scale."""

GRID_POINTS = 4
"""Of a range in a grid; who wants others lists them."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones if `whole`."""

    low: float
    high: float
    whole: bool

    @property
    def logarithmic(self) -> bool:
        """Whether equal factors, rather than equal differences, are equally likely."""
        return self.low > 0 and self.high >= LOG_FACTOR * self.low

    def rounded(self, value: float) -> float:
        """`value` with the digits that are written, still inside of the range."""
        if self.whole:
            return round(value)
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def points(self) -> list[float]:
        """The values that a grid tries."""
        shares = [i / (GRID_POINTS - 1) for i in range(GRID_POINTS)]
        if self.logarithmic:
            found = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            found = [self.low + (self.high - self.low) * share for share in shares]
        return sorted({self.rounded(value) for value in found})

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of some values, in no particular order."""

    values: tuple[Any, ...]

    def points(self) -> list[Any]:
        """The values that a grid tries."""
        return list(self.values)

    def __str__(self) -> str:
        return ",".join(map(json.dumps, self.values))


Domain = Range | Choice
Space = Mapping[str, Domain]
"""What each setting may be, by its name."""

_WIDTHS = ("hidden_units", "n_units", "width", "channels", "latent_dim")
"""Settings of generators that say how wide a network is; halved and doubled by default."""

_WIDTHS_BY_SIZE: dict[str, Domain] = {
    "hidden_units": Choice((16, 32, 64, 128)),
    "width": Choice((16, 32, 64)),
    "channels": Choice((16, 32, 64)),
}
"""The same where the generator goes by the number of rows, so that there is nothing to double."""

_OTHERS: dict[str, Domain] = {
    "layers": Range(1, 4, whole=True),
    "n_layers": Range(1, 6, whole=True),
    "blocks": Range(1, 3, whole=True),
    "dropout": Range(0.0, 0.4, whole=False),
}


def searchable(cls: type[DataGenerator]) -> list[str]:
    """The settings that a search may vary: those of the generator, and of `train` the recipe's.

    The rest of `train` says where to compute and which rows validate: it would change what is
    measured, not what is learned. Where nothing is learned in steps, all of `train` changes nothing.
    """
    train = [
        name
        for name in TrainParams.model_fields
        if cls.learns_in_steps and name in Recipe.model_fields
    ]
    return [
        *(f"train.{name}" for name in train),
        *(f"generator_params.{name}" for name in cls.Params.model_fields),
    ]


def default_space(
    cls: type[DataGenerator], params: DatasetParams, n_rows: int, schema: DatasetSchema
) -> Space:
    """A space around the present settings, for any generator.

    Args:
        cls: the generator.
        params: of the dataset.
        n_rows: rows that it trains on, which its recipe goes by.
        schema: of the dataset, the same.

    Raises:
        ParamsError: the generator does not learn in steps, so that no setting is known to matter.
    """
    if not cls.learns_in_steps:
        choices = ", ".join(searchable(cls))
        raise ParamsError(
            f"the generator {params.generator} does not learn in steps, so its learning rate, batch"
            " size and network cannot be searched; "
            + (f"name by --search what to vary: {choices}" if choices else "it has no settings")
        )
    recipe = cls.recipe(n_rows, schema)
    rate = params.train.learning_rate or recipe.learning_rate
    size = params.train.batch_size or recipe.batch_size
    low, high = (float(f"{value:.{DIGITS}g}") for value in (rate / 4, min(1.0, rate * 4)))
    space: dict[str, Domain] = {
        "train.learning_rate": Range(low, high, whole=False),
        "train.batch_size": Choice(tuple(sorted({max(1, size // 2), size, size * 2}))),
    }
    for name, field in cls.Params.model_fields.items():
        present = params.generator_params.get(name, field.default)
        domain = _OTHERS.get(name)
        if name in _WIDTHS:
            domain = _WIDTHS_BY_SIZE.get(name) if present is None else _around(present)
        key = f"generator_params.{name}"
        if domain is not None and (allowed := _allowed(cls, params, key, domain)):
            space[key] = allowed
    return space


def parse_space(said: Sequence[str], cls: type[DataGenerator], params: DatasetParams) -> Space:
    """The space that a person wrote, one `SETTING=VALUES` after the other.

    Args:
        said: see the head of this module; the section before a setting's name may be left out
            where one section only has it.
        cls: the generator.
        params: of the dataset.

    Raises:
        ParamsError: a setting is unknown or may not have such a value.
    """
    space: dict[str, Domain] = {}
    for word in said:
        name, is_given, values = word.partition("=")
        if not is_given or not values.strip():
            raise ParamsError(
                f"--search {word!r}: expected SETTING=LOW..HIGH or SETTING=VALUE,VALUE, for"
                " example learning_rate=0.001..0.01"
            )
        key = _resolve(name.strip(), cls)
        if key in space:
            raise ParamsError(f"--search names {key} twice; write all its values in one place")
        domain = _domain(key, values.strip(), cls)
        ends = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
        for value in ends:
            apply(params, {key: value}, cls, where=f"--search {word}")
        space[key] = domain
    return space


def apply(
    params: DatasetParams, settings: Mapping[str, Any], cls: type[DataGenerator], where: str
) -> DatasetParams:
    """The settings of a dataset with some of them changed; all are checked.

    Raises:
        ParamsError: a value is impossible; the message begins with `where`.
    """
    sections: dict[str, dict[str, Any]] = {
        "train": params.train.model_dump(),
        "generator_params": dict(params.generator_params),
    }
    for key, value in settings.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    generator_params(cls, sections["generator_params"], f"{where}: generator_params")
    train = validated(TrainParams, sections["train"], f"{where}: train")
    changed = {"train": train, "generator_params": sections["generator_params"]}
    return params.model_copy(update=changed)


def _resolve(name: str, cls: type[DataGenerator]) -> str:
    """The full name of a setting."""
    choices = searchable(cls)
    found = [key for key in choices if name in (key, key.partition(".")[2])]
    if len(found) == 1:
        return found[0]
    problem = "is in two sections" if found else "is no setting that can be searched"
    listed = ", ".join(choices) or "none, as this generator has no settings"
    raise ParamsError(f"--search: {name!r} {problem}; choose of: {listed}")


def _domain(key: str, values: str, cls: type[DataGenerator]) -> Domain:
    low, is_range, high = values.partition("..")
    if is_range:
        return _range(key, low, high, _number_type(key, cls))
    try:
        listed = yaml.safe_load(f"[{values}]")
    except yaml.YAMLError as error:
        raise ParamsError(
            f"--search {key}={values}: expected values as in params.yaml, with commas between them"
        ) from error
    convert = _number_type(key, cls)
    found: list[Any] = [_number(v, convert) if convert else v for v in listed]
    if len({json.dumps(value) for value in found}) != len(found) or len(found) < 2:
        raise ParamsError(
            f"--search {key}={values}: expected at least two values, each once; a setting that"
            " shall stay the same is written into params.yaml"
        )
    return Choice(tuple(found))


def _range(key: str, low: str, high: str, convert: Callable[[str], float] | None) -> Range:
    if convert is None:
        raise ParamsError(f"--search {key}={low}..{high}: it is no number; list its values")
    try:
        ends = convert(low), convert(high)
    except ValueError as error:
        kind = "whole numbers" if convert is int else "numbers"
        raise ParamsError(f"--search {key}={low}..{high}: expected {kind} as ends") from error
    if not (all(map(math.isfinite, ends)) and ends[0] < ends[1]):
        raise ParamsError(f"--search {key}={low}..{high}: expected the lower end first")
    return Range(*ends, whole=convert is int)


def _number(value: Any, convert: Callable[[str], float]) -> Any:
    """YAML reads `1e-3` as a text; what is no number is left for the settings to refuse."""
    try:
        return convert(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _number_type(key: str, cls: type[DataGenerator]) -> Callable[[str], float] | None:
    """`int` or `float`, as the setting is; None where it is neither."""
    section, _, name = key.partition(".")
    record = TrainParams if section == "train" else cls.Params
    annotation = record.model_fields[name].annotation
    kinds = {annotation, *get_args(annotation)}
    return float if float in kinds else int if int in kinds else None


def _around(width: int | Sequence[int]) -> Choice:
    """A width, or the widths of several layers, and half and twice of it."""
    if isinstance(width, int):
        return Choice(tuple(sorted({max(1, width // 2), width, width * 2})))
    return Choice(tuple([max(1, int(w * factor)) for w in width] for factor in (0.5, 1, 2)))


def _allowed(
    cls: type[DataGenerator], params: DatasetParams, key: str, domain: Domain
) -> Domain | None:
    """What of a default domain the setting may be; None if that leaves nothing to search."""

    def fits(value: Any) -> bool:
        try:
            apply(params, {key: value}, cls, where="")
        except ParamsError:
            return False
        return True

    if isinstance(domain, Range):
        return domain if fits(domain.low) and fits(domain.high) else None
    values = tuple(value for value in domain.values if fits(value))
    return Choice(values) if len(values) > 1 else None
