"""Real texts, changed a little: an enlarged training set, not a private one.

Whole stretches of real texts come out as they are, so the gates refuse it, and a release needs
thresholds that say so. It is for training sets that stay where the real texts are, and a yardstick: a
generator that learns should not be worse.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tasks.augmentation.text import BackOff, TextAugmentation, augment_text
from tasks.encoding.base import Batches, Encoder
from tasks.encoding.text import TextEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.generators.labelled import RowsByLabel, no_loss, numpy_rng, untrained
from tasks.generators.labels import draw_labels
from tasks.params import Record
from tasks.schema import DatasetSchema, arrow_schema


class KeptTexts(TextEncoder):
    """A `TextEncoder` that holds all training texts, as tokens, and lets parts of them be repeated.

    Attributes:
        tokens: (N, T) int16, as `encode` gives them.
        text_labels: (N,) indices of their labels.
    """

    tokens: np.ndarray
    text_labels: np.ndarray

    @classmethod
    def _learn(cls, schema: DatasetSchema, batches: Batches, parent: Self | None) -> Self:
        """Learn the pieces and labels, then encode all texts."""
        encoder = super()._learn(schema, batches, parent)
        pieces = [encoder.encode(batch) for batch in batches() if batch.num_rows]
        encoder.tokens = torch.cat([piece["tokens"] for piece in pieces]).numpy()
        encoder.text_labels = torch.cat([piece["labels"] for piece in pieces]).numpy()
        return encoder

    def may_be_published(self, texts: list[str]) -> np.ndarray:
        """(B,) bool: all, since every text repeats what one has written; the gates decide."""
        return np.ones(len(texts), dtype=bool)

    def tokens_of(self, texts: list[str]) -> Tensor:
        """(B, T) the tokens of texts, as `encode` gives them."""
        labels = self.labels.values.take(pa.array(np.zeros(len(texts), dtype=np.int64)))
        columns = {c.name: labels for c in self.schema.main.columns}
        columns[self._text_column] = pa.array(texts, pa.string())
        fields = arrow_schema(self.schema.main)
        arrays = [columns[field.name].cast(field.type) for field in fields]
        return self.encode(pa.RecordBatch.from_arrays(arrays, schema=fields))["tokens"]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = super().state()
        return content, {**arrays, "tokens": self.tokens, "text_labels": self.text_labels}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        encoder = super().from_state(schema, content, arrays)
        encoder.tokens, encoder.text_labels = arrays["tokens"], arrays["text_labels"]
        return encoder


class Augment(DataGenerator):
    """Changed real texts; NOT private: it holds the real ones, and so does a saved model.

    A sample goes through all texts of a label in random order, and again from the start.
    """

    Params: ClassVar[type[Record]] = TextAugmentation
    encoder_class: ClassVar[type[Encoder]] = KeptTexts
    learns_in_steps: ClassVar[bool] = False
    draws_real_rows: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(KeptTexts, encoder)
        self.params = cast(TextAugmentation, params)
        self.by_label = RowsByLabel(self.encoder.text_labels)
        self.models: dict[int, BackOff] = {}

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """0 for each text: nothing is learned."""
        del objective
        return no_loss(batch)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels, take texts of them in random order, and change each."""
        encoder = self.encoder
        labels = draw_labels(encoder.labels, n, rng, conditions)
        draws, wanted = numpy_rng(rng), labels.cpu().numpy()
        sources = self.by_label.draw(wanted, draws)
        mates = self.by_label.others(wanted, draws, across=self.params.across_classes)
        own, others = (encoder.texts(torch.from_numpy(encoder.tokens[i])) for i in (sources, mates))
        texts = [
            augment_text(text, mate, self.params, self._model(label), draws)
            for text, mate, label in zip(own, others, wanted.tolist(), strict=True)
        ]
        return {
            "tokens": encoder.tokens_of(texts).to(rng.device),
            "labels": labels.to(encoder.labels.dtype),
        }

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """There is nothing to train."""
        del schema
        return untrained(n_rows)

    def _model(self, label: int) -> BackOff:
        """Of the texts of one label, or of all; made when it is first asked for."""
        key = -1 if self.params.across_classes else label
        if key not in self.models:
            tokens = self.encoder.tokens
            rows = tokens if key < 0 else tokens[self.encoder.text_labels == label]
            self.models[key] = BackOff(self.encoder.texts(torch.from_numpy(rows)))
        return self.models[key]
