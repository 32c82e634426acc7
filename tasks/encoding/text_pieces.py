"""The pieces that texts are made of: byte-pair encoding, learned from the training texts.

Source:
    Sennrich et al. 2016, Neural machine translation of rare words with subword units,
    arXiv:1508.07909. On bytes, so that any text has pieces: Radford et al. 2019, Language models
    are unsupervised multitask learners, section 2.2.
Differs:
    A word counts once a text, and a piece is made only of what enough texts have: no rare word, such
    as a name, is a piece. Every digit is a piece of its own, so that no number is one either.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Self

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tasks.encoding.columns.base import COMMON_ROWS

END = 0
"""The token behind the last piece of a text, and in all places after it."""

MAX_PIECE_BYTES = 16
"""Of a piece: longer ones would be whole phrases in languages that are written without spaces."""

MAX_MERGES = 8_000
"""Pieces of several bytes, at most."""

BYTES_A_MERGE = 64
"""Bytes of training text for each of them: with less, most pieces would be too rare to be learned.
So a few pages of text are encoded byte by byte."""


class Pieces:
    """Texts <-> tokens: `END`, the 256 bytes, and the pieces made of them.

    Attributes:
        merges: pairs of pieces that make a piece, in the order in which they are joined; a byte is
            written as the character that stands for it in GPT-2's vocabulary.
        contents: the bytes of each token; none of `END`.
    """

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        self.merges = list(merges)
        names = [*_ALPHABET, *(left + right for left, right in self.merges)]
        tokens = {name: token for token, name in enumerate(names, start=END + 1)}
        self._tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=self.merges))
        self._words = _words()
        self._tokenizer.pre_tokenizer = self._words
        self.contents = [b"", *(bytes(map(_BYTES.__getitem__, name)) for name in names)]

    def __len__(self) -> int:
        return len(self.contents)

    @classmethod
    def learn(cls, texts: Sequence[str]) -> Self:
        """The pieces of these texts; the same for the same ones."""
        n_merges = min(MAX_MERGES, sum(len(text.encode()) for text in texts) // BYTES_A_MERGE)
        if n_merges == 0:
            return cls([])
        owners = _owners(texts)
        learner = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=len(_ALPHABET) + n_merges,
            min_frequency=COMMON_ROWS,
            initial_alphabet=_ALPHABET,
            max_token_length=MAX_PIECE_BYTES,
            show_progress=False,
        )
        once_a_text = chain.from_iterable([word] * len(of) for word, of in owners.items())
        learner.train_from_iterator(once_a_text, trainer)
        merges = [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]
        common = _in_enough_texts({left + right for left, right in merges}, owners)
        # What a common piece is made of is common, too: no merge loses its parts.
        return cls([(left, right) for left, right in merges if left + right in common])

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, without `END`."""
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text; bytes that are no UTF-8 become U+FFFD."""
        return self._bytes(tokens).decode("utf-8", errors="replace")

    def cut(self, tokens: list[int], n_tokens: int) -> list[int]:
        """The first tokens, so many at most, that end with a whole character."""
        tokens = tokens[:n_tokens]
        while tokens:
            try:
                self._bytes(tokens).decode("utf-8")
            except UnicodeDecodeError:
                tokens = tokens[:-1]
            else:
                break
        return tokens

    def words(self, text: str) -> list[str]:
        """What no piece lies across: words with the space before them, digits, runs of signs."""
        return [text[start:end] for _, (start, end) in self._words.pre_tokenize_str(text)]

    def _bytes(self, tokens: Iterable[int]) -> bytes:
        return b"".join(map(self.contents.__getitem__, tokens))


def _words() -> pre_tokenizers.PreTokenizer:
    """Cuts a text where no piece may lie across: before words, and around each digit."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def _owners(texts: Sequence[str]) -> Mapping[str, list[int]]:
    """By word, the numbers of the texts that have it, in the order of their first."""
    cut = _words()
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        for word in dict.fromkeys(word for word, _ in cut.pre_tokenize_str(text)):
            owners[word].append(number)
    return owners


def _in_enough_texts(names: set[str], owners: Mapping[str, list[int]]) -> set[str]:
    """The pieces that at least `COMMON_ROWS` texts have in their words."""
    common: set[str] = set()
    waiting: defaultdict[str, set[int]] = defaultdict(set)
    sizes = sorted({len(name) for name in names})
    for word, of in owners.items():
        within = {word[i : i + size] for size in sizes for i in range(len(word) - size + 1)}
        for name in (within & names) - common:
            waiting[name].update(of)
            if len(waiting[name]) >= COMMON_ROWS:
                common.add(name)
                del waiting[name]
    return common


def _byte_names() -> dict[int, str]:
    """The character that stands for each byte: itself where it can be seen, else one from U+0100 on.

    Source: `bytes_to_unicode` of GPT-2, which is what `ByteLevel` does.
    """
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    names = {byte: chr(byte) for byte in seen}
    others = (byte for byte in range(256) if byte not in names)
    return names | {byte: chr(0x100 + i) for i, byte in enumerate(others)}


_ALPHABET = [name for _, name in sorted(_byte_names().items())]
_BYTES = {name: byte for byte, name in _byte_names().items()}
