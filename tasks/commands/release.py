"""`proofmint release`: what `dvc repro` published becomes the next version of its dataset.

Signed, committed on the dataset's own branch, tagged, put at releases/<name> of the project, its
generator marked in MLflow, its data pushed, copies brought to its targets. Each step leaves a whole
state, and running the command again does whatever an interrupted one had not reached.
"""

import configparser
import datetime
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks import approvals, git_remote, versions
from tasks.approvals import Approval
from tasks.commands.targets import deliver
from tasks.errors import (
    GateRefused,
    NotApproved,
    ParamsError,
    ProofmintError,
    RemoteMoved,
    VerificationError,
    WorkspaceError,
)
from tasks.metrics import read_measurements
from tasks.params import load_dataset as load_params
from tasks.partitions import key_of, run_again
from tasks.pipeline import PARAMS_FILE, load_dataset
from tasks.publishing.attestation import (
    VERDICT_EVIDENCE,
    ReleaseFacts,
    attest,
)
from tasks.publishing.delivery import targets_of
from tasks.publishing.evidence import EVIDENCE_FOLDER
from tasks.publishing.keys import KEY_FILE, fingerprint, signing_key
from tasks.publishing.manifest import MANIFEST_FILE
from tasks.publishing.notices import notice_of
from tasks.publishing.succession import is_announced, succession
from tasks.publishing.verification import verify_release
from tasks.schema import DatasetSchema
from tasks.storage import count_rows, digest, new_folder, read_json, write_json
from tasks.tracking import Tracker, open_tracker
from tasks.versions import LOCK_FILE, Version
from tasks.workspace import Layout, dvc, git, locked, project_of, state_of
from tasks.worktrees import narrow, uncommitted

PUBLISH_ATTEMPTS = 5
"""How often a version is made anew because a publisher on another machine was quicker."""


@dataclass(frozen=True)
class Outcome:
    """What a release came to."""

    version: Version
    new: bool
    """False: the newest version has the very same bytes, so none was made."""


def release(root: Path, dataset: str) -> int:
    """Release what stands in `root`, and say what came of it.

    Args:
        root: the project's own folder or a worktree of it, in which all stages have run.
        dataset: which one.
    """
    outcome = make_release(root, dataset)
    version = outcome.version
    write_json(
        outcome_file(root, dataset),
        {
            "version": version.name,
            "new": outcome.new,
            "digest": version.digest,
            "verdict": version.verdict,
            "dvc_revision": version.revision,
            "commit": version.commit,
        },
    )
    if outcome.new:
        print(f"{dataset}: released {version.name} at {version.commit[:12]}")
    else:
        print(f"{dataset}: unchanged, still {version.name}")
    return 0


def outcome_file(root: Path, dataset: str) -> Path:
    """Where `release` leaves its outcome for whoever called it."""
    return root / ".dvc" / "tmp" / f"release-{dataset}.json"


def make_release(root: Path, dataset: str) -> Outcome:
    """Release what stands in `root`.

    Raises:
        ParamsError: the dataset is partitioned, and what stands here is of all of its rows.
        WorkspaceError: code is not committed, a stage is not up to date, or git or DVC refused.
        GateRefused: the release gate did not pass, or nobody has approved the release.
    """
    at, project = Layout(root, dataset), project_of(root)
    params = load_params(root / PARAMS_FILE, dataset)
    if params.partition is not None:
        raise ParamsError(
            f"{dataset} is partitioned, and its versions are of partitions: proofmint run {dataset}"
            " --partition KEY"
        )
    publish = params.publish
    targets = targets_of(publish.to, dataset, project, f"datasets.{dataset}.publish.to")
    check_committed(root, dataset)
    _check_up_to_date(root, dataset)
    if not read_json(at.release / VERDICT_EVIDENCE).get("passed"):
        raise GateRefused(f"{dataset}: the release gate did not pass; nothing is released")
    revision = versions.release_revision((root / LOCK_FILE).read_text("utf-8"), dataset)
    state = state_of(project)
    tracker = open_tracker(os.environ.get("MLFLOW_TRACKING_URI"), state / "mlflow")
    run_id = tracker.find_run(digest(at.model))
    with locked(state / "locks" / f"release-{dataset}"):
        outcome = _still_new(at, _published(at, project, revision, run_id))
        _put_in_place(at, project, outcome.version)
        _mark_model(at, tracker, run_id, outcome.version)
    _push(root)
    deliver(project, dataset, targets, publish.keep)
    _begun_file(at).unlink(missing_ok=True)
    return outcome


def _still_new(at: Layout, outcome: Outcome) -> Outcome:
    """The same, and new if an earlier try of this run made the version and did not come to its end."""
    begun = _begun_file(at)
    if outcome.new:
        begun.write_text(outcome.version.tag, encoding="utf-8")
        return outcome
    is_begun = begun.exists() and begun.read_text(encoding="utf-8") == outcome.version.tag
    return replace(outcome, new=is_begun)


def _begun_file(at: Layout) -> Path:
    return outcome_file(at.root, at.dataset).with_suffix(".begun")


def _published(at: Layout, project: Path, revision: str, run_id: str | None) -> Outcome:
    """The version that has these bytes, the next one if none has.

    Raises:
        GateRefused: the version that has them was withdrawn.
        RemoteMoved: publishers on other machines were quicker each time.
    """
    attempt = 0
    while True:
        attempt += 1
        versions.refresh(project, at.dataset)
        versions.mend_branch(project, at.dataset)
        found = versions.versions(project, at.dataset)
        newest = found[-1] if found else None
        same = standing_with(found, revision)
        if same is not None:
            return Outcome(same, new=False)
        try:
            return Outcome(_next_version(at, newest, revision, run_id), new=True)
        except RemoteMoved:
            if attempt == PUBLISH_ATTEMPTS:
                raise


def standing_with(found: Sequence[Version], revision: str) -> Version | None:
    """The version that stands, if it has these bytes; None: they would be a new one.

    Raises:
        GateRefused: they were withdrawn, and would be no better under another number.
    """
    standing = next((v for v in reversed(found) if v.withdrawn is None), None)
    if standing is not None and standing.revision == revision:
        return standing
    for version in reversed(found):
        if version.revision == revision and version.withdrawn is not None:
            raise GateRefused(
                f"{version.dataset}: the result is byte for byte {version.name}, which"
                f" {version.withdrawn.by} withdrew ({version.withdrawn.reason}); nothing is"
                " released. Mend the source or the settings that made it; if it was withdrawn by"
                " mistake, another `seed` makes another dataset"
            )
    return None


def check_committed(root: Path, dataset: str) -> None:
    """Refuse code that git does not know: nobody could make its release again.

    Raises:
        WorkspaceError: naming the files.
    """
    if changed := [path for path in uncommitted(root, dataset) if path != PARAMS_FILE]:
        head = f"{dataset}: a release needs committed code (`dvc repro` does not); commit:"
        raise WorkspaceError("\n  ".join([head, *changed]))


def _check_up_to_date(root: Path, dataset: str) -> None:
    stages = load_dataset(root, dataset).stages
    status = json.loads(dvc(root, "status", "--json", *(stage.address for stage in stages)))
    always = {stage.address for stage in stages if stage.always_changed}
    stale = {
        address: [reason for reason in reasons if reason != "always changed"]
        for address, reasons in status.items()
    }
    stale = {a: reasons for a, reasons in stale.items() if reasons or a not in always}
    if stale:
        lines = [f"{address}: {json.dumps(reasons)}" for address, reasons in stale.items()]
        raise WorkspaceError(
            "\n  ".join([f"run `proofmint run {dataset}` first; not up to date:", *lines])
        )


def _next_version(at: Layout, newest: Version | None, revision: str, run_id: str | None) -> Version:
    """Commit and tag: the first commit reproduces the release, the second one proves it."""
    root, dataset = at.root, at.dataset
    number = 1 if newest is None else newest.number + 1
    name = f"{dataset}@v{number}"
    previous, run_commit = versions.tip(root, dataset), git(root, "rev-parse", "HEAD")
    files = {
        PARAMS_FILE: narrow((root / PARAMS_FILE).read_text("utf-8"), dataset),
        LOCK_FILE: versions.narrow_lock((root / LOCK_FILE).read_text("utf-8"), dataset),
    }
    if key_of(dataset) is not None:  # a partition, whose suites were made in its worktree
        files |= {str(path.relative_to(root)): path.read_text("utf-8") for path in at.suites}
    parents = [parent for parent in (previous, run_commit) if parent]
    source = versions.commit_files(root, run_commit, parents, files, f"{name}: params and lock\n")
    facts = ReleaseFacts(
        dataset=dataset,
        version=f"v{number}",
        git_commit=source,
        dvc_revision=revision,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        mlflow_run=run_id,
        approval=_approval(at),
    )
    files = {f"releases/{dataset}.attestation.json": _attest(at, facts, newest)}
    version = Version(
        dataset=dataset,
        number=number,
        commit=versions.commit_files(root, source, [source], files, f"{name}: attestation\n"),
        revision=revision,
        digest=digest(at.release / MANIFEST_FILE),
        rows=sum(
            count_rows(at.synthetic, table.name)
            for table in DatasetSchema.load(at.synthetic).tables
        ),
        verdict="passed",
        created_at=facts.created_at,
    )
    versions.publish_version(root, version, previous)
    return version


def _approval(at: Layout) -> Approval | None:
    """A person's yes to the release that stands in the run's root; None: it needs none.

    Raises:
        NotApproved: it needs one, and there is none for these bytes.
    """
    if load_params(at.root / PARAMS_FILE, at.dataset).approval == "none":
        return None
    sha256 = digest(at.release / MANIFEST_FILE)
    found = approvals.find(state_of(project_of(at.root)), at.dataset, sha256)
    if found is None:
        how = (
            f"look at it and say yes: proofmint approve {at.dataset}; then: {run_again(at.dataset)}"
        )
        if key_of(at.dataset) is not None:
            how = f"at a terminal this asks for it: {run_again(at.dataset)}"
        raise NotApproved(
            f"{at.dataset}: a person must approve this release, and nobody has approved the digest"
            f" {sha256}; {how}"
        )
    return found


def _attest(at: Layout, facts: ReleaseFacts, newest: Version | None) -> str:
    """The text of the attestation of the release that stands in the run's root.

    Raises:
        WorkspaceError: it would be signed by another key than the version before, and nobody has
            announced that.
    """
    out = outcome_file(at.root, at.dataset).with_suffix(".attestation")
    state = state_of(project_of(at.root))
    key, entries = signing_key(state), succession(state)
    if newest is not None:
        path = f"releases/{at.dataset}.attestation.json"
        envelope = json.loads(versions.read_at(at.root, newest.commit, path))
        before, now = envelope["signatures"][0]["keyid"], fingerprint(key.public_key())
        if not is_announced(entries, before, now):
            raise WorkspaceError(
                f"{newest.tag} was signed by the key sha256:{before}, and {state / KEY_FILE} is"
                f" sha256:{now}, which nobody has announced: put the old key back (from a backup, or"
                " from the worker that has it); only if it is lost or stolen, run"
                " `proofmint rotate-key --lost`"
            )
    attest(at.release, out, replace(facts, key_succession=entries), key)
    return out.read_text(encoding="ascii")


def _put_in_place(at: Layout, project: Path, version: Version) -> None:
    """Let releases/<name> of the project be this version, if it is not yet."""
    there = Layout(project, at.dataset)
    text = versions.read_at(project, version.commit, f"releases/{at.dataset}.attestation.json")
    current = there.attestation.exists() and there.attestation.read_text("utf-8") == text
    if current:
        try:
            verify_release(there.release)
            return
        except VerificationError:
            pass  # somebody changed a file, or a release was interrupted right here
    if at.root.resolve() != project.resolve():
        with new_folder(there.release) as draft:
            shutil.copytree(at.release, draft, dirs_exist_ok=True)
    draft_file = there.attestation.with_name(f".{there.attestation.name}.draft")
    draft_file.write_text(text, encoding="utf-8")
    draft_file.replace(there.attestation)
    notice_of(there.release).unlink(missing_ok=True)  # of a version that stood here before


def _mark_model(at: Layout, tracker: Tracker, run_id: str | None, version: Version) -> None:
    """Register the generator in MLflow; its alias `released` moves to this version."""
    if run_id is None:
        print(f"{at.dataset}: MLflow knows no run that made this model; it is not registered there")
        return
    measured = read_measurements(at.release / EVIDENCE_FOLDER)
    metrics = {m.name: m.value for m in measured if m.value is not None}
    tracker.log_release_metrics(run_id, metrics)
    tracker.register_release(
        at.dataset, run_id, version.name, digest=version.digest, dvc_revision=version.revision
    )


def _push(root: Path) -> None:
    """Push data and run cache to the default remote, if there is one."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    if settings.get("core", "remote", fallback=None):
        try:
            # Of machines that share no disk each has its own run cache: DVC copies a remote one whole.
            dvc(root, "push", *([] if git_remote.name() else ["--run-cache"]))
        except ProofmintError as error:
            error.retryable = True
            raise
