"""The versions of a dataset in git: the branch `datasets/adult` and its tags `adult@v1`, `adult@v2`.

A version is two commits on the branch. The first holds the code of the run with params.yaml and
dvc.lock of this dataset alone: `dvc repro` there gives the release. The second adds the
attestation, which names the first; the tag points at it. Branch and tag appear in one transaction,
or not at all. Nobody's HEAD, index or files are touched. Where machines share the versions through a
git remote (`tasks.git_remote`), the transaction is the remote's.

A version that turned out wrong is withdrawn by a second tag, `withdrawn/adult@v2`, on the same
commit: its message is the reason and the signed notice. Nothing is taken back from the history,
and the number is never used again.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tasks import git_remote
from tasks.errors import WorkspaceError
from tasks.refs import move_refs
from tasks.workspace import git

LOCK_FILE = "dvc.lock"

_WITHDRAWN = "withdrawn/"
"""Before the name of a version's tag: it no longer stands."""

_TRAILERS = ("Rows", "Verdict", "Revision", "Digest")
"""Lines of a tag's message, each a fact about its version."""


@dataclass(frozen=True)
class Withdrawal:
    """Why a version no longer stands, as its tag `withdrawn/…` tells it."""

    reason: str
    by: str
    """Name and address as git knows them, or whoever it was that they acted for."""
    at: str
    """ISO 8601 with a time zone."""
    notice: str
    """The signed notice, to be put beside every copy (`tasks.publishing.notices`)."""


@dataclass(frozen=True)
class Version:
    """A released version of a dataset, as its tag tells it."""

    dataset: str
    number: int
    commit: str
    """The tagged commit."""
    revision: str
    """md5 of the release in dvc.lock."""
    digest: str
    """sha256 of the release's manifest, which the attestation signs."""
    rows: int
    """Synthetic rows of all tables."""
    verdict: str
    created_at: str
    """ISO 8601 with a time zone."""
    withdrawn: Withdrawal | None = None
    """None: it stands."""

    @property
    def name(self) -> str:
        """How people call it: `v3`."""
        return f"v{self.number}"

    @property
    def tag(self) -> str:
        """The tag in git: `adult@v3`."""
        return f"{self.dataset}@{self.name}"

    @property
    def message(self) -> str:
        """The tag's message; `versions` reads it again."""
        lines = [f"{name}: {getattr(self, name.lower())}" for name in _TRAILERS]
        return "\n".join([self.tag, "", *lines])


def branch_of(dataset: str) -> str:
    """The branch that holds the versions of a dataset."""
    return f"refs/heads/datasets/{dataset}"


def versions(root: Path, dataset: str) -> list[Version]:
    """All versions of a dataset, oldest first, the withdrawn ones too."""
    return _tagged(root, dataset).get(dataset, [])


def of_each(root: Path) -> dict[str, list[Version]]:
    """As `versions`, of every dataset that has one; git is called once."""
    return _tagged(root, "*")


def _tagged(root: Path, dataset: str) -> dict[str, list[Version]]:
    """By dataset, the versions of those whose names match a pattern of git."""
    form = "%(refname:strip=2)%00%(*objectname)%00%(creatordate:iso-strict)%00%(contents)%1e"
    patterns = (f"refs/tags/{dataset}@v*", f"refs/tags/{_WITHDRAWN}{dataset}@v*")
    listing = git(root, "for-each-ref", f"--format={form}", *patterns)
    entries = [entry.strip().split("\0", 3) for entry in listing.split("\x1e")]
    entries = [entry for entry in entries if len(entry) == 4]
    withdrawn = {
        tag: _withdrawal(text) for tag, _, _, text in entries if tag.startswith(_WITHDRAWN)
    }
    found: dict[str, list[Version]] = {}
    for version in filter(None, (_version(*entry) for entry in entries)):
        marked = replace(version, withdrawn=withdrawn.get(_WITHDRAWN + version.tag))
        found.setdefault(version.dataset, []).append(marked)
    for own in found.values():
        own.sort(key=lambda version: version.number)
    return found


def newest(root: Path, dataset: str) -> Version | None:
    """The newest version of a dataset, withdrawn or not; None: nothing was released yet."""
    found = versions(root, dataset)
    return found[-1] if found else None


def standing(root: Path, dataset: str) -> Version | None:
    """The newest version that is not withdrawn: the one to use; None: there is none."""
    return next((v for v in reversed(versions(root, dataset)) if v.withdrawn is None), None)


def withdraw_version(root: Path, version: Version, withdrawal: Withdrawal) -> None:
    """Tag a version as withdrawn.

    Raises:
        WorkspaceError: it is withdrawn already.
    """
    who, tag = (
        git(root, "var", "GIT_COMMITTER_IDENT", env=_identity(root)),
        _WITHDRAWN + version.tag,
    )
    facts = json.dumps({"by": withdrawal.by, "at": withdrawal.at})
    message = "\n\n".join([tag, withdrawal.reason, facts, withdrawal.notice])
    text = f"object {version.commit}\ntype commit\ntag {tag}\ntagger {who}\n\n{message}\n"
    tag_object = git(root, "mktag", stdin=text)
    _move(root, {f"refs/tags/{tag}": ("", tag_object)})


def identity(root: Path) -> str:
    """Who acts here, as git knows them: `Ada <ada@example.org>`."""
    who = git(root, "var", "GIT_COMMITTER_IDENT", env=_identity(root))
    return who.rpartition(">")[0] + ">"


def datasets(root: Path) -> list[str]:
    """Names of the datasets that have a branch of versions."""
    prefix = "refs/heads/datasets/"
    listing = git(root, "for-each-ref", "--format=%(refname)", prefix)
    return [line.removeprefix(prefix) for line in listing.splitlines()]


def read_at(root: Path, commit: str, path: str) -> str:
    """A file as it was at a commit."""
    # `git show` would run a program that the repository's settings name for such a file.
    return git(root, "cat-file", "blob", f"{commit}:{path}") + "\n"


def release_revision(lock: str, dataset: str) -> str:
    """md5 of the release of a dataset, from the text of a dvc.lock.

    Raises:
        WorkspaceError: the lock holds no release of it.
    """
    for stage in _locked_stages(lock).values():
        for out in stage.get("outs", ()):
            if out["path"] == f"releases/{dataset}":
                return str(out["md5"])
    raise WorkspaceError(
        f"expected the release of {dataset!r} in {LOCK_FILE}, found none; run `proofmint run"
        f" {dataset}`"
    )


def narrow_lock(lock: str, dataset: str) -> str:
    """dvc.lock with the stages of one dataset alone."""
    stages = _locked_stages(lock)
    own = {name: stage for name, stage in stages.items() if name.endswith(f"@{dataset}")}
    if own == stages:
        return lock
    return yaml.safe_dump({"schema": "2.0", "stages": own}, sort_keys=False)


def commit_files(
    root: Path, base: str, parents: list[str], files: Mapping[str, str], message: str
) -> str:
    """A commit of the tree of `base` with some files put in; no branch moves.

    Args:
        root: any folder of the repository.
        base: commit whose tree is taken.
        parents: of the new commit.
        files: texts by path.
        message: of the new commit.

    Returns:
        The commit's id.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git(root, "read-tree", base, env=index)
        for path, text in files.items():
            blob = git(root, "hash-object", "-w", "--stdin", stdin=text)
            git(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=index)
        tree = git(root, "write-tree", env=index)
    flags = [part for parent in dict.fromkeys(parents) for part in ("-p", parent)]
    return git(root, "commit-tree", tree, *flags, stdin=message, env=_identity(root))


def publish_version(root: Path, version: Version, previous: str | None) -> None:
    """Put the branch on the version's commit and tag it, both or neither.

    Args:
        root: any folder of the repository.
        version: its commit exists and is on no branch yet.
        previous: where the branch was when the commit was made; None: there was no branch.

    Raises:
        WorkspaceError: another publisher was quicker, or somebody works on the branch.
    """
    _refuse_if_checked_out(root, version.dataset)
    who = git(root, "var", "GIT_COMMITTER_IDENT", env=_identity(root))
    commit, tag, branch = version.commit, version.tag, branch_of(version.dataset)
    text = f"object {commit}\ntype commit\ntag {tag}\ntagger {who}\n\n{version.message}\n"
    tag_object = git(root, "mktag", stdin=text)
    _move(root, {f"refs/tags/{tag}": ("", tag_object), branch: (previous or "", commit)})


def refresh(root: Path, dataset: str) -> None:
    """Have the versions that other machines have published, where there are any.

    Raises:
        RemoteUnavailable: the git remote does not answer.
    """
    if git_remote.name():
        git_remote.fetch_versions(root, dataset)


def _move(root: Path, updates: Mapping[str, tuple[str, str]]) -> None:
    """Move refs from what they must be now (empty: not there) to an object, all or none."""
    if git_remote.name():
        git_remote.push(root, updates)
        return
    move_refs(root, updates)


def mend_branch(root: Path, dataset: str) -> None:
    """Let the branch hold the newest version, where a power loss came between its tag and it."""
    last, here = newest(root, dataset), tip(root, dataset)
    if last is None or here == last.commit:
        return
    if here is None or not git(root, "rev-list", "-1", here, f"^{last.commit}"):
        move_refs(root, {branch_of(dataset): (here or "", last.commit)})


def tip(root: Path, dataset: str) -> str | None:
    """Where the branch of a dataset is; None: there is none."""
    return git(root, "for-each-ref", "--format=%(objectname)", branch_of(dataset)) or None


def _version(tag: str, commit: str, created_at: str, message: str) -> Version | None:
    """The version that a tag tells of; None: it is a tag of somebody else's making."""
    name = re.fullmatch(r"([^@/]+)@v([0-9]{1,9})", tag)
    facts = dict(re.findall(r"^(\w+): (.*)$", message, re.MULTILINE))
    if name is None or not commit or not facts.keys() >= set(_TRAILERS):
        return None
    if not re.fullmatch("[0-9]{1,18}", facts["Rows"]):
        return None
    return Version(
        dataset=name[1],
        number=int(name[2]),
        commit=commit,
        revision=facts["Revision"],
        digest=facts["Digest"],
        rows=int(facts["Rows"]),
        verdict=facts["Verdict"],
        created_at=created_at,
    )


def _withdrawal(message: str) -> Withdrawal | None:
    """What the tag of a withdrawal tells; None: it is a tag of somebody else's making."""
    try:
        _, reason, facts, notice = message.split("\n\n", 3)
        known = json.loads(facts)
        return Withdrawal(reason, str(known["by"]), str(known["at"]), notice + "\n")
    except (ValueError, KeyError, TypeError):
        return None


def _locked_stages(lock: str) -> dict[str, Any]:
    content = yaml.safe_load(lock) or {}
    return dict(content.get("stages") or {})


def _refuse_if_checked_out(root: Path, dataset: str) -> None:
    place = ""
    for line in git(root, "worktree", "list", "--porcelain").splitlines():
        key, _, value = line.partition(" ")
        place = value if key == "worktree" else place
        if key == "branch" and value == branch_of(dataset):
            raise WorkspaceError(
                f"the branch datasets/{dataset} is checked out in {place}, and a release would"
                " move it under your feet; check out another branch or a tag there"
            )


def _identity(root: Path) -> dict[str, str]:
    """Who commits: whoever git says; Proofmint where git knows nobody."""
    known = subprocess.run(
        ["git", "config", "user.email"], cwd=root, capture_output=True, check=False
    ).stdout.strip()
    names = {}
    for role in ("AUTHOR", "COMMITTER"):
        if not known and not os.environ.get(f"GIT_{role}_EMAIL"):
            names[f"GIT_{role}_NAME"] = "Proofmint"
            names[f"GIT_{role}_EMAIL"] = "proofmint@localhost"
    return names
