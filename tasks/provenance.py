"""The chain from a release to its source and back, and what any digest of it belongs to.

All of it is in git (dvc.lock and the attestation at the version's commit) and in DVC's cache (the
release's manifest). What the cache no longer has is left out, never guessed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks import versions
from tasks.errors import ProofmintError, VerificationError
from tasks.publishing.attestation import PARAMS_EVIDENCE, PREDICATE_TYPE
from tasks.publishing.envelope import open_signed
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.releases import Release, open_release
from tasks.versions import LOCK_FILE, Version


@dataclass(frozen=True)
class Step:
    """A stage as it ran for a version."""

    stage: str
    command: str
    inputs: Mapping[str, str]
    """md5 of the data that it read, by path; code and suites are in the version's commit."""
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Chain:
    """What a version is made of and made from."""

    version: Version
    facts: Mapping[str, Any]
    """What the attestation says."""
    attestation_sha256: str
    signer: str
    """Fingerprint of the key."""
    steps: tuple[Step, ...]
    """From the source to the release."""
    source: Mapping[str, Any]
    """What is public of its settings; empty where the cache does not have it."""
    files: Mapping[str, str]
    """sha256 by path in the release, the manifest's own too; empty likewise."""
    made_from: Mapping[str, str]
    """sha256 of training data, holdout, model and synthetic data; empty likewise."""

    def matches(self, digest: str) -> list[str]:
        """What of this chain has a digest that begins so, in words."""
        return [what for what, value in self._digests() if value.startswith(digest)]

    def _digests(self) -> Iterator[tuple[str, str]]:
        yield "release (sha256 of its manifest)", self.version.digest
        yield "attestation (sha256)", self.attestation_sha256
        yield "signing key (fingerprint)", self.signer
        yield "commit of the version", self.version.commit
        yield "commit of code and settings", self.facts["git_commit"]
        yield "MLflow run", self.facts["mlflow_run"] or ""
        for path, value in self.files.items():
            yield f"file {path} (sha256)", value
        for name, value in self.made_from.items():
            yield f"{name.replace('_', ' ')} (sha256)", value
        for step in self.steps:
            for path, value in step.outputs.items():
                yield f"{path}, made by {step.stage} (md5)", value

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        content = asdict(self)
        content["version"] = {**content["version"], "name": self.version.name}
        return content


def chains(project: Path) -> Iterator[Chain]:
    """Of every version of every dataset."""
    for dataset in versions.datasets(project):
        for version in versions.versions(project, dataset):
            yield chain(project, version)


def chain(project: Path, version: Version) -> Chain:
    """The chain of one version.

    Raises:
        VerificationError: the attestation in git is not what was signed.
    """
    path = f"releases/{version.dataset}.attestation.json"
    text = versions.read_at(project, version.commit, path).encode()
    signed = open_signed(f"{version.tag}:{path}", text, PREDICATE_TYPE, None)
    if signed.manifest_sha256 != version.digest:
        raise VerificationError(f"the tag {version.tag} and its attestation name other manifests")
    release = open_release(project, version)
    files = _files(release)
    return Chain(
        version=version,
        facts=signed.facts,
        attestation_sha256=hashlib.sha256(text).hexdigest(),
        signer=signed.fingerprint,
        steps=_steps(versions.read_at(project, version.commit, LOCK_FILE), version.dataset),
        source=_source(release) if files else {},
        files=files,
        made_from=_made_from(release) if files else {},
    )


def _steps(lock: str, dataset: str) -> tuple[Step, ...]:
    """The stages in an order in which each comes after those whose data it reads."""
    stages: Mapping[str, Any] = yaml.safe_load(lock)["stages"]
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", ())}
    left = {
        name.removesuffix(f"@{dataset}"): Step(
            stage=name.removesuffix(f"@{dataset}"),
            command=str(stage["cmd"]),
            inputs={d["path"]: d["md5"] for d in stage.get("deps", ()) if d["path"] in made},
            outputs={o["path"]: o["md5"] for o in stage.get("outs", ())},
        )
        for name, stage in stages.items()
    }
    done: list[Step] = []
    there: set[str] = set()
    while left:
        ready = [name for name, step in left.items() if step.inputs.keys() <= there] or list(left)
        for name in ready:
            step = left.pop(name)
            done.append(step)
            there |= step.outputs.keys()
    return tuple(done)


def _files(release: Release) -> dict[str, str]:
    try:
        found = {path: entry.sha256 for path, entry in release.files.items()}
    except ProofmintError:  # neither the cache nor releases/<name> has this version
        return {}
    return {**found, MANIFEST_FILE: release.digest}


def _source(release: Release) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(release.read(PARAMS_EVIDENCE))["source"]
    except ProofmintError:
        return {}
    return content


def _made_from(release: Release) -> dict[str, str]:
    return {name: value for name, value in release.manifest.inputs.items() if value}
