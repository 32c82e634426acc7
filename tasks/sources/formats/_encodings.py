"""Encodings of text: by byte order mark, as told, and what wrong bytes most likely are."""

import codecs
from pathlib import Path

from tasks.errors import SourceError

_GUESSED_BYTES = 2**16
"""Bytes around a fault that tell the likely encoding."""

_LIKELY = (
    "utf_8",
    "cp1252",
    "cp1251",
    "cp932",
    "gb18030",
    "utf_16_le",
    "utf_16_be",
    "big5",
    "euc_kr",
)
"""Encodings that are suggested; others are rare in tables, and look alike."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(head: bytes, given: str, path: Path) -> str:
    """The encoding by the byte order mark if there is one, else the given one.

    Raises:
        SourceError: Python knows no such encoding.
    """
    try:
        name = codecs.lookup(given).name
    except LookupError as error:
        raise SourceError(
            f"{path} is not text in {given}, which is no known encoding; choose utf-8, utf-16,"
            " latin-1, cp1252, shift_jis ..."
        ) from error
    if name != "utf-8":
        return given
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), given)


def is_utf8(encoding: str) -> bool:
    """Whether bytes of this encoding are UTF-8 as they are, but for a byte order mark."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


def not_text(
    path: Path, encoding: str, error: UnicodeDecodeError, place: int, n_lines: int
) -> SourceError:
    """What is said of bytes that are not of the encoding.

    Args:
        path: of the file.
        encoding: that was tried.
        error: what the decoder found.
        place: offset of the first wrong byte in the decompressed file.
        n_lines: complete lines before it.
    """
    wrong = error.object[error.start : error.start + 1].hex().upper()
    around = error.object[max(0, error.start - _GUESSED_BYTES) : error.start + _GUESSED_BYTES]
    likely = _likely(around)
    advice = f"it looks like {likely}; " if likely else ""
    return SourceError(
        f"{path} is not text in {encoding}: byte 0x{wrong} at offset {place:,}, in line"
        f" {n_lines + 1:,}; {advice}save it as UTF-8, or say by `encoding` (`--encoding` of a"
        " command) what it is: latin-1, cp1252, utf-16 ..."
    )


def _likely(around: bytes) -> str:
    """The encodings that the bytes may have, the likeliest ones first; empty: none fits."""
    # The detector is slow to import, and only a fault needs it.
    from charset_normalizer import from_bytes

    found = list(from_bytes(around, cp_isolation=list(_LIKELY)))
    if not found:
        return ""
    least = min(match.chaos for match in found)
    alike = {match.encoding for match in found if match.chaos <= least}
    return " or ".join(name.replace("_", "-") for name in _LIKELY if name in alike)
