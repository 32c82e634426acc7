"""What generators that read and write whole rows share: cells as symbols and scores, and layers.

tokens, ranks ─► `Rows` ─► symbols (B, S), scores (B, R) ─► `RowInput` ─► a network
tokens, ranks ◄─ `Rows` ◄─ symbols, scores ◄─ `RowOutput` ◄────────────────────┘
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.columns.base import RANK_MARGIN
from tasks.encoding.tabular import TabularEncoder
from tasks.errors import DataError, TrainingError
from tasks.generators.layers import LOG_SQRT_2PI, choose, stratified

MAX_SYMBOLS = 1_024
"""Tokens of a column beyond which a token is written as two digits: 100,000 tokens need two
softmaxes over 317 choices instead of one over 100,000."""

LOG_SCALES = (-5.0, 2.0)
"""Of the Gaussian of a score: a narrower one would only be drawn around single training rows."""


class Cells(NamedTuple):
    """The cells of B rows."""

    symbols: Tensor
    """(B, S) int64, each below its entry of `Rows.sizes`."""
    scores: Tensor
    """(B, R) standard normal quantiles of the ranks; 0 where `present` is 0."""
    present: Tensor
    """(B, R) 1 where the cell is continuous, 0 where it is told by its token."""

    def numbers(self) -> Tensor:
        """(B, 2 R) what tells a network the scores."""
        return torch.cat([self.scores, self.present], dim=1)


class Held(NamedTuple):
    """One column that a condition fixes in n rows."""

    tokens: Tensor
    """(n,) int64."""
    ranks: Tensor
    """(n,) float; has a meaning where the column is continuous."""


class Rows(nn.Module):
    """The encoder's tensors <-> symbols and scores.

    A column with one token needs no symbol, one with more than `MAX_SYMBOLS` tokens has two: the
    digits of its token. R columns have a score.

    Args:
        encoder: of the table.
        without: index of a column that is left out, because it is told in another way.

    Attributes:
        sizes: choices of each of the S symbols.
        columns: index of the column of each symbol.
        n_scores: R.
    """

    column_index: Tensor
    divisors: Tensor
    moduli: Tensor
    last_tokens: Tensor
    continuous: Tensor
    continuous_tokens: Tensor

    def __init__(self, encoder: TabularEncoder, without: int | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.columns: list[int] = []
        self.sizes: list[int] = []
        divisors = []
        for i, column in enumerate(encoder.columns):
            if column.n_tokens > 1 and i != without:
                base = column.n_tokens
                if base > MAX_SYMBOLS:
                    base = math.ceil(math.sqrt(base))
                    self._add(i, math.ceil(column.n_tokens / base))
                    divisors.append(base)
                self._add(i, base)
                divisors.append(1)
        self.n_scores = len(encoder.continuous)
        tokens = [encoder.columns[i].continuous_token for i in encoder.continuous]
        for name, indices in {
            "column_index": self.columns,
            "divisors": divisors,
            "moduli": self.sizes,
            "last_tokens": [max(column.n_tokens - 1, 0) for column in encoder.columns],
            "continuous": encoder.continuous,
            "continuous_tokens": tokens,
        }.items():
            self.register_buffer(name, torch.tensor(indices, dtype=torch.long), persistent=False)

    def forward(self, batch: Mapping[str, Tensor], noise: Tensor | float = 0.5) -> Cells:
        """Symbols and scores; `noise` (B, R) says where in its interval of ranks each cell is."""
        tokens = batch["tokens"].long()
        low, high = batch["rank_low"], batch["rank_high"]
        ranks = (low + (high - low) * noise).clamp(RANK_MARGIN, 1 - RANK_MARGIN)
        present = (tokens[:, self.continuous] == self.continuous_tokens).to(ranks.dtype)
        scores = torch.special.ndtri(ranks) * present
        return Cells(self.symbols(tokens), scores, present)

    def symbols(self, tokens: Tensor) -> Tensor:
        """(B, S) from tokens (B, C) of all columns."""
        digits: Tensor = tokens[:, self.column_index] // self.divisors
        return digits % self.moduli

    def tokens(self, symbols: Tensor) -> Tensor:
        """(B, C) from symbols (B, S); digits beyond the last token stand for the last token."""
        tokens = symbols.new_zeros(len(symbols), len(self.last_tokens))
        tokens.index_add_(1, self.column_index, symbols * self.divisors)
        return tokens.minimum(self.last_tokens)

    def _add(self, column: int, size: int) -> None:
        self.columns.append(column)
        self.sizes.append(size)


class RowInput(nn.Module):
    """The cells of a row as numbers: an embedding of each symbol beside what tells the scores.

    Args:
        sizes: choices of each symbol, S of them.
        n_numbers: numbers that tell the scores, N of them.
        embedding_dim: numbers that tell a symbol.

    Shape:
        symbols: (B, S) int64. numbers: (B, N) float.
        output: (B, width) float.
    """

    offsets: Tensor

    def __init__(self, sizes: Sequence[int], n_numbers: int, embedding_dim: int) -> None:
        super().__init__()
        self.width = embedding_dim * len(sizes) + n_numbers
        offsets = torch.tensor([0, *sizes], dtype=torch.long).cumsum(0)[:-1]
        self.register_buffer("offsets", offsets, persistent=False)
        self.embedding = nn.Embedding(sum(sizes), embedding_dim) if sizes else None

    def forward(self, symbols: Tensor, numbers: Tensor) -> Tensor:
        """All cells side by side."""
        if self.embedding is None:
            return numbers
        embedded = self.embedding(symbols + self.offsets).flatten(1)
        return torch.cat([embedded, numbers], dim=1)


class RowOutput(nn.Module):
    """Distributions of the cells of a row, independent of each other given the features `h`.

    A categorical distribution for each symbol, a Gaussian with a mean and a scale of its own for
    each score.

    Args:
        in_size: features.
        sizes: choices of each symbol, S of them.
        n_scores: R.

    Shape:
        h: (B, in_size) float.
    """

    def __init__(self, in_size: int, sizes: Sequence[int], n_scores: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.n_scores = n_scores
        # No layer without outputs: torch warns of those.
        self.logits = nn.Linear(in_size, sum(sizes)) if sizes else None
        self.gaussians = nn.Linear(in_size, 2 * n_scores) if n_scores else None

    def log_likelihood(self, h: Tensor, cells: Cells) -> Tensor:
        """(B,) nats, of all symbols and of the scores that are present."""
        total = h.new_zeros(len(h))
        if self.logits is not None:
            for s, logits in enumerate(self.logits(h).split(self.sizes, dim=1)):
                total = total - functional.cross_entropy(
                    logits, cells.symbols[:, s], reduction="none"
                )
        if self.gaussians is not None:
            means, log_scales = self._gaussians(h)
            z = (cells.scores - means) * (-log_scales).exp()
            density = -0.5 * z.square() - log_scales - LOG_SQRT_2PI
            total = total + (density * cells.present).sum(dim=1)
        return total

    def sample(self, h: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Symbols (B, S) and ranks (B, R)."""
        n = len(h)
        symbols = torch.zeros(n, len(self.sizes), dtype=torch.long, device=h.device)
        if self.logits is not None:
            for s, logits in enumerate(self.logits(h).split(self.sizes, dim=1)):
                symbols[:, s] = choose(logits.softmax(dim=1), stratified(n, rng))
        if self.gaussians is None:
            return symbols, h.new_empty(n, 0)
        means, log_scales = self._gaussians(h)
        noise = torch.randn(means.shape, generator=rng, device=h.device)
        return symbols, torch.special.ndtr(means + log_scales.exp() * noise)

    def _gaussians(self, h: Tensor) -> tuple[Tensor, Tensor]:
        assert self.gaussians is not None  # noqa: S101
        means, log_scales = self.gaussians(h).chunk(2, dim=1)
        return means, log_scales.clamp(*LOG_SCALES)


class ResidualNetwork(nn.Module):
    """A layer, then layers beside the identity; SiLU and dropout after each.

    Shape:
        input: (B, in_size) float.
        output: (B, hidden_units) float.
    """

    def __init__(self, in_size: int, hidden_units: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(in_size, hidden_units)
        self.residual = nn.ModuleList(
            nn.Linear(hidden_units, hidden_units) for _ in range(n_layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the rows."""
        h = self.dropout(functional.silu(self.first(x)))
        for layer in self.residual:
            h = h + self.dropout(functional.silu(layer(h)))
        return cast(Tensor, h)


class LabelShares(nn.Module):
    """The distribution of a column of L tokens, learned; without labels (L = 1) it is certain."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        # A table of one row, and not a bare parameter, so that DP-SGD knows its gradient by row.
        self.logits = nn.Embedding(1, n_labels) if n_labels > 1 else None
        if self.logits is not None:
            nn.init.zeros_(self.logits.weight)

    def log_likelihood(self, labels: Tensor) -> Tensor:
        """(B,) nats from labels (B,) int64."""
        if self.logits is None:
            return torch.zeros(labels.shape, device=labels.device)
        return -functional.cross_entropy(
            self.logits(torch.zeros_like(labels)), labels, reduction="none"
        )

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """(n,) int64."""
        if self.logits is None:
            return torch.zeros(n, dtype=torch.long, device=rng.device)
        shares = self.logits.weight.softmax(dim=1)
        return choose(shares.expand(n, -1), stratified(n, rng))


def label_column(encoder: TabularEncoder) -> int | None:
    """Index of the target, if it is told by one of a moderate number of tokens alone."""
    # Constraints may have put other columns in the place of those of the schema.
    names = [column.column.name for column in encoder.columns]
    target = encoder.schema.target
    if target is None or target not in names:
        return None
    i = names.index(target)
    column = encoder.columns[i]
    is_label = column.continuous_token is None and 1 < column.n_tokens <= MAX_SYMBOLS
    others = [c for j, c in enumerate(encoder.columns) if j != i]
    varies = any(c.n_tokens > 1 or c.continuous_token is not None for c in others)
    return i if is_label and varies else None


def as_batch(
    encoder: TabularEncoder, tokens: Tensor, ranks: Tensor, held: Mapping[int, Held]
) -> dict[str, Tensor]:
    """The encoder's tensors from (n, C) tokens and (n, R) ranks, with what is held written in."""
    for column, cells in held.items():
        tokens[:, column] = cells.tokens
        if column in encoder.continuous:
            ranks[:, encoder.continuous.index(column)] = cells.ranks
    return {
        "tokens": tokens.to(encoder.token_dtype),
        "rank_low": ranks,
        "rank_high": ranks.clone(),
    }


def held_columns(
    encoder: TabularEncoder, conditions: Mapping[str, Any], n: int, device: torch.device
) -> dict[int, Held]:
    """What conditions fix, by the index of the column.

    Args:
        encoder: of the table.
        conditions: one value, or an Arrow array or list of n values, by column name.
        n: rows.
        device: of the tensors.

    Raises:
        TrainingError: a column or a value cannot be held, or there are not n values.
    """
    held = {}
    for name, values in conditions.items():
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            values = values.to_pylist()
        each = values if isinstance(values, list) else [values]
        if isinstance(values, list) and len(values) != n:
            raise TrainingError(
                f"condition on {name!r}: expected one value or {n}, found {len(values)}"
            )
        try:
            tokens, ranks = encoder.encode_values(name, each)
        except DataError as error:
            raise TrainingError(f"impossible condition: {error}") from error
        column = encoder.plan.learned.column_names.index(name)
        cells = torch.from_numpy(tokens), torch.from_numpy(ranks)
        held[column] = Held(*(cell.to(device).expand(n) for cell in cells))
    return held


def held_label(
    encoder: TabularEncoder,
    label: int | None,
    conditions: Mapping[str, Any],
    n: int,
    device: torch.device,
) -> Tensor | None:
    """(n,) tokens of the label that conditions fix, or None if they are empty.

    Raises:
        TrainingError: a column other than the label is to be held, or see `held_columns`.
    """
    if not conditions:
        return None
    held = held_columns(encoder, conditions, n, device)
    if label is None or set(held) != {label}:
        can = "no column" if label is None else f"the target {encoder.schema.target!r} alone"
        raise TrainingError(
            f"expected conditions on {can}, found {list(conditions)}: this generator cannot hold"
            " others exactly; `autoregressive`, `tabdiff` and `gaussian_copula` hold any columns"
        )
    return held[label].tokens
