"""Bring texts into one form: Unicode, spaces, case, accents, HTML, control characters."""

import html.parser
import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tasks.cleaning.base import Changed, Step, Subject, put_in, replaced
from tasks.schema import arrow_type

Operation = Literal[
    "nfc",
    "nfkc",
    "trim",
    "collapse_spaces",
    "lower",
    "upper",
    "strip_accents",
    "strip_html",
    "strip_control",
]

_SPACES = r"[\s\v\x{0085}\p{Z}]+"
_CONTROL = (
    r"[\x{0000}-\x{0008}\x{000b}\x{000c}\x{000e}-\x{001f}\x{007f}-\x{0084}\x{0086}-\x{009f}"
    r"\x{00ad}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}\x{2066}-\x{2069}\x{feff}]"
)
"""Control characters but for tab and ends of lines, soft hyphens, marks of direction, and spaces of no
width. The joiners, which emoji and some scripts are written with, are no such thing."""

_NO_TEXT = frozenset({"script", "style", "template", "head"})
_BLOCKS = re.compile(
    "address|article|aside|blockquote|br|d[dlt]|div|fieldset|fig.*|footer|form|h[1-6r]|header|li|main"
    "|nav|[ou]l|p|pre|section|table|t[dhr]"
)


class Text(Step):
    """Applies the operations to a text one after the other, as they are listed."""

    order = 30
    groups = frozenset({"*"})
    Settings = Annotated[
        dict[str, Annotated[list[Operation], Field(min_length=1)]],
        Field(
            description="by column, or for all texts that are not named (`*`): nfc, nfkc (forms of"
            " Unicode), trim, collapse_spaces, lower, upper, strip_accents, strip_html,"
            " strip_control"
        ),
    ]

    def __init__(self, settings: Any, subject: Subject) -> None:
        """See `Step`."""
        super().__init__(settings, subject)
        own: dict[str, list[Operation]] = self.own(settings)
        for name in own:
            if not is_text(arrow_type(self.table.column(name))):
                raise self.misfit(self.table.column(name), "texts")
        if "*" in settings:
            for column in self.table.columns:
                if is_text(arrow_type(column)):
                    own.setdefault(column.name, settings["*"])
        self._operations = own

    @property
    def applies(self) -> bool:
        """See `Step.applies`."""
        return bool(self._operations)

    def change(self, batch: pa.RecordBatch) -> Changed:
        """See `Step.change`."""
        changed, counts = {}, {}
        for name, operations in self._operations.items():
            texts = batch[name]
            for operation in operations:
                texts = _OPERATIONS[operation](texts)
            n_changed = pc.sum(pc.not_equal(texts, batch[name]), min_count=0).as_py()
            if n_changed:
                changed[name] = texts
                counts[name] = n_changed
        return Changed(replaced(batch, changed) if changed else batch, {"normalised": counts})


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _each(texts: pa.Array, is_meant: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """Python's `change` of those texts that are meant, of each different one once."""
    is_meant = pc.fill_null(is_meant, fill_value=False)
    if not pc.any(is_meant).as_py():
        return texts
    coded = texts.filter(is_meant).dictionary_encode()
    changed = pa.array([change(text) for text in coded.dictionary.to_pylist()], texts.type)
    return put_in(texts, is_meant, changed.take(coded.indices))


def _unicode(form: Literal["NFC", "NFKC"]) -> Callable[[pa.Array], pa.Array]:
    """Not Arrow's `utf8_normalize`, which in pyarrow 25 gives NFD whatever it is asked for."""
    return lambda texts: _each(
        texts,
        pc.invert(pc.string_is_ascii(texts)),
        lambda text: unicodedata.normalize(form, text),
    )


def _without_accents(texts: pa.Array) -> pa.Array:
    return _each(texts, pc.invert(pc.string_is_ascii(texts)), _bare)


def _bare(text: str) -> str:
    letters = unicodedata.normalize("NFD", text)
    kept = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", kept)


def _without_html(texts: pa.Array) -> pa.Array:
    """Only texts that may have markup are parsed."""
    return _each(texts, pc.match_substring_regex(texts, "[<&]"), _text_of)


def _text_of(markup: str) -> str:
    parser = _Html()
    parser.feed(markup)
    parser.close()
    return "".join(parser.parts).strip()


class _Html(html.parser.HTMLParser):
    """Keeps what a reader would see; what ends a line there becomes a space."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """See the base class."""
        del attrs
        if tag in _NO_TEXT:
            self._hidden.append(tag)
        if _BLOCKS.fullmatch(tag):
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """See the base class."""
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()
        if _BLOCKS.fullmatch(tag):
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        """See the base class."""
        if not self._hidden:
            self.parts.append(data)


_OPERATIONS: dict[Operation, Callable[[pa.Array], pa.Array]] = {
    "nfc": _unicode("NFC"),
    "nfkc": _unicode("NFKC"),
    "trim": pc.utf8_trim_whitespace,
    "collapse_spaces": lambda texts: pc.replace_substring_regex(texts, _SPACES, " "),
    "lower": pc.utf8_lower,
    "upper": pc.utf8_upper,
    "strip_accents": _without_accents,
    "strip_html": _without_html,
    "strip_control": lambda texts: pc.replace_substring_regex(texts, _CONTROL, ""),
}
