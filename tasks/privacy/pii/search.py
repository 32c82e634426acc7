"""Finding personal data: in a column by its values and its name, and inside a text."""

import functools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import bdtrc

from tasks.privacy.pii.base import CHANCE, Finding, Match, Recogniser, Sample, Span, folded
from tasks.registry import load, names
from tasks.schema import Meaning

EXAMINED = 2_000
"""Distinct values of a column that are examined; the share of a kind is known to 1 % by them."""

_KINDS = "tasks.privacy.pii.kinds"


@functools.cache
def recognisers() -> tuple[Recogniser, ...]:
    """One of every kind, by name."""
    return tuple(
        load(_KINDS, name, Recogniser)()  # type: ignore[type-abstract]
        for name in names(_KINDS)
    )


def kinds() -> list[str]:
    """The kinds that there are, by name."""
    return names(_KINDS)


def recogniser(kind: str) -> Recogniser:
    """The recogniser of a kind that a finding names."""
    return next(one for one in recognisers() if one.kind == kind)


def find(name: str, values: pa.Array | pa.ChunkedArray, meaning: Meaning) -> Finding | None:
    """What kind of personal data a column holds, if any.

    Of several kinds that its values satisfy, one that its name speaks for comes first, then the one
    that more of the values are of, then the one that fewer values satisfy by chance.

    Args:
        name: of the column.
        values: a sample of it, of any length; 100,000 rows take some ten milliseconds.
        meaning: of the column.
    """
    sample = _sample(name, values, meaning)
    if sample is None:
        return None
    found = [
        (finding, match.chance)
        for one in recognisers()
        if one.applies(sample) and not re.search(one.against, sample.name)
        for finding, match in _judged(one, sample)
    ]
    if not found:
        return None
    best, _ = max(found, key=lambda f: (f[0].hinted, f[0].confidence, -f[1], f[0].kind))
    return best


def spans(text: str, kinds: Sequence[Recogniser] | None = None) -> list[Span]:
    """Where personal data is in a text, from left to right; of places that overlap, the longest.

    For taking it out: what is only likely to be a name counts as one.
    """
    found = [
        Span(start, end, one.kind)
        for one in (recognisers() if kinds is None else kinds)
        for start, end in one.spans(text, eager=True)
    ]
    kept: list[Span] = []
    for span in sorted(found, key=lambda s: (s.start - s.end, s.start)):
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def _sample(name: str, values: pa.Array | pa.ChunkedArray, meaning: Meaning) -> Sample | None:
    data_type = values.type
    if pa.types.is_dictionary(data_type):
        values, data_type = values.cast(data_type.value_type), data_type.value_type
    if pa.types.is_nested(data_type) or pa.types.is_boolean(data_type) or meaning == "image":
        return None
    present = values.drop_null()
    try:
        distinct = pc.unique(present)
        places = np.unique(np.linspace(0, len(distinct) - 1, EXAMINED).astype(np.int64))
        raw = distinct.take(pa.array(places)) if len(distinct) else distinct
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    texts, kept = [], []
    for i, value in enumerate(raw.to_pylist()):
        text = _as_text(value)
        if text:
            texts.append(text)
            kept.append(i)
    if not texts:
        return None
    return Sample(
        name=folded(name),
        values=texts,
        n_distinct=len(distinct),
        n_present=len(present),
        data_type=data_type,
        meaning=meaning,
        raw=raw.take(pa.array(kept, pa.int64())),
    )


def _as_text(value: object) -> str:
    """A float that is whole reads as the integer that it stands for, as in a column with gaps."""
    if isinstance(value, bytes):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _judged(one: Recogniser, sample: Sample) -> list[tuple[Finding, Match]]:
    hinted = re.search(one.hint, sample.name) is not None
    least = one.hinted_share if hinted else one.bare_share
    if least is None:
        return []
    match = one.match(sample, hinted=hinted)
    n = len(sample.values)
    confidence = (match.n / n - match.chance) / (1 - match.chance)
    if match.n == 0 or confidence < least:
        return []
    by_chance = float(bdtrc(match.n - 1, n, match.chance)) if match.chance else 0.0
    if by_chance > CHANCE and not hinted:
        return []
    finding = Finding(one.kind, round(confidence, 4), hinted, n, match.n, match.detail)
    return [(finding, match)]
