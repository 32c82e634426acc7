"""Images as they are compared: small, of one form, and as short vectors for distances.

Source: principal components of pixels keep the L2 distances between images and need no pretrained
network, so a distance depends on the data alone (eigenfaces: Turk and Pentland 1991,
doi:10.1162/jocn.1991.3.1.71). What a network sees in images is in `features`.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from threadpoolctl import threadpool_limits

from tasks.errors import DataError
from tasks.storage import count_rows, read_batches

MAX_IMAGES = 50_000
"""Images of a set that are compared at most; equal images are looked for among all."""

MAX_SIDE = 32
"""Pixels to which the longer side of a larger image is reduced."""

MAX_FITTED = 4_000
"""Images of each origin that the principal components are learned from at most."""

N_COMPONENTS = 64

_NO_VARIANCE = 1e-12

_BROKEN = (OSError, TypeError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises of files that are no image, or a broken or huge one."""

_BLOCK = 4096
"""Images whose pixels are float64 at a time."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one origin.

    Shape:
        pixels: (N, H, W, C) uint8, C 1 or 3.
        identities: (M,) uint64, equal for equal pixels; M >= N.
        kept: (N,) positions among the M of those whose pixels are here.
        labels: N rows.
        sizes: width and height of all M images.
    """

    pixels: np.ndarray
    identities: np.ndarray
    kept: np.ndarray
    labels: pa.Table
    sizes: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Form:
    """What every image is brought to before it is compared: the form of the first real one."""

    mode: str
    size: tuple[int, int]

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Shape: (H, W, C) uint8."""
        image = image.convert(self.mode)
        if image.size != self.size:
            image = image.resize(self.size, Image.Resampling.BOX)
        return np.atleast_3d(np.asarray(image, np.uint8))


@dataclass(frozen=True)
class Components:
    """The space of the principal components of images of all origins.

    Few images of many pixels lie farther apart in components that were learned from them than in
    those of others: synthetic images would seem closer to real ones than unseen real images do.

    Shape:
        mean: (D,) float64, of pixels in [0, 1].
        directions: (D, K) float64, orthonormal; a zero column if all images are the same.
    """

    mean: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, origins: Sequence[np.ndarray]) -> "Components":
        """Learned from `MAX_FITTED` images of each origin at most.

        Shape:
            origins: (N, H, W, C) uint8 each.
        """
        fitted = _flat(np.concatenate([evenly(pixels) for pixels in origins]))
        # With one thread sums have one order, so every machine of a kind gives the same bytes.
        with threadpool_limits(limits=1):
            mean = fitted.mean(axis=0)
            return cls(mean, principal_directions(fitted - mean))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Shape: (N, H, W, C) uint8 to (N, K) float64."""
        starts = range(0, len(pixels), _BLOCK)
        with threadpool_limits(limits=1):
            parts = [
                (_flat(pixels[start : start + _BLOCK]) - self.mean) @ self.directions
                for start in starts
            ]
        return np.concatenate(parts) if parts else np.zeros((0, self.directions.shape[1]))


def read_images(
    places: list[tuple[Path, str]], image: str, labels: list[str], rng: np.random.Generator
) -> list[ImageSet]:
    """Read the training, the holdout and the synthetic images, in this order.

    Args:
        places: folder and table of each set.
        image: name of the image column.
        labels: names of the columns to keep beside it.
        rng: chooses images where there are more than `MAX_IMAGES`.

    Raises:
        DataError: an image cannot be read, a set is empty, or synthetic images have a size that
            no real image has.
    """
    form = _form(*places[0], image)
    train, holdout, synthetic = (_read(place, image, labels, form, rng) for place in places)
    real_sizes = train.sizes | holdout.sizes
    if unknown := synthetic.sizes - real_sizes:
        raise DataError(
            f"expected synthetic images of a size that real ones have, {sorted(real_sizes)},"
            f" found {sorted(unknown)}"
        )
    return [train, holdout, synthetic]


def evenly(pixels: np.ndarray) -> np.ndarray:
    """`MAX_FITTED` of the images at most, from everywhere among them."""
    return pixels[:: -(-len(pixels) // MAX_FITTED)]


def _flat(pixels: np.ndarray) -> np.ndarray:
    """Shape: (N, H, W, C) uint8 to (N, D) float64 in [0, 1]."""
    scaled = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
    return scaled.astype(np.float64)


def principal_directions(centred: np.ndarray) -> np.ndarray:
    """Shape: (N, D) to (D, K), orthonormal; a zero column if the rows are all the same."""
    scatter, directions = np.linalg.eigh(centred.T @ centred)
    # Directions without variance hold rounding errors, which trees would take for differences.
    used = (scatter > _NO_VARIANCE * len(centred)).nonzero()[0][::-1][:N_COMPONENTS]
    if len(used) == 0:
        return np.zeros((centred.shape[1], 1))
    found = directions[:, used]
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(len(used))])
    return np.asarray(found * signs)


def _form(folder: Path, table: str, image: str) -> Form:
    for _, found in _decoded(folder, table, image, []):
        mode = "L" if found.mode in ("1", "L", "I", "I;16", "F") else "RGB"
        scale = min(1.0, MAX_SIDE / max(found.size))
        width, height = (max(1, round(side * scale)) for side in found.size)
        return Form(mode, (width, height))
    raise DataError(f"expected images in table {table!r} of {folder}, found no rows")


def _read(
    source: tuple[Path, str],
    image: str,
    labels: list[str],
    form: Form,
    rng: np.random.Generator,
) -> ImageSet:
    folder, table = source
    n_rows = count_rows(folder, table)
    if n_rows == 0:
        raise DataError(f"expected images in table {table!r} of {folder}, found no rows")
    n_kept = min(n_rows, MAX_IMAGES)
    chosen_places = np.sort(rng.choice(n_rows, n_kept, replace=False))
    kept = set(chosen_places.tolist())
    pixels, identities, chosen, sizes = [], [], [], set()
    for place, (row, found) in enumerate(_decoded(folder, table, image, labels)):
        sizes.add(found.size)
        content = f"{found.mode} {found.size} ".encode() + found.tobytes()
        identities.append(hashlib.blake2b(content, digest_size=8).digest())
        if place in kept:
            pixels.append(form.pixels(found))
            chosen.append(row)
    return ImageSet(
        np.stack(pixels),
        np.frombuffer(b"".join(identities), "<u8").astype(np.uint64),
        chosen_places,
        pa.Table.from_batches(chosen) if labels else pa.table({}),
        frozenset(sizes),
    )


def _decoded(
    folder: Path, table: str, image: str, labels: list[str]
) -> Iterator[tuple[pa.RecordBatch, Image.Image]]:
    """Each row's labels and its image."""
    place = 0
    for batch in read_batches(folder, table):
        contents = batch.column(image).field("bytes")
        for number, content in enumerate(contents):
            try:
                found = Image.open(io.BytesIO(content.as_py()))
                found.load()
            except _BROKEN as error:
                raise DataError(
                    f"row {place} of table {table!r} in {folder}: expected an image in column"
                    f" {image!r}: {error}"
                ) from error
            yield batch.slice(number, 1).select(labels), found
            place += 1
