"""A person's yes on its way between workers that share no disk: signed by the project's key.

It goes by XCom, which people may edit; what has another form than it was signed in is no approval.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks.approvals import Approval
from tasks.errors import NotApproved, VerificationError
from tasks.publishing.envelope import open_signed, sign
from tasks.publishing.keys import signing_key

APPROVAL_TYPE = "urn:proofmint:approval:v1"


def sign_approval(state: Path, dataset: str, approval: Approval) -> str:
    """The text of a signed approval.

    Args:
        state: the folder of state of the worker that took the answer; its key signs.
        dataset: whose release it is.
        approval: what was said.
    """
    predicate = {"dataset": dataset, "approval": approval.model_dump()}
    return sign(APPROVAL_TYPE, approval.digest, predicate, signing_key(state))


def read_approval(state: Path, dataset: str, text: Any) -> Approval:
    """The approval in a signed text.

    Args:
        state: the folder of state of the worker that releases; its key must have signed.
        dataset: whose release it must be.
        text: as it came; anything.

    Raises:
        NotApproved: it was changed, is about another dataset, or another key has signed.
    """
    key = signing_key(state).public_key()
    try:
        signed = open_signed("the approval", str(text).encode(errors="replace"), APPROVAL_TYPE, key)
        approval = Approval.model_validate(signed.facts["approval"])
    except (VerificationError, ValidationError, KeyError) as error:
        raise NotApproved(
            f"{dataset}: expected an approval that this project's key has signed, but: {error};"
            " somebody has edited what the task `approve` returned, or the worker that took the"
            " answer has another .proofmint/keys than the one that releases; clear `approve`"
        ) from error
    if signed.facts.get("dataset") != dataset or signed.manifest_sha256 != approval.digest:
        raise NotApproved(f"{dataset}: expected its own approval, found another one's")
    return approval
