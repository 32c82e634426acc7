"""Small implementations of our contracts, for tests of what uses them."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn

from tasks.encoding.base import Batches, Encoder
from tasks.generators.base import DataGenerator, Objective, Recipe
from tasks.params import Record
from tasks.schema import Column, DatasetSchema, TableSchema, arrow_schema


class NumbersEncoder(Encoder):
    """Columns of doubles, none missing <-> one float32 tensor of standardized numbers."""

    def __init__(self, schema: DatasetSchema, mean: np.ndarray, deviation: np.ndarray) -> None:
        self.schema, self.mean, self.deviation = schema, mean, deviation

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        rows = np.concatenate([_matrix(batch) for batch in batches()])
        return cls(schema, rows.mean(0), np.maximum(rows.std(0), 1e-9))

    def encode(self, batch: pa.RecordBatch) -> dict[str, Tensor]:
        numbers = (_matrix(batch) - self.mean) / self.deviation
        return {"numbers": torch.from_numpy(numbers.astype(np.float32))}

    def decode(
        self,
        encoded: Mapping[str, Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
    ) -> pa.RecordBatch:
        rows = encoded["numbers"].cpu().numpy() * self.deviation + self.mean
        return pa.RecordBatch.from_arrays(
            list(map(pa.array, rows.T)), schema=arrow_schema(self.schema.main)
        )

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"mean": self.mean, "deviation": self.deviation}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        return cls(schema, arrays["mean"], arrays["deviation"])


class NumbersParams(Record):
    """Settings of `NumbersGenerator`."""

    hidden_units: int = Field(default=8, ge=1)
    poison_step: int | None = Field(default=None, description="forward call that gives NaN")


class NumbersGenerator(DataGenerator):
    """A noisy autoencoder, which needs torch's own randomness (noise, dropout) and a buffer."""

    Params: ClassVar[type[Record]] = NumbersParams
    encoder_class = NumbersEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.params = params
        self.calls = 0
        n_columns = len(encoder.schema.main.columns)
        hidden = params.hidden_units
        self.narrow = nn.Linear(n_columns, 1)
        self.widen = nn.Sequential(
            nn.Linear(1, hidden),
            nn.BatchNorm1d(hidden),
            nn.Tanh(),
            nn.Dropout(0.1),
            nn.Linear(hidden, n_columns),
        )
        last = self.widen[-1].weight
        last.data = last.data.t().contiguous().t()  # not in order in memory, as some networks have

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        numbers = batch["numbers"]
        self.calls += self.training
        latent = self.narrow(numbers)
        losses = (numbers - self.widen(latent + 0.1 * torch.randn_like(latent))).square().sum(1)
        return losses * float("nan") if self.calls == self.params.poison_step else losses

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        return {"numbers": self.widen(torch.randn(n, 1, generator=rng, device=rng.device))}

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        del schema
        return Recipe(
            epochs=6,
            batch_size=32,
            learning_rate=1e-2,
            weight_decay=0.01,
            patience=6,
            ema_decay=0.99,
        )


class NumbersGan(DataGenerator):
    """Two networks against each other: several objectives, one of them with steps of its own."""

    Params: ClassVar[type[Record]] = NumbersParams
    encoder_class = NumbersEncoder

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        n_columns = len(encoder.schema.main.columns)
        self.network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, n_columns))
        self.critic = nn.Sequential(nn.Linear(n_columns, 8), nn.Tanh(), nn.Linear(8, 1))

    def objectives(self) -> list[Objective]:
        return [Objective("critic", "critic", steps=2), Objective("network", "network")]

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        fake = self.network(torch.randn(len(batch["numbers"]), 2))
        if objective == "critic":
            return (1 - self.critic(batch["numbers"])).relu()[:, 0] + self.critic(fake)[:, 0].relu()
        return -self.critic(fake)[:, 0]

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        return {"numbers": self.network(torch.randn(n, 2, generator=rng))}

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        del schema
        return Recipe(
            epochs=4,
            batch_size=32,
            learning_rate=1e-3,
            weight_decay=0.0,
            patience=None,
            ema_decay=0.9,
            schedule="constant",
            betas=(0.5, 0.9),
        )


def numbers_schema(*names: str) -> DatasetSchema:
    """A dataset of one table `numbers` with these columns of doubles."""
    columns = tuple(Column(name=n, type="double", meaning="numeric", nullable=False) for n in names)
    return DatasetSchema(
        kind="tabular", tables=(TableSchema(name="numbers", columns=columns),), target=None
    )


def numbers_batch(n_rows: int, seed: int = 0) -> pa.RecordBatch:
    """Rows of `numbers_schema("a", "b")`: b is about twice a."""
    rng = np.random.default_rng(seed)
    a = rng.normal(3, 2, n_rows)
    return pa.RecordBatch.from_pydict(
        {"a": a, "b": 2 * a + rng.normal(size=n_rows)},
        schema=arrow_schema(numbers_schema("a", "b").main),
    )


def copier(train: pa.Table, n: int, rng: np.random.Generator) -> pa.Table:
    """Synthetic rows of a generator that memorised: training rows, drawn with replacement."""
    return train.take(pa.array(rng.integers(0, len(train), n)))


def shuffler(train: pa.Table, n: int, rng: np.random.Generator) -> pa.Table:
    """Synthetic rows of one that learned each column alone: columns drawn independently."""
    columns = [column.take(pa.array(rng.integers(0, len(train), n))) for column in train.columns]
    return pa.table(columns, schema=train.schema)


def _matrix(batch: pa.RecordBatch) -> np.ndarray:
    return np.stack([column.to_numpy(zero_copy_only=False) for column in batch.columns], axis=1)
