"""`proofmint withdraw NAME VERSION --reason …`: a release must no longer be used, said everywhere.

The tag in git comes first: from then on it is withdrawn, and everything after can be done again.
"""

import datetime
import os
import shutil
from pathlib import Path

from tasks import versions
from tasks.commands.targets import bring_up_to_date
from tasks.errors import ParamsError
from tasks.publishing.copies import attestation_text, copy_of
from tasks.publishing.delivery import each
from tasks.publishing.keys import signing_key
from tasks.publishing.notices import notice_of, sign_notice
from tasks.publishing.targets.folder import write_whole
from tasks.storage import new_folder
from tasks.tracking import open_tracker
from tasks.versions import Version, Withdrawal
from tasks.workspace import Layout, locked, state_of

MOST_REASON_CHARS = 1_000


def withdraw(project: Path, dataset: str, name: str, reason: str, by: str | None = None) -> int:
    """Withdraw a version; again for the same version: finish what was interrupted.

    Args:
        project: the project's own folder.
        dataset: whose version.
        name: `v3`.
        reason: for those who have used it; everyone who has a copy can read it.
        by: who withdraws it; None: whoever git says.

    Raises:
        ParamsError: there is no such version, or no reason.
        TargetUnavailable: a target did not answer; all else is done.
        WorkspaceError: git refused, or a target did; all else is done.
    """
    text = " ".join(reason.split())
    if not text or len(text) > MOST_REASON_CHARS or not text.isprintable():
        raise ParamsError(f"expected a reason of 1 to {MOST_REASON_CHARS} characters")
    state = state_of(project)
    with locked(state / "locks" / f"release-{dataset}"):
        versions.refresh(project, dataset)
        version = _find(project, dataset, name)
        if version.withdrawn is None:
            at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            who = by or versions.identity(project)
            notice = sign_notice(version, text, who, at, signing_key(state))
            versions.withdraw_version(project, version, Withdrawal(text, who, at, notice))
            version = _find(project, dataset, name)
            print(f"{dataset}: {name} is withdrawn in git (tag withdrawn/{version.tag})")
        else:
            print(f"{dataset}: {name} is withdrawn already: {version.withdrawn.reason}")
    standing = versions.standing(project, dataset)
    _tell_all(project, dataset, version, standing)
    print(f"{dataset}: " + (f"{standing.name} stands" if standing else "no version stands now"))
    return 0


def _find(project: Path, dataset: str, name: str) -> Version:
    found = versions.versions(project, dataset)
    for version in found:
        if version.name == name:
            return version
    choices = ", ".join(v.name for v in found) or "none"
    raise ParamsError(f"{dataset} has no version {name!r}; it has: {choices}")


def _mend_project(project: Path, dataset: str, standing: Version | None) -> None:
    """Let releases/<name> be the version that stands; until it is, the notice is beside it."""
    there = Layout(project, dataset)
    for version in versions.versions(project, dataset):
        if version.withdrawn and _is_there(there, project, version):
            write_whole(notice_of(there.release), version.withdrawn.notice)
    if standing is None:
        return
    if not _is_there(there, project, standing):
        with copy_of(project, standing) as copy:
            with new_folder(there.release) as draft:
                shutil.copytree(
                    copy.folder, draft, dirs_exist_ok=True, copy_function=shutil.copyfile
                )
            write_whole(there.attestation, copy.attestation)
    notice_of(there.release).unlink(missing_ok=True)


def _is_there(there: Layout, project: Path, version: Version) -> bool:
    text = attestation_text(project, version)
    return there.attestation.is_file() and there.attestation.read_text("utf-8") == text


def _tell_all(project: Path, dataset: str, version: Version, standing: Version | None) -> None:
    """Tell targets, the project's own folder and MLflow; a fault of one stops no other."""

    def tell_targets() -> None:
        again = f"proofmint withdraw {dataset} {version.name} --reason …"
        bring_up_to_date(project, dataset, again)

    def tell_project() -> None:
        with locked(state_of(project) / "locks" / f"release-{dataset}"):
            _mend_project(project, dataset, standing)

    def tell_mlflow() -> None:
        uri, store = os.environ.get("MLFLOW_TRACKING_URI"), state_of(project) / "mlflow"
        current = standing.name if standing else None
        open_tracker(uri, store).withdraw_release(dataset, version.name, current)

    if faults := each((tell_targets, tell_project, tell_mlflow)):
        kind = type(next((error for error in faults if error.retryable), faults[0]))
        lines = [*(str(error) for error in faults), "It is withdrawn; run the same command again."]
        raise kind("\n".join(lines))
