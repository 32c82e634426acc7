"""Inputs of the publish stage, made up without the stages before it.

Small datasets with all that the stage reads: synthetic data, the split, a model's summary, verdicts,
suites, measurements and plots. The numbers are plausible, not measured.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

from tasks.metrics import Measurement, write_measurements
from tasks.params import DatasetParams, parse
from tasks.publishing.evidence import Evidence, gather
from tasks.publishing.tables import write_tables
from tasks.schema import IMAGE_TYPE, Column, DatasetSchema, ForeignKey, TableSchema, arrow_schema
from tasks.storage import read_json, write_dataset, write_json
from tasks.workspace import Layout

MEASUREMENTS = [
    Measurement(
        name="shape_error",
        label="Column shapes, error (%)",
        family="fidelity",
        goal="lower",
        value=3.41,
        reference=2.87,
        interval=(3.02, 3.90),
        explanation="How far the distribution of each column is from the real one, on average.",
        source="Kolmogorov (1933); total variation distance",
    ),
    Measurement(
        name="trend_error",
        label="Pair trends, error (%)",
        family="fidelity",
        goal="lower",
        value=4.9,
        reference=4.1,
        explanation="How far the association of each pair of columns is from the real one.",
        source="Dankar et al. (2022)",
    ),
    Measurement(
        name="c2st",
        label="Classifier two-sample test (AUC)",
        family="fidelity",
        goal="lower",
        value=0.61,
        reference=0.5,
        explanation="How well a classifier tells synthetic rows from real ones; 0.5 is not at all.",
        source="Lopez-Paz and Oquab, arXiv:1610.06545",
    ),
    Measurement(
        name="tstr",
        label="Train on synthetic, test on real (AUC)",
        family="utility",
        goal="higher",
        value=0.958,
        reference=0.981,
        explanation="A model learns the target from synthetic rows and is tested on real ones.",
        source="Esteban et al., arXiv:1706.02633",
    ),
    Measurement(
        name="coverage",
        label="Coverage",
        family="diversity",
        goal="higher",
        value=None,
        reference=None,
        explanation="The share of real rows with a synthetic neighbour.",
        source="Naeem et al., arXiv:2002.09797",
        not_applicable="fewer than 1,000 rows",
    ),
]
AUDIT = [
    Measurement(
        name="dcr_share",
        label="Closer to training than to holdout (%)",
        family="privacy",
        goal="lower",
        value=51.2,
        reference=50.0,
        interval=(47.9, 54.4),
        explanation="50 % means that the training rows stand out in no way; 100 % is a copy.",
        source="Platzer and Reutterer, arXiv:2104.00635",
    ),
]
THRESHOLDS: dict[str, Any] = {
    "shape_error": {"at_most": 10.0},
    "tstr": {"at_least_reference_minus": 0.05},
    "dcr_share": {"at_most": 55.0, "at_most_reference_plus": 5.0},
}


CANARY = "canary7e1f"
"""Stands in everything that is real or private; no file of a release may hold it."""

HOSTILE = """<img src=x onerror=alert(1)>|`$[x](y)"'&"""
"""A column name that tries to break out of HTML, Markdown and SVG."""


@dataclass(frozen=True)
class Case:
    """The inputs of one dataset, ready for `publish(case.at, case.params)`."""

    at: Layout
    params: DatasetParams


def tabular_inputs(root: Path, n_rows: int = 300) -> Case:
    """One table with a column of every kind, a hostile name and missing values among them."""
    columns = (
        Column(name="age", type="int64", meaning="numeric"),
        Column(name="blood pressure", type="double", meaning="numeric"),
        Column(name="sex", type="string", meaning="categorical", nullable=False),
        Column(name="smoker", type="bool", meaning="boolean"),
        Column(name="seen_at", type="timestamp[us]", meaning="datetime"),
        Column(name="born", type="date32[day]", meaning="datetime"),
        Column(name="note", type="string", meaning="text", personal=True),
        Column(name=HOSTILE, type="float", meaning="numeric"),
        Column(name="ill", type="string", meaning="categorical", nullable=False),
    )
    table = TableSchema(name="patients", columns=columns)
    schema = DatasetSchema(kind="tabular", tables=(table,), target="ill")

    def rows(seed: int, note: str) -> pa.Table:
        rng = np.random.default_rng(seed)
        whole = np.datetime64("2024-01-01T00:00:00") + rng.integers(0, 10**7, n_rows)
        age = pd.array(rng.integers(18, 95, n_rows), dtype="Int64")
        age[::17] = pd.NA
        pressure = rng.normal(120, 15, n_rows).round(1)
        pressure[::23] = np.nan
        frame = pd.DataFrame(
            {
                "age": age,
                "blood pressure": pressure,
                "sex": rng.choice(["f", "m"], n_rows),
                "smoker": pd.array(rng.choice([True, False, None], n_rows), dtype="boolean"),
                "seen_at": whole.astype("datetime64[us]"),
                "born": whole.astype("datetime64[D]").astype(object),
                "note": [f"{note} {i}" for i in range(n_rows)],
                HOSTILE: rng.normal(0, 1, n_rows).astype("float32"),
                "ill": rng.choice(["yes", "no"], n_rows, p=[0.3, 0.7]),
            }
        )
        return pa.Table.from_pandas(frame, arrow_schema(table), preserve_index=False)

    at = Layout(root, "patients")
    _save(at.synthetic, schema, {"patients": rows(0, "synthetic note")})
    _save(at.split / "train", schema, {"patients": rows(1, CANARY)})
    _save(at.split / "holdout", schema, {"patients": rows(2, CANARY)})
    names = [column.name for column in columns if column.name != "note"]
    _prove(at, _evaluation_plots(names))
    return Case(at, _params(at.dataset, "tabular", "ill", "autoregressive"))


def relational_inputs(root: Path) -> Case:
    """Two tables, one with a key into the other, whose names may not stand in a path as they are."""
    customers = TableSchema(
        name="our customers",
        columns=(
            Column(name="id", type="int64", meaning="identifier", nullable=False),
            Column(name="city", type="string", meaning="categorical"),
        ),
        primary_key=("id",),
    )
    orders = TableSchema(
        name="orders=2024",
        columns=(
            Column(name="id", type="int64", meaning="identifier", nullable=False),
            Column(name="customer", type="int64", meaning="identifier"),
            Column(name="amount", type="double", meaning="numeric"),
        ),
        primary_key=("id",),
        foreign_keys=(
            ForeignKey(
                columns=("customer",), references="our customers", referenced_columns=("id",)
            ),
        ),
    )
    schema = DatasetSchema(kind="tabular", tables=(customers, orders), target=None)
    tables = {
        "our customers": pa.table({"id": [1, 2, 3], "city": ["Graz", "Bonn", None]}),
        "orders=2024": pa.table(
            {"id": [7, 8, 9, 10], "customer": [1, 1, 3, 2], "amount": [9.5, 1.25, 3.0, 8.0]}
        ),
    }
    at = Layout(root, "shop")
    _save(at.synthetic, schema, tables)
    _prove(at, {})
    return Case(at, _params(at.dataset, "tabular", None, "autoregressive"))


def image_inputs(root: Path, n_per_class: int = 12) -> Case:
    """Grey squares of 8 x 8 pixels in three classes."""
    table = TableSchema(
        name="shapes",
        columns=(
            Column(name="image", type="image", meaning="image", nullable=False),
            Column(name="label", type="string", meaning="categorical", nullable=False),
        ),
    )
    schema = DatasetSchema(kind="image", tables=(table,), target="label")

    def rows(seed: int) -> pa.Table:
        rng = np.random.default_rng(seed)
        images, labels = [], []
        for number in range(n_per_class):
            for label, column in (("left", 1), ("middle", 3), ("right", 5)):
                pixels = rng.integers(0, 60, (8, 8), dtype=np.uint8)
                pixels[:, column : column + 2] += 150
                stream = io.BytesIO()
                Image.fromarray(pixels).save(stream, "PNG")
                images.append({"bytes": stream.getvalue(), "path": f"{label}-{number}.png"})
                labels.append(label)
        return pa.table({"image": pa.array(images, IMAGE_TYPE), "label": labels})

    at = Layout(root, "shapes")
    _save(at.synthetic, schema, {"shapes": rows(0)})
    _save(at.split / "train", schema, {"shapes": rows(1)})
    _save(at.split / "holdout", schema, {"shapes": rows(2)})
    classes = [
        {
            "name": "label",
            "meaning": "categorical",
            "error": 1.2,
            "categories": ["left", "middle", "right"],
            "real": [12, 12, 12],
            "holdout": [4, 4, 4],
            "synthetic": [12, 12, 12],
        }
    ]
    _prove(at, {"columns": classes})
    return Case(at, _params(at.dataset, "image", "label", "vae"))


def evidence_of(case: Case, release: Path) -> Evidence:
    """What `publish` gathers of a case, its tables written."""
    tables = write_tables(case.at.synthetic, DatasetSchema.load(case.at.synthetic), release)
    return gather(case.at, case.params, tables, read_json(case.at.verdict("release")))


def refuse(at: Layout) -> None:
    """Turn the verdict of the release gate into a refusal."""
    verdict = read_json(at.verdict("release"))
    verdict["passed"], verdict["n_failed"] = False, 1
    verdict["checks"][0] |= {"passed": False, "observed": "12.3, reference 2.87"}
    write_json(at.verdict("release"), verdict)


def _save(folder: Path, schema: DatasetSchema, tables: dict[str, pa.Table]) -> None:
    folder.mkdir(parents=True)
    write_dataset(folder, schema, {name: rows.to_batches() for name, rows in tables.items()})


def _prove(at: Layout, evaluation_plots: dict[str, Any]) -> None:
    """What gates, training, evaluation and audit leave."""
    for folder in (at.verdict("raw").parent, at.suite("raw").parent, at.model):
        folder.mkdir(parents=True, exist_ok=True)
    for gate in ("raw", "clean", "synthetic", "release"):
        write_json(at.verdict(gate), _verdict(at.dataset, gate))
    for point in ("raw", "clean", "release"):
        suite = {"name": f"{at.dataset}_{point}", "expectations": [], "meta": {}}
        write_json(at.suite(point), suite)
    write_json(
        at.model / "model.json",
        {
            "generator": "autoregressive",
            "generator_params": {"hidden_dims": [128, 128], "weights": f"/home/{CANARY}/weights"},
            "training": {
                "epochs": 84,
                "best_epoch": 71,
                "best_validation_loss": 3.217,
                "history": [
                    {"epoch": i, "train_loss": 5.0 - i / 20, "validation_loss": 5.2 - i / 25}
                    for i in range(1, 31)
                ],
            },
            "encoder": {"categories": [CANARY]},
            "host": CANARY,
        },
    )
    for folder in (at.evaluation, at.audit):
        folder.mkdir()
    write_measurements(at.evaluation, MEASUREMENTS, plots=evaluation_plots)
    edges = np.linspace(0, 4, 25)
    curve = 1000 * np.exp(-((edges[:-1] - 1.6) ** 2))
    dcr = {
        "edges": edges.tolist(),
        "to_train": curve.tolist(),
        "to_holdout": (curve * 0.9).tolist(),
        "holdout_to_train": np.roll(curve, 1).tolist(),
    }
    write_measurements(at.audit, AUDIT, plots={"dcr": dcr})


def _verdict(dataset: str, gate: str) -> dict[str, Any]:
    real = gate in ("raw", "clean")
    check = {
        "type": "expect_column_values_to_not_be_null",
        "target": "shape_error" if gate == "release" else "age",
        "description": f"the {gate} data holds what it should",
        "passed": True,
        "observed": f"first of them: {CANARY}" if real else "3.41, reference 2.87",
    }
    return {
        "gate": gate,
        "dataset": dataset,
        "passed": True,
        "suite_sha256": "0" * 64,
        "n_expectations": 1,
        "n_failed": 0,
        "checks": [check],
        "run_at": CANARY,
    }


def _evaluation_plots(names: list[str]) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    edges = np.linspace(18, 95, 31)
    real = 100 * np.exp(-(((edges[:-1] - 50) / 18) ** 2))
    columns: list[dict[str, Any]] = [
        {
            "name": name,
            "meaning": "numeric",
            "error": float(2 + i),
            "edges": edges.tolist(),
            "real": real.tolist(),
            "holdout": (real * rng.uniform(0.85, 1.15, 30)).tolist(),
            "synthetic": (real * rng.uniform(0.8, 1.2, 30)).tolist(),
        }
        for i, name in enumerate(names[:-1])
    ]
    columns.append(
        {
            "name": names[-1],
            "meaning": "categorical",
            "error": 0.9,
            "categories": ["no", "yes"],
            "real": [210, 90],
            "holdout": [70, 30],
            "synthetic": [204, 96],
        }
    )
    n = len(names)
    trend = np.abs(np.corrcoef(rng.normal(size=(n, 12))))
    error = np.abs(rng.normal(0, 0.05, (n, n)))
    error = (error + error.T) / 2
    np.fill_diagonal(error, 0)
    return {
        "columns": columns,
        "pairs": {
            "columns": names,
            "real": trend.tolist(),
            "synthetic": np.clip(trend + error, 0, 1).tolist(),
            "error": (100 * error).tolist(),
        },
        "giveaways": [{"column": name, "importance": 1 / (i + 1)} for i, name in enumerate(names)],
        **_plots_of_models(names[0], names[-1]),
    }


def _plots_of_models(column: str, target: str) -> dict[str, Any]:
    """What utility, fairness, diversity and attacks leave for pictures."""
    models = [
        {
            "model": model,
            "real": 0.98,
            "real_interval": [0.97, 0.99],
            "synthetic": score,
            "synthetic_interval": [score - 0.02, score + 0.02],
            "augmented": None,
            "augmented_interval": None,
        }
        for model, score in (("boosted trees", 0.958), ("linear model", 0.94))
    ]
    plane = [[0.0, 0.2, 0.1], [0.3, 0.4, 0.0]]
    rates = [0.001, 0.01, 0.1, 1.0]
    return {
        "utility": {"score": "AUC", "target": target, "rows": 300, "models": models},
        "fairness": [
            {
                "outcome": f"{target} = yes",
                "column": column,
                "group": "above 60",
                "share_real": 0.3,
                "share_synthetic": 0.31,
                "rate_real": 0.4,
                "rate_synthetic": 0.35,
            }
        ],
        "projection": {
            "x_edges": [0, 1, 2, 3],
            "y_edges": [0, 1, 2],
            "real": plane,
            "synthetic": [[0.1, 0.1, 0.1], [0.3, 0.3, 0.1]],
            "axes": ["component 1 (23 %)", "component 2 (11 %)"],
        },
        "rare_groups": [
            {"group": f"{column} = 90", "real": 0.01, "synthetic": 0.0, "holdout": 0.012}
        ],
        "membership": [
            {"attack": "density ratio", "auc": 0.51, "fpr": rates, "tpr": [0, 0.012, 0.11, 1.0]}
        ],
        "attributes": [{"column": column, "training": 0.52, "holdout": 0.5, "baseline": 0.3}],
    }


def _params(dataset: str, kind: str, target: str | None, generator: str) -> DatasetParams:
    empty = ("clean", "split", "balance", "generator_params", "train", "sample", "evaluate")
    entry = {
        "kind": kind,
        "schedule": None,
        "seed": 7,
        "target": target,
        "source": {"type": "sql", "connection": "SHOP_DATABASE", "query": f"select '{CANARY}'"},
        "constraints": [],
        "generator": generator,
        "thresholds": THRESHOLDS,
        "publish": {
            "title": f"{dataset.title()}, synthetic",
            "description": f"Made-up {dataset} for a test.",
            "license": "CC-BY-4.0",
            "source_citation": "Nobody. Nothing. 2026.",
        },
        **{section: {} for section in empty},
    }
    entry["generator_params"] = {"warm_start": f"/srv/{CANARY}/model"}
    return parse({"datasets": {dataset: entry}}, "test").datasets[dataset]
