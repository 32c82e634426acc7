"""Recurrent networks that read texts and write them."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from tasks.encoding.text_pieces import END
from tasks.generators.layers import Dropout


class Embeddings(nn.Module):
    """Vectors of tokens and labels, shared by whoever reads and writes.

    Args:
        n_tokens: V. One more token stands for a word that is left out.
        n_labels: K.
        size: of a vector.
    """

    def __init__(self, n_tokens: int, n_labels: int, size: int) -> None:
        super().__init__()
        self.hidden_token = n_tokens
        self.tokens = nn.Embedding(n_tokens + 1, size)
        self.labels = nn.Embedding(n_labels, size)
        for parameter in (self.tokens.weight, self.labels.weight):
            nn.init.normal_(parameter, std=0.05)

    @property
    def size(self) -> int:
        """Of a vector."""
        return self.tokens.embedding_dim


class Reader(nn.Module):
    """What a text and its label say: a gated recurrent unit in both directions.

    Source: Cho et al. 2014, section 2.3, arXiv:1406.1078; in both directions: Schuster and Paliwal
    1997, doi:10.1109/78.650093.
    """

    def __init__(self, embeddings: Embeddings, n_units: int, dropout: float) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.dropout = Dropout(dropout)
        self.cells = nn.GRU(embeddings.size, n_units, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of each place, which of them there are, and features of the whole text.

        The first place is that of the label, so that an empty text can be read, too.

        Shape:
            tokens: (B, T) int64, `END` behind the last token.
            labels: (B,) int64.
            returns: (B, L, 2 H) float, (B, L) bool and (B, 2 H) float, L - 1 the longest length.
        """
        lengths = 1 + (tokens != END).sum(dim=1)
        longest = int(lengths.max())
        of_label = self.embeddings.labels(labels)[:, None]
        x = torch.cat([of_label, self.embeddings.tokens(tokens[:, : longest - 1])], dim=1)
        packed = _packed(self.dropout(x), lengths)
        features, last = self.cells(packed)
        padded, _ = pad_packed_sequence(features, batch_first=True, total_length=longest)
        steps = torch.arange(longest, device=tokens.device)
        return padded, steps < lengths[:, None], last.transpose(0, 1).flatten(1)


class Heard(NamedTuple):
    """What a text is written from.

    Attributes:
        start: (B, H) float, the first state.
        topic: (B, C) float, known at each place; C may be 0.
        features: (B, L, H) float, to be attended to; None: nothing.
        is_there: (B, L) bool, which of these there are.
    """

    start: Tensor
    topic: Tensor
    features: Tensor | None = None
    is_there: Tensor | None = None

    def at(self, rows: Tensor) -> "Heard":
        """That of some of the texts."""
        return Heard(*(None if part is None else part[rows] for part in self))  # type: ignore[arg-type]


class Decoder(nn.Module):
    """Each token from those before it and from what was heard.

    Source: attention: Luong et al. 2015, section 3.1 (dot), arXiv:1508.04025; one matrix embeds
    tokens and predicts them: Press and Wolf 2017, arXiv:1608.05859.
    Differs: what was attended to is not told to the next place (no input feeding), so that all places
    are computed at once.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        n_units: int,
        topic_size: int,
        dropout: float,
        *,
        attends: bool,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.dropout = Dropout(dropout)
        self.cells = nn.GRU(embeddings.size + topic_size, n_units, batch_first=True)
        n_features = 2 * n_units if attends else n_units
        self.joined = nn.Linear(n_features, embeddings.size)

    def forward(self, tokens: Tensor, shown: Tensor, labels: Tensor, heard: Heard) -> Tensor:
        """(B,) nats of each text.

        Args:
            tokens: (B, T) int64 to be written, `END` behind the last one.
            shown: (B, T) int64, what stands for them where the next token is told from them.
            labels: (B,) int64.
            heard: what they are written from.
        """
        lengths = 1 + (tokens != END).sum(dim=1)
        longest = int(lengths.max())
        before = self.embeddings.tokens(shown[:, : longest - 1])
        x = torch.cat([self.embeddings.labels(labels)[:, None], before], dim=1)
        topic = heard.topic[:, None].expand(-1, longest, -1)
        packed = _packed(torch.cat([self.dropout(x), topic], dim=2), lengths)
        states, _ = self.cells(packed, heard.start[None])
        targets = _packed(tokens[:, :longest], lengths).data
        if heard.features is None:
            logits = self.logits(states.data, None)
        else:
            padded, _ = pad_packed_sequence(states, batch_first=True)
            attended = _packed(self.attended(padded, heard), lengths).data
            logits = self.logits(states.data, attended)
        nats = functional.cross_entropy(logits, targets, reduction="none")
        padded, _ = pad_packed_sequence(PackedSequence(nats, *states[1:]), batch_first=True)
        found: Tensor = padded.sum(dim=1)
        return found

    def attended(self, states: Tensor, heard: Heard) -> Tensor:
        """(B, L, H) means of what was heard, by its likeness to the states (B, L, H)."""
        assert heard.features is not None  # noqa: S101 - for mypy
        assert heard.is_there is not None  # noqa: S101 - for mypy
        products = states @ heard.features.transpose(1, 2) * states.shape[2] ** -0.5
        weights = products.masked_fill(~heard.is_there[:, None], -torch.inf).softmax(dim=2)
        means: Tensor = weights @ heard.features
        return means

    def logits(self, states: Tensor, attended: Tensor | None) -> Tensor:
        """(..., V) of the next token."""
        both = states if attended is None else torch.cat([states, attended], dim=-1)
        features = self.dropout(torch.tanh(self.joined(both)))
        return functional.linear(features, self.embeddings.tokens.weight[:-1])


class RecurrentWriter:
    """Texts that a decoder is writing."""

    def __init__(self, decoder: Decoder, labels: Tensor, heard: Heard) -> None:
        self._decoder = decoder
        self._heard = heard
        self._state = heard.start
        self._step(decoder.embeddings.labels(labels))

    def logits(self) -> Tensor:
        """See `Writer`."""
        if self._heard.features is None:
            return self._decoder.logits(self._state, None)
        attended = self._decoder.attended(self._state[:, None], self._heard)[:, 0]
        return self._decoder.logits(self._state, attended)

    def read(self, tokens: Tensor) -> None:
        """See `Writer`."""
        self._step(self._decoder.embeddings.tokens(tokens))

    def keep(self, rows: Tensor) -> None:
        """See `Writer`."""
        self._heard, self._state = self._heard.at(rows), self._state[rows]

    def _step(self, x: Tensor) -> None:
        both = torch.cat([x, self._heard.topic], dim=1)[:, None]
        self._state = self._decoder.cells(both, self._state[None])[1][0]


def _packed(x: Tensor, lengths: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
