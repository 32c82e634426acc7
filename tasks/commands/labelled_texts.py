"""Texts and their labels from a file of two columns, and into one like it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tasks.commands.delimited import as_lines
from tasks.commands.examples import Labelled, new_text
from tasks.commands.text_form import TextForm
from tasks.errors import DataError
from tasks.schema import Column, DatasetSchema, TableSchema
from tasks.sources.formats import _delimited
from tasks.sources.formats._dialect import Dialect, sniff
from tasks.storage import StoredRows, write_dataset

TABLE = "texts"


class LabelledTexts(Labelled):
    """Texts with a label each; both are kept as they are written."""

    def __init__(
        self,
        path: Path,
        form: TextForm,
        folder: Path,
        called: tuple[str, str] | None = None,
        *,
        may_be_empty: bool = False,
    ) -> None:
        """Read a file and store its rows in a new folder.

        Args:
            path: of the file.
            form: how it is written.
            folder: does not exist yet.
            called: names by which the texts and the labels are stored; None: those in the file.
            may_be_empty: whether a text may be; a label never is.

        Raises:
            SourceError: a row has not two values, or is not of the encoding.
            DataError: a text that may not be empty is, or a label.
        """
        self.path = path
        self.dialect: Dialect = sniff(path, form.told)
        own = (form.text, form.label)
        self._stored_as = dict(zip(own, called or own, strict=True))
        self._filled = [form.label] if may_be_empty else list(own)
        text, label = self._stored_as.values()
        columns = (
            Column(name=text, type="string", meaning="text", nullable=False),
            Column(name=label, type="string", meaning="categorical", nullable=False),
        )
        self.schema = DatasetSchema(
            kind="text", tables=(TableSchema(name=TABLE, columns=columns),), target=label
        )
        folder.mkdir(parents=True)
        self.n_rows = write_dataset(folder, self.schema, {TABLE: self._read()})[TABLE]
        self.rows = StoredRows(folder, TABLE)

    def write(self, output: Path, batches: Iterable[pa.RecordBatch], n_rows: int) -> None:
        """See `Examples.write`; with the delimiter, quotes, line ends and encoding of the real file."""
        del n_rows
        with new_text(output, self.dialect.encoding) as stream:
            if self.dialect.header:
                stream.write(as_lines(self.dialect, [self.dialect.header]))
            names = [self._stored_as[name] for name in self.dialect.names]
            for batch in batches:
                columns = (batch.column(name).to_pylist() for name in names)
                stream.write(as_lines(self.dialect, zip(*columns, strict=True)))

    def told(self, n_rows: int) -> str:
        """See `Examples.told`."""
        return f"{n_rows:,} synthetic texts with their labels"

    def _read(self) -> Iterator[pa.RecordBatch]:
        row = 1 if self.dialect.header is None else 2
        for batch in _delimited.read_texts(self.path, self.dialect):
            for name in self._filled:
                empty = pc.equal(pc.utf8_trim_whitespace(batch.column(name)), "")
                if pc.any(empty).as_py():
                    raise DataError(
                        f"{self.path}, row {row + pc.index(empty, True).as_py()}: expected a value in"
                        f" column {name!r}, found an empty one; fill or drop such rows"
                    )
            row += batch.num_rows
            arrays = [batch.column(name) for name in self._stored_as]
            yield pa.RecordBatch.from_arrays(arrays, names=list(self._stored_as.values()))
