"""Images from arrays of three or four dimensions, with labels from arrays of one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.errors import SourceError
from tasks.schema import Column
from tasks.sources._pictures import MAX_PIXELS, Mode, Unreadable, picture_columns, picture_of_pixels
from tasks.sources._rows import batches_of
from tasks.sources.arrays.base import Maker, arrow_type, arrow_values
from tasks.sources.arrays.files import ArrayFile, Header, listed, named
from tasks.sources.base import column

_CHANNELS = (1, 3)


@dataclass(frozen=True)
class ImageMaker(Maker):
    """Makes images.

    Attributes:
        images: array of images; None: the only one that could be.
        labels: array of labels; None: the only one that could be, if `wants_labels`.
        label_file: holds the labels instead.
        wants_labels: whether there must be labels.
        white: value that is white, of images that are not of unsigned bytes.
        mode: that images are converted to.
        batch_bytes: of a batch at most.
    """

    images: str | None
    labels: str | None
    label_file: ArrayFile | None
    wants_labels: bool
    white: float | None
    mode: Mode | None
    batch_bytes: int

    def headers(self, file: ArrayFile) -> list[Header]:
        """See `Maker.headers`; the labels come second, where there are any."""
        images = _chosen(file, self.images, "images", lambda h: len(h.shape) in (3, 4))
        if self.label_file is not None:
            labels = _chosen(self.label_file, None, "labels", lambda _: True)
        elif self.labels is not None or self.wants_labels:
            shapes = ((images.n_rows,), (images.n_rows, 1))
            what = f"labels of the {images.n_rows} images"
            labels = _chosen(file, self.labels, "labels", lambda h: h.shape in shapes, what)
        else:
            return [images]
        if labels.shape not in ((images.n_rows,), (images.n_rows, 1)):
            raise SourceError(
                f"{file.given}: expected a label for each image, found the images {images} and the"
                f" labels {labels}"
            )
        return [images, labels]

    def columns(self, file: ArrayFile) -> list[Column]:
        """See `Maker.columns`."""
        images, *labels = self.headers(file)
        self._check_images(file, images)
        others = []
        for header in labels:
            if header.dtype.kind not in "iubSU":
                raise SourceError(
                    f"{file.given}: expected labels that are whole numbers, texts or truth values,"
                    f" found {header}; whole numbers that were stored as others become such by"
                    " y.astype(int)"
                )
            label = column("label", arrow_type(header.dtype), nullable=False)
            others = [label.model_copy(update={"meaning": "categorical"})]
        return picture_columns(others)

    def batches(
        self, file: ArrayFile, schema: pa.Schema, start: int, stop: int
    ) -> Iterator[pa.RecordBatch]:
        """See `Maker.batches`; an image is named by its number."""
        yield from batches_of(self._rows(file, start, stop), schema, self.batch_bytes)

    def _rows(self, file: ArrayFile, start: int, stop: int) -> Iterator[dict[str, Any]]:
        images, *labels = self.headers(file)
        n_rows = max(1, self.batch_bytes // max(1, images.row_bytes))
        is_first = len(images.shape) == 4 and images.shape[3] not in _CHANNELS
        label_chunks: Iterator[np.ndarray] = iter(())
        for header in labels:
            label_chunks = (self.label_file or file).chunks(header.name, n_rows, start, stop)
        i = start
        for chunk in file.chunks(images.name, n_rows, start, stop):
            values = None
            if (found := next(label_chunks, None)) is not None:
                flat = found.reshape(len(found))
                values = arrow_values(flat, file.given, labels[0].name, i).to_pylist()
            for k, pixels in enumerate(chunk):
                row = self._row(file, np.moveaxis(pixels, 0, 2) if is_first else pixels, i)
                yield row if values is None else row | {"label": values[k]}
                i += 1

    def _row(self, file: ArrayFile, pixels: np.ndarray, i: int) -> dict[str, Any]:
        try:
            levels = _levels(pixels, self.white)
            return picture_of_pixels(levels, self.mode).row(f"{i:08d}.png")
        except Unreadable as error:
            raise SourceError(f"{file.given}: image {i}, counted from 0, {error}") from error

    def _check_images(self, file: ArrayFile, images: Header) -> None:
        is_known = len(images.shape) == 3 or (
            len(images.shape) == 4 and {images.shape[1], images.shape[3]} & set(_CHANNELS)
        )
        if not is_known or images.dtype.kind not in "uifb":
            raise SourceError(
                f"{file.given}: expected images (n, height, width), or with 1 or 3 colours last or"
                f" after n, found {images}"
            )
        if images.dtype not in (np.uint8, np.bool_) and self.white is None:
            raise SourceError(
                f"{file.given}: expected images of unsigned bytes, found {images}; set `white` to"
                " the value that is white: 1.0, 255.0, 65535 ..."
            )
        n_pixels = images.row_bytes // images.dtype.itemsize
        if not 0 < n_pixels <= 3 * MAX_PIXELS:
            raise SourceError(
                f"{file.given}: expected images of 1 to {MAX_PIXELS} pixels, found {images}"
            )


def _chosen(
    file: ArrayFile,
    name: str | None,
    setting: str,
    could_be: Callable[[Header], bool],
    what: str | None = None,
) -> Header:
    """The array that a setting names, or the only one that it could name; `what` says for what."""
    if name is not None:
        return named(file, name)
    found = [header for header in file.headers.values() if could_be(header)]
    if len(found) != 1:
        raise SourceError(
            f"expected one array in {file.given} that could be the {what or setting}, found"
            f" {len(found)}; it has {listed(file)}: name one as `{setting}`"
            f"{', or set `target: null` to do without' if setting == 'labels' else ''}"
        )
    return found[0]


def _levels(pixels: np.ndarray, white: float | None) -> np.ndarray:
    """Pixels as levels from 0 to 255, rounded half up.

    Raises:
        Unreadable: a value is below 0, above white, or not a number.
    """
    if white is None:
        return pixels * np.uint8(255) if pixels.dtype == np.bool_ else pixels
    values = pixels.astype(np.float64)
    if not ((values >= 0) & (values <= white)).all():
        raise Unreadable(
            f"has values from {values.min()} to {values.max()}, expected 0 to {white:g}, which is"
            " `white`"
        )
    return np.floor(values * (255 / white) + 0.5).astype(np.uint8)
