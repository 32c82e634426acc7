"""Cuts in time: what is later is on one side, and rows of one moment are never parted."""

import numpy as np

from tasks.errors import DataError


def periods(moments: np.ndarray, fractions: list[float], setting: str) -> np.ndarray:
    """The period of each row: consecutive stretches of time that hold about these shares of the rows.

    A cut that would part rows of one moment moves to the side where fewer rows change sides; to the
    later one if both are as near.

    Args:
        moments: of the rows.
        fractions: of the periods, the earliest first; they add up to 1.
        setting: that asked for it, for messages.

    Shape:
        moments: (N,) numbers that grow with time.
        returns: (N,) int16, from 0.

    Raises:
        DataError: there are fewer moments than periods.
    """
    times, counts = np.unique(moments, return_counts=True)
    if len(times) < len(fractions):
        raise DataError(
            f"{setting}: expected at least {len(fractions)} different moments for as many periods,"
            f" found {len(times)} in {len(moments):,} rows, and rows of one moment stay together"
        )
    before = np.concatenate([[0], np.cumsum(counts)])  # rows before each moment
    wanted = np.cumsum(fractions)[:-1] * len(moments)
    starts: list[int] = []
    for i, n_rows in enumerate(wanted):
        later = int(np.searchsorted(before, np.floor(n_rows + 0.5)))
        nearest = min((later, later - 1), key=lambda at: abs(before[max(0, at)] - n_rows))
        # At least one moment for each period, before the cut and after it.
        lowest = starts[-1] + 1 if starts else 1
        highest = len(times) - (len(wanted) - i)
        starts.append(min(max(nearest, lowest), highest))
    found = np.zeros(len(moments), dtype=np.int16)
    for start in starts:
        found += moments >= times[start]
    return found
