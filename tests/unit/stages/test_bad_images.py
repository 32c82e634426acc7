"""Images as people have them, from the source to what a model is given."""

import numpy as np
import pytest
from PIL import Image

from tasks.encoding.image import ImageEncoder
from tasks.errors import DataError, SourceError
from tasks.schema import DatasetSchema
from tasks.stages.clean import clean
from tasks.stages.ingest import ingest
from tasks.storage import StoredRows, read_json
from tests.datasets import dataset_params

LENIENT = {"type": "images", "path": "pictures", "mode": "RGB", "skip_unreadable": True}


@pytest.fixture
def project(tmp_path):
    """Two labels, 40 images of six modes and any size, two that are none, and a label of nothing."""
    rng = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        width, height = rng.integers(1, 40, 2)
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        modes = [
            image,
            image.convert("L"),
            image.convert("RGBA"),
            image.quantize(4),
            image.convert("1"),
        ]
        modes[i % 5].save(folder / f"{i}.png")
    (tmp_path / "pictures" / "a" / "text.png").write_bytes(b"no image")
    (tmp_path / "pictures" / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "pictures" / "a" / "notes.txt").write_bytes(b"x")
    (tmp_path / "pictures" / "nothing").mkdir()
    return tmp_path


def encoder(folder):
    schema = DatasetSchema.load(folder)
    return ImageEncoder.fit(schema, StoredRows(folder, "images"), np.random.default_rng(0))


def test_mixed_images_are_counted_refused_by_name_and_made_alike(project):
    form = {"size": [16, 12], "mode": "L"}
    params = dataset_params(
        kind="image",
        target="label",
        source=LENIENT,
        clean={"images": form, "drop_duplicates": True},
    )
    ingest(project / "raw", params, project=project)
    report = read_json(project / "raw" / "report.json")
    assert report["rows"] == {"images": 40}
    counted = ("other_files", "unreadable_images", "folders_without_images", "misnamed_images")
    assert [report[name] for name in counted] == [1, 2, 1, 0]
    with pytest.raises(DataError, match=r"one size and mode, found .* `clean: {images: {size: \["):
        encoder(project / "raw")
    clean(project / "raw", project / "clean", params)
    done = read_json(project / "clean" / "report.json")["steps"]["images"]["images"]
    assert done["converted"] == {"image": 40}
    assert 35 < done["resized"]["image"] <= 40
    found = encoder(project / "clean")
    assert (found.channels, found.width, found.height) == (1, 16, 12)
    assert found.labels.values.to_pylist() == ["a", "b"]


def test_nothing_but_damage_is_refused_with_its_count(tmp_path):
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (tmp_path / "pictures" / "a" / name).write_bytes(b"x")
    params = dataset_params(kind="image", target="label", source=LENIENT)
    with pytest.raises(SourceError, match="the source gave none and counted unreadable_images: 2"):
        ingest(tmp_path / "raw", params, project=tmp_path)
    assert not (tmp_path / "raw").exists()
