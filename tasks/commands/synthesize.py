"""`proofmint synthesize IN OUT`: a table, images or texts in, synthetic ones out, for a first try.

No git, no DVC, no MLflow, no gates and no audit: what comes out is not a release. The rows go
through a temporary folder, in and out, so there may be more of them than the memory holds.
"""

import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands import resemblance, text_form
from tasks.commands.examples import Examples, check_output
from tasks.commands.kinds import GENERATORS, kind_of
from tasks.commands.labelled_images import read_images
from tasks.commands.labelled_texts import LabelledTexts
from tasks.commands.table import DelimitedTable, read_table
from tasks.encoding.columns.base import COMMON_ROWS
from tasks.encoding.columns.categorical import SUPPRESSED
from tasks.errors import DataError, NothingToLearn, ParamsError
from tasks.params import TrainParams
from tasks.schema import Column, DatasetSchema, Kind

if TYPE_CHECKING:
    from tasks.training.model import Model

MIN_ROWS = 20
"""Fewer would be learned by heart."""

HIDDEN_SHARE = 0.5
"""Share of the texts of a column that are suppressed from which it is told."""


def synthesize(
    input: Path,  # noqa: A002 - the name on the command line
    output: Path,
    *,
    kind: Kind | None = None,
    target: str | None,
    rows: int | None,
    generator: str | None,
    seed: int,
    conditions: Sequence[str] = (),
    encoding: str | None = None,
    epochs: int | None = None,
) -> int:
    """Train on what is in one place and write as many synthetic rows of the same form into another.

    Args:
        input: see `tasks.commands.kinds`.
        output: written whole or not at all, in the form of the input (see `Examples.write`); a
            folder is new or empty, a table or texts called `.gz` are gzipped.
        kind: of the input; None: told by its form.
        target: column that a model would predict; None: none is special, but for the label of
            images and texts.
        rows: to write; None: as many as the input has.
        generator: a file of tasks/generators/<kind>; None: the one of `GENERATORS`.
        seed: of all randomness; the same seed gives the same output.
        conditions: `COLUMN=VALUE`, which every row has; an empty value is a missing one.
        encoding: of text, where no byte order mark tells it; None: UTF-8.
        epochs: passes over the rows at most; None: by size.

    Raises:
        ParamsError, SourceError, DataError, WorkspaceError: of what is wrong with the arguments, the
            input, its rows, or the place of the output.
    """
    began = time.monotonic()
    _check_numbers(rows, seed, epochs)
    kind = kind_of(input, kind, encoding or "utf-8")
    generator = generator or GENERATORS[kind]
    _check_generator(kind, generator)
    if kind == "image" and encoding is not None:
        raise ParamsError("--encoding is of text, and images have none; leave it out")
    check_output(input, output, is_folder=input.is_dir())
    with tempfile.TemporaryDirectory(prefix="proofmint-") as folder:
        examples = _read(input, Path(folder) / "real", kind, target, encoding or "utf-8")
        for note in examples.notes:
            print(f"note: {note}", file=sys.stderr)
        held = _held(examples, conditions)
        model, n_epochs = _trained(examples, generator, TrainParams(epochs=epochs), seed)
        rows = rows or examples.n_rows
        first: list[pa.RecordBatch] = []
        examples.write(output, _noting(_drawn(model, examples, rows, seed, held), first), rows)
        told = [
            *_rare(model),
            f"{output}: {examples.told(rows)}, learned from {examples.n_rows:,} in {n_epochs} epochs.",
        ]
        if isinstance(examples, DelimitedTable) and not held:
            told.append(_resemblance(examples, first, Path(folder) / "compared"))
        told += _hidden(first)
    told.append(
        "Its fidelity and privacy were not checked: `proofmint evaluate` does, beside rows held out."
    )
    told.append(f"It took {time.monotonic() - began:.0f} s.")
    print("\n".join(filter(None, told)), file=sys.stderr)
    return 0


def _check_numbers(rows: int | None, seed: int, epochs: int | None) -> None:
    if rows is not None and rows < 1:
        raise ParamsError(f"expected --rows to be at least 1, found {rows}")
    if not 0 <= seed < 2**63:
        raise ParamsError(f"expected --seed from 0 to 2^63 - 1, found {seed}")
    if epochs is not None and not 1 <= epochs <= 100_000:
        raise ParamsError(f"expected --epochs from 1 to 100000, found {epochs}")


def _check_generator(kind: Kind, generator: str) -> None:
    from tasks.training.model import generator_class

    generator_class(kind, generator)


def _read(path: Path, folder: Path, kind: Kind, target: str | None, encoding: str) -> Examples:
    """The input, stored in a new folder."""
    found: Examples
    if kind == "tabular":
        found = read_table(path, folder, target=target, encoding=encoding)
    elif kind == "image":
        found = read_images(path, folder)
    else:
        found = LabelledTexts(path, text_form.told_to_be(path, encoding), folder)
    if target not in (None, found.schema.target):
        raise ParamsError(
            f"--target {target!r}: {path} holds {kind}s, whose target is their label,"
            f" {found.schema.target!r}; leave --target out, or say --kind tabular of a table"
        )
    if found.n_rows < MIN_ROWS:
        raise DataError(
            f"expected at least {MIN_ROWS} rows in {path} to learn from, found {found.n_rows}"
        )
    return found


def _held(examples: Examples, conditions: Sequence[str]) -> dict[str, Any]:
    """The values that every row has, by column, from `COLUMN=VALUE`."""
    held = {}
    names = examples.schema.main.column_names
    if examples.schema.kind != "tabular":
        names = [examples.schema.target] if examples.schema.target else []
    for text in conditions:
        # A name may hold an equals sign itself: the longest name that fits is meant.
        fitting = [name for name in names if text.startswith(f"{name}=")]
        if not fitting:
            raise ParamsError(
                f"expected --condition COLUMN=VALUE with one of the columns {', '.join(names)},"
                f" found {text!r}"
                if names
                else f"--condition {text}: there are no labels that could be held"
            )
        name = max(fitting, key=len)
        held[name] = examples.value(name, text[len(name) + 1 :])
    return held


def _trained(
    examples: Examples, generator: str, settings: TrainParams, seed: int
) -> tuple["Model", int]:
    """A generator of such rows, and the epochs of its training."""
    from tasks.training.loop import fit
    from tasks.training.model import Model, generator_class

    schema = examples.schema
    cls = generator_class(schema.kind, generator)
    try:
        fitted = fit(cls, cls.Params(), schema, examples.rows, settings, seed=seed)
    except NothingToLearn:
        if schema.kind != "tabular":
            raise
        # One row again and again, or identifiers alone: beside a coin there is something to train.
        name = f"{max(schema.main.column_names, key=len)} coin"
        coin = Column(name=name, type="bool", meaning="boolean")
        settings = settings.model_copy(update={"epochs": 1})
        fitted = fit(
            *(cls, cls.Params(), _with_column(schema, coin)),
            lambda: (_with_coin(batch, coin.name) for batch in examples.rows()),
            settings,
            seed=seed,
        )
    return Model(fitted.generator, fitted.encoder, examples.n_rows), int(fitted.summary["epochs"])


def _with_column(schema: DatasetSchema, column: Column) -> DatasetSchema:
    table = schema.main.model_copy(update={"columns": (*schema.main.columns, column)})
    return schema.model_copy(update={"tables": (table,)})


def _with_coin(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    return batch.append_column(name, pa.array(np.arange(batch.num_rows) % 2 == 0))


def _drawn(
    model: "Model", examples: Examples, n_rows: int, seed: int, held: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Synthetic rows, as they are drawn."""
    from tasks.stages.sample import CHUNK_ROWS, draw
    from tasks.training.device import choose_device, reproducible
    from tasks.training.sampling import choose_workers, threads_a_worker

    settings = TrainParams()
    device = choose_device(settings.device)
    names, kind = examples.schema.main.column_names, examples.schema.kind
    threads = threads_a_worker(kind, settings.threads)
    n_workers = choose_workers(None, math.ceil(n_rows / CHUNK_ROWS[kind]), threads, device)
    with reproducible(device, threads):
        drawn = draw(model, n_rows, seed, device, conditions=held, n_workers=n_workers)
        with contextlib.closing(drawn):
            for batch in drawn:
                yield batch.select(names)


def _noting(
    batches: Iterable[pa.RecordBatch], first: list[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The same rows; the first of them are kept."""
    n_kept = 0
    for batch in batches:
        if n_kept < resemblance.MAX_ROWS and "image" not in batch.schema.names:
            first.append(batch)
            n_kept += batch.num_rows
        yield batch


def _resemblance(table: DelimitedTable, first: list[pa.RecordBatch], folder: Path) -> str:
    """A first glance at how close the first synthetic rows are to the real ones."""
    real = table.sample(2 * resemblance.MAX_ROWS)
    return resemblance.summary(folder, table.schema, real, pa.Table.from_batches(first))


def _hidden(first: Sequence[pa.RecordBatch]) -> list[str]:
    """Which columns say next to nothing, because most of their texts would give a person away."""
    rows = pa.Table.from_batches(first) if first else pa.table({})
    notes = []
    for name in rows.column_names:
        values = rows[name].drop_null()
        if not (len(values) and pa.types.is_string(values.type)):
            continue
        share = pc.mean(pc.equal(values, SUPPRESSED)).as_py()
        if share >= HIDDEN_SHARE:
            shown = "every value is" if share == 1 else f"{share:.0%} of the values are"
            notes.append(
                f"column {name!r}: {shown} {SUPPRESSED}, as the real ones hardly repeat. To learn"
                " texts, keep two columns, the texts and their labels, and say --kind text."
            )
    return notes


def _rare(model: "Model") -> list[str]:
    """Which labels no row was drawn for, because they would give a person away."""
    labels = getattr(model.encoder, "labels", None)
    if labels is None or labels.is_common.all():
        return []
    rare = [str(v) for v in labels.values.filter(pa.array(~labels.is_common)).to_pylist()]
    return [f"labels of fewer than {COMMON_ROWS} rows were left out: {', '.join(rare)}"]
