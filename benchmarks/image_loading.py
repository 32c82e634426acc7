"""How fast do stored images reach a training, and in how much memory?

Small greyscale PNG files are written as the stages write them, Parquet in shards, many times the same
ones. Then, each in a process of its own with one thread:

    decode       all files once, by us and by Pillow
    encode       what a training does before its first step: a pass to fit the encoder, one to keep the
                 pixels, in memory and in mapped files
    epoch        batches in random order from what is kept, and read anew by torch's DataLoader, from
                 the same shards, each image decoded when it is wanted

    python benchmarks/image_loading.py                     100,000 images of 28 x 28 pixels
    python benchmarks/image_loading.py --images 1000000
"""

import argparse
import functools
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from harness.image_sets import SCHEMA, batch_of
from harness.measured import measure
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from tasks.encoding.decoding import decode_images
from tasks.encoding.image import ImageEncoder
from tasks.storage import StoredRows, write_dataset
from tasks.training.data import Rows

DISTINCT = 5_000
"""Files that differ; more of them are the same ones again."""

SIDE = 28
BATCH = 128
CPU = torch.device("cpu")


class Stored(Dataset[torch.Tensor]):
    """Images of stored rows by their number, as people write it for torch's DataLoader."""

    def __init__(self, folder: Path) -> None:
        batches = StoredRows(folder, "images")(["image"])
        self.files = pa.chunked_array([b.column("image").field("bytes") for b in batches])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        with Image.open(io.BytesIO(self.files[i].as_py())) as image:
            return torch.from_numpy(np.array(image))


def main(arguments: list[str]) -> int:
    """Measure each step in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        print(json.dumps(STEPS[options.step](options.folder)))
        return 0
    print(
        f"| {options.images:,} images of {SIDE} x {SIDE} pixels | images/CPU s | CPU s | peak MB |"
    )
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "rows"
        folder.mkdir()
        write_dataset(folder, SCHEMA, {"images": _made_up(options.images)})
        for name in STEPS:
            command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
            usage = measure(command)
            if usage.exit_status:
                raise SystemExit(f"{name} failed: {usage.output}")
            found = json.loads(usage.output.strip().splitlines()[-1])
            rate = found["images"] / found["seconds"]
            print(
                f"| {name} | {rate:,.0f} | {found['seconds']:.1f} | {usage.peak_bytes / 1e6:,.0f} |",
                flush=True,
            )
    return 0


def _made_up(n: int) -> Iterator[pa.RecordBatch]:
    """Blurred noise, which is compressed about as well as handwriting."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(DISTINCT, SIDE, SIDE))
    smooth = sum(np.roll(noise, (i, j), (1, 2)) for i in range(3) for j in range(3)) / 3
    pixels = (np.clip(smooth, 0, 2) * 127).astype(np.uint8)[..., None]
    batch = batch_of(pixels, rng.integers(0, 10, DISTINCT))
    for start in range(0, n, DISTINCT):
        yield batch.slice(0, n - start)


def _timed(work: Callable[[], int]) -> dict[str, Any]:
    began = time.process_time()
    images = work()
    return {"images": images, "seconds": time.process_time() - began}


def _decode(folder: Path) -> dict[str, Any]:
    rows = StoredRows(folder, "images")
    return _timed(lambda: sum(1 for b in rows(["image"]) for _ in decode_images(b.column("image"))))


def _decode_by_pillow(folder: Path) -> dict[str, Any]:
    def work() -> int:
        n = 0
        for batch in StoredRows(folder, "images")(["image"]):
            for content in batch.column("image").field("bytes").to_pylist():
                with Image.open(io.BytesIO(content)) as image:
                    np.asarray(image)
                n += 1
        return n

    return _timed(work)


def _encode(folder: Path, budget: float) -> dict[str, Any]:
    rows = StoredRows(folder, "images")

    def work() -> int:
        encoder = ImageEncoder.fit(SCHEMA, rows, np.random.default_rng(0))
        return len(Rows.encode(encoder, rows, CPU, budget, folder.parent))

    return _timed(work)


def _epoch(folder: Path, budget: float) -> dict[str, Any]:
    stored = StoredRows(folder, "images")
    encoder = ImageEncoder.fit(SCHEMA, stored, np.random.default_rng(0))
    rows = Rows.encode(encoder, stored, CPU, budget, folder.parent)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(rows)))
    batches = order.split(BATCH)

    def work() -> int:
        n = 0
        for i, batch in enumerate(batches):
            rows.prepare(batches[i : i + 2])
            n += len(rows.take(batch)["pixels"])
        return n

    return _timed(work)


def _epoch_of_torch(folder: Path) -> dict[str, Any]:
    loader = DataLoader(
        Stored(folder), BATCH, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    return _timed(lambda: sum(len(batch) for batch in loader))


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "decode": _decode,
    "decode, Pillow": _decode_by_pillow,
    "encode, in memory": functools.partial(_encode, budget=1e12),
    "encode, in files": functools.partial(_encode, budget=0.0),
    "epoch, in memory": functools.partial(_epoch, budget=1e12),
    "epoch, in files": functools.partial(_epoch, budget=0.0),
    "epoch, torch's DataLoader": _epoch_of_torch,
}

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
