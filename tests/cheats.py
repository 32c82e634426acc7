"""Generators that cheat or fail, each in its own way, and made-up rows for them to learn.

Every function takes rows that the generator has seen, rows that it has not, and a source of
randomness, and gives as many rows as it saw. Where only part of the rows is bad, the rest is as
honest as can be: real and unseen.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tests.fakes import shuffler

Cheat = Callable[[pa.Table, pa.Table, np.random.Generator], pa.Table]


def people(n_rows: int, rng: np.random.Generator) -> pa.Table:
    """Rows of a made-up population: numbers, categories, truth values, dates, and gaps in them."""
    region = rng.choice(
        ["north", "south", "east", "west", "isles"], n_rows, p=[0.4, 0.3, 0.17, 0.1, 0.03]
    )
    age = np.clip(rng.gamma(9, 5, n_rows), 18, 99).round()
    school = np.clip(rng.normal(12 + (region == "north"), 3, n_rows), 4, 21).round()
    is_manager = rng.random(n_rows) < 1 / (1 + np.exp(6 - school / 3 - age / 40))
    pay = np.exp(rng.normal(6 + school / 12 + age / 120 + 0.4 * is_manager, 0.35)).round(2)
    hours = np.where(rng.random(n_rows) < 0.6, 40, rng.normal(35, 9, n_rows).round()).clip(4, 80)
    since = np.datetime64("2012-01-01") + rng.integers(0, 3000, n_rows) - (age * 20).astype(int)
    is_rich = pay * hours + rng.normal(0, 8000, n_rows) > 62_000
    return pa.table(
        {
            "age": age,
            "school": pa.array(school, mask=rng.random(n_rows) < 0.04 + 0.1 * (region == "south")),
            "region": region,
            "manager": is_manager,
            "pay": pay,
            "hours": hours,
            "since": pa.array(since),
            "phone": pa.array(
                rng.choice(["none", "old", "new"], n_rows, p=[0.1, 0.3, 0.6]),
                mask=rng.random(n_rows) < 0.08,
            ),
            "rich": np.where(is_rich, "yes", "no"),
        }
    )


def copies(seen: pa.Table, _: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The rows that it saw, in another order."""
    return seen.take(pa.array(rng.permutation(len(seen))))


def copies_with_noise(share: float) -> Cheat:
    """The rows that it saw, with noise of so many standard deviations on every number."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        return _noisy(copies(seen, unseen, rng), seen, share, rng)

    return cheat


def leaks(share: float, noise: float) -> Cheat:
    """A share of its rows are rows that it saw, with noise of so many standard deviations."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        n_leaked = round(share * len(seen))
        leaked = seen.take(pa.array(rng.choice(len(seen), n_leaked, replace=False)))
        if noise:
            leaked = _noisy(leaked, seen, noise, rng)
        honest = unseen.slice(0, len(seen) - n_leaked)
        mixed = pa.concat_tables([honest, leaked])
        return mixed.take(pa.array(rng.permutation(len(mixed))))

    return cheat


def shuffles_columns(seen: pa.Table, _: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Every column right, and nothing right between them."""
    return shuffler(seen, len(seen), rng)


def shuffles(column: str) -> Cheat:
    """Unseen rows in which one column belongs to other rows."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        honest = unseen.slice(0, len(seen))
        shuffled = honest[column].take(pa.array(rng.permutation(len(honest))))
        return honest.set_column(honest.column_names.index(column), column, shuffled)

    return cheat


def collapses(n_kinds: int) -> Cheat:
    """So many unseen rows again and again, with a little noise."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        kinds = unseen.take(pa.array(rng.choice(len(unseen), n_kinds, replace=False)))
        again = kinds.take(pa.array(rng.integers(0, n_kinds, len(seen))))
        return _noisy(again, seen, 0.01, rng)

    return cheat


def drops(column: str, value: object) -> Cheat:
    """Unseen rows without those of one group."""

    def cheat(seen: pa.Table, unseen: pa.Table, rng: np.random.Generator) -> pa.Table:
        is_other = pc.fill_null(pc.not_equal(unseen[column], pa.scalar(value)), True)
        others = unseen.filter(is_other)
        return others.take(pa.array(rng.permutation(len(others))[: len(seen)]))

    return cheat


def _noisy(rows: pa.Table, seen: pa.Table, share: float, rng: np.random.Generator) -> pa.Table:
    """The same rows with noise on numbers and dates; whole numbers stay whole."""
    for place, field in enumerate(rows.schema):
        if not (pa.types.is_floating(field.type) or pa.types.is_date32(field.type)):
            continue
        plain = pa.int32() if pa.types.is_date32(field.type) else pa.float64()
        known = seen[place].cast(plain)
        noise = rng.normal(0, share * pc.stddev(known).as_py(), len(rows))
        moved = pc.add(rows[place].cast(plain).cast(pa.float64()), pa.array(noise))
        if pc.all(pc.equal(known, pc.round(known))).as_py():
            moved = pc.round(moved)
        rows = rows.set_column(place, field.name, moved.cast(plain).cast(field.type))
    return rows
