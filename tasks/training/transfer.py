"""Start a training from the weights of a trained model.

    a weight of the same name and shape      is taken over
    a weight with one slice for each label   slice by slice, for the labels that both models know
    every other weight                       is new: a head for other labels, other sizes, other words

Weights can be held still while the others learn (`train.freeze`).

Source:
    Yosinski et al. 2014, How transferable are features in deep neural networks?, arXiv:1411.1792:
    first layers serve other data as they are, last ones are learned anew. GANs: Wang et al. 2018,
    Transferring GANs, arXiv:1805.01677, where generator and discriminator are both taken over.
"""

import fnmatch
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.columns.categorical import as_texts
from tasks.encoding.labels import labels_of
from tasks.errors import ParamsError
from tasks.generators.base import DataGenerator
from tasks.schema import DatasetSchema

BEST_PREFIX = "best/"
ENCODER_PREFIX = "encoder/"
"""Of the names of tensors in a checkpoint: the best weights so far, and arrays of the encoder."""

MAX_NAMES = 12
"""Names that a message lists."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parent:
    """A trained model whose weights another training starts from.

    Attributes:
        place: where it was found, as params.yaml says it.
        sha256: of its folder; for a checkpoint, of its content.
        generator_class: of the model.
        encoder: what it has learned of its data.
        weights: on the CPU, by name.
    """

    place: str
    sha256: str
    generator_class: type[DataGenerator]
    encoder: Encoder
    weights: Mapping[str, Tensor]

    def check(self, generator_class: type[DataGenerator]) -> None:
        """See that a generator of this class can start from it.

        Raises:
            ParamsError: it is of another class.
        """
        if self.generator_class is not generator_class:
            raise ParamsError(
                f"train.init_from: expected a model of {_full_name(generator_class)}, found one of"
                f" {_full_name(self.generator_class)} at {self.place}: name a model of the same"
                " generator, or change `generator`"
            )


@dataclass(frozen=True)
class Origin:
    """What a checkpoint must hold beside a training's state, so that others can start from it.

    Attributes:
        generator_class: what is trained.
        encoder: of its rows.
    """

    generator_class: type[DataGenerator]
    encoder: Encoder

    def tensors(self) -> dict[str, Tensor]:
        """Arrays of the encoder, by `encoder/<name>`."""
        arrays = self.encoder.state()[1]
        return {f"{ENCODER_PREFIX}{name}": torch.from_numpy(a) for name, a in arrays.items()}

    def content(self) -> dict[str, Any]:
        """The rest of it, as JSON."""
        return {
            "generator": _full_name(self.generator_class),
            "schema": self.encoder.schema.model_dump(mode="json"),
            "encoder": self.encoder.state()[0],
        }

    @classmethod
    def parent(
        cls,
        place: str,
        sha256: str,
        generator_class: type[DataGenerator],
        tensors: Mapping[str, Tensor],
        content: Mapping[str, Any],
    ) -> Parent:
        """The best model so far of the training that saved these.

        Raises:
            ParamsError: it trains another generator.
        """
        if content.get("generator") != _full_name(generator_class):
            raise ParamsError(
                f"train.init_from: expected a checkpoint of {_full_name(generator_class)}, found one"
                f" of {content.get('generator')!r} at {place}"
            )
        arrays = {
            name.removeprefix(ENCODER_PREFIX): tensor.numpy()
            for name, tensor in tensors.items()
            if name.startswith(ENCODER_PREFIX)
        }
        encoder = generator_class.encoder_class.from_state(
            DatasetSchema.model_validate(content["schema"]), content["encoder"], arrays
        )
        weights = {
            name.removeprefix(BEST_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(BEST_PREFIX)
        }
        return Parent(place, sha256, generator_class, encoder, weights)


@dataclass(frozen=True)
class Inherited:
    """What became of the weights of a model.

    Attributes:
        taken: names of the weights that were taken over.
        by_label: names of those of which the slices of some labels were.
        new: names of the others, which start at random.
        frozen: names of the parameters that do not move.
        still: the modules all of whose parameters do not move.
    """

    taken: tuple[str, ...]
    by_label: tuple[str, ...]
    new: tuple[str, ...]
    frozen: tuple[str, ...]
    still: tuple[nn.Module, ...]

    def summary(self, parent: Parent) -> dict[str, Any]:
        """What a model's summary tells of where it comes from; JSON."""
        return {
            "from": parent.place,
            "sha256": parent.sha256,
            "taken_weights": len(self.taken),
            "weights_taken_by_label": list(self.by_label),
            "new_weights": list(self.new),
            "frozen_parameters": len(self.frozen),
        }


def inherit(
    generator: DataGenerator, encoder: Encoder, parent: Parent, freeze: Sequence[str]
) -> Inherited:
    """Take over the weights of `parent` that fit, and hold some of them still.

    Args:
        generator: new, with weights that are to be replaced.
        encoder: of the data that it is to learn.
        parent: a model of the same generator (`Parent.check`).
        freeze: patterns of names of modules or parameters, such as `encoder.*`.

    Raises:
        ParamsError: none of the parent's weights fits, or a pattern names nothing, all weights, or
            new ones.
    """
    taken, by_label, new = _copy(generator, encoder, parent)
    if not taken and not by_label:
        raise ParamsError(
            f"train.init_from: no weight of {parent.place} fits this data and these"
            f" generator_params: expected some of {_listed(new)} with the same shapes; set"
            " init_from to null, or generator_params to those of the parent"
        )
    frozen = _freeze(generator, freeze, [*new, *by_label])
    _log.info(
        "started from %s (sha256 %s): %d weights taken over, %d by label, %d new, %d frozen",
        *(parent.place, parent.sha256[:12], len(taken), len(by_label), len(new), len(frozen)),
    )
    if new:
        _log.info("new weights: %s", _listed(new))
    return Inherited(taken, by_label, new, frozen, tuple(_still(generator)))


@torch.no_grad()
def _copy(
    generator: DataGenerator, encoder: Encoder, parent: Parent
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Overwrite what fits; the names of what was taken over, partly so by label, and not."""
    old_labels, labels = _texts_of(parent.encoder), _texts_of(encoder)
    axes = generator.label_axes(len(labels)) if old_labels and labels else {}
    taken: list[str] = []
    by_label: list[str] = []
    new: list[str] = []
    for name, weight in generator.state_dict().items():
        old = parent.weights.get(name)
        if old is None:
            new.append(name)
        elif name in axes and old_labels != labels:
            n_copied = _copy_labels(weight, old, axes[name], labels, old_labels)
            (by_label if n_copied else new).append(name)
        elif old.shape == weight.shape and old.dtype == weight.dtype:
            weight.copy_(old)
            taken.append(name)
        else:
            new.append(name)
    return tuple(taken), tuple(by_label), tuple(new)


def _copy_labels(
    weight: Tensor, old: Tensor, axis: int, labels: list[str], old_labels: list[str]
) -> int:
    """Copy the slices of the labels that both have, and those behind the labels; how many.

    Shape:
        weight: of size K + E along `axis`, with K labels; the E further slices stand for no label.
        old: of size K' + E along `axis`, else like `weight`.
    """
    further = weight.shape[axis] - len(labels)
    n_old = old.shape[axis] - further
    if further < 0 or n_old != len(old_labels) or old.ndim != weight.ndim:
        return 0
    pairs = [(i, old_labels.index(label)) for i, label in enumerate(labels) if label in old_labels]
    pairs += [(len(labels) + e, n_old + e) for e in range(further)]
    for i, j in pairs:
        there, here = weight.select(axis, i), old.select(axis, j)
        if there.shape != here.shape:
            return 0
        there.copy_(here)
    return len(pairs)


def _freeze(
    generator: DataGenerator, patterns: Sequence[str], new: Iterable[str]
) -> tuple[str, ...]:
    """Let no gradient be computed for the parameters that a pattern names; their names."""
    parameters = dict(generator.named_parameters())
    frozen: dict[str, None] = {}
    for pattern in patterns:
        found = [
            name
            for name in parameters
            if any(fnmatch.fnmatchcase(n, pattern) for n in _paths(name))
        ]
        if not found:
            modules = [
                name for name, module in generator.named_modules() if name and module._modules
            ]
            choices = modules or [name for name, _ in generator.named_children()]
            raise ParamsError(
                f"train.freeze: no module or parameter of {type(generator).__name__} is called"
                f" {pattern!r}; modules are {_listed(choices)}; patterns such as"
                f" {choices[0] if choices else 'encoder'}.* name all below"
            )
        frozen |= dict.fromkeys(found)
    if random := [name for name in new if name in frozen]:
        raise ParamsError(
            f"train.freeze: {_listed(random)} would stay at random: the parent has no such weights"
            " of this shape; freeze other modules"
        )
    for name in frozen:
        parameters[name].requires_grad_(False)
    if frozen and not any(parameter.requires_grad for parameter in parameters.values()):
        raise ParamsError(
            f"train.freeze: expected something left to learn, found that {list(patterns)} name all"
            f" of {_listed(parameters)}"
        )
    return tuple(frozen)


def _still(generator: DataGenerator) -> Iterable[nn.Module]:
    """Modules that have parameters, none of which moves."""
    for module in generator.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            yield module


def _paths(name: str) -> list[str]:
    """`a.b.weight` and the modules that hold it: `a.b`, `a`."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _texts_of(encoder: Encoder) -> list[str]:
    """The labels of images or texts; none for tables and where there are no labels."""
    labels = labels_of(encoder)
    return as_texts(labels.values) if labels and labels.column else []


def _full_name(generator_class: type[DataGenerator]) -> str:
    return f"{generator_class.__module__}.{generator_class.__qualname__}"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"
