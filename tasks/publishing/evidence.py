"""Everything that a release says about itself, gathered once; card, Croissant and report read it.

A stage that has left nothing behind takes its part of the evidence with it, never the release:
what is absent is said to be absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from tasks.errors import DataError
from tasks.metrics import METRICS_FILE, Family, Result, judged, read_measurements
from tasks.operation import OPERATIONAL, OPERATIONAL_OF_PUBLISHING
from tasks.params import DatasetParams
from tasks.publishing.disclosure import public_source, public_value, public_verdict
from tasks.publishing.limits import not_tested
from tasks.publishing.tables import ReleasedTable
from tasks.schema import SCHEMA_FILE, DatasetSchema
from tasks.storage import count_rows, digest, is_stored, read_json, write_json
from tasks.workspace import Gate, Layout

EVIDENCE_FOLDER = "evidence"
PLOTS_FILE = "plots.json"
MODEL_FILE = "model.json"

_MODEL_KEYS = ("generator", "generator_params", "training")
"""What of a model's description is public; its encoder's state would quote the training data."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a dataset when it is published."""

    dataset: str
    params: DatasetParams
    schema: DatasetSchema
    tables: tuple[ReleasedTable, ...]
    results: tuple[Result, ...]
    verdicts: Mapping[Gate, Mapping[str, Any]]
    suites: Mapping[str, Mapping[str, Any]]
    model: Mapping[str, Any]
    """The public part of model.json; empty if there is none."""
    plots: Mapping[str, Any] = field(default_factory=dict)
    """What the evaluate and audit stages left for pictures, by their keys."""
    n_train_rows: Mapping[str, int] = field(default_factory=dict)
    n_holdout_rows: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    """sha256 of what the release was made from."""

    @property
    def n_rows(self) -> int:
        """Synthetic rows of all tables."""
        return sum(table.n_rows for table in self.tables)

    @property
    def passed(self) -> bool:
        """Whether the release gate said yes."""
        return self.verdicts["release"].get("passed") is True

    @property
    def privacy(self) -> Mapping[str, Any] | None:
        """The guarantee of differential privacy as the training reports it; None: there is none."""
        found: Mapping[str, Any] | None = self.model.get("training", {}).get("privacy")
        return found

    @property
    def parent(self) -> Mapping[str, Any] | None:
        """The model that the training started from; None: it started from random weights."""
        found: Mapping[str, Any] | None = self.model.get("training", {}).get("parent")
        return found

    @property
    def constraint_checks(self) -> list[Mapping[str, Any]]:
        """What became of each declared constraint at the gate of the synthetic data."""
        checks = self.verdicts.get("synthetic", {}).get("checks", [])
        return [check for check in checks if str(check.get("type")).startswith("constraint_")]

    def of_family(self, family: Family) -> list[Result]:
        """The results that answer one question, in the order of measuring."""
        return [r for r in self.results if r.measurement.family == family]

    @property
    def not_tested(self) -> list[str]:
        """What nobody may conclude from this release, one sentence each."""
        return not_tested(self.results, self.schema, guarantee=self.privacy is not None)


def gather(
    at: Layout, params: DatasetParams, tables: tuple[ReleasedTable, ...], verdict: Mapping[str, Any]
) -> Evidence:
    """Read what the stages before left about a dataset.

    Args:
        at: where they left it.
        params: the dataset's settings.
        tables: the synthetic tables as released.
        verdict: of the release gate.
    """
    schema = DatasetSchema.load(at.synthetic)
    measurements = [
        measurement
        for folder in (at.evaluation, at.audit)
        if (folder / METRICS_FILE).exists()
        for measurement in read_measurements(folder)
    ]
    verdicts: dict[Gate, Mapping[str, Any]] = {
        gate: public_verdict(read_json(at.verdict(gate)), of_real_data=gate in ("raw", "clean"))
        for gate in get_args(Gate)
        if gate != "release" and at.verdict(gate).exists()
    }
    suites: tuple[Gate, ...] = ("raw", "clean", "release")
    return Evidence(
        dataset=at.dataset,
        params=params,
        schema=schema,
        tables=tables,
        results=judged(measurements, params.thresholds),
        verdicts={**verdicts, "release": public_verdict(verdict, of_real_data=False)},
        suites={point: read_json(at.suite(point)) for point in suites if at.suite(point).exists()},
        model=_public_model(at.model),
        plots={
            **_optional_json(at.evaluation / PLOTS_FILE),
            **_optional_json(at.audit / PLOTS_FILE),
        },
        n_train_rows=_rows(at.split / "train", schema),
        n_holdout_rows=_rows(at.split / "holdout", schema),
        inputs={
            "training_data": _digest(at.split / "train"),
            "holdout": _digest(at.split / "holdout"),
            "model": _digest(at.model),
            "synthetic_data": _digest(at.synthetic),
        },
    )


def write_evidence(evidence: Evidence, release: Path) -> None:
    """Write the evidence as JSON.

    Writes:
        release/evidence: metrics.json, gates/, suites/, schema.json, params.json, model.json.
    """
    folder = release / EVIDENCE_FOLDER
    for place in (folder, folder / "gates", folder / "suites"):
        place.mkdir()
    write_json(
        folder / METRICS_FILE, [r.measurement.model_dump(mode="json") for r in evidence.results]
    )
    for gate, verdict in evidence.verdicts.items():
        write_json(folder / "gates" / f"{gate}.json", verdict)
    for point, suite in evidence.suites.items():
        write_json(folder / "suites" / f"{point}.json", suite)
    (folder / SCHEMA_FILE).write_text(evidence.schema.dumps(), encoding="utf-8")
    write_json(folder / "params.json", public_params(evidence.params))
    write_json(folder / MODEL_FILE, evidence.model)


def public_params(params: DatasetParams) -> dict[str, Any]:
    """The settings of a dataset, defaults included, without its source's own and the operator's."""
    content = params.model_dump(mode="json", exclude=set(OPERATIONAL))
    source = public_source(content.pop("source"))
    # Title, description and citation are written for the public; all else is withheld if doubtful.
    publish = content.pop("publish")
    for key in OPERATIONAL_OF_PUBLISHING:
        del publish[key]
    return {**public_value(content), "source": source, "publish": publish}


def _public_model(folder: Path) -> dict[str, Any]:
    content = _optional_json(folder / MODEL_FILE)
    return {key: public_value(content[key]) for key in _MODEL_KEYS if key in content}


def _optional_json(path: Path) -> dict[str, Any]:
    content = read_json(path) if is_stored(path) else {}
    if not isinstance(content, dict):
        raise DataError(f"expected {path} to hold a JSON object, found {type(content).__name__}")
    return content


def _rows(folder: Path, schema: DatasetSchema) -> dict[str, int]:
    if not (folder / SCHEMA_FILE).exists():
        return {}
    real = {table.name for table in DatasetSchema.load(folder).tables}
    return {t.name: count_rows(folder, t.name) for t in schema.tables if t.name in real}


def _digest(folder: Path) -> str | None:
    return digest(folder) if folder.exists() else None
