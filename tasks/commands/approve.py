"""`proofmint approve`: a person sees the evidence of a release and says yes to its digest."""

import sys
from pathlib import Path

from tasks import approvals
from tasks.approvals import Approval
from tasks.commands.approval_request import Request, request_of
from tasks.errors import NotApproved, ParamsError, WorkspaceError
from tasks.storage import write_json
from tasks.workspace import git, project_of, state_of

_LETTERS = 8
"""How much of the digest must be typed."""

THROUGH = "proofmint approve"


def approve(root: Path, dataset: str, *, digest: str | None, comment: str, show: bool) -> int:
    """Show the evidence of the release that stands in `root`, and keep a person's yes to it.

    Args:
        root: the project's own folder or a worktree of it, in which all stages have run.
        dataset: which one.
        digest: the digest that is approved, or the first letters of it; None: ask at the terminal.
        comment: goes into the attestation.
        show: only show the evidence, and leave the request for whoever called.

    Raises:
        ParamsError: this dataset needs no approval, or the digest is too short to mean one.
        NotApproved: the digest is that of another release, or nobody answered.
        WorkspaceError: git does not know who is here.
    """
    request = request_of(root, dataset)
    print(f"{request.subject}\n\n{request.body}\n")
    if show:
        write_json(
            request_file(root, dataset),
            {
                "digest": request.digest,
                "subject": request.subject,
                "body": request.body,
                "pending": request.pending,
            },
        )
        return 0
    state = state_of(project_of(root))
    if not request.pending:
        print(f"{dataset}: nothing to approve: released or approved already")
        return 0
    by = _person(root)
    _confirm(request, digest if digest is not None else _typed(dataset, request))
    said = Approval(
        by=by, at=approvals.now(), digest=request.digest, comment=comment, through=THROUGH
    )
    approvals.keep(state, dataset, said)
    print(f"{dataset}: approved by {by}; release it with `proofmint release {dataset}`")
    return 0


def request_file(root: Path, dataset: str) -> Path:
    """Where `--show` leaves the request for whoever called it."""
    return root / ".dvc" / "tmp" / f"approval-{dataset}.json"


def _typed(dataset: str, request: Request) -> str:
    if not sys.stdin.isatty():
        raise ParamsError(
            "expected a terminal to ask at, found none; look at the evidence above, then:"
            f" proofmint approve {dataset} --digest {request.digest}"
        )
    try:
        return input(f"To approve, type the first {_LETTERS} letters of the digest: ").strip()
    except EOFError as error:
        raise NotApproved(f"{dataset}: no answer, not approved") from error


def _confirm(request: Request, digest: str) -> None:
    if len(digest) < _LETTERS:
        raise ParamsError(
            f"expected at least {_LETTERS} letters of the digest, found {digest!r}; not approved"
        )
    if not request.digest.startswith(digest):
        raise NotApproved(
            f"the release here has the digest {request.digest}, not {digest}; look at its evidence"
            " above; not approved"
        )


def _person(root: Path) -> str:
    """Who is here, as git knows them: `Jane Doe <jane@example.org>`."""
    try:
        name, email = (git(root, "config", key) for key in ("user.name", "user.email"))
    except WorkspaceError as error:
        raise WorkspaceError(
            "expected a person whom git knows, as the approval names who approved; tell it:"
            " git config user.name 'Your Name' and git config user.email you@example.org"
        ) from error
    return f"{name} <{email}>"
