"""Real rows in the shares of classes that a balanced dataset has, to compare it with.

A generator that was told to make classes of equal size makes them so, and real rows of other shares
would call that an error. So the metrics of fidelity and utility see as many real rows of each class
as leave the shares that were wanted, drawn at random, none of them twice.
"""

import numpy as np

from tasks.splits.record import BalanceRecord


def rows_in_shares(
    values: list[str | None], record: BalanceRecord, rng: np.random.Generator
) -> np.ndarray:
    """Which rows to leave so that the classes have the shares that `record` wants.

    A class that no row is of is left out of the account.

    Shape:
        values: (N,) the target of each row, as text.
        returns: (N,) bool.
    """
    places = {c.value: i for i, c in enumerate(record.classes)}
    classes = np.array([places.get(value, -1) for value in values], dtype=np.int64)
    wanted = np.array([c.wanted for c in record.classes], dtype=np.float64)
    sizes = np.bincount(classes[classes >= 0], minlength=len(wanted))
    there = (sizes > 0) & (wanted > 0)
    kept = np.zeros(len(values), dtype=bool)
    if not there.any():
        return kept
    scale = (sizes[there] / wanted[there]).min()
    for label in np.flatnonzero(there):
        members = rng.permutation(np.flatnonzero(classes == label))
        kept[members[: max(1, int(np.floor(scale * wanted[label] + 1e-9)))]] = True
    return kept
