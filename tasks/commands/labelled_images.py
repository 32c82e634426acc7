"""Images and their labels from a folder or an `.npz` file, and into one like it."""

import io
import zipfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from PIL import Image

from tasks.commands.examples import Labelled, new_file
from tasks.engines.local import LocalEngine
from tasks.errors import DataError, SourceError
from tasks.schema import DatasetSchema
from tasks.sources._image_folders import METADATA_FILES, image_folder
from tasks.sources._pictures import FORMATS
from tasks.sources.arrays.files import ArrayFile, Header
from tasks.sources.base import Source
from tasks.sources.images import ImageSource
from tasks.sources.npz import NpzSource
from tasks.storage import StoredRows, new_folder, write_dataset

LABEL = "label"

IMAGES, LABELS = "x", "y"
"""The arrays of an .npz file."""

_COUNTED = {
    "other_files": "files that are no images of a known format were left out",
    "images_in_hidden_folders": "images in hidden folders (.name) were left out",
    "folders_without_images": "folders are of labels that no image has",
    "misnamed_images": "images are of another format than their names say",
}

_SETTINGS = {
    "`mode: RGB`": "mode=RGB",
    "skip_unreadable": "skip_unreadable=true",
    "target: null": "target=null",
}
"""Settings that the errors of sources speak of, and how `proofmint add` is told them."""

_MODES = {"L": "grey", "RGB": "colour"}

_FORM = ["width", "height", "mode"]


class LabelledImages(Labelled):
    """Images of one size, with a label each or without.

    Attributes:
        form: their size and mode, in words.
    """

    def __init__(self, path: Path, source: Source, folder: Path) -> None:
        """Read a source and store its rows in a new folder.

        Args:
            path: of the file or folder.
            source: that reads it.
            folder: does not exist yet.

        Raises:
            SourceError: an image cannot be read.
            DataError: images differ in size or mode, or there are none.
        """
        self.path = path
        folder.mkdir(parents=True)
        try:
            with source, LocalEngine() as engine:
                self.schema: DatasetSchema = source.schema()
                table = self.schema.main
                loaded = engine.load(source, table, list(source.parts(table)))
                self.n_rows = write_dataset(folder, self.schema, {table.name: loaded})[table.name]
                self._counts = source.counts()
        except SourceError as error:
            said = next(
                (said for setting, said in _SETTINGS.items() if setting in str(error)), None
            )
            if said is None:
                raise
            raise SourceError(
                f"{error}\n(such are settings of a dataset, which `proofmint add {path} --name NAME"
                f" --set {said}` takes)"
            ) from error
        self.rows = StoredRows(folder, table.name)
        if self.n_rows == 0:
            raise DataError(f"expected images in {path}, found none")
        self._check_alike()

    @property
    def notes(self) -> list[str]:
        """See `Examples`."""
        counts = self._counts
        return [
            f"{self.path}: {counts[name]:,} {words}"
            for name, words in _COUNTED.items()
            if counts.get(name)
        ]

    def told(self, n_rows: int) -> str:
        """See `Examples.told`."""
        with_labels = " with their labels" if self.schema.target else ""
        return f"{n_rows:,} synthetic images of {self.form}{with_labels}"

    def _check_alike(self) -> None:
        """Refuse images of several sizes or modes, and name two of them."""
        forms = {form for batch in self.rows([*_FORM]) for form in _rows_of(batch)}
        self.form = _words(next(iter(forms)))
        if len(forms) == 1:
            return
        first: dict[tuple[Any, ...], str] = {}
        for batch in self.rows([*_FORM, "image"]):
            names = batch.column("image").field("path").to_pylist()
            for form, name in zip(_rows_of(batch.select(_FORM)), names, strict=True):
                first.setdefault(form, name)
        (one, its_name), (other, other_name) = list(first.items())[:2]
        raise DataError(
            f"{self.path}: expected images of one size and mode, found {_words(one)} ({its_name}) and"
            f" {_words(other)} ({other_name}){' and more' * (len(first) > 2)}; resize or convert them"
        )

    @property
    @abstractmethod
    def is_folder(self) -> bool:
        """Whether the output is a folder."""


class ImageFolder(LabelledImages):
    """A folder with a sub-folder of images for each label, or of images alone."""

    is_folder = True

    def __init__(self, path: Path, folder: Path) -> None:
        """See `LabelledImages`."""
        found = image_folder(str(path.absolute()), path, None)
        if found.metadata:
            raise SourceError(
                f"expected one sub-folder of images per label in {path}, found a file of metadata"
                f" ({', '.join(METADATA_FILES)}): `proofmint add {path} --name NAME` sets a dataset"
                " up from it"
            )
        if not found.names:
            raise SourceError(
                f"expected images ({', '.join(FORMATS)}) in {path}, in one sub-folder per label,"
                " found none"
            )
        settings = {"path": str(path.absolute())}
        target = LABEL if any("/" in name for name in found.names) else None
        self._n_deep = sum(name.count("/") > 1 for name in found.names)
        super().__init__(
            path, ImageSource(settings, kind="image", target=target, project=path), folder
        )

    @property
    def notes(self) -> list[str]:
        """See `Examples`."""
        notes = super().notes
        if self._n_deep:
            notes.append(
                f"{self.path}: {self._n_deep:,} images lie in folders of folders; their label is the"
                " outermost"
            )
        return notes

    def write(self, output: Path, batches: Iterable[pa.RecordBatch], n_rows: int) -> None:
        """See `Examples.write`; PNG files that are named by their number."""
        del n_rows
        target = self.schema.target
        i = 0
        with new_folder(output.absolute()) as draft:
            for batch in batches:
                labels = batch.column(target).to_pylist() if target else [""] * batch.num_rows
                contents = batch.column("image").field("bytes").to_pylist()
                for label, content in zip(labels, contents, strict=True):
                    place = draft / label
                    place.mkdir(exist_ok=True)
                    (place / f"{i:08d}.png").write_bytes(content)
                    i += 1


class ImageArrays(LabelledImages):
    """An `.npz` file of images `x`, and labels `y` or none."""

    is_folder = False

    def __init__(self, path: Path, folder: Path) -> None:
        """See `LabelledImages`."""
        headers = ArrayFile(path, str(path), None).headers
        self._images = _images_of(path, headers)
        self._labels = _labels_of(path, headers, self._images)
        settings: dict[str, Any] = {"path": str(path.absolute()), "images": self._images.name}
        if self._labels is not None:
            settings["labels"] = self._labels.name
        target = None if self._labels is None else LABEL
        super().__init__(
            path, NpzSource(settings, kind="image", target=target, project=path.parent), folder
        )
        with zipfile.ZipFile(path) as archive:
            self._packing = archive.infolist()[0].compress_type
        known = (self._images, self._labels)
        self._others = [name for name, header in headers.items() if header not in known]

    @property
    def notes(self) -> list[str]:
        """See `Examples`."""
        labels, others = self._labels, ", ".join(self._others)
        notes = [f"{self.path}: the arrays {others} were left out"] if others else []
        if labels is not None and labels.name != LABELS:
            notes.append(
                f"{self.path}: the array {labels.name} was taken for the labels; leave it out if it"
                " is something else"
            )
        return notes

    def write(self, output: Path, batches: Iterable[pa.RecordBatch], n_rows: int) -> None:
        """See `Examples.write`; the same arrays with the same types."""
        labels: list[np.ndarray] = []

        def pixels() -> Iterator[bytes]:
            for batch in batches:
                for content in batch.column("image").field("bytes").to_pylist():
                    yield self._pixels(content).tobytes()
                if self._labels is not None:
                    labels.append(_as_array(batch.column(LABEL), self._labels))

        with new_file(output) as stream, zipfile.ZipFile(stream, "w", self._packing) as archive:
            _write_member(archive, self._images, n_rows, pixels())
            if self._labels is not None:
                _write_member(archive, self._labels, n_rows, (a.tobytes() for a in labels))

    def _pixels(self, content: bytes) -> np.ndarray:
        """An image in the shape and type of the real array."""
        values = np.asarray(Image.open(io.BytesIO(content)))
        shape = self._images.shape[1:]
        if len(shape) == 3 and shape[2] not in (1, 3):  # colours first
            values = np.atleast_3d(values).transpose(2, 0, 1)
        if self._images.dtype == np.bool_:
            values = values > 127
        return np.ascontiguousarray(values.reshape(shape))


def read_images(path: Path, folder: Path) -> LabelledImages:
    """The images in a folder or an .npz file, stored in a new folder.

    Raises:
        SourceError: there are none, or one cannot be read.
        DataError: they differ in size or mode.
    """
    return ImageFolder(path, folder) if path.is_dir() else ImageArrays(path, folder)


def _images_of(path: Path, headers: Mapping[str, Header]) -> Header:
    could_be = [h for h in headers.values() if len(h.shape) in (3, 4)]
    found = headers.get(IMAGES) or (could_be[0] if len(could_be) == 1 else None)
    if found is None:
        raise SourceError(
            f"expected an array {IMAGES!r} of images (N, H, W) or (N, H, W, C) in {path}, found"
            f" {', '.join(map(str, headers.values())) or 'none'}"
        )
    if found.dtype not in (np.uint8, np.bool_):
        raise SourceError(
            f"{path}: expected images of unsigned bytes (uint8), found {found}; numbers from 0 to 1"
            " become such by (255 * x).round().astype(np.uint8)"
        )
    return found


def _labels_of(path: Path, headers: Mapping[str, Header], images: Header) -> Header | None:
    """The labels; None: there are none."""
    others = [h for h in headers.values() if h is not images]
    fitting = [h for h in others if h.shape in ((images.n_rows,), (images.n_rows, 1))]
    found = headers.get(LABELS) or (fitting[0] if len(fitting) == 1 else None)
    if found is None and others:
        raise SourceError(
            f"expected labels {LABELS!r} for the {images.n_rows:,} images in {path}, found"
            f" {', '.join(map(str, others))}; call the labels {LABELS!r}, or leave other arrays out"
        )
    return found


def _as_array(values: pa.Array, header: Header) -> np.ndarray:
    """Labels in the type of the real array."""
    found = values.to_pylist()
    if header.dtype.kind == "S":
        found = [value.encode() for value in found]
    return np.array(found, dtype=header.dtype)


def _write_member(
    archive: zipfile.ZipFile, like: Header, n_rows: int, pieces: Iterable[bytes]
) -> None:
    """An array like another one with so many rows; the archive has no clock inside."""
    info = zipfile.ZipInfo(f"{like.name}.npy")
    info.compress_type = archive.compression
    with archive.open(info, "w", force_zip64=True) as member:
        header = {
            "descr": npy.dtype_to_descr(like.dtype),
            "fortran_order": False,
            "shape": (n_rows, *like.shape[1:]),
        }
        npy.write_array_header_1_0(member, header)
        for piece in pieces:
            member.write(piece)


def _rows_of(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _words(form: tuple[Any, ...]) -> str:
    width, height, mode = form
    return f"{width} x {height} pixels in {_MODES[mode]}"
