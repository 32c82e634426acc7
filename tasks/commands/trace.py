"""`proofmint trace DIGEST`: what a digest is, and the chain from its release to the source and back."""

import json
import re
from pathlib import Path
from typing import Any

from tasks.commands.releases import print_table
from tasks.commands.targets import known_targets
from tasks.errors import ParamsError, ProofmintError
from tasks.provenance import Chain, chains

FEWEST_CHARS = 8


def trace(project: Path, digest: str, *, as_json: bool) -> int:
    """Print the releases that a digest belongs to; of a single one, its whole chain.

    Args:
        project: the project's own folder.
        digest: of a manifest, a file of a release, an attestation, data in dvc.lock; a commit, an
            MLflow run, a key's fingerprint; or the beginning of one.
        as_json: for programs.

    Raises:
        ParamsError: it is no digest, or none of this project.
    """
    wanted = re.sub(r"^(sha256|md5):", "", digest.strip().lower()).removesuffix(".dir")
    if not re.fullmatch(rf"[0-9a-f]{{{FEWEST_CHARS},64}}", wanted):
        raise ParamsError(
            f"expected a digest in hexadecimal, or its first {FEWEST_CHARS} characters at least; found"
            f" {digest!r}"
        )
    found = [(chain, what) for chain in chains(project) if (what := chain.matches(wanted))]
    if not found:
        raise ParamsError(
            f"nothing of this project's releases has the digest {digest!r}; it may be of data that"
            " was never released, or of files that only DVC's remote has: `dvc fetch` first"
        )
    if as_json:
        print(json.dumps([_json(project, *one) for one in found], indent=1))
    elif len(found) == 1:
        _print_chain(project, *found[0])
    else:
        rows = [(c.version.dataset, c.version.name, w[0], c.version.digest) for c, w in found]
        print_table(("dataset", "version", "what it is there", "release"), rows)
        print("\nOne of them in full: `proofmint trace` with the digest of its release.")
    return 0


def _json(project: Path, chain: Chain, what: list[str]) -> dict[str, Any]:
    targets = [{"target": place, "state": state} for place, state in _targets(project, chain)]
    return {"matches": what, **chain.as_json(), "targets": targets}


def _print_chain(project: Path, chain: Chain, what: list[str]) -> None:
    version, facts = chain.version, chain.facts
    print(f"{what[0]} of {version.dataset} {version.name}\n")
    settings = ", ".join(f"{key}: {value}" for key, value in chain.source.items())
    print(f"source       {settings or 'its description is not in the cache'}")
    for step in chain.steps:
        print(f"├─ {step.stage}: {step.command}")
        for path, md5 in step.outputs.items():
            print(f"│    {path}  md5 {md5}")
        if step.stage == "train":
            print(f"│    MLflow run {facts['mlflow_run'] or 'none'}")
    print(f"release      manifest sha256 {version.digest}  ({len(chain.files) or 'unknown'} files)")
    print(f"code         commit {facts['git_commit']}")
    print(f"attestation  sha256 {chain.attestation_sha256}, at commit {version.commit}")
    print(f"             signed by sha256:{chain.signer} at {facts['created_at']}")
    print(f"approval     {_approval(facts['approval'])}")
    for place, state in _targets(project, chain):
        print(f"target       {place}: {state}")
    if version.withdrawn:
        told = version.withdrawn
        print(f"WITHDRAWN    by {told.by} at {told.at}: {told.reason}")


def _approval(approval: Any) -> str:
    if approval is None:
        return "nobody was asked"
    return f"{approval['by']} at {approval['at']}"


def _targets(project: Path, chain: Chain) -> list[tuple[str, str]]:
    """What each target has of a version; one that does not answer is said not to."""
    found = []
    for target in known_targets(project, chain.version.dataset):
        try:
            held, now = target.held(), target.current()
            here = held.get(chain.version.number) == chain.version.digest
            state = "not there" if not here else "held"
            state = "current" if here and now == chain.version.number else state
        except (ProofmintError, OSError) as error:
            state = f"not known: {error}"
        found.append((target.place, state))
    return found
