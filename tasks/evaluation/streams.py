"""The words and characters of the compared texts, read once for all metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np

from tasks.evaluation.base import NotApplicable
from tasks.evaluation.comparison import Comparison
from tasks.evaluation.rows import Part, Rows
from tasks.evaluation.symbols import Stream, Words, characters

MIN_TEXTS = 20
"""Texts of each origin below which their words show nothing but chance."""


@dataclass(frozen=True)
class Streams:
    """All texts of each origin.

    Attributes:
        words: by origin; the same number is the same word.
        characters: by origin.
        are_marks: (words,) bool, which of the words are punctuation marks.
        spaceless: share of the training words that are characters of scripts without spaces.
    """

    words: Mapping[Part, Stream]
    characters: Mapping[Part, Stream]
    are_marks: np.ndarray
    spaceless: float


def streams(comparison: Comparison) -> Streams:
    """The words and characters of all texts.

    Raises:
        NotApplicable: there are too few texts.
    """
    for part in get_args(Part):
        if (found := len(getattr(comparison, part))) < MIN_TEXTS:
            raise NotApplicable(f"needs {MIN_TEXTS} texts of each set, found {found} ({part})")
    return comparison.once("texts: streams", lambda: _read(comparison))


def equal_places(comparison: Comparison) -> dict[Part, np.ndarray]:
    """Of the holdout and the synthetic texts equally many at random, in random order.

    Shape:
        returns: (n,) positions each.
    """
    sizes = {part: len(getattr(comparison, part)) for part in ("holdout", "synthetic")}
    n_texts = min(sizes.values())

    def drawn() -> dict[Part, np.ndarray]:
        rng = comparison.rng("equal texts")
        return {
            "holdout": rng.permutation(sizes["holdout"])[:n_texts],
            "synthetic": rng.permutation(sizes["synthetic"])[:n_texts],
        }

    return comparison.once("texts: equal places", drawn)


def texts_of(rows: Rows) -> list[str]:
    """The texts of these rows."""
    return [] if rows.contents is None else rows.contents.tolist()


def _read(comparison: Comparison) -> Streams:
    names = Words()
    parts: dict[Part, list[str]] = {
        part: texts_of(getattr(comparison, part)) for part in get_args(Part)
    }
    found = {part: names.stream(texts) for part, texts in parts.items()}
    spaceless = names.are_spaceless()[found["train"].codes]
    return Streams(
        found,
        {part: characters(texts) for part, texts in parts.items()},
        names.are_marks(),
        float(spaceless.mean()) if len(spaceless) else 0.0,
    )
