"""Records whose values say what they are: numbers, texts, truth values, dates, nothing.

Every value is kept in its spelling until all rows are known. A column whose values are all of one
kind gets the type that its spellings allow, as in delimited files; one of several kinds is text, with
each value as it is spelled.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag

import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import SourceError
from tasks.sources.formats._forms import (
    NO_VALUE,
    NUMBER,
    Form,
    plain_forms,
    to_double,
    without_missing,
)
from tasks.sources.formats._inference import Inferred

MAX_COLUMNS = 10_000
"""Different names in the records of a table; more are most likely values that are used as names."""


class ValueKind(IntFlag):
    """What a value says that it is."""

    NOTHING = 0
    NUMBER = 1
    TRUTH = 2
    TEXT = 4
    """Whose spelling is a date or a time, if all are."""
    MOMENT = 8
    """A date or a time, spelled as ISO 8601 has it."""
    NESTED = 16
    """Spelled as JSON; or a text that is never more than that."""
    SPELLED = 32
    """Only its spelling tells, and that it is missing, as in delimited files."""
    DOUBLE = 64
    """A double, spelled as an integer where it is one below 2^53."""


_PLAIN = tuple(plain_forms())

_DOUBLE = Form(pa.float64(), f"{NUMBER}|-?Infinity|NaN", to_double)
"""With the literals that many writers of JSON have."""

_EXACT = Form(pa.float64(), NUMBER, lambda texts: pc.cast(texts, pa.float64()))
"""Of what was a double before it was spelled: no digits can be lost."""

_ISO = tuple(f for f in _PLAIN if f.proves is not None and pa.types.is_temporal(f.data_type))

_ZONED = tuple(f for f in _PLAIN if pa.types.is_timestamp(f.data_type) and f.data_type.tz)

FORMS: dict[ValueKind, tuple[Form, ...]] = {
    ValueKind.NUMBER: (*(f for f in _PLAIN if f.data_type == pa.int64()), _DOUBLE),
    ValueKind.TRUTH: tuple(f for f in _PLAIN if f.data_type == pa.bool_()),
    ValueKind.TEXT: (*_ISO, *_ZONED),
    ValueKind.MOMENT: _ISO,
    ValueKind.NESTED: (),
    ValueKind.SPELLED: _PLAIN,
    ValueKind.DOUBLE: (*(f for f in _PLAIN if f.data_type == pa.int64()), _EXACT),
}

ALL_FORMS = (*_PLAIN, _DOUBLE, _EXACT)
"""In the order in which a part counts them."""


@dataclass(frozen=True)
class Chunk:
    """Neighbouring records.

    Attributes:
        batch: spelled values, null where there is none.
        kinds: of the values of each column.
        start: where they begin in the file; None: they can be read from the start of it only.
        end: where they end.
    """

    batch: pa.RecordBatch
    kinds: Mapping[str, ValueKind]
    start: int | None = None
    end: int | None = None


class ChunkBuilder:
    """Collects records until they make a chunk."""

    def __init__(self) -> None:
        """No record yet."""
        self.n_rows = 0
        self._values: dict[str, list[str | None]] = {}
        self._kinds: dict[str, ValueKind] = {}

    def add(
        self, record: Iterable[tuple[str, str | None, ValueKind]], place: Callable[[], str]
    ) -> None:
        """Add one record.

        Args:
            record: name, spelling and kind of each value.
            place: tells where the record is, for messages.

        Raises:
            SourceError: it has two values of one name, a value without a name, or half of a
                character.
        """
        n = self.n_rows
        for name, spelling, kind in record:
            values = self._values.get(name)
            if values is None:
                if not name:
                    raise SourceError(f"{place()}: expected a name for each value, found ''")
                _check_whole(name, place)
                values = self._values[name] = []
                self._kinds[name] = ValueKind.NOTHING
                if len(self._values) > MAX_COLUMNS:
                    raise SourceError(
                        f"{place()}: more than {MAX_COLUMNS:,} different names in the records; are"
                        " values used as names?"
                    )
            if len(values) > n:
                raise SourceError(f"{place()}: two values are named {name!r}; rename one")
            if len(values) < n:
                values.extend([None] * (n - len(values)))
            values.append(spelling)
            if spelling is None:
                continue
            if not spelling.isascii():
                _check_whole(spelling, place)
            if kind is not self._kinds[name]:
                self._kinds[name] |= kind
        self.n_rows = n + 1

    def chunk(self, start: int | None = None, end: int | None = None) -> Chunk:
        """The records so far."""
        arrays = []
        for values in self._values.values():
            values.extend([None] * (self.n_rows - len(values)))
            arrays.append(pa.array(values, pa.string()))
        rows = pa.StructArray.from_arrays(arrays, list(self._values))
        if not arrays:  # records without any value are rows too
            rows = pa.array([{}] * self.n_rows, pa.struct([]))
        return Chunk(pa.RecordBatch.from_struct_array(rows), self._kinds, start, end)


def _check_whole(text: str, place: Callable[[], str]) -> None:
    """Raises SourceError for half of a surrogate pair, which JSON can spell but no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])[1:-1]
        raise SourceError(
            f"{place()}: {half} is half of a character (a surrogate without its other half); remove"
            " it, or write \\ufffd in its place"
        ) from error


@dataclass
class _Seen:
    """What the records so far say about a column."""

    kinds: ValueKind
    forms: tuple[Form, ...]
    n_present: int = 0
    n_missing: int = 0
    n_empty: int = 0


class Evidence:
    """What all records of a table say about its columns, in the order in which they appear."""

    def __init__(self) -> None:
        """No record yet."""
        self._n_rows = 0
        self._seen: dict[str, _Seen] = {}

    def add(self, chunk: Chunk) -> None:
        """Look at further records."""
        for name in chunk.batch.schema.names:
            kinds = chunk.kinds[name]
            seen = self._seen.get(name)
            if seen is None:
                seen = self._seen[name] = _Seen(kinds, FORMS.get(kinds, ()))
                seen.n_missing = self._n_rows
            elif kinds and kinds != seen.kinds:
                # Nothing but missing values so far, or several kinds.
                seen.forms = () if seen.kinds else FORMS.get(kinds, ())
                seen.kinds |= kinds
            self._look(seen, chunk.batch[name])
        for name in self._seen.keys() - set(chunk.batch.schema.names):
            self._seen[name].n_missing += chunk.batch.num_rows
        self._n_rows += chunk.batch.num_rows

    def columns(self) -> dict[str, Inferred]:
        """The form of each column, and whether values are missing."""
        return {name: self._inferred(seen) for name, seen in self._seen.items()}

    def _look(self, seen: _Seen, texts: pa.Array) -> None:
        is_spelled = seen.kinds == ValueKind.SPELLED
        seen.n_empty += texts.null_count
        if is_spelled:
            seen.n_empty += pc.sum(pc.equal(texts, ""), min_count=0).as_py()
        if not seen.forms:
            seen.n_missing += texts.null_count
            return
        typed = without_missing(texts) if is_spelled else texts
        seen.n_missing += typed.null_count
        seen.n_present += len(typed) - typed.null_count
        present = pc.unique(typed).drop_null()
        if len(present):
            seen.forms = tuple(form for form in seen.forms if form.fits(present))

    def _inferred(self, seen: _Seen) -> Inferred:
        if not seen.kinds or (seen.forms and not seen.n_present):
            return Inferred(NO_VALUE, nullable=True)
        if seen.forms:
            return Inferred(seen.forms[0], seen.n_missing > 0)
        return Inferred(None, seen.n_missing + seen.n_empty > 0)


def converted(
    batch: pa.RecordBatch, columns: Mapping[str, Inferred], *, is_spelled: bool
) -> pa.RecordBatch:
    """Spelled records in the types of the columns; what a record does not have is missing.

    Args:
        batch: of a chunk.
        columns: of the table.
        is_spelled: whether all values are of the kind `SPELLED`.
    """
    known = set(batch.schema.names)
    arrays = []
    for name, inferred in columns.items():
        texts = batch[name] if name in known else pa.nulls(batch.num_rows, pa.string())
        if inferred.form is not None:
            texts = inferred.form.parse(without_missing(texts) if is_spelled else texts)
        elif is_spelled:
            texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        arrays.append(texts)
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))
