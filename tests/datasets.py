"""Small datasets and settings for the tests of the stages from source to balance."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from tasks.params import DatasetParams, parse
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, TableSchema, arrow_schema
from tasks.storage import write_dataset

PEOPLE = TableSchema(
    name="people",
    columns=(
        Column(name="id", type="int64", meaning="identifier", nullable=False),
        Column(name="age", type="double", meaning="numeric"),
        Column(name="sex", type="string", meaning="categorical"),
    ),
    primary_key=("id",),
)
IMAGES = TableSchema(
    name="images",
    columns=(
        Column(name="image", type="image", meaning="image", nullable=False),
        Column(name="label", type="string", meaning="categorical", nullable=False),
    ),
)


def dataset_params(**sections: Any) -> DatasetParams:
    """Settings with defaults for all that is not given."""
    entry: dict[str, Any] = {
        "kind": "tabular",
        "schedule": None,
        "seed": 0,
        "target": "sex",
        "source": {"type": "files", "path": "people.csv"},
        "constraints": [],
        "generator": "autoregressive",
        "generator_params": {},
        "thresholds": {"shape_error": {"at_most": 10.0}},
        "publish": {"title": "t", "description": "d", "license": "CC0-1.0"},
    }
    entry |= {key: {} for key in ("clean", "split", "balance", "train", "sample", "evaluate")}
    return parse({"datasets": {"d": entry | sections}}, "test").datasets["d"]


def write_people(folder: Path, rows: Mapping[str, list[Any]], target: str | None = "sex") -> None:
    """The dataset `people` of these columns."""
    folder.mkdir(parents=True)
    schema = DatasetSchema(kind="tabular", tables=(PEOPLE,), target=target)
    write_dataset(folder, schema, {"people": [pa.RecordBatch.from_pydict(dict(rows))]})


def png(value: int = 0, *, size: tuple[int, int] = (4, 3), mode: str = "L", **save: Any) -> bytes:
    """A PNG of one colour."""
    image = Image.fromarray(np.full((size[1], size[0]), value, dtype=np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, format="PNG", **save)
    return stream.getvalue()


def write_images(folder: Path, images: list[tuple[bytes, str]]) -> None:
    """A dataset of images with their labels."""
    folder.mkdir(parents=True)
    schema = DatasetSchema(kind="image", tables=(IMAGES,), target="label")
    structs = [{"bytes": content, "path": f"{i}.png"} for i, (content, _) in enumerate(images)]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(structs, IMAGE_TYPE), pa.array([label for _, label in images])],
        names=["image", "label"],
    )
    write_dataset(folder, schema, {"images": [batch]})


def table_of(
    columns: Mapping[str, pa.Array], target: str | None = None
) -> tuple[DatasetSchema, pa.RecordBatch]:
    """A dataset of one table `t`: texts are categories, all else is numbers."""
    described = tuple(
        Column(
            name=name,
            type=str(values.type),
            meaning="categorical" if pa.types.is_string(values.type) else "numeric",
        )
        for name, values in columns.items()
    )
    table = TableSchema(name="t", columns=described)
    schema = DatasetSchema(kind="tabular", tables=(table,), target=target)
    return schema, pa.RecordBatch.from_arrays(list(columns.values()), schema=arrow_schema(table))
