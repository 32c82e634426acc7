"""`proofmint synthesize IN.csv OUT.csv`: one table in, one synthetic table out, for a first try.

No git, no DVC, no MLflow, no gates and no audit: what comes out is not a release. The rows go
through a temporary folder, in and out, so a table may be larger than the memory.
"""

import contextlib
import csv
import gzip
import io
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pyarrow as pa

from tasks.commands import resemblance, spelling
from tasks.commands.table import DelimitedTable, read_table
from tasks.errors import (
    DataError,
    NothingToLearn,
    ParamsError,
    SourceError,
    WorkspaceError,
)
from tasks.params import TrainParams
from tasks.schema import Column, DatasetSchema
from tasks.sources.formats._dialect import Dialect

if TYPE_CHECKING:
    from tasks.training.model import Model

MIN_ROWS = 20
"""Fewer would be learned by heart."""


def synthesize(
    input: Path,  # noqa: A002 - the name on the command line
    output: Path,
    *,
    target: str | None,
    rows: int | None,
    generator: str,
    seed: int,
    conditions: Sequence[str] = (),
    encoding: str = "utf-8",
    epochs: int | None = None,
) -> int:
    """Train on the table in one file and write as many synthetic rows into another.

    Args:
        input: delimited text with a header.
        output: written whole or not at all, with the delimiter, line ends, encoding and spellings of
            the input; gzipped if it is called `.gz`.
        target: column that a model would predict; None: none is special.
        rows: to write; None: as many as the input has.
        generator: a file of tasks/generators/tabular.
        seed: of all randomness; the same seed gives the same file.
        conditions: `COLUMN=VALUE`, which every row has; an empty value is a missing one.
        encoding: of the input, where no byte order mark tells it.
        epochs: passes over the rows at most; None: by size.

    Raises:
        ParamsError: an argument is impossible.
        SourceError: the input is no table.
        DataError: it cannot be learned from.
        WorkspaceError: the output cannot be written.
    """
    began = time.monotonic()
    _check_arguments(rows, seed, generator, epochs)
    _check_files(input, output)
    with tempfile.TemporaryDirectory(prefix="proofmint-") as folder:
        table = read_table(input, Path(folder) / "real", target=target, encoding=encoding)
        if table.n_rows < MIN_ROWS:
            raise DataError(
                f"expected at least {MIN_ROWS} rows in {input} to learn from, found {table.n_rows}"
            )
        held = _held(table, conditions)
        rows = rows or table.n_rows
        model, n_epochs = _trained(table, generator, TrainParams(epochs=epochs), seed)
        with _new_file(output, table.dialect.encoding) as stream:
            first = _write(stream, table, _drawn(model, table, rows, seed, held))
        told = [
            *(
                f"{name!r}: {n} infinite numbers count as missing"
                for name, n in table.n_infinite.items()
            ),
            _told(output, table, rows, n_epochs, time.monotonic() - began),
        ]
        if not held:
            real = table.sample(2 * resemblance.MAX_ROWS)
            told.append(resemblance.summary(Path(folder) / "compared", table.schema, real, first))
    told.append(
        "Its fidelity and privacy were not checked: `proofmint evaluate` does, beside rows held out."
    )
    print("\n".join(filter(None, told)), file=sys.stderr)
    return 0


def _check_arguments(rows: int | None, seed: int, generator: str, epochs: int | None) -> None:
    from tasks.training.model import generator_class

    if rows is not None and rows < 1:
        raise ParamsError(f"expected --rows to be at least 1, found {rows}")
    if not 0 <= seed < 2**63:
        raise ParamsError(f"expected --seed from 0 to 2^63 - 1, found {seed}")
    if epochs is not None and not 1 <= epochs <= 100_000:
        raise ParamsError(f"expected --epochs from 1 to 100000, found {epochs}")
    generator_class("tabular", generator)


def _check_files(source: Path, output: Path) -> None:
    """Refuse what cannot end well before the time of a training is spent."""
    if source.is_dir():
        raise SourceError(f"expected a CSV file, found the folder {source}")
    if not source.exists():
        raise SourceError(f"expected a CSV file at {source}, found none")
    if output.is_dir():
        raise WorkspaceError(f"expected a file to write, found the folder {output}")
    if not output.parent.is_dir():
        raise WorkspaceError(f"expected the folder {output.parent}, found none; make it first")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise WorkspaceError(f"cannot write into the folder {output.parent}; mend its rights")
    if output.exists() and output.samefile(source):
        raise WorkspaceError(f"the output would replace the input {source}; name another file")


def _held(table: DelimitedTable, conditions: Sequence[str]) -> dict[str, Any]:
    """The values that every row has, by column, from `COLUMN=VALUE`."""
    held = {}
    names = table.schema.main.column_names
    for text in conditions:
        # A name may hold an equals sign itself: the longest name that fits is meant.
        fitting = [name for name in names if text.startswith(f"{name}=")]
        if not fitting:
            raise ParamsError(
                f"expected --condition COLUMN=VALUE with one of the columns {', '.join(names)},"
                f" found {text!r}"
            )
        name = max(fitting, key=len)
        held[name] = table.value(name, text[len(name) + 1 :])
    return held


def _trained(
    table: DelimitedTable, generator: str, settings: TrainParams, seed: int
) -> tuple["Model", int]:
    """A generator of such rows, and the epochs of its training."""
    from tasks.training.loop import fit
    from tasks.training.model import Model, generator_class

    cls = generator_class("tabular", generator)
    try:
        fitted = fit(cls, cls.Params(), table.schema, table.rows, settings, seed=seed)
    except NothingToLearn:
        # One row again and again, or identifiers alone: beside a coin there is something to train.
        coin = Column(
            name=f"{max(table.dialect.names, key=len)} coin", type="bool", meaning="boolean"
        )
        settings = settings.model_copy(update={"epochs": 1})
        fitted = fit(
            *(cls, cls.Params(), _with_column(table.schema, coin)),
            lambda: (_with_coin(batch, coin.name) for batch in table.rows()),
            settings,
            seed=seed,
        )
    return Model(fitted.generator, fitted.encoder, table.n_rows), int(fitted.summary["epochs"])


def _with_column(schema: DatasetSchema, column: Column) -> DatasetSchema:
    table = schema.main.model_copy(update={"columns": (*schema.main.columns, column)})
    return schema.model_copy(update={"tables": (table,)})


def _with_coin(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    return batch.append_column(name, pa.array(np.arange(batch.num_rows) % 2 == 0))


def _drawn(
    model: "Model", table: DelimitedTable, n_rows: int, seed: int, held: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Synthetic rows, as they are drawn."""
    from tasks.stages.sample import CHUNK_ROWS, draw
    from tasks.training.device import choose_device, reproducible
    from tasks.training.sampling import choose_workers

    settings = TrainParams()
    device = choose_device(settings.device)
    names = table.schema.main.column_names
    n_workers = choose_workers(
        None, math.ceil(n_rows / CHUNK_ROWS["tabular"]), settings.threads, device
    )
    with reproducible(device, settings.threads):
        drawn = draw(model, n_rows, seed, device, conditions=held, n_workers=n_workers)
        with contextlib.closing(drawn):
            for batch in drawn:
                yield batch.select(names)


def _write(stream: TextIO, table: DelimitedTable, batches: Iterator[pa.RecordBatch]) -> pa.Table:
    """Write the rows as they come; returns the first of them."""
    dialect = table.dialect
    stream.write(_lines(dialect, [dialect.header or dialect.names]))
    first: list[pa.RecordBatch] = []
    for batch in batches:
        if sum(b.num_rows for b in first) < resemblance.MAX_ROWS:
            first.append(batch)
        columns = map(spelling.write_all, table.writes, batch.columns)
        stream.write(_lines(dialect, zip(*columns, strict=True)))
    return pa.Table.from_batches(first)


def _lines(dialect: Dialect, rows: Iterable[Sequence[str]]) -> str:
    """The text of some rows."""
    # The writer quotes a value for the characters of its line end alone, but readers take any of
    # these for the end of a line.
    line_end = "\r\n\0"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=dialect.delimiter, lineterminator=line_end).writerows(rows)
    return text.getvalue().replace(line_end, dialect.line_end)


def _told(output: Path, table: DelimitedTable, n_rows: int, n_epochs: int, seconds: float) -> str:
    columns = table.schema.main.columns
    kinds = Counter(column.meaning for column in columns).most_common()
    return (
        f"{output}: {n_rows:,} synthetic rows of {len(columns)} columns"
        f" ({', '.join(f'{n} {meaning}' for meaning, n in kinds)}), learned from"
        f" {table.n_rows:,} rows in {n_epochs} epochs, {seconds:.0f} s."
    )


@contextlib.contextmanager
def _new_file(path: Path, encoding: str) -> Iterator[TextIO]:
    """A stream into a draft beside `path`, which takes its place when the block ends well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with contextlib.ExitStack() as opened:
            stream: Any = opened.enter_context(os.fdopen(handle, "wb"))
            if path.suffix == ".gz":
                # Without a clock or a name inside, so that equal rows are equal bytes.
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
                stream = opened.enter_context(packed)
            yield opened.enter_context(io.TextIOWrapper(stream, encoding, newline=""))
        draft.chmod(0o644)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
