"""What the pages show: records for the templates, from the catalogue and from Airflow's runs."""

import datetime
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from proofmint_pages.runs import APPROVAL, GATES, WAITING, Dag, Run
from tasks.catalogue import Entry, Refusal
from tasks.errors import ProofmintError
from tasks.metrics import Family, Result
from tasks.publishing.wording import bounds_in_words, number
from tasks.releases import Release
from tasks.versions import Version

HERE = Path(__file__).resolve().parent

MLFLOW_VARIABLE = "PROOFMINT_MLFLOW_URL"
"""MLflow's address as browsers reach it; without it, the one that the servers use."""


@dataclass(frozen=True)
class Card:
    """A dataset in the catalogue."""

    entry: Entry
    dag: Dag | None
    newest: Version | None
    """Of the dataset, or of its last partition."""
    standing: Version | None
    refused: bool

    @property
    def words(self) -> str:
        """What a search looks into."""
        settings, publish = self.entry.settings, self.entry.publish
        parts = [
            *(self.entry.name, self.entry.title, publish.get("description", "")),
            *(settings.get("kind", ""), settings.get("generator", ""), publish.get("license", "")),
        ]
        return " ".join(map(str, parts)).lower()


@dataclass(frozen=True)
class Step:
    """A gate and what became of what came to it."""

    gate: str
    mark: str
    """A class of the style sheet: good, bad, info; empty: nothing came to it."""
    words: str


@dataclass(frozen=True)
class Score:
    """How a release answered one question."""

    family: str
    n_met: int
    n_judged: int
    headline: str


@dataclass(frozen=True)
class Snippet:
    """Lines to copy."""

    title: str
    text: str


def steps_of_run(states: Mapping[str, str], refused: Sequence[Refusal]) -> list[Step]:
    """The gates of a run, from the states of its tasks."""
    refusals = {refusal.gate for refusal in refused}
    steps = []
    for gate, task in GATES.items():
        state = states.get(task, "none")
        mark, words = {
            "success": ("good", "passed"),
            "failed": ("bad", "refused" if gate in refusals else "failed"),
            "running": ("info", "is being held there"),
            "up_for_retry": ("info", "will be tried again"),
        }.get(state, ("", "not reached"))
        steps.append(Step(gate, mark, words))
    return steps


def steps_of_release(release: Release) -> list[Step]:
    """The gates of a release, from its evidence."""
    steps = []
    for gate, verdict in release.verdicts.items():
        met = int(verdict.get("n_expectations") or 0) - int(verdict.get("n_failed") or 0)
        words = f"{met} of {verdict.get('n_expectations', 0)} expectations met"
        steps.append(Step(gate, "good" if verdict.get("passed") is True else "bad", words))
    return steps


def outcome(
    run: Run,
    states: Mapping[str, str],
    released: Mapping[str, Any],
    version: Version | None,
    refused: Sequence[Refusal],
) -> str:
    """What a run came to, in a sentence.

    Args:
        run: which one.
        states: of its tasks.
        released: what its task `release` returned; empty: nothing.
        version: that one; None: it is not in git here.
        refused: by its gates.
    """
    if released:
        since = ", which was withdrawn since" if version and version.withdrawn else ""
        return f"It released {released.get('version')}{since}."
    if refused:
        return "A gate refused, so nothing was released."
    if states.get(APPROVAL) in WAITING:
        return "It waits for a person to approve what it would release."
    if states.get("release") == "skipped":
        return "The result is the same as the newest version's, so there is no new one."
    return {
        "success": "It ended without a release.",
        "failed": "It failed before it could release anything; the log of the failed task tells why.",
    }.get(run.state, "It has not ended yet.")


def scores(results: Sequence[Result]) -> list[Score]:
    """One score for each family that something was measured of."""
    found = []
    for family in get_args(Family):
        own = [r for r in results if r.measurement.family == family]
        judged = [r for r in own if r.passed is not None]
        if own:
            shown = next(
                (r for r in judged if r.measurement.decisive), judged[0] if judged else None
            )
            headline = (
                f"{shown.measurement.label}: {number(shown.measurement.value)}"
                if shown
                else "nothing of it was judged"
            )
            n_met = sum(r.passed is True for r in judged)
            found.append(Score(family, n_met, len(judged), headline))
    return found


def by_family(results: Sequence[Result]) -> list[tuple[str, list[Result], list[Result]]]:
    """For each family the results that decide, and the others: what does not apply last."""
    groups = []
    for family in get_args(Family):
        own = [r for r in results if r.measurement.family == family]
        other = [r for r in own if r.passed is None]
        other.sort(key=lambda r: r.measurement.value is None)
        groups.append((str(family), [r for r in own if r.passed is not None], other))
    return groups


def snippets(version: Version, files: Sequence[str]) -> list[Snippet]:
    """How to get, check and load a version."""
    name = version.dataset
    found = [
        Snippet(
            "Get it from the project's repository",
            f"dvc get <repository> releases/{name} --rev {version.tag}\n"
            f"git show {version.tag}:releases/{name}.attestation.json > {name}.attestation.json",
        ),
        Snippet("Check every file and the signature, offline", f"proofmint verify {name}"),
    ]
    folders = sorted({path.rpartition("/")[0] for path in files if path.startswith("data/")})
    if folders:
        reads = "\n".join(f'pd.read_parquet("{name}/{folder}")' for folder in folders)
        found.append(Snippet("Load it with pandas", f"import pandas as pd\n\n{reads}"))
        found.append(
            Snippet(
                "Load it with Hugging Face datasets",
                f'from datasets import load_dataset\n\nload_dataset("./{name}")',
            )
        )
    return found


def approval_in_words(approval: Any) -> str | None:
    """Who approved a release, as its attestation says; None: nobody was asked."""
    if isinstance(approval, Mapping):
        comment = f": {approval['comment']}" if approval.get("comment") else ""
        return f"{approval.get('by')}, {moment(approval.get('at'))}{comment}"
    return str(approval) if approval else None


def who_sees(entry: Entry) -> str:
    """Whom `access` lets see a dataset, beside those who may read every DAG."""
    given = entry.settings.get("access") or {}
    if given.get("roles") is None:
        return "as Airflow's administration says"
    named = [*given["roles"], *(given.get("operators") or ())]
    return ", ".join(dict.fromkeys(named)) or "only who may read every DAG"


def mlflow_address() -> str | None:
    """Where browsers find MLflow; None: nobody said."""
    url = os.environ.get(MLFLOW_VARIABLE) or os.environ.get("MLFLOW_TRACKING_URI") or ""
    return url.rstrip("/") if url.startswith(("http://", "https://")) else None


def in_public(error: ProofmintError, project: Path) -> str:
    """The message of an error without the place of the project on the server."""
    return str(error).replace(str(project), "the project")


def moment(value: datetime.datetime | str | None) -> str:
    """A moment as people read it, in UTC."""
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if value is None:
        return "–"
    return value.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def size(n_bytes: int) -> str:
    """A number of bytes as people read it."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


@cache
def environment() -> Environment:
    """The templates; everything that they show is escaped."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "moment": moment,
        "iso": lambda value: value if isinstance(value, str) else value.isoformat(),
        "bytes": size,
        "number": number,
        "bounds": bounds_in_words,
    }
    return found


@cache
def build() -> str:
    """Changes when a style or a script does, so that browsers fetch it anew."""
    files = sorted((HERE / "static").iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
