"""Versions to publish, made without a pipeline; and targets to publish them to."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import s3fs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.operation import TargetParams
from tasks.publishing.attestation import ReleaseFacts, attest
from tasks.publishing.delivery import Plan, targets_of
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.publishing.notices import sign_notice
from tasks.publishing.targets.base import Copy, Target
from tasks.publishing.verification import attestation_of
from tasks.stages.publish import publish
from tasks.storage import digest
from tasks.versions import Version, Withdrawal

KEY = Ed25519PrivateKey.generate()
DATASET = "patients"


def copy_of(root: Path, number: int, inputs: Callable[..., Any], **settings: Any) -> Copy:
    case = inputs(root, **settings)
    publish(case.at, case.params)
    facts = ReleaseFacts(case.at.dataset, f"v{number}", "c" * 40, "d" * 32 + ".dir", "now")
    attest(case.at.release, attestation_of(case.at.release), facts, KEY)
    manifest = digest(case.at.release / MANIFEST_FILE)
    version = Version(case.at.dataset, number, "c" * 40, "d.dir", manifest, 20, "passed", "now")
    return Copy(version, case.at.release, attestation_of(case.at.release).read_text())


def store(endpoint: str) -> s3fs.S3FileSystem:
    """Another client than the target's own."""
    return s3fs.S3FileSystem(
        key="id-of-the-key",
        secret="hush-hush",
        endpoint_url=endpoint,
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def made(kind: str, project: Path, dataset: str = DATASET, **settings: Any) -> Target:
    entry = TargetParams.model_validate({"type": kind, **settings})
    (found,) = targets_of([entry], dataset, project, "publish.to")
    return found


def plan(copies: list[Copy], *withdrawn: int, keep: int | None = None) -> Plan:
    """What git would say of these versions."""
    known = {copy.number: copy for copy in copies}
    return Plan(
        [taken_back(c.version) if c.number in withdrawn else c.version for c in copies],
        keep,
        lambda version: known[version.number],
    )


def taken_back(version: Version) -> Version:
    notice = sign_notice(version, "it was wrong", "Ada", "2026-11-21T00:00:00+00:00", KEY)
    because = Withdrawal("it was wrong", "Ada", "2026-11-21T00:00:00+00:00", notice)
    return dataclasses.replace(version, withdrawn=because)
