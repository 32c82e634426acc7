"""Looks at samples while a training runs: pictures for people, and a check for mode collapse.

After some epochs, spaced geometrically, the averaged weights draw a few samples of each label, from
the same noise every time. People see them in MLflow; the check compares how much the samples of a
label differ from each other with how much real rows of that label do. A generator that gives one
image a label has 0, one that is as varied as the data has 1.

Looking changes nothing: it draws from a random state of its own, and only the last look, which no
clock decides, is kept in the model's summary. Generators that draw real rows are not looked at: whoever
follows a training need not be one who may see those.

Source:
    Mode collapse: Goodfellow 2016, NIPS 2016 tutorial: generative adversarial networks, section
    5.1.1, arXiv:1701.00160. Distances between pairs of samples against those of real ones: Odena et
    al. 2017, Conditional image synthesis with auxiliary classifier GANs, section 4.2,
    arXiv:1610.09585.
Differs:
    Euclidean distances of pixels in place of MS-SSIM, which small images are too small for; of texts,
    the share of distinct ones.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from tasks.encoding.base import Encoder
from tasks.encoding.labels import labels_of
from tasks.generators.base import DataGenerator
from tasks.seeding import derive_seed, rng_for
from tasks.training.data import Rows
from tasks.training.order import Order

MAX_LOOKS = 12
"""In a training at most, beside the last one."""

TIME_SHARE = 0.02
"""Of the training's time that looking may take; the last look is not counted."""

LABEL_ROWS = 8
"""Samples of each label."""

MAX_LABELS = 16
"""Labels that are looked at: the most frequent ones."""

REAL_LABEL_ROWS = 32
"""Real rows of each label at most that samples are compared with."""

SEARCHED_ROWS = 20_000
"""Real rows among which those are looked for."""

LOWEST_DIVERSITY = 0.35
"""Of a label's samples, as a share of its real rows': below it, a collapse is likely. Eight samples of
a good generator have between 0.8 and 1.2; GANs that ended varied were below 0.5 on their way."""

EARLY_SHARE = 1 / 3
"""Of the epochs: what has only begun to learn gives the same for everything, and is not warned of."""

DIVERSITY = "sample_diversity"
LOWEST = "sample_diversity_lowest"
"""Names of metrics: the mean over the labels, and the lowest of a label."""

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Whoever is shown how a training goes."""

    def show(self, step: int, suffix: str, content: bytes) -> None:
        """Take a file (`.png`, `.txt`) that shows samples drawn after a step."""

    def warn(self, message: str) -> None:
        """Take a warning about the training; a later one replaces it."""


class Watch:
    """The looks of one training.

    Attributes:
        findings: what the last look has measured, and warnings; for the model's summary.
    """

    def __init__(
        self,
        encoder: Encoder,
        rows: Rows,
        order: Order,
        *,
        seed: int,
        epochs: int,
        observer: Observer | None,
    ) -> None:
        """Prepare to look.

        Args:
            encoder: of the rows; where it has no preview, there is nothing to look at.
            rows: real ones.
            order: which of them are trained on.
            seed: of the dataset.
            epochs: of the training at most.
            observer: who is shown the samples; None: nobody, they are only measured.
        """
        self.findings: dict[str, Any] = {}
        self._encoder, self._rows, self._order = encoder, rows, order
        self._seed, self._epochs, self._observer = seed, epochs, observer
        self._at = _spaced(epochs)
        self._real: dict[int, dict[str, float]] | None = None
        self._began, self._spent, self._last = time.monotonic(), 0.0, 0.0
        self._low_before = False

    def after_epoch(self, generator: DataGenerator, epoch: int, step: int) -> dict[str, float]:
        """Look, if it is time to; what was measured.

        Args:
            generator: in evaluation mode.
            epoch: epochs finished.
            step: steps made.
        """
        used = time.monotonic() - self._began - self._spent
        if epoch not in self._at or self._spent + self._last > TIME_SHARE * used:
            return {}
        began = time.monotonic()
        metrics, doubtful = self._look(generator, step)
        self._last = time.monotonic() - began
        self._spent += self._last
        is_low = bool(doubtful) and epoch > EARLY_SHARE * self._epochs
        if is_low and self._low_before:
            self._warn(doubtful, f"after epoch {epoch}")
        self._low_before = is_low
        return metrics

    def finish(self, generator: DataGenerator, step: int) -> dict[str, float]:
        """Look at the weights that are kept."""
        metrics, doubtful = self._look(generator, step)
        self.findings = dict(metrics)
        if doubtful:
            self.findings["warnings"] = [self._warn(doubtful, "at the end")]
        return metrics

    @torch.no_grad()
    def _look(
        self, generator: DataGenerator, step: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Metrics of a few samples, and the labels whose samples are too much alike."""
        if generator.draws_real_rows:
            return {}, {}
        encoded = self._draw(generator)
        preview = self._encoder.preview(encoded)
        if preview is None:
            return {}, {}
        if self._observer:
            self._observer.show(step, preview.suffix, preview.content)
        if self._real is None:
            self._real = _spread(self._some_real_rows(), REAL_LABEL_ROWS)
        ratios = _ratios(_spread(encoded, LABEL_ROWS), self._real)
        if not ratios:
            return {}, {}
        labels = self._names()
        named = {labels[i] if labels else "": ratio for i, ratio in ratios.items()}
        metrics = {DIVERSITY: sum(named.values()) / len(named), LOWEST: min(named.values())}
        return metrics, {n: ratio for n, ratio in named.items() if ratio < LOWEST_DIVERSITY}

    def _draw(self, generator: DataGenerator) -> dict[str, Tensor]:
        """Samples of the most frequent labels in turn; always from the same noise."""
        rng = torch.Generator(self._rows.device).manual_seed(derive_seed(self._seed, "watch"))
        labels = labels_of(self._encoder)
        if labels is None:
            return generator.sample(LABEL_ROWS, rng)
        shares = labels.shares
        frequent = sorted(range(len(labels)), key=lambda i: -shares[i])[:MAX_LABELS]
        places = sorted(i for i in frequent if shares[i] > 0)
        n_rows = len(places) * LABEL_ROWS
        target = self._encoder.schema.target
        # Joint labels of several columns are no column that could be held.
        if not labels.column or labels.column.name != target or not generator.holds_target:
            return generator.sample(n_rows, rng)
        values = labels.values.take(places).to_pylist() * LABEL_ROWS
        return generator.sample(n_rows, rng, {target: values})

    def _some_real_rows(self) -> dict[str, Tensor]:
        n_rows = len(self._order.train)
        chosen = rng_for(self._seed, "watch").permutation(n_rows)[:SEARCHED_ROWS]
        index = self._order.train[torch.from_numpy(chosen).to(self._rows.home)]
        if "labels" in self._rows.tensors:
            index = index[_first_of_each(self._rows.tensors["labels"][index], REAL_LABEL_ROWS)]
        else:
            index = index[:REAL_LABEL_ROWS]
        return self._rows.take(index)

    def _names(self) -> list[str]:
        labels = labels_of(self._encoder)
        return [str(v) for v in labels.values.to_pylist()] if labels and labels.column else []

    def _warn(self, doubtful: Mapping[str, float], when: str) -> str:
        worst = sorted(doubtful.items(), key=lambda item: item[1])
        shown = ", ".join(
            f"{name!r} {ratio:.2f}" if name else f"{ratio:.2f}" for name, ratio in worst
        )
        message = (
            f"mode collapse is likely {when}: expected samples of a label to differ by"
            f" {LOWEST_DIVERSITY:g} of what its real rows do at least, found {shown}; train longer,"
            " lower train.learning_rate, or choose another generator"
        )
        _log.warning("%s", message)
        if self._observer:
            self._observer.warn(message)
        return message


def _spaced(epochs: int) -> frozenset[int]:
    """Epochs after which to look: ever fewer of them, as ever less changes."""
    if epochs <= MAX_LOOKS:
        return frozenset(range(1, epochs + 1))
    return frozenset(round(epochs ** (i / (MAX_LOOKS - 1))) for i in range(MAX_LOOKS))


def _first_of_each(labels: Tensor, n: int) -> Tensor:
    """(M,) places of the first `n` rows of each label, in the order of the labels."""
    order = torch.argsort(labels, stable=True)
    in_order = labels[order]
    starts = torch.searchsorted(in_order, in_order)  # where the run of this label begins
    ranks = torch.arange(len(labels), device=labels.device) - starts
    return order[ranks < n]


def _spread(encoded: Mapping[str, Tensor], n: int) -> dict[int, dict[str, float]]:
    """By index of the label, how much `n` rows of it differ: by name of the tensor that differs.

    Of pixels, the mean distance of two rows; of tokens, the share of rows that are distinct.
    """
    first = next(iter(encoded.values()))
    labels = encoded.get("labels", torch.zeros(len(first), device=first.device)).long()
    found: dict[int, dict[str, float]] = {}
    for label in sorted(set(labels.tolist())):
        place = torch.nonzero(labels == label)[:n, 0]
        if len(place) < 2:
            continue
        values = {}
        for name, tensor in encoded.items():
            if name.endswith("pixels"):
                values[name] = float(torch.pdist(tensor[place].flatten(1).float()).mean())
            elif name.endswith("tokens"):
                texts = tensor[place[:LABEL_ROWS]].tolist()
                values[name] = len(set(map(tuple, texts))) / len(texts)
        found[int(label)] = values
    return found


def _ratios(
    drawn: Mapping[int, Mapping[str, float]], real: Mapping[int, Mapping[str, float]]
) -> dict[int, float]:
    """By label, the smallest ratio of what samples differ by to what real rows do."""
    found = {}
    for label, spread in drawn.items():
        known = real.get(label, {})
        if ratios := [value / known[name] for name, value in spread.items() if known.get(name)]:
            found[label] = min(ratios)
    return found
