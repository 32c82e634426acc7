"""Whole groups of rows into parts of wanted sizes, and of equal shares of each class."""

import numpy as np

from tasks.errors import DataError

MOVES = 1_000
"""Groups that are moved at most to bring the parts nearer to their sizes."""

TRIES = 10
"""Shuffles at most."""

_CELLS = 50_000_000
"""Groups times classes that are looked at for all moves, and as many for all shuffles: of very many
groups a shuffle alone is even."""


def place_groups(
    groups: np.ndarray,
    classes: np.ndarray | None,
    fractions: list[float],
    rng: np.random.Generator,
    setting: str,
) -> np.ndarray:
    """The part of each row, the same one for all rows of a group.

    The groups of each class (that of most of their rows) are shuffled and cut at the wanted sizes;
    then single groups move as long as that brings the parts nearer to the wanted rows of each
    class: the sum over parts and classes of (rows - wanted)² / wanted falls with every move. The
    best of `TRIES` such shuffles counts; the first one that is right to the row ends them.

    Args:
        groups: of the rows.
        classes: of the rows; None: all are of one class.
        fractions: of the parts; they add up to 1.
        rng: shuffles the groups.
        setting: that names the groups, for messages.

    Shape:
        groups: (N,) integers from 0.
        classes: (N,) integers from 0.
        returns: (N,) int16 from 0, the part.

    Raises:
        DataError: there are fewer groups than parts.
    """
    kept, places = np.unique(groups, return_inverse=True)
    n_groups, n_parts = len(kept), len(fractions)
    if n_groups < n_parts:
        raise DataError(
            f"{setting}: expected at least {n_parts} groups for as many parts, found {n_groups} in"
            f" {len(groups):,} rows, and a group is never divided"
        )
    counts = _counts(places, classes, n_groups)
    wanted = np.outer(fractions, counts.sum(axis=0))
    best, least = np.zeros(0, dtype=np.int16), np.inf
    for _ in range(min(TRIES, 1 + _CELLS // (20 * counts.size))):
        parts = _cut(counts, fractions, rng)
        _even_out(parts, counts, wanted)
        _fill_empty(parts, counts, n_parts)
        cost = _cost(parts, counts, wanted)
        if cost < least:
            best, least = parts, cost
        if cost <= (1 / np.maximum(wanted, 1)).sum():  # a row too many or too few in each cell
            break
    rows: np.ndarray = best[places]
    return rows


def _counts(places: np.ndarray, classes: np.ndarray | None, n_groups: int) -> np.ndarray:
    """Shape: (G, K) rows of each class in each group; (G, 1) where that would be too large."""
    n_classes = 1 if classes is None else int(classes.max(initial=0)) + 1
    if classes is None or n_groups * n_classes > 4 * _CELLS:
        return np.bincount(places, minlength=n_groups)[:, None]
    cells = places.astype(np.int64) * n_classes + classes
    return np.bincount(cells, minlength=n_groups * n_classes).reshape(n_groups, n_classes)


def _cut(counts: np.ndarray, fractions: list[float], rng: np.random.Generator) -> np.ndarray:
    """Shape: (G,) int16, by chance within the groups of each class."""
    parts = np.zeros(len(counts), dtype=np.int16)
    order = rng.permutation(len(counts))
    commonest = counts.argmax(axis=1)[order]
    sizes = counts.sum(axis=1)
    for label in range(counts.shape[1]):
        members = order[commonest == label]
        middles = np.cumsum(sizes[members]) - sizes[members] / 2
        ends = np.cumsum(fractions)[:-1] * sizes[members].sum()
        parts[members] = np.searchsorted(ends, middles, side="right")
    return parts


def _even_out(parts: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> None:
    """Move groups, each time the one that helps most, until none helps."""
    n_parts = len(wanted)
    weights = 1 / np.maximum(wanted, 1)
    missing = wanted - _sizes(parts, counts, n_parts)
    squares = counts.astype(np.float64) ** 2
    for _ in range(min(MOVES, _CELLS // counts.size)):
        best = (-1e-9, 0, 0)
        for target in range(n_parts):
            # What (rows - wanted)² / wanted changes by: on the side that gains …
            gains = squares @ weights[target] - counts @ (2 * missing[target] * weights[target])
            # … and on the side that loses.
            for origin in range(n_parts):
                members = np.flatnonzero(parts == origin)
                if origin == target or len(members) <= 1:
                    continue
                change = gains[members] + (
                    squares[members] @ weights[origin]
                    + counts[members] @ (2 * missing[origin] * weights[origin])
                )
                at = int(change.argmin())
                best = min(best, (float(change[at]), int(members[at]), target))
        if best[0] >= -1e-9:
            return
        _, group, target = best
        missing[parts[group]] += counts[group]
        missing[target] -= counts[group]
        parts[group] = target


def _sizes(parts: np.ndarray, counts: np.ndarray, n_parts: int) -> np.ndarray:
    """Shape: (P, K) rows of each class in each part."""
    return np.stack([counts[parts == part].sum(axis=0) for part in range(n_parts)])


def _cost(parts: np.ndarray, counts: np.ndarray, wanted: np.ndarray) -> float:
    misses = _sizes(parts, counts, len(wanted)) - wanted
    return float((misses**2 / np.maximum(wanted, 1)).sum())


def _fill_empty(parts: np.ndarray, counts: np.ndarray, n_parts: int) -> None:
    """Give each part without a group the smallest one of the part with the most groups."""
    sizes = counts.sum(axis=1)
    for part in range(n_parts):
        if not (parts == part).any():
            richest = np.bincount(parts, minlength=n_parts).argmax()
            members = np.flatnonzero(parts == richest)
            parts[members[sizes[members].argmin()]] = part
