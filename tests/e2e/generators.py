"""Generators that a factory must not publish; tests put copies of this text into a project."""

FORGER = '''"""A generator that keeps the training rows and gives them out again."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Encoder
from tasks.encoding.tabular import TabularEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.params import Record
from tasks.schema import DatasetSchema


class ForgerParams(Record):
    shuffle: bool = Field(default=False, description="draw each column from another row")


class Forger(DataGenerator):
    Params: ClassVar[type[Record]] = ForgerParams
    encoder_class: ClassVar[type[Encoder]] = TabularEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.shuffle = params.shuffle
        self.continuous = list(encoder.continuous)
        n, continuous = encoder.n_rows, len(encoder.continuous)
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("kept", torch.zeros((), dtype=torch.long))
        self.register_buffer("tokens", torch.zeros(n, len(encoder.columns), dtype=torch.long))
        self.register_buffer("rank_low", torch.zeros(n, continuous))
        self.register_buffer("rank_high", torch.zeros(n, continuous))

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        n = len(batch["tokens"])
        if self.training:
            place = slice(int(self.kept), int(self.kept) + n)
            for name in ("tokens", "rank_low", "rank_high"):
                getattr(self, name)[place] = batch[name].to(getattr(self, name).dtype)
            self.kept += n
        return self.weight.square().expand(n)

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        rows = torch.randint(int(self.kept), (n,), generator=rng)
        drawn = {name: getattr(self, name)[rows] for name in ("tokens", "rank_low", "rank_high")}
        if self.shuffle:
            orders = [torch.randperm(n, generator=rng) for _ in range(self.tokens.shape[1])]
            for j, order in enumerate(orders):
                drawn["tokens"][:, j] = drawn["tokens"][order, j]
                if j in self.continuous:
                    r = self.continuous.index(j)
                    for name in ("rank_low", "rank_high"):
                        drawn[name][:, r] = drawn[name][order, r]
        return drawn

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        del schema
        return Recipe(
            epochs=1,
            batch_size=64,
            learning_rate=1e-3,
            weight_decay=0.0,
            patience=1,
            ema_decay=0.9,
        )
'''
