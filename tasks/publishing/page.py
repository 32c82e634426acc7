"""What the report shows, whoever made the synthetic data: of a release, or of any three files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from tasks.metrics import Family, Result
from tasks.publishing.evidence import Evidence
from tasks.publishing.limits import not_tested
from tasks.publishing.samples import (
    BesideRow,
    ClosestImage,
    ImageRow,
    RowSample,
    released_images,
    sample_images,
    sample_of,
    sample_of_texts,
    sample_rows,
    sample_texts,
)
from tasks.publishing.wording import number
from tasks.schema import DatasetSchema

Part = Literal["train", "holdout", "synthetic"]


@dataclass(frozen=True)
class Page:
    """All that `report` draws. What is absent is left out of the page, or said to be absent."""

    title: str
    description: str
    schema: DatasetSchema
    n_rows: Mapping[Part, int]
    """Rows of all tables by where they are from; a number that nobody knows is left out."""
    results: Sequence[Result]
    plots: Mapping[str, Any]
    """By topic, as the metrics left them."""
    verdict: Mapping[str, Any]
    """On the metrics: `passed`, and `checks` with type, target, description, passed, observed."""
    not_tested: Sequence[str]
    rows: Sequence[RowSample] = ()
    images: Sequence[ImageRow] = ()
    """Synthetic ones, by label."""
    beside: Sequence[BesideRow] = ()
    """Real images beside synthetic ones, which no release may show."""
    closest: Sequence[ClosestImage] = ()
    gates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Verdicts by gate; empty for files that passed through none."""
    generator: str | None = None
    settings: Sequence[tuple[str, str]] = ()
    """Of the generator and its training, as texts."""
    history: Sequence[Mapping[str, Any]] = ()
    """Losses by epoch."""
    guarantee: Mapping[str, Any] | None = None
    """Of differential privacy, as the training reports it."""
    licence: str | None = None
    creator: str | None = None
    citation: str | None = None
    """Of the real data."""
    verify: str | None = None
    """The command that checks all digests."""

    @property
    def passed(self) -> bool:
        """Whether the metrics are good enough."""
        return self.verdict.get("passed") is True

    @property
    def n_columns(self) -> int:
        """Of all tables."""
        return sum(len(table.columns) for table in self.schema.tables)

    @property
    def public_columns(self) -> set[str]:
        """Columns whose real values may be shown as counts: none personal or unique to a row."""
        return {
            column.name
            for table in self.schema.tables
            for column in table.columns
            if not column.personal and column.meaning not in ("text", "identifier")
        }

    @property
    def constraint_checks(self) -> list[Mapping[str, Any]]:
        """What became of each declared constraint at the gate of the synthetic data."""
        checks = self.gates.get("synthetic", {}).get("checks", [])
        return [check for check in checks if str(check.get("type")).startswith("constraint_")]

    def of_family(self, family: Family) -> list[Result]:
        """The results that answer one question, in the order of measuring."""
        return [r for r in self.results if r.measurement.family == family]


def page_of(evidence: Evidence, release: Path) -> Page:
    """The page of a release.

    Args:
        evidence: what is shown.
        release: holds the synthetic data, for a look at its rows and images.
    """
    schema, publish = evidence.schema, evidence.params.publish
    real: dict[Part, Mapping[str, int]] = {
        "train": evidence.n_train_rows,
        "holdout": evidence.n_holdout_rows,
    }
    training = evidence.model.get("training") or {}
    return Page(
        title=publish.title,
        description=publish.description,
        schema=schema,
        n_rows={
            "synthetic": evidence.n_rows,
            **{part: sum(counts.values()) for part, counts in real.items() if counts},
        },
        results=evidence.results,
        plots=evidence.plots,
        verdict=evidence.verdicts["release"],
        not_tested=evidence.not_tested,
        rows=_samples(evidence, release),
        images=sample_images(release, evidence.tables[0], schema.target),
        closest=released_images(
            release, evidence.tables[0], evidence.plots.get("closest_images") or ()
        ),
        gates={str(gate): verdict for gate, verdict in evidence.verdicts.items()},
        generator=evidence.params.generator,
        settings=[
            ("generator", evidence.params.generator),
            ("seed", str(evidence.params.seed)),
            *_balanced(evidence),
            *_flat(evidence.model.get("generator_params")),
            *_flat(training),
        ],
        history=training.get("history") or (),
        guarantee=evidence.privacy,
        licence=publish.license,
        creator=publish.creator,
        citation=publish.source_citation,
        verify=f"proofmint verify {evidence.dataset}",
    )


def page_of_files(
    *,
    title: str,
    description: str,
    schema: DatasetSchema,
    n_rows: Mapping[Part, int],
    results: Sequence[Result],
    plots: Mapping[str, Any],
    verdict: Mapping[str, Any],
    synthetic: pa.Table,
    beside: Sequence[BesideRow] = (),
    closest: Sequence[ClosestImage] = (),
) -> Page:
    """The page of any three files: without gates, licence and a command to verify it.

    Args:
        title: for example the name of the synthetic file.
        description: one sentence on what was compared.
        schema: of the columns that were compared.
        n_rows: of the three files.
        results: of all metrics.
        plots: by topic, as the metrics left them.
        verdict: `passed`, and `checks` as the release gate writes them.
        synthetic: the first synthetic rows; some of them are shown, unless they are images.
        beside: real images beside synthetic ones; the page stays with whoever has the real ones.
        closest: the synthetic images that are closest to a training image, with it.
    """
    return Page(
        title=title,
        description=description,
        schema=schema,
        n_rows=n_rows,
        results=results,
        plots=plots,
        verdict=verdict,
        not_tested=not_tested(results, schema, guarantee=None),
        rows=_first_of(synthetic, schema, n_rows["synthetic"]),
        beside=beside,
        closest=closest,
    )


def _samples(evidence: Evidence, release: Path) -> list[RowSample]:
    """A first look at each table; images are shown as such."""
    kind, target = evidence.schema.kind, evidence.schema.target
    if kind == "image":
        return []
    if kind == "text":
        return [sample_texts(release, table, target) for table in evidence.tables]
    return [sample_rows(release, table) for table in evidence.tables]


def _first_of(rows: pa.Table, schema: DatasetSchema, n_rows: int) -> list[RowSample]:
    """The same of rows in memory."""
    if schema.kind == "image":
        return []
    if schema.kind == "text":
        return [sample_of_texts(rows, schema.main.name, n_rows, schema.target)]
    return [sample_of(rows, schema.main.name, n_rows)]


def _balanced(evidence: Evidence) -> list[tuple[str, str]]:
    """Whether the real rows were brought into other shares of classes before they were compared."""
    method = evidence.params.balance.method
    if method == "none":
        return []
    return [("classes", f"balanced ({method}); compared with real rows in the same shares")]


def _flat(content: Any) -> list[tuple[str, str]]:
    """Settings and summaries as pairs of texts; what has parts of its own is left to the JSON."""
    if not isinstance(content, Mapping):
        return []
    return [
        (str(key).replace("_", " "), _setting(value))
        for key, value in content.items()
        if isinstance(value, (str, int, float)) or (isinstance(value, list) and len(value) < 8)
    ]


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
