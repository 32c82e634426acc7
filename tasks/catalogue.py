"""What a project has released, to read: datasets, versions, a release's evidence and where it is from.

Nothing here writes, and nothing needs a checkout: versions are tags of git, and the files of any
version are taken from DVC's cache by their digests, or from `releases/<name>` where that is the
version. The page in Airflow shows it, from a project that it may only read.
"""

import configparser
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import yaml

from tasks import versions
from tasks.errors import DataError, VerificationError, WorkspaceError
from tasks.metrics import Measurement, Result, judged
from tasks.params import NAME_PATTERN, Threshold
from tasks.pipeline import PARAMS_FILE, PipelineError, load_each
from tasks.publishing.attestation import (
    MODEL_EVIDENCE,
    PARAMS_EVIDENCE,
    Attestation,
    fingerprint,
    read_attestation,
    read_public_key,
)
from tasks.publishing.disclosure import public_verdict
from tasks.publishing.evidence import EVIDENCE_FOLDER
from tasks.publishing.manifest import MANIFEST_FILE, FileEntry, Manifest
from tasks.versions import LOCK_FILE, Version
from tasks.workspace import Gate, Layout

REPORT_FILE = "report.html"

_MD5 = re.compile(r"[0-9a-f]{32}")
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
    fault: str | None = None
    """What is wrong with its entry."""

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

    def version(self, name: str) -> Version | None:
        """The version of that name (`v3`); None: there is none."""
        return next((version for version in self.versions if version.name == name), None)


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

    gate: Gate
    checks: tuple[Mapping[str, Any], ...]
    """Those that were not met; what was observed in real data is left out."""
    n_expectations: int
    at: float
    """Seconds since 1970."""


def entries(project: Path) -> dict[str, Entry]:
    """All datasets by name, in the order of params.yaml; then those that are in git alone.

    Raises:
        WorkspaceError: there is no project there, or git refuses to read it.
    """
    try:
        configured = load_each(project)
    except PipelineError as error:
        raise WorkspaceError(str(error)) from error
    names = dict.fromkeys([*configured, *versions.datasets(project)])
    return {name: _entry(project, name, configured.get(name)) for name in names}


def entry(project: Path, name: str) -> Entry | None:
    """One dataset; None: there is none of that name, or it cannot be a name at all.

    Raises:
        WorkspaceError: as of `entries`.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        return None
    try:
        configured = load_each(project)
    except PipelineError as error:
        raise WorkspaceError(str(error)) from error
    found = _entry(project, name, configured.get(name))
    return found if name in configured or found.versions else None


def refusals(project: Path, dataset: str) -> list[Refusal]:
    """The gates that refused when the dataset last came to them, in the order of the pipeline."""
    found = []
    for gate in get_args(Gate):
        place = _state(project) / "refusals" / dataset / f"{gate}.json"
        try:
            verdict = json.loads(place.read_text(encoding="utf-8"))
            at = place.stat().st_mtime
        except (OSError, ValueError):
            continue
        public = public_verdict(verdict, of_real_data=gate in ("raw", "clean"))
        checks = tuple(check for check in public["checks"] if check.get("passed") is not True)
        found.append(Refusal(gate, checks, int(public.get("n_expectations") or 0), at))
    return found


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


@dataclass(frozen=True)
class Release:
    """The files of one version, wherever they are kept."""

    project: Path
    version: Version
    _cached: Mapping[str, Path] = field(repr=False)
    """By path in the release, those that DVC's cache has."""

    @cached_property
    def manifest(self) -> Manifest:
        """The list of all files.

        Raises:
            WorkspaceError: it is not on this machine.
            VerificationError: it is not the one that was attested.
        """
        content = self._place(MANIFEST_FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.version.digest:
            raise VerificationError(
                f"{self.version.tag}: {MANIFEST_FILE} here is not the one that was released"
            )
        manifest = Manifest.model_validate_json(content)
        if manifest.dataset != self.version.dataset:
            raise VerificationError(f"{self.version.tag}: the manifest is of another dataset")
        return manifest

    @cached_property
    def files(self) -> Mapping[str, FileEntry]:
        """What may be read, by path; the manifest itself is not listed in itself."""
        return {file.path: file for file in self.manifest.files}

    def place(self, path: str) -> Path:
        """Where a file of the manifest is on this machine.

        Raises:
            DataError: the release has no such file.
            WorkspaceError: it is not on this machine.
        """
        if path not in self.files and path != MANIFEST_FILE:
            raise DataError(f"{self.version.tag} has no file {path!r}")
        return self._place(path)

    def read(self, path: str) -> bytes:
        """A file of the manifest, its digest checked.

        Raises:
            VerificationError: it was changed since it was released.
            DataError, WorkspaceError: as of `place`.
        """
        content = self.place(path).read_bytes()
        expected = self.version.digest if path == MANIFEST_FILE else self.files[path].sha256
        if hashlib.sha256(content).hexdigest() != expected:
            raise VerificationError(f"{self.version.tag}: {path} was changed since it was released")
        return content

    def read_json(self, path: str) -> Any:
        """As `read`, of a JSON file; None: the release has no such file."""
        return json.loads(self.read(path)) if path in self.files else None

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The settings of the dataset that are public."""
        return self.read_json(PARAMS_EVIDENCE) or {}

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """What is public of the generator."""
        return self.read_json(MODEL_EVIDENCE) or {}

    @cached_property
    def verdicts(self) -> Mapping[str, Mapping[str, Any]]:
        """The verdict of each gate that left one, in the order of the pipeline."""
        found = {g: self.read_json(f"{EVIDENCE_FOLDER}/gates/{g}.json") for g in get_args(Gate)}
        return {gate: verdict for gate, verdict in found.items() if verdict}

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """Every metric beside what was asked of it."""
        measured = self.read_json(f"{EVIDENCE_FOLDER}/metrics.json") or []
        thresholds = self.params.get("thresholds") or {}
        return judged(
            [Measurement.model_validate(row) for row in measured],
            {k: v and Threshold.model_validate(v) for k, v in thresholds.items()},
        )

    def _place(self, path: str) -> Path:
        if (cached := self._cached.get(path)) and cached.is_file():
            return cached
        folder = Layout(self.project, self.version.dataset).release.resolve()
        place = folder / path
        if place.is_file() and place.resolve() == place:  # no link, on no level
            return place
        raise WorkspaceError(
            f"{path} of {self.version.tag} is not on this machine; `dvc pull` at the tag"
            f" {self.version.tag}, or look where `publish.to` puts releases"
        )


def open_release(project: Path, version: Version) -> Release:
    """The files of a version, whichever place of this machine has them; none is read yet."""
    cache = _cache_of(project)
    listing = cache / "files" / "md5" / version.revision[:2] / version.revision[2:]
    try:
        content = json.loads(listing.read_bytes())
    except (OSError, ValueError):
        content = []
    cached = {
        str(file["relpath"]): cache / "files" / "md5" / file["md5"][:2] / file["md5"][2:]
        for file in content
        if _MD5.fullmatch(str(file.get("md5")))
    }
    return Release(project, version, cached)


def _entry(project: Path, name: str, configured: Any) -> Entry:
    found = tuple(versions.versions(project, name))
    if isinstance(configured, PipelineError):
        return Entry(name, {}, found, fault=str(configured))
    return Entry(name, configured.params if configured else {}, found)


def _mismatch(read: Attestation, version: Version) -> str | None:
    """How an attestation contradicts the tag that it stands behind; None: it does not."""
    about = f"{read.facts['dataset']}@{read.facts['version']}"
    if about != version.tag:
        return f"it is about {about}, not {version.tag}"
    if read.manifest_sha256 != version.digest:
        return "it signs another manifest than the tag names"
    return None


def _is_ours(project: Path, signer: str) -> bool | None:
    try:
        return fingerprint(read_public_key(_state(project) / "keys" / "ed25519.pub.pem")) == signer
    except VerificationError:
        return None


def _state(project: Path) -> Path:
    """As `tasks.workspace.state_of`, which would make the folder."""
    return Path(os.environ.get("PROOFMINT_HOME") or project / ".proofmint")


def _cache_of(project: Path) -> Path:
    """DVC's cache of the project."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    folder = project / ".dvc"
    settings.read([folder / "config", folder / "config.local"], encoding="utf-8")
    return folder / settings.get("cache", "dir", fallback="cache").strip("'\"")
