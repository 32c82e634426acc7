"""Real data cut into training and holdout rows, beside rows that pretend to be synthetic."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from tasks.evaluation import comparison
from tasks.evaluation.comparison import Comparison
from tasks.params import DatasetParams, parse
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, Kind, TableSchema, type_name
from tasks.storage import read_json, write_dataset

SHARED = Path(__file__).parents[2] / "shared" / "data"

Split = tuple[DatasetSchema, pa.Table, pa.Table]
"""A schema, training rows and holdout rows."""


def breast_cancer() -> Split:
    data = load_breast_cancer()
    columns = dict(zip((n.replace(" ", "_") for n in data.feature_names), data.data.T, strict=True))
    rows = pa.table({**columns, "diagnosis": data.target_names[data.target].tolist()})
    return _cut(schema_of(rows, target="diagnosis"), rows)


def digits() -> Split:
    data = load_digits()
    pixels = (data.images * 255 / 16).round().astype(np.uint8)
    return _cut(*images(pixels, data.target))


def mnist() -> Split:
    _need("mnist")
    with np.load(SHARED / "mnist" / "mnist_10k.npz") as data:
        return _cut(*images(data["x"][:1500], data["y"][:1500]))


def shared_table(name: str) -> Split:
    """A table of the shared data, with `?` as missing, at most 4,000 rows of each part."""
    _need(name)
    facts = read_json(SHARED / name / "schema.json")
    types = {
        n: pa.float64() if k == "numerical" else pa.string() for n, k in facts["columns"].items()
    }
    options = pa_csv.ConvertOptions(
        null_values=["?"], strings_can_be_null=True, column_types=types, include_columns=list(types)
    )
    train, holdout = (
        pa_csv.read_csv(SHARED / name / f"{part}.csv", convert_options=options).slice(0, 4000)
        for part in ("train", "test")
    )
    return schema_of(train, target=facts["target"]), train, holdout


def images(pixels: np.ndarray, labels: np.ndarray) -> tuple[DatasetSchema, pa.Table]:
    """Images (N, height, width) or (N, height, width, 3) as a dataset with a `label`."""
    files = []
    for number, one in enumerate(pixels):
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "PNG")
        files.append({"bytes": stream.getvalue(), "path": f"{number}.png"})
    rows = pa.table({"image": pa.array(files, IMAGE_TYPE), "label": [str(v) for v in labels]})
    return schema_of(rows, target="label", kind="image", meanings={"image": "image"}), rows


def schema_of(
    rows: pa.Table,
    target: str | None = None,
    kind: Kind = "tabular",
    meanings: Mapping[str, Any] | None = None,
) -> DatasetSchema:
    """A schema that guesses what is not in `meanings` from the types."""
    columns = tuple(
        Column(
            name=field.name,
            type=type_name(field.type),
            meaning=(meanings or {}).get(field.name, _meaning(field.type)),
        )
        for field in rows.schema
    )
    table = TableSchema(name="rows", columns=columns)
    return DatasetSchema(kind=kind, tables=(table,), target=target)


def save(folder: Path, schema: DatasetSchema, rows: pa.Table) -> Path:
    folder.mkdir(parents=True)
    write_dataset(folder, schema, {schema.main.name: rows.to_batches()})
    return folder


def compare(
    root: Path, schema: DatasetSchema, train: pa.Table, holdout: pa.Table, synthetic: pa.Table
) -> Comparison:
    """Save the three under `root` (`split`, `synthetic`) and load them as the stages do."""
    save(root / "split" / "train", schema, train)
    save(root / "split" / "holdout", schema, holdout)
    save(root / "synthetic", schema, synthetic)
    return comparison.load(root / "split", root / "synthetic", seed=0)


def params(kind: Kind, metrics: list[str] | None = None) -> DatasetParams:
    entry: dict[str, Any] = {
        "kind": kind,
        "schedule": None,
        "seed": 0,
        "target": None,
        "source": {"type": "sql"},
        "constraints": [],
        "generator": "any",
        "thresholds": {"shape_error": {"at_most": 1.0}},
        "publish": {"title": "t", "description": "d", "license": "MIT"},
    }
    empty = ("clean", "split", "balance", "generator_params", "train", "sample")
    entry |= {section: {} for section in empty} | {"evaluate": {"metrics": metrics}}
    return parse({"datasets": {"any": entry}}, "test").datasets["any"]


def _cut(schema: DatasetSchema, rows: pa.Table) -> Split:
    order = np.random.default_rng(0).permutation(len(rows))
    n_holdout = int(0.3 * len(rows))
    return schema, rows.take(pa.array(order[n_holdout:])), rows.take(pa.array(order[:n_holdout]))


def _meaning(data_type: pa.DataType) -> str:
    if pa.types.is_boolean(data_type):
        return "boolean"
    if pa.types.is_temporal(data_type):
        return "datetime"
    number = pa.types.is_floating(data_type) or pa.types.is_integer(data_type)
    return "numeric" if number else "categorical"


def _need(name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"needs the data {name} beside the repository")
