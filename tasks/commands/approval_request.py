"""What a person is asked before a release: the evidence on a page of Markdown, and its digest.

The same page stands at the terminal (`proofmint approve`) and in Airflow. It is made of the public
evidence of the release alone, so it shows no value of the real data.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import approvals, versions
from tasks.commands.release import standing_with
from tasks.errors import ParamsError, ProofmintError, VerificationError
from tasks.metrics import Measurement, Result, judged, read_measurements
from tasks.params import PARAMS_FILE, DatasetParams, load_dataset
from tasks.publishing.attestation import MODEL_EVIDENCE, PARAMS_EVIDENCE
from tasks.publishing.evidence import EVIDENCE_FOLDER
from tasks.publishing.manifest import MANIFEST_FILE, Manifest, faults
from tasks.publishing.wording import bounds_in_words, number, plain
from tasks.schema import DatasetSchema
from tasks.storage import digest, read_json
from tasks.versions import LOCK_FILE, Version
from tasks.workspace import Layout, dvc, project_of, state_of

_GATES = ("raw", "clean", "synthetic", "release")
_CHANGES_SHOWN = 20
"""Of each kind; more are counted."""


@dataclass(frozen=True)
class Request:
    """The question whether a release may become a version."""

    digest: str
    """sha256 of the release's manifest."""
    subject: str
    body: str
    """Markdown."""
    pending: bool
    """False: the version that stands has the same bytes, or somebody has said yes to them already."""


def request_of(root: Path, dataset: str) -> Request:
    """The question about the release that stands in `root`.

    Raises:
        ParamsError: this dataset needs no approval.
        VerificationError: there is no release, or it is not what its manifest says.
        GateRefused: these very bytes were withdrawn.
    """
    at, project = Layout(root, dataset), project_of(root)
    params = load_dataset(root / PARAMS_FILE, dataset)
    if params.approval != "required":
        raise ParamsError(
            f"{dataset} needs no approval; to ask for one, write `approval: required` under"
            f" datasets.{dataset} in {PARAMS_FILE}"
        )
    if wrong := faults(at.release, Manifest.load(at.release)):
        raise VerificationError("\n  ".join([f"{at.release} is not what was published:", *wrong]))
    sha256, found = digest(at.release / MANIFEST_FILE), versions.versions(project, dataset)
    revision = versions.release_revision((root / LOCK_FILE).read_text("utf-8"), dataset)
    unchanged = standing_with(found, revision) is not None
    approved = approvals.find(state_of(project), dataset, sha256) is not None
    results = judged(read_measurements(at.release / EVIDENCE_FOLDER), params.thresholds)
    deciding = [r for r in results if r.passed is not None]
    met = sum(bool(r.passed) for r in deciding)
    return Request(
        digest=sha256,
        subject=f"Release {dataset}? {met} of {len(deciding)} thresholds met",
        body="\n".join(
            [*_page(at, params, sha256, deciding), *_changes(at, found[-1] if found else None)]
        ),
        pending=not unchanged and not approved,
    )


def _page(
    at: Layout, params: DatasetParams, sha256: str, deciding: Sequence[Result]
) -> Iterator[str]:
    made = f"**{plain(params.publish.title)}**, made by `{params.generator}`"
    privacy = read_json(at.release / MODEL_EVIDENCE).get("training", {}).get("privacy")
    if privacy:
        made += f" with differential privacy, ε = {number(privacy.get('epsilon'))}"
    yield f"{made}\n\nDigest `{sha256}`\n\n### Gates\n"
    yield from _table(("gate", "verdict", "checks passed"), _verdicts(at.release))
    yield "\n### What decides\n"
    head = ("metric", "synthetic", "real", "allowed", "to spare", "met")
    yield from _table(head, map(_cells, deciding))
    yield ""


def _verdicts(release: Path) -> Iterator[tuple[str, ...]]:
    for gate in _GATES:
        place = release / EVIDENCE_FOLDER / "gates" / f"{gate}.json"
        if place.exists():
            verdict = read_json(place)
            checks = verdict.get("checks", [])
            passed = sum(check.get("passed") is True for check in checks)
            word = "passed" if verdict.get("passed") is True else "**REFUSED**"
            yield gate, word, f"{passed} of {len(checks)}"


def _cells(result: Result) -> tuple[str, ...]:
    m, (lowest, highest) = result.measurement, result.bounds
    spare = [
        distance
        for bound, sign in ((lowest, 1), (highest, -1))
        if bound is not None and m.value is not None
        for distance in [sign * (m.value - bound)]
    ]
    return (
        plain(m.label),
        number(m.value),
        number(m.reference),
        bounds_in_words(result),
        number(min(spare, default=None)),
        "yes" if result.passed else "**NO**",
    )


def _changes(at: Layout, newest: Version | None) -> Iterator[str]:
    """Settings, columns and metrics that differ from those of the newest version."""
    if newest is None:
        yield "### What has changed\n\nNothing was released before: this is the first version."
        return
    yield f"### What has changed since {newest.name}, of {newest.created_at[:10]}\n"
    with tempfile.TemporaryDirectory() as folder:
        before, now = Path(folder) / EVIDENCE_FOLDER, at.release / EVIDENCE_FOLDER
        path = f"releases/{at.dataset}/{EVIDENCE_FOLDER}"
        try:
            dvc(at.root, "get", ".", path, "--rev", newest.commit, "--out", str(before), "--quiet")
        except ProofmintError:
            yield f"The evidence of {newest.name} is neither in the cache nor at the remote."
            return
        settings = list(_changed_settings(before, now))
        columns = list(_changed_columns(before, now))
        metrics = list(_changed_metrics(before, now))
    for name, rows in (("setting", settings), ("column", columns), ("metric", metrics)):
        if rows:
            yield from _table((name, newest.name, "now"), rows[:_CHANGES_SHOWN])
            yield f"\nand {len(rows) - _CHANGES_SHOWN} more\n" if rows[_CHANGES_SHOWN:] else ""
    if not (settings or columns or metrics):
        yield "Neither settings nor columns nor metrics: the rows, or the code, are others."


def _changed_settings(before: Path, now: Path) -> Iterator[tuple[str, ...]]:
    name = Path(PARAMS_EVIDENCE).name
    old, new = (dict(_leaves(read_json(folder / name))) for folder in (before, now))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"`{key}`", plain(old.get(key, "–")), plain(new.get(key, "–"))


def _changed_columns(before: Path, now: Path) -> Iterator[tuple[str, ...]]:
    old, new = (_columns(folder) for folder in (before, now))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield plain(key), old.get(key, "–"), new.get(key, "–")


def _changed_metrics(before: Path, now: Path) -> Iterator[tuple[str, ...]]:
    old, new = ({m.name: m for m in read_measurements(folder)} for folder in (before, now))
    for name, m in new.items():
        earlier: Measurement | None = old.get(name)
        if earlier is None or earlier.value != m.value:
            yield plain(m.label), number(earlier.value) if earlier else "–", number(m.value)


def _columns(folder: Path) -> dict[str, str]:
    schema = DatasetSchema.load(folder)
    return {
        f"{table.name}.{column.name}": column.meaning
        for table in schema.tables
        for column in table.columns
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
