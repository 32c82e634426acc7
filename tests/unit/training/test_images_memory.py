"""A million images take the memory of a few."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.schema import IMAGE_TYPE, DatasetSchema, arrow_schema
from tasks.storage import write_dataset
from tests.datasets import IMAGES

SCHEMA = DatasetSchema(kind="image", tables=(IMAGES,), target="label")

EPOCH = """
import sys
from pathlib import Path
import numpy as np, torch
from tasks.encoding.image import ImageEncoder
from tasks.schema import DatasetSchema
from tasks.storage import StoredRows
from tasks.training.data import Rows

def own_kilobytes() -> int:
    "Without the pages of files, which are the kernel's."
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in x]
    return int(line.split()[1])

folder = Path(sys.argv[1])
stored = StoredRows(folder, "images")
encoder = ImageEncoder.fit(DatasetSchema.load(folder), stored, np.random.default_rng(0))
peaks = [own_kilobytes()]
rows = Rows.encode(encoder, stored, torch.device("cpu"), 0, folder)
batches = torch.from_numpy(np.random.default_rng(0).permutation(len(rows))).split(128)
for i in range(len(batches)):
    rows.prepare(batches[i : i + 2])
    assert rows.take(batches[i])["pixels"].shape[1:] == (1, 28, 28)
    if i % 100 == 0:
        peaks.append(own_kilobytes())
print(max(peaks))
"""


def _rows(n: int) -> Iterator[pa.RecordBatch]:
    pixels = np.random.default_rng(0).integers(0, 256, (1_000, 28, 28), dtype=np.uint8)
    files = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, format="PNG")
        files.append({"bytes": stream.getvalue(), "path": ""})
    labels = [str(i % 10) for i in range(1_000)]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(files, IMAGE_TYPE), pa.array(labels)], schema=arrow_schema(IMAGES)
    )
    for _ in range(n // 1_000):
        yield batch


@pytest.mark.slow
def test_a_million_images_take_the_memory_of_a_few(tmp_path: Path) -> None:
    peaks_mb = {}
    for n in (50_000, 1_000_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        write_dataset(folder, SCHEMA, {"images": _rows(n)})
        command = [sys.executable, "-c", EPOCH, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks_mb[n] = int(done.stdout) / 1_000
    # Twenty times the images, which are 784 MB; their order is 8 MB, twice.
    assert peaks_mb[1_000_000] < peaks_mb[50_000] + 100, peaks_mb
