"""Where the columns of a table stand in an autoregressive model.

The model's columns are called places. Most columns have one; a column of very many tokens has two,
for the upper and the lower digit of its tokens, so that no layer is as wide as its categories are
many. Tokens are sorted by frequency, so tokens with equal upper digits are about equally frequent.
"""

import math

import torch
from torch import Tensor, nn

from tasks.encoding.tabular import TabularEncoder

MAX_TOKENS = 1_024
"""Tokens of one place; a column with more takes two places."""


class Places(nn.Module):
    """J places in the order of the model: the target, columns of tokens, continuous columns.

    Attributes:
        names: the column of each place.
        n_tokens: tokens of each place.
        continuous: places of columns with a continuous part, R of them, ascending.
        columns: (J,) int64, index of the encoder's column of each place.
        rank_order: (R,) int64, where the rank of each continuous place is among the encoder's.
        continuous_tokens: (R,) int64.
    """

    columns: Tensor
    rank_order: Tensor
    continuous_tokens: Tensor
    divisors: Tensor
    moduli: Tensor

    def __init__(self, encoder: TabularEncoder) -> None:
        super().__init__()
        columns: list[int] = []
        divisors: list[int] = []
        self.n_tokens: list[int] = []
        self.continuous: list[int] = []
        for i in _order(encoder):
            n = encoder.columns[i].n_tokens
            is_continuous = encoder.columns[i].continuous_token is not None
            base = 1 if n <= MAX_TOKENS or is_continuous else math.isqrt(n - 1) + 1
            if base > 1:
                columns.append(i)
                divisors.append(base)
                self.n_tokens.append((n - 1) // base + 1)
            if is_continuous:
                self.continuous.append(len(columns))
            columns.append(i)
            divisors.append(1)
            self.n_tokens.append(n if base == 1 else base)
        self.names = [encoder.columns[i].column.name for i in columns]
        self._n_columns = len(encoder.columns)
        self._last = {i: column.n_tokens - 1 for i, column in enumerate(encoder.columns)}
        found = [columns[j] for j in self.continuous]
        for name, values in {
            "columns": columns,
            "divisors": divisors,
            "moduli": [max(n, 1) for n in self.n_tokens],
            "rank_order": [encoder.continuous.index(i) for i in found],
            "continuous_tokens": [encoder.columns[i].continuous_token for i in found],
        }.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)

    def __len__(self) -> int:
        return len(self.names)

    def split(self, tokens: Tensor) -> Tensor:
        """(B, J) int64, the tokens of places, from the encoder's (B, C)."""
        return tokens.long()[:, self.columns] // self.divisors % self.moduli

    def merge(self, tokens: Tensor) -> Tensor:
        """The encoder's (B, C) from (B, J) int64."""
        merged = tokens.new_zeros(len(tokens), self._n_columns)
        return merged.index_add_(1, self.columns, tokens * self.divisors)

    def possible(self, tokens: Tensor, j: int) -> Tensor | None:
        """(B, n_tokens) bool: which tokens place `j` may have after the places before; None: all.

        After the last upper digit, not all lower ones are left.
        """
        if j == 0 or self.names[j] != self.names[j - 1]:
            return None
        left = self._last[int(self.columns[j])] - tokens[:, j - 1] * self.n_tokens[j]
        return torch.arange(self.n_tokens[j], device=tokens.device) <= left[:, None]


def _order(encoder: TabularEncoder) -> list[int]:
    """Columns that are learned: the target, then those of tokens alone, then continuous ones."""
    learned = [i for i, column in enumerate(encoder.columns) if column.n_tokens > 0]
    target = encoder.schema.target
    return sorted(
        learned,
        key=lambda i: (
            encoder.columns[i].column.name != target,
            encoder.columns[i].continuous_token is not None,
            i,
        ),
    )
