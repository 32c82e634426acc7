"""One file among others: delimited text or Parquet, with a type for each column that is asked for."""

import codecs
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import SourceError
from tasks.locations.files import near
from tasks.sources.formats import _delimited, _dialect, _forms, _inference
from tasks.sources.formats._plain import BATCH_ROWS, plain_type
from tasks.sources.formats.parquet import Parquet

_BLOCK_BYTES = 2**20

_COMPARED_ROWS = 100_000
"""Rows at the start of two files in which common values are looked for."""


class Reader(ABC):
    """A file that can be read again and again.

    Attributes:
        path: of the file.
        names: its columns, in order.
        nameless: those of them that are called by their place, for want of a name.
        types: of the columns that were observed; None where there is no value.
        observed: of its columns of text.
        n_infinite: infinite numbers that became missing values in the last pass, by column.
    """

    def __init__(self, path: Path, names: Sequence[str], nameless: frozenset[str]) -> None:
        """Start with what the head of the file tells."""
        self.path = path
        self.names = tuple(names)
        self.nameless = nameless
        self.types: dict[str, pa.DataType | None] = {}
        self.observed: dict[str, _inference.Observed] = {}
        self.n_infinite: Counter[str] = Counter()
        self._forms: dict[str, _forms.Form | None] = {}

    @abstractmethod
    def read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """A pass over these columns as the file has them.

        Raises:
            SourceError: the file cannot be read.
        """

    def observe(self, names: Sequence[str], forms: Sequence[_forms.Form]) -> None:
        """Find out in which of these forms the texts of the columns are written."""
        self.observed = _inference.observe(self.read(names), names, forms)

    def choose(self, name: str, form: _forms.Form | None) -> None:
        """Read a column of text in this form; None: as text."""
        self._forms[name] = form
        self.types[name] = pa.string() if form is None else form.data_type
        if self.observed[name].forms and not self.observed[name].has_values:
            self.types[name] = None

    def batches(
        self, types: Mapping[str, pa.DataType], with_markers: Collection[str]
    ) -> Iterator[pa.RecordBatch]:
        """A pass over the rows with these columns in these types.

        Numbers that are not finite become missing values; the infinite ones are counted.

        Args:
            types: by column.
            with_markers: columns of text in which `NA` and the like stand for no value.

        Raises:
            SourceError: the file cannot be read.
        """
        self.n_infinite.clear()
        for batch in self.read(list(types)):
            arrays = [
                self._finite(name, self._typed(name, batch[name], wanted, name in with_markers))
                for name, wanted in types.items()
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=list(types))

    def texts(self, name: str) -> pa.Array:
        """The different values of a column in the first rows, as text."""
        found, n_rows = [], 0
        for batch in self.batches({name: pa.string()}, {name}):
            found.append(batch[0])
            n_rows += len(batch)
            if n_rows >= _COMPARED_ROWS:
                break
        return pc.unique(pa.chunked_array(found, pa.string())).drop_null()

    def has_values(self, name: str) -> bool:
        """Whether a column has a value that is not missing."""
        return any(
            batch[0].null_count < len(batch) for batch in self.batches({name: pa.string()}, {name})
        )

    def shares_values(self, other: "Reader", name: str) -> bool:
        """Whether a value of a column is found in both files, as text."""
        both = pc.is_in(other.texts(name), value_set=self.texts(name))
        return bool(pc.any(both, min_count=0).as_py())

    def example(self, name: str, unlike: pa.DataType) -> str | None:
        """A value of a column that is not written as values of that type are, if there is one."""
        forms = [form for form in _forms.plain_forms() if form.data_type == unlike]
        texts = _forms.without_missing(self.texts(name)).drop_null()
        for i in range(len(texts)):
            if not any(form.fits(texts.slice(i, 1)) for form in forms):
                return str(texts[i].as_py())
        return None

    def _typed(
        self, name: str, values: pa.Array, wanted: pa.DataType, has_markers: bool
    ) -> pa.Array:
        if pa.types.is_string(values.type) and (
            pa.types.is_string(wanted) or self._forms.get(name) is None
        ):
            values = pc.utf8_trim_whitespace(values)
            is_missing = _forms.is_missing(values) if has_markers else pc.equal(values, "")
            return pc.if_else(is_missing, pa.scalar(None, pa.string()), values)
        if self.types.get(name) is None:
            return pa.nulls(len(values), wanted)
        if form := self._forms.get(name):
            values = form.parse(_forms.without_missing(values))
        try:
            return _cast(values, wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(
                f"{self.path}: column {name!r} is of type {values.type}, which cannot be read as"
                f" {wanted}; give it the same type in all files"
            ) from error

    def _finite(self, name: str, values: pa.Array) -> pa.Array:
        if not pa.types.is_floating(values.type):
            return values
        if n := pc.sum(pc.is_inf(values)).as_py():
            self.n_infinite[name] += n
        return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


class _DelimitedReader(Reader):
    def __init__(self, path: Path, encoding: str) -> None:
        self.dialect = _dialect.sniff(path, _dialect.Told(encoding=encoding_of(path, encoding)))
        texts = self.dialect.header or self.dialect.names
        nameless = {
            name for name, text in zip(self.dialect.names, texts, strict=True) if not text.strip()
        }
        super().__init__(path, self.dialect.names, frozenset(nameless))

    def read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in _delimited.read_texts(self.path, self.dialect):
            yield batch.select(names)


class _ParquetReader(Reader):
    def __init__(self, path: Path) -> None:
        try:
            self.schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"cannot read {path} as Parquet: {error}") from error
        names = self.schema.names
        if not names:
            raise SourceError(f"expected columns in {path}, found none")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceError(f"{path}: more than one column is named {twice}; rename them")
        super().__init__(path, names, frozenset())

    def observe(self, names: Sequence[str], forms: Sequence[_forms.Form]) -> None:
        """Take the types from the file; look at its texts where others are but text."""
        for name in names:
            field = self.schema.field(name)
            is_empty = pa.types.is_null(field.type)
            self.types[name] = None if is_empty else plain_type(field, self.path)
        texts = [name for name in names if self.types[name] == pa.string()]
        if texts and forms:
            super().observe(texts, forms)

    def read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        fields = [self.schema.field(name) for name in names]
        schema = pa.schema([(field.name, plain_type(field, self.path)) for field in fields])
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(names)):
                    yield batch.select(names).cast(schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise SourceError(f"cannot read {self.path}: {error}") from error


def open_file(path: Path, encoding: str) -> Reader:
    """A reader of one file, by its name.

    Args:
        path: of a Parquet file if it is called so, else of delimited text.
        encoding: of text that is neither UTF-8 nor begins with a byte order mark.

    Raises:
        SourceError: there is no such file, or it is no table.
    """
    if path.is_dir():
        raise SourceError(f"expected a CSV or Parquet file, found the folder {path}")
    if not path.exists():
        raise SourceError(f"expected a CSV or Parquet file at {path}, found none{near(path)}")
    if path.suffix.lower() in Parquet.suffixes:
        return _ParquetReader(path)
    return _DelimitedReader(path, encoding)


def encoding_of(path: Path, given: str) -> str:
    """UTF-8 if the whole text is that or begins with a mark, else what was given: files may differ."""
    if given == "utf-8" or not path.is_file():
        return given
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with pa.input_stream(path, compression="detect") as stream:
            is_first = True
            while block := stream.read(_BLOCK_BYTES):
                if is_first and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    return "utf-8"  # the mark tells more
                is_first = False
                if b"\0" in block:  # UTF-16 without a mark
                    return given
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return given
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot read {path}: {error}") from error
    return "utf-8"


def observe(opened: Sequence[Reader], names: Sequence[str]) -> None:
    """Find out the types of these columns in every file.

    Where the texts of all files fit one form of a type, all are read in it, so that `03/04/2020` is
    one day. Texts of Parquet files are what they are, unless they stand beside those of a delimited
    file, which has nothing else.

    Args:
        opened: the one first whose forms are preferred.
        names: of columns that all files have.

    Raises:
        SourceError: a file cannot be read, or a column holds no single values.
    """
    delimiters = [r.dialect.delimiter for r in opened if isinstance(r, _DelimitedReader)]
    for reader in opened:
        own = reader.dialect.delimiter if isinstance(reader, _DelimitedReader) else None
        reader.observe(names, _forms.respelled_forms(own or delimiters[0]) if delimiters else ())
    for name in names:
        readers = [reader for reader in opened if name in reader.observed]
        seen = [r.observed[name].forms for r in readers if r.observed[name].has_values]
        shared = [form for form in seen[0] if all(form in other for other in seen)] if seen else []
        for reader in readers:
            forms = reader.observed[name].forms
            alike = [form for form in shared if forms and form.data_type == forms[0].data_type]
            reader.choose(name, next(iter([*alike, *forms]), None))


def _cast(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    if values.type == wanted:
        return values
    if pa.types.is_floating(values.type) and pa.types.is_string(wanted):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    # Whole numbers past 2^53 lose digits as doubles, beside which they are compared.
    return values.cast(wanted, safe=not pa.types.is_floating(wanted))
