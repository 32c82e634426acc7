"""`proofmint synthesize IN.csv OUT.csv`: one table in, one synthetic table out, for a first try.

No git, no DVC, no MLflow, no gates and no audit: what comes out is not a release.
"""

import contextlib
import csv
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from tasks.commands import spelling
from tasks.errors import DataError, ParamsError, SourceError, WorkspaceError
from tasks.params import TrainParams
from tasks.schema import DatasetSchema, arrow_schema
from tasks.sources import _delimited
from tasks.sources.files import open_csv

MIN_ROWS = 20
"""Fewer would be learned by heart."""

_LOOKED_AT = 100_000
"""Rows from whose texts the spelling of values is learned."""


def synthesize(
    input: Path,  # noqa: A002 - the name on the command line
    output: Path,
    *,
    target: str | None,
    rows: int | None,
    generator: str,
    seed: int,
) -> int:
    """Train on the table in one file and write as many synthetic rows into another.

    Args:
        input: delimited text with a header, in UTF-8.
        output: written whole or not at all, with the delimiter and spellings of the input.
        target: column that a model would predict; None: none is special.
        rows: to write; None: as many as the input has.
        generator: a file of tasks/generators/tabular.
        seed: of all randomness; the same seed gives the same file.

    Raises:
        ParamsError: an argument is impossible.
        SourceError: the input is no table.
        DataError: it cannot be learned from.
        WorkspaceError: the output cannot be written.
    """
    began = time.monotonic()
    _check_arguments(rows, seed)
    _check_files(input, output)
    dialect = _delimited.sniff(input, delimiter=None, encoding="utf-8", column_names=None)
    if target is not None and target not in dialect.names:
        raise ParamsError(
            f"--target {target!r} is not a column of {input}; it has: {', '.join(dialect.names)}"
        )
    schema, batches = open_csv(input, target)
    real = pa.Table.from_batches(batches).cast(arrow_schema(schema.main))
    if real.num_rows < MIN_ROWS:
        raise DataError(
            f"expected at least {MIN_ROWS} rows in {input} to learn from, found {real.num_rows}"
        )
    synthetic, epochs = _synthesize(schema, real, rows or real.num_rows, generator, seed)
    writers = _spellings(input, dialect, real)
    with _new_file(output) as stream:
        _write(stream, dialect, synthetic, writers)
    kinds = Counter(column.meaning for column in schema.main.columns)
    shown = ", ".join(f"{n} {meaning}" for meaning, n in kinds.most_common())
    print(
        f"{output}: {sum(b.num_rows for b in synthetic):,} synthetic rows of {len(writers)} columns"
        f" ({shown}), learned from {real.num_rows:,} rows in {epochs} epochs,"
        f" {time.monotonic() - began:.0f} s.\n"
        "Its fidelity and privacy were not checked; a dataset in params.yaml gets gates and a proof.",
        file=sys.stderr,
    )
    return 0


def _check_arguments(rows: int | None, seed: int) -> None:
    if rows is not None and rows < 1:
        raise ParamsError(f"expected --rows to be at least 1, found {rows}")
    if not 0 <= seed < 2**63:
        raise ParamsError(f"expected --seed from 0 to 2^63 - 1, found {seed}")


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


def _synthesize(
    schema: DatasetSchema, real: pa.Table, n_rows: int, generator: str, seed: int
) -> tuple[list[pa.RecordBatch], int]:
    """Synthetic rows, and the epochs of the training behind them."""
    from tasks.stages.sample import draw
    from tasks.training.device import choose_device, reproducible
    from tasks.training.loop import fit
    from tasks.training.model import Model, generator_class

    cls, settings = generator_class("tabular", generator), TrainParams()
    fitted = fit(cls, cls.Params(), schema, lambda: iter(real.to_batches()), settings, seed=seed)
    device = choose_device(settings.device)
    model = Model(fitted.generator, fitted.encoder, real.num_rows)
    with reproducible(device, settings.threads):
        return list(draw(model, n_rows, seed, device)), int(fitted.summary["epochs"])


def _spellings(source: Path, dialect: _delimited.Dialect, real: pa.Table) -> list[spelling.Write]:
    texts = pa.Table.from_batches(_first(_delimited.read_texts(source, dialect), _LOOKED_AT))
    return [
        spelling.learn(
            texts.column(i).to_pylist(), real.column(i).slice(0, texts.num_rows).combine_chunks()
        )
        for i in range(real.num_columns)
    ]


def _first(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.slice(0, n_rows)
        n_rows -= batch.num_rows
        if n_rows <= 0:
            return


def _write(
    stream: TextIO,
    dialect: _delimited.Dialect,
    synthetic: list[pa.RecordBatch],
    writers: list[spelling.Write],
) -> None:
    out = csv.writer(stream, delimiter=dialect.delimiter, lineterminator="\n")
    out.writerow(dialect.names)
    for batch in synthetic:
        columns = [
            [write(value) for value in column.to_pylist()]
            for write, column in zip(writers, batch.columns, strict=True)
        ]
        out.writerows(zip(*columns, strict=True))


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A stream into a draft beside `path`, which takes its place when the block ends well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
        draft.chmod(0o644)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
