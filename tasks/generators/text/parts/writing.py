"""How texts are drawn, token by token, and what all generators of texts share."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, cast

import torch
from pydantic import Field
from torch import Tensor

from tasks.encoding.base import Encoder
from tasks.encoding.text import TextEncoder
from tasks.encoding.text_pieces import END
from tasks.encoding.text_words import WordTree
from tasks.generators.base import DataGenerator
from tasks.generators.labels import draw_labels
from tasks.generators.layers import choose, running_sums
from tasks.generators.text.parts.spelling import Spelling
from tasks.params import Record

MAX_REDRAWS = 12
"""Times that texts which may not be published are drawn anew, for the same labels. Without it, labels
whose texts repeat each other, as advertisements do, would be too rare among what is published."""

CROWDED = 0.75
"""Share of texts that are still being written below which the others are laid aside."""


class TextParams(Record):
    """Settings that all generators of texts have."""

    temperature: float = Field(
        default=1.0,
        gt=0,
        le=10,
        description="divides the logits of a sample: below 1 for likelier, above 1 for odder words",
    )
    top_p: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="each token is drawn from the likeliest ones that have this share together",
    )


class Writer(Protocol):
    """The state of texts that are being written."""

    def logits(self) -> Tensor:
        """(A, V) float, of the next token of each text."""
        ...

    def read(self, tokens: Tensor) -> None:
        """Go on with these next tokens (A,)."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with the texts at these places (A',) alone."""
        ...


class TextGenerator(DataGenerator):
    """A model of texts given their label, which draws a token after the other."""

    encoder_class: ClassVar[type[Encoder]] = TextEncoder
    never: Tensor
    never_first: Tensor

    def __init__(self, encoder: Encoder, params: Record) -> None:
        super().__init__(encoder, params)
        self.encoder = cast(TextEncoder, encoder)
        self.settings = cast(TextParams, params)
        counts, n_empty = self.encoder.statistics.counts, self.encoder.statistics.n_empty
        self.register_buffer("never", torch.from_numpy(counts == 0), persistent=False)
        never_first = self.never.clone()
        never_first[END] = n_empty == 0
        self.register_buffer("never_first", never_first, persistent=False)
        words = self.encoder.words
        self.spelling = words and Spelling(WordTree.of(words, self.encoder.pieces, counts))

    @abstractmethod
    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """(B, T) int16 tokens of new texts with these labels (B,) int64; see `write`."""

    @property
    def mean_tokens(self) -> float:
        """Of a training text, its end included."""
        return self.encoder.statistics.n_tokens / self.encoder.n_rows

    @torch.no_grad()
    def sample(
        self, n: int, rng: torch.Generator, conditions: Mapping[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """Draw labels by their frequency in training, or those that are held, then texts.

        Texts that may not be published are drawn again, up to `MAX_REDRAWS` times.
        """
        labels = draw_labels(self.encoder.labels, n, rng, conditions)
        tokens = self.draw(labels, rng)
        wrong = self._wrong(tokens)
        for _ in range(MAX_REDRAWS):
            if len(wrong) == 0:
                break
            tokens[wrong] = self.draw(labels[wrong], rng)
            wrong = wrong[self._wrong(tokens[wrong])]
        return {"tokens": tokens, "labels": labels.to(self.encoder.labels.dtype)}

    def write(self, writer: Writer, n: int, rng: torch.Generator) -> Tensor:
        """(n, T) int16 tokens of the texts that are begun in `writer`, drawn up to their ends.

        They are made of known words, if the encoder knows enough of them, and empty only if some
        training text is.
        """
        shape = (n, self.encoder.width)
        tokens = torch.full(shape, END, dtype=torch.int16, device=rng.device)
        rows = torch.arange(n, device=rng.device)
        is_open = torch.ones(n, dtype=torch.bool, device=rng.device)
        nodes = torch.zeros_like(rows)
        for place in range(self.encoder.width - 1):
            never = self.never if place else self.never_first
            if self.spelling is not None:
                never = never | ~self.spelling.allowed(nodes)
            logits = writer.logits().masked_fill(never, -torch.inf)
            shares = nucleus(logits / self.settings.temperature, self.settings.top_p)
            drawn = torch.rand(len(rows), generator=rng, device=rows.device, dtype=torch.float64)
            chosen = torch.where(is_open, choose(shares, drawn), END)
            tokens[rows, place] = chosen.to(tokens.dtype)
            is_open = chosen != END
            n_open = int(is_open.sum())
            if n_open == 0:
                break
            writer.read(chosen)
            if self.spelling is not None:
                nodes = self.spelling.after(nodes, chosen)
            if n_open < CROWDED * len(rows):
                kept = is_open.nonzero()[:, 0]
                writer.keep(kept)
                rows, is_open, nodes = rows[kept], is_open[kept], nodes[kept]
        return tokens

    def _wrong(self, tokens: Tensor) -> Tensor:
        """Places (W,) of the texts that may not be published."""
        allowed = self.encoder.may_be_published(self.encoder.texts(tokens))
        return torch.from_numpy(~allowed).to(tokens.device).nonzero()[:, 0]


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together have at least the share `top_p`, and no others.

    Shape:
        logits: (A, V) float.
        returns: (A, V) float, rows that sum to 1.

    Source: Holtzman et al. 2020, The curious case of neural text degeneration, section 3.1,
    arXiv:1904.09751.
    """
    shares = logits.softmax(dim=1)
    if top_p == 1.0:
        return shares
    ordered, places = shares.sort(dim=1, descending=True, stable=True)
    before = running_sums(ordered.double()) - ordered
    kept = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(shares).scatter(1, places, kept / kept.sum(dim=1, keepdim=True))
