"""Rows of linked tables go where the row of the main table goes that they are about.

    Customer (main) ◄── Invoice ◄── InvoiceLine ──► Track ◄── PlaylistTrack

A table that links to a divided one is divided with it: invoices go with their customer, and their
lines with them. All others (tracks, playlists) are about nobody in particular and go into every
part whole, so that no link points to nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tasks.schema import DatasetSchema, ForeignKey, TableSchema
from tasks.splits.digests import key_digests

Reader = Callable[[str, list[str]], Iterator[pa.RecordBatch]]
"""Reads columns of a table, by their names."""


@dataclass(frozen=True)
class Divided:
    """Where the rows of the tables go.

    Attributes:
        parts: by table, the part of each row, (N,) int16; a table that is missing here goes whole
            into every part.
        unlinked: by table, rows that link to no row of a divided table; they go into part 0.
        across: by table, rows that link to rows of several parts, and go with the first link.
    """

    parts: dict[str, np.ndarray]
    unlinked: dict[str, int]
    across: dict[str, int]


def divide(schema: DatasetSchema, main: np.ndarray, read: Reader) -> Divided:
    """Place the rows of all tables.

    Args:
        schema: of the dataset.
        main: (N,) int16, the part of each row of the main table.
        read: reads key columns.
    """
    found = Divided({schema.main.name: main}, {}, {})
    for table, links in _followers(schema):
        followed = [(key, *_keys(key, found, read)) for key in links]
        _follow(table, followed, found, read)
    return found


def _followers(schema: DatasetSchema) -> Iterator[tuple[TableSchema, list[ForeignKey]]]:
    """Tables that are divided with others, after those, each with its links to them."""
    divided = {schema.main.name}
    waiting = list(schema.tables[1:])
    while ready := [
        table for table in waiting if any(key.references in divided for key in table.foreign_keys)
    ]:
        table = ready[0]
        yield table, [key for key in table.foreign_keys if key.references in divided]
        divided.add(table.name)
        waiting.remove(table)


def _keys(key: ForeignKey, found: Divided, read: Reader) -> tuple[np.ndarray, np.ndarray]:
    """The sorted digests of the keys that a link points to, and their parts."""
    pieces = [
        key_digests(batch.columns, batch.num_rows)[0]
        for batch in read(key.references, list(key.referenced_columns))
    ]
    digests = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint64)
    order = np.argsort(digests, kind="stable")
    return digests[order], found.parts[key.references][order]


def _follow(
    table: TableSchema,
    links: list[tuple[ForeignKey, np.ndarray, np.ndarray]],
    found: Divided,
    read: Reader,
) -> None:
    names = list(dict.fromkeys(name for key, _, _ in links for name in key.columns))
    pieces = [np.zeros(0, dtype=np.int16)]
    n_unlinked = n_across = 0
    for batch in read(table.name, names):
        parts = np.full(batch.num_rows, -1, dtype=np.int16)
        across = np.zeros(batch.num_rows, dtype=bool)
        for key, digests, their_parts in links:
            mine, whole = key_digests([batch[name] for name in key.columns], batch.num_rows)
            at = np.minimum(np.searchsorted(digests, mine), max(0, len(digests) - 1))
            hit = whole & (digests[at] == mine) if len(digests) else np.zeros_like(whole)
            linked = np.where(hit, their_parts[at] if len(digests) else -1, -1).astype(np.int16)
            across |= (linked >= 0) & (parts >= 0) & (linked != parts)
            parts = np.where(parts < 0, linked, parts)
        n_unlinked += int(np.count_nonzero(parts < 0))
        n_across += int(np.count_nonzero(across))
        pieces.append(np.maximum(parts, 0))
    found.parts[table.name] = np.concatenate(pieces)
    found.unlinked[table.name] = n_unlinked
    found.across[table.name] = n_across
