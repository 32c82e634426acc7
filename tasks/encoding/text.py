"""Texts with a label <-> tokens and label indices."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import torch

from tasks.encoding.base import Batches, Encoder, Preview, count, select
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.encoding.labels import Labels
from tasks.encoding.text_copies import RareSpans
from tasks.encoding.text_pieces import END, MAX_PIECE_BYTES, Pieces
from tasks.encoding.text_words import KnownWords
from tasks.errors import DataError, NothingToLearn
from tasks.schema import Column, DatasetSchema, arrow_schema

MAX_TOKENS = 512
"""Of a text: what is longer is cut. It bounds the memory of a training; 300 English words are fewer."""

LEARNED_TEXTS = 50_000
"""Texts that the pieces are learned from, at most: evenly spaced ones, where there are more."""

PREVIEW_TEXTS = 5
"""Of each label in a preview."""

_log = logging.getLogger(__name__)


class TokenStatistics(NamedTuple):
    """What the tokens of the training texts are like."""

    width: int
    """One more than the tokens of the longest text, once cut."""
    n_tokens: int
    """Of all texts, each with one `END`."""
    counts: np.ndarray
    """(V,) int64, texts that have the token."""
    n_empty: int
    """Texts without a token but `END`."""


class TextEncoder(Encoder):
    """Texts as rows of tokens, with the index of their label.

    Nothing is lost of a text of up to `MAX_TOKENS` tokens, whatever its language and signs; longer
    ones are cut at the last whole character, and `fit` warns of how many these are.

    Tensors, with B texts, and T one more than the tokens of the longest training text:
      - `tokens` (B, T) int16 in [0, V), V the number of `pieces`; `END` behind the last one of a
        text and in all places after it. There is always one.
      - `labels` (B,) uint8, int16 or int32, indices of `labels`.

    Attributes:
        pieces: what the tokens stand for.
        statistics: of the tokens; one that no training text has should not be drawn.
        labels: those that training texts have.
        words: what a drawn text should be made of; None: of whatever tokens spell.
    """

    def __init__(
        self,
        schema: DatasetSchema,
        pieces: Pieces,
        statistics: TokenStatistics,
        labels: Labels,
        *,
        words: KnownWords | None,
        alphabet: frozenset[str],
        rare: RareSpans,
    ) -> None:
        self.schema = schema
        self.pieces = pieces
        self.statistics = statistics
        self.labels = labels
        self.words = words
        self._alphabet = alphabet
        self._rare = rare
        self._text_column = _text_column(schema)

    @property
    def width(self) -> int:
        """T, places of a row of tokens."""
        return self.statistics.width

    @property
    def n_rows(self) -> int:
        """Training texts."""
        return self.labels.n_rows

    @classmethod
    def fit(cls, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """Learn the pieces and the labels, and what must not be repeated.

        Raises:
            DataError: a row has no text or no label, there are fewer than two texts, no label is
                common, or the schema has other columns.
            NothingToLearn: all texts are empty.
        """
        del rng
        return cls._learn(schema, batches, None)

    def refit(self, schema: DatasetSchema, batches: Batches, rng: np.random.Generator) -> Self:
        """The same for other texts, in the pieces of these; raises as `fit` does.

        What must not be repeated of these texts must not of the others either: the weights may know it.
        """
        del rng
        return self._learn(schema, batches, self)

    @classmethod
    def _learn(cls, schema: DatasetSchema, batches: Batches, parent: Self | None) -> Self:
        name, label = _text_column(schema), _label_column(schema)
        alphabet: set[str] = set()
        counted: Counter[str] = Counter()
        learned: list[str] = []
        n_rows = count(batches)
        step, n_seen = math.ceil(n_rows / LEARNED_TEXTS), 0
        for batch in select(batches, [name] if label is None else [name, label.name]):
            texts = _texts(batch, name, n_seen)
            learned += [text for i, text in enumerate(texts, n_seen) if i % step == 0]
            alphabet.update(*texts)
            n_seen += len(texts)
            if label is not None:
                counted.update(Labels.counted(batch.column(label.name)))
        if n_rows < 2:
            raise DataError(f"expected two training texts at least, found {n_rows}")
        if not alphabet:
            raise NothingToLearn(f"expected texts in {name!r}, found {n_rows} empty ones")
        labels = Labels.of(label, counted, n_rows)
        pieces = parent.pieces if parent else Pieces.learn(learned)
        statistics = _measure(pieces, _batches_of_texts(batches, name))
        inherited = parent._rare if parent else None
        rare = RareSpans.learn(lambda: _batches_of_texts(batches, name), inherited)
        return cls(
            schema,
            pieces,
            statistics,
            labels,
            words=KnownWords.learn(lambda: _batches_of_texts(batches, name), pieces),
            alphabet=frozenset(alphabet),
            rare=rare,
        )

    def encode(self, batch: pa.RecordBatch) -> dict[str, torch.Tensor]:
        """Tokens of the texts and indices of the labels."""
        texts = _texts(batch, self._text_column, 0)
        tokens = np.full((len(texts), self.width), END, dtype=np.int16)
        for row, found in zip(tokens, self.pieces.encode(texts), strict=True):
            kept = self.pieces.cut(found, self.width - 1) if len(found) >= self.width else found
            row[: len(kept)] = kept
        return {"tokens": torch.from_numpy(tokens), "labels": self.labels.encode(batch)}

    def decode(
        self,
        encoded: Mapping[str, torch.Tensor],
        rng: np.random.Generator,
        first_row: int = 0,
        held: Mapping[str, Any] | None = None,
    ) -> pa.RecordBatch:
        """The texts, each up to its first `END`, with their labels."""
        del rng, first_row, held
        columns: dict[str, pa.Array] = {
            self._text_column: pa.array(self.texts(encoded["tokens"]), pa.string())
        }
        if self.schema.target is not None:
            columns[self.schema.target] = self.labels.decode(encoded["labels"])
        fields = arrow_schema(self.schema.main)
        arrays = [columns[field.name].cast(field.type) for field in fields]
        return pa.RecordBatch.from_arrays(arrays, schema=fields)

    def texts(self, tokens: torch.Tensor) -> list[str]:
        """What rows of tokens (B, T) say, each up to its first `END`."""
        rows = tokens.cpu().numpy()
        ends = np.where((rows == END).any(axis=1), (rows == END).argmax(axis=1), rows.shape[1])
        return [self.pieces.decode(row[:end].tolist()) for row, end in zip(rows, ends, strict=True)]

    def admissible(self, batch: pa.RecordBatch) -> np.ndarray:
        """(B,) bool: which texts repeat nothing of a few training texts; see `text_copies`."""
        return self.may_be_published(batch.column(self._text_column).to_pylist())

    def may_be_published(self, texts: list[str]) -> np.ndarray:
        """(B,) bool: which texts repeat nothing rare, and have only characters of training texts."""
        is_known = np.array([self._alphabet.issuperset(text) for text in texts], dtype=bool)
        return np.asarray(is_known & ~self._rare.repeated_by(texts))

    def preview(self, encoded: Mapping[str, torch.Tensor]) -> Preview:
        """The first texts of each label that may be published, a line each."""
        lines: list[str] = []
        texts = self.texts(encoded["tokens"])
        # People look at it where samples are not: also an encoder that admits real texts shows none.
        is_shown = TextEncoder.may_be_published(self, texts)
        labels = self.labels.decode(encoded["labels"]).to_pylist()
        for label in dict.fromkeys(labels):
            rows = zip(texts, labels, is_shown, strict=True)
            own = [text for text, of, shown in rows if shown and of == label]
            lines += [] if self.labels.column is None else [f"{self.labels.column.name}: {label}"]
            lines += [f"  {' '.join(text.split())}" for text in own[:PREVIEW_TEXTS]]
        if n_hidden := len(texts) - int(is_shown.sum()):
            lines.append(
                f"{n_hidden} of {len(texts)} texts are not shown: they repeat what fewer than"
                f" {COMMON_ROWS} training texts have, or have characters that none has"
            )
        return Preview(".txt", "".join(f"{line}\n" for line in lines).encode())

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` needs: JSON, and arrays."""
        content, arrays = self.labels.state()
        spans, keys = self._rare.state()
        content |= spans
        content |= {
            "merges": [list(pair) for pair in self.pieces.merges],
            "width": self.width,
            "n_tokens": self.statistics.n_tokens,
            "n_empty": self.statistics.n_empty,
            "words": self.words and self.words._asdict(),
            "alphabet": "".join(sorted(self._alphabet)),
        }
        return content, {"token_counts": self.statistics.counts, **arrays, **keys}

    @classmethod
    def from_state(
        cls, schema: DatasetSchema, content: dict[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Self:
        """The encoder whose `state()` this is."""
        words = content["words"]
        return cls(
            schema,
            Pieces([(left, right) for left, right in content["merges"]]),
            TokenStatistics(
                content["width"], content["n_tokens"], arrays["token_counts"], content["n_empty"]
            ),
            Labels.from_state(_label_column(schema), content, arrays),
            words=words and KnownWords(**words),
            alphabet=frozenset(content["alphabet"]),
            rare=RareSpans.from_state(content, arrays),
        )


def _text_column(schema: DatasetSchema) -> str:
    """The name of the one column of texts; refuses columns that no decoded row would have."""
    texts = [column.name for column in schema.main.columns_of("text")]
    texts = [name for name in texts if name != schema.target]
    if len(texts) != 1:
        raise DataError(f"expected one column of texts in {schema.main.name!r}, found {texts}")
    known = {texts[0], schema.target}
    if others := [name for name in schema.main.column_names if name not in known]:
        raise DataError(
            f"a text comes with a label at most; found also {others}: drop them under"
            " clean.drop_columns"
        )
    return texts[0]


def _label_column(schema: DatasetSchema) -> Column | None:
    return None if schema.target is None else schema.main.column(schema.target)


def _batches_of_texts(batches: Batches, name: str) -> Iterator[list[str]]:
    n_seen = 0
    for batch in select(batches, [name]):
        yield _texts(batch, name, n_seen)
        n_seen += batch.num_rows


def _texts(batch: pa.RecordBatch, name: str, first_row: int) -> list[str]:
    """The texts of a batch, as far as their tokens can reach."""
    texts = batch.column(name).to_pylist()
    for row, text in enumerate(texts, first_row):
        if text is None:
            raise DataError(
                f"expected a text in every row of {name!r}, found none in row {row:,}: drop such"
                " rows under `clean`, or make them empty texts in the source"
            )
    return [text[: MAX_TOKENS * MAX_PIECE_BYTES] for text in texts]


def _measure(pieces: Pieces, batches: Iterator[list[str]]) -> TokenStatistics:
    """Count the tokens; warn of texts that are cut."""
    counts = np.zeros(len(pieces), dtype=np.int64)
    longest = n_cut = n_tokens = n_rows = n_empty = 0
    for texts in batches:
        n_rows += len(texts)
        for found in pieces.encode(texts):
            n_cut += len(found) > MAX_TOKENS
            n_empty += not found
            kept = pieces.cut(found, MAX_TOKENS) if len(found) > MAX_TOKENS else found
            counts[list({END, *kept})] += 1
            longest = max(longest, len(kept))
            n_tokens += len(kept) + 1
    if n_cut:
        _log.warning(
            "%s of %s texts are longer than %d tokens; only their beginning is learned",
            *(f"{n_cut:,}", f"{n_rows:,}", MAX_TOKENS),
        )
    return TokenStatistics(longest + 1, n_tokens, counts, n_empty)
