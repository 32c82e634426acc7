"""A small causal transformer: each token given the label and all tokens before it.

    label, token 1 … token t ─► embeddings ─► blocks of masked self-attention ─► token t + 1

Source:
    Vaswani et al. 2017, Attention is all you need, arXiv:1706.03762; as a model of texts: Radford et
    al. 2018, Improving language understanding by generative pre-training. Normalisation before each
    part: Xiong et al. 2020, arXiv:2002.04745. Rotary positions: Su et al. 2021, RoFormer,
    arXiv:2104.09864. The label is a first token: Keskar et al. 2019, CTRL, arXiv:1909.05858. One
    matrix embeds tokens and predicts them: Press and Wolf 2017, arXiv:1608.05859. Label smoothing:
    Szegedy et al. 2016, section 7, arXiv:1512.00567.
"""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from tasks.encoding.base import Encoder
from tasks.encoding.text_pieces import END
from tasks.generators.base import Recipe
from tasks.generators.layers import Dropout
from tasks.generators.text.parts.writing import TextGenerator, TextParams
from tasks.params import Record
from tasks.schema import DatasetSchema

GROUP_ROWS = 8
"""Texts that attend at a time, of like lengths: to be filled up to the longest of a batch would make
attention several times as dear."""

LIKE_TOKENS, LIKE_PLACES = 64, 16
"""Tokens of a batch, and places that attend, are filled up to a multiple of these: kernels for matrices
are made anew for each size, which takes as long as a product."""

FIRST_PLACES = 32
"""Places of the first memory of texts that are written; it doubles when it is full."""

ROTARY_BASE = 10_000.0
"""Of the wavelengths of positions."""


class TransformerParams(TextParams):
    """Settings of `transformer`."""

    width: int = Field(default=128, ge=8, le=4_096, description="numbers that tell a token")
    n_layers: int = Field(default=3, ge=1, le=48, description="blocks of attention")
    n_heads: int = Field(default=4, ge=1, le=64, description="heads of each; they divide the width")
    dropout: float = Field(default=0.15, ge=0, lt=1, description="share of activations left out")
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of a target that all tokens have, in training"
    )

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "TransformerParams":
        if self.width % (2 * self.n_heads):
            raise ValueError(
                f"expected a width that is a multiple of twice n_heads ({2 * self.n_heads}), found"
                f" {self.width}"
            )
        return self


class Transformer(TextGenerator):
    """Texts given their label."""

    Params: ClassVar[type[Record]] = TransformerParams

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        settings = cast(TransformerParams, params)
        self.smoothing = settings.label_smoothing
        self.tokens = nn.Embedding(len(self.encoder.pieces), settings.width)
        self.labels = nn.Embedding(len(self.encoder.labels), settings.width)
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.n_layers))
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)
        for parameter in (self.tokens.weight, self.labels.weight):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, batch: Mapping[str, Tensor], objective: str = "loss") -> Tensor:
        """Nats of each text, divided by the mean number of tokens of a text."""
        del objective
        tokens, labels = batch["tokens"].long(), batch["labels"].long()
        lengths = 1 + (tokens != END).sum(dim=1)
        # By length, so that neighbours are alike.
        order = lengths.argsort(descending=True, stable=True)
        tokens, labels, lengths = tokens[order], labels[order], lengths[order]
        layout = _Layout.of(lengths)
        # The label comes first, then the tokens but the last one.
        before = self.tokens(tokens[layout.rows, layout.places - 1])
        is_first = (layout.places == 0)[:, None]
        h = self.dropout(torch.where(is_first, self.labels(labels)[layout.rows], before))
        for block in self.blocks:
            h = block(h, layout)
        nats = functional.cross_entropy(
            self.logits(h),
            tokens[layout.rows, layout.places],
            reduction="none",
            label_smoothing=self.smoothing if self.training else 0.0,
        )
        sums = nats.new_zeros(len(tokens), len(layout.hidden))
        real = slice(layout.n_tokens)
        sums[layout.rows[real], layout.places[real]] = nats[real]
        found = torch.empty_like(sums[:, 0])
        found[order] = sums.sum(dim=1) / self.mean_tokens
        return found

    def logits(self, h: Tensor) -> Tensor:
        """(..., V) of the next token, from (..., width) features."""
        return functional.linear(self.norm(h), self.tokens.weight)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """New texts."""
        return self.write(_Writer(self, labels), len(labels), rng)

    @classmethod
    def recipe(cls, n_rows: int, schema: DatasetSchema) -> Recipe:
        """Chosen by the validation loss on 4,000 short messages; fewer passes for larger sets."""
        del schema
        return Recipe(
            epochs=max(4, min(100, 64_000 // n_rows)),
            batch_size=32 if n_rows < 10_000 else 64,
            learning_rate=3e-3,
            weight_decay=0.1,
            patience=4,
            ema_decay=0.995,
        )


class _Layout(NamedTuple):
    """Where the tokens of a batch stand, longest text first; behind them, copies of the first fill up."""

    n_tokens: int
    """Without those that fill up."""
    rows: Tensor
    """(N,) int64, the text of each."""
    places: Tensor
    """(N,) int64, its place in it."""
    groups: list[tuple[int, int]]
    """Tokens of texts that attend together, and places for the longest of these."""
    hidden: Tensor
    """(L, L) float, minus infinity where a place lies ahead; L is the length of the longest text."""

    @classmethod
    def of(cls, lengths: Tensor) -> "_Layout":
        sizes = lengths.tolist()
        n_tokens, n_places = sum(sizes), _filled(sizes[0], LIKE_PLACES)
        steps = torch.arange(sizes[0], device=lengths.device)
        index = (steps < lengths[:, None]).nonzero()
        rows, places = functional.pad(index, (0, 0, 0, _filled(n_tokens, LIKE_TOKENS) - n_tokens)).T
        hidden = torch.full((n_places, n_places), -torch.inf, device=lengths.device).triu(1)
        cut = [sizes[i : i + GROUP_ROWS] for i in range(0, len(sizes), GROUP_ROWS)]
        groups = [(sum(group), _filled(group[0], LIKE_PLACES)) for group in cut]
        return cls(n_tokens, rows, places, groups, hidden)


class _Block(nn.Module):
    """Self-attention and two layers, each beside the identity."""

    def __init__(self, settings: TransformerParams) -> None:
        super().__init__()
        width = settings.width
        self.n_heads = settings.n_heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.dropout = Dropout(settings.dropout)
        for layer in (self.attention, self.joined, self.wide, self.narrow):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        for layer in (self.joined, self.narrow):
            # So that the sum of all blocks starts no larger than one of them.
            nn.init.normal_(layer.weight, std=0.02 / (2 * settings.n_layers) ** 0.5)

    def forward(self, h: Tensor, layout: _Layout) -> Tensor:
        """(N, width) features of the tokens of a batch."""
        both = self.attention(self.norms[0](h)).unflatten(1, (3, self.n_heads, -1))
        turned = rotate(both[:, :2], layout.places)
        rows = torch.cat([turned, both[:, 2:]], dim=1)
        seen, start, first = [], 0, 0
        for n_tokens, longest in layout.groups:
            part = slice(start, start + n_tokens)
            places = layout.rows[part] - first, layout.places[part]
            padded = rows.new_zeros(GROUP_ROWS, longest, *rows.shape[1:])
            padded[places] = rows[part]
            query, key, value = padded.permute(2, 0, 3, 1, 4)
            means = attend(query, key, value, layout.hidden[:longest, :longest])
            seen.append(means.transpose(1, 2)[places].flatten(1))
            start, first = start + n_tokens, first + GROUP_ROWS
        mixed = functional.pad(torch.cat(seen), (0, 0, 0, len(h) - layout.n_tokens))
        return self._widened(h + self.dropout(self.joined(mixed)))

    def step(self, h: Tensor, place: int, memory: Tensor) -> Tensor:
        """(A, width) features of the token at `place`, which `memory` then knows.

        Shape:
            memory: (2, A, heads, places, width / heads), keys and values of the places before.
        """
        both = self.attention(self.norms[0](h)).unflatten(1, (3, self.n_heads, -1))
        turned = rotate(both[:, :2], torch.tensor([place], device=h.device))
        memory[0, :, :, place], memory[1, :, :, place] = turned[:, 1], both[:, 2]
        keys, values = memory[:, :, :, : place + 1]
        query = turned[:, 0, :, None]
        mixed = attend(query, keys, values)
        return self._widened(h + self.joined(mixed.flatten(1)))

    def _widened(self, h: Tensor) -> Tensor:
        wide = functional.gelu(self.wide(self.norms[1](h)))
        widened: Tensor = h + self.dropout(self.narrow(wide))
        return widened


class _Writer:
    """Texts that are written, with the keys and values of what is written (a KV cache)."""

    def __init__(self, model: Transformer, labels: Tensor) -> None:
        self._model = model
        width = model.tokens.embedding_dim
        n_heads = cast(_Block, model.blocks[0]).n_heads
        shape = (len(model.blocks), 2, len(labels), n_heads, FIRST_PLACES, width // n_heads)
        self._memory = model.norm.weight.new_zeros(shape)
        self._place = 0
        self._h = self._step(model.labels(labels))

    def logits(self) -> Tensor:
        return self._model.logits(self._h)

    def read(self, tokens: Tensor) -> None:
        self._h = self._step(self._model.tokens(tokens))

    def keep(self, rows: Tensor) -> None:
        self._memory, self._h = self._memory[:, :, rows], self._h[rows]

    def _step(self, h: Tensor) -> Tensor:
        if self._place == self._memory.shape[4]:
            self._memory = torch.cat([self._memory, torch.zeros_like(self._memory)], dim=4)
        for block, memory in zip(self._model.blocks, self._memory, strict=True):
            h = cast(_Block, block).step(h, self._place, memory)
        self._place += 1
        return h


def attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None = None) -> Tensor:
    """For each place, the mean of the values at the places that it looks at.

    Written out: torch's fused kernel takes four times as long on a CPU for texts of this length.

    Shape:
        query: (A, heads, Q, D); key, value: (A, heads, L, D) float.
        hidden: (Q, L) float, added to the products: minus infinity where a place must not look.
        returns: (A, heads, Q, D).

    Source: Vaswani et al. 2017, equation 1, arXiv:1706.03762.
    """
    products = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if hidden is not None:
        products = products + hidden
    mixed: Tensor = products.softmax(dim=-1) @ value
    return mixed


def _filled(n: int, multiple: int) -> int:
    """The least multiple that is not below `n`."""
    return -(-n // multiple) * multiple


def rotate(x: Tensor, places: Tensor) -> Tensor:
    """Turn pairs of numbers by angles that grow with the place, so that products tell distances.

    Shape:
        x: (N, ..., heads, D) float, D even; number i is paired with i + D / 2.
        places: (N,) or (1,) int64.

    Source: Su et al. 2021, section 3.4.2, arXiv:2104.09864; pairs as in GPT-NeoX.
    """
    half = x.shape[-1] // 2
    speeds = ROTARY_BASE ** (-torch.arange(half, device=x.device) / half)
    angles = places[:, None, None, None] * speeds
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    one, other = x[..., :half], x[..., half:]
    return torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1)
