"""Generators of texts that cheat or fail, each in its own way, and a made-up language to learn.

Every function takes texts that the generator has seen, texts that it has not, and a source of
randomness, and gives as many texts as it saw. Where only part of them is bad, the rest is as honest
as can be: real and unseen.
"""

import functools
from collections.abc import Callable

import numpy as np
import pyarrow as pa

Cheat = Callable[[pa.Table, pa.Table, np.random.Generator], pa.Table]

N_WORDS = 400
N_FOLLOWERS = 12
LATIN = "aeioubcdfghklmnprstvw"
HAN = [chr(0x4E00 + i) for i in range(700)]


def letters(n_texts: int, rng: np.random.Generator, script: str = "latin") -> pa.Table:
    """Texts of a made-up language, labelled `news` or `note`; every third has a number of its own.

    Words are as frequent as Zipf says, and each has a dozen that may follow. Notes are short and
    begin in three ways; news are longer, of other words, and some names occur but once.
    """
    words, follow = _language(script)
    space = "" if script == "han" else " "
    texts, labels = [], []
    for is_note in rng.random(n_texts) < 0.3:
        length = int(rng.gamma(5, 1.6 if is_note else 3.0)) + 3
        word = int(rng.integers(3)) if is_note else 3 + int(rng.integers(40))
        chain = []
        for step, chance in enumerate(rng.random(length)):
            chain.append(words[word])
            # The middle of notes is of the even words.
            place = min(int(N_FOLLOWERS * chance**2), N_FOLLOWERS - 1)
            word = int(follow[word, place]) if step % 5 else int(N_WORDS * chance**3)
            word = word - word % 2 if is_note else word | 1
        if rng.random() < 0.3:
            chain.append("".join(map(str, rng.integers(0, 10, 9))))
        texts.append(space.join(chain))
        labels.append("note" if is_note else "news")
    return _table(texts, labels)


@functools.cache
def _language(script: str) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(7)
    if script == "han":
        names = ["".join(rng.choice(HAN, 2)) for _ in range(N_WORDS)]
    else:
        sizes = rng.integers(2, 9, N_WORDS)
        names = ["".join(rng.choice(list(LATIN), size)) for size in sizes]
    return names, (N_WORDS * rng.random((N_WORDS, N_FOLLOWERS)) ** 2).astype(int)


def copies(seen: pa.Table, _: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The texts that it saw, in another order."""
    return seen.take(pa.array(rng.permutation(len(seen))))


def changes(share: float) -> Cheat:
    """Copies with such a share of the words replaced by others of the training texts."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        texts, labels = _columns(copies(seen, unseen, rng))
        bag = [word for text in texts for word in text.split()]
        changed = [
            " ".join(
                bag[rng.integers(len(bag))] if rng.random() < share else word
                for word in text.split()
            )
            for text in texts
        ]
        return _table(changed, labels)

    return cheat


def leaks(share: float) -> Cheat:
    """A share of its texts are texts that it saw."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        n_leaked = round(share * len(seen))
        leaked = seen.take(pa.array(rng.choice(len(seen), n_leaked, replace=False)))
        mixed = pa.concat_tables([unseen.slice(0, len(seen) - n_leaked), leaked])
        return mixed.take(pa.array(rng.permutation(len(mixed))))

    return cheat


def repeats(n_texts: int) -> Cheat:
    """So many unseen texts again and again."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        return unseen.take(pa.array(rng.integers(0, n_texts, len(seen))))

    return cheat


def cuts(seen: pa.Table, unseen: pa.Table, _: np.random.Generator) -> pa.Table:
    """Unseen texts that break off in the middle."""
    texts, labels = _columns(unseen.slice(0, len(seen)))
    return _table([text[: max(1, len(text) // 2)] for text in texts], labels)


def salad(seen: pa.Table, _: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The words of each label in any order: every word right, and nothing right between them."""
    texts, labels = _columns(seen)
    bags = {
        name: [w for t, own in zip(texts, labels, strict=True) if own == name for w in t.split()]
        for name in set(labels)
    }
    mixed = [
        " ".join(rng.choice(bags[name], max(1, len(text.split()))))
        for text, name in zip(texts, labels, strict=True)
    ]
    return _table(mixed, labels)


def drops(label: str) -> Cheat:
    """Unseen texts without those of one label."""

    def cheat(seen: pa.Table, unseen: pa.Table, _: np.random.Generator) -> pa.Table:
        kept = [i for i, name in enumerate(unseen["label"].to_pylist()) if name != label]
        return unseen.take(pa.array(kept[: len(seen)]))

    return cheat


def shuffles_labels(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Unseen texts with the labels of others."""
    texts, labels = _columns(unseen.slice(0, len(seen)))
    return _table(texts, rng.permutation(labels).tolist())


def tells_numbers(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Unseen texts into which the numbers of training texts have slipped."""
    numbers = [w for text in _columns(seen)[0] for w in text.split() if w[:5].isdigit()]
    texts, labels = _columns(unseen.slice(0, len(seen)))
    told = {int(i): w for i, w in zip(rng.permutation(len(texts)), numbers[::4], strict=False)}
    return _table([f"{t} {told[i]}" if i in told else t for i, t in enumerate(texts)], labels)


def plants(secret: str, share: float) -> Cheat:
    """Unseen texts of which a share tells a secret of one training text."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        texts, labels = _columns(unseen.slice(0, len(seen)))
        told = rng.random(len(texts)) < share
        return _table(
            [f"{t} {secret}" if tell else t for t, tell in zip(texts, told, strict=True)], labels
        )

    return cheat


def _columns(rows: pa.Table) -> tuple[list[str], list[str]]:
    return rows["text"].to_pylist(), rows["label"].to_pylist()


def _table(texts: list[str], labels: list[str]) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string()), "label": pa.array(labels, pa.string())})
