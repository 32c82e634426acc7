"""Stage `publish`: the synthetic data and the proof of its worth, in one folder for consumers."""

from pathlib import Path
from typing import Any

from tasks.errors import GateRefused
from tasks.params import DatasetParams
from tasks.publishing.card import CARD_FILE, card
from tasks.publishing.croissant import CROISSANT_FILE, croissant
from tasks.publishing.datapackage import DATAPACKAGE_FILE, datapackage
from tasks.publishing.evidence import Evidence, gather, write_evidence
from tasks.publishing.manifest import write_manifest
from tasks.publishing.page import page_of
from tasks.publishing.report import REPORT_FILE, report
from tasks.publishing.tables import write_tables
from tasks.schema import DatasetSchema
from tasks.storage import new_folder, read_json, write_json
from tasks.workspace import Layout


def publish(at: Layout, params: DatasetParams) -> None:
    """Assemble the release of a dataset: the same bytes from the same inputs, whenever and wherever.

    Reads:
        at.synthetic, and what all stages before left: verdicts, suites, measurements, the model's
        summary, and digests and row counts of the real data.

    Writes:
        at.release: data, card, Croissant, data package, report, evidence, manifest.

    Raises:
        GateRefused: the release gate said no; the earlier release stays.
        DataError: the release gate has left no verdict, or the data is unreadable.
    """
    verdict = read_json(at.verdict("release"))
    if verdict.get("passed") is not True:
        raise GateRefused(_refusal(at, verdict))
    with new_folder(at.release) as release:
        tables = write_tables(at.synthetic, DatasetSchema.load(at.synthetic), release)
        _describe(gather(at, params, tables, verdict), release)


def _describe(evidence: Evidence, release: Path) -> None:
    write_evidence(evidence, release)
    write_json(release / CROISSANT_FILE, croissant(evidence))
    write_json(release / DATAPACKAGE_FILE, datapackage(evidence))
    (release / CARD_FILE).write_text(card(evidence), encoding="utf-8")
    (release / REPORT_FILE).write_text(report(page_of(evidence, release)), encoding="utf-8")
    write_manifest(release, evidence.dataset, evidence.inputs)


def _refusal(at: Layout, verdict: dict[str, Any]) -> str:
    failed = [
        f"  {check.get('description') or check.get('target')}: found {check.get('observed')!r}"
        for check in verdict.get("checks", [])
        if check.get("passed") is False
    ]
    kept = " The earlier release stays." if at.release.exists() else ""
    return "\n".join([f"{at.dataset}: the release gate refused.{kept}", *failed])
