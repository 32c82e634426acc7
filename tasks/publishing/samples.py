"""A first look at the synthetic data for the report: rows of a table, images and texts by class."""

import base64
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tasks.errors import DataError
from tasks.publishing.tables import DATA_FOLDER, ReleasedTable
from tasks.storage import read_batches

ROWS = 5
COLUMNS = 10
IMAGES_PER_CLASS = 10
CLASSES = 12

_ROWS_SEEN = 2_000
"""Rows that are looked at for those of each class; a report is not worth reading them all."""

_LARGEST_SIDE = 96
TEXTS_PER_CLASS = 4

_LONGEST_TEXT = 60
_LONGEST_CAPTION = 120
_LONGEST_SAMPLE = 400
"""Characters of a text of a dataset of texts that a reader gets to see."""


@dataclass(frozen=True)
class ImageRow:
    """Images that were drawn for one label."""

    label: str
    sources: tuple[str, ...]
    """As data URIs."""
    texts: tuple[str, ...] = ()
    """What was drawn with each of them; empty where images come alone."""


@dataclass(frozen=True)
class BesideRow:
    """Real and synthetic images of one label, as data URIs; never part of a release."""

    label: str
    real: tuple[str, ...]
    synthetic: tuple[str, ...]


@dataclass(frozen=True)
class ClosestImage:
    """A synthetic image that is close to a training image.

    Attributes:
        synthetic: as data URI.
        real: the training image as data URI; None in a release, which holds no real image.
        distance: between the two; 1 is what half of the unseen real images exceed.
    """

    synthetic: str
    real: str | None
    distance: float


@dataclass(frozen=True)
class RowSample:
    """The first rows of a table as text."""

    table: str
    n_rows: int
    """Of the whole table."""
    n_columns: int
    names: list[str]
    """Of the columns that are shown."""
    lines: list[list[str]]
    by_label: bool = False
    """Whether they are the first of each label, not of all."""


def sample_rows(release: Path, table: ReleasedTable) -> RowSample:
    """The first rows of a table of a release; images and columns past COLUMNS are left out."""
    names = [c.name for c in table.schema.columns if c.type != "image"][:COLUMNS]
    batches = read_batches(release / DATA_FOLDER, table.slug, names)
    first = itertools.islice(itertools.chain.from_iterable(b.to_pylist() for b in batches), ROWS)
    lines = [[_shown(row[name]) for name in names] for row in first]
    return RowSample(table.schema.name, table.n_rows, len(table.schema.columns), names, lines)


def sample_of(rows: pa.Table, name: str, n_rows: int) -> RowSample:
    """The first rows of a table in memory; columns past COLUMNS are left out.

    Args:
        rows: the first rows, or all.
        name: of the table.
        n_rows: of the whole table.
    """
    names = rows.column_names[:COLUMNS]
    lines = [
        [_shown(row[column]) for column in names]
        for row in rows.select(names).slice(0, ROWS).to_pylist()
    ]
    return RowSample(name, n_rows, rows.num_columns, names, lines)


def sample_texts(release: Path, table: ReleasedTable, target: str | None) -> RowSample:
    """The first texts of each label of a release, in the order of the labels."""
    batches = read_batches(release / DATA_FOLDER, table.slug)
    rows, n_seen = [], 0
    for batch in batches:
        rows.append(batch.slice(0, _ROWS_SEEN - n_seen))
        n_seen += rows[-1].num_rows
        if n_seen == _ROWS_SEEN:
            break
    return sample_of_texts(pa.Table.from_batches(rows), table.schema.name, table.n_rows, target)


def sample_of_texts(rows: pa.Table, name: str, n_rows: int, target: str | None) -> RowSample:
    """The first texts of each label of rows in memory, in the order of the labels.

    Args:
        rows: the first rows, or all.
        name: of the table.
        n_rows: of the whole table.
        target: the column of labels, if there is one.
    """
    found: dict[str, list[list[str]]] = {}
    for row in rows.to_pylist():
        label = "" if target is None else _shown(row[target])
        if label in found or len(found) < CLASSES:
            lines = found.setdefault(label, [])
            if len(lines) < TEXTS_PER_CLASS:
                lines.append([_shown(value, _LONGEST_SAMPLE) for value in row.values()])
    lines = [line for label in sorted(found) for line in found[label]]
    return RowSample(
        name, n_rows, rows.num_columns, rows.column_names, lines, by_label=target is not None
    )


def sample_images(release: Path, table: ReleasedTable, target: str | None) -> list[ImageRow]:
    """The first images of each label, in the order of the labels.

    They come from the release itself, so they are synthetic, never real.
    """
    column = next((c.name for c in table.schema.columns if c.type == "image"), None)
    if column is None:
        return []
    text = next((c.name for c in table.schema.columns if c.meaning == "text"), None)
    found: dict[str, list[tuple[str, str]]] = {}
    rows_seen = itertools.islice(_with_images(release, table, column, target, text), _ROWS_SEEN)
    for row in rows_seen:
        label = "" if target is None else str(row[target])
        if label not in found and len(found) == CLASSES:
            continue
        pairs = found.setdefault(label, [])
        if len(pairs) < IMAGES_PER_CLASS:
            said = "" if text is None else _shown(row[text], _LONGEST_CAPTION)
            pairs.append((_data_uri(row[column]["bytes"]), said))
    return [
        ImageRow(label, images, texts if text is not None else ())
        for label in sorted(found)
        for images, texts in [tuple(zip(*found[label], strict=True))]
    ]


def released_images(
    release: Path, table: ReleasedTable, closest: Sequence[Mapping[str, Any]]
) -> list[ClosestImage]:
    """The images of a release that are closest to a training image, without the training image.

    Args:
        release: holds the synthetic images.
        table: of the images.
        closest: `row` and `distance` of each, as the metrics left them.

    Raises:
        DataError: `closest` is malformed.
    """
    column = next((c.name for c in table.schema.columns if c.type == "image"), None)
    if column is None or not closest:
        return []
    try:
        told = [(int(one["row"]), float(one["distance"])) for one in closest]
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"expected the plots of the metrics to name rows and distances in closest_images, found"
            f" something else: {type(error).__name__}: {error}; measure again"
        ) from error
    wanted = {row for row, _ in told}
    rows = itertools.islice(_with_images(release, table, column), max(wanted) + 1)
    found = {i: _data_uri(row[column]["bytes"]) for i, row in enumerate(rows) if i in wanted}
    return [ClosestImage(found[row], None, distance) for row, distance in told if row in found]


def data_uri(pixels: np.ndarray) -> str:
    """An image as PNG in a data URI.

    Shape:
        pixels: (H, W, C) uint8, C 1 or 3.
    """
    plain = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return _encoded(Image.fromarray(np.ascontiguousarray(plain)))


def _with_images(
    release: Path, table: ReleasedTable, column: str, *others: str | None
) -> Iterator[dict[str, Any]]:
    """The rows that have an image, with what of the other columns there is."""
    columns = [column, *(name for name in others if name is not None)]
    for batch in read_batches(release / DATA_FOLDER, table.slug, columns):
        for row in batch.to_pylist():
            if row[column] is not None and row[column]["bytes"] is not None:
                yield row


def _data_uri(encoded: bytes) -> str:
    """The image as PNG, no larger than the report has room for."""
    with Image.open(io.BytesIO(encoded)) as image:
        plain = image.convert("RGB" if image.mode not in ("L", "1") else "L")
        plain.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
        return _encoded(plain)


def _encoded(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _shown(value: Any, longest: int = _LONGEST_TEXT) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
