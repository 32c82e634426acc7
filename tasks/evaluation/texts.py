"""Texts as short vectors: latent components of their words and characters.

Every metric that compares vectors works for texts by them; metrics of words, spans and language
models read the texts themselves.

Source: latent semantic analysis, Deerwester et al. 1990,
doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9; hashed features, Weinberger et al.
2009, arXiv:0902.2206.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from tasks.errors import DataError
from tasks.evaluation.symbols import Stream, Words, characters, pieces, spans
from tasks.storage import OpenTable

MAX_TEXTS = 20_000
"""Texts of a set that are compared at most; equal texts are looked for among all."""

MAX_LENGTH = 20_000
"""Characters of a text that are looked at."""

MAX_CHARACTERS = 8_000_000
"""Characters of a set that are compared at most."""

MAX_FITTED = 12_000
"""Texts that the components are learned from at most."""

N_COMPONENTS = 64

N_FEATURES = 2**16

_WORDS, _CHARACTERS = (1, 2), (3, 4)
"""Lengths of the spans of words, and of characters, that are features."""

_PIECE = 500_000
"""Symbols whose features are counted at a time."""


@dataclass(frozen=True)
class TextSet:
    """Texts of one origin.

    Shape:
        texts: (N,) str objects, MAX_LENGTH characters at most.
        vectors: (N, K) float64, K at most N_COMPONENTS.
        identities: (M,) uint64, equal for equal texts; M >= N.
        kept: (N,) positions among the M of those whose texts are here.
        labels: N rows.
    """

    texts: np.ndarray
    vectors: np.ndarray
    identities: np.ndarray
    kept: np.ndarray
    labels: pa.Table


def read_texts(
    places: list[tuple[Path, str]], text: str, labels: list[str], rng: np.random.Generator
) -> list[TextSet]:
    """Read the training, the holdout and the synthetic texts, in this order, with their vectors.

    A text that is missing is an empty one.

    Args:
        places: folder and table of each set.
        text: name of the text column.
        labels: names of the columns to keep beside it.
        rng: chooses texts where there are too many, and starts the search for components.

    Raises:
        DataError: a set is empty, or its column holds no text.
    """
    sets = [_read(place, text, labels, rng) for place in places]
    return [
        TextSet(one.texts, vectors, one.identities, one.kept, one.labels)
        for one, vectors in zip(sets, _vectors([s.texts for s in sets], rng), strict=True)
    ]


def _read(
    source: tuple[Path, str], text: str, labels: list[str], rng: np.random.Generator
) -> TextSet:
    folder, name = source
    table = OpenTable(folder, name)
    if len(table) == 0:
        raise DataError(f"expected texts in table {name!r} of {folder}, found no rows")
    identities, lengths = [], []
    for found in _strings(table, text):
        for one in found.to_pylist():
            identities.append(hashlib.blake2b(one.encode(), digest_size=8).digest())
            lengths.append(min(len(one), MAX_LENGTH))
    kept = _chosen(np.array(lengths), rng)
    texts, rows, start = [], [], 0
    for batch, found in zip(table([text, *labels]), _strings(table, text), strict=True):
        places = pa.array(kept[(kept >= start) & (kept < start + len(found))] - start)
        texts += [one[:MAX_LENGTH] for one in found.take(places).to_pylist()]
        rows.append(batch.select(labels).take(places))
        start += len(found)
    return TextSet(
        _objects(texts),
        np.zeros((len(texts), 0)),
        np.frombuffer(b"".join(identities), "<u8").astype(np.uint64),
        kept,
        pa.Table.from_batches(rows) if labels else pa.table({}),
    )


def _strings(table: OpenTable, text: str) -> Iterator[pa.Array]:
    for batch in table([text]):
        column = batch.column(0)
        try:
            yield pc.fill_null(column.cast(pa.large_string()), "")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"column {text!r} of table {table.table!r} in {table.folder}: expected texts, found"
                f" values of type {column.type}"
            ) from error


def _chosen(lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shape: (M,) to (N,) positions in order: as many texts at random as there is room for."""
    order = rng.permutation(len(lengths))[:MAX_TEXTS]
    fits = np.cumsum(lengths[order]) <= MAX_CHARACTERS
    # One text fits always: it is shorter than all that is looked at.
    return np.sort(order[fits])


def _vectors(sets: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Components of all three sets, learned from all of them alike.

    Components describe the texts that they were learned from better than others. Learned from the
    real texts alone they would tell fresh real texts from these; learned from a random part of all
    texts they do not, and holdout and synthetic texts are described equally well.

    Shape:
        returns: (N, K) float64 each, of a length of 1 at most.
    """
    names = Words()
    features = _weighted(
        sp.vstack(
            [_counted(_hashed([names.stream(t), characters(t.tolist())])) for t in sets],
            format="csr",
        )
    )
    n_texts = features.shape[0]
    # A span that one text alone has makes it like no other, and the search long.
    shared = np.bincount(features.indices, minlength=features.shape[1]) > 1
    features = features[:, np.flatnonzero(shared)] if shared.any() else features[:, :1]
    some = np.sort(rng.choice(n_texts, min(n_texts, MAX_FITTED), replace=False))
    n_components = max(1, min(N_COMPONENTS, len(some) - 1))
    seed = int(rng.integers(2**31))
    # With one thread sums have one order, so every machine of a kind gives the same bytes.
    with threadpool_limits(limits=1):
        _, _, directions = randomized_svd(features[some], n_components, n_iter=4, random_state=seed)
        found = np.asarray(features @ directions.T, np.float64)
    return np.split(found, np.cumsum([len(one) for one in sets])[:-1])


def _hashed(streams: list[Stream]) -> list[sp.csr_matrix]:
    """How often each text has each hashed span: of words, and of characters."""
    found = []
    for stream, lengths in zip(streams, (_WORDS, _CHARACTERS), strict=True):
        parts = [_spans_of(piece, lengths) for _, piece in pieces(stream, _PIECE)]
        found.append(sp.vstack(parts, format="csr"))
    return found


def _spans_of(stream: Stream, lengths: tuple[int, ...]) -> sp.csr_matrix:
    every = [spans(stream, n) for n in lengths]
    owner = np.concatenate([one.owner for one in every])
    feature = np.concatenate([one.keys for one in every]) % np.uint64(N_FEATURES)
    ones = np.ones(len(owner), np.float32)
    shape = (len(stream), N_FEATURES)
    return sp.csr_matrix((ones, (owner, feature.astype(np.int64))), shape=shape)


def _counted(blocks: list[sp.csr_matrix]) -> sp.csr_matrix:
    """Words and characters side by side, counts on a logarithmic scale."""
    for block in blocks:
        block.data = 1 + np.log(block.data)
    return sp.hstack(blocks, format="csr")


def _weighted(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Rare spans weigh more, and the words of a text as much as its characters; length 1.

    Source: inverse document frequency, smoothed, Spärck Jones 1972, doi:10.1108/eb026526.
    """
    n_texts = counts.shape[0]
    in_texts = np.bincount(counts.indices, minlength=counts.shape[1])
    weighted = counts @ sp.diags_array(np.log((1 + n_texts) / (1 + in_texts)) + 1)
    blocks = []
    for block in (weighted[:, :N_FEATURES], weighted[:, N_FEATURES:]):
        lengths = np.sqrt(np.asarray(block.multiply(block).sum(axis=1)).ravel())
        scale = np.divide(0.5**0.5, lengths, out=np.zeros(n_texts), where=lengths > 0)
        blocks.append(sp.diags_array(scale) @ block)
    return sp.hstack(blocks, format="csr")


def _objects(texts: list[str]) -> np.ndarray:
    found = np.empty(len(texts), object)
    found[:] = texts
    return found
