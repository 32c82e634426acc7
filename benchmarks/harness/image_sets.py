"""The real images of `benchmarks/images.py`, as datasets of training and holdout images."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness.systems import HOME
from harness.tables import DATA
from PIL import Image
from sklearn.datasets import load_digits

from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, TableSchema, arrow_schema
from tasks.seeding import rng_for
from tasks.storage import new_folder, read_batches, write_dataset

HOLDOUT_FRACTION = 0.2

SCHEMA = DatasetSchema(
    kind="image",
    tables=(
        TableSchema(
            name="images",
            columns=(
                Column(name="image", type="image", meaning="image", nullable=False),
                Column(name="label", type="string", meaning="categorical", nullable=False),
            ),
        ),
    ),
    target="label",
)

SETS = ("digits", "mnist")


def arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, H, W, C) uint8 and labels (N,) of a set, or of an `.npz` with `x` and `y`."""
    if name == "digits":
        digits = load_digits()
        return (digits.images * 15.9375).astype(np.uint8)[..., None], digits.target
    path = DATA / "mnist" / "mnist_10k.npz" if name == "mnist" else Path(name)
    with np.load(path, allow_pickle=False) as found:
        pixels, labels = found["x"], found["y"]
    return pixels if pixels.ndim == 4 else pixels[..., None], labels


def prepared(name: str) -> Path:
    """The folder of a set; `split/train` and `split/holdout` are datasets in it."""
    folder = HOME / "images" / Path(name).stem
    split = folder / "split"
    if not split.exists():
        pixels, labels = arrays(name)
        order = rng_for(0, "benchmark", name).permutation(len(pixels))
        n_holdout = round(HOLDOUT_FRACTION * len(order))
        with new_folder(split) as draft:
            for part, rows in (("train", order[n_holdout:]), ("holdout", order[:n_holdout])):
                (draft / part).mkdir()
                batches = [batch_of(pixels[rows], labels[rows])]
                write_dataset(draft / part, SCHEMA, {"images": batches})
    return folder


def grid(folder: Path, n_columns: int) -> np.ndarray:
    """The first images of each label beside each other, as one picture.

    Shape:
        returns: (labels * H, n_columns * W, C) uint8; white where there are too few.
    """
    found: dict[str, list[np.ndarray]] = {}
    for batch in read_batches(folder, "images"):
        labels = batch.column("label").to_pylist()
        for content, label in zip(batch.column("image").field("bytes"), labels, strict=True):
            if len(row := found.setdefault(label, [])) < n_columns:
                pixels = np.asarray(Image.open(io.BytesIO(content.as_py())))
                row.append(pixels if pixels.ndim == 3 else pixels[..., None])
    height, width, channels = next(iter(found.values()))[0].shape
    picture = np.full((len(found) * height, n_columns * width, channels), 255, np.uint8)
    for i, label in enumerate(sorted(found)):
        for j, pixels in enumerate(found[label]):
            picture[i * height : (i + 1) * height, j * width : (j + 1) * width] = pixels
    return picture


def read_facts(path: Path) -> dict[str, float]:
    """What `image_stage.py` wrote."""
    facts: dict[str, float] = json.loads(path.read_text())
    return facts


def batch_of(pixels: np.ndarray, labels: np.ndarray) -> pa.RecordBatch:
    """Images (N, H, W, C) uint8 with their labels (N,), as rows of `SCHEMA`."""
    structs = []
    for i, image in enumerate(pixels):
        stream = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, format="PNG")
        structs.append({"bytes": stream.getvalue(), "path": f"{i:06d}.png"})
    columns = [pa.array(structs, IMAGE_TYPE), pa.array([str(label) for label in labels])]
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(SCHEMA.main))
