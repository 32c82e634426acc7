"""Workbooks for tests, written by hand: no library that we keep writes them."""

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_TYPES = """<?xml version="1.0"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
</Types>"""

_RELATIONS = """<?xml version="1.0"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>"""

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

_STYLES = f"""<?xml version="1.0"?><styleSheet xmlns="{_MAIN}"><cellXfs>
<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="21"/></cellXfs></styleSheet>"""


def write_xlsx(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """A workbook of these rows by sheet; None is an empty cell."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        names = list(sheets)
        links = "".join(
            f'<Relationship Id="s{i}" Type="{_OFFICE}/worksheet" Target="worksheets/s{i}.xml"/>'
            for i in range(len(names))
        )
        links += f'<Relationship Id="st" Type="{_OFFICE}/styles" Target="styles.xml"/>'
        listed = "".join(
            f'<sheet name="{escape(name)}" sheetId="{i + 1}" r:id="s{i}"/>'
            for i, name in enumerate(names)
        )
        start = f'<Relationship Id="w" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS % start)
        archive.writestr("xl/_rels/workbook.xml.rels", _RELATIONS % links)
        archive.writestr("xl/styles.xml", _STYLES)
        archive.writestr(
            "xl/workbook.xml",
            f'<?xml version="1.0"?><workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
            f"<sheets>{listed}</sheets></workbook>",
        )
        for i, rows in enumerate(sheets.values()):
            archive.writestr(f"xl/worksheets/s{i}.xml", _sheet(rows))
    return path


def _sheet(rows: list[list[Any]]) -> str:
    lines = []
    for r, row in enumerate(rows, start=1):
        cells = "".join(_cell(f"{_letters(c)}{r}", value) for c, value in enumerate(row))
        lines.append(f'<row r="{r}">{cells}</row>')
    body = "".join(lines)
    return (
        f'<?xml version="1.0"?><worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>'
    )


def _cell(at: str, value: Any) -> str:
    if value is None:
        return ""
    attributes, inner = _content(value)
    return f'<c r="{at}"{attributes}>{inner}</c>'


def _content(value: Any) -> tuple[str, str]:
    """Attributes and content of a cell; `=formula=value` and `#ERROR` are texts that mean more."""
    if isinstance(value, bool):
        return ' t="b"', f"<v>{int(value)}</v>"
    if isinstance(value, dt.datetime):
        days = (value - dt.datetime.fromisoformat("1899-12-30")) / dt.timedelta(days=1)
        return ' s="2"', f"<v>{days!r}</v>"
    if isinstance(value, dt.date):
        return ' s="1"', f"<v>{(value - dt.date(1899, 12, 30)).days}</v>"
    if isinstance(value, str):
        return _text(value)
    return "", f"<v>{value!r}</v>"


def _text(value: str) -> tuple[str, str]:
    if value.startswith("="):
        formula, _, result = value[1:].partition("=")
        return "", f"<f>{escape(formula)}</f><v>{escape(result)}</v>"
    if value.startswith("#"):
        return ' t="e"', f"<v>{escape(value)}</v>"
    text = escape(value).replace("\r", "&#13;")
    return ' t="inlineStr"', f'<is><t xml:space="preserve">{text}</t></is>'


def _letters(column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
