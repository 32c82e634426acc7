"""The pass over delimited files that finds the types, and keeps the rows that it has converted.

The first block tells which forms a column may have; every block is then converted by the first of
them at once, which also proves that its values fit. Since forms only ever drop out, a form that the
first block chose and all blocks fit is the one that all rows choose. For a column in which a later
value does not fit, a second pass asks every block about the forms that are left.
"""

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tasks.locations.base import Location
from tasks.sources.formats._blocks import Block
from tasks.sources.formats._delimited import map_texts, read_texts
from tasks.sources.formats._dialect import Dialect
from tasks.sources.formats._forms import NO_VALUE, Form
from tasks.sources.formats._inference import (
    Inferred,
    Observed,
    convert_column,
    look,
    observe,
    together,
)
from tasks.sources.formats._spool import Kept, Spool
from tasks.sources.formats.base import ahead

OpenFile = Callable[[Location], AbstractContextManager[tuple[Path, Dialect]]]


@dataclass(frozen=True)
class Plan:
    """What a pass does with a column.

    Attributes:
        forms: that are left.
        is_sure: take the first one; no value has contradicted it.
    """

    forms: tuple[Form, ...]
    is_sure: bool = True


@dataclass(frozen=True)
class Found:
    """What the passes found.

    Attributes:
        columns: by name.
        blocks: by file, in order.
    """

    columns: dict[str, Inferred]
    blocks: list[list[Kept]]


def scan(
    files: Sequence[Location],
    opened: OpenFile,
    forms: tuple[Form, ...],
    spool: Spool | None,
    workers: int | None,
) -> tuple[Found, Spool | None]:
    """The types by all rows of all files, and the rows in a spool.

    Args:
        files: of equal columns.
        opened: gives a file and how it is written.
        forms: that values may have, the preferred ones first.
        spool: empty; None: keep nothing.
        workers: threads; None: by cores.

    Returns:
        What was found; and the spool that holds the rows, if there is one that could.
    """
    with (
        opened(files[0]) as (path, dialect),
        contextlib.closing(read_texts(path, dialect)) as texts,
    ):
        head = observe(itertools.islice(texts, 1), dialect.names, forms)
    plans = {name: Plan(found.forms) for name, found in head.items()}
    seen, blocks = _pass(files, opened, plans, spool, workers)
    unsure = {name for name, found in seen.items() if found.forms != plans[name].forms}
    if unsure:
        plans = {name: Plan(seen[name].forms, name not in unsure) for name in plans}
        if spool is not None:
            spool.close()
            spool = Spool()
        if spool is not None or any(plans[name].forms for name in unsure):
            seen, blocks = _pass(files, opened, plans, spool, workers)
    found = Found({name: observed.inferred() for name, observed in seen.items()}, blocks)
    return found, spool if spool is not None and spool.is_open else None


def finished(batch: pa.RecordBatch, columns: Mapping[str, Inferred]) -> pa.RecordBatch:
    """A batch of the spool in the final types."""
    arrays = []
    for values, inferred in zip(batch.columns, columns.values(), strict=True):
        if inferred.form is NO_VALUE:
            values = pa.nulls(len(values), pa.string())
        elif pa.types.is_string(values.type) and (
            inferred.form is not None or pc.min(pc.binary_length(values)).as_py() == 0
        ):
            values = convert_column(values, inferred)
        arrays.append(values)
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _pass(
    files: Sequence[Location],
    opened: OpenFile,
    plans: dict[str, Plan],
    spool: Spool | None,
    workers: int | None,
) -> tuple[dict[str, Observed], list[list[Kept]]]:
    """What all rows allow, of the forms of the plan; and the blocks."""

    def work(texts: pa.RecordBatch, block: Block | None) -> tuple[list[Observed], Kept]:
        # By place: to find a column by its name takes longer the more there are.
        both = [_column(c, plan) for c, plan in zip(texts.columns, plans.values(), strict=True)]
        place = None
        if spool is not None and spool.is_open:
            arrays = [values for values, _ in both]
            place = spool.add(pa.RecordBatch.from_arrays(arrays, names=list(plans)))
        start, end = (None, None) if block is None else (block.start, block.end)
        return [found for _, found in both], Kept(start, end, place)

    seen = {name: Observed(plan.forms, False, False, False) for name, plan in plans.items()}
    blocks: list[list[Kept]] = []
    for file in ahead(files):
        kept: list[Kept] = []
        with opened(file) as (path, dialect):
            results = map_texts(path, dialect, work, workers=workers)
            for observed, block in results:
                for name, found in zip(plans, observed, strict=True):
                    seen[name] = together(seen[name], found)
                kept.append(block)
        blocks.append(kept)
    return seen, blocks


def _column(texts: pa.Array, plan: Plan) -> tuple[pa.Array, Observed]:
    """The values of a block as far as they are sure, and what they allow."""
    has_empty = pc.min(pc.binary_length(texts)).as_py() == 0
    if not plan.forms:
        if has_empty:
            texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        return texts, Observed((), len(texts) > 0, False, has_empty)
    if plan.is_sure:
        values = plan.forms[0].read(texts)
        if values is not None:
            n_missing = values.null_count
            return values, Observed(plan.forms, n_missing < len(values), n_missing > 0, has_empty)
    return texts, look(texts, plan.forms)
