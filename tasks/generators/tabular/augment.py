"""Real rows, changed a little: an enlarged training set, not a private one.

What comes out of it lies beside real rows, so it tells of each of them: the gates of privacy refuse
it, and a release needs thresholds that say so. It is for training sets that stay where the real rows
are, and a yardstick: a generator that learns should not be worse.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor

from tasks.augmentation.tabular import TabularAugmentation, vary
from tasks.encoding.base import Batches, Encoder
from tasks.encoding.columns.base import RANK_MARGIN
from tasks.encoding.tabular import TabularEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.labelled import RowsByLabel, no_loss, numpy_rng, untrained
from tasks.generators.tabular.parts.rows import held_label, label_column
from tasks.params import Record
from tasks.schema import DatasetSchema

_ROWS = "rows."


class KeptTable(TabularEncoder):
    """A `TabularEncoder` that holds all training rows.

    Attributes:
        rows: the tensors of `encode`, of all rows.
    """

    rows: dict[str, np.ndarray]

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Fit the columns, then encode all rows."""
        encoder = super().fit(schema, batches, rng)
        pieces = [encoder.encode(batch) for batch in batches() if batch.num_rows]
        encoder.rows = {
            name: torch.cat([piece[name] for piece in pieces]).numpy() for name in pieces[0]
        }
        return encoder

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = super().state()
        return content, arrays | {_ROWS + name: array for name, array in self.rows.items()}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        encoder = super().from_state(schema, content, arrays)
        encoder.rows = {
            name.removeprefix(_ROWS): array
            for name, array in arrays.items()
            if name.startswith(_ROWS)
        }
        return encoder


class Augment(DataGenerator):
    """Rows beside real rows; NOT private: it holds the real rows, and so does a saved model.

    A sample goes through all rows in random order, and again from the start. A number is moved on the
    scale on which its column is standard normal, so that `noise` counts in standard deviations, no
    outlier becomes noise for all, and the ends of ranges stay hidden as for other generators. The
    target can be held.
    """

    Params: ClassVar[type[Record]] = TabularAugmentation
    encoder_class: ClassVar[type[Encoder]] = KeptTable
    learns_in_steps: ClassVar[bool] = False
    draws_real_rows: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(KeptTable, encoder)
        self.params = cast(TabularAugmentation, params)
        self.label = label_column(self.encoder)
        self.by_label = RowsByLabel(self._labels())

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """0 for each row: nothing is learned."""
        del objective
        return no_loss(batch)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Take rows in random order and change each."""
        encoder = self.encoder
        held = held_label(encoder, self.label, conditions or {}, n, torch.device("cpu"))
        draws = numpy_rng(rng)
        labels = self._labels()
        if held is None:
            sources = RowsByLabel(np.zeros_like(labels)).draw(np.zeros(n, dtype=np.int64), draws)
        else:
            sources = self.by_label.draw(held.numpy(), draws)
        mates = self.by_label.others(labels[sources], draws, across=self.params.across_classes)
        own, other = self._numbers(sources), self._numbers(mates)
        varied = vary(own, other, np.ones(own.shape[1]), self.params, draws)
        if self.label is not None:
            varied.from_mate[:, self.label] = False
        every = encoder.rows["tokens"]
        tokens = np.where(varied.from_mate, every[mates], every[sources])
        # A cell of the other row has that row's rank.
        numbers = np.where(varied.from_mate, other, varied.numbers)[:, encoder.continuous]
        ranks = torch.from_numpy(np.where(np.isnan(numbers), 0.5, ndtr(numbers))).float()
        made = {
            "tokens": torch.from_numpy(tokens).to(encoder.token_dtype),
            "rank_low": ranks,
            "rank_high": ranks.clone(),
        }
        return {name: tensor.to(rng.device) for name, tensor in made.items()}

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """There is nothing to train."""
        del schema
        return untrained(n_rows)

    def _labels(self) -> np.ndarray:
        """(N,) tokens of the target; 0 where none of moderately many classes is it."""
        tokens = self.encoder.rows["tokens"]
        return np.zeros(len(tokens), np.int64) if self.label is None else tokens[:, self.label]

    def _numbers(self, places: np.ndarray) -> np.ndarray:
        """(B, C) normal scores of continuous cells; NaN elsewhere."""
        encoder = self.encoder
        tokens = encoder.rows["tokens"][places]
        numbers = np.full(tokens.shape, np.nan)
        low, high = (
            encoder.rows[name][places].astype(np.float64) for name in ("rank_low", "rank_high")
        )
        scores = ndtri(np.clip((low + high) / 2, RANK_MARGIN, 1 - RANK_MARGIN))
        for r, i in enumerate(encoder.continuous):
            is_one = tokens[:, i] == encoder.columns[i].continuous_token
            numbers[is_one, i] = scores[is_one, r]
        return numbers
