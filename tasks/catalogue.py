"""What a project has released, to read: datasets, versions, who signed them and what they are from.

Nothing here writes, so a project that may only be read is enough. The page in Airflow shows it; the
files of a version are the business of `tasks.releases`.
"""

import datetime
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from tasks import versions
from tasks.errors import VerificationError, WorkspaceError
from tasks.partitions import SEPARATOR, base_of
from tasks.pipeline import PARAMS_FILE, Dataset, PipelineError, is_name, load_each
from tasks.publishing.attestation import read_attestation
from tasks.publishing.disclosure import public_verdict
from tasks.publishing.envelope import Signed
from tasks.publishing.keys import fingerprint, read_public_key
from tasks.versions import LOCK_FILE, Version
from tasks.workspace import Gate

_LINEAGE = {
    "ingest": "Raw data",
    "clean": "Clean data",
    "balance": "Training data",
    "train": "Generator",
    "sample": "Synthetic data",
    "publish": "Release",
}
"""Stages whose outputs lead from the source to a release, and what people call these."""


@dataclass(frozen=True)
class Entry:
    """A dataset of the project: an entry of params.yaml, versions in git, or both."""

    name: str
    settings: Mapping[str, Any]
    """Its entry in params.yaml; empty where it has none, or a wrong one."""
    versions: tuple[Version, ...]
    """Oldest first."""
    partitions: tuple["Entry", ...] = ()
    """Those that were released, in the order of their names; each is a dataset of its own."""
    fault: str | None = None
    """What is wrong with its entry."""

    @property
    def has_page(self) -> bool:
        """Whether it can be asked for by its name; not where the name is the fault."""
        return is_name(self.name)

    @property
    def publish(self) -> Mapping[str, Any]:
        """What it says about itself."""
        found = self.settings.get("publish")
        return found if isinstance(found, Mapping) else {}

    @property
    def title(self) -> str:
        """What people call it."""
        return str(self.publish.get("title") or self.name)

    @property
    def newest(self) -> Version | None:
        """The newest version, withdrawn or not; None: nothing was released yet."""
        return self.versions[-1] if self.versions else None

    @property
    def standing(self) -> Version | None:
        """The newest version that is not withdrawn: the one to use; None: there is none."""
        return next((v for v in reversed(self.versions) if v.withdrawn is None), None)

    def version(self, name: str) -> Version | None:
        """The version of that name (`v3`); None: there is none."""
        return next((version for version in self.versions if version.name == name), None)

    def version_of_commit(self, commit: str) -> Version | None:
        """The version, of the dataset or of a partition of it, that a commit is tagged as."""
        known = (version for entry in (self, *self.partitions) for version in entry.versions)
        return next((version for version in known if version.commit == commit), None)


@dataclass(frozen=True)
class Product:
    """What one stage made on the way from the source to a release."""

    stage: str
    title: str
    path: str
    md5: str
    """Its revision in dvc.lock."""
    size_bytes: int | None
    n_files: int | None


@dataclass(frozen=True)
class Signature:
    """What the attestation of a version says, and whether that can be believed."""

    text: str
    facts: Mapping[str, Any]
    """The predicate; empty where `fault` says why."""
    fingerprint: str | None = None
    fault: str | None = None
    by_project: bool | None = None
    """Whether this project's key signed; None: its public key is not here to compare."""


@dataclass(frozen=True)
class Refusal:
    """The verdict of a gate that stopped the newest run that came to it."""

    dataset: str
    """Or one of its partitions."""
    gate: Gate
    checks: tuple[Mapping[str, Any], ...]
    """Those that were not met; what was observed in real data is left out."""
    n_expectations: int
    at: datetime.datetime


def dag_of(dataset: str) -> str:
    """The DAG that makes a dataset, and whose readers may read it: that of its name."""
    return base_of(dataset)


def entries(project: Path) -> dict[str, Entry]:
    """All datasets by name, in the order of params.yaml; then those that are in git alone.

    Raises:
        WorkspaceError: there is no project there, or git refuses to read it.
    """
    configured, released = _configured(project), versions.of_each(project)
    names = dict.fromkeys([*configured, *map(base_of, filter(is_name, released))])
    return {name: _entry(name, configured, released) for name in names}


def entry(project: Path, name: str) -> Entry | None:
    """One dataset, or a partition of one; None: there is none of that name.

    Raises:
        WorkspaceError: as of `entries`.
    """
    if not is_name(name):
        return None
    configured, released = _configured(project), versions.of_each(project)
    if name in configured or name in released or name in map(base_of, released):
        return _entry(name, configured, released)
    return None


def refusals(project: Path, dataset: str) -> list[Refusal]:
    """The gates that refused when the dataset, or a partition of it, last came to them."""
    folder = _state(project) / "refusals"
    names = [name for name in _folders(folder) if dataset in (name, base_of(name))]
    found = [_refusal(folder / name, name, gate) for name in names for gate in get_args(Gate)]
    return [refusal for refusal in found if refusal]


def lineage(project: Path, version: Version) -> list[Product]:
    """What led from the source to a version, as its dvc.lock names it."""
    lock = yaml.safe_load(versions.read_at(project, version.commit, LOCK_FILE)) or {}
    stages = lock.get("stages") or {}
    products = []
    for stage, title in _LINEAGE.items():
        for out in (stages.get(f"{stage}@{version.dataset}") or {}).get("outs", ()):
            products.append(
                Product(
                    stage,
                    title,
                    str(out["path"]),
                    str(out["md5"]),
                    out.get("size"),
                    out.get("nfiles"),
                )
            )
    return products


def source_type(project: Path, version: Version) -> str:
    """The type of the source that a version was made from; its settings are not for readers."""
    params = yaml.safe_load(versions.read_at(project, version.commit, PARAMS_FILE)) or {}
    source = params.get("datasets", {}).get(version.dataset, {}).get("source", {})
    return str(source.get("type", "source"))


def signature(project: Path, version: Version) -> Signature:
    """The attestation of a version, its signature checked."""
    place = f"releases/{version.dataset}.attestation.json"
    try:
        text = versions.read_at(project, version.commit, place)
    except WorkspaceError as error:
        return Signature("", {}, fault=str(error))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as stream:
        stream.write(text)
        stream.flush()
        try:
            read = read_attestation(Path(stream.name), None)
        except VerificationError as error:
            message = str(error).replace(stream.name, place)
            return Signature(text, {}, fault=message)
    return Signature(
        text,
        read.facts,
        fingerprint=read.fingerprint,
        fault=_mismatch(read, version),
        by_project=_is_ours(project, read.fingerprint),
    )


def _configured(project: Path) -> dict[str, Dataset | PipelineError]:
    try:
        return load_each(project)
    except PipelineError as error:
        raise WorkspaceError(str(error)) from error


def _entry(
    name: str,
    configured: Mapping[str, Dataset | PipelineError],
    released: Mapping[str, Sequence[Version]],
) -> Entry:
    """A dataset, or a partition, which has the settings of its dataset."""
    given = configured.get(name) or configured.get(base_of(name))
    fault = str(given) if isinstance(given, PipelineError) else None
    settings = given.params if isinstance(given, Dataset) else {}
    parts = sorted(n for n in released if n.startswith(name + SEPARATOR) and base_of(n) == name)
    partitions = tuple(Entry(part, settings, tuple(released[part]), (), fault) for part in parts)
    return Entry(name, settings, tuple(released.get(name, ())), partitions, fault)


def _folders(place: Path) -> list[str]:
    try:
        return sorted(child.name for child in place.iterdir() if child.is_dir())
    except OSError:
        return []


def _refusal(folder: Path, dataset: str, gate: Gate) -> Refusal | None:
    place = folder / f"{gate}.json"
    try:
        verdict = json.loads(place.read_text(encoding="utf-8"))
        at = datetime.datetime.fromtimestamp(place.stat().st_mtime, datetime.UTC)
    except (OSError, ValueError):
        return None
    public = public_verdict(verdict, of_real_data=gate in ("raw", "clean"))
    checks = tuple(check for check in public["checks"] if check.get("passed") is not True)
    return Refusal(dataset, gate, checks, int(public.get("n_expectations") or 0), at)


def _mismatch(read: Signed, version: Version) -> str | None:
    """How an attestation contradicts the tag that it stands behind; None: it does not."""
    about = f"{read.facts['dataset']}@{read.facts['version']}"
    if about != version.tag:
        return f"it is about {about}, not {version.tag}"
    if read.manifest_sha256 != version.digest:
        return "it signs another manifest than the tag names"
    return None


def _is_ours(project: Path, signer: str) -> bool | None:
    try:
        ours = read_public_key(_state(project) / "keys" / "ed25519.pub.pem")
    except VerificationError:
        return None
    return fingerprint(ours) == signer


def _state(project: Path) -> Path:
    """As `tasks.workspace.state_of`, which would make the folder."""
    return Path(os.environ.get("PROOFMINT_HOME") or project / ".proofmint")
