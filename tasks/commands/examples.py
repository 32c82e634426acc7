"""What `synthesize` learns from, and how it writes more of the same, whatever the form."""

import contextlib
import gzip
import io
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from tasks.errors import ParamsError, WorkspaceError
from tasks.schema import DatasetSchema
from tasks.storage import StoredRows


class Examples(ABC):
    """Real rows that were read from a file or folder and stored as a dataset of one table.

    Attributes:
        schema: of the dataset.
        rows: passes over the stored rows.
        n_rows: their number.
    """

    schema: DatasetSchema
    rows: StoredRows
    n_rows: int

    @property
    def notes(self) -> Sequence[str]:
        """What was left out or changed, a sentence each."""
        return ()

    @abstractmethod
    def value(self, name: str, text: str) -> Any:
        """A value of a column that rows can be drawn for, from its text on the command line.

        Raises:
            ParamsError: there is no such value.
        """

    @abstractmethod
    def write(self, output: Path, batches: Iterable[pa.RecordBatch], n_rows: int) -> None:
        """Write rows in the form of the real ones, whole or not at all.

        Args:
            output: of the form that `check_output` takes.
            batches: `n_rows` rows that follow the schema.
            n_rows: their number.
        """

    @abstractmethod
    def told(self, n_rows: int) -> str:
        """So many synthetic rows, in words."""


class Labelled(Examples):
    """Examples whose one column beside images or texts is a label, which can be held."""

    def value(self, name: str, text: str) -> Any:
        """A label of the real rows."""
        if name != self.schema.target:
            raise ParamsError(
                f"--condition {name}={text}: expected the label, {self.schema.target!r}; nothing else"
                " can be held"
            )
        known = pa.chunked_array([batch.column(0) for batch in self.rows([name])]).unique()
        for value in known.to_pylist():
            if str(value) == text:
                return value
        labels = ", ".join(sorted(map(repr, map(str, known.to_pylist()))))
        raise ParamsError(f"--condition {name}={text}: expected one of the labels {labels}")


def check_output(source: Path, output: Path, *, is_folder: bool) -> None:
    """Refuse what cannot be written in the end, before the time of a training is spent.

    Args:
        source: what is read.
        output: what is to be written.
        is_folder: whether a folder is to be written, else a file.

    Raises:
        WorkspaceError: the place is taken or cannot be written to.
    """
    if output.exists() and output.samefile(source):
        raise WorkspaceError(f"the output would replace the input {source}; name another place")
    if output.is_dir() and not is_folder:
        raise WorkspaceError(f"expected a file to write, found the folder {output}")
    if is_folder and output.suffix.lower() == ".npz":
        raise WorkspaceError(
            f"the input {source} is a folder of images, and so will be the output; {output} is called"
            " like a file, name another place"
        )
    if is_folder and output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise WorkspaceError(
            f"expected a new or empty folder to write to, found {output} with something in it;"
            " name another one"
        )
    if is_folder and output.resolve().is_relative_to(source.resolve()):
        raise WorkspaceError(f"the output {output} would lie among the real images; name another")
    if not output.absolute().parent.is_dir():
        raise WorkspaceError(f"expected the folder {output.parent}, found none; make it first")
    if not os.access(output.absolute().parent, os.W_OK | os.X_OK):
        raise WorkspaceError(f"cannot write into the folder {output.parent}; mend its rights")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Any]:
    """A binary stream into a draft beside `path`, which takes its place when the block ends well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w+b") as stream:
            yield stream
        draft.chmod(0o644)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """The same for text; gzipped if it is called `.gz`."""
    with contextlib.ExitStack() as opened:
        stream: Any = opened.enter_context(new_file(path))
        if path.suffix == ".gz":
            # Without a clock or a name inside, so that equal rows are equal bytes.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
            stream = opened.enter_context(packed)
        # A drawn text may have a character that the encoding has not.
        text = io.TextIOWrapper(stream, encoding, errors="replace", newline="")
        yield text
        text.flush()
        text.detach()
